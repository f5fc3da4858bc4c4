# SPDX-License-Identifier: Apache-2.0
"""Each condition of settling and verifying by itself."""

import dataclasses

import pytest

from nova_pets.model import observations
from nova_pets.model import states
from nova_pets.planning import settling
from nova_pets.planning import verifying
from nova_pets.tests.unit.planning import samples

H = states.HostState
G = states.GuestAnswer
R = states.RecoveryState
COMPUTED, CONDUCTED = 'compute_rebuild_instance', 'rebuild_server'
OPEN = samples.attempt(migration_id=5, destination='host2')
LATE_S = 99999.0


def settle(*migrations, attempt=OPEN, events=(), request='req-1',
           destination=H.UP, found=None, recovery=None, state_s=1.0,
           silent=(), **instance):
    trace = samples.trace(*migrations, events=events, request=request,
                          **instance)
    snap = samples.snap(
        samples.host_view(state=H.FENCED),
        samples.host_view('host2', state=destination),
        conductors_silent=frozenset(silent))
    return settling.next_step(
        samples.recovery(R.SETTLING, **(recovery or {})),
        (attempt,) if attempt else (),
        settling.Findings(trace, **(found or {})), snap, samples.POLICY,
        state_s)


def moving(status='pre-migrating', **values):
    return samples.migration(status=status, destination='host2', **values)


def clean(*hosts, **guests):
    return {'allocations': frozenset({'host1', *hosts}), 'guests': guests}


# -- which records matter -----------------------------------------------------

OTHER_SOURCE = samples.migration(6, 'pre-migrating', source='host9',
                                 destination='host3')
NOBODYS = samples.migration(6, 'accepted', source='host9')
"""Conductor would take it for the next request (F7)."""
SETTLED = dataclasses.replace(OPEN, migration_id=None)
ENDED = moving('cancelled')
"""It names the destination, and means no guest."""

LEFT = {
    'ours, at work': ((moving(),), OPEN, settling.Wait),
    'ours, done': ((moving('done'),), OPEN, settling.Probe),
    'somebodys, done': ((moving('done'),), SETTLED, settling.Probe),
    'somebodys, failed': ((moving('failed'),), SETTLED, settling.Probe),
    'of another source': ((OTHER_SOURCE, ENDED), OPEN, settling.Finish),
    'of another source, and nobody took it': (
        (NOBODYS, ENDED), OPEN, settling.DeleteAccepted),
    'ours, of no meaning any more': ((ENDED,), OPEN, settling.Finish),
}


@pytest.mark.parametrize('records, attempt, expected', LEFT.values(),
                         ids=LEFT)
def test_which_records_may_mean_a_guest(records, attempt, expected):
    found = settle(*records, attempt=attempt, found=clean(),
                   events=(samples.event(CONDUCTED, 'cond'),))
    if expected is settling.Wait:
        found = settle(*records, attempt=attempt, found=clean(),
                       events=(samples.event(COMPUTED, 'host2'),))
    assert isinstance(found, expected)


def test_without_an_attempt_a_failed_record_is_looked_at():
    assert settle(moving('failed'), attempt=None,
                  found=clean()) == settling.Probe('host2')


def test_another_requests_event_is_not_ours():
    """Its conductor failed; ours is still on its way."""
    foreign = dataclasses.replace(OPEN, kind=states.AttemptKind.FOREIGN)
    said = (samples.event(CONDUCTED, 'cond', 'Error'),)
    record = samples.migration()
    assert isinstance(settle(record, attempt=foreign, events=said),
                      settling.DeleteAccepted)
    assert isinstance(settle(record, attempt=foreign, events=said,
                             request='req-9'), settling.Wait)


ENDS = {
    'it failed': (CONDUCTED, 'cond', 'Error', None, True),
    'it is about to fail': (CONDUCTED, 'cond', 'Error', False, False),
    'it went well': (CONDUCTED, 'cond', 'Success', None, False),
    'another event failed': ('compute_stop_instance', 'cond', 'Error', None,
                             False),
}


@pytest.mark.parametrize('name, host, result, finished, is_deleted',
                         ENDS.values(), ids=ENDS)
def test_somebodys_request_ends_with_its_conductor(name, host, result,
                                                   finished, is_deleted):
    foreign = dataclasses.replace(OPEN, kind=states.AttemptKind.FOREIGN)
    found = settle(samples.migration(), attempt=foreign, events=(
        samples.event(name, host, result, finished),))
    assert isinstance(found, settling.DeleteAccepted) is is_deleted


def test_a_conductor_without_a_name_is_not_silent():
    foreign = dataclasses.replace(OPEN, kind=states.AttemptKind.FOREIGN)
    found = settle(samples.migration(), attempt=foreign, silent=(None,),
                   events=(samples.event(CONDUCTED, None),))
    assert isinstance(found, settling.Wait)


# -- a living destination -----------------------------------------------------

ERROR = samples.event(COMPUTED, 'host2', 'Error')

STOPPED = {
    'nova stopped it again': ('host2', 'Success', settling.Adopt),
    'somewhere else': ('host3', 'Success', settling.CloseMigration),
    'it could not': ('host2', 'Error', settling.CloseMigration),
}


@pytest.mark.parametrize('host, result, expected', STOPPED.values(),
                         ids=STOPPED)
def test_a_guest_that_was_built_and_stopped_is_adopted(host, result,
                                                       expected):
    found = settle(moving(), found=clean(host2=G.NOT_RUNNING), events=(
        ERROR, samples.event('compute_stop_instance', host, result)))
    assert isinstance(found, expected)


def test_a_lost_attempt_leaves_one_tombstone():
    said = dataclasses.replace(OPEN, reason='said_to_be_over')
    known = clean(host2=G.NOT_RUNNING)
    assert settle(moving('error'), attempt=said, found=known) == (
        settling.Tombstone('host2'))
    known['tombstoned'] = frozenset({'host2'})
    assert isinstance(settle(moving('error'), attempt=said, found=known),
                      settling.Finish)


def test_a_record_that_was_done_is_closed_where_no_guest_runs():
    """The cell forgot that it lives there; its source would destroy it by
    that record, and what is there may be shut off."""
    known = clean(host2=G.NOT_RUNNING)
    assert settle(moving('done'), found=known) == settling.Tombstone('host2')
    known['tombstoned'] = frozenset({'host2'})
    closed = settling.CloseMigration(5, ('done',), 'error')
    assert settle(moving('done'), found=known) == closed
    assert settle(moving('done'), destination=H.FENCED,
                  found=clean()) == closed


def test_two_events_end_together():
    """The same request delivered twice: the second may be in spawn."""
    twice = (ERROR, samples.event(COMPUTED, 'host2'))
    assert isinstance(settle(moving(), events=twice), settling.Wait)


# -- hosts that no record names -----------------------------------------------

WORKS = {
    'it works there': (COMPUTED, 'host2', settling.Wait),
    'it works elsewhere': (COMPUTED, 'host3', settling.Probe),
    'it is something else': ('compute_stop_instance', 'host2',
                             settling.Probe),
}


@pytest.mark.parametrize('name, host, expected', WORKS.values(), ids=WORKS)
def test_room_that_is_held_may_mean_a_guest(name, host, expected):
    found = settle(attempt=SETTLED, found=clean('host2'),
                   events=(samples.event(name, host),))
    assert isinstance(found, expected)


@pytest.mark.parametrize('answer, expected', [
    (G.NOT_RUNNING, settling.Finish), (G.RUNNING, settling.Adopt),
    (None, settling.Probe)], ids=str)
def test_what_works_there_for_too_long(answer, expected):
    guests = {} if answer is None else {'host2': answer}
    found = settle(attempt=SETTLED, found=clean('host2', **guests),
                   events=(samples.event(COMPUTED, 'host2'),),
                   state_s=LATE_S)
    assert isinstance(found, expected)


def test_a_person_knows_that_it_works_there_no_more():
    said = dataclasses.replace(SETTLED, reason='said_to_be_over')
    found = settle(attempt=said, found=clean('host2'),
                   events=(samples.event(COMPUTED, 'host2'),))
    assert isinstance(found, settling.Probe)


@pytest.mark.parametrize('newer', [
    samples.migration(9, 'done', source='host9', destination='host8'),
    samples.migration(9, 'completed', destination='host8')],
    ids=['of another source', 'completed'])
def test_what_runs_there_is_adopted_by_the_newest_record(newer):
    attempt = dataclasses.replace(
        OPEN, id=10, migration_id=9, outcome=states.Outcome.FAILED)
    found = settle(samples.migration(6, 'failed', destination=None), newer,
                   attempt=attempt, found=clean('host2', host2=G.RUNNING))
    assert (found.migration_id, found.destination) == (6, 'host2')


# -- the row ------------------------------------------------------------------

ROWS = {
    'as it was': ({}, None),
    'a task of an evacuation': ({'task_state': 'rebuilding'},
                                {'task_state': None}),
    'a task of its owner': ({'task_state': 'powering-off'}, None),
    'error': ({'vm_state': 'error'}, {'vm_state': 'active'}),
    'a state of its owner': ({'vm_state': 'paused'}, None),
}


@pytest.mark.parametrize('instance, values', ROWS.values(), ids=ROWS)
def test_only_what_an_evacuation_wrote_is_put_back(instance, values):
    found = settle(ENDED, found=clean(), **instance)
    assert getattr(found, 'values', None) == values


@pytest.mark.parametrize('attempt, excluded', [
    (OPEN, ('host2',)),
    (dataclasses.replace(OPEN, kind=states.AttemptKind.FOREIGN), ()),
    (dataclasses.replace(OPEN, destination=None), ()), (None, ())],
    ids=['ours', 'somebodys', 'it went nowhere', 'none'])
def test_only_our_own_failure_excludes_a_host(attempt, excluded):
    assert settle(ENDED, attempt=attempt, found=clean()
                  ).excluded == excluded


# -- who else works there -----------------------------------------------------


def beside(*others, mine=True, record='failed', attempts=(OPEN,), **guests):
    """Settle ours, which failed on host2, beside requests of others."""
    own = (samples.event(COMPUTED, 'host2', 'Error'),) if mine else ()
    events = {'req-1': own}
    for number, event in enumerate(others):
        events[f'req-{8 + number}'] = (event,)
    trace = dataclasses.replace(samples.trace(moving(record)), events=events)
    return settling.next_step(
        samples.recovery(R.SETTLING), attempts,
        settling.Findings(trace, frozenset({'host1'}), guests),
        samples.snap(samples.host_view(state=H.FENCED),
                     samples.host_view('host2')), samples.POLICY, 1.0)


FORCED = samples.event(COMPUTED, 'host2', id=7)
"""A person's request works there, by the record of ours (F7)."""
ENDED_LATER = samples.event(COMPUTED, 'host2', 'Error', id=9)
NOT_THERE = {'host2': G.NOT_RUNNING}


def test_another_request_that_works_there_is_waited_for():
    """Seed 1010412: ours had failed, theirs was in spawn."""
    assert beside(FORCED, **NOT_THERE).reason == 'destination_building'
    assert beside(FORCED, mine=False, **NOT_THERE
                  ).reason == 'destination_building'
    assert isinstance(beside(FORCED, host2=G.RUNNING), settling.Wait)
    assert isinstance(beside(FORCED, mine=False), settling.Wait), (
        'it is not even asked yet')


@pytest.mark.parametrize('other', [
    (), (ENDED_LATER,), (FORCED, ENDED_LATER),
    (samples.event(CONDUCTED, 'host2', id=7),)], ids=[
        'none', 'it has failed', 'an older one never ended',
        'a conductor'])
def test_nobody_else_works_there(other):
    assert beside(*other, **NOT_THERE).event == 'clean'


def test_one_that_works_elsewhere_is_waited_for_there():
    found = beside(samples.event(COMPUTED, 'host3', id=7), **NOT_THERE)
    assert (found.reason, found.host) == ('destination_down', 'host3')


def test_an_attempt_that_was_settled_does_not_count():
    before = dataclasses.replace(
        OPEN, id=10, request_id='req-8', outcome=states.Outcome.FAILED)
    assert beside(FORCED, attempts=(before, OPEN), **NOT_THERE
                  ).event == 'clean'


def test_a_person_says_that_nobody_works_there():
    said = dataclasses.replace(OPEN, reason='said_to_be_over')
    assert not isinstance(beside(FORCED, attempts=(said,), **NOT_THERE),
                          settling.Wait)


# -- verifying ----------------------------------------------------------------

ARRIVED = {'host': 'host2'}


def verify(*migrations, events=(), request='req-1', recovery=None,
           state_s=1.0, task_s=0.0, found=None, **instance):
    trace = samples.trace(*migrations, events=events, request=request,
                          **{**ARRIVED, **instance})
    row = {'destination': 'host2', **(recovery or {})}
    return verifying.next_step(
        samples.recovery(R.VERIFYING, **row),
        settling.Findings(trace, **(found or {})),
        samples.snap(samples.host_view(state=H.FENCED),
                     samples.host_view('host2')), samples.POLICY, state_s,
        task_s)


REFUSED = samples.event('rebuild_server', 'cond', 'Error')
ON_BOTH = {'allocations': frozenset({'host1', 'host2'})}


@pytest.mark.parametrize('values, home, expected', [
    ({'events': (REFUSED,)}, {}, settling.DeleteAccepted(5)),
    ({'events': ()}, {}, settling.Wait('arrived', 'migration 5 is accepted')),
    ({'events': (), 'state_s': samples.POLICY.scheduling_timeout_s}, {},
     settling.DeleteAccepted(5)),
    ({'events': (REFUSED,)}, {'state': H.DOWN},
     settling.Wait('arrived', 'host2 is down')),
    ({'events': (REFUSED,)}, {'state': H.FENCED},
     settling.DeleteAccepted(5))],
    ids=['refused', 'under way', 'late', 'may start', 'off'])
def test_who_asks_anew_from_its_new_home_leaves_no_record(values, home,
                                                          expected):
    """Seed 40000074 of the runs with calls that hang: a person's evacuation
    was refused while it was verified, and its record would have destroyed
    the pet at the next start of its host."""
    trace = samples.trace(
        samples.migration(source='host2'), events=values.pop('events'),
        request='req-2', **ARRIVED)
    found = verifying.next_step(
        samples.recovery(R.VERIFYING, destination='host2'),
        settling.Findings(trace, **ON_BOTH),
        samples.snap(samples.host_view(state=H.FENCED),
                     samples.host_view('host2', **home)), samples.POLICY,
        **{'state_s': 1.0, **values})
    assert found == expected


@pytest.mark.parametrize('host', ['host1', None])
def test_what_nova_has_at_its_source_or_nowhere_has_left_again(host):
    assert verify(host=host).event == 'left_again'


def test_the_source_is_not_taken_for_a_destination():
    """It looks whether the pet runs there, and asks for no allocation."""
    found = verify(host='host1', recovery={'destination': 'host1'},
                   found={'allocations': frozenset()})
    assert getattr(found, 'event', '') != 'left_again'


@pytest.mark.parametrize('host, state, event', [
    ('host2', H.FENCED, 'left_again'), ('host2', H.UP, 'abandon'),
    ('host1', H.FENCED, 'other')], ids=['a dead one', 'a good one', 'itself'])
def test_what_is_looked_for_at_home_and_lives_elsewhere(host, state, event):
    """The cell forgot that it had left a dead host for this one."""
    found = verifying.next_step(
        samples.recovery(R.VERIFYING, destination='host1'),
        settling.Findings(samples.trace(host=host)),
        samples.snap(samples.host_view(state=state),
                     samples.host_view('host2', state=state)),
        samples.POLICY, 1.0)
    assert getattr(found, 'event', 'other') == event
    assert event != 'left_again' or host in found.detail


STOP, RUN = (settling.ChangePower(states.DesiredPower.STOPPED),
             settling.ChangePower(states.DesiredPower.RUNNING))
WAS_OFF = {'original_vm_state': 'stopped',
           'desired_power': states.DesiredPower.STOPPED}
TO_RUN = {**WAS_OFF, 'desired_power': states.DesiredPower.RUNNING}
STOPPED_THERE = samples.event('compute_stop_instance', 'host2', 'Success')


@pytest.mark.parametrize('recovery, vm_state, change', [
    (WAS_OFF, 'active', STOP), (TO_RUN, 'stopped', RUN)],
    ids=['started', 'stopped'])
def test_what_its_owner_does_to_its_power_afterwards_stands(
        recovery, vm_state, change):
    """It was as it should be once."""
    before = verify(recovery=recovery, vm_state=vm_state, found=ON_BOTH)
    assert before == change
    settled = {**recovery, 'reason': 'power_settled'}
    for task_state in (None, 'powering-on'):
        after = verify(recovery=settled, vm_state=vm_state, found=ON_BOTH,
                       task_state=task_state)
        assert after.reason == 'power_settled', 'and that is kept'
    unwell = verify(recovery=settled, vm_state='error', found={
        **ON_BOTH, 'guests': {'host2': G.NOT_RUNNING}})
    assert unwell.reason == 'power_settled'


@pytest.mark.parametrize('recovery, vm_state, reason', [
    (WAS_OFF, 'stopped', 'power_settled'),
    (TO_RUN, 'active', 'power_settled'),
    ({'desired_power': states.DesiredPower.STOPPED}, 'stopped',
     'power_settled'),
    ({}, 'active', 'arrived')], ids=[
        'is stopped', 'runs', 'is stopped, and ran', 'nobody would touch it'])
def test_that_its_power_is_right_is_kept_where_it_matters(
        recovery, vm_state, reason):
    found = verify(recovery=recovery, vm_state=vm_state, found=ON_BOTH)
    assert (type(found), found.reason) == (settling.Wait, reason)


@pytest.mark.parametrize('events, stands', [
    ((STOPPED_THERE,), True),
    ((samples.event(COMPUTED, 'host2', 'Success'), STOPPED_THERE), True),
    ((), False),
    ((samples.event('compute_stop_instance', 'host3', 'Success'),), False),
    ((samples.event('compute_stop_instance', 'host2', 'Error'),), False),
    ((samples.event(COMPUTED, 'host2', 'Success'),), False)],
    ids=['nova stopped it', 'and built it', 'nothing is known', 'elsewhere',
         'it could not', 'it was not asked to'])
def test_what_nova_has_stopped_was_started_by_its_owner(events, stands):
    """Before anybody had looked at it there."""
    found = verify(recovery=WAS_OFF, vm_state='active', found=ON_BOTH,
                   events=events)
    assert (found != STOP) is stands


@pytest.mark.parametrize('newer, stands', [
    ((samples.event(CONDUCTED, 'cond', 'Error'),), True),
    ((samples.event(COMPUTED, 'host2', 'Success'),), False)],
    ids=['it was refused', 'it built it anew'])
def test_the_newest_request_that_reached_it_tells(newer, stands):
    trace = dataclasses.replace(
        samples.trace(host='host2', vm_state='active'),
        actions=('req-1', 'req-2'),
        events={'req-1': (STOPPED_THERE,), 'req-2': newer})
    found = verifying.next_step(
        samples.recovery(R.VERIFYING, destination='host2', **WAS_OFF),
        settling.Findings(trace, **ON_BOTH),
        samples.snap(samples.host_view('host2')), samples.POLICY, 1.0)
    assert (found != STOP) is stands


REFUSED = samples.event(CONDUCTED, 'cond', 'Error')

TASKS = {
    'a refused evacuation': ('rebuilding', (REFUSED,), True),
    'one that goes on': ('rebuilding', (
        samples.event(CONDUCTED, 'cond'),), False),
    'one that is about to end': ('rebuilding', (
        samples.event(CONDUCTED, 'cond', 'Error', False),), False),
    'one that ended well': ('rebuilding', (
        samples.event(CONDUCTED, 'cond', 'Success'),), False),
    'one that reached a host': ('rebuilding', (
        REFUSED, samples.event(COMPUTED, 'host3', 'Error')), False),
    'no evacuation at all': ('rebuilding', (), False),
    'something of its owner': ('rebooting', (REFUSED,), False),
}


@pytest.mark.parametrize('task, events, is_cleared', TASKS.values(),
                         ids=TASKS)
def test_only_a_refused_evacuations_task_is_cleared(task, events,
                                                    is_cleared):
    found = verify(events=events, task_state=task)
    assert isinstance(found, settling.Restore) is is_cleared


LOST = {
    'a lost stop': ('powering-off', LATE_S, True),
    'a lost start': ('powering-on', LATE_S, True),
    'a young stop': ('powering-off', 1.0, False),
    'an old reboot': ('rebooting', LATE_S, False),
}


@pytest.mark.parametrize('task, task_s, is_given_again', LOST.values(),
                         ids=LOST)
def test_a_lost_order_for_power_is_given_again(task, task_s, is_given_again):
    found = verify(task_state=task, task_s=task_s)
    assert isinstance(found, settling.Restore) is is_given_again


@pytest.mark.parametrize('events, task, task_s', [
    ((REFUSED,), 'rebuilding', 0.0), ((), 'powering-off', LATE_S)],
    ids=['refused', 'lost'])
def test_a_task_is_cleared_where_it_still_is_the_one_that_was_read(
        events, task, task_s):
    found = verify(events=events, task_state=task, task_s=task_s)
    assert found == settling.Restore({'host': 'host2', 'task_state': task},
                                     {'task_state': None})


@pytest.mark.parametrize('state_s, expected', [
    (1.0, settling.Wait), (LATE_S, settling.Finish)])
def test_a_task_that_does_not_end_is_a_persons(state_s, expected):
    assert isinstance(verify(task_state='rebooting', state_s=state_s),
                      expected)


def test_a_guest_has_room_where_it_runs():
    found = verify(found={'allocations': frozenset({'host1'})})
    assert found == settling.Allocate('host2')


RECORDS = {
    'late, from its source': (samples.migration(), settling.DeleteAccepted),
    'from elsewhere': (samples.migration(source='host9'),
                       settling.Finish),
    'from its source, at work': (
        samples.migration(status='pre-migrating'), settling.Finish),
    'a tombstone of its home': (
        samples.migration(status='done', source='host2'),
        settling.CloseMigration),
    'a tombstone of its source': (samples.migration(status='done'),
                                  settling.Finish),
    'late, from its home': (samples.migration(source='host2'),
                            settling.DeleteAccepted),
}


@pytest.mark.parametrize('record, expected', RECORDS.values(), ids=RECORDS)
def test_no_record_is_left_that_would_harm(record, expected):
    assert isinstance(verify(record, found=ON_BOTH, state_s=LATE_S),
                      expected)


POWER = {
    'stopped again by its owner': (
        'stopped', states.DesiredPower.STOPPED, 'stopped', None),
    'started by nova': ('stopped', states.DesiredPower.STOPPED, 'active',
                        states.DesiredPower.STOPPED),
    'started by its owner meanwhile': (
        'stopped', states.DesiredPower.RUNNING, 'active', None),
    'to be started': ('stopped', states.DesiredPower.RUNNING, 'stopped',
                      states.DesiredPower.RUNNING),
    'ran, and was stopped since': (
        'active', states.DesiredPower.RUNNING, 'stopped', None),
}


@pytest.mark.parametrize('original, desired, vm_state, power',
                         POWER.values(), ids=POWER)
def test_power_follows_the_owner(original, desired, vm_state, power):
    found = verify(vm_state=vm_state, found=ON_BOTH, recovery={
        'original_vm_state': original, 'desired_power': desired})
    assert getattr(found, 'power', None) == power


def test_an_error_is_mended_where_it_still_is_what_was_read():
    found = verify(vm_state='error',
                   found={'guests': {'host2': G.RUNNING}})
    assert found == settling.Restore(
        {'host': 'host2', 'vm_state': 'error', 'task_state': None},
        {'vm_state': 'active'})


def test_nothing_known_of_the_instance_is_no_leftover():
    assert verify(found={'allocations': frozenset({'host2'})},
                  state_s=LATE_S).event == 'verified'


def test_what_was_not_found_is_abandoned():
    found = verifying.next_step(
        samples.recovery(R.VERIFYING),
        settling.Findings(observations.Trace(None)), samples.snap(),
        samples.POLICY, 1.0)
    assert found.event == 'abandon'
