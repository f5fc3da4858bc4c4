# SPDX-License-Identifier: Apache-2.0
"""One migrated database per backend and session, emptied for each test."""

import contextlib

import pytest
import sqlalchemy as sa

from nova_pets.db import models
from nova_pets.db import schema
from nova_pets.db import store as store_
from nova_pets.tests.db import databases


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

    def count(self, table):
        with self.engine.connect() as conn:
            return conn.execute(
                sa.select(sa.func.count()).select_from(table)).scalar_one()


@pytest.fixture(scope='session')
def opened(tmp_path_factory):
    """Return a function that opens a backend's database once."""
    with contextlib.ExitStack() as stack:
        found = {}

        def open_(backend):
            if backend not in found:
                url = stack.enter_context(databases.database(
                    backend, tmp_path_factory.mktemp('db')))
                found[backend] = Database(url)
                stack.callback(found[backend].engine.dispose)
            return found[backend]
        yield open_


@pytest.fixture(params=databases.BACKENDS)
def db(request, opened):
    database = opened(request.param)
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
