# SPDX-License-Identifier: Apache-2.0
"""Nova's own database commands keep working with our tables present.

Runs the nova-manage of this very environment on databases of the test's own.
"""

import contextlib
import os
import pathlib
import subprocess
import sys

import pytest
import sqlalchemy as sa

from nova_pets.db import models
from nova_pets.db import schema
from nova_pets.db import session
from nova_pets.db import store as store_
from nova_pets.tests.db import databases
from nova_pets.tests.db import samples

NOVA_MANAGE = pathlib.Path(sys.executable).parent / 'nova-manage'


class Nova:
    """A nova.conf over an API database and a cell database."""

    def __init__(self, directory, api_url, main_url):
        self.api_url = api_url
        self._conf = directory / 'nova.conf'
        self._conf.write_text(
            f'[DEFAULT]\nstate_path = {directory}\n'
            f'[api_database]\nconnection = {api_url}\n'
            f'[database]\nconnection = {main_url}\n'
            '[oslo_messaging_rabbit]\n')

    def manage(self, *arguments, well=(0,)):
        done = subprocess.run(
            [sys.executable, str(NOVA_MANAGE), '--config-file',
             str(self._conf), *arguments], capture_output=True, text=True,
            timeout=300, env={**os.environ, 'OS_NOVA_DISABLE_EVENTLET_'
                              'PATCHING': 'true'})
        assert done.returncode in well, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(params=databases.BACKENDS)
def nova(request, tmp_path):
    with contextlib.ExitStack() as stack:
        yield Nova(tmp_path, *(
            stack.enter_context(databases.database(request.param, tmp_path))
            for _ in range(2)))


def _deleted_service(main_url):
    """Put a soft-deleted row there, so that archiving has work to do."""
    engine = sa.create_engine(main_url)
    with engine.begin() as conn:
        conn.execute(sa.text(
            "INSERT INTO services (host, report_count, deleted, deleted_at) "
            "VALUES ('host9', 1, 1, '2020-01-01')"))
    engine.dispose()


@pytest.mark.timeout(600)
@pytest.mark.skipif(not NOVA_MANAGE.exists(), reason='nova is not installed')
def test_nova_manage_works_beside_our_tables(nova, tmp_path):
    facade = session.standalone(nova.api_url)
    engine = facade.writer.get_engine()
    # Ours first, so that each of nova's migrations meets our tables.
    schema.sync(engine)
    nova.manage('api_db', 'sync')
    store = store_.SqlStore(facade, 'test')
    store.ensure_hosts([('host1', samples.CELL)])
    one = samples.opened(store)
    conf = (tmp_path / 'nova.conf').read_text()
    main_url = conf.split('[database]\nconnection = ')[1].splitlines()[0]
    nova.manage('cell_v2', 'map_cell0', '--database_connection', main_url)
    nova.manage('db', 'sync')
    _deleted_service(main_url)
    # 1: something was archived.
    archived = nova.manage('db', 'archive_deleted_rows', '--verbose',
                           '--until-complete', '--all-cells', well=(1,))
    assert 'services' in archived
    nova.manage('db', 'purge', '--all', '--all-cells')
    # Again, when everything is there.
    schema.sync(engine)
    assert schema.version(engine) == schema.head()
    assert store.recovery(one.id) == one
    inspector = sa.inspect(engine)
    assert set(models.METADATA.tables) < set(inspector.get_table_names())
    assert 'cell_mappings' in inspector.get_table_names()
    assert 'alembic_version' in inspector.get_table_names()
    engine.dispose()
