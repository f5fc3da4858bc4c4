# SPDX-License-Identifier: Apache-2.0
"""The clock of the database is stepped by an hour while engines work.

The engines and the store are the product's, the database is a real MariaDB of
this test (stepped_server.py), the hosts and the engines' own clocks are
those of the small false world.
"""

import datetime

import pytest

from nova_pets.model import records
from nova_pets.model import states
from nova_pets.tests import conftest as tiers
from nova_pets.tests.db import stepped_server
from nova_pets.tests.unit.engine import world as world_module

H = states.HostState
R = states.RecoveryState
HOUR = 3600


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    result = stepped_server.Server(tmp_path_factory.mktemp('mariadb'))
    try:
        result.start()
    except stepped_server.Missing as error:
        tiers.require('db', str(error))
    yield result
    result.stop()


@pytest.fixture(params=[HOUR, -HOUR], ids=['ahead', 'back'])
def seconds(request):
    return request.param


@pytest.fixture
def world(server, seconds, request):
    server.step(0)
    name = f'pets_{"ahead" if seconds > 0 else "back"}_{request.node.name}'
    url = server.create(''.join(
        char if char.isalnum() else '_' for char in name)[:60])
    yield world_module.World('', hosts=4, url=url)
    server.step(0)


class Story:
    def __init__(self, world):
        self.world = world
        for uuid in ('db1', 'db2'):
            world.boot(uuid)
        self.engines = [world.engine(name) for name in 'ab']
        self.turn(20.0)
        self.ids = self.living()

    def turn(self, seconds):
        until = self.world.clock.now + seconds
        self.world.drive(self.engines,
                         lambda: self.world.clock.now >= until)

    def living(self):
        return {engine.id for engine in self.world.store().engines()}

    def states(self):
        return {row.host: row.state
                for row in self.world.store().snapshot().hosts}

    def lose_host1(self):
        self.world.crash('host1')
        self.world.drive(self.engines, lambda: [
            row.state for row in self.world.store().recoveries()
        ] == [R.RECOVERED] * 2)
        assert self.world.calls.count('fence') == 1
        assert self.world.calls.count('evacuate') == 2
        for uuid in ('db1', 'db2'):
            [host] = self.world.running(uuid)
            assert host != 'host1'


def test_the_clock_is_stepped_and_nobody_is_fenced_or_deposed(
        world, server, seconds):
    story = Story(world)
    for ahead_s in (seconds, 0, -seconds, 0):
        server.step(ahead_s)
        assert abs(server.ahead_s() - ahead_s) < 60
        story.turn(40.0)
        assert world.calls == []
        assert set(story.states().values()) == {H.UP}
        assert story.living() == story.ids


def test_a_host_that_dies_is_recovered_once_on_either_side_of_a_step(
        world, server, seconds):
    """Stepped at every outside call: between the power-off and forced_down,
    between the claim in nova and the evacuate, and so on."""
    story = Story(world)
    world.on_call = lambda number, name, moment: server.step(
        seconds if (number + (moment == 'before')) % 2 else 0)
    server.step(seconds)
    story.lose_host1()
    assert story.living() == story.ids


def test_a_maintenance_does_not_end_by_the_step(world, server, seconds):
    """It ends when the database's clock and the engine's have passed it."""
    story = Story(world)
    world.store().add_control(records.Control(
        id=None, kind=states.ControlKind.MAINTENANCE, scope='host',
        target='host1', reason='test', actor='test',
        until_at=datetime.datetime.now(datetime.UTC).replace(
            tzinfo=None) + datetime.timedelta(minutes=30)))
    server.step(seconds)
    story.turn(15.0)
    world.crash('host1')
    story.turn(30.0)
    assert world.calls == []
    assert world.store().host('host1').reason == 'maintenance'
    assert len(world.store().controls()) == 1
