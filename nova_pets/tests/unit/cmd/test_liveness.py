# SPDX-License-Identifier: Apache-2.0
"""An engine is alive when its counter moves, whatever any clock says."""

import pytest

from nova_pets.cmd import liveness
from nova_pets.tests.unit.cmd import samples

A = liveness.Answer


class World:
    """A virtual clock, and rows that change at given times."""

    def __init__(self, *changes):
        self.now_s = 0.0
        self.changes = changes

    def read(self):
        rows = ()
        for at_s, engines in self.changes:
            if self.now_s >= at_s:
                rows = engines
        return list(rows)

    def watch(self, pace_s=2.0):
        return liveness.watch(self.read, pace_s, lambda: self.now_s,
                              self.wait)

    def wait(self, seconds):
        self.now_s += seconds


def working(renewals):
    return samples.engine(1, 0, renewals=renewals)


def reserve(renewals):
    return samples.engine(2, None, renewals=renewals)


@pytest.mark.parametrize('changes, pace_s, answer', [
    ([(0, ())], 2.0, A.NONE),
    ([(0, (working(1),)), (0.3, (working(2),))], 2.0, A.ALIVE),
    ([(0, (working(1),)), (9, (working(2),))], 2.0, A.SILENT),
    ([(0, (working(1),))], 10.0, A.UNKNOWN),
    ([(0, (working(1), reserve(1))), (1, (working(1), reserve(2)))], 2.0,
     A.SILENT),
    ([(0, (working(1),)), (1, (working(1), samples.engine(3, 1)))], 2.0,
     A.ALIVE),
    ([(0, (working(5),)), (1, (working(1),))], 2.0, A.ALIVE),
], ids=['none', 'moves', 'stands still', 'slow pace', 'only a reserve moves',
        'a new one took a slot', 'began anew'])
def test_alive_is_who_moves(changes, pace_s, answer):
    assert World(*changes).watch(pace_s).answer is answer


def test_the_watch_ends_when_a_counter_moves():
    world = World((0, (working(1),)), (0.3, (working(2),)))
    found = world.watch()
    assert found.watched_s < 0.5
    assert found.of('engine-1') is True and found.of('engine-2') is None


@pytest.mark.parametrize('pace_s', [0.2, 2.0, 60.0])
def test_nobody_waits_longer_than_three_seconds(pace_s):
    world = World((0, (working(1),)))
    world.watch(pace_s)
    assert world.now_s <= liveness.LONGEST_S + 0.001


def test_only_silence_and_none_count_as_dead():
    assert [answer for answer in A
            if liveness.Liveness(answer).is_dead] == [A.SILENT, A.NONE]
