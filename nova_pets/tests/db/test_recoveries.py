# SPDX-License-Identifier: Apache-2.0
"""Recoveries and attempts: opening, claims, advances, closing."""

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


@pytest.fixture
def other(store):
    return samples.registered(store)


def untimed(record):
    return dataclasses.replace(record, **{
        field.name: None for field in dataclasses.fields(record)
        if field.name.endswith('_at')})


# -- opening ------------------------------------------------------------------

def test_opened_recovery_holds_every_column(store):
    one = samples.recovery(
        epoch=7, state=State.PENDING, reason='source_down', detail='x',
        priority=9, original_vm_state='stopped',
        desired_power=states.DesiredPower.STOPPED, is_bfv=True,
        disk='rebuild', storage_domain='ceph', attempts=2,
        excluded=('host7',), destination='host8', wait_s=1.5, urgent=True,
        untagged=True)
    assert store.open_recoveries([one], samples.event()) == 1
    (found,) = store.recoveries()
    assert found.created_at is not None and found.since_at is not None
    assert untimed(found) == dataclasses.replace(one, id=found.id)
    assert store.recovery(found.id) == found


def test_each_opened_recovery_gets_a_history_line(store):
    two = [samples.recovery(), samples.recovery(source='host2')]
    store.open_recoveries(two, samples.event('source_down', text='34 s'))
    for one in two:
        (line,) = store.history(instance_uuid=one.instance_uuid)
        (row,) = store.recoveries(instance_uuid=one.instance_uuid)
        assert (line.code, line.text, line.host, line.recovery_id,
                line.to_state) == (
            'source_down', '34 s', one.source, row.id, 'ready')


def test_instance_with_an_open_recovery_keeps_it(store):
    old = samples.opened(store)
    new = [samples.recovery(instance_uuid=old.instance_uuid, epoch=2),
           samples.recovery()]
    assert store.open_recoveries(new, samples.event()) == 1
    assert store.recovery(old.id) == old
    assert len(store.recoveries()) == 2
    assert len(store.history(instance_uuid=old.instance_uuid)) == 1


def test_one_instance_named_twice_is_opened_once(store):
    one = samples.recovery()
    assert store.open_recoveries([one, one], samples.event()) == 1


def test_nothing_to_open_is_nothing(store):
    assert store.open_recoveries([], samples.event()) == 0


def test_recovery_is_not_opened_closed(store):
    with pytest.raises(ValueError):
        store.open_recoveries([samples.recovery(state=State.RECOVERED)],
                              samples.event())


@pytest.mark.sql('is about an index of the database')
def test_database_itself_refuses_a_second_open_recovery(db, store):
    one = samples.opened(store)
    values = {'open_instance': one.instance_uuid}
    samples.opened(store)
    with pytest.raises(Exception, match='(?i)unique|duplicate'):
        db.write(models.RECOVERIES.update().values(values))


@pytest.mark.sql('counts statements')
def test_opening_many_takes_a_few_statements(db, store):
    many = [samples.recovery() for _ in range(300)]
    with db.statements() as sent:
        assert store.open_recoveries(many, samples.event()) == 300
    # sqlite's lock, what is there, the rows, their ids, the history.
    assert len(sent) <= 5
    assert len(store.history()) == 300


# -- reading ------------------------------------------------------------------

def test_recoveries_are_filtered_and_newest_first(store, me):
    one = samples.opened(store, project_id='p1', source='host1')
    two = samples.opened(store, project_id='p2', source='host2',
                         destination='host1', state=State.PENDING)
    three = samples.claimed(store, me, project_id='p1', source='host3')
    three, _ = store.advance_recovery(
        dataclasses.replace(three, state=State.ABANDONED), 1, me, None)
    ids = [three.id, two.id, one.id]

    def found(**filters):
        return [row.id for row in store.recoveries(**filters)]

    assert found() == ids
    assert found(limit=2) == ids[:2]
    assert found(host='host1') == [two.id, one.id]
    assert found(project='p1') == [three.id, one.id]
    assert found(state='pending') == [two.id]
    assert found(state=State.PENDING) == [two.id]
    assert found(only_open=True) == [two.id, one.id]
    assert found(instance_uuid=two.instance_uuid) == [two.id]
    assert found(project='p1', only_open=True) == [one.id]


def test_unknown_recovery_is_none(store):
    assert store.recovery(4711) is None
    assert store.attempts(4711) == []


# -- claims (the rules are test_hosts.py's; here: the same on this table) -----

def test_claims_of_recoveries(store, me, other):
    one = samples.opened(store)
    assert store.claim_recovery(one.id, 1, me) is None
    assert store.claim_recovery(one.id, 0, me) == 1
    assert store.claim_recovery(one.id, 1, other) is None
    store.depose_engine(me, 0)
    assert store.claim_recovery(one.id, 1, me) is None
    assert store.claim_recovery(one.id, 1, other) == 2


# -- advances -----------------------------------------------------------------

def test_intent_is_written_with_its_attempt_and_history(store, me):
    one = samples.claimed(store, me)
    new = dataclasses.replace(
        one, state=State.REQUESTING, reason='attempt_begun', attempts=1,
        excluded=('host5',), detail='to anywhere')
    wanted = samples.attempt(one, migration_floor=12)
    written, attempt = store.advance_recovery(
        new, one.generation, me, samples.event('attempt_begun'), wanted)
    assert written == dataclasses.replace(new, generation=2)
    assert untimed(store.recovery(one.id)) == untimed(written)
    assert untimed(attempt) == dataclasses.replace(wanted, id=attempt.id)
    assert store.attempts(one.id) == [attempt]
    line = store.history(recovery_id=one.id)[-1]
    assert (line.code, line.attempt_id, line.instance_uuid) == (
        'attempt_begun', attempt.id, one.instance_uuid)


def test_attempt_is_updated_and_ends_once(store, me):
    one, attempt = samples.begun(store, me)
    assert attempt.started_at is not None and attempt.ended_at is None
    one, attempt = store.advance_recovery(
        one, one.generation, me, None, dataclasses.replace(
            attempt, destination='host2', migration_id=5))
    assert (attempt.destination, attempt.migration_id) == ('host2', 5)
    one, failed = store.advance_recovery(
        one, one.generation, me, None, dataclasses.replace(
            attempt, outcome=states.Outcome.FAILED, reason='no_valid_host',
            detail='none'))
    assert failed.ended_at is not None
    assert (failed.outcome, failed.reason, failed.detail) == (
        states.Outcome.FAILED, 'no_valid_host', 'none')
    _, again = store.advance_recovery(
        one, one.generation, me, None,
        dataclasses.replace(failed, detail='looked again'))
    assert again.ended_at == failed.ended_at
    assert again.detail == 'looked again'


def test_settled_attempt_is_not_opened_again(store, me):
    one, attempt = samples.begun(store, me)
    one, failed = store.advance_recovery(
        one, one.generation, me, None, dataclasses.replace(
            attempt, outcome=states.Outcome.FAILED))
    with pytest.raises(exception.RowConflict):
        store.advance_recovery(
            dataclasses.replace(one, state=State.BUILDING), one.generation,
            me, None, attempt)
    assert store.recovery(one.id).state is State.REQUESTING
    assert store.attempts(one.id) == [failed]


def test_known_request_id_is_a_conflict_and_writes_nothing(store, me):
    _, known = samples.begun(store, me)
    one = samples.claimed(store, me)
    with pytest.raises(exception.RowConflict):
        store.advance_recovery(
            dataclasses.replace(one, state=State.REQUESTING), 1, me,
            samples.event(),
            samples.attempt(one, request_id=known.request_id))
    assert store.recovery(one.id) == one
    assert len(store.history(recovery_id=one.id)) == 1


def test_attempt_of_another_recovery_is_refused(store, me):
    _, attempt = samples.begun(store, me)
    one = samples.claimed(store, me)
    with pytest.raises(ValueError):
        store.advance_recovery(one, 1, me, None, attempt)
    with pytest.raises(exception.RowConflict):
        store.advance_recovery(one, 1, me, None, dataclasses.replace(
            attempt, recovery_id=one.id))


def test_update_touches_only_its_attempt(store, me):
    one, first = samples.begun(store, me)
    one, second = store.advance_recovery(
        one, one.generation, me, None, samples.attempt(
            one, kind=states.AttemptKind.FOREIGN))
    store.advance_recovery(one, one.generation, me, None,
                           dataclasses.replace(second, destination='h'))
    assert [row.destination for row in store.attempts(one.id)] == [
        None, 'h']


@pytest.mark.parametrize('stored,asked,found', [
    ('armed', 'armed', 'armed'),
    ('armed', 'consumed', 'consumed'),
    ('armed', 'closed', 'closed'),
    ('consumed', 'armed', 'consumed'),
    ('consumed', 'consumed', 'consumed'),
    ('consumed', 'closed', 'closed'),
    ('closed', 'armed', 'closed'),
    ('closed', 'consumed', 'closed'),
    ('closed', 'closed', 'closed')])
def test_gate_moves_forwards_whatever_the_engine_read(
        db, store, me, stored, asked, found):
    one, attempt = samples.begun(store, me)
    db.set(models.ATTEMPTS, gate=states.Gate(stored))
    _, written = store.advance_recovery(
        one, one.generation, me, None,
        dataclasses.replace(attempt, gate=states.Gate(asked)))
    assert written.gate == found
    assert store.attempts(one.id)[0].gate == found


@pytest.mark.parametrize('terminal', sorted(states.TERMINAL))
def test_closed_recovery_is_final_and_frees_its_instance(store, me,
                                                         terminal):
    one = samples.claimed(store, me)
    closed, _ = store.advance_recovery(
        dataclasses.replace(one, state=terminal), 1, me, None)
    found = store.recovery(one.id)
    assert found.finished_at is not None and found.state is terminal
    with pytest.raises(exception.RowConflict):
        store.advance_recovery(
            dataclasses.replace(closed, state=State.READY), 2, me, None)
    again = samples.opened(store, instance_uuid=one.instance_uuid)
    assert again.id != one.id


@pytest.mark.parametrize('state', sorted(states.OPEN))
def test_open_states_keep_the_instance(store, me, state):
    one = samples.claimed(store, me)
    store.advance_recovery(dataclasses.replace(one, state=state), 1, me,
                           None)
    assert store.recovery(one.id).finished_at is None
    assert store.open_recoveries(
        [samples.recovery(instance_uuid=one.instance_uuid)],
        samples.event()) == 0


def test_what_the_instance_was_is_never_written_again(store, me):
    one = samples.claimed(store, me)
    store.advance_recovery(dataclasses.replace(
        one, original_vm_state='error', instance_uuid=samples.new_uuid(),
        project_id='p9'), 1, me, None)
    found = store.recovery(one.id)
    assert (found.original_vm_state, found.instance_uuid,
            found.project_id) == ('active', one.instance_uuid, 'p1')


@pytest.mark.parametrize('generation', [0, 2], ids=['older', 'newer'])
def test_another_generation_is_a_conflict(store, me, generation):
    one = samples.claimed(store, me)
    with pytest.raises(exception.RowConflict):
        store.advance_recovery(
            dataclasses.replace(one, state=State.WAITING), generation, me,
            samples.event(), samples.attempt(one))
    assert store.recovery(one.id) == one
    assert store.attempts(one.id) == []
    assert len(store.history()) == 1


def test_deposed_engine_advances_nothing(store, me):
    one = samples.claimed(store, me)
    store.depose_engine(me, 0)
    with pytest.raises(exception.RowConflict):
        store.advance_recovery(one, 1, me, None)


def test_row_taken_over_by_another_is_a_conflict(store, me, other):
    one = samples.claimed(store, me)
    store.depose_engine(me, 0)
    store.claim_recovery(one.id, 1, other)
    with pytest.raises(exception.RowConflict):
        store.advance_recovery(one, 2, me, None)


def test_advance_touches_only_its_recovery(store, me):
    one, two = samples.claimed(store, me), samples.claimed(store, me)
    store.advance_recovery(dataclasses.replace(one, state=State.WAITING), 1,
                           me, None)
    assert store.recovery(two.id) == two


def test_text_of_any_kind_never_stops_a_recovery(store, me):
    one = samples.claimed(store, me)
    odd = 'nul \0, fire \U0001f525, half \ud83d, ' + 'long ' * 20_000
    store.advance_recovery(
        dataclasses.replace(one, detail=odd, reason='r' * 300), 1, me,
        samples.event(text=odd, evidence={'odd': odd}),
        samples.attempt(one, detail=odd))
    found = store.recovery(one.id)
    assert found.detail.startswith('nul \ufffd, fire \ufffd, half \ufffd, l')
    assert store.history(recovery_id=one.id)[-1].evidence == {'odd': odd}


def test_since_at_moves_with_the_state_only(db, store, me):
    one = samples.claimed(store, me)
    long_ago = one.since_at.replace(year=2001)
    db.set(models.RECOVERIES, since_at=long_ago)
    one, _ = store.advance_recovery(
        dataclasses.replace(one, detail='held'), 1, me, None)
    assert store.recovery(one.id).since_at == long_ago
    store.advance_recovery(
        dataclasses.replace(one, state=State.WAITING), 2, me, None)
    assert store.recovery(one.id).since_at > long_ago
