# SPDX-License-Identifier: Apache-2.0
"""A run as a person reads it: when, to whom, what.

Formats the trace; decides nothing. Times are seconds from the beginning of
the run. What Nova and the engines do step by step is told only when asked
for. Names to whom the same happens within a second share a line.

The mark before each line: ! a fault, . its end, ~ what a fault made of a
call or message, x a death, > an order or a person's deed, + a guest, # a bug;
none: a state of a host or of a recovery.
"""

import collections.abc
import dataclasses
import textwrap
import typing

from nova_pets.model import reasons
from nova_pets.simulator import kernel as kernel_module

if typing.TYPE_CHECKING:
    from nova_pets.simulator import run as run_module

Line = tuple[typing.Any, ...]

WIDTH = 79
_TIME = 9
_NAME = 10
_TOGETHER_S = 1.0

_WORDS: dict[str, tuple[str, str, str]] = {
    'fault ends': ('.', '{1}', '{0} is over'),
    'guest runs': ('+', '{1}', 'runs on {0}'),
    'guest stops': ('+', '{1}', 'is shut down on {0}'),
    'guest destroyed': ('+', '{1}', 'is removed from {0}'),
    'power off': ('x', '{0}', 'loses its power'),
    'power on': ('>', '{0}', 'is powered on'),
    'system up': ('>', '{0}', 'has booted'),
    'system crashes': ('x', '{0}', 'crashes'),
    'host freezes': ('x', '{0}', 'stands still'),
    'host thaws': ('>', '{0}', 'goes on where it stood still'),
    'nova-compute dies': ('x', '{0}', 'its nova-compute dies'),
    'engine starts': ('>', '{0}', 'engine starts'),
    'engine killed': ('x', '{0}', 'engine is killed'),
    'engine dies': ('x', '{0}', 'engine dies at its point {1}'),
    'engine told to stop': ('x', '{0}', 'engine gets SIGTERM'),
    'engine deposed': ('x', '{0}', 'engine is deposed'),
    'call hangs': ('~', '{0}', 'a call does not come back ({1} {2})'),
    'engine begins anew': ('x', '{0}', 'engine gives up and begins anew'),
    'by hand': ('>', 'by hand', '{0} ({1})'),
    'operator': ('>', '{2}', 'order: {0}'),
    'message': ('~', '{1}', 'a message to it is {0}'),
    'message lost': ('~', '{0}', 'a message to it is lost with the broker'),
    'stage fails': ('~', '{1}', '{0} fails on {2}'),
    'commit unseen': ('~', '{0}', '{1} is committed, the answer is lost'),
    'store refuses': ('~', '{0}', '{1} is refused by the database'),
    'commits lost': ('~', 'database', 'fails over and loses {1} commits'),
    'cell commits lost': (
        '~', '{0}', 'its database fails over and loses {1} commits'),
    'audit mends': ('>', '{0}', 'an audit mends: {2}'),
    'dropped': ('>', '{0}', 'a late {1} leaves its queue'),
    'queue drained': ('>', '{0}', 'orders of people leave its queue: {1}'),
    'gate refuses': ('+', '{0}', 'its evacuation is refused: {1}'),
    'bug': ('#', '{0}', 'BUG: {1}'),
}
"""Kind of line: (mark, to whom, what)."""

_BRIEF = frozenset({*_WORDS, 'recovery', 'host', 'fault', 'heal'}) - {
    'guest stops'}


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """One line of the trace in words."""

    at_s: float
    mark: str
    who: str
    what: str


def tell(lines: collections.abc.Iterable[Line], is_brief: bool = True,
         width: int = WIDTH, digits: int = 1
         ) -> collections.abc.Iterator[str]:
    """Yield the story of a trace, lines of at most ``width`` characters.

    :param is_brief: without the steps of Nova and of the engines.
    :param digits: of the seconds.
    """
    group: list[Told] = []
    for line in lines:
        if is_brief and line[1] not in _BRIEF:
            continue
        if line[1] == 'heal':
            yield from _shown(group, width, digits)
            group = []
            rule = '-' * 12
            yield f'{_time(line[0], digits)}{rule} all faults end {rule}'
            continue
        told = in_words(line)
        if not _goes_with(group, told):
            yield from _shown(group, width, digits)
            group = []
        group.append(told)
    yield from _shown(group, width, digits)


def in_words(line: Line) -> Told:
    """Return one line of the trace in words."""
    kind, facts = line[1], line[2:]
    if kind in ('recovery', 'host'):
        name, before, after, reason = facts
        return Told(line[0], ' ', name,
                    f'{before} -> {after} ({_reason(reason)})')
    if kind == 'fault':
        name, target, lasts_s, amount = facts
        text = f'{name} for {lasts_s:.3g} s' if lasts_s else name
        return Told(line[0], '!', target,
                    f'{text} (x {amount:.3g})' if amount else text)
    if kind in _WORDS:
        mark, who, what = _WORDS[kind]
        return Told(line[0], mark, who.format(*facts), what.format(*facts))
    return Told(line[0], ':', kind, ' '.join(str(fact) for fact in facts))


def head(result: 'run_module.Result', width: int = WIDTH
         ) -> collections.abc.Iterator[str]:
    """Yield what the cloud of a run was made of."""
    shape = result.shape
    homes: dict[str, list[str]] = {}
    for one in shape.instances:
        is_what = ([] if one.is_pet else ['no pet']) + (
            [one.vm_state] if one.vm_state != 'active' else [])
        homes.setdefault(one.host, []).append(
            one.name + (f' ({", ".join(is_what)})' if is_what else ''))
    cells: dict[str, list[str]] = {}
    for host in shape.hosts:
        cells.setdefault(host.cell, []).append(
            f'{host.name} ({host.capacity})')
    yield f'seed {result.seed}, trace {result.digest[:16]}'
    parts = [(cell, ', '.join(names)) for cell, names in cells.items()]
    parts += [(host, ', '.join(names)) for host, names in homes.items()]
    parts.append(('engines', ', '.join(
        f'{machine}/{number}' for machine, number in shape.workers)))
    for label, text in parts:
        yield from textwrap.wrap(
            text, width, initial_indent=f'  {label:9} ',
            subsequent_indent=' ' * 12)


def end(result: 'run_module.Result', width: int = WIDTH
        ) -> collections.abc.Iterator[str]:
    """Yield how a run ended."""
    yield from textwrap.wrap(
        f'{len(result.faults)} faults, {result.effective} of them changed '
        f'something; {result.events} events.', width)
    if not result.violations:
        yield (f'All well {result.took_s:.0f} s after the last fault; '
               f'invariants: ok')
    for sentence in result.violations:
        yield from violation(sentence, width)


def violation(sentence: str, width: int = WIDTH) -> list[str]:
    """Return one violation; of a bug, its traceback as it is."""
    first, *rest = sentence.splitlines()
    return textwrap.wrap(f'VIOLATION {first}', width,
                         subsequent_indent='          ') + rest


def _goes_with(group: list[Told], told: Told) -> bool:
    if not group:
        return True
    first = group[0]
    return (told.at_s - first.at_s < _TOGETHER_S and
            (told.mark, told.what) == (first.mark, first.what) and
            told.mark not in '!.~:#' and
            told.who not in [one.who for one in group])


def _shown(group: list[Told], width: int, digits: int) -> list[str]:
    if not group:
        return []
    first = group[0]
    who = ', '.join(one.who for one in group)
    indent = ' ' * (_TIME + 2)
    if len(who) <= _NAME:
        text = f'{who:{_NAME}} {first.what}'
    else:
        text = f'{who} {first.what}'
    if not who:
        text = first.what
    begin = f'{_time(first.at_s, digits)}{first.mark} '
    return textwrap.wrap(
        text, width, initial_indent=begin,
        subsequent_indent=indent + ' ' * (_NAME + 1),
        break_on_hyphens=False)


def _time(at: float, digits: int) -> str:
    return f'{at - kernel_module.START:{_TIME - 2}.{digits}f}  '


def _reason(code: str) -> str:
    known = reasons.REASONS.get(code)
    return known.text.partition(':')[0] if known else code
