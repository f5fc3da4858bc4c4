# SPDX-License-Identifier: Apache-2.0
"""The two kinds of mutants: those kept as data, and those that a tool makes.

The first kind lies in catalogue/*.txt, in the form that mutation.parse
describes; a test insists that it names every point of the code. The second
is drawn from the syntax trees of MODULES: flipped comparisons, 'and' for
'or', constant answers, statements left out.
"""

import ast
import collections.abc
import fnmatch
import pathlib
import random

from nova_pets.tests.mutants import mutation
from nova_pets.tests.mutants import points
from nova_pets.tests.mutants import sources

CATALOGUE = pathlib.Path(__file__).parent / 'catalogue'

MODULES = (
    'planning.machine', 'planning.planner', 'planning.recoveries',
    'planning.watching', 'planning.settling', 'planning.hosts', 'db.claims',
    'db.recoveries', 'db.gate', 'planning.gating', 'scheduler.gate',
    'scheduler.gatekeeper')
"""Of which the tool makes mutants."""

_FLIPS = {
    ast.Lt: '>=', ast.LtE: '<', ast.Gt: '<=', ast.GtE: '>', ast.Eq: '!=',
    ast.NotEq: '==', ast.Is: 'is not', ast.IsNot: 'is', ast.In: 'not in',
    ast.NotIn: 'in'}


def kept() -> list[mutation.Mutant]:
    """Return the mutants of the catalogue."""
    found = []
    for path in sorted(CATALOGUE.glob('*.txt')):
        found += mutation.parse(path.read_text(), path.name)
    return found


def misfits(mutants: collections.abc.Iterable[mutation.Mutant]
            ) -> list[str]:
    """Return a sentence for each mutant that the code fits no more."""
    found = []
    for mutant in mutants:
        try:
            mutation.locate(mutant, sources.load(mutant.module))
        except sources.NotThere as error:
            found.append(str(error))
    return found


def uncovered(mutants: collections.abc.Iterable[mutation.Mutant]
              ) -> list[points.Point]:
    """Return the points of the code that no mutant names."""
    named = set()
    for mutant in mutants:
        source = sources.load(mutant.module)
        try:
            start, _ = source.span(mutation.locate(mutant, source))
        except sources.NotThere:
            continue
        named.add((mutant.module, start))
    return [point for point in points.points(sources.names())
            if point.place not in named]


def generated(count: int, seed: int, only: str = '*'
              ) -> list[mutation.Mutant]:
    """Draw so many mutants that a tool makes, the same for a seed."""
    found: list[mutation.Mutant] = []
    for name in MODULES:
        source = sources.load(name)
        for function, scope in source.scopes.items():
            for old, new in _changes(scope):
                nodes = mutation.places(source, function, old)
                found += [mutation.Mutant(
                    name, function, old, new,
                    nth=number if len(nodes) > 1 else 0)
                    for number in range(1, len(nodes) + 1)]
    fitting = [mutant for mutant in dict.fromkeys(found)
               if fnmatch.fnmatch(str(mutant), only) and _changes_it(mutant)]
    random.Random(seed).shuffle(fitting)  # nosec B311
    return fitting[:count]


def _changes(scope: ast.AST
             ) -> collections.abc.Iterator[tuple[str, str]]:
    """Yield (old, new) for everything that the tool changes."""
    for node in sources.own_nodes(scope):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            left, right = node.left, node.comparators[0]
            flip = _FLIPS[type(node.ops[0])]
            yield ast.unparse(node), (f'({ast.unparse(left)}) {flip} '
                                      f'({ast.unparse(right)})')
        elif isinstance(node, ast.BoolOp):
            word = ' or ' if isinstance(node.op, ast.And) else ' and '
            yield ast.unparse(node), word.join(
                f'({ast.unparse(operand)})' for operand in node.values)
        elif isinstance(node, ast.Return) and node.value is not None:
            constant = _other_constant(node.value)
            yield ast.unparse(node), f'return {constant}'
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield ast.unparse(node), ''
        elif isinstance(node, ast.AugAssign):
            yield ast.unparse(node), ''


def _changes_it(mutant: mutation.Mutant) -> bool:
    return sources.normal(mutant.old) != sources.normal(
        mutant.new or 'pass')


def _other_constant(value: ast.AST) -> str:
    if isinstance(value, ast.Constant) and isinstance(value.value, bool):
        return str(not value.value)
    if isinstance(value, ast.Compare | ast.BoolOp):
        return 'True'
    if isinstance(value, ast.List | ast.ListComp) or (
            isinstance(value, ast.Constant) and value.value is None):
        return '[]'
    return 'None'
