# SPDX-License-Identifier: Apache-2.0
"""What is said of a call that fails again and again, and of one that hangs."""

import logging
import threading

import pytest

from nova_pets import exception
from nova_pets.engine import workers

KEY = ('recovery', 1)
OTHER = ('recovery', 2)
AWAY = exception.NovaUnavailable(what='read', found='placement is away')
LOST = exception.ClaimsLost(reason='no power was read')


@pytest.fixture
def run(caplog):
    """Have a call of a key end like this; return how loudly it was told."""
    caplog.set_level(logging.DEBUG)
    made = workers.Workers(lambda call: call())

    def run_(end, key=KEY):
        def call():
            if end is not None:
                raise end
        caplog.clear()
        made.submit(key, call)
        return [record.levelname for record in caplog.records]
    return run_


def test_what_stays_away_is_told_once(run):
    """Warned three times a second for each pet while placement was away."""
    assert run(AWAY) == ['WARNING']
    assert run(AWAY) == ['DEBUG']
    assert run(AWAY) == ['DEBUG']


def test_another_error_of_the_same_call_is_told(run):
    run(AWAY)
    assert run(LOST) == ['WARNING']
    assert run(LOST) == ['DEBUG']
    assert run(AWAY) == ['WARNING']


def test_each_call_is_told_for_itself(run):
    run(AWAY)
    assert run(AWAY, OTHER) == ['WARNING']


def test_after_a_success_it_is_told_again(run):
    run(AWAY)
    assert run(None) == []
    assert run(AWAY) == ['WARNING']


def test_a_lost_race_changes_nothing(run):
    run(AWAY)
    run(exception.RowConflict(kind='host', key='host1', expected=1,
                              owner='me'))
    assert run(AWAY) == ['DEBUG']


def test_what_nobody_expected_is_told_each_time(run):
    assert run(ValueError('no')) == run(ValueError('no')) == ['ERROR']


class Late:
    """Begins calls when it is told to, on a clock that is moved by hand."""

    def __init__(self):
        self.now = 100.0
        self.waiting = []
        self.workers = workers.Workers(self.waiting.append, lambda: self.now)

    def begin(self):
        self.waiting.pop(0)()


def test_a_call_is_under_way_from_when_it_is_begun():
    late = Late()
    seen = []

    def call():
        late.now += 50
        seen.append(late.workers.under_way())
        late.workers.goes_on(KEY)
        late.now += 7
        seen.append(late.workers.under_way())
    late.workers.submit(KEY, call)
    late.now += 1000  # no thread was free
    assert late.workers.under_way() == {}
    assert late.workers.busy() == {KEY}
    late.begin()
    assert seen == [{KEY: 50}, {KEY: 7}]
    assert late.workers.under_way() == {}
    assert late.workers.busy() == frozenset()


def test_what_is_over_does_not_go_on():
    late = Late()
    late.workers.goes_on(KEY)
    assert late.workers.busy() == frozenset()


class Lanes:
    """Calls in lanes: each begins where it may and ends when it is told."""

    def __init__(self, at_once=2):
        self.late = Late()
        self.workers = workers.Workers(self.late.waiting.append,
                                       at_once=at_once)
        self.ended = []

    def submit(self, number, lane=('cell', 'host1'), end=None):
        def call():
            self.ended.append(number)
            if end is not None:
                raise end
        return self.workers.submit(('recovery', number), call, lane)

    def begun(self):
        return len(self.late.waiting)


def test_calls_of_one_lane_are_few_at_once_and_in_order():
    """With more, each opened a connection to the database for one use."""
    lanes = Lanes()
    assert all(lanes.submit(number) for number in range(5))
    assert lanes.begun() == 2
    assert len(lanes.workers.busy()) == 5
    for expected in (2, 2, 2, 1, 0):
        lanes.late.begin()
        assert lanes.begun() == expected
    assert lanes.ended == [0, 1, 2, 3, 4]
    assert not lanes.workers.busy()


def test_who_waits_in_its_lane_does_not_hang_and_is_not_taken_twice():
    lanes = Lanes(at_once=1)
    lanes.submit(0)
    lanes.submit(1)
    assert not lanes.submit(1)
    assert not lanes.workers.under_way()
    assert ('recovery', 1) in lanes.workers.busy()


def test_a_full_lane_keeps_nobody_else_waiting():
    lanes = Lanes(at_once=1)
    for number in range(3):
        lanes.submit(number)
    assert lanes.begun() == 1
    assert lanes.submit(3, ('cell', 'host2'))
    assert lanes.submit(4, None) and lanes.submit(5, None)
    assert lanes.begun() == 4


@pytest.mark.parametrize('end', [AWAY, ValueError('no')])
def test_what_fails_lets_the_next_one_begin(end):
    lanes = Lanes(at_once=1)
    lanes.submit(0, end=end)
    lanes.submit(1)
    lanes.late.begin()
    lanes.late.begin()
    assert lanes.ended == [0, 1]
    assert lanes.submit(2) and lanes.begun() == 1


def test_a_lane_is_empty_again_after_its_calls():
    lanes = Lanes(at_once=1)
    for _ in range(3):
        lanes.submit(0)
        lanes.submit(1)
        lanes.late.begin()
        lanes.late.begin()
        assert lanes.begun() == 0
    assert lanes.ended == [0, 1] * 3


def test_after_the_end_nothing_that_waits_begins():
    made = workers.ThreadWorkers(2, at_once=1)
    begun, may_end = threading.Event(), threading.Event()
    second = threading.Event()
    made.submit(KEY, lambda: (begun.set(), may_end.wait(30)), ('lane',))
    made.submit(OTHER, second.set, ('lane',))
    assert begun.wait(30)
    made.stop()
    may_end.set()
    made._pool.shutdown(wait=True)
    assert not second.is_set()
    assert not made.busy()
