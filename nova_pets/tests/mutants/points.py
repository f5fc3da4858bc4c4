# SPDX-License-Identifier: Apache-2.0
"""What the code has that a mutant must name: predicates, swaps, guards.

Walks syntax trees and decides nothing about what a mutant does. A point is
one operand: 'a and b' are two, so that leaving out either is noticed.

* predicate: an operand of a WHERE, or of the ON of a join.
* swap: one column of what a compare-and-swap of Nova's row expects.
* guard: an operand of a condition in a function that decides whether
  something may be done, and a call that raises where it may not.
"""

import ast
import collections.abc
import dataclasses
import fnmatch
import functools

from nova_pets.tests.mutants import sources

WITH_PREDICATES = ('db.*', 'compute.writer', 'compute.reader')
WITH_WRITES = ('compute.*',)
"""Elsewhere in compute only the predicates of UPDATE and DELETE: what is
read there is shown to people, or read again before anything is done."""
WITH_SWAPS = ('engine.*', 'compute.*', 'planning.*')
WITH_GUARDS = (
    'planning.safety', 'planning.detection', 'planning.hosts',
    'planning.homecoming', 'planning.host_moves', 'planning.host_orders',
    'planning.ladder',
    'planning.recoveries', 'planning.watching', 'planning.settling',
    'planning.verifying', 'planning.storms',
    'planning.late', 'planning.gating', 'planning.planner',
    'planning.machine', 'engine.attempts', 'engine.requesting',
    'engine.clearing', 'engine.recovery_rows', 'engine.executor',
    'engine.host_rows', 'engine.homecoming', 'engine.outages',
    'engine.standing', 'engine.mending', 'engine.memory',
    'engine.collector', 'engine.witnesses', 'fencing.sequence',
    'scheduler.gate',
    'scheduler.gatekeeper', 'scheduler.request', 'scheduler.filters.*',
    'compute.evacuation', 'compute.writer', 'db.claims', 'db.gate',
    'db.recoveries')
NO_GUARDS = {
    'planning.planner _waits': 'says what is waited for',
    'planning.recoveries hold': 'repeats no line of history',
    'planning.watching _why': 'words',
    'planning.watching _details': 'words',
    'planning.host_moves hold': 'repeats no line of history',
    'planning.hosts _why_held': 'words',
    'planning.detection evidence_of': 'words',
    'planning.machine _next': 'words of its error',
    'engine.recovery_rows RecoveryRows.show_wait': 'repeats no history',
    'engine.attempts _find': 'finds the row of an action',
    'engine.memory Memory.forget_words': 'tidies',
    'engine.witnesses Witnesses._address': 'how often it is read',
    'engine.witnesses Witnesses._read_addresses': 'how often it is read',
    'fencing.sequence _describe': 'words',
    'scheduler.filters.__init__ *': 'loads the filters',
    'db.recoveries RecoveryRows.recoveries': 'which questions were asked',
}
"""{functions that decide nothing about an act: what they do}."""
GUARD_CALLS = ('self._standing.guard', 'self._guard_fence', 'guard_save',
               'hold_engine', 'check_owner', 'claims.check_owner')
"""Calls that raise, or keep others out, and whose answer nobody reads."""


@dataclasses.dataclass(frozen=True)
class Point:
    module: str
    function: str
    text: str
    start: int
    """Offset in the module's text: the same expression may occur twice."""
    kind: str
    line: int

    @property
    def place(self) -> tuple[str, int]:
        return self.module, self.start

    def __str__(self) -> str:
        return (f'{self.module}:{self.line} {self.function}: {self.kind} '
                f'{self.text}')


def points(names: collections.abc.Iterable[str]) -> list[Point]:
    """Return every point of these modules, in the order of the text."""
    return [point for name in names
            for point in points_of(sources.load(name))]


def points_of(source: sources.Source) -> list[Point]:
    found: list[Point] = []
    for function, scope in source.scopes.items():
        for kind, node in _of(source.name, function, scope):
            start, _ = source.span(node)
            found.append(Point(source.name, function, sources.unparsed(node),
                               start, kind, node.lineno))
    unique = {point.start: point for point in reversed(found)}
    return sorted(unique.values(), key=lambda point: point.start)


@functools.cache
def starts(source: sources.Source) -> frozenset[int]:
    """Return where the points of a module begin."""
    return frozenset(point.start for point in points_of(source))


def _of(name: str, function: str, scope: ast.AST
        ) -> collections.abc.Iterator[tuple[str, ast.AST]]:
    is_guarding = _fits(name, WITH_GUARDS) and not _fits(
        f'{name} {function}', NO_GUARDS)
    said = _said(scope)
    for node in sources.own_nodes(scope):
        if node in said:
            continue
        if _fits(name, WITH_PREDICATES) or (
                _fits(name, WITH_WRITES) and _writes(node)):
            yield from (('predicate', one) for one in _predicates(node))
        if _fits(name, WITH_SWAPS):
            yield from (('swap', one) for one in _swaps(node))
        if is_guarding:
            yield from (('guard', one) for one in _guards(node))


def _said(scope: ast.AST) -> set[ast.AST]:
    """Return what only a log line, or an assertion, depends on."""
    found: set[ast.AST] = set()
    for node in sources.own_nodes(scope):
        only_says = isinstance(node, ast.If) and not node.orelse and all(
            _is_log(statement) for statement in node.body)
        if only_says or _is_log(node) or isinstance(node, ast.Assert):
            found.update(ast.walk(node))
    return found


def _is_log(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and ast.unparse(
        node.value).startswith('LOG.')


def _fits(name: str, patterns: collections.abc.Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


# -- predicates ---------------------------------------------------------------


def _predicates(node: ast.AST) -> collections.abc.Iterator[ast.AST]:
    if not isinstance(node, ast.Call):
        return
    name = ast.unparse(node.func)
    if name.endswith('.where') or name in ('sa.and_', 'sa.or_'):
        for operand in node.args:
            yield from _leaves(operand)
    elif name.endswith('.join') and len(node.args) > 1:
        yield from _leaves(node.args[1])


def _writes(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(
        node.func).startswith(('sa.update', 'sa.delete'))


def _leaves(operand: ast.AST) -> collections.abc.Iterator[ast.AST]:
    """Operands of and_ and or_ are points of their own; a name stands for
    what was built before, and is one besides."""
    is_group = isinstance(operand, ast.Call) and ast.unparse(
        operand.func) in ('sa.and_', 'sa.or_')
    if not is_group and not isinstance(operand, ast.Constant):
        yield operand


# -- swaps --------------------------------------------------------------------


def _swaps(node: ast.AST) -> collections.abc.Iterator[ast.AST]:
    for found in _expectations(node):
        if isinstance(found, ast.Dict):
            yield from found.values


def _expectations(node: ast.AST) -> collections.abc.Iterator[ast.AST]:
    """Yield what is handed on as the values that a row must have."""
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg == 'expected':
                yield keyword.value
        name = ast.unparse(node.func).rpartition('.')[2]
        at = {'Restore': 0, 'update_instance': 2, 'matches': 0}.get(name)
        if at is not None and len(node.args) > at:
            yield node.args[at]
    elif isinstance(node, ast.Assign):
        if ast.unparse(node.targets[0]) == 'expected':
            yield node.value
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.Dict):
        if {'host', 'task_state'} <= {
                key.value for key in node.value.keys
                if isinstance(key, ast.Constant)}:
            yield node.value


# -- guards -------------------------------------------------------------------


def _guards(node: ast.AST) -> collections.abc.Iterator[ast.AST]:
    if isinstance(node, (ast.If, ast.While)):
        yield from _operands(node.test)
    elif isinstance(node, ast.IfExp):
        if not _narrows(node.test, node.body):
            yield from _operands(node.test)
    elif isinstance(node, ast.comprehension):
        for condition in node.ifs:
            yield from _operands(condition)
    elif isinstance(node, ast.BoolOp):
        if any(_is_boolean(operand) for operand in node.values):
            yield from _operands(node)
    elif isinstance(node, (ast.Return, ast.Assign)):
        if isinstance(node.value, ast.Compare):
            yield node.value
    elif isinstance(node, ast.Call):
        if ast.unparse(node.func) in ('any', 'all') and isinstance(
                node.args[0], ast.GeneratorExp):
            yield from _operands(node.args[0].elt)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        if ast.unparse(node.value.func) in GUARD_CALLS:
            yield node


def _is_boolean(operand: ast.AST) -> bool:
    """Not a value with its default, as in ``detail or ''``."""
    if isinstance(operand, ast.UnaryOp):
        return isinstance(operand.op, ast.Not)
    called = operand.func if isinstance(operand, ast.Call) else operand
    name = ast.unparse(called).rpartition('.')[2]
    return isinstance(operand, ast.Compare) or name.startswith(
        ('is_', 'has_', 'was_', 'may_', 'wants_'))


def _operands(condition: ast.AST) -> collections.abc.Iterator[ast.AST]:
    if isinstance(condition, ast.BoolOp):
        for number, operand in enumerate(condition.values):
            rest = condition.values[number + 1:]
            if not any(_narrows(operand, other) for other in rest):
                yield from _operands(operand)
    elif not isinstance(condition, ast.Constant):
        yield condition


def _narrows(operand: ast.AST, other: ast.AST) -> bool:
    """Whether the operand only keeps ``other`` from an attribute of None:
    without it an error is raised, and nothing is done."""
    checked = operand
    if isinstance(operand, ast.Compare) and isinstance(
            operand.ops[0], (ast.Is, ast.IsNot)) and ast.unparse(
                operand.comparators[0]) == 'None':
        checked = operand.left
    if not isinstance(checked, (ast.Name, ast.Attribute)):
        return False
    name = ast.unparse(checked)
    return any(ast.unparse(node.value) == name for node in ast.walk(other)
               if isinstance(node, (ast.Attribute, ast.Subscript)))
