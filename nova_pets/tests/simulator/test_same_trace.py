# SPDX-License-Identifier: Apache-2.0
"""Same seed, same trace: in another process, whatever its hashes are."""

import json
import os
import subprocess
import sys

from nova_pets.simulator import run
from nova_pets.simulator import scenario


def _in_a_process(hash_seed, first, end):
    return subprocess.run(
        [sys.executable, '-m', 'nova_pets.simulator',
         *map(str, range(first, end))],
        env=os.environ | {'PYTHONHASHSEED': str(hash_seed)}, check=True,
        stdout=subprocess.PIPE).stdout


def test_two_processes_have_the_same_trace():
    one, other = _in_a_process(1, 3, 5), _in_a_process(2, 3, 5)
    assert one == other
    digests = [json.loads(line)['digest'] for line in one.splitlines()]
    assert len(set(digests)) == 2
    # Nor does it matter what ran before in the process.
    assert run.run(4).digest == digests[1]


def test_given_faults_make_the_same_trace_as_a_scenario_of_them():
    drawn = run.run(2)
    given = run.run(2, drawn.shape, drawn.faults)
    found = scenario.of_faults('Seed 2.', 2, drawn.shape, drawn.faults)
    text = scenario.written(found, ((),))
    played = scenario.play(scenario.parse(text))
    assert played.result.digest == given.digest
    assert max(map(len, text.splitlines())) <= 79
