# SPDX-License-Identifier: Apache-2.0
"""Which instances may have changed since the last look.

A superset, found by index ranges, so that a cycle costs what changed: rows
of instances by ``updated_at`` and by ``id``, new tag rows by
``instance_metadata.id``, and hosts whose aggregate tags changed. It decides
nothing; the caller reads the named instances afresh.

Left to the caller, who re-reads known pets page by page: a deleted tag row,
which leaves no trace in any of these ranges.
"""

import dataclasses
import datetime

from nova.db.main import models
from oslo_utils import timeutils
import sqlalchemy as sa

from nova_pets.compute import cells
from nova_pets.compute import reader
from nova_pets.compute import tags

OVERLAP = datetime.timedelta(seconds=60)
"""Nova's services stamp ``updated_at`` by their own clocks and commit later:
rows this much older than the newest one are read again."""
SETTLED_S = 10.0
"""A row that was seen with the same stamp this long ago is left out: stamps
have whole seconds on some databases, so a second change may share one."""
OVERLAP_ROWS = 500
"""Ids are given before commit: this many of the newest are read again, and
left out when they were returned before."""


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """Up to where one cell was read."""

    updated_at: datetime.datetime
    stamps: dict[str, tuple[datetime.datetime, float]] = dataclasses.field(
        default_factory=dict)
    """uuid -> (updated_at, when first seen so, by the caller's monotonic
    clock) of the rows within the overlap."""
    instance_id: int = 0
    metadata_id: int = 0
    seen_metadata: frozenset[int] = frozenset()
    """Tag rows among the newest OVERLAP_ROWS that were returned."""
    aggregates: frozenset[tuple[str, str, str]] = frozenset()
    """(host, key, value) of all aggregate tags."""


def changed(cctxt, context, mark: Mark | None,
            now_s: float) -> tuple[list[str], Mark]:
    """Return uuids, sorted, and the next mark.

    :param now_s: the caller's monotonic clock.
    """
    aggregates = frozenset(
        (host, key, value)
        for host, keys in tags.aggregate_tags(context).items()
        for key, values in keys.items() for value in values)
    if mark is None:
        return _first(cctxt, aggregates)
    with cells.reading(cctxt) as session:
        rows = session.execute(_ranges(mark)).all()
        stamps = {row.uuid: _stamp(mark, row, now_s) for row in rows
                  if row.kind == 'updated'}
        uuids = {row.uuid for row in rows if row.kind == 'new'}
        uuids |= {row.uuid for row in rows if row.kind == 'metadata'
                  and row.id not in mark.seen_metadata}
        uuids |= {uuid for uuid, (_, seen_s) in stamps.items()
                  if now_s - seen_s < SETTLED_S}
        hosts = {host for host, _, _ in aggregates ^ mark.aggregates}
        uuids |= _on_hosts(session, hosts)
    return sorted(uuids), _next(mark, rows, stamps, aggregates)


def _ranges(mark):
    instance, metadata = reader.INSTANCE, reader.METADATA
    no_time = sa.cast(sa.null(), sa.DateTime)
    return sa.union_all(
        sa.select(sa.literal('updated').label('kind'), instance.id,
                  instance.uuid, instance.updated_at).where(
                      instance.updated_at >= mark.updated_at - OVERLAP),
        sa.select(sa.literal('new'), instance.id, instance.uuid,
                  instance.updated_at).where(
                      instance.id > mark.instance_id),
        sa.select(sa.literal('metadata'), metadata.id,
                  metadata.instance_uuid, no_time).where(
                      metadata.id > mark.metadata_id - OVERLAP_ROWS,
                      reader.tag_rows()))


def _stamp(mark, row, now_s):
    before = mark.stamps.get(row.uuid)
    if before is not None and before[0] == row.updated_at:
        return before
    return row.updated_at, now_s


def _next(mark, rows, stamps, aggregates):
    # NOTE(nova-pets): a row stamped by a clock that runs ahead must not move
    # the mark past rows that are still to come, hence our own clock as a cap.
    newest = max((row.updated_at for row in rows
                  if row.kind != 'metadata' and row.updated_at is not None),
                 default=mark.updated_at)
    ids = {row.id for row in rows if row.kind == 'metadata'}
    top = max(ids, default=mark.metadata_id)
    return Mark(
        updated_at=max(mark.updated_at, min(newest, timeutils.utcnow())),
        stamps=stamps,
        instance_id=max((row.id for row in rows if row.kind == 'new'),
                        default=mark.instance_id),
        metadata_id=max(top, mark.metadata_id),
        seen_metadata=frozenset(ids), aggregates=aggregates)


def _first(cctxt, aggregates):
    """Read each table once: whatever could be tagged, by any of the four
    places. Flavors and images are found by text, aggregates by host."""
    instance, extra = reader.INSTANCE, models.InstanceExtra
    system = models.InstanceSystemMetadata
    with cells.reading(cctxt) as session:
        # The marks come first: what is added while this reads is read again.
        instance_id = session.execute(
            sa.select(sa.func.max(instance.id))).scalar_one()
        metadata_id = session.execute(
            sa.select(sa.func.max(reader.METADATA.id))).scalar_one()
        updated_at = session.execute(
            sa.select(sa.func.max(instance.updated_at))).scalar_one()
        uuids = set(session.execute(
            sa.select(reader.METADATA.instance_uuid).distinct().where(
                reader.tag_rows())).scalars())
        uuids |= set(session.execute(
            sa.select(extra.instance_uuid).where(
                extra.deleted == 0,
                extra.flavor.like(f'%"{tags.PREFIX}%'))).scalars())
        uuids |= set(session.execute(
            sa.select(system.instance_uuid).distinct().where(
                system.deleted == 0,
                system.key.like(f'{tags.STORED_IMAGE_PREFIX}'
                                f'{tags.IMAGE_PREFIX}%'))).scalars())
        uuids |= _on_hosts(session, {host for host, _, _ in aggregates})
    now = timeutils.utcnow()
    return sorted(uuids), Mark(
        updated_at=min(updated_at or now, now),
        instance_id=instance_id or 0, metadata_id=metadata_id or 0,
        aggregates=aggregates)


def _on_hosts(session, hosts) -> set[str]:
    instance = reader.INSTANCE
    uuids = set()
    for chunk in reader.chunks(hosts):
        uuids |= set(session.execute(sa.select(instance.uuid).where(
            instance.host.in_(chunk), instance.deleted == 0)).scalars())
    return uuids
