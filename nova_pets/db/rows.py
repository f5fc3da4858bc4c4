# SPDX-License-Identifier: Apache-2.0
"""Between rows of the side tables and frozen records, both ways.

No statement here. A row that this version cannot read (an enum value or JSON
of another version) raises UnreadableRow; the store decides what that means
for each question. Free text is made fit for every database on its way in: a
stray character in an error message must never stop a recovery.
"""

import collections.abc
import dataclasses
import enum
import json
import typing

from oslo_log import log as logging
import sqlalchemy as sa

from nova_pets import exception
from nova_pets.db import models
from nova_pets.model import records
from nova_pets.model import states

LOG = logging.getLogger(__name__)

Decoder = collections.abc.Callable[[typing.Any], typing.Any]
Values = dict[str, typing.Any]
Record = typing.TypeVar('Record')

_FREE_TEXT = frozenset({
    'worker', 'version', 'bindings_digest', 'reason', 'detail', 'name',
    'fence_detail', 'code', 'text', 'actor'})
_TEXT_MAX = 20_000


class UnreadableRow(ValueError):
    """A row holds what only another version of nova-pets understands."""


def _dict(value: str) -> typing.Any:
    found = {} if value == '{}' else json.loads(value)
    if not isinstance(found, dict):
        raise ValueError(f'expected a JSON object, found {value:.60}')
    return found


def _tuple(value: str) -> typing.Any:
    found = [] if value == '[]' else json.loads(value)
    if not isinstance(found, list):
        raise ValueError(f'expected a JSON list, found {value:.60}')
    return tuple(found)


class Codec(typing.Generic[Record]):
    """Reads and writes one record class from and to one table."""

    def __init__(self, record: type[Record], table: sa.Table,
                 decoders: dict[str, Decoder]):
        self._record = record
        self._names = [field.name for field in
                       dataclasses.fields(typing.cast(typing.Any, record))]
        self._key = next(iter(table.primary_key.columns)).name
        self._table = table
        self._decoders = [
            (self._names.index(name), name, decoder)
            for name, decoder in decoders.items()]
        self.columns: list[sa.Column[typing.Any]] = [
            table.c[name] for name in self._names]
        self.width = len(self.columns)

    def labelled(self, prefix: str) -> list[sa.Label[typing.Any]]:
        """Return the columns under names of their own, for a join."""
        return [column.label(f'{prefix}_{column.name}')
                for column in self.columns]

    def read(self, row: collections.abc.Sequence[typing.Any]) -> Record:
        """Return the record of a row selected by ``columns``.

        :raises UnreadableRow: names the row and the column.
        """
        values = list(row)
        for index, name, decoder in self._decoders:
            if values[index] is None:
                continue
            try:
                values[index] = decoder(values[index])
            except ValueError as error:
                key = values[self._names.index(self._key)]
                raise UnreadableRow(
                    f'{self._table.name} row {key}, column {name}: {error}'
                    ) from error
        return self._record(*values)

    def read_some(self, rows: collections.abc.Iterable[
            collections.abc.Sequence[typing.Any]], problems: list[str]
            ) -> list[Record]:
        """Return the readable ones; say in ``problems`` why others lack."""
        found = []
        for row in rows:
            try:
                found.append(self.read(row))
            except UnreadableRow as error:
                problems.append(str(error))
        return found

    def read_known(self, rows: collections.abc.Iterable[
            collections.abc.Sequence[typing.Any]]) -> list[Record]:
        """Return the readable ones, for a list that people read; warn of
        the others."""
        problems: list[str] = []
        found = self.read_some(rows, problems)
        for problem in problems:
            LOG.warning('not shown: %s', problem)
        return found

    def read_one(self, rows: sa.CursorResult[typing.Any]) -> Record | None:
        """Return the only row's record, None without a row.

        :raises StoreUnavailable: this version cannot read it.
        """
        row = rows.first()
        try:
            return None if row is None else self.read(row)
        except UnreadableRow as error:
            raise exception.StoreUnavailable(
                what='read a row', found=str(error)) from error

    def read_all(self, rows: collections.abc.Iterable[
            collections.abc.Sequence[typing.Any]]) -> list[Record]:
        """Return all of them, for a question that no gap may distort.

        :raises StoreUnavailable: this version cannot read one of them.
        """
        try:
            return [self.read(row) for row in rows]
        except UnreadableRow as error:
            raise exception.StoreUnavailable(
                what='read a row', found=str(error)) from error

    def values(self, record: Record, without: collections.abc.Collection[
            str] = ()) -> Values:
        """Return the column values of a record."""
        return {name: self._plain(name, getattr(record, name))
                for name in self._names if name not in without}

    def _plain(self, name: str, value: typing.Any) -> typing.Any:
        if isinstance(value, enum.Enum):
            return value.value
        if isinstance(value, dict):
            return to_json(value)
        if isinstance(value, (tuple, list, set, frozenset)):
            return json.dumps(list(value), default=str)
        if isinstance(value, str) and name in _FREE_TEXT:
            return fit(value, getattr(self._table.c[name].type, 'length',
                                      None))
        return value


def to_json(value: records.Json) -> str:
    """Return sorted ASCII JSON; what JSON does not know becomes text."""
    return json.dumps(value, sort_keys=True, default=str)


def fit(text: str, length: int | None = None) -> str:
    """Return the text as every database takes it.

    PostgreSQL refuses NUL, MySQL's three-byte connections refuse characters
    beyond the basic plane, all refuse lone surrogates and what is too long.
    """
    cut = text[:length or _TEXT_MAX]
    if cut.isascii() and '\0' not in cut:
        return cut
    return ''.join(
        '\ufffd' if char == '\0' or char > '\uffff'
        or '\ud800' <= char <= '\udfff' else char for char in cut)


ENGINE = Codec(records.Engine, models.ENGINES, {
    'mode': states.Mode, 'gate_loaded': bool, 'deposed': bool,
    'report': _dict})
HOST = Codec(records.Host, models.HOSTS, {
    'state': states.HostState, 'evidence': _dict,
    'proof': states.ProofKind, 'forced_down': bool, 'fence_ready': bool})
PET = Codec(records.Pet, models.INSTANCES, {
    'settings': _dict, 'problems': _tuple, 'unprotected': _tuple,
    'is_bfv': bool})
RECOVERY = Codec(records.Recovery, models.RECOVERIES, {
    'state': states.RecoveryState, 'desired_power': states.DesiredPower,
    'is_bfv': bool, 'excluded': _tuple, 'urgent': bool, 'untagged': bool})
ATTEMPT = Codec(records.Attempt, models.ATTEMPTS, {
    'kind': states.AttemptKind, 'gate': states.Gate,
    'outcome': states.Outcome})
EVENT = Codec(records.Event, models.EVENTS, {'evidence': _dict})
CONTROL = Codec(records.Control, models.CONTROLS, {
    'kind': states.ControlKind, 'active': bool})
