# SPDX-License-Identifier: Apache-2.0
"""Every window of specs/0007-windows has a test that really exists."""

import pathlib
import re
import subprocess
import sys

from nova_pets.tests.functional import windows

HERE = pathlib.Path(__file__).parent
SPEC = HERE.parents[2] / 'specs' / '0007-windows.rst'


def test_every_window_of_the_spec_has_tests():
    rows = [line for line in SPEC.read_text().splitlines()
            if re.match(r'W\d+b?  ', line)]
    assert [row.split()[0] for row in rows] == list(windows.WINDOWS)
    numbers = {int(name[1:].rstrip('b')) for name in windows.WINDOWS}
    assert numbers == set(range(1, 24))
    assert {'W6b', 'W10b'} < set(windows.WINDOWS)
    assert all(windows.WINDOWS.values())


def test_the_tests_of_the_windows_exist():
    """As pytest itself names them."""
    named = {test for tests in windows.WINDOWS.values() for test in tests}
    files = sorted({test.partition('::')[0] for test in named})
    listed = subprocess.run(
        [sys.executable, '-m', 'pytest', '--collect-only', '-q', '-n', '0',
         *files], cwd=HERE, capture_output=True, text=True)
    found = {line.rpartition('/')[2] for line in listed.stdout.splitlines()
             if '::' in line}
    assert named <= found, (sorted(named - found), listed.stdout[-2000:])
