# SPDX-License-Identifier: Apache-2.0
"""Rows of a cell as Nova writes them, for tests of what the door reads.

Adds rows and nothing else; a database of its own is made by the caller.
"""

import contextlib
import datetime
import uuid as uuid_module

from nova import context as nova_context
from nova.db import migration
from nova.db.api import models as api_models
from nova.db.main import api as main_db
from nova.db.main import models
from nova import objects
import sqlalchemy as sa

from nova_pets.compute import reader

CELL = 'cell'
WHEN = datetime.datetime(2026, 1, 1)


@contextlib.contextmanager
def on_sqlite(directory):
    """Give a Cell in a directory, for a module of tests."""
    objects.register_all()
    cell = Cell(f'sqlite:///{directory}/cell.sqlite', by_migrations=False)
    yield cell
    cell.engine.dispose()


class Cell:
    """An empty cell database.

    :param by_migrations: False: the tables of Nova's models, made at once.
    """

    def __init__(self, url, by_migrations=True):
        self.manager = main_db.create_context_manager(url)
        self.engine = self.manager.writer.get_engine()
        if self.engine.dialect.name == 'mysql':
            # As Nova's guide has it; wider characters do not fit its rows.
            with self.engine.begin() as conn:
                conn.exec_driver_sql('ALTER DATABASE CHARACTER SET utf8mb3')
        if by_migrations:
            migration.db_sync(database='main', context=self.context())
        else:
            models.BASE.metadata.create_all(self.engine)

    def empty(self):
        """Remove all rows."""
        with self.engine.begin() as conn:
            for table in models.BASE.metadata.sorted_tables[::-1]:
                conn.execute(table.delete())

    def context(self):
        context = nova_context.get_admin_context()
        context.db_connection = self.manager
        return context

    def add(self, table, **values):
        with self.engine.begin() as conn:
            return conn.execute(sa.insert(table).values(
                **values)).inserted_primary_key[0]

    def add_instance(self, host='S', task_state=None, vm_state='active',
                     **values):
        uuid = values.pop('uuid', None) or str(uuid_module.uuid4())
        self.add(models.Instance, **{
            'uuid': uuid, 'host': host, 'node': host,
            'task_state': task_state, 'vm_state': vm_state,
            'power_state': 1, 'project_id': 'p', 'hidden': False, **values})
        self.add(models.InstanceExtra, instance_uuid=uuid)
        return uuid

    def add_node(self, host, **values):
        return self.add(models.ComputeNode, **{
            'host': host, 'hypervisor_hostname': host,
            'uuid': str(uuid_module.uuid4()), 'vcpus': 1, 'memory_mb': 1,
            'local_gb': 1, 'vcpus_used': 0, 'memory_mb_used': 0,
            'local_gb_used': 0, 'cpu_info': '', 'hypervisor_type': '',
            'hypervisor_version': 0, **values})

    def add_migration(self, uuid, status='accepted', **values):
        return self.add(models.Migration, **{
            'instance_uuid': uuid, 'status': status,
            'migration_type': 'evacuation', 'source_compute': 'S',
            'uuid': str(uuid_module.uuid4()), **values})

    def add_action(self, uuid, action='evacuate', request_id='req-1',
                   events=(), **values):
        """:param events: (name, host, is finished) each."""
        number = self.add(models.InstanceAction, instance_uuid=uuid,
                          action=action, request_id=request_id, **values)
        for name, host, is_finished in events:
            self.add(models.InstanceActionEvent, action_id=number,
                     event=name, host=host,
                     finish_time=WHEN if is_finished else None)
        return number

    def column(self, column, **wanted):
        """Return one column of the row that fits."""
        table = column.class_
        with self.engine.connect() as conn:
            return conn.execute(sa.select(column).where(*(
                getattr(table, name) == value
                for name, value in wanted.items()))).scalar_one()

    def trace(self, uuid):
        return reader.traces(self.context(), CELL, [uuid])[uuid]


class Api:
    """An empty API database, without its migrations."""

    def __init__(self, url):
        self.engine = sa.create_engine(url)
        api_models.BASE.metadata.create_all(self.engine)

    def add(self, table, **values):
        with self.engine.begin() as conn:
            return conn.execute(sa.insert(table).values(
                **values)).inserted_primary_key[0]

    def reading(self, context):
        """Stands for compute.cells.reading_api."""
        return self.engine.connect()
