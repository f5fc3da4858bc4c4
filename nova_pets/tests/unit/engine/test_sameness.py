# SPDX-License-Identifier: Apache-2.0
"""The same world and the same identities give the same deeds.

A simulated failure is only worth something when it happens again: nothing
that an engine does may depend on chance that was not handed in.
"""

import itertools
import os
import subprocess
import sys
import tempfile

import pytest

from nova_pets.model import states
from nova_pets.tests.unit.engine import world as world_module


def _ids():
    numbers = itertools.count(1)
    return lambda: f'id-{next(numbers)}'


def story(directory):
    """Return what two engines did about a dead host, one line each."""
    world = world_module.World(directory, hosts=6)
    new_id = _ids()
    for number in range(2):
        world.boot(f'db{number}')
        world.rows[f'db{number}'].allocations |= set(world.machines)
    engines = [world.engine(name, new_id=new_id) for name in 'ab']
    door = world_module.Door.remove_allocations
    removed = []

    def remove(self, cell_uuid, uuid, host):
        removed.append(f'{uuid} {host}')
        door(self, cell_uuid, uuid, host)

    world_module.Door.remove_allocations = remove
    try:
        world.drive(engines, lambda: world.clock.now >= 1010.0)
        world.crash('host1')
        world.drive(engines, lambda: [
            row.state for row in world.store().recoveries()
        ] == [states.RecoveryState.RECOVERED] * 2)
    finally:
        world_module.Door.remove_allocations = door
    store = world.store()
    history = [f'{line.host} {line.instance_uuid} {line.actor} {line.code} '
               f'{line.text} {line.evidence}' for line in store.history()]
    requests = [f'{attempt.request_id} {attempt.destination}'
                for row in store.recoveries()
                for attempt in store.attempts(row.id)]
    return [*world.calls, *removed, *history, *requests]


def test_identities_come_from_who_made_the_engine(tmp_path):
    world = world_module.World(tmp_path)
    world.boot('db1')
    engine = world.engine(new_id=_ids())
    world.drive([engine], lambda: world.clock.now >= 1010.0)
    assert engine.standing.id == 'id-1'
    world.crash('host1')
    world.drive([engine], lambda: world.store().recoveries() and
                world.store().attempts(1))
    assert [attempt.request_id for attempt in world.store().attempts(1)] == [
        'req-id-2']


@pytest.fixture(scope='module')
def told():
    """What happened under two seeds of str's hash."""
    return [subprocess.run(
        [sys.executable, '-m', __name__], check=True, capture_output=True,
        text=True, env=os.environ | {'PYTHONHASHSEED': seed}).stdout
        for seed in ('1', '2')]


def test_the_order_of_hashes_reaches_no_deed(told):
    assert told[0].count('evacuate') >= 2
    assert told[1] == told[0]


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as home:
        print('\n'.join(story(home)))
