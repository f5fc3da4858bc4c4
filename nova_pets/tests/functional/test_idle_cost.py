# SPDX-License-Identifier: Apache-2.0
"""What idle engines ask the databases for, by the measure of tests/bench."""

import re
import subprocess
import sys

MOST = 6.0
"""Statements per second in all, for 3 schedulers of 16 workers each: the aim
of specs/0012. Neither hosts nor pets change it, up to a page of pets."""


def test_idle_engines_send_few_statements():
    done = subprocess.run(
        [sys.executable, '-m', 'nova_pets.tests.bench.scale', '--hosts', '20',
         '--pets', '400'], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert '2 of 48 engines observe' in done.stdout
    found = re.search(r'statements: ([0-9.]+)/s in all', done.stdout)
    assert found is not None, done.stdout
    assert 1.0 < float(found[1]) <= MOST, done.stdout
