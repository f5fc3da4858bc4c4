# SPDX-License-Identifier: Apache-2.0
"""How a record comes back from a database: what db/rows.py makes of it.

JSON is read back as what JSON knows, enums by value, text as every database
takes it. Reads of the memory store return stored records themselves, so all
of this happens once, when a row is written.
"""

import collections.abc
import dataclasses
import enum
import json
import typing

from nova_pets.model import records
from nova_pets.model import states

Row = typing.TypeVar('Row')
Way = collections.abc.Callable[[typing.Any], typing.Any]

TEXT_MAX = 20_000


def fit(text: str, length: int = TEXT_MAX) -> str:
    """Return the text as db/rows.py writes it."""
    cut = text[:length]
    if cut.isascii() and '\0' not in cut:
        return cut
    return ''.join(
        '\ufffd' if char == '\0' or char > '\uffff'
        or '\ud800' <= char <= '\udfff' else char for char in cut)


def as_stored(row: Row, old: Row | None) -> Row:
    """Return the record as it would be read after it was written.

    :param old: the stored one; what is the same object is fit already.
    """
    ways = WAYS[type(row)]
    changes = {}
    for name in NAMES[type(row)]:
        value = getattr(row, name)
        if value is None or value is getattr(old, name, None):
            continue
        way = ways.get(name)
        if way is not None:
            stored = way(value)
        elif isinstance(value, enum.Enum):
            stored = value.value
        else:
            continue
        if stored is not value:
            changes[name] = stored
    return dataclasses.replace(typing.cast(typing.Any, row), **changes) \
        if changes else row


def _dict(value: dict[str, typing.Any]) -> dict[str, typing.Any]:
    found: dict[str, typing.Any] = json.loads(
        json.dumps(value, sort_keys=True, default=str))
    return found


def _tuple(value: collections.abc.Iterable[typing.Any]
           ) -> tuple[typing.Any, ...]:
    items = tuple(value)
    if all(type(item) is str for item in items):
        return items
    return tuple(json.loads(json.dumps(items, default=str)))


def _text(length: int) -> Way:
    return lambda value: fit(value, length)


WAYS: dict[type, dict[str, Way]] = {
    records.Engine: {
        'worker': _text(64), 'version': _text(64),
        'bindings_digest': _text(128), 'mode': states.Mode,
        'gate_loaded': bool, 'deposed': bool, 'report': _dict},
    records.Host: {
        'state': states.HostState, 'reason': _text(64), 'evidence': _dict,
        'proof': states.ProofKind, 'forced_down': bool, 'fence_ready': bool,
        'fence_detail': fit},
    records.Pet: {
        'name': _text(255), 'settings': _dict, 'problems': _tuple,
        'unprotected': _tuple, 'is_bfv': bool},
    records.Recovery: {
        'name': _text(255), 'state': states.RecoveryState,
        'reason': _text(64), 'detail': fit,
        'desired_power': states.DesiredPower, 'is_bfv': bool,
        'excluded': _tuple, 'wait_s': float, 'urgent': bool,
        'untagged': bool},
    records.Attempt: {
        'kind': states.AttemptKind, 'gate': states.Gate,
        'outcome': states.Outcome, 'reason': _text(64), 'detail': fit},
    records.Event: {
        'code': _text(64), 'text': fit, 'actor': _text(255),
        'evidence': _dict},
    records.Control: {
        'kind': states.ControlKind, 'reason': fit, 'actor': _text(255),
        'active': bool}}

NAMES = {kind: [field.name for field in dataclasses.fields(kind)]
          for kind in WAYS}
