# SPDX-License-Identifier: Apache-2.0
"""Each condition about a recovery by itself: what would be done without it."""

import dataclasses
import datetime

import pytest

from nova_pets.model import actions
from nova_pets.model import observations
from nova_pets.model import states
from nova_pets.planning import recoveries
from nova_pets.planning import safety
from nova_pets.planning import watching
from nova_pets.tests.unit.planning import samples

H = states.HostState
R = states.RecoveryState
C = states.ControlKind
OBSERVE = samples.policy_with(mode=states.Mode.OBSERVE)
ENDED = samples.NOON.replace(hour=13)


def plan(view, *hosts, policy=samples.POLICY, source=H.FENCED, **snap):
    hosts = hosts or (samples.host_view(state=source),)
    snapped = samples.snap(*hosts, recoveries=[view], **snap)
    return recoveries.plan_recovery(view, snapped, policy)


def at(state, *attempts, **values):
    return samples.recovery_view(state, attempts=attempts, **values)


def events(view, *hosts, **values):
    return [action.event for action in plan(view, *hosts, **values)
            if isinstance(action, actions.MoveRecovery)]


OWN = samples.attempt()
GONE = samples.trace(deleted=True)
ON_HOST2 = samples.trace(host='host2')
IN_FLIGHT = [R.SCHEDULING, R.BUILDING]


@pytest.mark.parametrize('there, expected', [
    (H.UP, 'abandon'), (H.SUSPECT, 'abandon'), (None, 'abandon'),
    (H.FENCED, 'arrived'), (H.DOWN, 'arrived')], ids=str)
def test_a_pending_one_that_lives_elsewhere(there, expected):
    """On a host that is down, too, it would be left to nobody."""
    hosts = [samples.host_view(state=H.DOWN)] + (
        [samples.host_view('host2', state=there)] if there else [])
    assert events(at(R.PENDING, found=ON_HOST2), *hosts) == [expected]


FLAPS = {
    'its guests run on': ({'reason': 'flapping'}, 'source_returned'),
    'its evacuated guests have to go first':
        ({'reason': 'flapping', 'forced_down': True}, None),
    'it showed life': ({'reason': 'life_after_proof'}, None),
}


@pytest.mark.parametrize('row, expected', FLAPS.values(), ids=FLAPS)
def test_a_pet_of_a_host_that_flaps_is_looked_after_at_home(row, expected):
    source = samples.host_view(state=H.QUARANTINED, row=row)
    assert events(at(R.PENDING), source) == [expected] * bool(expected)


@pytest.mark.parametrize('state, reason, expected', [
    (H.QUARANTINED, 'flapping', H.UP),
    (H.QUARANTINED, 'power_not_off', H.QUARANTINED),
    (H.RETURNING, 'flapping', H.RETURNING), (H.DOWN, '', H.DOWN)])
def test_a_destination_that_flaps_runs_what_it_has(state, reason, expected):
    """It is no failure, and a guest that is there is asked for."""
    snap = samples.snap(samples.host_view('host2', state=state,
                                          row={'reason': reason}))
    assert safety.destination_state(snap, 'host2') is expected
    assert safety.destination_state(snap, 'host3') is None


def test_nothing_is_planned_for_what_is_busy():
    assert plan(at(R.SETTLING, OWN))
    assert not plan(at(R.SETTLING, OWN, is_busy=True))


@pytest.mark.parametrize('state', [
    R.READY, R.SCHEDULING, R.BUILDING, R.NEEDS_OPERATOR], ids=str)
def test_what_was_not_read_moves_nothing(state):
    assert not plan(at(state, OWN, found=None, state_s=9999.0))


def test_a_host_that_is_up_says_nothing_of_what_was_not_read():
    assert not plan(at(R.PENDING, found=None), source=H.UP)


def test_a_pending_one_of_an_unknown_host_waits():
    assert not plan(at(R.PENDING), samples.host_view('host2'))


@pytest.mark.parametrize('epoch, is_proven', [(0, True), (1, True),
                                              (2, False)])
def test_a_proof_of_an_earlier_failure_is_none(epoch, is_proven):
    view = at(R.PENDING, row={'epoch': epoch})
    assert ('source_proven' in events(view)) is is_proven


# -- home again, or elsewhere -------------------------------------------------


@pytest.mark.parametrize('found', [
    samples.trace(host=None), samples.trace()],
    ids=['no host at all', 'on its source'])
def test_it_has_not_arrived(found):
    assert 'arrived' not in events(at(R.WAITING, found=found,
                                      row={'wait_s': 99.0}))


def test_what_was_deleted_elsewhere_has_not_arrived():
    found = samples.trace(host='host2', deleted=True)
    assert events(at(R.BUILDING, OWN, found=found)) == ['failed']


@pytest.mark.parametrize('found, expected', [
    (GONE, 'abandon'), (ON_HOST2, 'arrived'), (samples.trace(),
                                               'unsettled')],
    ids=['deleted', 'arrived', 'neither'])
def test_an_open_attempt_of_a_ready_one(found, expected):
    assert events(at(R.READY, OWN, found=found)) == [expected]


def test_a_persons_word_about_an_attempt_is_kept():
    said = dataclasses.replace(OWN, reason='said_to_be_over')
    [moved] = plan(at(R.READY, said))
    assert moved.reason == 'said_to_be_over'
    [moved] = plan(at(R.READY, OWN))
    assert moved.reason == 'operator_retry'


@pytest.mark.parametrize('policy, record, event', [
    (samples.POLICY, None, 'source_returned'),
    (OBSERVE, None, 'abandon'),
    (samples.POLICY, samples.migration(status='error',
                                       destination='host2',
                                       updated_at=ENDED), 'abandon'),
    (samples.POLICY, samples.migration(), 'source_returned')],
    ids=['looked at', 'observe mode', 'a guest may be elsewhere',
         'a request without a destination'])
def test_a_host_that_is_up_again_is_looked_at(policy, record, event):
    found = samples.trace(*([record] if record else []))
    assert events(at(R.PENDING, found=found), source=H.UP,
                  policy=policy) == [event]


@pytest.mark.parametrize('row, vm_state, expected', [
    ({}, 'active', ['source_returned']),
    ({'destination': 'host1', 'reason': 'stopped_at_home'}, 'active',
     ['retry']),
    ({'destination': 'host1', 'reason': 'stopped_at_home'}, 'stopped', []),
    ({'destination': 'host1', 'reason': 'verify_failed'}, 'active', [])],
    ids=['left', 'started since', 'still stopped', 'another reason'])
def test_what_needs_a_person_follows_its_returned_host(row, vm_state,
                                                       expected):
    found = samples.trace(vm_state=vm_state)
    assert events(at(R.NEEDS_OPERATOR, found=found, row=row),
                  source=H.UP) == expected


def test_what_needs_a_person_stays_while_its_host_is_off():
    assert not plan(at(R.NEEDS_OPERATOR))


@pytest.mark.parametrize('reason, values, expected', [
    ('verify_failed', {}, ['arrived']),
    ('verify_failed', {'task_state': 'rebuilding'}, []),
    ('verify_failed', {'vm_state': 'error'}, []),
    ('not_evacuable', {'vm_state': 'error'}, ['arrived'])],
    ids=['well again', 'still at it', 'still in error', 'another reason'])
def test_what_could_not_be_verified_arrives_once_it_is_well(reason, values,
                                                            expected):
    found = samples.trace(host='host2', **values)
    assert events(at(R.NEEDS_OPERATOR, found=found,
                     row={'reason': reason})) == expected


# -- orders of people ---------------------------------------------------------


@pytest.mark.parametrize('reason, kept', [
    ('building_slow', {'reason': 'said_to_be_over', 'detail': 'sure'}),
    ('not_evacuable', {})])
def test_only_who_was_asked_says_that_an_attempt_is_over(reason, kept):
    order = samples.control(C.RETRY, 'instance', 'i1', reason='sure')
    moved, ended = plan(at(R.NEEDS_OPERATOR, OWN, row={'reason': reason}),
                        controls=(order,))
    assert moved.attempt_changes == kept
    assert moved.attempt_id == (OWN.id if kept else None)


def test_such_a_word_is_kept_where_no_attempt_is_open():
    """Home again: nova said for ever that another host builds it, and a
    person's word about that was lost (30010628)."""
    arrived, later = (dataclasses.replace(
        OWN, id=number, outcome=outcome) for number, outcome in (
            (21, states.Outcome.ADOPTED), (22, states.Outcome.NOT_SENT)))
    order = samples.control(C.RETRY, 'instance', 'i1', reason='sure')
    moved = plan(at(R.NEEDS_OPERATOR, arrived, later,
                    row={'reason': 'building_slow'}), controls=(order,))[0]
    assert moved.attempt_id == 21
    assert moved.attempt_changes['reason'] == 'said_to_be_over'


@pytest.mark.parametrize('scope, target, is_ended', [
    ('instance', 'i1', True), ('host', 'host1', False)])
def test_an_order_for_a_host_stays_for_the_others(scope, target, is_ended):
    order = samples.control(C.RETRY, scope, target)
    planned = plan(at(R.NEEDS_OPERATOR), controls=(order,))
    assert (actions.EndControl(order, 'obeyed') in planned) is is_ended


# -- what is ours -------------------------------------------------------------


def test_a_record_without_a_destination_is_told_as_such():
    [told] = plan(at(R.READY, found=samples.trace(samples.migration())))
    assert told.detail == 'migration 5 is accepted'


REQUESTS = {
    'one of somebody': (('req-9',), 'req-9'),
    'ours and one of somebody': (('req-1', 'req-9'), 'req-9'),
    'only ours': (('req-1',), ''),
    'two of somebody': (('req-8', 'req-9'), ''),
}


@pytest.mark.parametrize('requests, expected', REQUESTS.values(),
                         ids=REQUESTS)
def test_somebodys_request_is_named_where_it_is_clear(requests, expected):
    found = dataclasses.replace(samples.trace(), actions=requests)
    ended = dataclasses.replace(OWN, outcome=states.Outcome.FAILED)
    assert recoveries.foreign_request(
        at(R.READY, ended), found) == expected


RECORDS = {
    'above the floor': (OWN, samples.migration(5), 5),
    'not above it': (OWN, samples.migration(4), None),
    'of another source': (OWN, samples.migration(5, source='host9'), None),
    'the one it names': (dataclasses.replace(OWN, migration_id=3),
                         samples.migration(3), 3),
    'not the one it names': (dataclasses.replace(OWN, migration_id=3),
                             samples.migration(5), None),
    'no attempt is open': (dataclasses.replace(
        OWN, outcome=states.Outcome.FAILED), samples.migration(5), None),
}


@pytest.mark.parametrize('attempt, record, expected', RECORDS.values(),
                         ids=RECORDS)
def test_the_record_of_an_attempt(attempt, record, expected):
    found = watching.own_record(at(R.BUILDING, attempt,
                                     found=samples.trace(record)))
    assert (found and found.id) == expected


def test_a_record_of_another_attempt_is_not_ours():
    other = dataclasses.replace(OWN, id=10, request_id='req-0',
                                migration_id=5,
                                outcome=states.Outcome.FAILED)
    view = at(R.BUILDING, other, OWN,
              found=samples.trace(samples.migration(5)))
    assert watching.own_record(view) is None


def test_nothing_read_means_no_record():
    assert watching.own_record(at(R.BUILDING, OWN, found=None)) is None


# -- an attempt in flight -----------------------------------------------------

COMPUTED, CONDUCTED = 'compute_rebuild_instance', 'rebuild_server'

OUTCOMES = {
    'the destination is at it': (COMPUTED, None, None, []),
    'the destination is done': (COMPUTED, 'Success', None, []),
    'the destination failed': (COMPUTED, 'Error', None, ['failed']),
    'it is about to say so': (COMPUTED, 'Error', False, []),
    'the conductor is at it': (CONDUCTED, None, None, []),
    'the conductor is done': (CONDUCTED, 'Success', None, []),
    'the conductor failed': (CONDUCTED, 'Error', None, ['failed']),
    'that one is about to say so': (CONDUCTED, 'Error', False, []),
}


@pytest.mark.parametrize('name, result, finished, expected',
                         OUTCOMES.values(), ids=OUTCOMES)
def test_an_attempt_ends_by_a_finished_failure(name, result, finished,
                                               expected):
    said = samples.event(name, 'host2', result, finished)
    view = at(R.BUILDING, dataclasses.replace(OWN, destination='host2'),
              found=samples.trace(samples.migration(
                  status='pre-migrating', destination='host2'),
                  events=(said,)))
    assert events(view, samples.host_view(state=H.FENCED),
                  samples.host_view('host2')) == expected


REACHED = {
    'its record says it': (
        (samples.migration(status='failed', destination='host2'),), (),
        None, 'host2'),
    'its event says it': (
        (samples.migration(status='failed'),),
        (samples.event(COMPUTED, 'host3'),), None, 'host3'),
    'its second event says it': (
        (samples.migration(status='failed'),),
        (samples.event(COMPUTED, None), samples.event(COMPUTED, 'host3')),
        None, 'host3'),
    'nothing does': ((samples.migration(status='failed'),),
                     (samples.event(COMPUTED, None),), None, None),
    'it is known': ((samples.migration(status='failed',
                                       destination='host2'),), (),
                    'host9', None),
}


@pytest.mark.parametrize('records, said, known, expected',
                         REACHED.values(), ids=REACHED)
def test_a_failed_attempt_keeps_where_it_went(records, said, known,
                                              expected):
    view = at(R.SCHEDULING, dataclasses.replace(OWN, destination=known),
              found=samples.trace(*records, events=said))
    [moved] = plan(view)
    assert moved.attempt_changes.get('destination') == expected


def test_a_request_without_an_attempt_is_settled():
    assert events(at(R.SCHEDULING)) == ['failed']


def test_placement_is_not_asked_while_a_conductor_is_at_it():
    view = at(R.SCHEDULING, OWN, state_s=10.0, found=samples.trace(
        samples.migration(status='accepted'),
        events=(samples.event(CONDUCTED, 'cond'),)))
    assert not plan(view, policy=samples.policy_with(locate_after_s=5.0))


CONDUCTED_IN_VAIN = {
    'young': (1.0, []), 'placement is asked': (10.0, ['LocateDestination']),
    'placement knew nothing for long': (700.0, ['scheduling_lost']),
}


@pytest.mark.parametrize('state_s, expected', CONDUCTED_IN_VAIN.values(),
                         ids=CONDUCTED_IN_VAIN)
def test_a_done_conductor_and_no_destination(state_s, expected):
    policy = samples.policy_with(scheduling_timeout_s=600.0,
                                 locate_after_s=5.0)
    view = at(R.SCHEDULING, OWN, state_s=state_s, found=samples.trace(
        samples.migration(status='accepted'),
        events=(samples.event(CONDUCTED, 'cond', 'Success', True),)))
    planned = plan(view, policy=policy, conductors_silent=frozenset({'cond'}))
    assert [getattr(action, 'reason', type(action).__name__)
            for action in planned] == expected


def test_a_conductor_without_a_name_is_not_silent():
    view = at(R.SCHEDULING, OWN, found=samples.trace(
        events=(samples.event(CONDUCTED, None),)))
    assert not plan(view, conductors_silent=frozenset({None, 'cond'}))


NOT_TAKEN = {
    'nobody took it for long': ('accepted', (), 9999.0, 'scheduling_lost'),
    'it is young': ('accepted', (), 1.0, None),
    'it was taken': ('pre-migrating', (), 700.0, None),
    'its event was begun': (
        'accepted', (samples.event(COMPUTED, 'host2'),), 700.0, None),
    'it builds for ever': ('pre-migrating', (), 9999.0, 'building_slow'),
}


@pytest.mark.parametrize('status, said, state_s, reason',
                         NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_a_destination_that_does_not_take_it(status, said, state_s, reason):
    policy = samples.policy_with(scheduling_timeout_s=600.0,
                                 building_alarm_s=1800.0)
    view = at(R.BUILDING, dataclasses.replace(OWN, destination='host2'),
              state_s=state_s, found=samples.trace(samples.migration(
                  status=status, destination=None), events=said))
    planned = plan(view, samples.host_view(state=H.FENCED),
                   samples.host_view('host2'), policy=policy)
    assert [action.reason for action in planned] == (
        [reason] if reason else [])


# -- waiting, verifying -------------------------------------------------------

DUE = {
    'young': ({}, 1.0, False), 'old enough': ({}, 30.0, True),
    'urgent': ({'urgent': True}, 1.0, True),
}


@pytest.mark.parametrize('row, state_s, is_due', DUE.values(), ids=DUE)
def test_a_waiting_one_is_due(row, state_s, is_due):
    view = at(R.WAITING, state_s=state_s, row={'wait_s': 20.0, **row})
    assert ('due' in events(view)) is is_due


@pytest.mark.parametrize('state, is_dead', [
    (H.UP, False), (H.SUSPECT, False), (H.DOWN, True), (H.FENCED, True)],
    ids=str)
def test_only_a_dead_destination_is_a_new_source(state, is_dead):
    view = at(R.VERIFYING, row={'destination': 'host2'}, found=ON_HOST2)
    planned = plan(view, samples.host_view(state=H.FENCED),
                   samples.host_view('host2', state=state))
    assert isinstance(planned[0], actions.MoveRecovery) is is_dead


def test_verifying_needs_a_look_at_nova():
    view = at(R.VERIFYING, row={'destination': 'host2'}, found=None)
    assert not plan(view, samples.host_view(state=H.FENCED),
                    samples.host_view('host2'))


# -- step 0 -------------------------------------------------------------------

HOUR_S = 3600


def ended(number, host, result='Success'):
    return observations.ActionEvent('compute_rebuild_instance', host, True,
                                    result, id=number)


LAUNCHED = {
    'launched long since': (HOUR_S + 1, [], False),
    'not so long since': (HOUR_S, [], True),
    'launched before': (-1, [], True),
    'never launched': (None, [], True),
    'and another one ended well since': (
        1, [ended(1, 'host2', 'Error'), ended(2, 'host3')], False),
    'which ended well before': (
        1, [ended(1, 'host3'), ended(2, 'host2', 'Error')], True),
    'which failed too': (
        1, [ended(1, 'host2', 'Error'), ended(2, 'host3', 'Error')], True),
    'which is the same': (1, [ended(1, 'host2')], True),
    'and its launch was before': (
        -1, [ended(1, 'host2', 'Error'), ended(2, 'host3')], True),
}


@pytest.mark.parametrize('launched_s, events, counts', LAUNCHED.values(),
                         ids=LAUNCHED)
def test_a_failure_counts_unless_the_guest_was_launched_since(
        launched_s, events, counts):
    """By an hour: a destination stamps a launch by its own clock, which may
    run ahead of the one that stamps records."""
    record = samples.migration(status='error', destination='host2',
                               updated_at=samples.NOON)
    launched = None if launched_s is None else (
        samples.NOON + datetime.timedelta(seconds=launched_s))
    found = dataclasses.replace(
        samples.trace(record, launched_at=launched),
        events={'req-7': tuple(events)})
    view = at(R.READY, found=found)
    assert bool(safety.unexplained(view.row, (), found)) is counts


@pytest.mark.parametrize('status, counts', [
    ('accepted', True), ('pre-migrating', False), ('failed', False),
    ('done', False)])
def test_of_another_source_only_what_nobody_took_counts(status, counts):
    """Conductor would take it for the next request (F7)."""
    record = samples.migration(source='host9', status=status,
                               destination='host2')
    view = at(R.READY, found=samples.trace(record))
    assert bool(safety.unexplained(view.row, (), view.trace)) is counts


def test_other_events_say_nothing_of_a_launch():
    record = samples.migration(status='error', destination='host2',
                               updated_at=samples.NOON)
    found = dataclasses.replace(
        samples.trace(record, launched_at=samples.NOON +
                      datetime.timedelta(seconds=1)),
        events={'req-7': (
            ended(1, 'host2', 'Error'),
            dataclasses.replace(ended(2, 'host3'), name='rebuild_server'))})
    view = at(R.READY, found=found)
    assert safety.unexplained(view.row, (), found) == [record]


def test_a_record_without_a_time_counts():
    record = samples.migration(status='error', destination='host2',
                               created_at=None)
    view = at(R.READY, found=samples.trace(record))
    assert safety.unexplained(view.row, (), view.trace) == [record]


FOREIGN = {
    'somebodys': ('req-9', 'host2', None, {'host2'}),
    'ours': ('req-1', 'host2', None, set()),
    'on its source': ('req-9', 'host1', None, set()),
    'on no host': ('req-9', None, None, set()),
    'it ended well': ('req-9', 'host2', 'Success', set()),
}


@pytest.mark.parametrize('request_id, host, result, expected',
                         FOREIGN.values(), ids=FOREIGN)
def test_where_somebody_elses_evacuation_was(request_id, host, result,
                                             expected):
    found = samples.trace(request=request_id,
                          events=(samples.event(COMPUTED, host, result),))
    view = at(R.READY, OWN, found=found)
    assert safety.foreign_hosts(view.row, view.attempts, found) == expected


def test_only_a_destinations_event_says_where():
    found = samples.trace(request='req-9', events=(
        samples.event(CONDUCTED, 'cond'),))
    assert not safety.foreign_hosts(samples.recovery(), (), found)
