# SPDX-License-Identifier: Apache-2.0
"""The audit's door to the false Nova: every method of base.AuditDoor.

As door.py: raises what compute/audit.py raises, reads what one statement
would see, decides nothing.
"""

import collections.abc
import typing

from nova_pets.compute import base
from nova_pets.model import audit
from nova_pets.simulator import door_reads as reads
from nova_pets.simulator import nova_rows as rows

if typing.TYPE_CHECKING:
    from nova_pets.simulator import door_reach
    from nova_pets.simulator import nova as nova_module

_ENDED = ('failed', 'error')


class AuditDoor(base.AuditDoor):
    """
    :param reach: what the engine behind this door reaches.
    """

    def __init__(self, nova: 'nova_module.Nova',
                 reach: 'door_reach.Reach'):
        self._nova = nova
        self._reach = reach

    # -- eyes ----------------------------------------------------------------

    def records(self, cell_uuid: str, hosts: collections.abc.Collection[str]
                ) -> list[audit.Named]:
        database = self._reach.cell(cell_uuid)
        found = []
        for record in sorted(database.migrations.values(),
                             key=lambda row: row.id):
            instance = database.instances.get(record.uuid)
            if (record.kind == rows.EVACUATION and record.source in hosts and
                    instance is not None and not instance.deleted and
                    _is_worth_a_look(instance, record)):
                found.append(audit.Named(record.uuid, instance.host,
                                         reads.migration(record)))
        return found

    def rebuilding(self, cell_uuid: str) -> list[str]:
        found = self._reach.cell(cell_uuid).instances.values()
        return sorted(row.uuid for row in found if not row.deleted and
                      row.task_state in rows.REBUILD_STATES)

    def existing(self, cell_uuid: str,
                 uuids: collections.abc.Collection[str]) -> set[str]:
        known = self._reach.cell(cell_uuid).instances
        return {uuid for uuid in uuids
                if uuid in known and not known[uuid].deleted}

    def cells_of(self, uuids: collections.abc.Collection[str]
                 ) -> dict[str, str | None]:
        self._reach.api()
        known = self._nova.api.cell_of
        return {uuid: known[uuid] for uuid in sorted(uuids)
                if uuid in known}

    def moves(self, cell_uuid: str, uuids: collections.abc.Collection[str]
              ) -> dict[str, tuple[audit.Move, ...]]:
        known = self._reach.cell(cell_uuid).moves
        return {uuid: (audit.Move('live-migration', known[uuid]),)
                for uuid in sorted(uuids) if uuid in known}

    def last_actions(self, cell_uuid: str,
                     uuids: collections.abc.Collection[str]
                     ) -> dict[str, audit.Action]:
        database = self._reach.cell(cell_uuid)
        newest = {row.uuid: row for row in sorted(
            database.actions.values(), key=lambda row: row.id)
            if row.uuid in uuids}
        found = {}
        for uuid, action in sorted(newest.items()):
            are_over = [event.finished for event in database.events.values()
                        if event.uuid == uuid and
                        event.request_id == action.request_id]
            found[uuid] = audit.Action(action.action,
                                       bool(are_over) and all(are_over))
        return found

    def room_of(self, cell_uuid: str, host: str) -> set[str]:
        self._reach.cell(cell_uuid)
        self._reach.placement()
        return {uuid for uuid, hosts in self._nova.api.allocations.items()
                if host in hosts}

    def held(self, uuid: str) -> audit.Held:
        for cell_uuid in self._nova.cells:
            self._reach.cell(cell_uuid)
        self._reach.placement()
        hosts = self._nova.api.allocations.get(uuid, frozenset())
        return audit.Held(
            hosts, self._nova.api.generations.get(uuid, 0) if hosts else None)

    # -- hands ---------------------------------------------------------------

    def remove_leak(self, cell_uuid: str, uuid: str, host: str,
                    generation: int) -> bool:
        held = self.held(uuid)
        kept = held.hosts - {host}
        if held.generation != generation or not kept or kept == held.hosts:
            return False
        self._nova.kernel.note('nova', 'leak removed', uuid, host)
        self._nova.api.free(uuid, host)
        return True

    def withdraw(self, cell_uuid: str, uuid: str, host: str,
                 migration_id: int) -> bool:
        database = self._reach.cell(cell_uuid)
        instance = database.instances.get(uuid)
        record = database.migrations.get(migration_id)
        if (instance is None or instance.deleted or instance.host != host or
                record is None or record.uuid != uuid or
                record.source != host or record.status != 'done' or
                record.kind != rows.EVACUATION):
            return False
        self._nova.kernel.note('nova', 'record withdrawn', uuid,
                               migration_id)
        database.change_migration(migration_id, {'status': 'error'})
        return True


def _is_worth_a_look(instance: rows.Instance, record: rows.Migration
                     ) -> bool:
    if record.status in rows.UNCLEANED:
        return True
    touched = record.created if record.updated is None else record.updated
    return (record.status in _ENDED and record.destination is not None and
            (instance.launched_at is None or
             instance.launched_at <= touched))
