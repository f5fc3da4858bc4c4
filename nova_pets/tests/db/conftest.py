# SPDX-License-Identifier: Apache-2.0
"""One migrated database per backend and session, emptied for each test.

A backend more is the store of the simulator: whatever the contract says must
be true of it as well. A test marked ``sql(reason)`` is not run against it.
"""

import contextlib
import dataclasses
import datetime
import time

import pytest
import sqlalchemy as sa

from nova_pets.db import models
from nova_pets.db import schema
from nova_pets.db import store as store_
from nova_pets.simulator import memory_database
from nova_pets.simulator import memory_store
from nova_pets.simulator import tables as tables_
from nova_pets.tests.db import databases

MEMORY = 'memory'


class Database:
    """A migrated database, and a store over it."""

    def __init__(self, url):
        self.url = url
        self.facade = databases.facade(url)
        self.engine = self.facade.writer.get_engine()
        schema.sync(self.engine)

    def store(self, facade=None, actor='engine test/1'):
        return store_.SqlStore(facade or self.facade, actor)

    def empty(self):
        with self.engine.begin() as conn:
            for table in reversed(models.METADATA.sorted_tables):
                conn.execute(sa.delete(table))

    @contextlib.contextmanager
    def statements(self):
        """Collect the statements that are sent meanwhile."""
        sent = []

        def remember(conn, cursor, statement, *args):
            # On SQLite oslo.db sends this one as a statement of its own.
            if statement != 'BEGIN':
                sent.append(statement)

        sa.event.listen(self.engine, 'before_cursor_execute', remember)
        try:
            yield sent
        finally:
            sa.event.remove(self.engine, 'before_cursor_execute', remember)

    def write(self, statement, *args):
        """Change rows behind the store's back."""
        with self.engine.begin() as conn:
            return conn.execute(statement, *args)

    def set(self, table, **values):
        """Set columns of all rows behind the store's back."""
        self.write(table.update().values({
            name: getattr(value, 'value', value)
            for name, value in values.items()}))

    def age(self, at):
        """Move every time that is known to ``at``."""
        for table in models.METADATA.sorted_tables:
            for name in _times(table):
                self.write(table.update().where(table.c[name].is_not(None))
                           .values({name: at}))

    def count(self, table):
        with self.engine.connect() as conn:
            return conn.execute(
                sa.select(sa.func.count()).select_from(table)).scalar_one()


class Memory:
    """The same over the simulator's tables, by the machine's own clock."""

    def __init__(self):
        self.empty()

    def store(self, actor='engine test/1'):
        return memory_store.MemoryStore(self._database, actor)

    def empty(self):
        self._tables = tables_.Tables(time.time)
        self._database = memory_database.MemoryDatabase(
            self._tables, epoch=datetime.datetime(1970, 1, 1))

    def set(self, table, **values):
        with self._tables.commit():
            for key, row in list(self._tables.table(table.name).items()):
                self._tables.put(table.name, key,
                                 dataclasses.replace(row, **values))

    def age(self, at):
        with self._tables.commit():
            for table in models.METADATA.sorted_tables:
                for key, row in list(self._tables.table(table.name).items()):
                    self._tables.put(table.name, key, dataclasses.replace(
                        row, **{name: at for name in _times(table)
                                if getattr(row, name) is not None}))

    def count(self, table):
        return len(self._tables.table(table.name))


def _times(table):
    return [column.name for column in table.columns
            if column.name.endswith('_at') or column.name == 'at']


@pytest.fixture(scope='session')
def opened(tmp_path_factory):
    """Return a function that opens a backend's database once."""
    with contextlib.ExitStack() as stack:
        found = {}

        def open_(backend):
            if backend == MEMORY:
                return Memory()
            if backend not in found:
                url = stack.enter_context(databases.database(
                    backend, tmp_path_factory.mktemp('db')))
                found[backend] = Database(url)
                stack.callback(found[backend].engine.dispose)
            return found[backend]
        yield open_


def pytest_generate_tests(metafunc):
    if 'backend' in metafunc.fixturenames:
        is_sql = metafunc.definition.get_closest_marker('sql') is not None
        metafunc.parametrize(
            'backend', databases.BACKENDS + (() if is_sql else (MEMORY,)))


@pytest.fixture
def db(backend, opened):
    database = opened(backend)
    database.empty()
    return database


@pytest.fixture(params=databases.SERVERS)
def server_db(request, opened):
    database = opened(request.param)
    database.empty()
    return database


@pytest.fixture
def store(db):
    return db.store()
