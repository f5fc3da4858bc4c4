# SPDX-License-Identifier: Apache-2.0
"""What only an audit asks of Nova and placement, and its two own writes.

Reads columns by indexes (migrations by source, instances by task_state);
builds no Nova object. Judges nothing.
"""

import collections

from nova import exception as nova_exc
import nova.context
from nova.db.api import models as api_models
from nova.db.main import models
from nova.scheduler.client import report
from oslo_utils import timeutils
import sqlalchemy as sa

from nova_pets import exception
from nova_pets.compute import base
from nova_pets.compute import cells
from nova_pets.compute import errors
from nova_pets.compute import placement
from nova_pets.compute import reader
from nova_pets.compute import writer
from nova_pets.model import audit
from nova_pets.model import observations

INSTANCE = reader.INSTANCE
MIGRATION = reader.MIGRATION

REBUILDING = ('rebuilding', 'rebuild_block_device_mapping',
              'rebuild_spawning')
ENDED_MOVES = ('confirmed', 'reverted', 'completed', 'cancelled', 'done',
               'error', 'failed')
"""Statuses after which a migration or resize claims nothing any more."""


class NovaAuditDoor(base.AuditDoor):
    def __init__(self, known: cells.Cells):
        self._cells = known

    def records(self, cell_uuid, hosts):
        with errors.unavailable(f'read evacuations in cell {cell_uuid}'):
            return _records(self._cells.context(cell_uuid), hosts)

    def rebuilding(self, cell_uuid):
        with errors.unavailable(f'read rebuilds in cell {cell_uuid}'):
            return _rebuilding(self._cells.context(cell_uuid))

    def existing(self, cell_uuid, uuids):
        with errors.unavailable(f'read instances of cell {cell_uuid}'):
            return _existing(self._cells.context(cell_uuid), uuids)

    def cells_of(self, uuids):
        with errors.unavailable('read the mappings of instances'):
            return _cells_of(nova.context.get_admin_context(), uuids)

    def moves(self, cell_uuid, uuids):
        with errors.unavailable(f'read migrations in cell {cell_uuid}'):
            return _moves(self._cells.context(cell_uuid), uuids)

    def last_actions(self, cell_uuid, uuids):
        with errors.unavailable(f'read actions in cell {cell_uuid}'):
            return _last_actions(self._cells.context(cell_uuid), uuids)

    def room_of(self, cell_uuid, host):
        with errors.unavailable(f'read the allocations on {host}'):
            nodes = writer.compute_node_uuids(self._cells.context(cell_uuid),
                                              host, gone=False)
            return _consumers(nodes)

    def held(self, uuid):
        contexts = [self._cells.context(cell.uuid)
                    for cell in self._cells.enabled()]
        with errors.unavailable(f'read the allocations of {uuid}'):
            # The generation is read first: what comes between makes it old,
            # and the write that insists on it fails.
            generation = placement.client().get_allocs_for_consumer(
                nova.context.get_admin_context(), uuid).get(
                    'consumer_generation')
            return audit.Held(
                frozenset(placement.allocated_hosts(
                    contexts, nova.context.get_admin_context(), uuid)),
                generation)

    def remove_leak(self, cell_uuid, uuid, host, generation):
        with errors.unavailable(f'remove allocations of {uuid} on {host}'):
            nodes = writer.compute_node_uuids(self._cells.context(cell_uuid),
                                              host)
            return _remove(uuid, nodes, generation)

    def withdraw(self, cell_uuid, uuid, host, migration_id):
        with errors.unavailable(f'withdraw migration {migration_id}'):
            return _withdraw(self._cells.context(cell_uuid), uuid, host,
                             migration_id)


# -- reads --------------------------------------------------------------------


def _records(cctxt, hosts) -> list[audit.Named]:
    # Not ended, or ended with somebody who had claimed it and perhaps left
    # a guest: a launch since then says that it did not (or was adopted).
    left = sa.and_(
        MIGRATION.status.in_(('failed', 'error')),
        MIGRATION.dest_compute.is_not(None),
        sa.or_(INSTANCE.launched_at.is_(None), INSTANCE.launched_at <=
               sa.func.coalesce(MIGRATION.updated_at, MIGRATION.created_at)))
    found = []
    for chunk in reader.chunks(hosts):
        statement = sa.select(
            MIGRATION.instance_uuid, INSTANCE.host, MIGRATION.id,
            MIGRATION.status, MIGRATION.source_compute,
            MIGRATION.dest_compute, MIGRATION.created_at,
            MIGRATION.updated_at
        ).join(INSTANCE, INSTANCE.uuid == MIGRATION.instance_uuid).where(
            MIGRATION.deleted == 0, MIGRATION.source_compute.in_(chunk),
            MIGRATION.migration_type == 'evacuation',
            sa.or_(MIGRATION.status.in_(reader.UNCLEANED), left),
            INSTANCE.deleted == 0, reader.not_hidden()
        ).order_by(MIGRATION.id)
        with cells.reading(cctxt) as session:
            rows = session.execute(statement).all()
        found += [audit.Named(row.instance_uuid, row.host,
                              observations.Migration(
                                  id=row.id, status=row.status,
                                  source=row.source_compute,
                                  destination=row.dest_compute,
                                  created_at=row.created_at,
                                  updated_at=row.updated_at))
                  for row in rows]
    return found


def _rebuilding(cctxt) -> list[str]:
    statement = sa.select(INSTANCE.uuid).where(
        INSTANCE.task_state.in_(REBUILDING), INSTANCE.deleted == 0,
        reader.not_hidden()).order_by(INSTANCE.uuid)
    with cells.reading(cctxt) as session:
        return list(session.execute(statement).scalars())


def _existing(cctxt, uuids) -> set[str]:
    found: set[str] = set()
    for chunk in reader.chunks(uuids):
        with cells.reading(cctxt) as session:
            found |= set(session.execute(sa.select(INSTANCE.uuid).where(
                INSTANCE.uuid.in_(chunk), INSTANCE.deleted == 0)).scalars())
    return found


def _cells_of(context, uuids) -> dict[str, str | None]:
    mapping, cell = api_models.InstanceMapping, api_models.CellMapping
    found: dict[str, str | None] = {}
    for chunk in reader.chunks(uuids):
        statement = sa.select(mapping.instance_uuid, cell.uuid).join(
            cell, cell.id == mapping.cell_id, isouter=True).where(
                mapping.instance_uuid.in_(chunk))
        with cells.reading_api(context) as session:
            found.update((row.instance_uuid, row.uuid)
                         for row in session.execute(statement).all())
    return found


def _moves(cctxt, uuids) -> dict[str, tuple[audit.Move, ...]]:
    found = collections.defaultdict(list)
    for chunk in reader.chunks(uuids):
        statement = sa.select(
            MIGRATION.instance_uuid, MIGRATION.migration_type,
            MIGRATION.status
        ).where(
            MIGRATION.deleted == 0, MIGRATION.instance_uuid.in_(chunk),
            sa.or_(MIGRATION.migration_type.is_(None),
                   MIGRATION.migration_type != 'evacuation'),
            sa.or_(MIGRATION.status.is_(None),
                   MIGRATION.status.not_in(ENDED_MOVES))
        ).order_by(MIGRATION.id)
        with cells.reading(cctxt) as session:
            for row in session.execute(statement).all():
                found[row.instance_uuid].append(audit.Move(
                    row.migration_type or 'migration', row.status or ''))
    return {uuid: tuple(moves) for uuid, moves in found.items()}


def _last_actions(cctxt, uuids) -> dict[str, audit.Action]:
    action, event = models.InstanceAction, models.InstanceActionEvent
    found = {}
    for chunk in reader.chunks(uuids):
        newest = sa.select(sa.func.max(action.id)).where(
            action.instance_uuid.in_(chunk)).group_by(action.instance_uuid)
        with cells.reading(cctxt) as session:
            rows = session.execute(sa.select(
                action.id, action.instance_uuid, action.action
            ).where(action.id.in_(newest))).all()
            events = collections.defaultdict(list)
            for row in session.execute(sa.select(
                    event.action_id, event.finish_time).where(
                        event.action_id.in_([row.id for row in rows]))).all():
                events[row.action_id].append(row.finish_time is not None)
        found.update((row.instance_uuid, audit.Action(
            row.action or '',
            bool(events[row.id]) and all(events[row.id])))
            for row in rows)
    return found


def _consumers(node_uuids) -> set[str]:
    client = placement.client()
    found: set[str] = set()
    for node_uuid in node_uuids:
        try:
            found |= set(client.get_allocations_for_resource_provider(
                nova.context.get_admin_context(), node_uuid).allocations)
        except nova_exc.ResourceProviderAllocationRetrievalFailed as error:
            raise exception.NovaUnavailable(
                what=f'read the allocations on {node_uuid}',
                found=errors.phrase(error)) from error
    return found


# -- writes -------------------------------------------------------------------


def _remove(uuid, node_uuids, generation) -> bool:
    context = nova.context.get_admin_context()
    client = placement.client()
    found = client.get_allocs_for_consumer(context, uuid)
    if found.get('consumer_generation') != generation:
        return False
    gone = {entry['uuid'] for node_uuid in node_uuids
            for entry in client.get_providers_in_tree(context, node_uuid)}
    kept = {provider: {'resources': entry['resources']}
            for provider, entry in found['allocations'].items()
            if provider not in gone}
    if not kept or len(kept) == len(found['allocations']):
        # Nothing left would delete the consumer, and with it the guard.
        return False
    try:
        return bool(client.put_allocations(context, uuid, {
            **{key: found[key] for key in ('project_id', 'user_id')},
            'allocations': kept, 'consumer_generation': generation}))
    except nova_exc.AllocationUpdateFailed:
        return False
    except (nova_exc.PlacementAPIConnectFailure, report.Retry) as error:
        raise exception.NovaUnavailable(
            what=f'remove allocations of {uuid}',
            found=errors.phrase(error)) from error


def _withdraw(cctxt, uuid, host, migration_id) -> bool:
    """The first UPDATE changes nothing; it locks the row on every database,
    so that the instance cannot leave before the record is closed."""
    lock = sa.update(INSTANCE).where(
        INSTANCE.uuid == uuid, INSTANCE.host == host, INSTANCE.deleted == 0
    ).values(updated_at=INSTANCE.updated_at)
    close = sa.update(MIGRATION).where(
        MIGRATION.id == migration_id, MIGRATION.instance_uuid == uuid,
        MIGRATION.source_compute == host, MIGRATION.status == 'done',
        MIGRATION.migration_type == 'evacuation'
    ).values(status='error', updated_at=timeutils.utcnow())
    unsynced = {'synchronize_session': False}
    with cells.writing(cctxt) as session:
        if session.execute(lock, execution_options=unsynced).rowcount != 1:
            return False
        return session.execute(
            close, execution_options=unsynced).rowcount == 1
