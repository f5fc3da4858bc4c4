# SPDX-License-Identifier: Apache-2.0
"""Carries a ruling out: shows it, asks, writes pets_controls rows.

The only module of cmd that writes orders. It never acts on the world: the
engines do, and this says whether any is alive to do it.
"""

import collections.abc
import dataclasses

from nova_pets import exception
from nova_pets.cmd import console as console_module
from nova_pets.cmd import documents
from nova_pets.cmd import layout
from nova_pets.cmd import liveness
from nova_pets.cmd import orders
from nova_pets.cmd import questions
from nova_pets.cmd import reading
from nova_pets.db import base
from nova_pets.model import records
from nova_pets.model import states

Exit = questions.Exit


@dataclasses.dataclass(frozen=True, slots=True)
class Manner:
    """How the person wants it done."""

    is_sure: bool = False
    """--yes"""
    is_dry: bool = False
    """--dry-run"""
    as_json: bool = False


def carry_out(store: base.Store, console: console_module.Console,
              decide: collections.abc.Callable[[], orders.Ruling],
              person: orders.Person, manner: Manner,
              settings: reading.Settings) -> int:
    """Write what ``decide`` rules, after the person has agreed.

    :param decide: reads and rules; asked again after the question, so that
        nothing is ordered upon what has changed while a person was thinking.
    """
    ruling = decide()
    alive = liveness.watch(store.engines, settings.pace_s)
    result = _Result(manner.is_dry, alive)
    if not manner.as_json:
        console.show_lines(_before(ruling, alive, settings, console.width))
    if (ruling.adds or ruling.ends) and not manner.is_dry:
        if ruling.oath and not manner.is_sure:
            ruling = _agreed(ruling, console, decide, manner)
        _write(store, ruling, person, result)
    result.take(ruling, store)
    if manner.as_json:
        console.show_json(result.document())
    else:
        console.show_lines(_after(result, ruling, console.width))
    return int(result.exit_code)


def _agreed(ruling: orders.Ruling, console: console_module.Console,
            decide: collections.abc.Callable[[], orders.Ruling],
            manner: Manner) -> orders.Ruling:
    """Ask; return the ruling as it is after the answer."""
    if manner.as_json:
        raise exception.OperatorError(problem=(
            'cannot ask with --json: expected --yes or --dry-run; nothing '
            'was ordered'))
    question = '\n'.join(layout.paragraph(
        f'Type yes to say: {ruling.oath}.', console.width, ''))
    if not console.ask(f'\n{question}\n> '):
        raise exception.OperatorError(
            problem='not confirmed with yes; nothing was ordered')
    again = decide()
    if (again.adds, again.ends) != (ruling.adds, ruling.ends):
        raise exception.OperatorError(problem=(
            'things changed while you were asked; nothing was ordered: run '
            'the command again and look at it once more'))
    return again


def _write(store: base.Store, ruling: orders.Ruling, person: orders.Person,
           result: '_Result') -> None:
    # New ones first: a maintenance that is changed never lapses between.
    for control in ruling.adds:
        result.ordered.append(store.add_control(control))
    for control in ruling.ends:
        if store.end_control(control, person.actor, person.reason):
            result.ended.append(control)
        else:
            result.lost.append(
                f'{control.kind} of {control.target or "all"} was ended by '
                f'somebody else at the same time.')


class _Result:
    """What became of an order; its document is what --json prints."""

    def __init__(self, is_dry: bool, alive: liveness.Liveness):
        self.is_dry = is_dry
        self.alive = alive
        self.ordered: list[records.Control] = []
        self.ended: list[records.Control] = []
        self.lost: list[str] = []
        self.already: list[str] = []
        self.refused: list[str] = []
        self.after: list[str] = []
        self._now = None

    def take(self, ruling: orders.Ruling, store: base.Store) -> None:
        if self.is_dry:
            self.ordered = list(ruling.adds)
            self.ended = list(ruling.ends)
        self.already = list(ruling.already) + self.lost
        self.refused = list(ruling.refused)
        self.after = list(ruling.after)
        self._now = store.now()

    @property
    def is_unheard(self) -> bool:
        """Something was ordered, and nobody lives to do it."""
        return self.alive.is_dead and bool(self.ordered or self.ended)

    @property
    def exit_code(self) -> Exit:
        if self.refused or self.is_unheard:
            return Exit.ACT
        return Exit.WELL

    def document(self) -> documents.Document:
        return {
            'exit_code': int(self.exit_code), 'dry_run': self.is_dry,
            'ordered': [documents.order(row, self._now)
                        for row in self.ordered],
            'ended': [documents.order(row, self._now)
                      for row in self.ended],
            'already': self.already, 'refused': self.refused,
            'engines': str(self.alive.answer), 'next': self.after}


def _before(ruling: orders.Ruling, alive: liveness.Liveness,
            settings: reading.Settings, width: int) -> list[str]:
    """What a person should read before typing yes."""
    lines = layout.fields(ruling.shown, width)
    lines += [''] if lines else []
    for text in ruling.already:
        lines += layout.paragraph(text, width, '')
    for text in ruling.refused:
        lines += layout.paragraph(f'Refused: {text}', width, '')
    if ruling.effect:
        lines += ([''] if lines and lines[-1] else []) + layout.paragraph(
            ruling.effect, width, '')
    is_order = ruling.adds or ruling.ends
    if is_order and alive.is_dead:
        lines += layout.paragraph(
            'NO ENGINE IS ALIVE: the order is written down, and obeyed '
            'when nova-scheduler runs again.', width, '')
    if is_order and settings.mode is not states.Mode.ACT:
        lines += layout.paragraph(
            f'Mode is {settings.mode}: the engines fence and evacuate '
            f'nothing now.', width, '')
    return lines


def _after(result: _Result, ruling: orders.Ruling, width: int) -> list[str]:
    if not result.ordered and not result.ended:
        return _next(ruling, width)
    lines = ['']
    if result.is_dry:
        lines += layout.paragraph(
            'Dry run: nothing was ordered. It would have been:', width, '')
    for row in result.ordered:
        number = f' (order {row.id})' if row.id else ''
        lines += layout.paragraph(
            f'Ordered{number}: {_words(row)}.' if not result.is_dry else
            f'{_words(row)}.', width, '  ' if result.is_dry else '')
    for row in result.ended:
        lines += layout.paragraph(f'Ended: {_words(row)}.', width, '')
    for text in result.lost:
        lines += layout.paragraph(text, width, '')
    if result.ordered and not result.is_dry and not result.alive.is_dead:
        lines += layout.paragraph(
            'The engines act on it; this command does not.', width, '')
    return lines + _next(ruling, width)


def _next(ruling: orders.Ruling, width: int) -> list[str]:
    """Commands whole, so that they can be copied; sentences wrapped."""
    lines: list[str] = []
    for text in ruling.after:
        lines += [f'    {text}'] if text.startswith(orders.COMMANDS) else \
            layout.paragraph(text, width, '')
    return lines


def _words(row: records.Control) -> str:
    where = {'all': 'all'}.get(row.scope, f'{row.scope} {row.target}')
    epoch = f' in epoch {row.epoch}' if row.epoch is not None else ''
    return f'{str(row.kind).replace("_", " ")}, {where}{epoch}'
