# SPDX-License-Identifier: Apache-2.0
"""The scenario files, and how each of them ends when nothing dies."""

import functools
import pathlib

from nova_pets.simulator import scenario

FOLDER = pathlib.Path(__file__).parents[1] / 'scenarios'
FILES = sorted(FOLDER.glob('*.txt'))
NAMES = [path.stem for path in FILES]


@functools.lru_cache(maxsize=4)
def played(path):
    """Return (scenario, its outcome)."""
    known = scenario.parse(path.read_text())
    return known, scenario.play(known)
