# SPDX-License-Identifier: Apache-2.0
"""Databases of a test session's own: made under a unique name, dropped.

Where: NOVA_PETS_TEST_MYSQL and NOVA_PETS_TEST_POSTGRES, URLs of servers on
which databases may be created; a server that does not answer skips its
tests.
"""

import collections.abc
import contextlib
import os
import pathlib
import uuid

import pytest
import sqlalchemy as sa
from sqlalchemy import pool

from nova_pets.db import session

BACKENDS = ('sqlite', 'mysql', 'postgresql')
SERVERS = ('mysql', 'postgresql')

_URLS = {
    'mysql': os.environ.get(
        'NOVA_PETS_TEST_MYSQL', 'mysql+pymysql://root@127.0.0.1:3306/'),
    'postgresql': os.environ.get(
        'NOVA_PETS_TEST_POSTGRES',
        'postgresql+psycopg2://postgres@127.0.0.1:5432/postgres')}


def facade(url):
    """Return a facade that does not wait for the disk on SQLite."""
    return session.standalone(url, sqlite_synchronous=False)


@contextlib.contextmanager
def database(backend: str, directory: pathlib.Path
             ) -> collections.abc.Iterator[str]:
    """Yield the URL of a new, empty database."""
    name = f'nova_pets_test_{uuid.uuid4().hex[:12]}'
    if backend == 'sqlite':
        yield f'sqlite:///{directory}/{name}.sqlite'
        return
    url = sa.engine.make_url(_URLS[backend])
    server = sa.create_engine(url, isolation_level='AUTOCOMMIT',
                              poolclass=pool.NullPool)
    try:
        with server.connect() as conn:
            conn.execute(sa.text(f'CREATE DATABASE {name}'))
    except (sa.exc.OperationalError, ImportError) as error:
        pytest.skip(f'{backend} cannot be reached: {error}')
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        force = ' WITH (FORCE)' if backend == 'postgresql' else ''
        with server.connect() as conn:
            conn.execute(sa.text(f'DROP DATABASE {name}{force}'))
