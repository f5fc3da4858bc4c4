# SPDX-License-Identifier: Apache-2.0
"""Nova's and nova-pets' tables, and the two cells; run once by ``up``.

    python -m nova_pets.tests.lab.tables NOVA_CONF CELL DATABASE BROKER ...

NOVA_CONF names the API database and cell0; DATABASE and BROKER are the URLs
of a cell as the cell mapping has them: with ``{port}``, so that each process
reaches the cell by its own way. By Nova's own migrations, in one process: to
import nova takes longer than most commands.
"""

import sys
import uuid

from nova import config
from nova import context
from nova.db import migration
from nova import objects
import sqlalchemy as sa

from nova_pets.db import schema


def main(conf_path, *cells):
    config.parse_args(['nova-manage', '--config-file', conf_path])
    objects.register_all()
    import nova.conf
    conf = nova.conf.CONF
    print('api', flush=True)
    migration.db_sync(database='api')
    admin = context.get_admin_context()
    objects.CellMapping(
        admin, name='cell0', uuid=objects.CellMapping.CELL0_UUID,
        database_connection=conf.database.connection,
        transport_url='none:/').create()
    print('cell0', flush=True)
    migration.db_sync(database='main')
    for name, database, broker in zip(cells[::3], cells[1::3], cells[2::3]):
        print(name, flush=True)
        cell = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        objects.CellMapping(
            admin, name=name, uuid=cell, database_connection=database,
            transport_url=broker).create()
        # Read, it has the port of this process in its URLs.
        with context.target_cell(admin, objects.CellMapping.get_by_uuid(
                admin, cell)) as targeted:
            migration.db_sync(database='main', context=targeted)
    print('pets', flush=True)
    schema.sync(sa.create_engine(conf.api_database.connection))


if __name__ == '__main__':
    main(*sys.argv[1:])
