# SPDX-License-Identifier: Apache-2.0
"""A failing run is made short, and still breaks the same."""

import pytest

from nova_pets.simulator import checks
from nova_pets.simulator import run
from nova_pets.simulator import scenario
from nova_pets.simulator import scenario_lines
from nova_pets.simulator import shrink

NOISE = [
    'conductor paused conductor1 at 2 for 20', 'message late at 3 x 10',
    'room shrinks host4 at 4 for 30.25', 'BMC slow host5 at 4.5 for 20 x 2',
    'broker away at 11 for 3', 'engine killed sched2/1 at 13 for 10',
    'person stops pet1 at 14', 'stage fails spawn at 1 x 1',
    'wall clock step sched1 at 9 x 100', 'placement away at 15 for 10']
DECISIVE = ['host loses power host1 at 8.123',
            'host loses power host2 at 12.345']


@pytest.fixture
def broken(monkeypatch):
    """A judge that minds when host1 and host2 have no power; what that
    takes is known."""
    def look(self):
        hosts = self._truth.world.hosts
        if not any(name not in hosts or hosts[name].is_powered
                   for name in ('host1', 'host2')):
            self.broken('I5', 'planted')
    monkeypatch.setattr(checks.Checks, 'look_at_hosts', look)


def _run(lines):
    world = scenario_lines.world(
        'hosts=5 place=host1:pet1,pet2 place=host3:pet3 engines=3'.split())
    return run.run(1, world.shape, [scenario_lines.fault(line)
                                    for line in lines])


def test_what_is_left_is_what_it_takes(broken):
    short = shrink.shrink(_run(NOISE[:5] + DECISIVE[:1] + NOISE[5:] +
                               DECISIVE[1:]))
    assert short.kind == 'I5'
    assert [(fault.kind, fault.target, fault.at_s)
            for fault in short.faults] == [
        ('host loses power', 'host1', 8.0),
        ('host loses power', 'host2', 12.0)]
    assert len(short.shape.workers) == 1
    assert len(short.shape.instances) == 1
    found = scenario.of_faults('Planted.', 1, short.shape, short.faults)
    played = scenario.play(scenario.parse(scenario.written(found, ((),))))
    assert [shrink.kind_of(one) for one in played.violations] == ['I5']


def test_it_is_the_same_each_time(broken):
    result = _run(NOISE[:3] + DECISIVE)
    one, other = shrink.shrink(result), shrink.shrink(result)
    assert (one.shape, one.faults, one.runs, one.result.digest) == (
        other.shape, other.faults, other.runs, other.result.digest)


def test_a_run_that_breaks_nothing_cannot_be_shrunk():
    with pytest.raises(shrink.DoesNotReplay, match='breaks nothing'):
        shrink.shrink(_run(NOISE[:1]))
