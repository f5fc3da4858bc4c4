# SPDX-License-Identifier: Apache-2.0
"""Which package may import which: design.md, section 8, as a test."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASES = {'compute.base', 'detectors.base', 'fencing.base'}

MAY_IMPORT = {
    'exception': set(),
    'model': set(),
    'planning': {'model'},
    'compute': {'model'},
    'detectors': {'model', 'compute.base'},
    'fencing': {'model'},
    'db': {'model'},
    'engine': {'model', 'planning', 'db'} | BASES,
    'scheduler': {'wiring', 'db', 'conf', 'model', 'planning',
                  'compute.base'},
    'simulator': {'engine', 'planning', 'db', 'model', 'fencing',
                  'detectors', 'compute.base', 'scheduler.gatekeeper'},
    'conf': {'model'},
    'wiring': {'compute', 'detectors', 'fencing', 'db', 'engine',
               'planning', 'conf', 'model'},
    'cmd': {'wiring', 'db', 'planning', 'conf', 'model', 'simulator'},
    '_nova_manage': {'cmd'},
}
"""Besides exception and itself. The engine knows bases, no driver."""

NOVA_FREE = {'compute.base', 'scheduler.gatekeeper'}
"""What the simulator runs of packages that otherwise touch Nova."""

TOUCHES_NOVA = {'compute', 'scheduler', 'wiring', 'cmd', '_nova_manage'}
PURE = {'exception', 'model', 'planning'}
IMPURE_MODULES = {
    'time', 'random', 'os', 'logging', 'socket', 'threading', 'subprocess',
    'oslo_config', 'oslo_log', 'sqlalchemy', 'nova', 'uuid', 'secrets'}


def _modules():
    for path in sorted(ROOT.rglob('*.py')):
        parts = path.relative_to(ROOT).with_suffix('').parts
        if parts[0] != 'tests' and parts != ('__init__',):
            yield path, parts


def _imports(path):
    """Yield the dotted names that a file imports, late ones included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            yield from (f'{node.module}.{alias.name}'
                        for alias in node.names)


CASES = list(_modules())
IDS = ['.'.join(parts) for _, parts in CASES]


@pytest.mark.parametrize('path, parts', CASES, ids=IDS)
def test_imports_go_in_the_direction_of_the_layout(path, parts):
    package = parts[0]
    assert package in MAY_IMPORT, f'{package} has no place in the layout'
    for name in _imports(path):
        if not name.startswith('nova_pets.'):
            continue
        inner = name.split('.')[1:]
        allowed = MAY_IMPORT[package] | {package, 'exception'}
        assert inner[0] in allowed or '.'.join(inner[:2]) in allowed, (
            f'{path} may not import {name}')


@pytest.mark.parametrize('path, parts', CASES, ids=IDS)
def test_only_the_door_and_the_guests_import_nova(path, parts):
    if parts[0] in TOUCHES_NOVA:
        return
    assert not [name for name in _imports(path)
                if name.split('.')[0] == 'nova']


@pytest.mark.parametrize('name', sorted(NOVA_FREE))
def test_what_the_simulator_runs_reaches_no_nova(name):
    """Not by what it imports either, nor by the package it is in."""
    paths = {'.'.join(parts): path for path, parts in CASES}
    reached, left = set(), {name}
    while left:
        module = left.pop()
        reached.add(module)
        imported = set(_imports(paths[module]))
        assert not {found for found in imported
                    if found.split('.')[0] in ('nova', 'oslo_config')}, module
        inner = {found.removeprefix('nova_pets.') for found in imported
                 if found.startswith('nova_pets.')} | {module}
        inner |= {f'{found.split(".")[0]}.__init__' for found in inner}
        left |= (inner & set(paths)) - reached
    assert 'model.states' in reached


@pytest.mark.parametrize('path, parts', [
    case for case in CASES if case[1][0] in PURE],
    ids=[name for name in IDS if name.split('.')[0] in PURE])
def test_model_and_planning_are_pure(path, parts):
    assert not {name.split('.')[0] for name in _imports(path)} & \
        IMPURE_MODULES
    calls = {ast.unparse(node.func) for node in ast.walk(
        ast.parse(path.read_text())) if isinstance(node, ast.Call)}
    assert not {call for call in calls
                if call.endswith(('.now', '.utcnow', '.today'))
                or call in ('open', 'print', 'input')}


@pytest.mark.parametrize('path, parts', CASES, ids=IDS)
def test_every_module_says_what_it_is_for(path, parts):
    tree = ast.parse(path.read_text())
    if tree.body:
        assert ast.get_docstring(tree), f'{path} has no docstring'


def test_nothing_is_called_utils():
    names = {part for _, parts in CASES for part in parts}
    assert not names & {'utils', 'util', 'helpers', 'misc', 'common'}


def test_states_come_from_the_machine_and_are_written_by_the_store():
    """No module but machine.py makes another state of a row."""
    for path, parts in CASES:
        if parts in (('planning', 'machine'), ('db', 'gate'),
                     ('simulator', 'memory_gate')):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if (isinstance(node, ast.Call) and
                    ast.unparse(node.func) == 'dataclasses.replace'):
                assert not [key for key in node.keywords
                            if key.arg == 'state'], path
