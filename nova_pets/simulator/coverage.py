# SPDX-License-Identifier: Apache-2.0
"""What runs have reached, of all that there is to reach.

A row of a transition table is hit when an engine, or the gate, decided for it
and the pair of states was written.
"""

import collections
import collections.abc
import contextlib
import dataclasses
import typing

from nova_pets.model import states
from nova_pets.planning import audit
from nova_pets.planning import machine
from nova_pets.simulator import deeds
from nova_pets.simulator import windows as windows_module

Counts = dict[str, collections.Counter[typing.Any]]

CHECKS = ('I1', 'I2', 'I3', 'I4', 'I5', 'I6', 'I7', 'I8', 'I9', 'I10', 'L1',
          'L2', 'A1')
"""What the judge asks (simulator/checks.py, run.py); L3 is part of L1: all
pets well, within a bound."""
MENDED = ('leaked_allocation', 'pet_without_instance', 'record_of_its_host',
          'stale_record', 'stuck_rebuilding')
"""Findings that an audit may mend."""
FOUND = (*MENDED, 'guest_unknown', 'no_allocation', 'orphan_guest',
         'recovery_without_instance', 'two_guests', 'uncleaned_source')
"""What audits find (planning/audit.py)."""


class Rows:
    """Counts the rows of the transition tables that engines decide for, and
    what their audits find."""

    def __init__(self) -> None:
        self.hits: collections.Counter[tuple[str, str, str]] = (
            collections.Counter())
        """{(kind, state, event): how often}"""
        self.found: collections.Counter[str] = collections.Counter()
        """{code of a finding: how often}"""

    @contextlib.contextmanager
    def counting(self) -> collections.abc.Iterator[None]:
        """One simulation at a time: the tables are the process's own."""
        before = machine.HOST_TRANSITIONS, machine.RECOVERY_TRANSITIONS
        judge, missing = audit.judge, audit.missing
        audit.judge = self._judging(judge)
        audit.missing = self._missing(missing)
        machine.HOST_TRANSITIONS = _Counted('host', before[0], self.hits)
        machine.RECOVERY_TRANSITIONS = _Counted('recovery', before[1],
                                                self.hits)
        try:
            yield
        finally:
            machine.HOST_TRANSITIONS, machine.RECOVERY_TRANSITIONS = before
            audit.judge, audit.missing = judge, missing

    def _judging(self, judge: typing.Any) -> typing.Any:
        def judging(*args: typing.Any) -> list[audit.Finding]:
            found: list[audit.Finding] = judge(*args)
            self.found.update(one.code for one in found)
            return found
        return judging

    def _missing(self, missing: typing.Any) -> typing.Any:
        def counted(*args: typing.Any) -> audit.Finding:
            found: audit.Finding = missing(*args)
            self.found[found.code] += 1
            return found
        return counted


class _Counted(dict[typing.Any, typing.Any]):
    def __init__(self, kind: str, table: dict[typing.Any, typing.Any],
                 hits: 'collections.Counter[tuple[str, str, str]]'):
        super().__init__(table)
        self._kind, self._hits = kind, hits

    def __getitem__(self, key: typing.Any) -> typing.Any:
        after = super().__getitem__(key)
        self._hits[self._kind, str(key[0]), key[1]] += 1
        return after


@dataclasses.dataclass(frozen=True)
class Part:
    """One dimension of the coverage."""

    title: str
    hits: dict[str, int]
    """{what there is to reach: how often it was}"""
    is_demanded: bool = True
    """A complete run has to reach all of it."""

    @property
    def missed(self) -> list[str]:
        return [name for name, count in self.hits.items() if not count]


def add(total: Counts, counts: collections.abc.Mapping[str, typing.Any]
        ) -> None:
    for name, counter in counts.items():
        total.setdefault(name, collections.Counter()).update(counter)


def parts(counts: Counts) -> list[Part]:
    """Return what was reached, per dimension."""
    empty: collections.Counter[typing.Any] = collections.Counter()
    moves, rows = counts.get('moves', empty), counts.get('rows', empty)
    windows = counts.get('windows', empty)
    found, mended = counts.get('found', empty), counts.get('mended', empty)
    met, checks = counts.get('met', empty), counts.get('checks', empty)
    return [
        Part('rows of the transition tables', {
            name: _times(row, rows, moves[pair])
            for name, row, pair in _rows()}),
        Part('windows of an evacuation', {
            name: windows[name] for name in windows_module.WINDOWS}),
        Part('kinds of faults', {
            kind: sum(met[kind, state] for state in _STATES)
            for kind in sorted(deeds.KINDS)}),
        Part('kinds of faults in passing states', {
            f'{kind} in {state}': met[kind, state]
            for kind in sorted(deeds.KINDS) for state in _STATES}),
        # Not demanded: they are what people and lost commits leave by chance,
        # and two_guests breaks I1, which ends a run before any audit.
        Part('findings of audits', {name: found[name] for name in FOUND},
             is_demanded=False),
        Part('mends of audits', {name: mended[name] for name in MENDED},
             is_demanded=False),
        Part('invariants', {name: checks[name] for name in CHECKS})]


_BY_THE_GATE = 'taken_over'
"""Written by the gate itself, in one statement (db/gate.py); no other event
leads from where it does to where it does."""


def _times(row: tuple[str, str, str],
           rows: 'collections.Counter[tuple[str, str, str]]', moved: int
           ) -> int:
    """Return how often a row was decided for, and written."""
    if row[2] == _BY_THE_GATE:
        return moved
    return rows[row] if moved else 0


_STATES = tuple(str(state) for state in states.RecoveryState
                if state in states.TRANSIENT)


def _rows() -> collections.abc.Iterator[
        tuple[str, tuple[str, str, str], tuple[str, str, str]]]:
    tables: tuple[tuple[str, dict[typing.Any, typing.Any]], ...] = (
        ('host', machine.HOST_TRANSITIONS),
        ('recovery', machine.RECOVERY_TRANSITIONS))
    for kind, table in tables:
        for (before, event), after in table.items():
            yield (f'{kind} {before} -> {after} ({event})',
                   (kind, str(before), event),
                   (kind, str(before), str(after)))
