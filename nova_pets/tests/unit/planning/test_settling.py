# SPDX-License-Identifier: Apache-2.0
"""What is left of an attempt: one safe step at a time, or a wait."""

import dataclasses

import pytest

from nova_pets.model import states
from nova_pets.planning import settling
from nova_pets.planning import verifying
from nova_pets.tests.unit.planning import samples

H = states.HostState
G = states.GuestAnswer
OPEN = samples.attempt(migration_id=5, destination='host2')
ERROR = samples.event('compute_rebuild_instance', 'host2', 'Error')
RUNNING = samples.event('compute_rebuild_instance', 'host2')
CONDUCTOR_ERROR = samples.event('rebuild_server', 'cond', 'Error')
REBUILDING = {'task_state': 'rebuilding'}
NOWHERE = dataclasses.replace(OPEN, destination=None)
SPAWNING = {'task_state': 'rebuild_spawning'}


def step(*migrations, attempt=OPEN, events=(), destination=H.UP, found=None,
         recovery=None, state_s=1.0, silent=(), **instance):
    trace = samples.trace(*migrations, events=events, **instance)
    findings = settling.Findings(trace, **(found or {}))
    snap = samples.snap(
        samples.host_view(state=H.FENCED),
        samples.host_view('host2', state=destination),
        conductors_silent=frozenset(silent))
    return settling.next_step(
        samples.recovery(states.RecoveryState.SETTLING, **(recovery or {})),
        (attempt,) if attempt else (), findings, snap, samples.POLICY,
        state_s)


def moving(status='pre-migrating', **values):
    return samples.migration(status=status, destination='host2', **values)


def test_an_unclaimed_record_of_ours_is_deleted_first():
    found = step(samples.migration(), **REBUILDING)
    assert found == settling.DeleteAccepted(5)


@pytest.mark.parametrize('state, silent_s, deleted', [
    (H.FENCED, 60.0, True), (H.VACATED, 60.0, True),
    (H.QUARANTINED, 60.0, False), (H.RETURNING, 60.0, False),
    (H.DOWN, 60.0, False), (H.QUARANTINED, 1.0, True), (H.UP, 1.0, True)])
def test_no_record_vanishes_while_its_source_may_start(state, silent_s,
                                                       deleted):
    """nova-compute reads the open ones at its start, and fails over one that
    is gone when it wants to close it; its heartbeat begins afterwards."""
    snap = samples.snap(samples.host_view(state=state, silent_s=silent_s))
    found = settling.next_step(
        samples.recovery(states.RecoveryState.SETTLING), (OPEN,),
        settling.Findings(samples.trace(samples.migration(), **REBUILDING)),
        snap, samples.POLICY, 1.0)
    assert isinstance(found, settling.DeleteAccepted) is deleted
    assert deleted or found.reason == 'source_starting'


FOREIGN = dataclasses.replace(OPEN, kind=states.AttemptKind.FOREIGN,
                              destination=None)


@pytest.mark.parametrize('values, expected', [
    ({}, settling.Wait('foreign_evacuation', 'migration 5 is accepted')),
    ({'events': (CONDUCTOR_ERROR,)}, settling.DeleteAccepted(5)),
    ({'events': (samples.event('rebuild_server', 'cond'),)},
     settling.Wait('foreign_evacuation', 'migration 5 is accepted')),
    ({'events': (samples.event('rebuild_server', 'cond'),),
      'silent': ('cond',)}, settling.DeleteAccepted(5)),
    ({'state_s': 999}, settling.DeleteAccepted(5)),
])
def test_somebody_elses_request_gets_its_time(values, expected):
    assert step(samples.migration(), attempt=FOREIGN, **REBUILDING,
                **values) == expected


@pytest.mark.parametrize('destination', [
    H.SUSPECT, H.DOWN, H.FENCING, H.UNPROVEN, H.QUARANTINED, H.RETURNING])
@pytest.mark.parametrize('status', ['pre-migrating', 'failed', 'error'])
def test_a_destination_that_is_not_proven_off_is_waited_for(destination,
                                                            status):
    found = step(moving(status), destination=destination, events=(ERROR,),
                 **SPAWNING)
    assert isinstance(found, settling.Wait)
    assert found.reason == 'destination_down'


def test_a_dead_destination_step_by_step():
    """Row, record, tombstone, allocations, state; then the next attempt."""
    assert step(moving(), destination=H.FENCED, **SPAWNING) == \
        settling.Restore({'host': 'host1', 'vm_state': 'active',
                          'task_state': 'rebuild_spawning'},
                         {'task_state': None})
    assert step(moving(), destination=H.FENCED) == settling.CloseMigration(
        5, ('pre-migrating',), 'error')
    assert step(moving('error'), destination=H.FENCED) == \
        settling.Tombstone('host2')
    buried = {'tombstoned': frozenset({'host2'})}
    assert step(moving('error'), destination=H.FENCED, found=buried) == \
        settling.ReadAllocations()
    buried['allocations'] = frozenset({'host1', 'host2'})
    assert step(moving('error'), destination=H.FENCED, found=buried) == \
        settling.RemoveAllocations('host2')
    buried['allocations'] = frozenset({'host1'})
    found = step(moving('error'), destination=H.FENCED, found=buried,
                 vm_state='error')
    assert found.values == {'vm_state': 'active'}
    found = step(moving('error'), destination=H.FENCED, found=buried)
    assert (found.event, found.excluded) == ('clean', ('host2',))
    assert found.outcome is states.Outcome.FAILED


@pytest.mark.parametrize('status', ['pre-migrating', 'failed', 'error'])
@pytest.mark.parametrize('answer', [None, G.NOT_RUNNING, G.RUNNING])
def test_a_living_destination_at_work_is_never_released(status, answer):
    guests = {'host2': answer} if answer else {}
    found = step(moving(status), events=(RUNNING,), found={'guests': guests},
                 state_s=800, **SPAWNING)
    assert found == settling.Wait('destination_building', 'on host2')


@pytest.mark.parametrize('late', [
    {'state_s': 901},
    {'attempt': dataclasses.replace(OPEN, reason='building_slow')}],
    ids=['in settling', 'in building'])
def test_a_living_destination_at_work_for_too_long_is_asked(late):
    def told(answer):
        guests = {'host2': answer} if answer else {}
        return step(moving(), events=(RUNNING,), found={'guests': guests},
                    **late, **SPAWNING)

    assert told(None) == settling.Probe('host2')
    assert told(G.RUNNING).destination == 'host2'
    assert isinstance(told(G.RUNNING), settling.Adopt)
    for answer in (G.NOT_RUNNING, G.UNREACHABLE):
        found = told(answer)
        assert (found.event, found.reason) == (
            'needs_operator', 'building_slow')


def test_a_person_may_say_that_its_work_is_lost():
    guests = {'guests': {'host2': G.NOT_RUNNING}}
    found = step(moving(), events=(RUNNING,), found=guests,
                 attempt=dataclasses.replace(OPEN, reason='said_to_be_over'),
                 **SPAWNING)
    assert found == settling.CloseMigration(5, ('pre-migrating',), 'error')


@pytest.mark.parametrize('status', ['pre-migrating', 'failed', 'error'])
def test_a_finished_living_destination_is_asked(status):
    assert step(moving(status), events=(ERROR,), **SPAWNING) == \
        settling.Probe('host2')


def test_no_answer_is_no_absence():
    found = step(moving('failed'), events=(ERROR,),
                 found={'guests': {'host2': G.UNREACHABLE}})
    assert found == settling.Wait('probe_unreachable', 'on host2')


@pytest.mark.parametrize('status', ['pre-migrating', 'failed', 'error'])
def test_a_guest_that_is_found_is_adopted(status):
    found = step(moving(status), events=(ERROR,), **SPAWNING,
                 found={'guests': {'host2': G.RUNNING}})
    assert isinstance(found, settling.Adopt)
    assert (found.migration_id, found.destination) == (5, 'host2')
    assert found.expected == {'host': 'host1', 'vm_state': 'active',
                              'task_state': 'rebuild_spawning'}


def test_a_record_without_event_and_open_is_waited_for():
    assert step(moving(), attempt=FOREIGN) == settling.Wait(
        'destination_building', 'on host2')


def test_a_failed_record_without_event_is_asked_about():
    assert step(moving('failed'), attempt=FOREIGN) == \
        settling.Probe('host2')


def test_the_state_from_before_is_restored_after_no_valid_host():
    """W6 writes ERROR over STOPPED."""
    found = step(samples.migration(status='error'), vm_state='error',
                 attempt=NOWHERE, recovery={'original_vm_state': 'stopped'},
                 found={'allocations': frozenset({'host1'})})
    assert found.values == {'vm_state': 'stopped'}


@pytest.mark.parametrize('instance, event', [
    ({'deleted': True}, 'abandon'),
    ({'vm_state': 'soft-delete'}, 'abandon'),
    ({'host': 'host2'}, 'arrived'),
])
def test_ends_that_need_no_clean_up(instance, event):
    assert step(moving(), **instance).event == event


@pytest.mark.parametrize('events, expected', [
    ((CONDUCTOR_ERROR,), settling.Restore),
    ((CONDUCTOR_ERROR, RUNNING), settling.Wait),
    ((samples.event('rebuild_server', 'cond'),), settling.Wait),
    ((), settling.Wait)])
def test_what_a_refused_request_left_is_cleaned_where_it_arrived(
        events, expected):
    """Seed 2456 of 2026-11-21: a person's evacuation was asked for before it
    arrived and refused after that; it was 'rebuilding' for ever."""
    assert step(moving('done'), host='host2', **REBUILDING).event == 'arrived'
    trace = samples.trace(events=events, host='host2', **REBUILDING)
    found = verifying.next_step(
        samples.recovery(states.RecoveryState.VERIFYING),
        settling.Findings(trace), samples.snap(), samples.POLICY, 1.0)
    assert isinstance(found, expected)


def verify(found=None, state_s=60.0, recovery=None, migrations=(),
           policy=samples.POLICY, **instance):
    values = {'host': 'host2'}
    values.update(instance)
    findings = settling.Findings(samples.trace(*migrations, **values),
                                 **(found or {}))
    row = samples.recovery(states.RecoveryState.VERIFYING,
                           destination='host2', **(recovery or {}))
    return verifying.next_step(row, findings, samples.snap(), policy,
                               state_s)


CLEAN = {'allocations': frozenset({'host1', 'host2'})}
STOPPED = {'original_vm_state': 'stopped',
           'desired_power': states.DesiredPower.STOPPED}


@pytest.mark.parametrize('values, expected', [
    ({'found': CLEAN}, 'verified'),
    ({'found': CLEAN, 'state_s': 1.0},
     settling.Wait('arrived', 'on host2', again_s=4.0)),
    ({}, settling.ReadAllocations()),
    ({'found': {'allocations': frozenset({'host1', 'host2', 'host3'})}},
     settling.RemoveAllocations('host3')),
    ({'host': 'host1'}, 'left_again'),
    ({'deleted': True}, 'abandon'),
    ({'migrations': (samples.migration(),)}, settling.DeleteAccepted(5)),
    ({'task_state': 'powering-off'},
     settling.Wait('arrived', 'task_state powering-off')),
    ({'recovery': STOPPED},
     settling.ChangePower(states.DesiredPower.STOPPED)),
    ({'recovery': STOPPED, 'vm_state': 'stopped', 'found': CLEAN},
     'verified'),
    ({'recovery': {'original_vm_state': 'stopped'}, 'vm_state': 'stopped'},
     settling.ChangePower(states.DesiredPower.RUNNING)),
    ({'vm_state': 'stopped', 'found': CLEAN}, 'verified'),
    ({'vm_state': 'error'}, settling.Probe('host2')),
    ({'vm_state': 'error', 'found': {'guests': {'host2': G.RUNNING}}},
     settling.Restore({'host': 'host2', 'vm_state': 'error',
                       'task_state': None}, {'vm_state': 'active'})),
    ({'vm_state': 'error', 'state_s': 999,
      'found': {'guests': {'host2': G.NOT_RUNNING}}}, 'needs_operator'),
])
def test_verifying(values, expected):
    found = verify(**values)
    if isinstance(expected, str):
        assert found.event == expected
    else:
        assert found == expected


def test_a_long_watch_is_looked_at_now_and_then():
    found = verify(found=CLEAN, state_s=1.0,
                   policy=samples.policy_with(verify_watch_s=60.0))
    assert found.again_s == verifying.WATCH_EVERY_S
    assert verify(task_state='powering-off').again_s == 1.0


@pytest.mark.parametrize('task', ['powering-off', 'powering-on'])
def test_an_order_to_stop_or_start_that_was_lost_is_given_again(task):
    def told(task_s):
        trace = samples.trace(host='host2', task_state=task)
        return verifying.next_step(
            samples.recovery(states.RecoveryState.VERIFYING),
            settling.Findings(trace), samples.snap(), samples.POLICY, 500.0,
            task_s)

    assert isinstance(told(10.0), settling.Wait)
    assert told(samples.POLICY.scheduling_timeout_s).values == {
        'task_state': None}


ROOM = {'allocations': frozenset({'host1', 'host2'})}


@pytest.mark.parametrize('destination, found, expected', [
    (H.UP, {}, settling.Probe('host2')),
    (H.UP, {'guests': {'host2': G.NOT_RUNNING}},
     settling.RemoveAllocations('host2')),
    (H.UP, {'guests': {'host2': G.UNREACHABLE}},
     settling.Wait('probe_unreachable', 'on host2')),
    (H.DOWN, {}, settling.Wait('destination_down', 'host2 is down',
                               'host2')),
    (H.FENCED, {}, settling.Tombstone('host2')),
    (H.FENCED, {'tombstoned': frozenset({'host2'})},
     settling.RemoveAllocations('host2')),
])
def test_room_on_a_host_that_no_record_names(destination, found, expected):
    """Seed 1024 of 2026-11-21: a person's forced evacuation and ours used
    one record (F7), and only the room named the host of the guest."""
    assert step(attempt=NOWHERE, destination=destination,
                found={**ROOM, **found}) == expected


def test_a_guest_found_by_its_room_is_adopted():
    found = step(found={**ROOM, 'guests': {'host2': G.RUNNING}})
    assert isinstance(found, settling.Adopt)
    assert found.destination == 'host2'


def test_somebody_elses_work_is_waited_for_and_asked():
    foreign = {'req-2': (RUNNING,)}

    def told(events, **found):
        trace = dataclasses.replace(
            samples.trace(), actions=('req-1', 'req-2'), events=events)
        return settling.next_step(
            samples.recovery(states.RecoveryState.SETTLING), (OPEN,),
            settling.Findings(trace, frozenset({'host1'}), **found),
            samples.snap(samples.host_view(state=H.FENCED),
                         samples.host_view('host2')),
            samples.POLICY, 1.0)

    assert told(foreign) == settling.Wait('destination_building', 'on host2')
    ended = {'req-2': (ERROR,)}
    assert told(ended) == settling.Probe('host2')
    assert isinstance(told(ended, guests={'host2': G.NOT_RUNNING}),
                      settling.Finish)


def test_a_tombstone_of_its_present_home_is_withdrawn():
    trace = samples.trace(samples.migration(status='done', source='host2'),
                          host='host2')
    found = verifying.next_step(
        samples.recovery(states.RecoveryState.VERIFYING),
        settling.Findings(trace), samples.snap(), samples.POLICY, 1.0)
    assert found == settling.CloseMigration(5, ('done',), 'error')


def test_what_was_built_and_stopped_again_is_adopted_as_stopped():
    """Seed 1192 of 2026-11-21: shut off, it looked like none, and stood in
    the way of every later build there."""
    stopped = samples.event('compute_stop_instance', 'host2', 'Success')
    guests = {'guests': {'host2': G.NOT_RUNNING}}
    found = step(moving('failed'), events=(ERROR, stopped), found=guests)
    assert found.vm_state == 'stopped'
    assert step(moving('failed'), events=(ERROR,), found=guests) == \
        settling.ReadAllocations()


def test_a_record_that_the_returned_source_completed_is_settled():
    """Seed 3524 of 2026-11-21 (W18): a destination stood still in spawn, the
    source came back and completed the record, and it was taken for done."""
    assert step(moving('completed'), events=(RUNNING,), **SPAWNING) == \
        settling.Wait('destination_building', 'on host2')
    assert step(moving('completed'), events=(ERROR,)) == \
        settling.Probe('host2')
