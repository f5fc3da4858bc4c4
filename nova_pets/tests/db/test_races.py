# SPDX-License-Identifier: Apache-2.0
"""Real processes against one database: effects equal claims won."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import pathlib
import time

import pytest
import sqlalchemy as sa

from nova_pets import exception
from nova_pets.db import claims
from nova_pets.db import models
from nova_pets.db import schema
from nova_pets.model import states
from nova_pets.tests.db import contenders
from nova_pets.tests.db import databases
from nova_pets.tests.db import samples

pytestmark = pytest.mark.sql('races processes; memory is of one')

CLAIMS = 10_000
# SQLite is for the demo and for tests; it has one writer at a time.
CLAIMS_SQLITE = 300
PROCESSES = 3


@pytest.fixture(scope='module')
def ring():
    with contextlib.closing(contenders.Ring()) as found:
        yield found


@pytest.mark.timeout(600)
def test_effects_equal_claims_won(db, store, ring, tmp_path):
    """10,000 contended claims by 3 processes."""
    is_sqlite = db.engine.dialect.name == 'sqlite'
    tries = -(-(CLAIMS_SQLITE if is_sqlite else CLAIMS) // PROCESSES)
    ids = [samples.opened(store).id for _ in range(2)]
    begun_at = time.monotonic()
    (won,) = ring.race(
        db.url, contenders.claim_and_act, [(ids, tries, str(tmp_path))],
        PROCESSES)
    took_s = time.monotonic() - begun_at
    effects = [tuple(map(int, line.split()))
               for path in tmp_path.iterdir()
               for line in pathlib.Path(path).read_text().splitlines()]
    lost = tries * PROCESSES - sum(won)
    print(f'{db.engine.dialect.name}: {tries * PROCESSES} claims, '
          f'{sum(won)} won {won}, {lost} lost, {took_s:.1f} s')
    assert lost > 0 and min(won) > 0, 'there was no contention'
    assert len(effects) == len(set(effects)) == sum(won)
    for recovery_id in ids:
        generations = sorted(generation for one, generation in effects
                             if one == recovery_id)
        # Each claim that was won moved the row by one, giving it up by one.
        assert generations == list(range(1, 2 * len(generations), 2))
        row = store.recovery(recovery_id)
        assert (row.generation, row.owner) == (2 * len(generations), None)


TURNS = 20


def exactly_one(answers):
    return collections.Counter(sum(turn) for turn in answers) == {
        1: len(answers)}


def test_dead_engines_row_goes_to_one_of_two(db, store, ring):
    dead = samples.registered(store)
    rows = [samples.claimed(store, dead) for _ in range(TURNS)]
    store.depose_engine(dead, 0)
    answers = ring.race(db.url, contenders.claim, [
        (row.id, row.generation) for row in rows])
    assert exactly_one(answers)
    assert {store.recovery(row.id).generation for row in rows} == {2}


def test_engine_is_deposed_by_one_of_two(db, store, ring):
    silent = [samples.registered(store) for _ in range(TURNS)]
    assert exactly_one(ring.race(
        db.url, contenders.depose, [(one,) for one in silent]))


def test_slot_goes_to_one_of_two(db, ring):
    assert exactly_one(ring.race(
        db.url, contenders.take_slot, [(slot,) for slot in range(TURNS)]))


def test_request_passes_the_gate_once(db, store, ring):
    me = samples.registered(store)
    attempts = [samples.begun(store, me)[1] for _ in range(TURNS)]
    assert exactly_one(ring.race(db.url, contenders.consume, [
        (one.id, one.request_id) for one in attempts]))


def test_instance_has_one_open_recovery(db, store, ring):
    turns = [([samples.new_uuid() for _ in range(15)],)
             for _ in range(TURNS // 2)]
    answers = ring.race(db.url, contenders.open_recoveries, turns, 3)
    assert [sum(turn) for turn in answers] == [15] * len(turns)
    assert db.count(models.RECOVERIES) == db.count(models.EVENTS) == (
        15 * len(turns))


def test_schema_is_made_by_several_at_once(db, ring, tmp_path):
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(databases.database(
            db.engine.dialect.name, tmp_path)) for _ in range(3)]
        answers = ring.race(db.url, contenders.sync,
                            [(url,) for url in urls], 3)
        assert {one for turn in answers for one in turn} == {schema.head()}
        for url in urls:
            engine = sa.create_engine(url)
            assert schema.version(engine) == schema.head()
            found = sa.inspect(engine)
            for table in models.METADATA.tables.values():
                assert {one.name for one in table.indexes} <= {
                    one['name'] for one in found.get_indexes(table.name)}
            engine.dispose()


def test_pet_is_forgotten_once(db, store, ring):
    turns = [([samples.new_uuid() for _ in range(20)],)
             for _ in range(TURNS // 2)]
    store.upsert_pets([samples.pet(instance_uuid=uuid)
                       for (uuids,) in turns for uuid in uuids])
    answers = ring.race(db.url, contenders.forget, turns, 3)
    assert [sum(turn) for turn in answers] == [20] * len(turns)
    assert db.count(models.EVENTS) == 20 * len(turns)


def test_many_writers_of_the_same_pets_and_hosts(db, store, ring):
    uuids = [samples.new_uuid() for _ in range(60)]
    ring.race(db.url, contenders.upsert_and_forget, [(uuids,)] * 5, 3)
    lines = store.history(limit=10_000)
    assert len(lines) >= 60 / 2
    names = [f'host{number}' for number in range(50)]
    (created,) = ring.race(db.url, contenders.ensure_hosts, [(names,)],
                                 3)
    assert sum(created) == len(store.snapshot().hosts) == 50


@pytest.mark.timeout(120)
def test_nothing_of_a_deposed_engine_lands_after_its_deposition(db, store):
    """An engine advances without pause while another deposes it."""
    pipe, theirs = contenders.SPAWN.Pipe()
    loser = contenders.SPAWN.Process(
        target=contenders.advance_until_deposed, args=(db.url, theirs))
    loser.start()
    try:
        for _ in range(TURNS):
            me = samples.registered(store)
            row = samples.claimed(store, me)
            pipe.send((me, row.id, row.generation))
            deadline = time.monotonic() + 30
            while store.recovery(row.id).generation < row.generation + 3:
                assert time.monotonic() < deadline
            assert store.depose_engine(me, 0)
            then = store.recovery(row.id)
            assert pipe.poll(30)
            assert pipe.recv() == then.generation
            assert store.recovery(row.id) == then
            assert len(store.history(recovery_id=row.id)) == (
                then.generation)
    finally:
        pipe.send(None)
        loser.join(10)
        loser.kill()


def test_deposition_waits_for_the_write_in_flight(server_db):
    store = server_db.store()
    me = samples.registered(store)
    row = samples.claimed(store, me)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with server_db.engine.begin() as conn:
            claims.hold_engine(conn, me)
            conn.execute(sa.update(models.RECOVERIES).values(generation=7))
            deposing = pool.submit(store.depose_engine, me, 0)
            with pytest.raises(concurrent.futures.TimeoutError):
                deposing.result(0.5)
        assert deposing.result(30)
    assert store.recovery(row.id).generation == 7


def test_write_waits_for_the_deposition_in_flight_and_fails(server_db):
    store = server_db.store()
    me = samples.registered(store)
    row = samples.claimed(store, me)
    new = dataclasses.replace(row, state=states.RecoveryState.WAITING)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        with server_db.engine.begin() as conn:
            conn.execute(sa.update(models.ENGINES)
                         .where(models.ENGINES.c.id == me)
                         .values(deposed=True))
            advancing = pool.submit(store.advance_recovery, new, 1, me, None)
            claiming = pool.submit(store.claim_recovery, row.id, 1, me)
            for future in (advancing, claiming):
                with pytest.raises(concurrent.futures.TimeoutError):
                    future.result(0.3)
        with pytest.raises(exception.RowConflict):
            advancing.result(30)
        assert claiming.result(30) is None
    assert store.recovery(row.id) == row


def test_writer_of_sqlite_waits_its_turn(opened):
    """It does not fail because another one writes, to be run again."""
    database = opened('sqlite')
    database.empty()
    store = database.store()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with database.engine.begin() as conn:
            conn.execute(sa.delete(models.EVENTS))
            with database.statements() as sent:
                writing = pool.submit(store.ensure_hosts,
                                      [('host1', samples.CELL)])
                with pytest.raises(concurrent.futures.TimeoutError):
                    writing.result(0.5)
        assert writing.result(30) == 1
    # Those sent while it had to wait: the one that waited.
    assert len(sent) == 1
