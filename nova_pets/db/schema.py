# SPDX-License-Identifier: Apache-2.0
"""Creates, names and checks the version of the side tables.

Revisions are numbered: ``0001``, ``0002``, ... One that older code can work
with ends in ``a`` (``0002a``, additive): it only adds tables, indexes, and
columns that are nullable or have a server default, and no value of an enum
that older code would have to obey. Code whose own head is 0001 recognises
0002a, without knowing anything else of it, as exactly one additive step
newer. So the schema may be upgraded first and the schedulers one by one
afterwards. The name carries the mark because it is the only thing of a newer
revision that older code can read.
"""

import functools
import os
import random
import re
import time
import typing

from alembic import command
from alembic import config as alembic_config
from alembic import script
from alembic.runtime import migration
import sqlalchemy as sa

from nova_pets import exception
from nova_pets.db import session

VERSION_TABLE = 'nova_pets_alembic_version'
_REVISION = re.compile(r'(\d{4})(a?)')


_TURNS = 8
"""Runs of a sync that meets another one. Each leaves out what is there
already, so all but the last one to finish get further every time."""


def sync(engine: sa.Engine) -> str:
    """Upgrade to the newest revision of this code; return it.

    May be run on several machines at once: no lock is taken (Galera has
    none), but a run that was disturbed is repeated, and revisions leave out
    what exists.

    :raises SchemaMismatch: the database is newer than this code.
    :raises StoreUnavailable:
    """
    for turn in range(_TURNS):
        found = version(engine)
        if found is not None and found not in _known():
            raise exception.SchemaMismatch(expected=f'at most {head()}',
                                           found=found)
        if found == head():
            break
        try:
            _upgrade(engine)
        except session.DATABASE_ERRORS as error:
            if turn == _TURNS - 1:
                raise session.unavailable('make the schema',
                                          error) from error
            time.sleep(random.uniform(0.05, 0.5))  # nosec B311
    return head()


def _upgrade(engine: sa.Engine) -> None:
    settings = _config()
    with engine.begin() as connection:
        settings.attributes['connection'] = connection
        command.upgrade(settings, 'head')


def version(engine: sa.Engine) -> str | None:
    """Return the revision of the database; None: no tables of ours.

    :raises StoreUnavailable:
    """
    try:
        with engine.connect() as connection:
            return read(connection)
    except session.DATABASE_ERRORS as error:
        raise session.unavailable('read the schema', error) from error


def read(connection: sa.Connection) -> str | None:
    return migration.MigrationContext.configure(
        connection, opts={'version_table': VERSION_TABLE}
        ).get_current_revision()


def check(engine: sa.Engine) -> None:
    """:raises SchemaMismatch: neither mine nor one additive step newer."""
    check_version(version(engine))


def check_version(found: str | None) -> None:
    if not is_usable(found, head()):
        raise exception.SchemaMismatch(expected=head(),
                                       found=found or 'no tables')


def is_usable(found: str | None, mine: str) -> bool:
    """Return whether code whose head is ``mine`` works with ``found``."""
    if found == mine:
        return True
    newer = _REVISION.fullmatch(found or '')
    own = _REVISION.fullmatch(mine)
    return (newer is not None and own is not None and newer[2] == 'a'
            and int(newer[1]) == int(own[1]) + 1)


@functools.cache
def head() -> str:
    """Return the newest revision that this code knows."""
    found = script.ScriptDirectory.from_config(_config()).get_current_head()
    return typing.cast(str, found)


@functools.cache
def _known() -> frozenset[str]:
    return frozenset(
        one.revision for one in script.ScriptDirectory.from_config(
            _config()).walk_revisions())


def _config() -> alembic_config.Config:
    settings = alembic_config.Config()
    here = os.path.dirname(os.path.abspath(__file__))
    # ConfigParser reads % as the beginning of a substitution.
    settings.set_main_option('script_location', os.path.join(
        here, 'migrations').replace('%', '%%'))
    return settings
