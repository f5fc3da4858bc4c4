# SPDX-License-Identifier: Apache-2.0
"""The real engine in a false world: on time, once, whatever dies when."""

import threading

import pytest

from nova_pets import exception
from nova_pets.detectors import bmc
from nova_pets.detectors import context as detectors_context
from nova_pets.model import states
from nova_pets.tests.unit.engine import world as world_module

R = states.RecoveryState


@pytest.fixture
def make_world(tmp_path):
    return lambda **kwargs: world_module.World(tmp_path, **kwargs)


def _state(world, host):
    row = world.store().host(host)
    return row.state if row else None


def _witness(world, name):
    """Makers of detectors: a probe, or the power, which the crash takes."""
    if name == 'tcp':
        return None
    context = detectors_context.Context(door=None,
                                        power=world_module.Fencer(world))
    return lambda eyes, seen: (bmc.BmcDetector(context),)


@pytest.mark.parametrize('witness', ['tcp', 'bmc'])
@pytest.mark.parametrize('heartbeat_s, limit_s', [(2.0, 8.0), (10.0, 40.0)])
@pytest.mark.parametrize('phase_s', [0.0, 0.9, 1.9])
def test_a_dead_host_is_judged_down_in_time(make_world, heartbeat_s, limit_s,
                                            phase_s, witness):
    """specs/0010-fencing, "Detection time"."""
    world = make_world(report_interval_s=heartbeat_s)
    engine = world.engine(witness_silence_s=2.0,
                          detectors=_witness(world, witness))
    until = world.clock.now + 3 * heartbeat_s + phase_s
    world.drive([engine], lambda: world.clock.now >= until)
    world.crash('host1')
    world.machines['host1'].power = 'off'
    took_s = world.drive([engine], lambda: _state(world, 'host1') == 'down')
    assert took_s <= limit_s


def test_a_clock_of_another_machine_decides_nothing(make_world):
    """Heartbeats are judged by progress: what the rows say of time, a step
    of an hour either way included, is not even read."""
    world = make_world()
    engine = world.engine()
    world.drive([engine], lambda: world.clock.now >= 1060.0)
    assert {_state(world, name) for name in world.machines} == {'up'}


def test_after_a_gap_in_my_own_reads_nobody_is_suspect(make_world):
    world = make_world()
    engine = world.engine()
    world.drive([engine], lambda: world.clock.now >= 1010.0)
    counts = [machine.report_count for machine in world.machines.values()]
    world.clock.now += 3600
    for machine, count in zip(world.machines.values(), counts, strict=True):
        machine.report_count = count
    engine.cycle()
    assert {_state(world, name) for name in world.machines} == {'up'}


def test_pets_move_once(make_world):
    world = make_world()
    for uuid in ('db1', 'db2', 'db3'):
        world.boot(uuid)
    engine = world.engine()
    world.drive([engine], lambda: world.clock.now >= 1010.0)
    world.crash('host1')
    world.drive([engine], lambda: _all(world, R.RECOVERED, 3))
    assert world.calls.count('evacuate') == 3
    assert world.calls.count('fence') == 1
    for uuid in world.rows:
        assert len(world.running(uuid)) == 1
    assert world.machines['host1'].power == 'off'


def _all(world, state, number):
    found = world.store().recoveries()
    return len(found) == number and all(row.state is state for row in found)


def test_nothing_is_powered_off_soon_after_all_engines_were_away(make_world):
    world = make_world()
    world.boot('db1')
    first = world.engine('a', startup_grace_s=60.0)
    world.drive([first], lambda: world.clock.now >= 1010.0)
    world.crash('host1')
    world.drive([first], lambda: 'fence' in world.calls)
    assert 1060.0 <= world.clock.now < 1062.0
    [hold] = [event for event in world.store().history()
              if event.code == 'starting']
    assert hold.text.startswith('for another ')
    second = world.engine('b', startup_grace_s=6000.0)
    world.drive([first, second], lambda: _all(world, R.RECOVERED, 1))
    assert second.standing.grace_s() == 0


def test_each_fence_is_looked_at_where_there_are_many(make_world):
    """More hosts than turns in the interval: the last ones come too."""
    world = make_world(hosts=12)
    engine = world.engine(read_interval_s=2.0)
    world.drive([engine], lambda: all(
        row.fence_ready for row in world.store().snapshot().hosts) and
        len(world.store().snapshot().hosts) == 12, limit_s=30.0)


def test_observe_mode_touches_nothing_and_says_what_it_would_do(make_world):
    world = make_world()
    world.boot('db1')
    engine = world.engine(mode=states.Mode.OBSERVE)
    world.drive([engine], lambda: world.clock.now >= 1010.0)
    world.crash('host1')
    world.drive([engine], lambda: _state(world, 'host1') == 'down')
    until = world.clock.now + 60
    world.drive([engine], lambda: world.clock.now >= until)
    assert world.calls == []
    assert any('would fence host1' in wait
               for row in world.store().engines()
               for wait in row.report.get('waits', ()))


def test_who_has_nothing_to_move_keeps_the_slow_pace(make_world):
    """A peer that only watches another's recoveries does not poll."""
    world = make_world()
    world.boot('db1')
    engines = [world.engine('a'), world.engine('b')]
    world.drive(engines, lambda: world.clock.now >= 1010.0)
    world.crash('host1')
    world.drive(engines, lambda: _state(world, 'host1') == 'fenced')
    owner = world.store().host('host1').owner
    pauses = {one.standing.id == owner: one.cycle() for one in engines}
    assert pauses[True] <= 0.3
    assert pauses[False] == 0.5


def test_what_is_proven_begins_without_a_pause(make_world):
    world = make_world()
    world.boot('db1')
    engine = world.engine()
    world.drive([engine], lambda: world.clock.now >= 1010.0)
    world.crash('host1')
    world.drive([engine], lambda: _state(world, 'host1') == 'fenced')
    while True:
        pause_s = engine.cycle()
        if any(row.state is R.READY for row in world.store().recoveries()):
            break
        world.tick(pause_s)
    assert pause_s == 0


def test_two_engines_never_do_the_same_twice(make_world):
    world = make_world()
    for number in range(6):
        world.boot(f'db{number}')
    engines = [world.engine('a'), world.engine('b')]
    world.drive(engines, lambda: world.clock.now >= 1010.0)
    assert all(one.standing.has_slot for one in engines)
    world.crash('host1')
    world.drive(engines, lambda: _all(world, R.RECOVERED, 6))
    assert world.calls.count('fence') == 1
    assert world.calls.count('evacuate') == 6


def test_an_engine_that_cannot_renew_stops_acting(make_world):
    world = make_world()
    world.boot('db1')
    engine = world.engine()
    world.drive([engine], lambda: world.clock.now >= 1010.0)
    world.clock.now += 10.0  # more than MARGIN of claim_ttl
    with pytest.raises(exception.ClaimsLost):
        engine.standing.guard(engine.standing.id)


def test_a_claim_does_not_outlive_the_identity_that_made_it(make_world):
    """A thread that slept through a deposition wakes up beside a cycle that
    has registered anew already (failed before: it removed an allocation)."""
    world = make_world()
    engine = world.engine()
    engine.cycle()
    old = engine.standing.id
    assert world.store().depose_engine(old, engine.standing.engine.renewals)
    engine.cycle()
    engine.standing.guard(engine.standing.id)
    with pytest.raises(exception.ClaimsLost):
        engine.standing.guard(old)


def test_a_sleeper_that_was_deposed_writes_nothing(make_world):
    world = make_world()
    world.boot('db1')
    sleeper, peer = world.engine('a'), world.engine('b')
    world.drive([sleeper, peer], lambda: world.clock.now >= 1010.0)
    world.crash('host1')
    world.drive([sleeper], lambda: _state(world, 'host1') == 'fenced')
    old = sleeper.standing.id
    row = world.store().host('host1')
    assert row.owner == old
    world.drive([peer], lambda: _all(world, R.RECOVERED, 1))
    with pytest.raises(exception.RowConflict):
        world.store().advance_host(row, row.generation, old, None)
    sleeper.cycle()
    assert sleeper.standing.id != old
    assert world.calls.count('evacuate') == 1


def _record(world):
    """Return the number of outside calls of an undisturbed run."""
    for uuid in ('db1', 'db2'):
        world.boot(uuid)
    engine = world.engine()
    world.drive([engine], lambda: world.clock.now >= 1010.0)
    world.crash('host1')
    world.drive([engine], lambda: _all(world, R.RECOVERED, 2))
    return len(world.calls)


CALLS = 6
"""fence, forced_down, and for each of two pets a claim and an evacuate."""


def test_the_outside_calls_of_an_undisturbed_recovery(make_world):
    world = make_world()
    assert _record(world) == CALLS
    assert world.calls[:2] == ['fence', 'forced_down']
    assert sorted(world.calls[2:]) == ['evacuate'] * 2 + [
        'update_instance'] * 2


@pytest.mark.parametrize('moment', ['before', 'after'])
@pytest.mark.parametrize('number', range(CALLS))
def test_an_engine_dies_around_any_outside_call(make_world, number, moment):
    world = make_world()

    def die(at, name, when):
        if (at, when) == (number, moment):
            raise world_module.Died

    world.on_call = die
    with pytest.raises(world_module.Died):
        _record(world)
    world.on_call = lambda *args: None
    _finish(world)


def _finish(world):
    """Another engine continues; every pet ends up running once."""
    successor = world.engine('b')
    world.drive([successor], lambda: _all(world, R.RECOVERED, 2))
    for uuid in ('db1', 'db2'):
        assert len(world.running(uuid)) == 1
        starts = [name for machine in world.machines.values()
                  for name in machine.starts if name == uuid]
        assert len(starts) == 1
    assert world.calls.count('fence') <= 2
    assert world.machines['host1'].power == 'off'


def _commits(world, monkeypatch, die_after=None):
    """Count the engine's write transactions; die after one of them."""
    from nova_pets.db import session
    counter = {'commits': 0}
    real = session.Runner.write

    def write(self, *args, **kwargs):
        result = real(self, *args, **kwargs)
        counter['commits'] += 1
        if counter['commits'] == die_after:
            raise world_module.Died
        return result

    monkeypatch.setattr(session.Runner, 'write', write)
    return counter


def test_an_engine_dies_after_a_commit(tmp_path, monkeypatch):
    """Every third from the crash on, on a real database, each with a fresh
    world; all of them: tests/simulator/test_points.py."""
    counting = world_module.World(_dir(tmp_path, 'count'))
    with monkeypatch.context() as patch:
        counter = _commits(counting, patch)
        crash = counting.crash

        def note(host):
            counter['at_crash'] = counter['commits']
            crash(host)

        counting.crash = note
        _record(counting)
    first, total = counter['at_crash'] + 1, counter['commits']
    assert total - first > 20
    tried, numbers = 0, range(first, total + 1, 3)
    for number in numbers:
        world = world_module.World(_dir(tmp_path, f'run{number}'))
        with monkeypatch.context() as patch:
            _commits(world, patch, die_after=number)
            try:
                _record(world)
            except world_module.Died:
                tried += 1
        _finish(world)
    assert tried == len(numbers)


def _dir(tmp_path, name):
    path = tmp_path / name
    path.mkdir()
    return path


@pytest.mark.parametrize('database_h, own_h, is_over', [
    (13, 13, True), (13, 11, False), (11, 13, False)])
def test_a_timed_maintenance_ends_by_two_clocks(make_world, monkeypatch,
                                                database_h, own_h, is_over):
    from nova_pets.db import store
    from nova_pets.model import records
    world = make_world()
    engine = world.engine()
    engine._utc_now = lambda: world_module.NOON.replace(hour=own_h)
    monkeypatch.setattr(store.SqlStore, 'now', lambda self:
                        world_module.NOON.replace(hour=database_h))
    world.store().add_control(records.Control(
        id=None, kind=states.ControlKind.MAINTENANCE, scope='host',
        target='host1', until_at=world_module.NOON))
    world.drive([engine], lambda: world.clock.now >= 1005.0)
    assert (world.store().controls() == []) is is_over


@pytest.mark.parametrize('is_old, proof', [
    (True, 'power_off'), (False, 'external')])
def test_an_old_forced_down_is_no_proof_though_it_is_trusted(
        make_world, is_old, proof):
    """A host that was forced down and lives on, and then cannot be reached:
    its guests may run."""
    world = make_world()
    world.boot('db1')
    engine = world.engine(trust_forced_down=True)
    world.machines['host1'].forced_down = is_old
    world.drive([engine], lambda: world.clock.now >= 1020.0)
    world.crash('host1')
    world.drive([engine], lambda: _state(world, 'host1') == 'suspect')
    world.machines['host1'].forced_down = True
    world.drive([engine], lambda: _all(world, R.RECOVERED, 1))
    assert world.store().host('host1').proof == proof


class Hanging(world_module.InlineWorkers):
    """Whose calls have been under way for so long."""

    def __init__(self):
        self.seconds = {}
        self.is_stopped = False

    def under_way(self):
        return self.seconds

    def stop(self):
        self.is_stopped = True


@pytest.mark.parametrize('key, seconds, fence_s, hangs', [
    (('recovery', 7), 359.0, 90.0, False),
    (('recovery', 7), 361.0, 90.0, True),
    (('recovery', 7), 121.0, 10.0, True),
    (('host', 'host1'), 1100.0, 300.0, False),
    (('turn', 'audit'), 3599.0, 90.0, False),
    (('turn', 'audit'), 3601.0, 90.0, True)], ids=str)
def test_an_engine_gives_up_what_a_call_that_hangs_holds(
        make_world, key, seconds, fence_s, hangs):
    """Nobody else would move that row: its owner lives."""
    world = make_world()
    engine = world.engine(fence_timeout_s=fence_s)
    workers = engine._workers = Hanging()
    engine.cycle()
    me = engine.standing.id
    workers.seconds = {('recovery', 1): 1.0, key: seconds}
    stop = threading.Event()
    if not hangs:
        engine.cycle()
        assert not workers.is_stopped
        return
    with pytest.raises(exception.CallHangs, match=f'{key[0]} {key[1]}'):
        engine.run(stop)
    assert workers.is_stopped
    assert me not in {row.id for row in world.store().engines()}
    [told] = [event for event in world.store().history()
              if event.code == 'call_hangs']
    assert f'{key[0]} {key[1]} has been under way' in told.text
