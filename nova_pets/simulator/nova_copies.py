# SPDX-License-Identifier: Apache-2.0
"""Rows as nova-compute holds them in memory: changed first, saved later.

A save writes every changed column, also one that was set to what it was, and
then holds the row as the database has it. A save that fails leaves the
changes in memory, and the next one writes them: that is how a late cast
writes 'rebuilding' over a recovered instance (W21).
"""

import collections.abc
import typing

from nova_pets.simulator import nova_rows as rows


class InstanceCopy:
    def __init__(self, row: rows.Instance):
        self.row = row
        self._context: int | None = None
        self._has_set_context = False
        # Conductor has set it before the cast, so that the first save reads
        # the row afresh.
        self._changed: dict[str, typing.Any] = {'zone': row.zone}

    def get(self, name: str) -> typing.Any:
        return self._changed.get(name, getattr(self.row, name))

    def set(self, **values: typing.Any) -> None:
        self._changed.update(values)

    def set_context(self, migration_id: int | None) -> None:
        """Hold another migration context, or none any more."""
        self._context = migration_id
        self._has_set_context = True

    def save(self, database: rows.CellDatabase,
             task_states: collections.abc.Collection[str | None] | None
             = None) -> None:
        """:raises UnexpectedTaskState: nothing but the migration context
            was written.
        """
        # It is in a table of its own, written first, and again with each
        # save: Nova takes the object for changed as long as it lives (F2).
        uuid = self.row.uuid
        if self._has_set_context and (
                database.instance(uuid).migration_context != self._context):
            database.change(uuid, {'migration_context': self._context})
        if self._changed:
            self.row = database.change(uuid, self._changed, task_states)
            self._changed = {}


class MigrationCopy:
    """:param row: None: conductor found no record."""

    def __init__(self, row: rows.Migration | None):
        self.row = row
        self._changed: dict[str, typing.Any] = {}

    def set(self, **values: typing.Any) -> None:
        self._changed.update(values)

    def save(self, database: rows.CellDatabase) -> None:
        """:raises MigrationNotFound: it was deleted meanwhile."""
        if self.row is not None and self._changed:
            self.row = database.change_migration(self.row.id, self._changed)
            self._changed = {}
