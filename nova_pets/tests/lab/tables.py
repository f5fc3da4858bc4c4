# SPDX-License-Identifier: Apache-2.0
"""Nova's and nova-pets' tables, and the two cells; run once by ``up``.

    python -m nova_pets.tests.lab.tables NOVA_CONF DATABASE BROKER

NOVA_CONF names the API database and cell0; DATABASE and BROKER are the URLs
of cell1 as the cell mapping has them: with ``{port}``, so that each process
reaches the cell by its own way. By Nova's own migrations, in one process: to
import nova takes longer than most commands.
"""

import sys

from nova import config
from nova import context
from nova.db import migration
from nova import objects
import sqlalchemy as sa

from nova_pets.db import schema

CELL1 = '11111111-1111-4111-8111-111111111111'


def main(conf_path, database, broker):
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
    cell1 = objects.CellMapping(
        admin, name='cell1', uuid=CELL1, database_connection=database,
        transport_url=broker)
    cell1.create()
    print('cell0', flush=True)
    migration.db_sync(database='main')
    print('cell1', flush=True)
    with context.target_cell(admin, objects.CellMapping.get_by_uuid(
            admin, CELL1)) as targeted:
        migration.db_sync(database='main', context=targeted)
    print('pets', flush=True)
    schema.sync(sa.create_engine(conf.api_database.connection))


if __name__ == '__main__':
    main(*sys.argv[1:])
