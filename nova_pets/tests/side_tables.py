# SPDX-License-Identifier: Apache-2.0
"""Our tables in one more empty SQLite database, as the migrations make them.

The migrations run once in a process and are played back afterwards: alembic
takes a quarter of a second, and most functional tests begin with a database
of their own. Not for tests of the migrations.
"""

import functools

import sqlalchemy as sa
from sqlalchemy import pool

from nova_pets.db import schema


def make(engine):
    """Make the tables, and say which version they have."""
    statements, version = _recorded()
    with engine.begin() as conn:
        for statement in statements:
            conn.exec_driver_sql(statement)
        conn.exec_driver_sql(
            f'INSERT INTO {schema.VERSION_TABLE} VALUES (?)', (version,))


@functools.cache
def _recorded():
    engine = sa.create_engine('sqlite://', poolclass=pool.StaticPool)
    schema.sync(engine)
    with engine.connect() as conn:
        # In the order in which they were made.
        statements = conn.exec_driver_sql(
            'SELECT sql FROM sqlite_master WHERE sql IS NOT NULL '
            'ORDER BY rowid').scalars().all()
        version = schema.read(conn)
    engine.dispose()
    return tuple(statements), version
