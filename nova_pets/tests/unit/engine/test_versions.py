# SPDX-License-Identifier: Apache-2.0
"""Old and new versions side by side: engines over a schema that is newer."""

import logging

import pytest
import sqlalchemy as sa

from nova_pets.db import schema
from nova_pets.db import session
from nova_pets.tests.unit.engine import world as world_module

NEXT = f'{int(schema.head()[:4]) + 1:04}'


@pytest.fixture
def world(tmp_path):
    world = world_module.World(tmp_path)
    world.boot('db1')
    return world


def change_schema(world, version, *statements):
    with session.standalone(world.url).writer.get_engine().begin() as conn:
        for statement in statements:
            conn.execute(sa.text(statement))
        conn.execute(sa.text(
            f"UPDATE {schema.VERSION_TABLE} SET version_num = '{version}'"))


def is_recovered(world):
    return lambda: bool(world.store().recoveries(
        instance_uuid='db1')) and world.store().recoveries(
            instance_uuid='db1')[0].state == 'recovered'


def once():
    """Stop an engine after its first pause; keep how long that was."""
    class Stop:
        paused = []

        def is_set(self):
            return bool(self.paused)

        def wait(self, seconds):
            self.paused.append(seconds)
    return Stop()


def test_old_engines_go_on_over_a_schema_one_additive_step_newer(world):
    engines = [world.engine('a'), world.engine('b')]
    world.drive(engines, lambda: len(world.store().pets()) == 1)
    change_schema(
        world, f'{NEXT}a', 'ALTER TABLE pets_hosts ADD later INTEGER',
        'ALTER TABLE pets_recoveries ADD later VARCHAR(9) DEFAULT "x"',
        'CREATE TABLE pets_later (id INTEGER)')
    # One that was started before, and one that starts now.
    engines[1] = world.engine('c')
    world.crash('host1')
    world.drive(engines, is_recovered(world))
    assert len(world.running('db1')) == 1


@pytest.mark.parametrize('version', [NEXT, '9999a', '0000'])
def test_an_engine_that_does_not_know_the_schema_stands_still(
        world, version, caplog):
    change_schema(world, version)
    world.crash('host1')
    stop, engine = once(), world.engine('a')
    with caplog.at_level(logging.ERROR, logger='nova_pets'):
        engine.run(stop)
    assert stop.paused == [30.0]
    assert not world.calls
    assert not world.store().engines()
    assert version in caplog.text


def test_it_goes_on_when_the_schema_fits_again(world):
    change_schema(world, NEXT)
    engine = world.engine('a')
    engine.run(once())
    change_schema(world, schema.head())
    world.crash('host1')
    world.drive([engine], lambda: len(world.store().engines()) == 1)
