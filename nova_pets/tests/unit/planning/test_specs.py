# SPDX-License-Identifier: Apache-2.0
"""specs/0002-states has the very tables of the code."""

import pathlib

from nova_pets.model import states
from nova_pets.planning import instance_states
from nova_pets.planning import machine

SPEC = pathlib.Path(__file__).resolve().parents[4] / 'specs' / \
    '0002-states.rst'


def _table(title, columns):
    """Return the rows of the table below a title as tuples."""
    lines = SPEC.read_text().split(f'\n{title}\n', 1)[1].splitlines()
    borders = [index for index, line in enumerate(lines)
               if line.startswith('=') and '  =' in line]
    rows = lines[borders[1] + 1:borders[2]]
    found = [tuple(row.split()) for row in rows]
    assert all(len(row) == columns for row in found)
    return found


def test_recoveries():
    assert set(_table('Table 1: recoveries', 3)) == {
        (str(state), event, str(after)) for (state, event), after
        in machine.RECOVERY_TRANSITIONS.items()}


def test_hosts():
    assert set(_table('Table 2: hosts', 3)) == {
        (str(state), event + '*' * ((state, event) in machine.NEW_EPOCH),
         str(after)) for (state, event), after
        in machine.HOST_TRANSITIONS.items()}


def test_task_states():
    assert set(_table('Table 3: task_state of nova at the claim', 2)) == {
        (str(task), str(rule)) for task, rule
        in instance_states.TASK_RULES.items()}


def test_every_state_is_described():
    text = SPEC.read_text()
    for state in (*states.HostState, *states.RecoveryState):
        assert f'\n``{state}``\n  ' in text
