# SPDX-License-Identifier: Apache-2.0
"""The side tables.

Tables and indexes that are there already are left alone: MySQL commits each
DDL statement by itself, so a first run that was cut off, or another one at
the same time, has made some.
"""

import typing

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None

Columns = list[sa.schema.SchemaItem]
UUID = sa.String(36)
NAME = sa.String(255)
WORD = sa.String(32)
CODE = sa.String(64)
ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
LONG = (sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql')
        .with_variant(mysql.MEDIUMTEXT(), 'mariadb'))
WHEN = (sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql')
        .with_variant(mysql.DATETIME(fsp=6), 'mariadb'))

OPTIONS: dict[str, typing.Any] = {
    'mysql_engine': 'InnoDB', 'mysql_charset': 'utf8mb4',
    'mysql_collate': 'utf8mb4_bin', 'mariadb_engine': 'InnoDB',
    'mariadb_charset': 'utf8mb4', 'mariadb_collate': 'utf8mb4_bin'}

# In this order: attempts refer to recoveries.
INDEXES: dict[str, dict[str, list[str]]] = {
    'pets_engines': {},
    'pets_instances': {
        'pets_instances_host_idx': ['host'],
        'pets_instances_project_id_idx': ['project_id'],
    },
    'pets_hosts': {
        'pets_hosts_state_idx': ['state'],
    },
    'pets_recoveries': {
        'pets_recoveries_instance_uuid_idx': ['instance_uuid'],
        'pets_recoveries_source_idx': ['source'],
        'pets_recoveries_destination_idx': ['destination'],
        'pets_recoveries_finished_at_idx': ['finished_at'],
    },
    'pets_attempts': {
        'pets_attempts_recovery_id_idx': ['recovery_id'],
        'pets_attempts_instance_uuid_idx': ['instance_uuid'],
        'pets_attempts_outcome_destination_idx': ['outcome', 'destination'],
    },
    'pets_events': {
        'pets_events_at_idx': ['at'],
        'pets_events_host_idx': ['host'],
        'pets_events_instance_uuid_idx': ['instance_uuid'],
        'pets_events_recovery_id_idx': ['recovery_id'],
    },
    'pets_controls': {
        'pets_controls_active_idx': ['active'],
    },
}


def upgrade() -> None:
    for table, columns in _tables().items():
        if not sa.inspect(op.get_bind()).has_table(table):
            op.create_table(table, *columns, **OPTIONS)
        known = {index['name'] for index in
                 sa.inspect(op.get_bind()).get_indexes(table)}
        for name, on in INDEXES[table].items():
            if name not in known:
                op.create_index(name, table, on)


def downgrade() -> None:
    raise NotImplementedError('the side tables only move forward')


def _tables() -> dict[str, Columns]:
    return {
        'pets_engines': _pets_engines(),
        'pets_instances': _pets_instances(),
        'pets_hosts': _pets_hosts(),
        'pets_recoveries': _pets_recoveries(),
        'pets_attempts': _pets_attempts(),
        'pets_events': _pets_events(),
        'pets_controls': _pets_controls(),
    }


def _pets_engines() -> Columns:
    return [
        sa.Column('id', UUID, primary_key=True),
        sa.Column('host', NAME, nullable=False),
        sa.Column('worker', CODE, nullable=False),
        sa.Column('version', CODE, nullable=False),
        sa.Column('mode', WORD, nullable=False),
        sa.Column('gate_loaded', sa.Boolean, nullable=False),
        sa.Column('bindings_digest', sa.String(128), nullable=False),
        sa.Column('slot', sa.Integer),
        sa.Column('renewals', sa.BigInteger, nullable=False),
        sa.Column('deposed', sa.Boolean, nullable=False),
        sa.Column('report', LONG, nullable=False),
        sa.Column('started_at', WHEN, nullable=False),
        sa.Column('renewed_at', WHEN, nullable=False),
        sa.UniqueConstraint('slot', name='uniq_pets_engines0slot')
    ]


def _pets_instances() -> Columns:
    return [
        sa.Column('instance_uuid', UUID, primary_key=True),
        sa.Column('cell_uuid', UUID, nullable=False),
        sa.Column('project_id', NAME, nullable=False),
        sa.Column('name', NAME, nullable=False),
        sa.Column('host', NAME),
        sa.Column('vm_state', WORD),
        sa.Column('priority', sa.Integer, nullable=False),
        sa.Column('disk', WORD, nullable=False),
        sa.Column('settings', LONG, nullable=False),
        sa.Column('problems', LONG, nullable=False),
        sa.Column('unprotected', LONG, nullable=False),
        sa.Column('is_bfv', sa.Boolean, nullable=False),
        sa.Column('storage_domain', NAME),
        sa.Column('generation', sa.BigInteger, nullable=False),
        sa.Column('updated_at', WHEN, nullable=False)
    ]


def _pets_hosts() -> Columns:
    return [
        sa.Column('host', NAME, primary_key=True),
        sa.Column('cell_uuid', UUID, nullable=False),
        sa.Column('state', WORD, nullable=False),
        sa.Column('epoch', sa.BigInteger, nullable=False),
        sa.Column('reason', CODE, nullable=False),
        sa.Column('evidence', LONG, nullable=False),
        sa.Column('proof', WORD),
        sa.Column('proof_count', sa.BigInteger),
        sa.Column('fence_attempts', sa.Integer, nullable=False),
        sa.Column('forced_down', sa.Boolean, nullable=False),
        sa.Column('fence_ready', sa.Boolean),
        sa.Column('fence_detail', LONG, nullable=False),
        sa.Column('generation', sa.BigInteger, nullable=False),
        sa.Column('owner', UUID),
        sa.Column('stamp', UUID),
        sa.Column('since_at', WHEN, nullable=False),
        sa.Column('updated_at', WHEN, nullable=False)
    ]


def _pets_recoveries() -> Columns:
    return [
        sa.Column('id', ID, primary_key=True, autoincrement=True),
        sa.Column('instance_uuid', UUID, nullable=False),
        sa.Column('cell_uuid', UUID, nullable=False),
        sa.Column('project_id', NAME, nullable=False),
        sa.Column('name', NAME, nullable=False),
        sa.Column('source', NAME, nullable=False),
        sa.Column('epoch', sa.BigInteger, nullable=False),
        sa.Column('state', WORD, nullable=False),
        sa.Column('reason', CODE, nullable=False),
        sa.Column('detail', LONG, nullable=False),
        sa.Column('priority', sa.Integer, nullable=False),
        sa.Column('original_vm_state', WORD, nullable=False),
        sa.Column('desired_power', WORD, nullable=False),
        sa.Column('is_bfv', sa.Boolean, nullable=False),
        sa.Column('disk', WORD, nullable=False),
        sa.Column('storage_domain', NAME),
        sa.Column('attempts', sa.Integer, nullable=False),
        sa.Column('excluded', LONG, nullable=False),
        sa.Column('destination', NAME),
        sa.Column('wait_s', sa.Float, nullable=False),
        sa.Column('urgent', sa.Boolean, nullable=False),
        sa.Column('untagged', sa.Boolean, nullable=False),
        sa.Column('generation', sa.BigInteger, nullable=False),
        sa.Column('owner', UUID),
        sa.Column('stamp', UUID),
        sa.Column('open_instance', UUID),
        sa.Column('created_at', WHEN, nullable=False),
        sa.Column('since_at', WHEN, nullable=False),
        sa.Column('finished_at', WHEN),
        sa.UniqueConstraint('open_instance',
                            name='uniq_pets_recoveries0open_instance')
    ]


def _pets_attempts() -> Columns:
    return [
        sa.Column('id', ID, primary_key=True, autoincrement=True),
        sa.Column('recovery_id', ID, sa.ForeignKey(
            'pets_recoveries.id', name='pets_attempts_recovery_id_fk'),
            nullable=False),
        sa.Column('instance_uuid', UUID, nullable=False),
        sa.Column('number', sa.Integer, nullable=False),
        sa.Column('kind', WORD, nullable=False),
        sa.Column('request_id', NAME, nullable=False),
        sa.Column('source', NAME, nullable=False),
        sa.Column('gate', WORD, nullable=False),
        sa.Column('gate_stamp', UUID),
        sa.Column('outcome', WORD, nullable=False),
        sa.Column('migration_floor', sa.BigInteger, nullable=False),
        sa.Column('migration_id', sa.BigInteger),
        sa.Column('destination', NAME),
        sa.Column('reason', CODE, nullable=False),
        sa.Column('detail', LONG, nullable=False),
        sa.Column('started_at', WHEN, nullable=False),
        sa.Column('ended_at', WHEN),
        sa.UniqueConstraint('request_id', name='uniq_pets_attempts0request_id')
    ]


def _pets_events() -> Columns:
    return [
        sa.Column('id', ID, primary_key=True, autoincrement=True),
        sa.Column('at', WHEN, nullable=False),
        sa.Column('actor', NAME, nullable=False),
        sa.Column('code', CODE, nullable=False),
        sa.Column('text', LONG, nullable=False),
        sa.Column('host', NAME),
        sa.Column('instance_uuid', UUID),
        sa.Column('recovery_id', sa.BigInteger),
        sa.Column('attempt_id', sa.BigInteger),
        sa.Column('from_state', WORD),
        sa.Column('to_state', WORD),
        sa.Column('evidence', LONG, nullable=False)
    ]


def _pets_controls() -> Columns:
    return [
        sa.Column('id', ID, primary_key=True, autoincrement=True),
        sa.Column('kind', WORD, nullable=False),
        sa.Column('scope', WORD, nullable=False),
        sa.Column('target', NAME, nullable=False),
        sa.Column('epoch', sa.BigInteger),
        sa.Column('reason', LONG, nullable=False),
        sa.Column('actor', NAME, nullable=False),
        sa.Column('until_at', WHEN),
        sa.Column('active', sa.Boolean, nullable=False),
        sa.Column('generation', sa.BigInteger, nullable=False),
        sa.Column('stamp', UUID),
        sa.Column('created_at', WHEN, nullable=False),
        sa.Column('ended_at', WHEN)
    ]
