# SPDX-License-Identifier: Apache-2.0
"""What must be true of every write of the side tables, whoever wrote it.

Pure: rows before and after in, sentences about what is broken out; an empty
list is well. The simulator asks after each commit.
Source: design.md, section 9 (I2, I7, I9).
"""

import collections.abc
import typing

from nova_pets.model import records
from nova_pets.model import states
from nova_pets.planning import machine

_HOST_MOVES = frozenset(
    (before, after) for (before, _), after
    in machine.HOST_TRANSITIONS.items())
_RECOVERY_MOVES = frozenset(
    (before, after) for (before, _), after
    in machine.RECOVERY_TRANSITIONS.items())
_FIRST_STATES = frozenset({
    states.RecoveryState.PENDING, states.RecoveryState.NEEDS_OPERATOR})

Rows = collections.abc.Iterable[records.Event]


def host_write(old: records.Host | None, new: records.Host,
               written: Rows) -> list[str]:
    """Return what is wrong with one write of a host's row (I7).

    :param written: history lines of the same transaction.
    """
    if old is None:
        return ([] if new.state is states.HostState.UP else
                [f'I7 host {new.host} begins as {new.state}'])
    wrong = _generation(f'host {new.host}', old, new)
    if old.state is not new.state:
        wrong += _move(f'host {new.host}', old.state, new.state,
                       _HOST_MOVES, any(
                           line.host == new.host and
                           line.to_state == new.state for line in written))
    if new.state in states.PROVEN_OFF and new.proof is None:
        wrong.append(f'I3 host {new.host} is {new.state} without a proof')
    if new.epoch < old.epoch:
        wrong.append(f'I7 host {new.host}: epoch {old.epoch} -> '
                     f'{new.epoch}')
    return wrong


def recovery_write(old: records.Recovery | None, new: records.Recovery,
                   written: Rows) -> list[str]:
    """Return what is wrong with one write of a recovery's row (I7)."""
    name = f'recovery {new.id} of {new.instance_uuid}'
    if old is None:
        return ([] if new.state in _FIRST_STATES else
                [f'I7 {name} begins as {new.state}'])
    wrong = _generation(name, old, new)
    if old.state in states.TERMINAL and new.state is not old.state:
        wrong.append(f'I7 {name} left {old.state}, which is terminal')
    if old.state is not new.state:
        wrong += _move(name, old.state, new.state, _RECOVERY_MOVES, any(
            line.recovery_id == new.id and line.to_state == new.state
            for line in written))
    return wrong


def open_attempts(attempts: collections.abc.Iterable[records.Attempt]
                  ) -> list[str]:
    """Return what is wrong with all attempts of one instance (I2)."""
    found = [attempt for attempt in attempts
             if attempt.outcome is states.Outcome.OPEN]
    if len(found) <= 1:
        return []
    return [f'I2 {len(found)} attempts of {found[0].instance_uuid} are open: '
            f'{", ".join(attempt.request_id for attempt in found)}']


def owner_change(kind: str, key: typing.Any, old: str | None,
                 new: str | None, is_old_living: bool) -> list[str]:
    """Return what is wrong with the owner of a row after a write (I9)."""
    if old in (None, new) or new is None or not is_old_living:
        return []
    return [f'I9 {kind} {key} went from {old}, which lives, to {new}']


def _generation(name: str, old: typing.Any, new: typing.Any) -> list[str]:
    if new.generation > old.generation:
        return []
    return [f'I7 {name}: generation {old.generation} -> {new.generation}']


def _move(name: str, before: typing.Any, after: typing.Any,
          allowed: frozenset[tuple[typing.Any, typing.Any]],
          is_told: bool) -> list[str]:
    wrong = []
    if (before, after) not in allowed:
        wrong.append(f'I7 {name}: {before} -> {after} is in no table')
    if not is_told:
        wrong.append(f'I7 {name}: {before} -> {after} is not in the history')
    return wrong
