# SPDX-License-Identifier: Apache-2.0
"""What the door sees of the false Nova's rows, as observations.

Filters tags by prefix as compute/reader.py and compute/tags.py do; what they
mean is planning's.
"""

import collections
import collections.abc
import dataclasses
import typing

from nova_pets.model import observations
from nova_pets.simulator import nova_rows as rows

if typing.TYPE_CHECKING:
    from nova_pets.simulator import nova as nova_module


def column(row: rows.Instance, name: str) -> typing.Any:
    """Return a column as the database has it."""
    value = getattr(row, name)
    if name == 'launched_at' and value is not None:
        return rows.moment(value)
    return value


def is_tagged(nova: 'nova_module.Nova', row: rows.Instance) -> bool:
    found = instance(nova, row)
    return bool(found.metadata or found.flavor or found.image or
                found.aggregate)


def instance(nova: 'nova_module.Nova', row: rows.Instance
             ) -> observations.Instance:
    """Return the row with its tags and kind."""
    tags = nova.api.aggregates.get(row.host or '', {})
    return dataclasses.replace(
        plain(row), is_bfv=row.is_bfv, has_vtpm=row.has_vtpm,
        has_accelerators=row.has_accelerators, has_shares=row.has_shares,
        group_policy=row.group_policy,
        flavor=_having(row.flavor, 'pets:'),
        image=_having(row.image, 'pets_'),
        aggregate=_having(tags, 'pets:'))


def plain(row: rows.Instance) -> observations.Instance:
    """Return the row with the tags in its metadata."""
    return observations.Instance(
        uuid=row.uuid, cell_uuid=row.cell, project_id=row.project,
        name=row.name, host=row.host, node=row.node, vm_state=row.vm_state,
        task_state=row.task_state, power_state=row.power_state,
        launched_at=column(row, 'launched_at'), deleted=row.deleted,
        is_locked=row.locked, metadata={
            key: value for key, value in row.metadata.items()
            if key == 'ha' or key.startswith('ha:')})


def migration(record: rows.Migration) -> observations.Migration:
    return observations.Migration(
        id=record.id, status=record.status, source=record.source,
        destination=record.destination,
        created_at=rows.moment(record.created),
        updated_at=(None if record.updated is None
                    else rows.moment(record.updated)))


def _having(values: dict[str, str], prefix: str) -> dict[str, str]:
    return {key: value for key, value in values.items()
            if key.startswith(prefix)}


def traces(database: rows.CellDatabase,
           uuids: collections.abc.Collection[str]
           ) -> dict[str, observations.Trace]:
    wanted = set(uuids)
    actions: dict[str, list[str]] = collections.defaultdict(list)
    for action in sorted(database.actions.values(), key=lambda row: row.id):
        if action.uuid in wanted and action.action == rows.EVACUATE:
            actions[action.uuid].append(action.request_id)
    events: dict[tuple[str, str], list[observations.ActionEvent]] = (
        collections.defaultdict(list))
    for event in sorted(database.events.values(), key=lambda row: row.id):
        if event.uuid in wanted:
            events[event.uuid, event.request_id].append(
                observations.ActionEvent(
                    name=event.name, host=event.host,
                    finished=event.finished, result=event.result,
                    details=event.details, id=event.id))
    return {uuid: _trace(database, uuid, actions.get(uuid, []), events)
            for uuid in sorted(wanted)}


def _trace(database: rows.CellDatabase, uuid: str, requests: list[str],
           events: dict[tuple[str, str], list[observations.ActionEvent]]
           ) -> observations.Trace:
    row = database.instances.get(uuid)
    return observations.Trace(
        instance=None if row is None else plain(row),
        migrations=tuple(migration(record)
                         for record in database.evacuations(uuid)),
        events={request: tuple(events.get((uuid, request), ()))
                for request in requests},
        actions=tuple(requests),
        stopped_by_nova=row is not None and row.stopped_by_nova)
