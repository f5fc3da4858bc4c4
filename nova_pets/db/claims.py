# SPDX-License-Identifier: Apache-2.0
"""Claim and advance: the only compare-and-swap on owned rows.

Decides nothing about states; writes what it is given, where the row is still
as the caller read it.

Why no write of a deposed engine can land
-----------------------------------------
1. Every write of a row adds one to its ``generation`` and names the one it
   read. Of two writers that read the same generation, one finds zero rows:
   the second waits for the first one's row lock and then looks at the
   committed row (InnoDB: an UPDATE reads the latest version, not the
   transaction's snapshot; PostgreSQL, READ COMMITTED: it evaluates WHERE
   again; SQLite: one writer at a time). To that end each write is a
   transaction of its own whose first statement is a locking one.
2. ``deposed`` never goes back to false, and an engine's id is never used
   again. So 'the owner is deposed or missing' stays true once it was seen,
   and it does not matter how old the snapshot was in which a claim's
   subquery saw it: the row's own owner belongs to its generation, by 1.
3. 'I am living' is no such lasting truth. Before its UPDATE, a writer takes a
   shared lock on its own row in pets_engines (SELECT ... FOR SHARE) and
   keeps it to its COMMIT; depose_engine needs that row exclusively. Hence
   either the write is committed before the deposition, and whoever deposed
   reads it, or the writer finds itself deposed and writes nothing. SQLite
   has no FOR SHARE; there the condition in the UPDATE itself is enough, as
   writers exclude each other. It is in the WHERE on every database, so that
   no path is without it.
4. Lock order: own engine row (shared), then the row, then the owner's engine
   row (shared, InnoDB only). Renewing and deposing lock one engine row and
   nothing else. A renewal that waits between two shared locks can close a
   circle; the database then rolls one back, and the Runner repeats it.
5. Galera does not replicate shared locks: with several nodes written to, the
   order of 3 holds per node only. 1 still holds (certification fails one of
   two writers of a row), and so does 'at most one owner'.
"""

import typing
import uuid

import sqlalchemy as sa

from nova_pets import exception
from nova_pets.db import models
from nova_pets.db import rows
from nova_pets.db import session

ENGINES = models.ENGINES


def new_stamp() -> str:
    return str(uuid.uuid4())


def is_living(engine_id: typing.Any) -> sa.ColumnElement[bool]:
    """Return the condition: such an engine exists and is not deposed.

    :param engine_id: a value or a column of the row that is updated.
    """
    engine = ENGINES.alias()
    return sa.exists().where(engine.c.id == engine_id,
                             engine.c.deposed == sa.false())


def hold_engine(conn: sa.Connection, me: str) -> None:
    """Keep ``me`` from being deposed until this transaction ends.

    Says nothing about whether it is deposed: the UPDATE asks that.
    """
    if conn.dialect.name != 'sqlite':
        conn.execute(sa.select(ENGINES.c.id).where(ENGINES.c.id == me)
                     .with_for_update(read=True))


def claim(run: session.Runner, table: sa.Table,
          key: sa.Column[typing.Any], value: typing.Any, generation: int,
          me: str) -> int | None:
    """Make ``me`` the owner of a row; return its new generation or None."""
    stamp = new_stamp()
    mine = table.c.owner == me
    # Of a row without an owner too: there is no engine NULL.
    void = ~is_living(table.c.owner)
    statement = (
        sa.update(table)
        .where(key == value, table.c.generation == generation,
               sa.or_(mine, void), is_living(me))
        .values(owner=me, generation=generation + 1, stamp=stamp))

    def work(write: session.Write) -> int | None:
        conn = write.connection
        hold_engine(conn, me)
        if conn.execute(statement).rowcount == 1 or (
                write.repeated and is_stamped(conn, table, key, value,
                                              stamp)):
            return generation + 1
        return None

    return run.write(f'claim of {table.name} {value}', work,
                     is_recognisable=True)


def is_stamped(conn: sa.Connection, table: sa.Table,
               key: sa.Column[typing.Any], value: typing.Any, stamp: str
               ) -> bool:
    """Return whether the last write of the row was the one of ``stamp``."""
    found = conn.execute(sa.select(table.c.stamp).where(key == value))
    return found.scalar() == stamp


def advance(write: session.Write, table: sa.Table,
            key: sa.Column[typing.Any], value: typing.Any, generation: int,
            me: str, values: rows.Values, stamp: str,
            *conditions: sa.ColumnElement[bool]) -> bool:
    """Write the columns of an owned row; return whether it is new.

    False: an earlier run of this very write was committed already.

    :param conditions: more that must be true of the row.

    :raises RowConflict: another generation or owner, or ``me`` is deposed.
    """
    conn = write.connection
    hold_engine(conn, me)
    # MySQL assigns from left to right and would compare the new state with
    # itself if since_at came after state.
    since_at = sa.case((table.c.state != values['state'], models.utc_now()),
                       else_=table.c.since_at)
    columns = values | {'generation': generation + 1, 'stamp': stamp}
    statement = (
        sa.update(table)
        .where(key == value, table.c.generation == generation,
               table.c.owner == me, is_living(me), *conditions)
        .ordered_values(
            (table.c.since_at, since_at),
            *((table.c[name], columns[name]) for name in columns)))
    if conn.execute(statement).rowcount == 1:
        return True
    if write.repeated and is_stamped(conn, table, key, value, stamp):
        return False
    raise exception.RowConflict(kind=table.name, key=value,
                                expected=generation, owner=me)


def check_owner(owner: str | None, me: str) -> None:
    """Refuse to hand a row to anybody else: claims are taken, not given."""
    if owner not in (None, me):
        raise ValueError(f'expected owner None or {me}, found {owner}')
