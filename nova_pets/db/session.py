# SPDX-License-Identifier: Apache-2.0
"""Runs one piece of work in one transaction, and repeats what is safe.

The transactions come from an oslo.db enginefacade that is handed in (nova's
for its API database, or ``standalone`` for one by URL); nothing of nova is
imported. Every failure of the database leaves as StoreUnavailable: then
nothing is known about a write, unless it is one of the two cases below.

* The server rolled it back (deadlock, lock wait, a busy SQLite file, and for
  work that says so a duplicate key): run again.
* The connection was lost, perhaps after COMMIT was sent: only work that can
  recognise its own earlier success is run again (``is_recognisable``). It is
  told so by ``repeated``. Compare-and-swap writes put a ``stamp``, a uuid of
  this very call, into the row; a repetition that finds the generation moved
  on and its own stamp there was successful the first time. Without the stamp
  it is somebody else's write, and a conflict.
"""

import collections.abc
import random
import sqlite3
import time
import typing

from oslo_db import exception as db_exception
from oslo_db.sqlalchemy import enginefacade
import sqlalchemy as sa
from sqlalchemy import exc as sa_exception

from nova_pets import exception
from nova_pets.db import models

Answer = typing.TypeVar('Answer')
Item = typing.TypeVar('Item')

_CHUNK = 500
"""Below the number of variables that every SQLite takes in a statement."""
_AGAIN_MAX = 12
"""Repetitions after a rollback. Each costs one round trip and a pause that
doubles from 5 ms, so that a hot row is given up after about 2.5 s."""
_AGAIN_S = 5.0
"""And none begins later than this: a lock wait or a busy SQLite file may
take the database's own timeout each time."""
_PAUSE_S = 0.005
_PAUSE_MAX_S = 0.5
_LOST_MAX = 2
"""Repetitions after a lost connection; more would hide an outage."""

# Both: SQLAlchemy's pool raises errors that oslo.db does not translate, and
# oslo.db's own are no SQLAlchemy errors.
DATABASE_ERRORS = (
    db_exception.DBError, sa_exception.SQLAlchemyError, sqlite3.Error,
    db_exception.CantStartEngineError)


@enginefacade.transaction_context_provider
class Context:
    """Carries the transaction of one call; never shared or kept."""


class DuplicateKey(exception.StoreUnavailable):
    """A unique index refused the write; nothing was written."""


class Write:
    """Says to a piece of work what is known about its earlier runs."""

    def __init__(self, connection: sa.Connection, lost: int):
        self.connection = connection
        self.lost = lost
        """Runs before this one that may have been committed."""

    @property
    def repeated(self) -> bool:
        return self.lost > 0


class Runner:
    """Transactions over a facade; made and used by any thread."""

    def __init__(self, facade: typing.Any):
        self._facade = facade

    def engine(self) -> sa.Engine:
        found: sa.Engine = self._facade.writer.get_engine()
        return found

    def read(self, what: str, work: collections.abc.Callable[
            [sa.Connection], Answer]) -> Answer:
        """Run ``work`` in a transaction that is rolled back.

        :raises StoreUnavailable: nothing is known.
        """
        def once(lost: int) -> Answer:
            with self._facade.reader.connection.using(Context()) as conn:
                return work(conn)
        return self._run(f'read {what}', once, is_recognisable=True,
                         again_on_duplicate=False)

    def write(self, what: str, work: collections.abc.Callable[
            [Write], Answer], is_recognisable: bool = False,
            again_on_duplicate: bool = False) -> Answer:
        """Run ``work`` in a transaction of its own and commit it.

        :raises StoreUnavailable: it may or may not have been committed.
        """
        def once(lost: int) -> Answer:
            with self._facade.writer.connection.using(Context()) as conn:
                _take_sqlite_lock(conn)
                return work(Write(conn, lost))
        return self._run(f'write {what}', once, is_recognisable,
                         again_on_duplicate)

    def _run(self, what: str, once: collections.abc.Callable[
            [int], Answer], is_recognisable: bool,
            again_on_duplicate: bool) -> Answer:
        lost = 0
        last_s = time.monotonic() + _AGAIN_S
        for turn in range(_AGAIN_MAX + 1):
            try:
                return once(lost)
            except DATABASE_ERRORS as error:
                if isinstance(error, db_exception.DBConnectionError):
                    lost += 1
                    if not is_recognisable or lost > _LOST_MAX:
                        raise unavailable(what, error) from error
                elif turn == _AGAIN_MAX or time.monotonic() > last_s or not (
                        _was_rolled_back(error) or again_on_duplicate
                        and isinstance(error,
                                       db_exception.DBDuplicateEntry)):
                    raise unavailable(what, error) from error
                _pause(turn)
        raise AssertionError('unreachable: the last turn returns or raises')


def unavailable(what: str, error: Exception
                ) -> exception.StoreUnavailable:
    """Return what to raise for a failure of the database."""
    text = ' '.join(str(error).split())
    kind = (DuplicateKey if isinstance(error, db_exception.DBDuplicateEntry)
            else exception.StoreUnavailable)
    return kind(what=what, found=f'{type(error).__name__}: {text[:300]}')


def _was_rolled_back(error: Exception) -> bool:
    return (isinstance(error, db_exception.DBDeadlock)
            or 'database is locked' in str(error)
            or 'database table is locked' in str(error))


def _pause(turn: int) -> None:
    # Random, so that two that collided do not collide in step again.
    longest_s = min(_PAUSE_S * 2 ** turn, _PAUSE_MAX_S)
    time.sleep(random.uniform(0, longest_s))  # nosec B311


def _take_sqlite_lock(conn: sa.Connection) -> None:
    """Take SQLite's one write lock before the first read.

    A transaction that read first and then wants to write fails at once when
    another one does the same; one that begins with a write waits its turn.
    """
    if conn.dialect.name == 'sqlite':
        conn.execute(sa.update(models.ENGINES).where(sa.false())
                     .values(slot=None))


def chunks(items: collections.abc.Sequence[Item]
           ) -> collections.abc.Iterator[collections.abc.Sequence[Item]]:
    """Yield the items in parts that every database takes in one IN list."""
    for start in range(0, len(items), _CHUNK):
        yield items[start:start + _CHUNK]


def insert_many(conn: sa.Connection, table: sa.Table,
                many: collections.abc.Sequence[dict[str, typing.Any]]) -> None:
    """Insert rows with the same columns by one statement (executemany).

    Columns given as utc_now() are part of the statement.
    """
    if not many:
        return
    now = {name: value for name, value in many[0].items()
           if isinstance(value, models.utc_now)}
    conn.execute(
        sa.insert(table).values(now),
        [{name: value for name, value in one.items() if name not in now}
         for one in many])


def new_id(done: sa.CursorResult[typing.Any]) -> int:
    """Return the id that the database gave to one inserted row."""
    key = done.inserted_primary_key
    if key is None:
        raise ValueError('expected the id of an inserted row')
    return int(key[0])


def standalone(url: str, **settings: typing.Any) -> typing.Any:
    """Return a facade for a database of one's own, by URL."""
    facade = enginefacade.transaction_context()
    facade.configure(connection=url, **settings)
    return facade
