# SPDX-License-Identifier: Apache-2.0
"""A failover of a cell's database that takes the records of an attempt."""

import dataclasses

import pytest

from nova_pets.model import states
from nova_pets.planning import safety
from nova_pets.planning import settling
from nova_pets.planning import watching
from nova_pets.tests.unit.planning import samples

H = states.HostState
G = states.GuestAnswer
R = states.RecoveryState
SENT = samples.attempt(gate=states.Gate.CONSUMED)
SEEN = dataclasses.replace(SENT, destination='host2')
CONDUCTED = samples.event('rebuild_server', 'cond')
COMPUTED = samples.event('compute_rebuild_instance', 'host2')
CLAIMED = samples.migration(status='pre-migrating', destination='host2')


def view(attempt, *records, events=(CONDUCTED,), **values):
    values.setdefault('found', samples.trace(*records, events=events))
    return samples.recovery_view(
        R.SCHEDULING, (attempt,) if attempt else (), **values)


LOST = {
    'its action is gone': (SENT, (), ()),
    'a destination gave it up and never began':
        (SENT, (samples.migration(status='failed'),), (CONDUCTED,)),
    'who was seen to build it is named nowhere':
        (SEEN, (samples.migration(),), (CONDUCTED,)),
    'and there is no record at all': (SEEN, (), (CONDUCTED,)),
}
THERE = {
    'nobody has it yet': (SENT, (samples.migration(),), (CONDUCTED,)),
    'it failed before its claim':
        (SENT, (samples.migration(status='failed'),), (COMPUTED,)),
    'conductor found no host':
        (SENT, (samples.migration(status='error'),), (CONDUCTED,)),
    'it is being built': (SEEN, (CLAIMED,), (COMPUTED,)),
    'the record is enough': (SEEN, (CLAIMED,), (CONDUCTED,)),
    'the event is enough': (SEEN, (samples.migration(),), (COMPUTED,)),
    'only placement named it':
        (dataclasses.replace(SEEN, reason='located'),
         (samples.migration(),), (CONDUCTED,)),
    'its gate let nothing through':
        (dataclasses.replace(SENT, gate=states.Gate.ARMED), (), ()),
    'it is somebody else\'s': (dataclasses.replace(
        SENT, kind=states.AttemptKind.FOREIGN), (), ()),
    'there is no attempt': (None, (), ()),
}


@pytest.mark.parametrize('attempt, records, events', LOST.values(), ids=LOST)
def test_the_cell_contradicts_what_was_committed(attempt, records, events):
    assert watching.are_records_lost(view(attempt, *records, events=events))


@pytest.mark.parametrize('attempt, records, events', THERE.values(),
                         ids=THERE)
def test_nothing_is_missing(attempt, records, events):
    assert not watching.are_records_lost(
        view(attempt, *records, events=events))


def test_what_was_not_read_is_not_lost():
    assert not watching.are_records_lost(view(SENT, found=None))


def test_the_loss_is_the_reason_whatever_else_there_is():
    moved = watching.failed(view(SENT, events=()), 'failed',
                            'scheduling_lost')
    assert (moved.reason, moved.attempt_changes['reason']) == (
        'records_lost', 'records_lost')
    moved = watching.failed(view(SENT), 'failed', 'scheduling_lost')
    assert moved.reason == 'scheduling_lost'


LOCATED = dataclasses.replace(SEEN, reason='located')


@pytest.mark.parametrize('attempt, events, reason, kept', [
    (LOCATED, (CONDUCTED,), 'destination_down', 'not_taken'),
    (LOCATED, (CONDUCTED,), 'scheduling_lost', 'not_taken'),
    (LOCATED, (CONDUCTED,), 'building_slow', 'building_slow'),
    (LOCATED, (CONDUCTED,), 'no_valid_host', 'no_valid_host'),
    (LOCATED, (COMPUTED,), 'destination_down', 'destination_down'),
    (SEEN, (COMPUTED,), 'destination_down', 'destination_down'),
    (SENT, (CONDUCTED,), 'scheduling_lost', 'scheduling_lost')])
def test_an_attempt_says_whether_its_destination_was_seen_to_take_it(
        attempt, events, reason, kept):
    moved = watching.failed(view(attempt, events=events), 'failed', reason)
    assert (moved.reason, moved.attempt_changes['reason']) == (reason, kept)


@pytest.mark.parametrize('state_s, reasons', [
    (1.0, []), (601.0, ['records_lost'])])
def test_a_build_without_records_is_not_awaited_for_long(state_s, reasons):
    policy = samples.policy_with(scheduling_timeout_s=600.0,
                                 building_alarm_s=1800.0)
    known = dataclasses.replace(view(SEEN), state_s=state_s)
    planned = watching.plan_building(
        known, samples.snap(samples.host_view(state=H.FENCED),
                            samples.host_view('host2')), policy)
    assert [action.reason for action in planned] == reasons


# -- where its guest may be ---------------------------------------------------

GONE = dataclasses.replace(SENT, gate=states.Gate.CLOSED,
                           reason='records_lost')


def settle(attempt=GONE, allocations=('host1',), state_s=1.0, found=None,
           **guests):
    return settling.next_step(
        samples.recovery(R.SETTLING), (attempt,),
        settling.Findings(found or samples.trace(), frozenset(allocations),
                          guests),
        samples.snap(
            samples.host_view(state=H.FENCED), samples.host_view('host2'),
            samples.host_view('host3'),
            samples.host_view('host9', row={'cell_uuid': 'other'})),
        samples.POLICY, state_s)


def test_all_hosts_of_the_cell_are_asked_and_no_other():
    assert settle() == settling.Probe('host2')
    assert settle(host2=G.NOT_RUNNING) == settling.Probe('host3')
    assert settle(host2=G.NOT_RUNNING, host3=G.NOT_RUNNING).event == 'clean'


def test_a_guest_that_is_found_is_adopted():
    found = settle(host2=G.NOT_RUNNING, host3=G.RUNNING)
    assert isinstance(found, settling.Adopt)
    assert found.destination == 'host3'


def test_one_that_does_not_answer_is_waited_for():
    assert settle(host2=G.UNREACHABLE).reason == 'probe_unreachable'


def test_where_it_was_seen_to_be_built_is_enough():
    seen = dataclasses.replace(GONE, destination='host3')
    assert settle(seen) == settling.Probe('host3')
    assert settle(seen, host3=G.NOT_RUNNING).event == 'clean'


BUILT = dataclasses.replace(GONE, destination='host3',
                            reason='destination_down')
"""It was seen to be built there, and failed; then the cell failed over."""
HELD = {'allocations': ('host1', 'host3'), 'host3': G.NOT_RUNNING}


def test_where_it_was_seen_before_it_failed_is_asked_too():
    assert settle(BUILT) == settling.Probe('host3')
    assert isinstance(settle(BUILT, host3=G.RUNNING), settling.Adopt)
    assert settle(BUILT, host3=G.NOT_RUNNING).event == 'clean'
    assert settle(BUILT, **HELD).reason == 'destination_building'


NOT_FORGOTTEN = {
    'only placement named it':
        (dataclasses.replace(BUILT, reason='not_taken'), samples.trace()),
    'a person says that it is over': (dataclasses.replace(
        BUILT, reason='said_to_be_over'), samples.trace()),
    'it is somebody else\'s': (dataclasses.replace(
        BUILT, kind=states.AttemptKind.FOREIGN), samples.trace()),
    'its record is there': (BUILT, samples.trace(
        samples.migration(status='error', destination='host3'))),
    'its event is there': (BUILT, samples.trace(events=(
        samples.event('compute_rebuild_instance', 'host3', 'Error'),))),
}


@pytest.mark.parametrize('attempt, found', NOT_FORGOTTEN.values(),
                         ids=NOT_FORGOTTEN)
def test_room_is_taken_at_once_where_nothing_was_lost(attempt, found):
    assert settle(attempt, found=found, **HELD) == (
        settling.RemoveAllocations('host3'))


def test_another_host_does_not_speak_for_it():
    for found in (samples.trace(samples.migration(
            status='error', destination='host2')),
            samples.trace(events=(samples.event(
                'compute_rebuild_instance', 'host2', 'Error'),))):
        assert settle(BUILT, found=found, host2=G.NOT_RUNNING, **HELD
                      ).reason == 'destination_building'


def test_without_an_attempt_nothing_is_lost():
    assert safety.hosts_of_lost(samples.recovery(R.SETTLING), None,
                                samples.trace(), samples.snap()) == set()


def test_other_failures_search_nowhere():
    assert settle(dataclasses.replace(
        GONE, reason='scheduling_lost')).event == 'clean'


def test_a_host_that_holds_room_may_still_build():
    held = {'allocations': ('host1', 'host2'), 'host2': G.NOT_RUNNING}
    assert settle(**held).reason == 'destination_building'
    late = settle(state_s=99999.0, **held)
    assert (late.event, late.reason) == ('needs_operator', 'building_slow')
    other = dataclasses.replace(GONE, reason='scheduling_lost')
    assert settle(other, **held) == settling.RemoveAllocations('host2')


# -- a record that is there again ---------------------------------------------


def used(status='failed', host='host2', migration=3, own=5):
    """Attempt 2 was sent with record 5, and conductor took record 3, which
    attempt 1 had deleted."""
    before = samples.attempt(id=10, number=0, request_id='req-0',
                             migration_id=3, outcome=states.Outcome.FAILED)
    mine = samples.attempt(migration_id=own, reason='destination_failed')
    trace = samples.trace(
        samples.migration(migration, status, destination='host2'),
        events=(samples.event('compute_rebuild_instance', host, 'Error'),))
    return settling.next_step(
        samples.recovery(R.SETTLING), (before, mine),
        settling.Findings(trace, frozenset({'host1'})),
        samples.snap(samples.host_view(state=H.FENCED),
                     samples.host_view('host2')), samples.POLICY, 1.0)


def test_where_our_request_was_built_is_asked_whatever_record_it_used():
    assert used() == settling.Probe('host2')


def test_an_event_without_a_host_asks_nobody():
    assert used(host=None).event == 'clean'


# -- what arrived, and is forgotten -------------------------------------------


def arrived(number, outcome='succeeded', destination='host2'):
    return samples.attempt(number=number, destination=destination,
                           outcome=states.Outcome(outcome))


UNDONE = {
    'it had arrived': ((arrived(1),), {'host2'}),
    'it was adopted': ((arrived(1, 'adopted'),), {'host2'}),
    'what was not sent since says nothing': (
        (arrived(1), arrived(2, 'not_sent', None)), {'host2'}),
    'nor does what is open': ((arrived(1), arrived(2, 'open', 'host3')),
                              {'host2'}),
    'what was settled since has asked': (
        (arrived(1), arrived(2, 'failed', 'host3')), set()),
    'nobody knows where': ((arrived(1, destination=None),), set()),
    'it is where it arrived': ((arrived(1, destination='host1'),), set()),
    'none was asked for': ((), set()),
}


@pytest.mark.parametrize('attempts, expected', UNDONE.values(), ids=UNDONE)
def test_where_it_had_arrived_by_its_last_attempt(attempts, expected):
    assert safety.undone_arrivals(samples.recovery(), attempts) == expected


def test_who_had_arrived_is_asked_for_before_the_next_attempt():
    """It was adopted where placement had no room for it, and the cell forgot
    that: nothing but our attempt named its host (30006674)."""
    snap = samples.snap(samples.host_view(state=H.FENCED),
                        samples.host_view('host2'))

    def step(**guests):
        return settling.next_step(
            samples.recovery(R.SETTLING),
            (arrived(1, 'adopted'), arrived(2, 'open', None)),
            settling.Findings(samples.trace(), allocations=frozenset(
                {'host1'}), guests=guests), snap, samples.POLICY, 1.0)
    assert step() == settling.Probe('host2')
    assert isinstance(step(host2=G.RUNNING), settling.Adopt)
    assert step(host2=G.NOT_RUNNING).event == 'clean'


# -- who is dead, whatever an event says --------------------------------------

CAME = samples.migration(5, 'done', destination='host2')
LEFT = samples.migration(6, 'completed', source='host2')
BEGUN_ANEW = {
    'what had left was removed': ((CAME, LEFT), True),
    'it is still to be': (
        (CAME, dataclasses.replace(LEFT, status='done')), False),
    'another host\'s': ((CAME, dataclasses.replace(LEFT, source='host3')),
                        False),
    'then it came': ((dataclasses.replace(CAME, id=7), LEFT), False),
    'another host was asked since': (
        (CAME, LEFT, dataclasses.replace(CAME, id=7, destination='host3')),
        True),
    'no record of its coming is left': ((LEFT,), True),
    'none at all': ((), False),
}


@pytest.mark.parametrize('found, is_over', BEGUN_ANEW.values(),
                         ids=BEGUN_ANEW)
def test_a_start_of_its_destination_ends_what_it_worked_on(found, is_over):
    """An event whose end the cell has lost said that it builds there, for
    ever, and a person's retry changed nothing (30005516, 30006882)."""
    snap = samples.snap(samples.host_view(), samples.host_view('host2'))
    step = settling.settle_host(
        samples.recovery(R.VERIFYING, destination='host1'), None, 'host2',
        settling.Findings(samples.trace(*found, events=(COMPUTED,)),
                          allocations=frozenset({'host1'})),
        snap, samples.POLICY, 1.0)
    assert (step == settling.Probe('host2')) is is_over
