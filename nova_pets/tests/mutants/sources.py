# SPDX-License-Identifier: Apache-2.0
"""The product's source text, and expressions in it by their meaning.

An expression is found by its normalised text within one function, so that
neither the layout of the code nor what stands around it matters. Touches no
file but for reading.
"""

import ast
import collections.abc
import dataclasses
import functools
import pathlib

PACKAGE = 'nova_pets'
ROOT = pathlib.Path(__file__).resolve().parents[2]
OUTSIDE = ('tests', 'simulator')
"""Not the product, or what judges it."""

_LOAD = ast.Load()


class NotThere(Exception):
    """The code no longer has what a mutant would change."""


@dataclasses.dataclass(frozen=True)
class Source:
    """One module: ``name`` is relative to nova_pets, as 'db.claims'."""

    name: str
    path: pathlib.Path
    text: str

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @functools.cached_property
    def _starts(self) -> list[int]:
        """Offset of each line, in characters."""
        starts = [0]
        for line in self.text.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        return starts

    def span(self, node: ast.AST) -> tuple[int, int]:
        return (self._offset(node.lineno, node.col_offset),
                self._offset(node.end_lineno, node.end_col_offset))

    def _offset(self, line: int, column: int) -> int:
        # The parser counts bytes.
        start = self._starts[line - 1]
        begun = self.text[start:self._starts[line]].encode()[:column]
        return start + len(begun.decode())

    @functools.cached_property
    def scopes(self) -> dict[str, ast.AST]:
        """{qualified name: function}, and '' for the module itself."""
        found: dict[str, ast.AST] = {'': self.tree}
        for node in functions(self.tree):
            found[node.qualified] = node
        return found

    def find(self, function: str, text: str) -> list[ast.AST]:
        """Return the expressions or statements of this meaning, in order."""
        scope = self.scopes.get(function)
        if scope is None:
            raise NotThere(f'{self.name} has no {function}')
        return self._by_meaning(scope).get(normal(text), [])

    @functools.cache  # noqa: B019  as many as there are modules
    def _by_meaning(self, scope: ast.AST) -> dict[str, list[ast.AST]]:
        nodes = list(own_nodes(scope))
        # Of a statement that is an expression, the statement; and no name
        # that is written to.
        others = {node.value for node in nodes if isinstance(node, ast.Expr)}
        found: dict[str, list[ast.AST]] = {}
        for node in nodes:
            if (isinstance(node, (ast.expr, ast.stmt)) and node not in others
                    and isinstance(getattr(node, 'ctx', _LOAD), ast.Load)):
                found.setdefault(unparsed(node), []).append(node)
        return found


@functools.cache
def load(name: str) -> Source:
    """Return a module as it was when it was first asked for."""
    path = ROOT.joinpath(*name.split('.')).with_suffix('.py')
    return Source(name, path, path.read_text())


def names() -> list[str]:
    """Return all modules of the product."""
    found = []
    for path in sorted(ROOT.rglob('*.py')):
        parts = path.relative_to(ROOT).with_suffix('').parts
        if parts[0] not in OUTSIDE:
            found.append('.'.join(parts))
    return found


def functions(tree: ast.AST, prefix: str = ''
              ) -> collections.abc.Iterator[ast.AST]:
    """Yield all functions, each with its ``qualified`` name."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef,
                             ast.ClassDef)):
            name = f'{prefix}{node.name}'
            if not isinstance(node, ast.ClassDef):
                node.qualified = name
                yield node
            yield from functions(node, f'{name}.')
        else:
            yield from functions(node, prefix)


def own_nodes(scope: ast.AST) -> collections.abc.Iterator[ast.AST]:
    """Yield the nodes of a function but for the functions within it; of a
    module, those outside of any function.

    Not what is within a formatted string: words, and Python 3.11 does not
    say where it is.
    """
    for child in ast.iter_child_nodes(scope):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef,
                              ast.JoinedStr)):
            continue
        yield child
        yield from own_nodes(child)


def normal(text: str) -> str:
    """Return the text as the parser would write it."""
    body = ast.parse(text.strip()).body
    if len(body) != 1:
        raise ValueError(f'expected one expression or statement: {text}')
    return unparsed(body[0])


@functools.cache
def unparsed(node: ast.AST) -> str:
    if isinstance(node, ast.Expr):
        # A statement that is an expression reads the same as that.
        return ast.unparse(node.value)
    return ast.unparse(node)
