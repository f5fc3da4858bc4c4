# SPDX-License-Identifier: Apache-2.0
"""An engine that dies at any point changes the way, and not the end.

The points of a story come from its trace: after each commit, before and
after each outside call. No code of the product runs after a death there. The
engine is started again 20 s later; its peers go on at once.
"""

import os
import random

import pytest

from nova_pets.simulator import scenario
from nova_pets.tests.simulator import forks
from nova_pets.tests.simulator import stories

IS_ALL = os.environ.get('NOVA_PETS_ALL_POINTS') == '1'
POINTS = int(os.environ.get('NOVA_PETS_POINTS', 2))
PAIRS = int(os.environ.get('NOVA_PETS_PAIRS', 1))
NEAR = 60
"""The second death comes at most so many points after the first."""


@pytest.mark.parametrize('path', stories.FILES, ids=stories.NAMES)
@pytest.mark.timeout(0 if IS_ALL or POINTS + PAIRS > 20 else 300)
def test_deaths_at_points_lead_to_the_same_end(path, record_property):
    known, outcome = stories.played(path)
    points = _points(outcome)
    if IS_ALL:
        heard = forks.deaths(known, lambda death, found: _wrong(
            outcome, (death,), found))
        assert {death for death, _ in heard} == set(points)
        ones = [(death,) for death, _ in heard]
        failed = [said for _, said in heard if said]
    else:
        ones = [(death,) for death in _sample(path, outcome, POINTS)]
        failed = []
    pairs = [(first, _another(path, outcome, first, place))
             for place, first in enumerate(
                 _sample(path, outcome, PAIRS, 'pairs'))]
    failed += [problem for deaths in ([] if IS_ALL else ones) + pairs
               if (problem := _wrong(outcome, deaths,
                                     scenario.play(known, deaths)))]
    record_property('points', (len(ones), len(points)))
    record_property('pairs', (len(pairs), 0))
    assert not failed, '\n'.join(failed)


def test_a_fork_goes_on_as_a_play_with_that_death():
    known, _ = stories.played(stories.FOLDER / 'all-schedulers-gone.txt')
    heard = forks.deaths(known, lambda death, found: found.result.digest)
    for death, digest in heard[::10]:
        assert digest == scenario.play(known, (death,)).result.digest
    assert len({digest for _, digest in heard}) > len(heard) / 2


def _points(outcome):
    return [scenario.Death(worker, place + 1)
            for worker, done in outcome.points.items()
            for place in range(len(done))]


def _sample(path, outcome, number, purpose='points'):
    """Return some points of a story, most of them where something is done:
    two of three commits only renew the engine's own row."""
    points = _points(outcome)
    deeds = [death for death in points if outcome.points[death.worker][
        death.point - 1] != 'commit renew_engine']
    chance = random.Random(f'{purpose} of {path.stem}')
    return [chance.choice(deeds if deeds and place % 4 != 3 else points)
            for place in range(number)]


def _another(path, outcome, first, place):
    """Return the death of another engine, soon after the first; where there
    is only one, it dies once more after its restart."""
    chance = random.Random(f'{place} of {path.stem}')
    others = [name for name in outcome.points if name != first.worker
              ] or [first.worker]
    return scenario.Death(chance.choice(others), chance.randint(1, NEAR))


def _wrong(outcome, deaths, found):
    """Return '' or what is wrong with the end after these deaths, and how to
    see it."""
    where = ' then '.join(f'{death.worker} at {death.point}'
                          for death in deaths)
    if not any(line[1] == 'engine dies' for line in found.result.lines):
        return f'{where}: nobody died'
    if found.violations:
        return f'{where}: {found.violations[0]}'
    if found.ends != outcome.ends:
        return f'{where}: ends as {found.ends}, not as {outcome.ends}'
    return ''
