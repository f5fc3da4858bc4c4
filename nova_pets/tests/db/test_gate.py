# SPDX-License-Identifier: Apache-2.0
"""What the scheduler's side asks and tells."""

import dataclasses

import pytest

from nova_pets import exception
from nova_pets.db import models
from nova_pets.model import states
from nova_pets.tests.db import samples

State = states.RecoveryState


@pytest.fixture
def me(store):
    return samples.registered(store)


def set_host(store, me, name, state):
    row = samples.host(store, name, me=me)
    store.advance_host(dataclasses.replace(row, state=state, owner=None),
                       row.generation, me, None)


# -- gate_view ----------------------------------------------------------------

def test_stranger_is_no_pet(store):
    samples.opened(store)
    store.upsert_pets([samples.pet()])
    view = store.gate_view(samples.new_uuid(), ['host1'])
    assert (view.is_pet, view.host_states, view.recovery, view.attempt) == (
        False, {}, None, None)


def test_tagged_instance_is_a_pet(store):
    pet = samples.pet()
    store.upsert_pets([pet])
    assert store.gate_view(pet.instance_uuid, []).is_pet


def test_untagged_instance_with_an_open_recovery_is_a_pet(store):
    one = samples.opened(store)
    view = store.gate_view(one.instance_uuid, [])
    assert view.is_pet and view.recovery == one and view.attempt is None


def test_closed_recovery_is_not_seen(store, me):
    one = samples.claimed(store, me)
    store.advance_recovery(dataclasses.replace(
        one, state=State.RECOVERED), 1, me, None)
    view = store.gate_view(one.instance_uuid, [])
    assert view.recovery is None and not view.is_pet


def test_asked_hosts_and_those_not_up_are_seen_and_no_others(store, me):
    set_host(store, me, 'host1', states.HostState.FENCED)
    samples.host(store, 'host2')
    samples.host(store, 'host3')
    set_host(store, me, 'host4', states.HostState.SUSPECT)
    pet = samples.pet()
    store.upsert_pets([pet])
    view = store.gate_view(pet.instance_uuid, ['host1', 'host2', 'host9'])
    assert view.host_states == {'host1': states.HostState.FENCED,
                                'host2': states.HostState.UP,
                                'host4': states.HostState.SUSPECT}


def test_open_attempt_is_seen_and_settled_ones_are_not(store, me):
    one, first = samples.begun(store, me)
    assert store.gate_view(one.instance_uuid, []).attempt == first
    one, _ = store.advance_recovery(one, one.generation, me, None,
                                    dataclasses.replace(
                                        first,
                                        outcome=states.Outcome.FAILED))
    assert store.gate_view(one.instance_uuid, []).attempt is None
    one, second = store.advance_recovery(
        one, one.generation, me, None, samples.attempt(one, number=2))
    for name in ('host1', 'host2'):
        samples.host(store, name)
    view = store.gate_view(one.instance_uuid, ['host1', 'host2'])
    assert view.attempt == second and len(view.host_states) == 2


def test_own_attempt_goes_before_a_foreign_one(store, me):
    one, foreign = samples.begun(
        store, me, {'kind': states.AttemptKind.FOREIGN})
    _, own = store.advance_recovery(one, one.generation, me, None,
                                    samples.attempt(one))
    assert own.id > foreign.id
    assert store.gate_view(one.instance_uuid, []).attempt == own


@pytest.mark.sql('counts statements')
def test_gate_view_is_one_statement(db, store, me):
    one, _ = samples.begun(store, me)
    samples.host(store)
    with db.statements() as sent:
        store.gate_view(one.instance_uuid, ['host1', 'host2'])
    assert len(sent) == 1


@pytest.mark.sql(
    'there is no row of another version among frozen records')
def test_state_of_another_version_reads_as_quarantined(db, store):
    samples.host(store)
    db.write(models.HOSTS.update().values(state='evaporated'))
    assert store.gate_view(samples.new_uuid(), ['host1']).host_states == {
        'host1': states.HostState.QUARANTINED}
    assert store.unsafe_hosts() == {'host1': states.HostState.QUARANTINED}


@pytest.mark.sql(
    'there is no row of another version among frozen records')
@pytest.mark.parametrize('table,column', [
    (models.RECOVERIES, 'state'), (models.ATTEMPTS, 'gate')],
    ids=['recovery', 'attempt'])
def test_unreadable_row_is_not_taken_for_none(db, store, me, table, column):
    one, _ = samples.begun(store, me)
    db.write(table.update().values({column: 'unheard-of'}))
    with pytest.raises(exception.StoreUnavailable, match='unheard-of'):
        store.gate_view(one.instance_uuid, [])


# -- consume_gate -------------------------------------------------------------

def test_gate_lets_one_delivery_through(store, me):
    one, attempt = samples.begun(store, me)
    assert store.consume_gate(attempt.id, attempt.request_id)
    assert not store.consume_gate(attempt.id, attempt.request_id)
    assert store.attempts(one.id)[0].gate is states.Gate.CONSUMED


def test_gate_is_only_for_its_request(store, me):
    one, attempt = samples.begun(store, me)
    _, second = store.advance_recovery(one, one.generation, me, None,
                                       samples.attempt(one))
    assert not store.consume_gate(attempt.id, second.request_id)
    assert store.consume_gate(attempt.id, attempt.request_id)
    assert store.attempts(one.id)[1].gate is states.Gate.ARMED


@pytest.mark.parametrize('change', [
    {'gate': states.Gate.CLOSED}, {'outcome': states.Outcome.FAILED}],
    ids=['closed', 'settled'])
def test_gate_of_an_ended_attempt_stays_shut(store, me, change):
    one, attempt = samples.begun(store, me)
    store.advance_recovery(one, one.generation, me, None,
                           dataclasses.replace(attempt, **change))
    assert not store.consume_gate(attempt.id, attempt.request_id)


# -- record_refusal -----------------------------------------------------------

@pytest.mark.parametrize('state', sorted(states.OPEN))
def test_refusal_hastens_only_what_waits(store, me, state):
    one = samples.claimed(store, me)
    one, _ = store.advance_recovery(
        dataclasses.replace(one, state=state), 1, me, None)
    store.record_refusal(one.instance_uuid, 'req-1', 'refused: why')
    found = store.recovery(one.id)
    waits = state in (State.PENDING, State.READY, State.WAITING)
    assert (found.urgent, found.generation) == (
        (True, 3) if waits else (False, 2))
    line = store.history(instance_uuid=one.instance_uuid)[-1]
    assert (line.code, line.text, line.evidence) == (
        'foreign_refused', 'refused: why', {'request_id': 'req-1'})


def test_second_refusal_changes_only_the_history(store):
    one, two = samples.opened(store), samples.opened(store)
    for _ in range(2):
        store.record_refusal(one.instance_uuid, 'req-1', 'refused')
    assert store.recovery(one.id).generation == 1
    assert store.recovery(two.id) == two
    assert len(store.history(instance_uuid=one.instance_uuid)) == 3


def test_refusal_of_an_instance_without_recovery_is_history(store):
    uuid = samples.new_uuid()
    store.record_refusal(uuid, 'req-1', 'refused')
    assert len(store.history(instance_uuid=uuid)) == 1


# -- take_over ----------------------------------------------------------------

@pytest.mark.parametrize('state', sorted(states.OPEN))
def test_only_a_recovery_that_could_begin_is_taken_over(store, me, state):
    one = samples.opened(store, state=state)
    won = store.take_over(one, 'req-1')
    assert won is (state in (State.READY, State.WAITING))
    assert len(store.attempts(one.id)) == won
    if not won:
        assert store.recovery(one.id) == one


def test_taken_over_request_is_the_attempt(store, me):
    one, _ = samples.begun(store, me, {
        'migration_id': 9, 'outcome': states.Outcome.FAILED})
    one, _ = store.advance_recovery(
        dataclasses.replace(one, state=State.WAITING, attempts=1,
                            urgent=True, wait_s=8.0),
        one.generation, me, None)
    assert store.take_over(one, 'req-person')
    found = store.recovery(one.id)
    assert (found.state, found.reason, found.attempts, found.owner,
            found.urgent, found.generation) == (
        State.SCHEDULING, 'taken_over', 2, None, False, one.generation + 1)
    attempt = store.gate_view(one.instance_uuid, []).attempt
    assert (attempt.kind, attempt.gate, attempt.request_id, attempt.number,
            attempt.migration_floor, attempt.source) == (
        states.AttemptKind.FOREIGN, states.Gate.CONSUMED, 'req-person', 2,
        9, 'host1')
    line = store.history(recovery_id=one.id)[-1]
    assert (line.code, line.attempt_id, line.from_state, line.to_state) == (
        'taken_over', attempt.id, 'waiting', 'scheduling')


def test_attempts_of_other_instances_do_not_matter(store, me):
    samples.begun(store, me, {'migration_id': 99})
    one = samples.opened(store)
    assert store.take_over(one, 'req-1')
    assert store.attempts(one.id)[0].migration_floor == 0


def test_take_over_of_a_moved_recovery_is_lost(store, me):
    one = samples.opened(store)
    store.claim_recovery(one.id, 0, me)
    assert not store.take_over(one, 'req-1')
    assert store.attempts(one.id) == []


def test_take_over_beside_an_open_attempt_is_lost(store, me):
    one, _ = samples.begun(store, me)
    one, _ = store.advance_recovery(
        dataclasses.replace(one, state=State.READY), one.generation, me,
        None)
    assert not store.take_over(one, 'req-1')


def test_request_is_taken_over_once(store):
    one, two = samples.opened(store), samples.opened(store)
    assert store.take_over(one, 'req-1')
    assert not store.take_over(two, 'req-1')
    assert store.recovery(two.id) == two


def test_engine_that_held_the_claim_finds_it_lost(store, me):
    one = samples.claimed(store, me)
    assert store.take_over(one, 'req-1')
    with pytest.raises(exception.RowConflict):
        store.advance_recovery(one, one.generation, me, None)


# -- what filters and the weigher ask -----------------------------------------

@pytest.mark.parametrize('state', list(states.HostState))
def test_every_host_that_is_not_up_is_unsafe(store, me, state):
    samples.host(store, 'host2')
    set_host(store, me, 'host1', state)
    assert store.unsafe_hosts() == (
        {} if state is states.HostState.UP else {'host1': state})


@pytest.mark.parametrize('states_,outcome,unclean', [
    ({'s': 'up', 'd': 'up'}, 'failed', []),
    ({'s': 'vacated', 'd': 'up'}, 'succeeded', ['s']),
    ({'s': 'returning', 'd': 'up'}, 'succeeded', ['s']),
    ({'s': 'up', 'd': 'fenced'}, 'failed', ['d']),
    ({'s': 'up', 'd': 'up'}, 'open', ['d']),
    ({'s': 'up'}, 'failed', ['d']),
    ({'d': 'up'}, 'succeeded', ['s'])],
    ids=['clean', 'source_off', 'source_returning', 'destination_off',
         'unsettled', 'destination_unknown', 'source_unknown'])
def test_hosts_that_may_hold_a_guest(store, me, states_, outcome, unclean):
    for name, state in states_.items():
        set_host(store, me, name, states.HostState(state))
    one, _ = samples.begun(store, me, {
        'destination': 'd', 'outcome': states.Outcome(outcome)}, source='s')
    assert store.tombstoned(one.instance_uuid) == unclean
    assert store.tombstoned(samples.new_uuid()) == []


def test_open_attempts_in_the_order_in_which_they_were_begun(store, me):
    expected = []
    for destination, outcome in [
            ('host3', 'open'), (None, 'open'), ('host2', 'open'),
            ('host2', 'open'), ('host3', 'failed'), (None, 'open'),
            (None, 'failed'), ('host4', 'succeeded')]:
        _, attempt = samples.begun(store, me, {
            'destination': destination,
            'outcome': states.Outcome(outcome)}, source=f'of {destination}')
        if outcome == 'open':
            expected.append((attempt.request_id, destination))
    assert store.in_flight() == expected


def test_what_has_succeeded_counts_while_others_of_its_wave_are_open(
        store, me):
    """Of 20 pets the last ones were sent to where the first ones had just
    been brought up (seen on the lab: 4 4 3 3 2 1 1 1 1)."""
    rows = [('host1', 1, 'open'), ('host1', 1, 'succeeded'),
            ('host1', 0, 'succeeded'), ('host2', 1, 'succeeded'),
            ('host1', 1, 'open')]
    begun = [samples.begun(
        store, me, {'destination': 'host9',
                    'outcome': states.Outcome(outcome)},
        source=source, epoch=epoch)[1].request_id
        for source, epoch, outcome in rows]
    assert store.in_flight() == [
        (begun[number], 'host9') for number in (0, 1, 4)]


@pytest.mark.sql('counts statements')
@pytest.mark.parametrize('question', [
    lambda store: store.unsafe_hosts(),
    lambda store: store.tombstoned('x'),
    lambda store: store.in_flight()],
    ids=['unsafe_hosts', 'tombstoned', 'in_flight'])
def test_each_question_is_one_statement(db, store, question):
    with db.statements() as sent:
        question(store)
    assert len(sent) == 1
