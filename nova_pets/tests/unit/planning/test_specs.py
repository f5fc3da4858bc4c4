# SPDX-License-Identifier: Apache-2.0
"""specs/0002-states has the very tables of the code."""

import pathlib
import re

import pytest

from nova_pets.model import states
from nova_pets.planning import instance_states
from nova_pets.planning import machine
from nova_pets.planning import protection

SPEC = pathlib.Path(__file__).resolve().parents[4] / 'specs' / \
    '0002-states.rst'


def _table(title, columns):
    """Return the rows of the table below a title as tuples; columns are two
    spaces apart."""
    lines = SPEC.read_text().split(f'\n{title}\n', 1)[1].splitlines()
    borders = [index for index, line in enumerate(lines)
               if line.startswith('=') and '  =' in line]
    rows = lines[borders[1] + 1:borders[2]]
    found = [tuple(re.split('  +', row.strip())) for row in rows]
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


@pytest.mark.parametrize('title, rules', [
    ('Table 3: task_state of nova', instance_states.TASK_STATES),
    ('Table 4: vm_state of nova', instance_states.VM_STATES),
    ('Table 5: kinds of instances', protection.KINDS)])
def test_instances(title, rules):
    assert set(_table(title, 3)) == {
        (str(name), str(row.rule), row.reason)
        for name, row in rules.items()}


def test_every_state_is_described():
    text = SPEC.read_text()
    for state in (*states.HostState, *states.RecoveryState,
                  instance_states.Rule.OPERATOR,
                  instance_states.Rule.LEAVE, instance_states.Rule.ABANDON):
        assert f'\n``{state}``\n  ' in text
