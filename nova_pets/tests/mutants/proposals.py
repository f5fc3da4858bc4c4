# SPDX-License-Identifier: Apache-2.0
"""Proposes a mutant for a point that none names: the operand left out.

The proposal is the plain one. Whoever adds it to the catalogue asks whether
another one would be more dangerous.
"""

import ast
import textwrap

from nova_pets.tests.mutants import mutation
from nova_pets.tests.mutants import points
from nova_pets.tests.mutants import sources

WIDTH = 79


def lines(missing: list[points.Point]) -> list[str]:
    """Return the lines that would go into the catalogue."""
    found: list[str] = []
    header = ''
    for point in missing:
        source = sources.load(point.module)
        before, header = header, f'[{point.module} {point.function}]'
        if header != before:
            found += ['', header]
        found += textwrap.wrap(
            f'{_which(source, point)}{point.text} -> {_new(source, point)}',
            WIDTH, subsequent_indent='    ', break_long_words=False,
            break_on_hyphens=False)
    return found


def _which(source: sources.Source, point: points.Point) -> str:
    starts = [source.span(node)[0] for node in mutation.places(
        source, point.function, point.text)]
    return f'{starts.index(point.start) + 1}: ' if len(starts) > 1 else ''


def _new(source: sources.Source, point: points.Point) -> str:
    [node] = [node for node in mutation.places(
        source, point.function, point.text)
        if source.span(node)[0] == point.start]
    holder = _holder(source.tree, node)
    if point.kind == 'swap' or isinstance(node, ast.stmt):
        return ''
    if point.kind == 'predicate':
        is_choice = isinstance(holder, ast.Call) and ast.unparse(
            holder.func) == 'sa.or_'
        return 'sa.false()' if is_choice else 'sa.true()'
    if isinstance(holder, ast.BoolOp):
        return str(isinstance(holder.op, ast.And))
    return str(isinstance(holder, (ast.comprehension, ast.Return,
                                   ast.Assign)))


def _holder(tree: ast.AST, node: ast.AST) -> ast.AST | None:
    for holder in ast.walk(tree):
        if node in ast.iter_child_nodes(holder):
            return holder
    return None
