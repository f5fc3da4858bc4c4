# SPDX-License-Identifier: Apache-2.0
"""The simulator's store answers as the SQL store does, to random calls.

Both live by the same virtual clock, so even the times must be the same.
"""

import collections
import random

import pytest
import sqlalchemy as sa

from nova_pets import exception
from nova_pets.simulator import memory_database
from nova_pets.simulator import memory_store
from nova_pets.simulator import tables
from nova_pets.tests.db import conftest
from nova_pets.tests.db import databases
from nova_pets.tests.db import sequences

ACTORS = ['engine a/1', 'engine b/2']
CALLS = 60
FAILED_ONCE = ()
"""Seeds that ever found a difference."""
SEEDS = [*FAILED_ONCE, *range(100)]
EACH = 20


class Clock:
    """Seconds since memory_database.EPOCH."""

    def __init__(self):
        self.seconds = 0.0

    def text(self, form, moment):
        """Return what SQLite's strftime is to return."""
        now = memory_database.MemoryDatabase(
            tables.Tables(lambda: self.seconds)).now()
        return now.strftime('%Y-%m-%d %H:%M:%S.%f')


@pytest.fixture(scope='module')
def clock():
    return Clock()


@pytest.fixture(scope='module')
def sqlite(clock, tmp_path_factory):
    """A SQLite database that takes the time from the clock."""
    with databases.database('sqlite', tmp_path_factory.mktemp('db')) as url:
        found = conftest.Database(url)
        sa.event.listen(
            found.engine, 'connect', lambda connection, record:
            connection.create_function('strftime', 2, clock.text))
        # Connections that were made before know the machine's clock only.
        found.engine.dispose()
        yield found
        found.engine.dispose()


def answer(store, call):
    """Return what a store answers, in a form that compares."""
    name, *arguments = call
    try:
        return 'returned', getattr(store, name)(*arguments)
    except exception.StoreUnavailable:
        # How a database words it is its own affair.
        return 'raised', exception.StoreUnavailable
    except (exception.PetsException, ValueError) as error:
        return 'raised', type(error), str(error)


def everything(store):
    return [answer(store, call) for call in (
        ('snapshot',), ('engines', True), ('pets',), ('recoveries',),
        ('controls', False), ('history', None, None, None, None, 10_000))]


def compare(seed, sqlite, clock):
    """Send one sequence to both; return a count of the answers."""
    sqlite.empty()
    clock.seconds = 0.0
    pace = random.Random(seed)
    database = memory_database.MemoryDatabase(
        tables.Tables(lambda: clock.seconds))
    pairs = [(memory_store.MemoryStore(database, actor),
              sqlite.store(actor=actor)) for actor in ACTORS]
    kinds = collections.Counter()
    for calls in sequences.Sequence(seed, pairs[0][0]).calls(CALLS):
        for call in calls:
            clock.seconds += pace.choice([0, 0.25, 1, 7])
            memory, sql = pace.choice(pairs)
            found, expected = answer(memory, call), answer(sql, call)
            assert found == expected, f'seed {seed}: {call}'
            kinds[call[0], expected[0], expected[1] is None
                  or expected[1] is False] += 1
    memory, sql = pairs[0]
    assert everything(memory) == everything(sql), f'seed {seed}: at its end'
    for recovery in memory.recoveries():
        call = ('attempts', recovery.id)
        assert answer(memory, call) == answer(sql, call), f'seed {seed}'
    return kinds


@pytest.mark.parametrize('first', range(0, len(SEEDS), EACH))
def test_random_calls_are_answered_alike(first, sqlite, clock):
    kinds = collections.Counter()
    for seed in SEEDS[first:first + EACH]:
        kinds += compare(seed, sqlite, clock)
    for name in ('advance_recovery', 'advance_host', 'renew_engine'):
        assert kinds[name, 'returned', False] > 5, 'chance made no sense'
        assert kinds[name, 'raised', False] > 5, 'chance made no sense'
    for name in ('claim_recovery', 'take_over', 'consume_gate'):
        assert kinds[name, 'returned', False] > 0, f'{name} never succeeded'
        assert kinds[name, 'returned', True] > 0, f'{name} never failed'
