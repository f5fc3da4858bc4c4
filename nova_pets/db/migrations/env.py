# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: runs our revisions on the connection handed in.

Sees our tables and nothing else, and keeps its own version table, so that
nova's tables and nova's alembic_version in the same database stay nova's.
"""

import typing

from alembic import context

from nova_pets.db import models
from nova_pets.db import schema


def include_name(name: str | None, type_: str,
                 parent_names: typing.Any) -> bool:
    if type_ == 'table':
        return name in models.METADATA.tables
    return True


context.configure(
    connection=context.config.attributes['connection'],
    target_metadata=models.METADATA, include_name=include_name,
    version_table=schema.VERSION_TABLE, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
