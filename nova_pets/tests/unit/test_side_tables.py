# SPDX-License-Identifier: Apache-2.0
"""What tests begin with is what the migrations make."""

import sqlalchemy as sa
from sqlalchemy import pool

from nova_pets.db import schema
from nova_pets.tests import side_tables


def _engine():
    return sa.create_engine('sqlite://', poolclass=pool.StaticPool)


def _objects(engine):
    with engine.connect() as conn:
        return set(conn.exec_driver_sql(
            'SELECT type, name, tbl_name, sql FROM sqlite_master').all())


def test_played_back_tables_are_those_of_the_migrations():
    migrated, played_back = _engine(), _engine()
    schema.sync(migrated)
    side_tables.make(played_back)
    assert _objects(played_back) == _objects(migrated)
    schema.check(played_back)
    assert schema.version(played_back) == schema.head()
