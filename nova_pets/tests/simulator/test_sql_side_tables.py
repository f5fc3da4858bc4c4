# SPDX-License-Identifier: Apache-2.0
"""A share of the seeds runs with the product's store on real SQL, where it
leaves the very trace, and the very rows, that it leaves in memory.

NOVA_PETS_SQL_SEEDS (8) says how many seeds SQLite runs; MariaDB runs two of
eight of them, PostgreSQL one of eight.
"""

import contextlib
import os

import pytest
import sqlalchemy as sa

from nova_pets import exception
from nova_pets.db import models
from nova_pets.db import schema
from nova_pets.db import session
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.simulator import cloud
from nova_pets.simulator import faults
from nova_pets.simulator import memory_database
from nova_pets.simulator import run
from nova_pets.simulator import sql_side_tables
from nova_pets.simulator import tables
from nova_pets.tests.db import databases

SEEDS = int(os.environ.get('NOVA_PETS_SQL_SEEDS', 8))
CASES = [(backend, seed) for backend, number in (
    ('sqlite', SEEDS), ('mysql', SEEDS * 2 // 8),
    ('postgresql', SEEDS // 8)) for seed in range(1, number + 1)]

THREE_HOSTS = cloud.Shape(
    hosts=tuple(cloud.HostShape(name) for name in ('host1', 'host2',
                                                   'host3')),
    instances=(cloud.InstanceShape('pet1', 'host1'),
               cloud.InstanceShape('pet2', 'host1')))
FAILOVERS = [
    faults.Fault('host loses power', 'host1', at_s=10.0),
    # The source is proven off, and that is forgotten.
    faults.Fault('side tables fail over', on=('recovery', 'ready', 1),
                 delay_s=0.05, amount=1.0),
    faults.Fault('side tables fail over', on=('recovery', 'scheduling', 1),
                 delay_s=0.1, amount=0.5)]


@pytest.fixture(scope='module')
def opened(tmp_path_factory):
    """Return a function that opens a backend's database once."""
    with contextlib.ExitStack() as stack:
        found = {}

        def open_(backend):
            if backend not in found:
                url = 'sqlite://' if backend == 'sqlite' else (
                    stack.enter_context(databases.database(
                        backend, tmp_path_factory.mktemp('db'))))
                found[backend] = sql_side_tables.Database(url)
                stack.callback(found[backend].close)
            return found[backend]
        yield open_


@pytest.fixture
def no_pause(monkeypatch):
    """One thread meets no lock; a pause would take real time."""
    def never(turn):
        raise AssertionError('the store waits for the database')
    monkeypatch.setattr(session, '_pause', never)


def compare(database, *args):
    """Run in memory and on SQL; return the result, which is one."""
    memory = run.Run(*args)
    sql = run.Run(*args, side_tables=database)
    expected, found = memory.go(), sql.go()
    for number, line in enumerate(expected.lines):
        assert found.lines[number:number + 1] == [line], f'line {number}'
    assert found.digest == expected.digest
    if database.engine.dialect.name == 'sqlite' and lost(found):
        # The ids of rows that were lost are given again there.
        return found
    for table in models.METADATA.sorted_tables:
        kept, real = (one.cloud.database.tables.table(table.name)
                      for one in (memory, sql))
        assert real == kept, table.name
    return found


def lost(result):
    return [line[3] for line in result.lines if line[1] == 'commits lost']


@pytest.mark.parametrize('backend, seed', CASES)
def test_a_seed_goes_as_in_memory(backend, seed, opened, no_pause,
                                  record_property):
    assert not compare(opened(backend), seed).violations
    record_property('seeds on SQL', (1, 0))


@pytest.mark.parametrize('backend', databases.BACKENDS)
def test_lost_commits_are_lost_in_the_database(backend, opened, no_pause):
    found = compare(opened(backend), 1, THREE_HOSTS, FAILOVERS)
    assert not found.violations
    assert len(lost(found)) == 2 and all(lost(found))


@pytest.fixture(params=databases.BACKENDS)
def database(request, opened):
    return opened(request.param)


@pytest.fixture
def clock():
    return [1000.25]


@pytest.fixture
def mirrored(database, clock):
    """A mirror, and what it shows the rows in."""
    memory = memory_database.MemoryDatabase(
        tables.Tables(lambda: clock[0]))
    return database.mirror(memory), memory


def test_the_time_is_virtual(mirrored, clock):
    mirror, memory = mirrored
    store = mirror.store('user anna')
    assert store.now() == memory.now()
    store.ensure_hosts([('host1', 'cell1')])
    at = memory.hosts['host1'].since_at
    assert at == memory.now()
    clock[0] += 7.5
    assert (store.now() - at).total_seconds() == 7.5


def test_a_transaction_is_seen_once_and_one_without_effect_never(mirrored):
    mirror, memory = mirrored
    store = mirror.store('user anna')
    seen = []
    memory.tables.on_commit = lambda written: seen.append(
        [(table, key) for table, key, _, _ in written])
    store.ensure_hosts([('host1', 'cell1'), ('host2', 'cell1')])
    store.ensure_hosts([('host1', 'cell1')])
    store.claim_host('host1', 5, 'nobody')
    assert seen == [[('pets_hosts', 'host1'), ('pets_hosts', 'host2')]]
    assert memory.tables.commits == 1


def test_what_the_judge_did_not_see_is_a_violation(database, mirrored):
    mirror, memory = mirrored
    mirror.store('user anna').ensure_hosts([('host1', 'cell1')])
    assert mirror.differences() == []
    with database.engine.begin() as conn:
        conn.execute(sa.update(models.HOSTS).values(
            state=states.HostState.DOWN.value))
    [sentence] = mirror.differences()
    assert sentence.startswith('mirror: pets_hosts host1 is ')


def test_each_simulation_begins_with_nothing(database, mirrored, clock):
    mirror, memory = mirrored
    mirror.store('user anna').forget_pets(['nobody'], 'untagged')
    for _ in range(2):
        memory = memory_database.MemoryDatabase(
            tables.Tables(lambda: clock[0]))
        mirror = database.mirror(memory)
        store = mirror.store('user anna')
        assert store.history() == [] == store.controls(False)
        store.add_control(records.Control(
            id=None, kind=states.ControlKind.PAUSE, scope='all',
            reason='for a try', actor=''))
        assert [line.id for line in store.history()] == [1]
        assert list(memory.controls) == [1]


@pytest.mark.parametrize('whose', ['nova', 'pets'])
def test_tables_of_somebody_are_left_alone(whose, tmp_path):
    url = f'sqlite:///{tmp_path}/some.sqlite'
    engine = sa.create_engine(url)
    if whose == 'pets':
        schema.sync(engine)
    else:
        with engine.begin() as conn:
            conn.exec_driver_sql('CREATE TABLE instances (id INTEGER)')
    before = sa.inspect(engine).get_table_names()
    with pytest.raises(exception.OperatorError, match='an empty database'):
        sql_side_tables.Database(url)
    assert sa.inspect(engine).get_table_names() == before


def test_a_database_of_simulations_is_used_again(tmp_path):
    url = f'sqlite:///{tmp_path}/some.sqlite'
    sql_side_tables.Database(url).close()
    sql_side_tables.Database(url).close()


def test_a_database_that_is_away_is_said_so(tmp_path):
    with pytest.raises(exception.StoreUnavailable):
        sql_side_tables.Database(f'sqlite:///{tmp_path}/none/some.sqlite')
