# SPDX-License-Identifier: Apache-2.0
"""The side tables as SQLAlchemy Core tables; db/migrations creates them.

Only describes: no statement, no session. Enums are stored by value, JSON as
text, times as naive UTC of the database (``utc_now``), for people only. Text
compares byte by byte on every database (MySQL's usual collations would take
host names that differ in case for one).

``stamp`` columns name the last compare-and-swap write of a row, so that one
whose commit was not acknowledged can tell afterwards whether it took place
(db/session.py).
"""

import typing

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext import compiler
from sqlalchemy.sql import functions

METADATA = sa.MetaData()

_OPTIONS: dict[str, typing.Any] = {
    'mysql_engine': 'InnoDB', 'mysql_charset': 'utf8mb4',
    'mysql_collate': 'utf8mb4_bin', 'mariadb_engine': 'InnoDB',
    'mariadb_charset': 'utf8mb4', 'mariadb_collate': 'utf8mb4_bin'}

UUID = sa.String(36)
NAME = sa.String(255)
WORD = sa.String(32)
CODE = sa.String(64)
# An id that SQLite counts up needs the type INTEGER.
ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
# TEXT of MySQL ends at 64 KiB; an engine's report of a big cloud does not.
LONG = (sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql')
        .with_variant(mysql.MEDIUMTEXT(), 'mariadb'))
WHEN = (sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql')
        .with_variant(mysql.DATETIME(fsp=6), 'mariadb'))


class utc_now(functions.FunctionElement[typing.Any]):
    """The database's present time in UTC."""

    type = sa.DateTime()
    inherit_cache = True


@compiler.compiles(utc_now, 'sqlite')
def _sqlite_now(element: typing.Any, sql: typing.Any,
                **kwargs: typing.Any) -> str:
    # Six digits: what SQLAlchemy writes and reads as a DateTime.
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"


@compiler.compiles(utc_now, 'mysql')
@compiler.compiles(utc_now, 'mariadb')
def _mysql_now(element: typing.Any, sql: typing.Any,
               **kwargs: typing.Any) -> str:
    return 'UTC_TIMESTAMP(6)'


@compiler.compiles(utc_now, 'postgresql')
def _postgresql_now(element: typing.Any, sql: typing.Any,
                    **kwargs: typing.Any) -> str:
    return "timezone('utc', clock_timestamp())"


ENGINES = sa.Table(
    'pets_engines', METADATA,
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
    sa.UniqueConstraint('slot', name='uniq_pets_engines0slot'),
    **_OPTIONS)

INSTANCES = sa.Table(
    'pets_instances', METADATA,
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
    sa.Column('updated_at', WHEN, nullable=False),
    sa.Index('pets_instances_host_idx', 'host'),
    sa.Index('pets_instances_project_id_idx', 'project_id'),
    **_OPTIONS)

HOSTS = sa.Table(
    'pets_hosts', METADATA,
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
    sa.Column('updated_at', WHEN, nullable=False),
    sa.Index('pets_hosts_state_idx', 'state'),
    **_OPTIONS)

RECOVERIES = sa.Table(
    'pets_recoveries', METADATA,
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
    # The instance's uuid while the recovery is open, NULL afterwards: the
    # unique index is what allows at most one open recovery per instance.
    sa.Column('open_instance', UUID),
    sa.Column('created_at', WHEN, nullable=False),
    sa.Column('since_at', WHEN, nullable=False),
    sa.Column('finished_at', WHEN),
    sa.UniqueConstraint('open_instance',
                        name='uniq_pets_recoveries0open_instance'),
    sa.Index('pets_recoveries_instance_uuid_idx', 'instance_uuid'),
    sa.Index('pets_recoveries_source_idx', 'source'),
    sa.Index('pets_recoveries_destination_idx', 'destination'),
    sa.Index('pets_recoveries_finished_at_idx', 'finished_at'),
    **_OPTIONS)

ATTEMPTS = sa.Table(
    'pets_attempts', METADATA,
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
    # Names the one delivery of the request that went through the gate.
    sa.Column('gate_stamp', UUID),
    sa.Column('outcome', WORD, nullable=False),
    sa.Column('migration_floor', sa.BigInteger, nullable=False),
    sa.Column('migration_id', sa.BigInteger),
    sa.Column('destination', NAME),
    sa.Column('reason', CODE, nullable=False),
    sa.Column('detail', LONG, nullable=False),
    sa.Column('started_at', WHEN, nullable=False),
    sa.Column('ended_at', WHEN),
    sa.UniqueConstraint('request_id', name='uniq_pets_attempts0request_id'),
    sa.Index('pets_attempts_recovery_id_idx', 'recovery_id'),
    sa.Index('pets_attempts_instance_uuid_idx', 'instance_uuid'),
    sa.Index('pets_attempts_outcome_destination_idx', 'outcome',
             'destination'),
    **_OPTIONS)

EVENTS = sa.Table(
    'pets_events', METADATA,
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
    sa.Column('evidence', LONG, nullable=False),
    sa.Index('pets_events_at_idx', 'at'),
    sa.Index('pets_events_host_idx', 'host'),
    sa.Index('pets_events_instance_uuid_idx', 'instance_uuid'),
    sa.Index('pets_events_recovery_id_idx', 'recovery_id'),
    **_OPTIONS)

CONTROLS = sa.Table(
    'pets_controls', METADATA,
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
    sa.Column('ended_at', WHEN),
    sa.Index('pets_controls_active_idx', 'active'),
    **_OPTIONS)
