# SPDX-License-Identifier: Apache-2.0
"""Compare-and-swap writes to a cell: instance rows and migration records.

Each function is one transaction of its own. A write that meets other values
changes nothing and says so. No message is sent from here.
"""

import collections.abc
import contextlib

from nova import exception as nova_exc
from nova import objects
from nova.db.main import models
from oslo_utils import timeutils
from oslo_utils import uuidutils
import sqlalchemy as sa

from nova_pets import exception
from nova_pets.compute import cells

INSTANCE = models.Instance
MIGRATION = models.Migration


@contextlib.contextmanager
def instance_conflicts(uuid: str):
    """Translate Nova's answers to a compare-and-swap on an instance."""
    try:
        yield
    except nova_exc.InstanceNotFound as error:
        raise exception.InstanceGone(uuid=uuid) from error
    except nova_exc.InstanceUpdateConflict as error:
        raise exception.InstanceChanged(
            uuid=uuid,
            expected=error.kwargs.get('expected') or 'the row as read',
            found=error.kwargs.get('actual') or 'other values') from error


def update_instance(cctxt, uuid: str, expected: dict, values: dict) -> None:
    """Write ``values`` where every column of ``expected`` fits.

    Nova's own compare-and-swap without the rows that it reads before and
    after: one UPDATE with the expectations in its WHERE, so it also holds
    against writers it knows nothing of.
    """
    statement = sa.update(INSTANCE).where(
        INSTANCE.uuid == uuid, INSTANCE.deleted == 0, *matches(expected)
    ).values(updated_at=timeutils.utcnow(), **values)
    with cells.writing(cctxt) as session:
        if _written(session, statement) != 1:
            raise _changed(session, uuid, expected)


def matches(expected: collections.abc.Mapping):
    """Return conditions on instances' columns; a list means one of it."""
    conditions = []
    for name, wanted in expected.items():
        column = getattr(INSTANCE, name)
        if not isinstance(wanted, (list, tuple, set, frozenset)):
            wanted = [wanted]
        known = [value for value in wanted if value is not None]
        parts = [column.in_(known)] if known else []
        if None in wanted:
            parts.append(column.is_(None))
        conditions.append(sa.or_(*parts) if parts else sa.false())
    return conditions


def delete_accepted(cctxt, migration_id: int) -> bool:
    """Take the record away from a cast that is still on its way.

    That cast then fails at the destination's first write, before ports,
    volumes, allocations or a guest are touched. It leaves the event with
    result Error and the instance vm_state ERROR, task_state None, host
    as it was (nova 31, 33, 34). Where another destination is inside spawn
    by then, that one fails too and leaves its guest, to be adopted.

    Its id must never be given again, or the late cast would write into the
    next attempt's record. MariaDB, MySQL 8 and PostgreSQL never do; SQLite
    does when the newest row goes, so there an inert row takes a higher id.
    """
    statement = sa.delete(MIGRATION).where(
        MIGRATION.id == migration_id, MIGRATION.status == 'accepted',
        MIGRATION.migration_type == 'evacuation')
    with cells.writing(cctxt) as session:
        if session.get_bind().dialect.name == 'sqlite':
            _occupy_next_id(session, migration_id)
        return _written(session, statement) == 1


def _occupy_next_id(session, migration_id):
    mine = session.execute(sa.select(
        MIGRATION.instance_uuid, MIGRATION.source_compute).where(
            MIGRATION.id == migration_id,
            MIGRATION.status == 'accepted')).first()
    if mine is not None:
        session.execute(sa.insert(MIGRATION).values(
            instance_uuid=mine.instance_uuid, status='error',
            source_compute=mine.source_compute, migration_type='migration',
            uuid=uuidutils.generate_uuid(), hidden=True))


def close_migration(cctxt, migration_id: int, expected, status: str) -> bool:
    statement = sa.update(MIGRATION).where(
        MIGRATION.id == migration_id, MIGRATION.status.in_(sorted(expected)),
        MIGRATION.migration_type == 'evacuation'
    ).values(status=status, updated_at=timeutils.utcnow())
    with cells.writing(cctxt) as session:
        return _written(session, statement) == 1


def adopt(cctxt, uuid: str, migration_id: int, source: str,
          destination: str, vm_state: str, expected: dict) -> None:
    """Complete the evacuation whose guest runs on ``destination``.

    In one transaction, the compare-and-swap first: later reads of it then
    see nothing older, on any isolation level.
    """
    node, compute_id = _node_of(cctxt, migration_id, destination)
    values = {'host': destination, 'node': node, 'compute_id': compute_id,
              'task_state': None, 'vm_state': vm_state,
              'updated_at': timeutils.utcnow()}
    conditions = matches({**expected, 'host': source})
    with cells.writing(cctxt) as session:
        statement = sa.update(INSTANCE).where(
            INSTANCE.uuid == uuid, INSTANCE.deleted == 0,
            *conditions).values(**values)
        if _written(session, statement) != 1:
            raise _changed(session, uuid, {**expected, 'host': source})
        _apply_migration_context(cctxt, uuid, migration_id)
        session.execute(sa.update(MIGRATION).where(
            MIGRATION.id == migration_id, MIGRATION.instance_uuid == uuid,
            MIGRATION.status != 'completed'
        ).values(status='done', dest_compute=destination, dest_node=node,
                 dest_compute_id=compute_id, updated_at=timeutils.utcnow()),
            execution_options={'synchronize_session': False})


def tombstone(cctxt, uuid: str, host: str) -> bool:
    """Make a returning ``host`` destroy its copy of the instance.

    The record names no destination: the returning nova-compute then asks the
    host where the instance is by then whether it shares the disk, and not
    the dead one where it is now (an RPC timeout for each instance, before
    its service starts).

    The UPDATE changes nothing; it locks the row on every database, so that
    the instance cannot come to be on ``host`` before the record is there.
    """
    lock = sa.update(INSTANCE).where(
        INSTANCE.uuid == uuid,
        sa.or_(INSTANCE.host.is_(None), INSTANCE.host != host)
    ).values(updated_at=INSTANCE.updated_at)
    node = _nodes(cctxt, host)
    with cells.writing(cctxt) as session:
        if _written(session, lock) != 1:
            there = session.execute(sa.select(INSTANCE.id).where(
                INSTANCE.uuid == uuid)).first()
            if there is None:
                raise exception.InstanceGone(uuid=uuid)
            return False
        is_open = session.execute(sa.select(MIGRATION.id).where(
            MIGRATION.instance_uuid == uuid, MIGRATION.deleted == 0,
            MIGRATION.source_compute == host, MIGRATION.status == 'done',
            MIGRATION.migration_type == 'evacuation')).first()
        if is_open is None:
            # Without a destination: the returning host asks where the
            # instance is by then, not the dead host where it is now, whether
            # the disk is shared.
            objects.Migration(
                cctxt, instance_uuid=uuid, migration_type='evacuation',
                status='done', source_compute=host,
                source_node=node[0].hypervisor_hostname if node else host,
            ).create()
    return True


def compute_node_uuids(cctxt, host: str, gone: bool = True) -> list[str]:
    """
    :param gone: deleted compute nodes of the host too.
    """
    return sorted({row.uuid for row in _nodes(cctxt, host, gone=gone)})


def _nodes(cctxt, host, gone=False):
    node = models.ComputeNode
    statement = sa.select(node.id, node.uuid, node.hypervisor_hostname).where(
        node.host == host).order_by(node.id)
    if not gone:
        statement = statement.where(node.deleted == 0)
    with cells.reading(cctxt) as session:
        return session.execute(statement).all()


def _node_of(cctxt, migration_id, destination):
    """Return (node name, compute_nodes.id) as the claim recorded it, else
    of the host's only compute node."""
    statement = sa.select(
        MIGRATION.dest_compute, MIGRATION.dest_node,
        MIGRATION.dest_compute_id).where(MIGRATION.id == migration_id)
    with cells.reading(cctxt) as session:
        row = session.execute(statement).first()
    if (row is not None and row.dest_compute == destination
            and row.dest_node and row.dest_compute_id):
        return row.dest_node, row.dest_compute_id
    nodes = _nodes(cctxt, destination)
    if len(nodes) != 1:
        raise exception.NovaUnavailable(
            what=f'adopt a guest on {destination}',
            found=f'{len(nodes)} compute nodes of that host')
    return nodes[0].hypervisor_hostname, nodes[0].id


def _apply_migration_context(cctxt, uuid, migration_id):
    """Take over what the claim on the destination gave the guest; drop a
    context of another attempt unused."""
    instance = objects.Instance.get_by_uuid(cctxt, uuid, expected_attrs=[
        'migration_context', 'numa_topology', 'pci_requests', 'pci_devices',
        'resources', 'flavor', 'system_metadata', 'metadata'])
    migration_context = instance.migration_context
    if migration_context is None:
        return
    if migration_context.migration_id == migration_id:
        instance.apply_migration_context()
        instance.save()
    instance.drop_migration_context()


def _changed(session, uuid, expected):
    names = sorted(expected)
    row = session.execute(sa.select(
        INSTANCE.deleted, *(getattr(INSTANCE, name) for name in names)
    ).where(INSTANCE.uuid == uuid)).first()
    if row is None or row.deleted:
        return exception.InstanceGone(uuid=uuid)
    return exception.InstanceChanged(
        uuid=uuid, expected=expected,
        found={name: getattr(row, name) for name in names})


def _written(session, statement) -> int:
    return session.execute(
        statement,
        execution_options={'synchronize_session': False}).rowcount


def recorded(cctxt, uuid: str, request_id: str, floor: int) -> str | None:
    """Return what Nova has recorded for a request, None: nothing.

    :param floor: highest evacuation migration id before the call.
    """
    action = models.InstanceAction
    with cells.reading(cctxt) as session:
        if session.execute(sa.select(action.id).where(
                action.instance_uuid == uuid,
                action.request_id == request_id)).first():
            return 'the action is recorded'
    newest = highest_migration(cctxt, uuid)
    if newest > floor:
        return f'migration {newest} is recorded'
    return None


def highest_migration(cctxt, uuid: str) -> int:
    with cells.reading(cctxt) as session:
        return session.execute(sa.select(sa.func.max(MIGRATION.id)).where(
            MIGRATION.instance_uuid == uuid)).scalar_one() or 0
