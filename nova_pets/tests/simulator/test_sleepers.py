# SPDX-License-Identifier: Apache-2.0
"""An engine that stands still at any point, and wakes, changes no end.

SIGSTOP for much longer than a claim lasts, then SIGCONT; and SIGCONT in the
middle of what its peers do, who have taken its claims. What it does then is at
most the one call that it had begun in each of its threads.
"""

import os
import random

import pytest

from nova_pets.simulator import scenario
from nova_pets.tests.simulator import forks
from nova_pets.tests.simulator import sleepers
from nova_pets.tests.simulator import stories

IS_ALL = os.environ.get('NOVA_PETS_ALL_POINTS') == '1'
SLEEPS = int(os.environ.get('NOVA_PETS_POINTS', 2))
DEEDS = 30
"""It wakes after at most so many things that the others did."""


@pytest.mark.parametrize('path', stories.FILES, ids=stories.NAMES)
@pytest.mark.timeout(0 if IS_ALL or SLEEPS > 20 else 300)
def test_who_wakes_changes_no_end(path, record_property):
    known, outcome = stories.played(path)
    points = [(worker, place + 1, doing)
              for worker, done in outcome.points.items()
              for place, doing in enumerate(done)]
    if IS_ALL:
        heard = forks.deaths(known, lambda death, found: _wrong(
            outcome, found), sleepers.Sleeper())
        assert len(heard) == len(points)
        failed = ['%s at %d stands still: %s' % (
            death.worker, death.point, said) for death, said in heard if said]
        record_property('sleeps', (len(heard), len(points)))
    else:
        failed = []
    chance = random.Random(f'sleeps of {path.stem}')
    acting = [point for point in points if point[2] != 'commit renew_engine']
    drawn = [(*chance.choice(acting), chance.randint(0, DEEDS))
             for _ in range(SLEEPS)]
    for worker, point, doing, deeds in drawn:
        found = scenario.play(known, dies_here=sleepers.Sleeper(
            worker, point, deeds))
        said = _wrong(outcome, found)
        if said:
            failed.append('%s stands still at %d (%s) for %d deeds: %s' % (
                worker, point, doing, deeds, said))
    record_property('wakes', (len(drawn), 0))
    assert not failed, '\n'.join(failed)


def _wrong(outcome, found):
    told = [line[1] for line in found.result.lines]
    if 'engine stands still' not in told:
        return 'nobody stood still'
    if found.violations:
        return found.violations[0]
    has_all = found.result.effective == outcome.result.effective
    # Else what a person was to do found nothing to do in another order.
    if has_all and found.ends != outcome.ends:
        return f'ends as {found.ends}, not as {outcome.ends}'
    return ''
