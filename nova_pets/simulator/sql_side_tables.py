# SPDX-License-Identifier: Apache-2.0
"""The side tables of a false cloud in a real database, and their mirror.

Engines and gate work with db.store.SqlStore. The judge, the story and
whoever looks for a trigger go on reading a MemoryDatabase: the rows that a
transaction changed are copied there right after its COMMIT, before anything
else runs. So the same seed has to leave the same trace as in memory.

The database's time is the virtual one: the expression that the product sends
for it is replaced by its value. Only an empty database is used, or one that
was empty when simulations began to use it; it is emptied before each.
"""

import typing

import sqlalchemy as sa

from nova_pets import exception
from nova_pets.db import models
from nova_pets.db import rows
from nova_pets.db import schema
from nova_pets.db import session
from nova_pets.db import store
from nova_pets.model import states
from nova_pets.simulator import memory_database
from nova_pets.simulator import tables as tables_module

MARK = sa.Table('nova_pets_simulations', sa.MetaData(),
                sa.Column('only', sa.Integer))
"""Whose database it is: its rows may be deleted."""

CODECS: dict[sa.Table, rows.Codec[typing.Any]] = {
    models.ENGINES: rows.ENGINE, models.INSTANCES: rows.PET,
    models.HOSTS: rows.HOST, models.RECOVERIES: rows.RECOVERY,
    models.ATTEMPTS: rows.ATTEMPT, models.CONTROLS: rows.CONTROL,
    models.EVENTS: rows.EVENT}
"""In the order in which the store in memory writes in one transaction, which
is one in which foreign keys are met."""
_KEYS = {table: next(iter(table.primary_key.columns)) for table in CODECS}
_READS = {table: sa.select(*codec.columns).order_by(_KEYS[table])
          for table, codec in CODECS.items()}


class Database:
    """A database for simulations, one at a time.

    :param url: as SQLAlchemy takes it.
    :raises OperatorError: there is something in it.
    :raises StoreUnavailable: it cannot be reached or prepared.
    """

    def __init__(self, url: str):
        # A database that is away is said so at once, and no other thread
        # waits for its turn when a connection is given back.
        self.facade = session.standalone(
            url, sqlite_synchronous=False, thread_checkin=False,
            max_retries=0)
        self.touched: dict[sa.Table, bool] = {}
        """{table written: only by inserts}, since a mirror read them."""
        self._memory: memory_database.MemoryDatabase | None = None
        try:
            self.engine: sa.Engine = self.facade.writer.get_engine()
            _mark(self.engine)
            schema.sync(self.engine)
        except session.DATABASE_ERRORS as error:
            raise session.unavailable('prepare a simulation',
                                      error) from error
        self._now = str(models.utc_now().compile(
            dialect=self.engine.dialect))
        self._literal = ("'%s'" if self.engine.dialect.name == 'sqlite'
                         else "TIMESTAMP '%s'")
        sa.event.listen(self.engine, 'before_cursor_execute',
                        self._tell_time, retval=True)
        sa.event.listen(self.engine, 'after_cursor_execute', self._note)

    def close(self) -> None:
        self.engine.dispose()

    def mirror(self, memory: memory_database.MemoryDatabase) -> 'Mirror':
        """Begin a simulation: empty everything, and let ids begin at 1.

        :param memory: what shall show the rows; its clock is the time.
        """
        self._memory = memory
        with self.engine.begin() as conn:
            for table in reversed(CODECS):
                conn.execute(sa.delete(table))
            for statement in _first_ids(conn):
                conn.exec_driver_sql(statement)
        self.touched.clear()
        return Mirror(self, memory)

    def _tell_time(self, conn: typing.Any, cursor: typing.Any,
                   statement: str, parameters: typing.Any, *more: typing.Any
                   ) -> tuple[str, typing.Any]:
        if self._memory is not None and self._now in statement:
            statement = statement.replace(
                self._now, self._literal % self._memory.now().isoformat(
                    ' ', 'microseconds'))
        return statement, parameters

    def _note(self, conn: typing.Any, cursor: typing.Any, statement: str,
              parameters: typing.Any, context: typing.Any, *more: typing.Any
              ) -> None:
        """Keep which table a statement wrote, if it wrote anything."""
        is_write = context is not None and (
            context.isinsert or context.isupdate or context.isdelete)
        if is_write and cursor.rowcount != 0:
            table = context.compiled.statement.table
            self.touched[table] = (context.isinsert and
                                   self.touched.get(table, True))


class Mirror:
    """The rows of one simulation, in the database and in memory."""

    def __init__(self, database: Database,
                 memory: memory_database.MemoryDatabase):
        self._database = database
        self._memory = memory
        self._shown: dict[sa.Table, dict[typing.Any, tuple[
            typing.Any, ...]]] = {table: {} for table in CODECS}
        """What was read last, as it came."""

    def store(self, actor: str) -> 'MirroredStore':
        return MirroredStore(self._database.facade, actor, self)

    def show(self) -> None:
        """Copy what was committed since the last time, in one commit."""
        touched = dict(self._database.touched)
        self._database.touched.clear()
        if not touched:
            return
        with self._database.engine.connect() as conn:
            changes = [
                change for table in CODECS if table in touched
                for change in self._changes(conn, table, touched[table])]
        tables = self._memory.tables
        with tables.commit():
            for name, key, record in changes:
                if record is None:
                    tables.drop(name, key)
                else:
                    tables.put(name, key, record)

    def lose_since(self, moment: float) -> int:
        """Let a replica take over that knows nothing later; return how many
        transactions were lost, Nova's of its API database among them."""
        lost = self._memory.tables.lose_since(moment)
        if lost:
            self._write_back()
        return lost

    def renewals(self, engine_id: str) -> int:
        return self._memory.engines[engine_id].renewals

    def differences(self) -> list[str]:
        """Return where the database has something else than was shown."""
        found = []
        with self._database.engine.connect() as conn:
            for table, codec in CODECS.items():
                real = {
                    getattr(record, _KEYS[table].name): record
                    for record in map(codec.read,
                                      conn.execute(_READS[table]))}
                shown = self._memory.tables.table(table.name)
                found += [
                    f'mirror: {table.name} {key} is {real.get(key)} and '
                    f'was shown as {shown.get(key)}'
                    for key in sorted(real.keys() | shown.keys())
                    if real.get(key) != shown.get(key)]
        return found

    def _changes(self, conn: sa.Connection, table: sa.Table,
                 is_longer: bool) -> list[tuple[
                     str, tables_module.Key, typing.Any]]:
        """:param is_longer: nothing but new rows is to be expected."""
        codec, shown = CODECS[table], self._shown[table]
        key, statement = _KEYS[table], _READS[table]
        place = codec.columns.index(key)
        is_part = is_longer and table is models.EVENTS and bool(shown)
        if is_part:
            # The one long table; its rows were inserted in order.
            statement = statement.where(key > next(reversed(shown)))
        found = {row[place]: tuple(row) for row in conn.execute(statement)}
        changes = [(table.name, one, codec.read(row))
                   for one, row in found.items() if shown.get(one) != row]
        if not is_part:
            gone = [one for one in shown if one not in found]
            changes += [(table.name, one, None) for one in gone]
            shown.clear()
        shown.update(found)
        return changes

    def _write_back(self) -> None:
        """Make the database hold what is shown. Which call wrote a row last
        (its stamp) is forgotten: no call is under way."""
        with self._database.engine.begin() as conn:
            for table in reversed(CODECS):
                conn.execute(sa.delete(table))
            for table, codec in CODECS.items():
                records = self._memory.tables.table(table.name).values()
                session.insert_many(conn, table, [
                    codec.values(record) | _more(table, record)
                    for record in records])
            for table in CODECS:
                self._changes(conn, table, False)
        self._database.touched.clear()


class MirroredStore(store.SqlStore):
    """The product's store; what it commits is shown at once."""

    def __init__(self, facade: typing.Any, actor: str, mirror: Mirror):
        super().__init__(facade, actor)
        self._run = _Runner(facade, mirror)
        self._mirror = mirror

    def lose_renewal(self, engine_id: str, renewals: int) -> None:
        """Know that the COMMIT of the last renewal was not acknowledged, as
        renew_engine knows it when the connection was lost."""
        self._unseen[engine_id] = self._mirror.renewals(engine_id) - renewals


class _Runner(session.Runner):
    def __init__(self, facade: typing.Any, mirror: Mirror):
        super().__init__(facade)
        self._mirror = mirror

    def write(self, *args: typing.Any, **kwargs: typing.Any) -> typing.Any:
        try:
            return super().write(*args, **kwargs)
        finally:
            # Whatever it raises, too: it may have been committed.
            self._mirror.show()


def _mark(engine: sa.Engine) -> None:
    """Claim an empty database for simulations.

    :raises OperatorError: it is somebody's.
    """
    names = sa.inspect(engine).get_table_names()
    if MARK.name in names:
        return
    if names:
        raise exception.OperatorError(problem=(
            f'cannot simulate in {engine.url!r}: its tables would be '
            f'emptied; expected an empty database, found the table '
            f'{min(names)}'))
    MARK.create(engine)


def _first_ids(conn: sa.Connection) -> list[str]:
    """Return the statements after which ids begin at 1. SQLite has none:
    there the next one is always one more than the highest."""
    counted = [table.name for table in CODECS
               if _KEYS[table].autoincrement is True]
    if conn.dialect.name == 'postgresql':
        return [f'ALTER SEQUENCE {name}_id_seq RESTART' for name in counted]
    if conn.dialect.name == 'sqlite':
        return []
    return [f'ALTER TABLE {name} AUTO_INCREMENT = 1' for name in counted]


def _more(table: sa.Table, record: typing.Any) -> rows.Values:
    """Return the columns that no record shows."""
    if table is models.RECOVERIES:
        return {'open_instance': record.instance_uuid
                if record.state in states.OPEN else None}
    return {}
