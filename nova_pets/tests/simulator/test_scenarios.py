# SPDX-License-Identifier: Apache-2.0
"""Every scenario file is told as it stands.

NOVA_PETS_REWRITE=1 writes what is told into the files; read the difference.
"""

import collections
import os

import pytest

from nova_pets.simulator import scenario
from nova_pets.tests.simulator import stories


@pytest.mark.parametrize('path', stories.FILES, ids=stories.NAMES)
def test_a_story_is_told_as_the_file_has_it_and_ends_well(path):
    known, outcome = stories.played(path)
    told = scenario.written(known, outcome.told)
    if os.environ.get('NOVA_PETS_REWRITE') == '1':
        path.write_text(told)
    assert told == path.read_text()
    assert outcome.violations == []
    assert len(outcome.result.faults) == outcome.result.effective, (
        'a fault of the story changed nothing')
    _count_points(outcome)


def _count_points(outcome):
    """The points that the engines passed are the commits and twice the
    outside calls of the trace."""
    count = collections.Counter(line[1] for line in outcome.result.lines)
    # Who is killed from outside may be in the middle of a call.
    cut_off = count['outside'] - count['outside done']
    assert 0 <= cut_off <= count['engine killed']
    assert outcome.passed == (
        count['commit'] + 2 * count['outside'] - cut_off)


def test_a_missing_expectation_fails():
    """A new file has to be written, and read, before it passes."""
    text = ('# Nothing happens.\nworld hosts=2 place=host1:db1\nrun 5\n'
            '----\n')
    known = scenario.parse(text)
    outcome = scenario.play(known)
    told = scenario.written(known, outcome.told)
    assert told != text
    assert told.endswith('      5    invariants: ok\n')
