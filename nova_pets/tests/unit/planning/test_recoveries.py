# SPDX-License-Identifier: Apache-2.0
"""One recovery's way, the limits and the order of many."""

import dataclasses
import random

import pytest

from nova_pets.compute import base as _  # noqa: F401  the door's contract
from nova_pets.model import actions
from nova_pets.model import states
from nova_pets.planning import planner
from nova_pets.planning import recoveries
from nova_pets.planning import watching
from nova_pets.tests.unit.planning import samples
from nova_pets.tests.unit.planning import test_hosts

H = states.HostState
R = states.RecoveryState
C = states.ControlKind
OPEN = samples.attempt()


def plan(view, source=H.FENCED, destination=H.UP, policy=samples.POLICY,
         **snap):
    snapped = samples.snap(
        samples.host_view(state=source),
        samples.host_view('host2', state=destination),
        recoveries=(view,), **snap)
    return recoveries.plan_recovery(view, snapped, policy)


def told(*args, **kwargs):
    return test_hosts.told(plan(*args, **kwargs))


def flying(state, *migrations, events=(), attempt=OPEN, state_s=1.0,
           **instance):
    values = {'task_state': 'rebuilding'}
    values.update(instance)
    return samples.recovery_view(
        state, (attempt,) if attempt else (),
        samples.trace(*migrations, events=events, **values),
        state_s=state_s)


@pytest.mark.parametrize('state', [R.PENDING, R.READY, R.WAITING,
                                   R.NEEDS_OPERATOR])
@pytest.mark.parametrize('instance', [
    {'deleted': True}, {'vm_state': 'soft-delete'},
    {'task_state': 'deleting'}, {'task_state': 'soft-deleting'}])
def test_what_is_deleted_is_abandoned(state, instance):
    view = samples.recovery_view(state, found=samples.trace(**instance))
    assert told(view) == ['MoveRecovery abandon']


@pytest.mark.parametrize('state', [R.PENDING, R.READY, R.WAITING,
                                   R.NEEDS_OPERATOR])
def test_what_is_untagged_is_abandoned(state):
    assert told(samples.recovery_view(state, is_tagged=False)) == [
        'MoveRecovery abandon']


@pytest.mark.parametrize('state', [R.SCHEDULING, R.BUILDING])
def test_an_attempt_in_flight_is_not_cut_off_by_untagging(state):
    view = dataclasses.replace(flying(state), is_tagged=False)
    assert told(view) == []


@pytest.mark.parametrize('source, expected', [
    (H.FENCED, ['MoveRecovery source_proven']),
    (H.UP, ['MoveRecovery source_returned']),
    (H.DOWN, ['Hold source_down']), (H.UNPROVEN, ['Hold source_down']),
    (H.QUARANTINED, ['Hold source_down']),
])
def test_pending_follows_its_host(source, expected):
    assert told(samples.recovery_view(R.PENDING), source=source) == expected


@pytest.mark.parametrize('state', [R.READY, R.WAITING])
@pytest.mark.parametrize('source', [
    H.UP, H.SUSPECT, H.DOWN, H.FENCING, H.QUARANTINED, H.UNPROVEN,
    H.RETURNING])
def test_a_lost_proof_takes_the_readiness_along(state, source):
    view = samples.recovery_view(state, row={'wait_s': 99.0})
    assert told(view, source=source) == ['MoveRecovery source_unproven']


@pytest.mark.parametrize('record, counts', [
    (samples.migration(), True),
    (samples.migration(status='pre-migrating', destination='host2'), True),
    (samples.migration(status='failed', destination='host2',
                       created_at=None), True),
    (samples.migration(status='failed', destination=None), False),
    (samples.migration(status='done', destination='host2'), True),
    (samples.migration(status='done', destination=None), False),
    (samples.migration(status='completed', destination='host2'), True),
    (samples.migration(status='completed', destination=None), False),
    (samples.migration(status='cancelled', destination='host2'), False),
    (samples.migration(source='host9'), True),
    (samples.migration(source='host9', status='pre-migrating',
                       destination='host2'), False),
])
def test_the_past_is_settled_first(record, counts):
    view = samples.recovery_view(found=samples.trace(record))
    assert (told(view) == ['RecordForeign']) is counts


def test_a_failure_from_before_the_last_launch_is_no_news():
    record = samples.migration(
        status='failed', destination='host2',
        created_at=samples.NOON.replace(hour=8))
    view = samples.recovery_view(found=samples.trace(record))
    assert told(view) == []


def test_a_record_that_an_attempt_explains_is_no_news():
    view = samples.recovery_view(
        attempts=(samples.attempt(migration_id=5,
                                  outcome=states.Outcome.FAILED),),
        found=samples.trace(samples.migration(status='failed',
                                              destination='host2')))
    assert told(view) == []


def test_an_open_attempt_is_settled_before_the_next():
    view = samples.recovery_view(attempts=(OPEN,))
    assert told(view) == ['MoveRecovery unsettled']


SUCCESS = samples.event('rebuild_server', 'cond', 'Success')
ERROR = samples.event('rebuild_server', 'cond', 'Error')
AT_WORK = samples.event('rebuild_server', 'cond')
COMPUTE = samples.event('compute_rebuild_instance', 'host2')
COMPUTE_ERROR = samples.event('compute_rebuild_instance', 'host2', 'Error')


@pytest.mark.parametrize('view, expected', [
    (flying(R.SCHEDULING), []),
    (flying(R.SCHEDULING, samples.migration(), events=(AT_WORK,)), []),
    (flying(R.SCHEDULING, events=(AT_WORK, COMPUTE)),
     ['MoveRecovery destination_known']),
    (flying(R.SCHEDULING, samples.migration(
        status='pre-migrating', destination='host2')),
     ['MoveRecovery destination_known']),
    (flying(R.SCHEDULING, events=(SUCCESS,)), []),
    (flying(R.SCHEDULING, events=(SUCCESS,), state_s=6),
     ['LocateDestination']),
    (flying(R.SCHEDULING, events=(ERROR,)), ['MoveRecovery failed']),
    (flying(R.SCHEDULING, samples.migration(status='error')),
     ['MoveRecovery failed']),
    (flying(R.SCHEDULING, state_s=181), ['MoveRecovery failed']),
    (flying(R.SCHEDULING, host='host2', task_state=None),
     ['MoveRecovery arrived']),
    (flying(R.SCHEDULING, host='host2', task_state='rebuild_spawning'),
     ['MoveRecovery arrived']),
    (flying(R.BUILDING, samples.migration(
        status='pre-migrating', destination='host2'), events=(COMPUTE,),
        attempt=samples.attempt(destination='host2')), []),
    (flying(R.BUILDING, events=(COMPUTE_ERROR,)), ['MoveRecovery failed']),
    (flying(R.BUILDING, samples.migration(
        status='failed', destination='host2')), ['MoveRecovery failed']),
    (flying(R.BUILDING, samples.migration(), state_s=181,
            attempt=samples.attempt(destination='host2')),
     ['MoveRecovery failed']),
    (flying(R.BUILDING, samples.migration(
        status='pre-migrating', destination='host2'), events=(COMPUTE,),
        state_s=901, attempt=samples.attempt(destination='host2')),
     ['MoveRecovery failed']),
    (flying(R.BUILDING, deleted=True), ['MoveRecovery failed']),
    (flying(R.REQUESTING), ['MoveRecovery uncertain']),
    (flying(R.SETTLING), ['SettleAttempt']),
])
def test_watching_an_attempt(view, expected):
    assert told(view) == expected


@pytest.mark.parametrize('record, reason', [
    (samples.migration(status='error'), 'no_valid_host'),
    (samples.migration(status='failed'), 'destination_failed'),
    (samples.migration(status='failed', destination='host2'),
     'destination_failed'),
    (samples.migration(status='error', destination='host2'),
     'destination_failed'),
])
def test_who_failed_is_told_by_the_record(record, reason):
    move, = plan(flying(R.SCHEDULING, record))
    assert (move.event, move.reason) == ('failed', reason)


def test_a_record_of_an_earlier_attempt_is_not_taken_for_ours():
    stale = samples.migration(id=4, status='error')
    assert told(flying(R.SCHEDULING, stale)) == []


def test_a_silent_conductor_loses_its_work_at_once():
    view = flying(R.SCHEDULING, events=(AT_WORK,))
    assert told(view, conductors_silent=frozenset({'cond'})) == [
        'MoveRecovery failed']


@pytest.mark.parametrize('state', sorted(watching.DEAD_DESTINATION))
def test_a_dead_destination_ends_building_and_rebases_verifying(state):
    view = flying(R.BUILDING, attempt=samples.attempt(destination='host2'))
    planned = plan(view, destination=state)
    assert test_hosts.told(planned) == ['MoveRecovery failed']
    assert planned[0].attempt_changes['gate'] is states.Gate.CLOSED
    view = samples.recovery_view(R.VERIFYING, row={'destination': 'host2'})
    planned = plan(view, destination=state)
    assert test_hosts.told(planned) == ['MoveRecovery rebase']
    assert planned[0].changes['source'] == 'host2'


@pytest.mark.parametrize('state', sorted(states.IN_FLIGHT))
def test_abandoning_waits_for_an_attempt_in_flight(state):
    order = samples.control(C.ABANDON, 'instance', 'i1')
    planned = told(flying(state), controls=(order,))
    assert 'MoveRecovery abandon' not in planned


@pytest.mark.parametrize('state, event', [
    (R.NEEDS_OPERATOR, 'retry'), (R.WAITING, 'due')])
def test_retry_by_a_person(state, event):
    order = samples.control(C.RETRY, 'instance', 'i1')
    view = samples.recovery_view(state, row={'wait_s': 99.0})
    planned = plan(view, controls=(order,))
    assert test_hosts.told(planned) == [f'MoveRecovery {event}',
                                        'EndControl']
    assert planned[0].changes == {'urgent': True}


def ready(number, **row):
    values = {'id': number, 'instance_uuid': f'i{number}'}
    values.update(row)
    return samples.recovery_view(R.READY, row=values)


def begun(views, policy=samples.POLICY, **snap):
    snapped = samples.snap(samples.host_view(state=H.FENCED),
                           recoveries=tuple(views), **snap)
    return [action.recovery_id for action
            in planner.plan(snapped, policy).actions
            if isinstance(action, actions.BeginAttempt)]


def test_priority_first_then_the_oldest_and_never_above_the_limit():
    views = [ready(1), ready(2, priority=900), ready(3),
             ready(4, urgent=True, priority=1)]
    random.Random(1).shuffle(views)
    policy = samples.policy_with(parallel_per_host=3)
    assert begun(views, policy) == [4, 2, 1]
    busy = flying(R.BUILDING)
    assert begun([*views, busy], policy) == [4, 2]
    assert begun(views, samples.policy_with(parallel=1)) == [4]


def test_what_no_destination_has_yet_is_limited_by_itself():
    views = [ready(number) for number in range(20, 24)]
    policy = samples.policy_with(parallel_requests=3)
    assert begun(views, policy) == [20, 21, 22]
    for state in (R.REQUESTING, R.SCHEDULING):
        assert begun([*views, flying(state)], policy) == [20, 21]
    for state in (R.BUILDING, R.VERIFYING):
        assert begun([*views, flying(state)], policy) == [20, 21, 22]


@pytest.mark.parametrize('snap', [
    {'is_sane': False},
    {'controls': (samples.control(C.PAUSE, 'all', ''),)},
])
def test_nothing_begins(snap):
    assert begun([ready(1)], **snap) == []


def test_a_host_that_another_engine_drives_is_left_to_it():
    view = samples.host_view(state=H.FENCED, row={'owner': 'peer'})
    snapped = samples.snap(view, recoveries=(ready(1),))
    assert planner.plan(snapped, samples.POLICY).actions == ()
    gone = samples.host_view(state=H.FENCED, row={'owner': 'deposed'})
    snapped = samples.snap(gone, recoveries=(ready(1),))
    assert planner.plan(snapped, samples.POLICY).actions != ()


@pytest.mark.parametrize('instance, reason', [
    ({'task_state': 'migrating'}, 'migrating'),
    ({'task_state': 'resize_finish'}, 'resizing'),
    ({'task_state': 'never heard of'}, 'task_elsewhere'),
    ({'vm_state': 'suspended'}, 'suspended'),
    ({'vm_state': 'resized'}, 'resized'),
    ({'vm_state': 'never heard of'}, 'not_evacuable'),
    ({'vm_state': 'shelved'}, 'shelved'),
])
def test_what_needs_a_person(instance, reason):
    view = samples.recovery_view(found=samples.trace(**instance))
    planned = recoveries.begin(view)
    assert (planned[0].event, planned[0].reason) == ('needs_operator',
                                                     reason)
    assert str(next(iter(instance.values()))) in planned[0].detail


@pytest.mark.parametrize('attempts, vm_state, task, row, desired', [
    (0, 'stopped', None, 'running', 'stopped'),
    (0, 'paused', None, 'running', 'stopped'),
    (0, 'active', 'pausing', 'running', 'stopped'),
    (0, 'paused', 'unpausing', 'stopped', 'running'),
    (0, 'active', None, 'stopped', 'stopped'),
    (1, 'stopped', None, 'running', 'running'),
    (1, 'active', 'powering-off', 'running', 'stopped')])
def test_power_before_an_attempt(attempts, vm_state, task, row, desired):
    """Before the first attempt vm_state is the owner's word; afterwards
    Nova's own attempts may have written it."""
    view = samples.recovery_view(
        found=samples.trace(vm_state=vm_state, task_state=task),
        row={'attempts': attempts,
             'desired_power': states.DesiredPower(row)})
    planned, = recoveries.begin(view)
    assert planned.desired_power == desired


@pytest.mark.parametrize('instance, row, expected', [
    ({}, {}, ''),
    ({'vm_state': 'error'}, {}, 'nova says error, None'),
    ({'vm_state': 'stopped'}, {'original_vm_state': 'stopped',
                               'desired_power': states.DesiredPower.STOPPED},
     ''),
    ({'task_state': 'powering-off'}, {},
     'nova says active, powering-off; to be stopped'),
    ({'vm_state': 'stopped', 'task_state': 'powering-on'},
     {'original_vm_state': 'stopped',
      'desired_power': states.DesiredPower.STOPPED},
     'nova says stopped, powering-on; to be running')])
def test_the_history_tells_what_people_made_of_it(instance, row, expected):
    view = samples.recovery_view(found=samples.trace(**instance), row=row)
    (planned,) = recoveries.begin(view)
    assert planned.detail == expected


def test_the_same_snapshot_gives_the_same_plan():
    views = [ready(number, priority=number % 3) for number in range(20)]
    plans = []
    for seed in range(3):
        random.Random(seed).shuffle(views)
        plans.append(planner.plan(samples.snap(
            samples.host_view(state=H.FENCED),
            recoveries=tuple(views)), samples.POLICY))
    assert plans[0] == plans[1] == plans[2]
