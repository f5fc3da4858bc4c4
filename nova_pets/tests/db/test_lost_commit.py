# SPDX-License-Identifier: Apache-2.0
"""A connection that breaks at COMMIT: did the write take place or not?

A facade between the store and the real one breaks the first transactions,
either before COMMIT is sent or after the server has done it.
"""

import contextlib
import dataclasses

from oslo_db import exception as db_exception
import pytest

from nova_pets import exception
from nova_pets.db import models
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.tests.db import samples

pytestmark = pytest.mark.sql('breaks the connection under the store')

State = states.RecoveryState


class BreakingFacade:
    """Breaks the first ``times`` transactions of writers."""

    def __init__(self, facade, when, times=1, between=lambda: None,
                 error=db_exception.DBConnectionError):
        self._facade = facade
        self._when = when
        self._left = times
        self._between = between
        self._error = error
        self.reader = facade.reader

    @property
    def writer(self):
        return self

    connection = writer

    @contextlib.contextmanager
    def using(self, context):
        breaks = self._left > 0
        self._left -= 1
        with self._facade.writer.connection.using(context) as conn:
            yield conn
            if breaks and self._when == 'before':
                raise self._error('gone before COMMIT')
        if breaks:
            self._between()
            raise self._error('gone after COMMIT')


def claim(store, broken, me):
    one = samples.opened(store)
    assert broken.claim_recovery(one.id, 0, me) == 1
    found = store.recovery(one.id)
    assert (found.owner, found.generation) == (me, 1)


def advance_host(store, broken, me):
    row = samples.host(store, me=me)
    written = broken.advance_host(
        dataclasses.replace(row, state=states.HostState.DOWN), 1, me,
        samples.event())
    assert written.generation == store.host('host1').generation == 2
    assert len(store.history()) == 1


def advance_recovery(store, broken, me):
    one = samples.claimed(store, me)
    written, attempt = broken.advance_recovery(
        dataclasses.replace(one, state=State.REQUESTING), 1, me,
        samples.event('attempt_begun'), samples.attempt(one))
    assert written.generation == store.recovery(one.id).generation == 2
    assert store.attempts(one.id) == [attempt]
    assert [line.code for line in store.history()] == [
        'source_proven', 'attempt_begun']


def register(store, broken, me):
    one = samples.engine()
    broken.register_engine(one)
    assert one.id in {row.id for row in store.engines()}


def renew(store, broken, me):
    renewals = broken.renew_engine(me, 0, {'waits': []})
    assert store.engines()[0].renewals == renewals
    assert store.renew_engine(me, renewals) == renewals + 1


def take_slot(store, broken, me):
    assert broken.take_slot(me, 0)
    assert store.engines()[0].slot == 0


def consume(store, broken, me):
    _, attempt = samples.begun(store, me)
    assert broken.consume_gate(attempt.id, attempt.request_id)
    assert not store.consume_gate(attempt.id, attempt.request_id)


def take_over(store, broken, me):
    one = samples.opened(store)
    assert broken.take_over(one, 'req-1')
    assert len(store.attempts(one.id)) == 1


def end_control(store, broken, me):
    control = store.add_control(records.Control(
        None, states.ControlKind.PAUSE, 'all'))
    assert broken.end_control(control, 'user a', 'done')
    assert len(store.history()) == 2


def open_recoveries(store, broken, me):
    two = [samples.recovery(), samples.recovery()]
    broken.open_recoveries(two, samples.event())
    assert len(store.recoveries()) == len(store.history()) == 2


def upsert(store, broken, me):
    broken.upsert_pets([samples.pet()])
    assert [pet.generation for pet in store.pets()] == [0]


def forget(store, broken, me):
    pet = samples.pet()
    store.upsert_pets([pet])
    broken.forget_pets([pet.instance_uuid], 'untagged')
    assert store.pets() == [] and len(store.history()) == 1


def ensure_hosts(store, broken, me):
    broken.ensure_hosts([('host1', samples.CELL)])
    assert store.host('host1').generation == 0


RECOGNISED = [claim, advance_host, advance_recovery, register, renew,
              take_slot, consume, take_over, end_control, open_recoveries,
              upsert, forget, ensure_hosts]


@pytest.mark.parametrize('when', ['before', 'after'])
@pytest.mark.parametrize('write', RECOGNISED, ids=lambda f: f.__name__)
def test_write_is_done_once_and_known_to_be_done(db, store, when, write):
    me = samples.registered(store)
    write(store, db.store(BreakingFacade(db.facade, when)), me)


@pytest.mark.parametrize('write', RECOGNISED, ids=lambda f: f.__name__)
def test_write_is_repeated_after_a_deadlock(db, store, write):
    me = samples.registered(store)
    write(store, db.store(BreakingFacade(
        db.facade, 'before', 5, error=db_exception.DBDeadlock)), me)


@pytest.mark.parametrize('place', ['first', 'last'])
def test_success_is_looked_for_in_its_own_row(db, store, place):
    me = samples.registered(store)
    hosts = ['host1', 'host2', 'host3']
    store.ensure_hosts([(host, samples.CELL) for host in hosts])
    name = hosts[0] if place == 'first' else hosts[-1]
    broken = db.store(BreakingFacade(db.facade, 'after'))
    assert broken.claim_host(name, 0, me) == 1


def test_own_claim_is_told_from_anothers(db, store):
    """A repeated claim that somebody else won is not claimed as ours."""
    me, other = samples.registered(store), samples.registered(store)
    one = samples.opened(store)
    broken = db.store(BreakingFacade(db.facade, 'before', 1))
    store.claim_recovery(one.id, 0, other)
    assert broken.claim_recovery(one.id, 0, me) is None


def test_success_that_somebody_wrote_over_is_a_conflict(db, store):
    me, other = samples.registered(store), samples.registered(store)
    row = samples.host(store, me=me)

    def overtake():
        store.depose_engine(me, 0)
        store.claim_host('host1', 2, other)

    broken = db.store(BreakingFacade(db.facade, 'after', 1, overtake))
    with pytest.raises(exception.RowConflict):
        broken.advance_host(row, 1, me, None)
    assert store.host('host1').generation == 3


def test_second_delivery_is_not_taken_for_the_first(db, store):
    """Both have the same request_id; only one of them may pass."""
    me = samples.registered(store)
    _, attempt = samples.begun(store, me)
    broken = db.store(BreakingFacade(db.facade, 'before', 1))
    original = broken._run._facade.using

    @contextlib.contextmanager
    def late(context):
        store.consume_gate(attempt.id, attempt.request_id)
        with original(context) as conn:
            yield conn

    broken._run._facade.using = late
    assert not broken.consume_gate(attempt.id, attempt.request_id)


def test_renewal_that_another_made_is_a_deposition(db, store):
    me = samples.registered(store)
    store.renew_engine(me, 0)
    broken = db.store(BreakingFacade(
        db.facade, 'before', 1, error=db_exception.DBDeadlock))
    with pytest.raises(exception.EngineDeposed):
        broken.renew_engine(me, 0)


@pytest.mark.parametrize('when,landed', [('before', 0), ('after', 3)])
def test_engine_that_lost_its_renewals_in_an_outage_goes_on(db, store, when,
                                                            landed):
    """It is no other engine that moved the counter; it moves again."""
    me = samples.registered(store)
    facade = BreakingFacade(db.facade, when, 3)
    broken = db.store(facade)
    with pytest.raises(exception.StoreUnavailable):
        broken.renew_engine(me, 0)
    assert store.engines()[0].renewals == landed
    assert broken.renew_engine(me, 0) == landed + 1
    assert store.engines()[0].renewals == landed + 1
    # And only that once: now it knows again.
    with pytest.raises(exception.EngineDeposed):
        broken.renew_engine(me, landed)


def test_engine_deposed_in_an_outage_notices(db, store):
    me = samples.registered(store)
    broken = db.store(BreakingFacade(db.facade, 'after', 3))
    with pytest.raises(exception.StoreUnavailable):
        broken.renew_engine(me, 0)
    assert store.depose_engine(me, 3)
    with pytest.raises(exception.EngineDeposed):
        broken.renew_engine(me, 0)


def test_renewals_that_were_seen_are_not_forgiven(db, store):
    """Another process under the same id would be a bug: it is noticed."""
    me = samples.registered(store)
    broken = db.store(BreakingFacade(db.facade, 'after', 1))
    for renewals in range(4):
        store.renew_engine(me, renewals)
    with pytest.raises(exception.EngineDeposed):
        broken.renew_engine(me, 0)


@pytest.mark.parametrize('write', [
    lambda store: store.record(samples.event()),
    lambda store: store.record_refusal('u-1', 'req-1', 'refused'),
    lambda store: store.add_control(records.Control(
        None, states.ControlKind.PAUSE, 'all'))],
    ids=['record', 'record_refusal', 'add_control'])
@pytest.mark.parametrize('when', ['before', 'after'])
def test_write_that_cannot_be_recognised_is_not_repeated(db, store, when,
                                                         write):
    with pytest.raises(exception.StoreUnavailable):
        write(db.store(BreakingFacade(db.facade, when)))
    assert db.count(models.EVENTS) == (when == 'after')


def test_outage_is_reported_instead_of_waited_for(db, store):
    me = samples.registered(store)
    broken = db.store(BreakingFacade(db.facade, 'before', 1000))
    with pytest.raises(exception.StoreUnavailable, match='gone before'):
        broken.renew_engine(me, 0)
    assert broken._run._facade._left == 1000 - 3
