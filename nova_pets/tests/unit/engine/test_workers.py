# SPDX-License-Identifier: Apache-2.0
"""What is said of a call that fails again and again, and of one that hangs."""

import logging

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


def test_calls_of_one_lane_are_few_at_once():
    """With more, each opened a connection to the database for one use."""
    lanes = Lanes()
    assert [lanes.submit(number) for number in range(5)] == [
        True, True, False, False, False]
    assert lanes.begun() == 2
    lanes.late.begin()
    assert [lanes.submit(number) for number in range(5)] == [
        True, False, False, False, False]


def test_what_finds_its_lane_full_does_not_wait():
    """It did, and was decided by a view of long ago when its turn came: pets
    were evacuated from a host that was back (seeds 30000642, 30000770 and
    30002705)."""
    lanes = Lanes(at_once=1)
    lanes.submit(0)
    lanes.submit(1)
    assert lanes.workers.busy() == {('recovery', 0)}
    lanes.late.begin()
    assert lanes.begun() == 0 and lanes.ended == [0]


def test_a_full_lane_keeps_nobody_else_waiting():
    lanes = Lanes(at_once=1)
    for number in range(3):
        lanes.submit(number)
    assert lanes.begun() == 1
    assert lanes.submit(3, ('cell', 'host2'))
    assert lanes.submit(4, None) and lanes.submit(5, None)
    assert lanes.begun() == 4


@pytest.mark.parametrize('end', [None, AWAY, ValueError('no')])
def test_what_has_ended_leaves_its_lane(end):
    lanes = Lanes(at_once=1)
    for _ in range(3):
        assert lanes.submit(0, end=end)
        lanes.late.begin()
    assert lanes.submit(1)


def test_who_waits_for_others_makes_room_in_its_lane():
    """Ten pets whose destination does not answer would be asked for four at
    a time, and the others wait for them."""
    late = Late()
    made = workers.Workers(late.waiting.append, at_once=1)
    seen = []

    def call():
        seen.append(made.submit(OTHER, lambda: None, ('lane',)))
        with made.apart(KEY):
            seen.append(made.submit(OTHER, lambda: None, ('lane',)))
        seen.append(made.submit(('recovery', 3), lambda: None, ('lane',)))
    made.submit(KEY, call, ('lane',))
    late.begin()
    assert seen == [False, True, False]
    late.begin()
    assert not made.busy() and not made._lane


def test_who_fails_while_it_waits_for_others_leaves_its_lane():
    lanes = Lanes(at_once=1)

    def call():
        with lanes.workers.apart(('recovery', 0)):
            raise AWAY
    lanes.workers.submit(('recovery', 0), call, ('lane',))
    lanes.late.begin()
    assert not lanes.workers.busy() and not lanes.workers._lane
    with lanes.workers.apart(('recovery', 9)):
        pass
    assert not lanes.workers._lane


def test_what_could_not_be_begun_leaves_its_lane():
    made = workers.ThreadWorkers(2, at_once=1)
    made.stop()
    for _ in range(2):
        assert not made.submit(KEY, lambda: None, ('lane',))
    assert not made.busy() and not made._lane
