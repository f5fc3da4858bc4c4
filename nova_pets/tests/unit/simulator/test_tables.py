# SPDX-License-Identifier: Apache-2.0
"""Tables that are written as a whole or not at all, and that may forget."""

import itertools
import random

import pytest

from nova_pets.simulator import tables as tables_


class Clock:
    def __init__(self):
        self.seconds = 10.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tables(clock):
    return tables_.Tables(clock)


def put(tables, **rows):
    with tables.commit():
        for key, row in rows.items():
            tables.put('t', key, row)


def test_a_write_needs_a_transaction(tables):
    with pytest.raises(RuntimeError):
        tables.put('t', 'a', 1)
    put(tables, a=1)
    with pytest.raises(RuntimeError):
        tables.drop('t', 'a')
    assert tables.table('t') == {'a': 1}


def test_an_exception_undoes_the_whole_transaction(tables):
    put(tables, a=1, b=2)
    with pytest.raises(ZeroDivisionError), tables.commit():
        tables.put('t', 'a', 5)
        tables.drop('t', 'b')
        tables.put('t', 'c', 3)
        tables.put('t', 'c', 4)
        raise ZeroDivisionError
    assert tables.table('t') == {'a': 1, 'b': 2}
    assert tables.commits == 1
    put(tables, d=4)
    assert tables.get('t', 'd') == 4


def test_a_nested_transaction_that_fails_undoes_only_its_own(tables):
    with tables.commit():
        tables.put('t', 'a', 1)
        with pytest.raises(ZeroDivisionError), tables.commit():
            tables.put('t', 'a', 2)
            raise ZeroDivisionError
        with tables.commit():
            tables.put('t', 'b', 2)
    assert tables.table('t') == {'a': 1, 'b': 2}
    assert tables.commits == 1


def test_a_nested_transaction_is_lost_with_its_outer_one(tables):
    with pytest.raises(ZeroDivisionError), tables.commit():
        with tables.commit():
            tables.put('t', 'a', 1)
        raise ZeroDivisionError
    assert tables.table('t') == {}


def test_reading_alone_is_no_commit(tables):
    with tables.commit():
        assert tables.get('t', 'a') is None
    assert tables.commits == 0


def test_a_missing_row_cannot_be_dropped(tables):
    with pytest.raises(KeyError, match='t a'), tables.commit():
        tables.drop('t', 'a')


def test_what_was_committed_after_a_moment_is_lost(tables, clock):
    put(tables, a=1, b=1)
    clock.seconds = 11.0
    put(tables, a=2, c=2)
    clock.seconds = 12.0
    put(tables, a=3)
    assert tables.lose_since(11.0) == 1
    assert tables.table('t') == {'a': 2, 'b': 1, 'c': 2}
    assert tables.lose_since(10.5) == 1
    assert tables.table('t') == {'a': 1, 'b': 1}
    assert tables.lose_since(10.5) == 0


def test_what_no_failover_reaches_is_kept(tables, clock):
    put(tables, a=1)
    clock.seconds = 11.0
    put(tables, a=2)
    tables.forget_before(10.5)
    assert tables.lose_since(0.0) == 1
    assert tables.table('t') == {'a': 1}


def test_rows_stay_in_the_order_of_their_insertion(tables, clock):
    held = tables.table('t')
    put(tables, a=1, b=2, c=3)
    clock.seconds = 11.0
    with tables.commit():
        tables.drop('t', 'a')
        tables.put('t', 'a', 9)
        tables.put('t', 'b', 8)
    assert list(held.items()) == [('b', 8), ('c', 3), ('a', 9)]
    tables.lose_since(10.0)
    assert list(held.items()) == [('a', 1), ('b', 2), ('c', 3)]
    assert tables.table('t') is held


def test_ids_are_not_used_again_unless_the_counters_are_lost(tables, clock):
    with tables.commit():
        assert tables.next_id('t') == 1
        tables.put('t', 1, 'kept')
    clock.seconds = 11.0
    for number in (2, 3):
        with tables.commit():
            assert tables.next_id('t') == number
            tables.put('t', number, 'lost')
    assert tables.next_id('u') == 1
    tables.lose_since(10.0)
    assert tables.next_id('t') == 4
    clock.seconds = 12.0
    with tables.commit():
        assert tables.next_id('t') == 5
        tables.put('t', 5, 'lost too')
    tables.lose_since(11.0, with_counters=True)
    assert tables.next_id('t') == 5
    assert tables.next_id('u') == 2


@pytest.mark.parametrize('seed', range(50))
def test_a_watcher_that_copies_has_the_rows(tables, clock, seed):
    """Whatever is committed, rolled back or lost."""
    chance = random.Random(seed)
    copy, past = {}, {10.0: {}}

    def watch(key, old, new):
        assert copy.get(key) == old
        if new is None:
            del copy[key]
        else:
            copy[key] = new

    tables.watch('t', watch)
    numbers = itertools.count(1)
    for _ in range(60):
        clock.seconds += 1.0
        if chance.random() < .15:
            moment = chance.choice(sorted(past))
            tables.lose_since(moment)
            assert tables.table('t') == past[moment], f'seed {seed}'
            past = {at: rows for at, rows in past.items() if at <= moment}
        else:
            _write_some(tables, chance, numbers)
        assert tables.table('t') == copy, f'seed {seed}'
        past[clock.seconds] = dict(copy)


def _write_some(tables, chance, numbers):
    try:
        with tables.commit():
            for _ in range(chance.randrange(4)):
                key = chance.choice('abcd')
                if key in tables.table('t') and chance.random() < .4:
                    tables.drop('t', key)
                else:
                    tables.put('t', key, next(numbers))
            if chance.random() < .3:
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
