# SPDX-License-Identifier: Apache-2.0
"""What tests/db cannot ask of the store in memory: failovers, lost answers,
the time, and that it stays quick.
"""

import dataclasses
import datetime
import random
import time

import pytest

from nova_pets import exception
from nova_pets.db import rows
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.simulator import engines
from nova_pets.simulator import kernel
from nova_pets.simulator import memory_database
from nova_pets.simulator import memory_rows
from nova_pets.simulator import memory_store
from nova_pets.simulator import tables as tables_
from nova_pets.tests.db import samples
from nova_pets.tests.db import sequences


class Side:
    """Side tables, their clock, and stores."""

    def __init__(self, tables=None):
        self.seconds = kernel.START
        self.tables = tables or tables_.Tables(lambda: self.seconds)
        self.database = memory_database.MemoryDatabase(self.tables)

    def store(self, actor='engine test/1'):
        return memory_store.MemoryStore(self.database, actor)


@pytest.fixture
def side():
    return Side()


@pytest.fixture
def store(side):
    return side.store()


def answers(store):
    """Return all that can be asked; of rows, indexes and what is kept."""
    gates = [store.gate_view(uuid, sequences.HOSTS)
             for uuid in sequences.UUIDS]
    return (store.snapshot(), store.engines(True), store.pets(),
            store.recoveries(), store.controls(False),
            store.history(limit=10_000), gates,
            [store.attempts(row.id) for row in store.recoveries()],
            [store.tombstoned(uuid) for uuid in sequences.UUIDS],
            store.in_flight(), store.unsafe_hosts())


def send(store, call):
    name, *arguments = call
    try:
        getattr(store, name)(*arguments)
    except (exception.PetsException, ValueError):
        pass


@pytest.mark.parametrize('seed', range(40))
def test_failover_leaves_what_was_answered_then(seed):
    """Every answer is the one of that moment, and of a store made anew."""
    side, chance = Side(), random.Random(seed)
    store = side.store()
    past = {side.seconds: answers(store)}
    for calls in sequences.Sequence(seed, store).calls(60):
        for call in calls:
            side.seconds += 1.0
            send(store, call)
        past[side.seconds] = answers(store)
        if chance.random() < .1:
            moment = chance.choice(sorted(past)[-5:])
            side.tables.lose_since(moment)
            assert answers(store) == past[moment], f'seed {seed}'
            past = {at: was for at, was in past.items() if at <= moment}
    assert answers(store) == answers(Side(side.tables).store()), (
        f'seed {seed}')


def test_a_lost_request_may_come_again(side, store):
    """The index of requests forgets what a failover took."""
    me = samples.registered(store)
    one = samples.claimed(store, me)
    then = side.seconds
    side.seconds += 1.0
    wanted = samples.attempt(one)
    store.advance_recovery(one, 1, me, None, wanted)
    side.tables.lose_since(then)
    assert store.attempts(one.id) == []
    _, attempt = store.advance_recovery(one, 1, me, None, wanted)
    assert store.consume_gate(attempt.id, wanted.request_id)


@pytest.mark.parametrize('lost', [1, 3])
def test_engine_whose_renewals_were_not_answered_goes_on(store, lost):
    """As db/engines.py has it: only that once."""
    me = samples.registered(store)
    for _ in range(lost):
        store.renew_engine(me, 0)
        store.lose_renewal(me, 0)
    assert store.renew_engine(me, 0) == lost + 1
    with pytest.raises(exception.EngineDeposed):
        store.renew_engine(me, lost)


def test_unanswered_renewal_is_forgiven_to_its_own_store_only(side, store):
    me = samples.registered(store)
    store.renew_engine(me, 0)
    store.lose_renewal(me, 0)
    with pytest.raises(exception.EngineDeposed):
        side.store().renew_engine(me, 0)


def test_unanswered_renewal_of_a_deposed_engine_is_not_forgiven(store):
    me = samples.registered(store)
    store.renew_engine(me, 0)
    store.lose_renewal(me, 0)
    assert store.depose_engine(me, 1)
    with pytest.raises(exception.EngineDeposed):
        store.renew_engine(me, 0)


def test_stores_of_one_database_see_the_same(side, store):
    other = side.store('engine test/2')
    one = samples.opened(store)
    assert other.snapshot() == store.snapshot()
    assert other.take_over(one, 'req-1')
    assert store.recovery(one.id).state is states.RecoveryState.SCHEDULING
    assert [line.actor for line in store.history()] == [
        'engine test/1', 'engine test/2']


def test_database_tells_the_time_of_the_schedulers(side, store):
    assert store.now() == engines.NOON
    side.seconds += 90.5
    assert store.now() == engines.NOON + datetime.timedelta(seconds=90.5)


def test_rows_do_not_follow_what_the_caller_does_later(store):
    report = {'waits': ['a']}
    one = samples.engine(report=report)
    store.register_engine(one)
    report['waits'].append('b')
    assert store.engines()[0].report == {'waits': ['a']}


@pytest.mark.parametrize('record_type,codec', [
    (records.Engine, rows.ENGINE), (records.Host, rows.HOST),
    (records.Pet, rows.PET), (records.Recovery, rows.RECOVERY),
    (records.Attempt, rows.ATTEMPT), (records.Event, rows.EVENT),
    (records.Control, rows.CONTROL)], ids=lambda one: getattr(
        one, '__name__', ''))
def test_text_is_as_long_as_the_columns_of_sql(record_type, codec):
    """The lengths are written down twice: the simulator knows no SQL."""
    stored = memory_rows.as_stored(record_type(**{
        field.name: 'x' * 30_000 if field.name in rows._FREE_TEXT else None
        for field in dataclasses.fields(record_type)}), None)
    kept = {name: len(getattr(stored, name)) for name in
            rows._FREE_TEXT & memory_rows.WAYS[record_type].keys()}
    assert kept == {
        column.name: column.type.length or rows._TEXT_MAX
        for column in codec.columns if column.name in rows._FREE_TEXT}


def test_snapshot_of_a_busy_cloud_is_read_quickly(store):
    """Some 2000 are read in one simulated run."""
    me = samples.registered(store)
    for number in range(10):
        row = samples.host(store, f'host{number}', me=me)
        store.advance_host(dataclasses.replace(
            row, state=states.HostState.FENCED), 1, me, None)
        samples.begun(store, me)
    durations = []
    for renewals in range(200):
        store.renew_engine(me, renewals)
        begun_at = time.perf_counter()
        found = store.snapshot()
        durations.append(time.perf_counter() - begun_at)
    assert len(found.attempts) == len(found.hosts) == 10
    # Some 10 us on an idle machine; the bound only catches a blunder.
    assert min(durations) < 0.001
