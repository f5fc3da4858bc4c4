# SPDX-License-Identifier: Apache-2.0
"""pets_events: the history, and the end of old rows.

``append`` writes inside the transaction of the change that it tells of, so
that neither exists without the other.
"""

import collections.abc
import dataclasses
import datetime
import typing

import sqlalchemy as sa

from nova_pets.db import models
from nova_pets.db import rows
from nova_pets.db import session
from nova_pets.model import records

EVENTS = models.EVENTS
_CHUNK = 500
"""Rows deleted by one transaction: a purge of years must not hold locks for
long."""


def append(conn: sa.Connection, event: records.Event, actor: str) -> None:
    append_many(conn, [event], actor)


def append_many(conn: sa.Connection,
                events: collections.abc.Iterable[records.Event],
                actor: str) -> None:
    session.insert_many(conn, EVENTS, [
        rows.EVENT.values(
            dataclasses.replace(event, actor=event.actor or actor),
            without=('id',)) | {'at': models.utc_now()}
        for event in events])


class HistoryRows:
    """Part of store.SqlStore."""

    _run: session.Runner
    _actor: str

    def record(self, event: records.Event) -> None:
        self._run.write('history', lambda write: append(
            write.connection, event, self._actor))

    def history(self, instance_uuid: str | None = None,
                host: str | None = None,
                since: datetime.datetime | None = None,
                recovery_id: int | None = None,
                limit: int = 1000) -> list[records.Event]:
        statement = sa.select(*rows.EVENT.columns)
        if instance_uuid is not None:
            statement = statement.where(
                EVENTS.c.instance_uuid == instance_uuid)
        if host is not None:
            statement = statement.where(EVENTS.c.host == host)
        if since is not None:
            statement = statement.where(EVENTS.c.at >= since)
        if recovery_id is not None:
            statement = statement.where(EVENTS.c.recovery_id == recovery_id)
        statement = statement.order_by(EVENTS.c.id.desc()).limit(limit)
        newest_first = self._run.read(
            'history', lambda conn: rows.EVENT.read_known(
                conn.execute(statement)))
        return newest_first[::-1]

    def purge(self, before: datetime.datetime) -> dict[str, int]:
        recoveries, attempts = models.RECOVERIES, models.ATTEMPTS
        closed = sa.and_(recoveries.c.open_instance.is_(None),
                         recoveries.c.finished_at < before)
        counts = {
            attempts.name: 0,
            recoveries.name: 0,
            # A living recovery keeps the whole of its history.
            EVENTS.name: self._purge(EVENTS, sa.and_(
                EVENTS.c.at < before,
                ~sa.exists().where(
                    recoveries.c.id == EVENTS.c.recovery_id,
                    recoveries.c.open_instance.is_not(None)))),
            models.CONTROLS.name: self._purge(models.CONTROLS, sa.and_(
                models.CONTROLS.c.active == sa.false(),
                models.CONTROLS.c.ended_at < before)),
            models.ENGINES.name: self._purge(models.ENGINES, sa.and_(
                models.ENGINES.c.deposed == sa.true(),
                models.ENGINES.c.renewed_at < before))}

        def work(write: session.Write) -> tuple[int, int]:
            ids = _some(write.connection, recoveries, closed)
            return (_delete(write.connection, attempts.c.recovery_id, ids),
                    _delete(write.connection, recoveries.c.id, ids))

        while True:
            children, parents = self._run.write(
                'purge', work, is_recognisable=True)
            counts[attempts.name] += children
            counts[recoveries.name] += parents
            if not parents:
                return counts

    def _purge(self, table: sa.Table, condition: sa.ColumnElement[bool]
               ) -> int:
        def work(write: session.Write) -> int:
            return _delete(write.connection, _key(table),
                           _some(write.connection, table, condition))

        total = 0
        while True:
            deleted = self._run.write('purge', work, is_recognisable=True)
            total += deleted
            if not deleted:
                return total


def _key(table: sa.Table) -> sa.Column[typing.Any]:
    return next(iter(table.primary_key.columns))


def _some(conn: sa.Connection, table: sa.Table,
          condition: sa.ColumnElement[bool]) -> list[typing.Any]:
    return list(conn.execute(
        sa.select(_key(table)).where(condition).limit(_CHUNK)).scalars())


def _delete(conn: sa.Connection, key: sa.Column[typing.Any],
            values: collections.abc.Sequence[typing.Any]) -> int:
    # Not asked again whether they are closed: nothing opens them any more.
    if not values:
        return 0
    return conn.execute(sa.delete(key.table).where(
        key.in_(values))).rowcount
