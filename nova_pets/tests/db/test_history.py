# SPDX-License-Identifier: Apache-2.0
"""The history, and what purge may take."""

import dataclasses
import datetime

import pytest

from nova_pets.db import models
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.tests.db import samples

OLD = datetime.datetime(2020, 1, 1)
BEFORE = datetime.datetime(2021, 1, 1)


@pytest.fixture
def me(store):
    return samples.registered(store)


def test_event_holds_every_column(store):
    event = records.Event(
        code='proven_off', text='34 s', actor='user anna', host='host1',
        instance_uuid=samples.new_uuid(), recovery_id=3, attempt_id=4,
        from_state='down', to_state='fenced', evidence={'tcp': 'silent'})
    store.record(event)
    (found,) = store.history()
    assert found.at is not None
    assert dataclasses.replace(found, id=None, at=None) == event


def test_history_is_filtered_oldest_first_and_keeps_the_newest(db, store):
    for number in range(5):
        store.record(records.Event(
            code=f'c{number}', host='host1' if number % 2 else None,
            instance_uuid='u-1' if number > 2 else None,
            recovery_id=number))
        if number == 0:
            db.age(OLD)

    def codes(**filters):
        return [line.code for line in store.history(**filters)]

    assert codes() == ['c0', 'c1', 'c2', 'c3', 'c4']
    assert codes(limit=2) == ['c3', 'c4']
    assert codes(host='host1') == ['c1', 'c3']
    assert codes(instance_uuid='u-1') == ['c3', 'c4']
    assert codes(recovery_id=2) == ['c2']
    assert codes(since=BEFORE) == ['c1', 'c2', 'c3', 'c4']
    assert codes(since=OLD, host='host1', limit=1) == ['c3']


def test_database_time_is_utc(store):
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    assert abs(store.now() - now) < datetime.timedelta(minutes=5)


def _closed(store, me):
    one, attempt = samples.begun(store, me)
    one, _ = store.advance_recovery(
        dataclasses.replace(one, state=states.RecoveryState.RECOVERED),
        one.generation, me, None, dataclasses.replace(
            attempt, outcome=states.Outcome.SUCCEEDED))
    return one


def test_purge_takes_what_is_closed_and_old(db, store, me):
    _closed(store, me)
    gone = samples.registered(store)
    store.depose_engine(gone, 0)
    control = store.add_control(records.Control(
        None, states.ControlKind.PAUSE, 'all'))
    store.end_control(control, 'user a', '')
    db.age(OLD)
    assert store.purge(BEFORE) == {
        'pets_recoveries': 1, 'pets_attempts': 1, 'pets_events': 4,
        'pets_controls': 1, 'pets_engines': 1}
    assert store.recoveries() == store.history() == []
    assert store.controls(False) == []
    assert [one.id for one in store.engines(True)] == [me]
    assert db.count(models.ATTEMPTS) == 0


def test_purge_keeps_what_is_open_however_old(db, store, me):
    one, _ = samples.begun(store, me)
    samples.host(store)
    store.upsert_pets([samples.pet()])
    store.add_control(records.Control(
        None, states.ControlKind.PAUSE, 'instance', one.instance_uuid))
    db.age(OLD)
    # Even if a time of ending slipped in.
    for table, column in ((models.RECOVERIES, 'finished_at'),
                          (models.CONTROLS, 'ended_at')):
        db.set(table, **{column: OLD})
    before = {table: db.count(table)
              for table in models.METADATA.sorted_tables}
    counts = store.purge(BEFORE)
    # The order's line belongs to no recovery, so it is old history.
    assert counts == {'pets_recoveries': 0, 'pets_attempts': 0,
                      'pets_events': 1, 'pets_controls': 0,
                      'pets_engines': 0}
    before[models.EVENTS] -= 1
    assert before == {table: db.count(table)
                      for table in models.METADATA.sorted_tables}
    assert len(store.history(recovery_id=one.id)) == 2


def test_purge_keeps_what_is_young(db, store, me):
    one = _closed(store, me)
    gone = samples.registered(store)
    store.depose_engine(gone, 0)
    control = store.add_control(records.Control(
        None, states.ControlKind.PAUSE, 'all'))
    store.end_control(control, 'user a', '')
    assert set(store.purge(BEFORE).values()) == {0}
    assert store.recovery(one.id) is not None


@pytest.mark.sql('closes rows by SQL; only there a purge has parts')
def test_purge_of_many_goes_in_parts(db, store):
    for _ in range(3):
        store.open_recoveries([samples.recovery() for _ in range(400)],
                              samples.event())
    db.write(models.RECOVERIES.update().values(
        open_instance=None, finished_at=OLD, state='abandoned'))
    db.age(OLD)
    counts = store.purge(BEFORE)
    assert (counts['pets_recoveries'], counts['pets_events']) == (1200, 1200)
