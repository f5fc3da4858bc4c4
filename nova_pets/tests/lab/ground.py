# SPDX-License-Identifier: Apache-2.0
"""Databases and virtual hosts of a lab, on servers that already run.

Made under the prefix of the lab, which belongs to nobody else, and dropped
by ``down``; nothing else on those servers is touched.
"""

import shutil
import subprocess

import sqlalchemy as sa
from sqlalchemy import pool

from nova_pets.tests.lab import plan as plan_module


class Missing(Exception):
    """A server that the lab needs cannot be used; says which and why."""


def make(plan: plan_module.Plan) -> None:
    drop(plan.prefix, plan.server)
    with _server(plan.server) as conn:
        for name in plan.databases:
            conn.execute(sa.text(f'CREATE DATABASE {plan.prefix}_{name}' + (
                ' CHARACTER SET utf8mb3' if conn.dialect.name == 'mysql'
                else '')))
    user = plan.broker.split('//')[1].split(':')[0]
    _rabbit(''.join(
        f'rabbit_vhost:add(<<"{plan.prefix}_{name}">>, <<"lab">>), '
        'rabbit_auth_backend_internal:set_permissions('
        f'<<"{user}">>, <<"{plan.prefix}_{name}">>, <<".*">>, <<".*">>, '
        '<<".*">>, <<"lab">>), ' for name in plan.vhosts) + 'ok.')


def drop(prefix: str, server: str) -> None:
    """Drop all that has this prefix."""
    with _server(server) as conn:
        if conn.dialect.name == 'postgresql':
            names, force = 'SELECT datname FROM pg_database', ' WITH (FORCE)'
        else:
            names, force = 'SHOW DATABASES', ''
        for name in conn.scalars(sa.text(names)).all():
            if name.startswith(f'{prefix}_'):
                conn.execute(sa.text(f'DROP DATABASE {name}{force}'))
    _rabbit('[rabbit_vhost:delete(V, <<"lab">>) || V <- '
            'rabbit_vhost:list_names(), string:prefix(V, '
            f'<<"{prefix}_">>) =/= nomatch], ok.')


def _server(server):
    engine = sa.create_engine(server, isolation_level='AUTOCOMMIT',
                              poolclass=pool.NullPool)
    try:
        return engine.connect()
    except sa.exc.OperationalError as error:
        raise Missing(f'the database server cannot be used: {error.orig} '
                      '(NOVA_PETS_TEST_MYSQL, NOVA_PETS_TEST_POSTGRES)'
                      ) from error


def _rabbit(expression):
    """Evaluate in the broker: one start of the slow tool for all of it."""
    if shutil.which('rabbitmqctl') is None:
        raise Missing('rabbitmqctl is not installed')
    done = subprocess.run(['rabbitmqctl', '-q', 'eval', expression],
                          capture_output=True, text=True, timeout=180)
    if done.returncode or done.stdout.strip().splitlines()[-1:] != ['ok']:
        raise Missing(f'RabbitMQ cannot be used: {done.stdout}{done.stderr}')
