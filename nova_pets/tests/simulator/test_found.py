# SPDX-License-Identifier: Apache-2.0
"""The list of bugs that the simulator found is the list of what is kept."""

import pathlib
import re

from nova_pets.tests.simulator import stories
from nova_pets.tests.simulator import test_seeds

SPEC = pathlib.Path(__file__).parents[3] / 'specs' / '0009-simulator.rst'


def test_every_seed_that_is_kept_is_listed_and_the_other_way_round():
    _, text = SPEC.read_text().split('Bugs that it found\n')
    listed = {int(seed) for seed in re.findall(r'^(\d+) ', text, re.M)}
    told = {int(seed) for path in stories.FILES for seed in re.findall(
        r'seed (\d+)\)', path.read_text().splitlines()[0])}
    assert listed == {*test_seeds.FAILED_ONCE, *told}
