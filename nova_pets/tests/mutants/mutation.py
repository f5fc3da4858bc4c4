# SPDX-License-Identifier: Apache-2.0
"""One deliberate bug: an expression of one function, and what replaces it.

Applied to a text, never to a file. Fails loudly where the code does not have
the expression exactly as often as the mutant says.
"""

import ast
import dataclasses

from nova_pets.tests.mutants import points
from nova_pets.tests.mutants import sources


@dataclasses.dataclass(frozen=True)
class Mutant:
    module: str
    function: str
    """Qualified name; '' for the module outside of functions."""
    old: str
    new: str
    """'': left out, for a statement, an argument or an entry of a dict."""
    nth: int = 0
    """Which of several equal ones, from 1; 0: there is only one."""
    survives: str = ''
    """Why no judge can tell it from the product; '' where one must."""
    shows: str = ''
    """The invariant that it makes the simulator find broken."""

    def __str__(self) -> str:
        which = f'{self.nth}: ' if self.nth else ''
        return (f'{self.module} {self.function or "(module)"}: '
                f'{which}{self.old} -> {self.new}'.strip())


def apply(mutant: Mutant, source: sources.Source) -> str:
    """Return the text of the module with this bug.

    :raises sources.NotThere: the code has changed.
    """
    node = locate(mutant, source)
    start, end = source.span(node)
    if mutant.new:
        text = _replaced(source.text, start, end, mutant.new, node)
    elif isinstance(node, ast.stmt):
        text = _replaced(source.text, start, end, 'pass', node)
    else:
        text = _without(source, node)
    return text


def locate(mutant: Mutant, source: sources.Source) -> ast.AST:
    """Return what the mutant replaces.

    :raises sources.NotThere: the code has changed.
    """
    found = places(source, mutant.function, mutant.old)
    expected = max(mutant.nth, 1)
    if len(found) < expected or (not mutant.nth and len(found) > 1):
        raise sources.NotThere(
            f'{mutant}: expected {expected} such expression(s), found '
            f'{len(found)}')
    if mutant.new and sources.normal(mutant.new) == sources.normal(
            mutant.old):
        raise sources.NotThere(f'{mutant}: changes nothing')
    return found[expected - 1]


def places(source: sources.Source, function: str, old: str
           ) -> list[ast.AST]:
    """Return where the expression is: where it is a condition at one place
    and a value at another, it is the condition that is meant."""
    found = source.find(function, old)
    starts = points.starts(source)
    return [node for node in found if source.span(node)[0] in starts
            ] or found


def _replaced(text: str, start: int, end: int, new: str, node: ast.AST
              ) -> str:
    # In parentheses, whatever the operators around it are.
    inner = new if isinstance(node, ast.stmt) else f'({new})'
    return text[:start] + inner + text[end:]


def _without(source: sources.Source, node: ast.AST) -> str:
    """Leave out an argument, or an entry of a dict with its key."""
    text = source.text
    start, end = source.span(node)
    for holder in ast.walk(source.tree):
        if isinstance(holder, ast.Dict) and node in holder.values:
            key = holder.keys[holder.values.index(node)]
            start = (source.span(key)[0] if key is not None
                     else text.rindex('**', 0, start))
            break
        if isinstance(holder, ast.Call) and node in holder.args:
            break
    else:
        raise ValueError('expected an argument or an entry of a dict, '
                         f'found {ast.unparse(node)}')
    rest = text[end:].lstrip()
    if rest.startswith(','):
        end = len(text) - len(rest) + 1
    return text[:start] + text[end:]


def parse(text: str, origin: str) -> list[Mutant]:
    """Read a catalogue.

    ``[module function]``, then a line per mutant: ``old -> new``, where an
    empty ``new`` leaves it out, ``2: old -> new`` is about the second of
    equal expressions, and indented lines continue. At the end of a line,
    ``survives:`` gives the reason why it cannot be caught, and ``shows: I3``
    names an invariant that the simulator finds broken by it.
    """
    found = []
    module = function = ''
    for number, line in _joined(text):
        if line.startswith('['):
            module, _, function = line.strip('[]').partition(' ')
            continue
        body, _, survives = line.partition(' survives: ')
        body, _, shows = body.partition(' shows: ')
        old, arrow, new = body.partition(' ->')
        if not arrow or not module:
            raise ValueError(f'{origin}:{number}: expected "old -> new", '
                             f'found {line}')
        which, colon, after = old.partition(': ')
        nth = int(which) if colon and which.isdigit() else 0
        found.append(Mutant(
            module=module, function=function,
            old=(after if nth else old).strip(), new=new.strip(), nth=nth,
            survives=survives.strip(), shows=shows.strip()))
    return found


def _joined(text: str) -> list[tuple[int, str]]:
    """Return (number, line) without comments, continued lines joined."""
    found: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith('#'):
            continue
        if line.startswith(' ') and found:
            first, before = found[-1]
            found[-1] = first, f'{before} {line.strip()}'
        else:
            found.append((number, line.rstrip()))
    return found
