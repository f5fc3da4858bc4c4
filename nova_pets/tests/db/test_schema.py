# SPDX-License-Identifier: Apache-2.0
"""The schema: made from nothing, named, checked, beside other tables."""

import pathlib
import re

from alembic import autogenerate
from alembic import command
from alembic import script
from alembic.runtime import migration
import pytest
import sqlalchemy as sa

from nova_pets import exception
from nova_pets.db import models
from nova_pets.db import schema
from nova_pets.db import store as store_
from nova_pets.tests.db import databases

OURS = set(models.METADATA.tables) | {schema.VERSION_TABLE}


@pytest.fixture(params=databases.BACKENDS)
def facade(request, tmp_path):
    """An empty database of the test's own."""
    with databases.database(request.param, tmp_path) as url:
        found = databases.facade(url)
        yield found
        found.writer.get_engine().dispose()


@pytest.fixture
def engine(facade):
    return facade.writer.get_engine()


def tables(engine):
    return set(sa.inspect(engine).get_table_names())


def test_sync_makes_all_tables_and_may_be_repeated(facade, engine):
    assert schema.version(engine) is None
    assert schema.sync(engine) == schema.head()
    assert tables(engine) == OURS
    assert schema.sync(engine) == schema.version(engine) == schema.head()
    schema.check(engine)
    store_.SqlStore(facade, 'test').check_schema()


def test_database_without_tables_is_a_mismatch(facade, engine):
    with pytest.raises(exception.SchemaMismatch, match='db_sync'):
        schema.check(engine)
    with pytest.raises(exception.SchemaMismatch, match='no tables'):
        store_.SqlStore(facade, 'test').check_schema()


def test_question_without_tables_is_unavailable(facade):
    with pytest.raises(exception.StoreUnavailable):
        store_.SqlStore(facade, 'test').snapshot()


def test_database_that_is_away_is_unavailable(tmp_path):
    away = sa.create_engine(f'sqlite:///{tmp_path}/missing/db.sqlite')
    for question in (schema.version, schema.sync, schema.check):
        with pytest.raises(exception.StoreUnavailable):
            question(away)


def test_sync_that_was_cut_off_is_finished(engine):
    """MySQL commits each statement of a migration by itself."""
    schema.sync(engine)
    with engine.begin() as conn:
        conn.execute(sa.text(f'DROP TABLE {schema.VERSION_TABLE}'))
        models.CONTROLS.drop(conn)
        models.EVENTS.drop(conn)
        next(iter(models.HOSTS.indexes)).drop(conn)
    schema.sync(engine)
    assert tables(engine) == OURS
    assert not differences(engine)


def differences(engine):
    def ours(name, type_, parent_names):
        return type_ != 'table' or name in models.METADATA.tables

    with engine.connect() as conn:
        return autogenerate.compare_metadata(
            migration.MigrationContext.configure(conn, opts={
                'version_table': schema.VERSION_TABLE, 'compare_type': True,
                'include_name': ours}), models.METADATA)


def test_migrations_make_what_the_models_say(engine):
    schema.sync(engine)
    assert differences(engine) == []


def test_difference_would_be_seen(engine):
    schema.sync(engine)
    with engine.begin() as conn:
        conn.execute(sa.text('ALTER TABLE pets_hosts ADD extra INTEGER'))
    assert len(differences(engine)) == 1


def test_other_migrations_in_the_same_database_are_left_alone(engine):
    """Nova's own alembic_version and tables stay as they are."""
    with engine.begin() as conn:
        conn.execute(sa.text(
            'CREATE TABLE alembic_version (version_num VARCHAR(32))'))
        conn.execute(sa.text(
            "INSERT INTO alembic_version VALUES ('cdeec0c85668')"))
        conn.execute(sa.text('CREATE TABLE cell_mappings (id INTEGER)'))
    schema.sync(engine)
    assert tables(engine) == OURS | {'alembic_version', 'cell_mappings'}
    with engine.connect() as conn:
        assert migration.MigrationContext.configure(
            conn).get_current_revision() == 'cdeec0c85668'
    assert schema.version(engine) == schema.head()
    assert differences(engine) == []


def set_version(engine, value):
    with engine.begin() as conn:
        conn.execute(sa.text(
            f"UPDATE {schema.VERSION_TABLE} SET version_num = '{value}'"))


def test_one_additive_step_newer_is_used_and_not_downgraded(facade, engine):
    schema.sync(engine)
    newer = f'{int(schema.head()[:4]) + 1:04}a'
    set_version(engine, newer)
    store = store_.SqlStore(facade, 'test')
    store.check_schema()
    assert store.snapshot().problems == ()
    with pytest.raises(exception.SchemaMismatch, match=newer):
        schema.sync(engine)


@pytest.mark.parametrize('found,mine,usable', [
    ('0001', '0001', True),
    ('0002a', '0002a', True),
    ('0002a', '0001', True),
    ('0003a', '0002a', True),
    ('0002', '0001', False),
    ('0003a', '0001', False),
    ('0001', '0002a', False),
    ('0001a', '0002', False),
    ('', '0001', False),
    (None, '0001', False),
    ('0002ab', '0001', False),
    ('cdeec0c85668', '0001', False)])
def test_usable_schemas(found, mine, usable):
    assert schema.is_usable(found, mine) is usable


def test_revisions_are_numbered_without_gaps():
    directory = script.ScriptDirectory.from_config(schema._config())
    revisions = [one.revision for one in directory.walk_revisions()][::-1]
    assert all(re.fullmatch(r'\d{4}a?', one) for one in revisions)
    assert [int(one[:4]) for one in revisions] == list(
        range(1, len(revisions) + 1))
    assert revisions[-1] == schema.head()
    for one in directory.walk_revisions():
        assert pathlib.Path(one.path).name.startswith(one.revision)


def test_schema_is_never_downgraded(engine):
    schema.sync(engine)
    settings = schema._config()
    with engine.begin() as connection:
        settings.attributes['connection'] = connection
        with pytest.raises(NotImplementedError):
            command.downgrade(settings, 'base')
    assert tables(engine) == OURS
