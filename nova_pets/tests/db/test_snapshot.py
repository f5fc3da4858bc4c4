# SPDX-License-Identifier: Apache-2.0
"""One read of everything: few statements, quick, and robust."""

import dataclasses
import datetime
import time

import pytest

from nova_pets.db import models
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.tests.db import samples


@pytest.fixture
def me(store):
    return samples.registered(store)


def fenced(store, me, name='host1'):
    row = samples.host(store, name, me=me)
    return store.advance_host(
        dataclasses.replace(row, state=states.HostState.FENCED),
        row.generation, me, None)


def test_snapshot_of_nothing_is_empty(store):
    found = store.snapshot()
    assert not any((found.engines, found.hosts, found.recoveries,
                    found.attempts, found.controls, found.pets_by_host,
                    found.problems))


def test_snapshot_holds_what_is_alive_or_open(store, me):
    store.depose_engine(samples.registered(store), 0)
    fenced(store, me)
    samples.host(store, 'host2')
    one, attempt = samples.begun(store, me)
    done = samples.claimed(store, me)
    store.advance_recovery(
        dataclasses.replace(done, state=states.RecoveryState.RECOVERED), 1,
        me, None, samples.attempt(done))
    control = store.add_control(records.Control(
        None, states.ControlKind.PAUSE, 'all'))
    ended = store.add_control(records.Control(
        None, states.ControlKind.PAUSE, 'all'))
    store.end_control(ended, 'user a', '')
    store.upsert_pets([samples.pet(), samples.pet(),
                       samples.pet(host='host2'), samples.pet(host=None)])
    found = store.snapshot()
    assert [row.id for row in found.engines] == [me]
    assert [(row.host, row.state) for row in found.hosts] == [
        ('host1', 'fenced'), ('host2', 'up')]
    assert found.recoveries == (store.recovery(one.id),)
    assert found.attempts == (attempt,)
    assert found.controls == (control,)
    assert found.pets_by_host == {'host1': 2, 'host2': 1}


def test_whom_engines_powered_off_within_a_day(db, store, me):
    """Not when a person asked for it, and not those of yesterday."""
    fenced(store, me)
    for host, code in (('old', 'fence_started'), (None, 'fence_started')):
        store.record(records.Event(code=code, host=host))
    now = store.now()
    db.set(models.EVENTS, at=now - snapshot.DAY - datetime.timedelta(
        seconds=60))
    for host, code in (('a', 'fence_started'), ('a', 'fence_started'),
                       ('b', 'service_fence'), ('c', 'operator_fence'),
                       ('d', 'proven_off'), (None, 'fence_started')):
        store.record(records.Event(code=code, host=host))
    assert store.snapshot().fenced_today == {'a', 'b'}
    store.depose_engine(me, 0)
    assert store.snapshot().fenced_today == frozenset()


def test_while_all_is_well_nobody_counts_power_offs(store, me):
    samples.host(store)
    store.record(records.Event(code='fence_started', host='a'))
    assert store.snapshot().fenced_today == frozenset()


@pytest.mark.sql('counts statements')
def test_idle_snapshot_is_four_statements(db, store, me):
    samples.host(store)
    store.upsert_pets([samples.pet()])
    with db.statements() as sent:
        found = store.snapshot()
    assert len(sent) == 4
    assert found.pets_by_host == {}


@pytest.mark.sql('counts statements')
def test_busy_snapshot_is_seven_statements(db, store, me):
    fenced(store, me)
    for _ in range(5):
        samples.begun(store, me)
    with db.statements() as sent:
        found = store.snapshot()
    assert len(sent) == 7
    assert len(found.attempts) == 5


@pytest.mark.sql(
    'there is no row of another version among frozen records')
@pytest.mark.parametrize('table,column,value,missing', [
    (models.ENGINES, 'mode', 'dream', 'engines'),
    (models.ENGINES, 'report', '[1]', 'engines'),
    (models.HOSTS, 'state', 'molten', 'hosts'),
    (models.HOSTS, 'evidence', '{', 'hosts'),
    (models.RECOVERIES, 'state', 'dreaming', 'recoveries'),
    (models.RECOVERIES, 'excluded', '{}', 'recoveries'),
    (models.CONTROLS, 'kind', 'dance', 'controls'),
    (models.ATTEMPTS, 'outcome', 'odd', 'attempts')],
    ids=lambda value: getattr(value, 'name', value))
def test_row_of_another_version_is_left_out_and_named(
        db, store, me, table, column, value, missing):
    samples.host(store)
    samples.begun(store, me)
    store.add_control(records.Control(None, states.ControlKind.PAUSE,
                                      'all'))
    db.write(table.update().values({column: value}))
    found = store.snapshot()
    (problem,) = found.problems
    assert table.name in problem and column in problem
    assert getattr(found, missing) == ()
    if missing == 'attempts':
        assert found.recoveries == ()
    else:
        assert all(getattr(found, name) for name in (
            'engines', 'hosts', 'recoveries', 'controls', 'attempts')
            if name != missing)


@pytest.mark.sql(
    'there is no row of another version among frozen records')
def test_unreadable_host_still_counts_as_not_up(db, store):
    samples.host(store)
    store.upsert_pets([samples.pet()])
    db.write(models.HOSTS.update().values(state='molten'))
    assert store.snapshot().pets_by_host == {'host1': 1}


def test_thousand_hosts_are_read_quickly(db, store):
    store.ensure_hosts([(f'host{number}', samples.CELL)
                        for number in range(1000)])
    assert len(store.snapshot().hosts) == 1000
    durations = []
    for _ in range(5):
        begun_at = time.perf_counter()
        store.snapshot()
        durations.append(time.perf_counter() - begun_at)
    # Some 15 ms on an idle machine; the bound only catches a blunder.
    assert min(durations) < 0.25
