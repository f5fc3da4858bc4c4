# SPDX-License-Identifier: Apache-2.0
"""Every failure window of an evacuation: how it comes about, what it leaves.

Data for two theatres: the false Nova (tests/unit/simulator) and the real one
(test_real.py) have to leave the same behind. The ids are those of
reference/nova-evacuation.md, section 2; letters after them are variants.
"""

import collections.abc
import dataclasses

from nova_pets.tests.conformance import stage as stage_module

Left = stage_module.Left
Message = stage_module.Message
Point = stage_module.Point
Stage = stage_module.Stage

WON = (('rebuild_server', 'Success'), ('compute_rebuild_instance', 'Success'))
BEGUN = (('rebuild_server', 'Success'), ('compute_rebuild_instance', None))
FAILED = (('rebuild_server', 'Success'),
          ('compute_rebuild_instance', 'Error'))
UNSENT = (('rebuild_server', 'Error'),)
SENT = (('rebuild_server', 'Success'),)
STOP = 'compute_stop_instance'
STOPPED = WON + ((STOP, 'Success'),)
BOTH = ('host1', 'host2')
ACCEPTED = (('accepted', 'host1', None),)
CLAIMED = (('pre-migrating', 'host1', 'host2'),)
LOST = (('failed', 'host1', 'host2'),)
CLEANED = (('completed', 'host1', 'host2'),)
DONE = (('done', 'host1', 'host2'),)

REQUESTED = Left(task_state='rebuilding', records=ACCEPTED)
"""Nobody works on it, and nobody but the API ever did."""
SUCCESS = Left(host='host2', records=DONE, room=BOTH, running=('host2',),
               events=WON, relaunched=True)
ON_ITS_WAY = dataclasses.replace(REQUESTED, room=BOTH, events=SENT)
SPAWNING = Left(task_state='rebuild_spawning', records=CLAIMED, room=BOTH,
                events=BEGUN, power=0, context=True)
BROKEN = Left(vm_state='error', records=LOST, events=FAILED, power=0,
              context=True)


Play = collections.abc.Generator[tuple[object, ...], None, None]
"""Yields what is to be done to hosts and services, as a method of Stage and
its arguments: plays that want the same deeds in the same order can share a
stage, each with an instance of its own."""
Plan = collections.abc.Callable[[Stage], Play]
Events = tuple[tuple[str, str | None], ...]
Fault = collections.abc.Callable[[Stage], None]


@dataclasses.dataclass(frozen=True)
class Window:
    plan: Plan
    left: Left
    """Of the instance 'pet', when all has settled."""


def play(window: Window, stage: Stage) -> None:
    """Play it alone."""
    for name, *arguments in window.plan(stage):
        getattr(stage, name)(*arguments)


def _evacuated(*faults: Fault, **boot: object) -> Plan:
    """Return a plan: faults are set, then host1 dies and is evacuated."""
    def plan(stage: Stage) -> Play:
        stage.boot('pet', **boot)
        yield 'booted',
        for fault in faults:
            fault(stage)
        yield 'lose', 'host1'
        stage.evacuate('pet')
    return plan


def _fail(point: Point, is_clean: bool = False) -> Fault:
    return lambda stage: stage.fail(point, 'pet', is_clean)


def _lose(message: Message) -> Fault:
    return lambda stage: stage.lose_message(message, 'pet')


def _held(point: Point, *faults: Fault, **boot: object) -> Plan:
    """Return a plan: evacuated, and held at the point."""
    def plan(stage: Stage) -> Play:
        yield from _evacuated(lambda stage: stage.hold(point, 'pet'),
                              *faults, **boot)(stage)
        stage.wait_held(point, 'pet')
    return plan


def _dies_at(point: Point, deed: str = 'lose', **boot: object) -> Plan:
    """Return a plan: the destination dies at the point.

    :param deed: 'silence': nova-compute only, its guests run on.
    """
    def plan(stage: Stage) -> Play:
        yield from _held(point, **boot)(stage)
        yield deed, 'host2'
        stage.release(point, 'pet')
    return plan


def _conductor_dies(point: Point) -> Plan:
    def plan(stage: Stage) -> Play:
        yield from _held(point)(stage)
        yield 'restart_conductor',
        stage.release(point, 'pet')
    return plan


def _conductor_and_scheduler_die(stage: Stage) -> Play:
    yield from _held(Point.SCHEDULER)(stage)
    yield 'kill_scheduler',
    yield 'restart_conductor',
    stage.release(Point.SCHEDULER, 'pet')
    yield 'start_scheduler',


def _scheduler_dies(stage: Stage) -> Play:
    yield from _held(Point.SCHEDULER)(stage)
    yield 'kill_scheduler',
    stage.release(Point.SCHEDULER, 'pet')
    stage.wait_left('pet', events=UNSENT)
    yield 'start_scheduler',


def _no_host(stage: Stage) -> Play:
    stage.boot('pet')
    yield 'booted',
    yield 'close_host', 'host2'
    yield 'lose', 'host1'
    stage.evacuate('pet')


def _no_placement(stage: Stage) -> Play:
    stage.boot('pet')
    yield 'booted',
    yield 'lose', 'host1'
    yield 'placement_away', True
    stage.evacuate('pet')
    stage.wait_left('pet', vm_state='error')
    yield 'placement_away', False


def _delivered_when_it_returns(stage: Stage) -> Play:
    """F5: the queue outlives its consumer."""
    yield from _dies_at(Point.SEND)(stage)
    stage.wait_left('pet', events=SENT)
    yield 'back', 'host2'


def _database_away_after_spawn(times: int) -> Plan:
    def plan(stage: Stage) -> Play:
        yield from _held(Point.SPAWNED)(stage)
        stage.fail_writes('pet', times)
        stage.release(Point.SPAWNED, 'pet')
    return plan


def _destination_dies_when_done(stage: Stage) -> Play:
    yield from _evacuated()(stage)
    stage.wait_left('pet', events=WON)
    yield 'open_host', 'host3'
    yield 'lose', 'host2'
    stage.evacuate('pet')


def _all_return_when_done(stage: Stage) -> Play:
    yield from _destination_dies_when_done(stage)
    stage.wait_left('pet', events=WON + WON)
    yield 'back', 'host2'
    yield 'back', 'host1'


def _source_returns_first(stage: Stage) -> Play:
    stage.boot('pet')
    yield 'booted',
    yield 'lose', 'host1'
    yield 'back', 'host1'
    stage.evacuate('pet')


def _source_returns_to_accepted(stage: Stage) -> Play:
    yield from _evacuated(_lose(Message.TO_CONDUCTOR))(stage)
    yield 'back', 'host1'


def _order_waits_for_source(verb: str, events: Events, **boot: object
                            ) -> Plan:
    """Return a plan: it is in the queue of the dead host until that is
    back, and the instance elsewhere."""
    def plan(stage: Stage) -> Play:
        stage.boot('pet', **boot)
        yield 'booted',
        yield 'lose', 'host1'
        stage.order('pet', verb)
        stage.evacuate('pet')
        stage.wait_left('pet', events=events)
        yield 'back', 'host1'
    return plan


def _source_returns_during_rebuild(*faults: Fault) -> Plan:
    def plan(stage: Stage) -> Play:
        yield from _held(Point.PORTS, *faults)(stage)
        yield 'back', 'host1'
        stage.release(Point.PORTS, 'pet')
    return plan


def _source_is_alive(stage: Stage) -> Play:
    stage.boot('pet')
    yield 'booted',
    yield 'force_down', 'host1'
    stage.evacuate('pet')


def _late_cast(is_deleted: bool) -> Plan:
    """Return a plan: delivered when the instance lives on host3."""
    def plan(stage: Stage) -> Play:
        yield from _evacuated(lambda stage: stage.defer_message(
            Message.TO_DESTINATION, 'pet'))(stage)
        stage.wait_deferred('pet')
        stage.wait_left('pet', events=SENT)
        if is_deleted:
            stage.delete_record('pet')
        else:
            stage.close_record('pet')
        yield 'close_host', 'host2'
        yield 'open_host', 'host3'
        stage.evacuate('pet')
        stage.wait_left('pet', events=SENT + WON)
        stage.deliver('pet')
    return plan


def _late_request(stage: Stage) -> Play:
    """Conductor finds no record; the destination makes one that it does not
    finish."""
    yield from _evacuated(lambda stage: stage.defer_message(
        Message.TO_CONDUCTOR, 'pet'))(stage)
    stage.wait_deferred('pet')
    stage.delete_record('pet')
    stage.deliver('pet')


def _restarted_without_record(stage: Stage) -> Play:
    stage.boot('pet')
    yield 'booted',
    yield 'lose', 'host1'
    stage.claim('pet')
    yield 'back', 'host1'


def _stale_record(stage: Stage) -> Play:
    """F7"""
    yield from _evacuated(_lose(Message.TO_CONDUCTOR))(stage)
    stage.evacuate('pet')


def _second_epoch(stage: Stage) -> Play:
    """F2"""
    yield from _held(Point.SPAWN)(stage)
    stage.hold_no_more(Point.SPAWN, 'pet')
    yield 'close_host', 'host2'
    yield 'open_host', 'host3'
    stage.evacuate('pet')
    stage.wait_left('pet', events=BEGUN + WON)
    stage.release(Point.SPAWN, 'pet')


def _forced(stage: Stage) -> Play:
    stage.boot('pet')
    yield 'booted',
    yield 'lose', 'host1'
    stage.evacuate('pet', host='host3')


def _forced_with_leaked_room(stage: Stage) -> Play:
    yield from _evacuated(_lose(Message.TO_DESTINATION))(stage)
    stage.wait_left('pet', events=SENT)
    stage.close_record('pet')
    stage.evacuate('pet', host='host3')


def _group_is_broken_late(stage: Stage) -> Play:
    """The other one came to the destination while this one was on its way.
    """
    yield from _held(Point.SEND, group='apart')(stage)
    stage.boot('other', group='apart', host='host2')
    yield 'booted',
    stage.release(Point.SEND, 'pet')


def _replace(left: Left, **changes: object) -> Left:
    return dataclasses.replace(left, **changes)


WINDOWS = {
    'none': Window(_evacuated(), SUCCESS),
    'none_stopped': Window(_evacuated(is_stopped=True), _replace(
        SUCCESS, vm_state='stopped', running=(), power=4,
        events=STOPPED)),
    'none_forced': Window(_forced, _replace(
        SUCCESS, host='host3', records=(('done', 'host1', 'host3'),),
        room=('host1', 'host3'), running=('host3',))),
    'F2': Window(_second_epoch, _replace(
        SUCCESS, vm_state='error', host='host3', room=('host1', 'host3'),
        records=LOST + (('done', 'host1', 'host3'),),
        running=('host2', 'host3'), context=True,
        events=FAILED + WON)),
    'F7': Window(_stale_record, _replace(
        SUCCESS, records=DONE + ACCEPTED)),
    'W1': Window(_evacuated(_fail(Point.CALL)), Left()),
    'W2': Window(_evacuated(_fail(Point.CAST)), REQUESTED),
    'W3': Window(_evacuated(_lose(Message.TO_CONDUCTOR)), REQUESTED),
    'W3_killed': Window(_conductor_dies(Point.CONDUCTOR), REQUESTED),
    'W4': Window(_conductor_dies(Point.SCHEDULER), _replace(
        REQUESTED, room=BOTH, events=(('rebuild_server', None),))),
    'W4_with_scheduler': Window(
        _conductor_and_scheduler_die, _replace(
            REQUESTED, events=(('rebuild_server', None),))),
    'W5': Window(_scheduler_dies, _replace(REQUESTED, events=UNSENT)),
    'W5_call_lost': Window(_evacuated(_lose(Message.TO_SCHEDULER)), _replace(
        REQUESTED, events=UNSENT)),
    'W5_scheduler_fails': Window(_evacuated(_fail(Point.SCHEDULER)), _replace(
        REQUESTED, events=UNSENT)),
    'W5_neutron': Window(_evacuated(_fail(Point.SCHEDULE)), _replace(
        REQUESTED, events=UNSENT)),
    'W6': Window(_no_host, Left(
        vm_state='error', records=(('error', 'host1', None),),
        events=UNSENT)),
    'W6_placement': Window(_no_placement, Left(
        vm_state='error', records=(('error', 'host1', None),),
        events=UNSENT)),
    'W6_forced': Window(_forced_with_leaked_room, _replace(
        ON_ITS_WAY, task_state=None, records=(('error', 'host1', None),
                             ('error', 'host1', 'host3')),
        events=SENT + UNSENT)),
    'W6b': Window(_evacuated(_fail(Point.ROOM)), _replace(
        REQUESTED, events=UNSENT)),
    'W7': Window(_evacuated(_lose(Message.TO_DESTINATION)), ON_ITS_WAY),
    'W7_dead': Window(_dies_at(Point.SEND), ON_ITS_WAY),
    'W7_returns': Window(_delivered_when_it_returns, SUCCESS),
    'W8_claim': Window(_dies_at(Point.CLAIM), _replace(
        ON_ITS_WAY, events=BEGUN)),
    'W8': Window(_dies_at(Point.PORTS), _replace(
        SPAWNING, task_state='rebuilding')),
    'W9': Window(_dies_at(Point.SPAWN), SPAWNING),
    'W9_spawned': Window(_dies_at(Point.SPAWNED), SPAWNING),
    'W9_alone': Window(_dies_at(Point.SPAWNED, deed='silence'), _replace(
        SPAWNING, running=('host2',))),
    'W10': Window(_dies_at(Point.FINISH), _replace(
        SPAWNING, task_state=None, power=1, relaunched=True)),
    'W10_alone': Window(_dies_at(Point.FINISH, deed='silence'), _replace(
        SPAWNING, task_state=None, power=1, relaunched=True,
        running=('host2',))),
    'W10b': Window(_dies_at(Point.POWER_OFF, is_stopped=True), _replace(
        SPAWNING, task_state='powering-off', power=1, relaunched=True,
        events=BEGUN + ((STOP, None),))),
    'W11': Window(_database_away_after_spawn(100), _replace(
        SPAWNING, running=('host2',))),
    'W11_returns': Window(_database_away_after_spawn(3), _replace(
        SPAWNING, vm_state='error', task_state=None, events=FAILED, power=1,
        running=('host2',), relaunched=True)),
    'W12': Window(_evacuated(_fail(Point.CLAIM, is_clean=True)), Left(
        records=(('failed', 'host1', None),), events=FAILED)),
    'W12_stopped': Window(
        _evacuated(_fail(Point.CLAIM, is_clean=True), is_stopped=True), Left(
            vm_state='stopped', records=(('failed', 'host1', None),),
            events=FAILED, power=4)),
    'W13_claim': Window(_evacuated(_fail(Point.CLAIM)), _replace(
        BROKEN, records=(('failed', 'host1', None),), power=1,
        context=False)),
    'W13_group': Window(_group_is_broken_late, _replace(BROKEN, power=1)),
    'W13_image': Window(_evacuated(_fail(Point.IMAGE)), _replace(
        BROKEN, power=1)),
    'W13_ports': Window(_evacuated(_fail(Point.PORTS)), BROKEN),
    'W13_volumes': Window(_evacuated(_fail(Point.VOLUMES), is_bfv=True),
                          BROKEN),
    'W13': Window(_evacuated(_fail(Point.SPAWN)), BROKEN),
    'W13_stopped': Window(
        _evacuated(_fail(Point.SPAWN), is_stopped=True), BROKEN),
    'W14': Window(_evacuated(_fail(Point.SPAWNED)), _replace(
        BROKEN, running=('host2',))),
    'W14_finish': Window(_evacuated(_fail(Point.FINISH)), _replace(
        SUCCESS, vm_state='error', host='host1', records=CLAIMED,
        events=FAILED, context=True)),
    'W14_stop': Window(
        _evacuated(_fail(Point.POWER_OFF), is_stopped=True), _replace(
            BROKEN, running=('host2',), power=1, relaunched=True,
            events=FAILED + ((STOP, 'Error'),))),
    'W15': Window(_destination_dies_when_done, _replace(
        SUCCESS, host='host3', records=DONE + (('done', 'host2', 'host3'),),
        room=('host1', 'host2', 'host3'), running=('host3',),
        events=WON + WON)),
    'W15_all_return': Window(_all_return_when_done, _replace(
        SUCCESS, host='host3', records=(
            ('completed', 'host1', 'host2'), ('completed', 'host2', 'host3')),
        room=('host3',), running=('host3',), events=WON + WON)),
    'W16': Window(_source_returns_first, _replace(
        SUCCESS, running=BOTH)),
    'W17': Window(_source_returns_to_accepted, _replace(
        REQUESTED, records=(('completed', 'host1', None),), room=())),
    'W18': Window(_source_returns_during_rebuild(), _replace(
        SUCCESS, room=('host2',))),
    'W19': Window(_source_returns_during_rebuild(_fail(Point.SPAWN)), _replace(
        BROKEN, room=())),
    'W20': Window(_source_is_alive, _replace(SUCCESS, running=BOTH)),
    'W21': Window(_late_cast(is_deleted=False), _replace(
        BROKEN, task_state='rebuilding', host='host3',
        records=LOST + (('done', 'host1', 'host3'),),
        room=('host1', 'host3'), running=('host3',), events=FAILED + WON,
        relaunched=True)),
    'W21_deleted': Window(_late_cast(is_deleted=True), _replace(
        BROKEN, host='host3', records=(('done', 'host1', 'host3'),),
        room=('host1', 'host2', 'host3'), running=('host3',),
        events=FAILED + WON, power=1, context=False, relaunched=True)),
    'W21_request': Window(_late_request, _replace(
        SUCCESS, records=CLAIMED)),
    'late_reboot': Window(_order_waits_for_source('reboot', WON), _replace(
        SUCCESS, records=CLEANED, room=('host2',))),
    'late_start': Window(
        _order_waits_for_source('start', STOPPED, is_stopped=True), _replace(
            SUCCESS, vm_state='stopped', records=CLEANED, room=('host2',),
            running=('host1',), power=4, events=STOPPED)),
    'W22': Window(_restarted_without_record, Left(
        vm_state='error', power=4)),
}
"""W23 is no state of an instance: OUTAGES."""

OUTAGES = {
    'W23_database': lambda stage, is_away: [
        stage.cell_away(host, is_away) for host in stage_module.HOSTS],
    'W23_conductor': lambda stage, is_away: stage.stop_conductor(is_away)}
"""What every host needs goes away, and comes back."""
WITH_PROCESSES = frozenset({'W23_conductor'})
"""Not for a real Nova in one process: there nova-compute writes its rows by
itself, and asks no conductor for it. See tests/lab."""


@dataclasses.dataclass(frozen=True)
class Outage:
    """What an outage does to all hosts and to an instance on one."""

    stood_still: frozenset[str]
    """Hosts whose heartbeat did not move meanwhile."""
    went_on: frozenset[str]
    """And afterwards did."""
    left: Left


OUTAGE = Outage(frozenset(stage_module.HOSTS), frozenset(stage_module.HOSTS),
                Left(running=('host1',)))
"""In all of them: every host looks dead, and none is."""


def play_outage(name: str, stage: Stage) -> Outage:
    stage.boot('pet')
    stage.booted()
    OUTAGES[name](stage, True)
    # What is on its way yet arrives.
    stage.wait_beats()
    before = stage.beats()
    stage.wait_beats()
    meanwhile = stage.beats()
    OUTAGES[name](stage, False)
    stage.wait_beats()
    after = stage.beats()
    return Outage(
        frozenset(host for host in before if before[host] == meanwhile[host]),
        frozenset(host for host in before if after[host] > meanwhile[host]),
        stage.left('pet'))
