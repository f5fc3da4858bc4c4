# SPDX-License-Identifier: Apache-2.0
"""Column reads of a cell: services, instances' rows, what evacuations left.

Reads only; builds no Nova object, so the cost of a read is its statement.
Tags and kinds of instances are compute/tags.py's.
"""

import collections

from nova.db.main import models
import sqlalchemy as sa

from nova_pets.compute import cells
from nova_pets.model import observations

CHUNK = 500
"""Uuids per IN (...): databases limit the variables of a statement."""

INSTANCE = models.Instance
MIGRATION = models.Migration
METADATA = models.InstanceMetadata

INSTANCE_COLUMNS = (
    INSTANCE.uuid, INSTANCE.project_id, INSTANCE.display_name,
    INSTANCE.host, INSTANCE.node, INSTANCE.vm_state, INSTANCE.task_state,
    INSTANCE.power_state, INSTANCE.launched_at, INSTANCE.deleted,
    INSTANCE.locked, INSTANCE.image_ref, INSTANCE.ephemeral_gb)

_BY_NOVA = object()

UNCLEANED = ('accepted', 'pre-migrating', 'done')
"""Records by which a starting source destroys its copy (F8)."""


def chunks(uuids):
    """Yield sorted lists of at most CHUNK uuids."""
    ordered = sorted(set(uuids))
    for start in range(0, len(ordered), CHUNK):
        yield ordered[start:start + CHUNK]


def is_tag(key: str) -> bool:
    """Return whether an instance metadata key is one of ours.

    Databases compare LIKE case-insensitively or not; this is the rule.
    """
    return key == 'ha' or key.startswith('ha:')


def tag_rows():
    """Return the condition that selects our rows of instance_metadata."""
    return sa.and_(METADATA.deleted == 0,
                   sa.or_(METADATA.key == 'ha', METADATA.key.like('ha:%')))


def not_hidden():
    """Return the condition that leaves out the shadow of a cross-cell
    resize, which has the same uuid in another cell."""
    return sa.or_(INSTANCE.hidden.is_(None), INSTANCE.hidden == sa.false())


def instance_from(row, cell_uuid: str, **more) -> observations.Instance:
    """Return the observation of one row with INSTANCE_COLUMNS."""
    return observations.Instance(
        uuid=row.uuid, cell_uuid=cell_uuid, project_id=row.project_id or '',
        name=row.display_name or row.uuid, host=row.host, node=row.node,
        vm_state=row.vm_state, task_state=row.task_state,
        power_state=row.power_state, launched_at=row.launched_at,
        deleted=bool(row.deleted), is_locked=bool(row.locked),
        has_ephemeral=bool(row.ephemeral_gb), **more)


def services(cctxt, cell_uuid: str) -> list[observations.Service]:
    service = models.Service
    statement = sa.select(
        service.host, service.report_count, service.forced_down,
        service.disabled).where(service.binary == 'nova-compute',
                                service.deleted == 0)
    with cells.reading(cctxt) as session:
        rows = session.execute(statement).all()
    return [observations.Service(
        host=row.host, cell_uuid=cell_uuid, report_count=row.report_count,
        forced_down=bool(row.forced_down), disabled=bool(row.disabled))
        for row in rows]


def conductors(cctxt) -> dict[str, int]:
    service = models.Service
    statement = sa.select(service.host, service.report_count).where(
        service.binary == 'nova-conductor', service.deleted == 0)
    with cells.reading(cctxt) as session:
        return {row.host: row.report_count
                for row in session.execute(statement).all()}


def host_addresses(cctxt) -> dict[str, str]:
    node = models.ComputeNode
    statement = sa.select(node.host, node.host_ip).where(
        node.deleted == 0, node.host.is_not(None), node.host_ip.is_not(None))
    with cells.reading(cctxt) as session:
        return {row.host: str(row.host_ip)
                for row in session.execute(statement).all()}


def uncleaned_sources(cctxt, host: str) -> int:
    """Count what a starting nova-compute still has to clean up there.

    The record of an instance that was deleted since stays open for ever:
    nova-compute does not find the instance and goes on.
    """
    alive = sa.exists().where(INSTANCE.uuid == MIGRATION.instance_uuid,
                              INSTANCE.deleted == 0)
    statement = sa.select(sa.func.count()).select_from(MIGRATION).where(
        MIGRATION.deleted == 0, MIGRATION.source_compute == host,
        MIGRATION.migration_type == 'evacuation',
        MIGRATION.status.in_(UNCLEANED), alive)
    with cells.reading(cctxt) as session:
        return session.execute(statement).scalar_one()


# -- traces -------------------------------------------------------------------


def traces(cctxt, cell_uuid: str, uuids) -> dict[str, observations.Trace]:
    """Read what Nova recorded about evacuations of these instances.

    The order of the statements is the reverse of the order in which Nova
    writes: whatever is finished in an event or a migration is then in the
    instance's row too, also where a transaction sees others' commits
    (READ COMMITTED). Read the other way round, a success could look like an
    attempt that ended without effect.
    """
    result = {}
    for chunk in chunks(uuids):
        with cells.reading(cctxt) as session:
            events = _events(session, chunk)
            actions = _actions(session, chunk)
            stops = _stops(session, chunk)
            migrations = _migrations(session, chunk)
            instances = _instances(session, cell_uuid, chunk)
        for uuid in chunk:
            requests = actions.get(uuid, [])
            known = events.get(uuid, {})
            result[uuid] = observations.Trace(
                instance=instances.get(uuid),
                migrations=tuple(migrations.get(uuid, ())),
                events={request: tuple(known.get(request, ()))
                        for request in requests},
                actions=tuple(requests),
                stopped_by_nova=stops.get(uuid) is _BY_NOVA)
    return result


def _events(session, chunk):
    event, action = models.InstanceActionEvent, models.InstanceAction
    statement = sa.select(
        action.instance_uuid, action.request_id, event.event, event.host,
        event.finish_time, event.result, event.details, event.id
    ).join(action, event.action_id == action.id).where(
        action.instance_uuid.in_(chunk), action.action == 'evacuate'
    ).order_by(event.id)
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for row in session.execute(statement).all():
        found[row.instance_uuid][row.request_id].append(
            observations.ActionEvent(
                name=row.event, host=row.host,
                finished=row.finish_time is not None, result=row.result,
                details=row.details, id=row.id))
    return found


def _actions(session, chunk):
    action = models.InstanceAction
    statement = sa.select(action.instance_uuid, action.request_id).where(
        action.instance_uuid.in_(chunk), action.action == 'evacuate'
    ).order_by(action.id)
    found = collections.defaultdict(list)
    for row in session.execute(statement).all():
        if row.request_id not in found[row.instance_uuid]:
            found[row.instance_uuid].append(row.request_id)
    return found


def _stops(session, chunk):
    """Return {instance: the user of its newest stop}; nova's periodic tasks
    have none."""
    action = models.InstanceAction
    statement = sa.select(action.instance_uuid, action.user_id).where(
        action.instance_uuid.in_(chunk), action.action == 'stop'
    ).order_by(action.id)
    return {row.instance_uuid: row.user_id or _BY_NOVA
            for row in session.execute(statement).all()}


def _migrations(session, chunk):
    statement = sa.select(
        MIGRATION.instance_uuid, MIGRATION.id, MIGRATION.status,
        MIGRATION.source_compute, MIGRATION.dest_compute,
        MIGRATION.created_at, MIGRATION.updated_at
    ).where(MIGRATION.instance_uuid.in_(chunk),
            MIGRATION.migration_type == 'evacuation').order_by(MIGRATION.id)
    found = collections.defaultdict(list)
    for row in session.execute(statement).all():
        found[row.instance_uuid].append(observations.Migration(
            id=row.id, status=row.status, source=row.source_compute,
            destination=row.dest_compute, created_at=row.created_at,
            updated_at=row.updated_at))
    return found


def _instances(session, cell_uuid, chunk):
    statement = sa.select(
        *INSTANCE_COLUMNS, METADATA.key, METADATA.value
    ).join(METADATA, sa.and_(METADATA.instance_uuid == INSTANCE.uuid,
                             tag_rows()), isouter=True
           ).where(INSTANCE.uuid.in_(chunk), not_hidden())
    rows, metadata = {}, collections.defaultdict(dict)
    for row in session.execute(statement).all():
        rows[row.uuid] = row
        if row.key is not None and is_tag(row.key):
            metadata[row.uuid][row.key] = row.value
    return {uuid: instance_from(row, cell_uuid, metadata=metadata[uuid])
            for uuid, row in rows.items()}
