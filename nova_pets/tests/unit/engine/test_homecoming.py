# SPDX-License-Identifier: Apache-2.0
"""A host comes back by the hands of an engine: queue, power, clean-up."""

import pytest

from nova_pets.model import observations
from nova_pets.model import policy
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.planning import homecoming
from nova_pets.planning import ladder
from nova_pets.tests.unit.engine import world as worlds

H = states.HostState
C = states.ControlKind
HOST = 'host1'
AFTER = {'power_on': states.PowerOn.AFTER_RECOVERY}


@pytest.fixture
def world(tmp_path):
    made = worlds.World(tmp_path)
    made.boot('db1', HOST)
    made.late = []
    """What waits in the queue."""

    def drain(host, tell):
        dropped = 0
        while made.late:
            tell(observations.Dropped(*made.late[0]))
            made.late.pop(0)
            dropped += 1
        return observations.Drained(True, dropped, f'{dropped} dropped')
    made.drain = drain
    return made


def row_of(world):
    return world.store().host(HOST)


def codes(world, *wanted):
    return [event.code for event in world.store().history()
            if event.code in wanted]


def begin(world, **numbers):
    engine = world.engine(**numbers)
    world.drive([engine], lambda: engine.memory.count(HOST))
    world.crash(HOST)
    return engine


def is_back(world):
    return row_of(world).state is H.UP and 'power_on' in world.calls


def is_vacated(world):
    return (row_of(world).state is H.VACATED and
            homecoming.DRAINED in row_of(world).evidence)


def order_release(world):
    world.store().add_control(records.Control(
        id=None, kind=C.RELEASE, scope='host', target=HOST,
        epoch=row_of(world).epoch, reason='mended', actor='alice'))


# -- a whole life -------------------------------------------------------------


def test_after_recovery_the_host_is_drained_and_powered_on(world):
    engine = begin(world, **AFTER)
    world.late = [('start_instance', 'req-1', 'db1')]
    world.drive([engine], lambda: is_back(world))
    assert world.calls.count('power_on') == 1
    assert codes(world, 'vacated', 'message_dropped', 'queue_drained',
                 'powering_on', 'powered_on', 'returned') == [
        'vacated', 'message_dropped', 'queue_drained', 'powering_on',
        'powered_on', 'returned']
    assert not world.machines[HOST].forced_down
    assert world.running('db1') != [HOST]


def test_by_default_a_host_stays_off_until_a_person_releases_it(world):
    engine = begin(world)
    world.drive([engine], lambda: is_vacated(world))
    for _ in range(50):
        engine.cycle()
        world.tick(2.0)
    assert 'power_on' not in world.calls
    order_release(world)
    world.late = [('rebuild_instance', 'req-2', 'db1')]
    world.drive([engine], lambda: is_back(world))
    [dropped] = [event for event in world.store().history()
                 if event.code == 'message_dropped']
    assert (dropped.text, dropped.instance_uuid, dropped.host) == (
        'rebuild_instance req-2', 'db1', HOST)


def test_never_means_by_hand(world):
    engine = begin(world, power_on=states.PowerOn.NEVER)
    world.drive([engine], lambda: is_vacated(world))
    order_release(world)
    world.drive([engine], lambda: row_of(world).state is H.RETURNING)
    for _ in range(20):
        engine.cycle()
        world.tick(2.0)
    assert 'power_on' not in world.calls
    assert row_of(world).reason == 'release_requested'


def test_an_engine_that_dies_at_any_call_is_gone_on_for(tmp_path):
    """Each outside call of the way back, before and after it."""
    def life(directory, die_at):
        directory.mkdir()
        world = worlds.World(directory)
        world.boot('db1', HOST)
        late = [('start_instance', 'req-1', 'db1')]

        def drain(host, tell):
            for message in list(late):
                tell(observations.Dropped(*message))
                late.remove(message)
            return observations.Drained(True, 1, 'dropped')
        world.drain = drain
        engine = begin(world, **AFTER)

        def on_call(number, name, moment):
            if (number, moment) == die_at:
                raise worlds.Died
        world.on_call = on_call
        try:
            world.drive([engine], lambda: is_back(world))
        except worlds.Died:
            world.on_call = lambda number, name, moment: None
            # Published when nobody looks.
            if world.machines[HOST].power == 'off':
                late.append(('start_instance', 'req-2', 'db1'))
            second = world.engine('b', **AFTER)
            world.drive([second], lambda: is_back(world))
        assert late == []
        assert world.calls.count('fence') <= 2
        assert len(world.running('db1')) == 1 != [HOST]
        return world.calls

    calls = life(tmp_path / 'plain', None)
    back = [number for number, name in enumerate(calls)
            if name in ('drain', 'power_on')]
    assert len(back) >= 3
    back.append(len(calls) - 1)
    for number in back:
        for moment in ('before', 'after'):
            life(tmp_path / f'{number}{moment}', (number, moment))


def test_a_queue_that_is_not_drained_keeps_the_host_off(world):
    engine = begin(world, **AFTER)
    drain = world.drain
    world.drain = lambda host, tell: observations.Drained(
        False, 0, '1 consumer')
    world.drive([engine], lambda: row_of(world).reason == 'not_drained')
    for _ in range(50):
        engine.cycle()
        world.tick(2.0)
    assert row_of(world).state is H.VACATED
    assert 'power_on' not in world.calls
    assert codes(world, 'not_drained') == ['not_drained']
    assert world.calls.count('drain') < 8
    world.drain = drain
    world.drive([engine], lambda: is_back(world))


def test_a_queue_that_cannot_be_drained_right_before_keeps_it_off(world):
    engine = begin(world)
    world.drive([engine], lambda: is_vacated(world))
    drain = world.drain
    world.drain = lambda host, tell: observations.Drained(False, 0, 'away')
    order_release(world)
    world.drive([engine], lambda: row_of(world).reason == 'not_drained')
    assert row_of(world).state is H.RETURNING
    assert world.machines[HOST].power == 'off'
    world.drain = drain
    world.drive([engine], lambda: is_back(world))


def test_a_host_that_is_on_already_is_not_told_again(world):
    engine = begin(world)
    world.drive([engine], lambda: is_vacated(world))
    world.machines[HOST].power = 'on'
    order_release(world)
    world.drive([engine], lambda: row_of(world).reason == 'powered_on')
    assert 'power_on' not in world.calls


# -- the ladder ---------------------------------------------------------------


STEPS = policy.Ladder(tries=2, after_s=10.0, then_fence=False)


def test_nova_compute_is_restarted_and_the_host_is_up_again(world):
    world.ladder = STEPS
    engine = world.engine()
    world.drive([engine], lambda: engine.memory.count(HOST))
    agent_lives(world, False)

    def restart(machine):
        agent_lives(world, True)
        return worlds.Told(True, 'ended well')
    world.restart = restart
    world.drive([engine], lambda: row_of(world).state is H.SUSPECT)
    world.drive([engine], lambda: row_of(world).state is H.UP)
    assert world.calls == ['restart_service']
    assert codes(world, 'service_restart', 'service_restarted') == [
        'service_restart', 'service_restarted']


def test_restarts_are_counted_and_nothing_is_fenced_unless_so_bound(world):
    world.ladder = STEPS
    engine = world.engine()
    world.drive([engine], lambda: engine.memory.count(HOST))
    agent_lives(world, False)
    for _ in range(300):
        engine.cycle()
        world.tick(2.0)
    assert world.calls == ['restart_service'] * 2
    assert row_of(world).reason == 'service_restart_failed'
    assert row_of(world).evidence[ladder.TRIES] == 2
    assert world.running('db1') == [HOST]


def test_a_crash_in_a_restart_makes_it_no_more_of_them(world):
    world.ladder = STEPS
    engine = world.engine()
    world.drive([engine], lambda: engine.memory.count(HOST))
    agent_lives(world, False)

    def die(number, name, moment):
        if name == 'restart_service' and moment == 'after':
            raise worlds.Died
    world.on_call = die
    for name in 'bcd':
        with pytest.raises(worlds.Died):
            world.drive([engine], lambda: world.calls == [
                'restart_service'] * 3, limit_s=200.0)
        engine = world.engine(name)
        if len(world.calls) == 2:
            break
    for _ in range(100):
        engine.cycle()
        world.tick(2.0)
    assert world.calls == ['restart_service'] * 2


def test_then_it_is_fenced_where_so_bound(world):
    world.ladder = policy.Ladder(tries=1, after_s=10.0, then_fence=True,
                                 fence_after_s=60.0)
    engine = world.engine()
    world.drive([engine], lambda: engine.memory.count(HOST))
    agent_lives(world, False)
    took_s = world.drive([engine], lambda: 'fence' in world.calls)
    assert took_s >= 60.0
    world.drive([engine], lambda: world.running('db1') not in ([], [HOST]))
    assert 'service_fence' in codes(world, 'service_fence')


def agent_lives(world, value):
    """The heartbeat stops or goes on; the machine and its guests live."""
    world.machines[HOST].agent_runs = value
