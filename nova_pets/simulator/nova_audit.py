# SPDX-License-Identifier: Apache-2.0
"""nova-compute's periodic tasks, as far as they touch evacuated instances.

Each is one look at the host's guests and at Nova's rows; none of them
repairs an evacuation (F6), and one makes a stale record 'error'.
"""

import typing

from nova_pets.simulator import nova_rows as rows
from nova_pets.simulator import world as world_module

if typing.TYPE_CHECKING:
    from nova_pets.simulator import nova_compute

G = world_module.GuestState

_POWER = {G.RUNNING: rows.RUNNING, G.PAUSED: rows.PAUSED,
          G.SHUTDOWN: rows.SHUTDOWN}

_NOT_IN_PROGRESS = ('confirmed', 'reverted', 'failed', 'completed',
                    'cancelled', 'done')


def audit_resources(agent: 'nova_compute.Agent') -> None:
    """update_available_resource: stale evacuation records become 'error',
    the room of deleted instances is given back."""
    database, nova = agent.database, agent.nova
    for row in _newest(agent):
        instance = database.instances[row.uuid]
        if instance.migration_context in (None, row.id):
            continue
        if row.status != 'error':
            nova.kernel.note('nova', 'stale record', row.uuid, agent.name)
            database.change_migration(row.id, {'status': 'error'})
    if not nova.world.is_placement_up:
        return
    for uuid in sorted(nova.api.allocations):
        known = database.instances.get(uuid)
        if (known is not None and known.deleted and
                agent.name in nova.api.allocations[uuid]):
            nova.kernel.note('nova', 'frees room of deleted', uuid,
                             agent.name)
            nova.api.free(uuid, agent.name)


def _newest(agent: 'nova_compute.Agent') -> list[rows.Migration]:
    """Return the newest record in progress of each instance, from or to
    this host, that Nova takes for being moved."""
    newest: dict[str, rows.Migration] = {}
    for row in sorted(agent.database.migrations.values(),
                      key=lambda row: row.id):
        if (row.status in _NOT_IN_PROGRESS or row.kind != rows.EVACUATION or
                agent.name not in (row.source, row.destination)):
            continue
        instance = agent.database.instances.get(row.uuid)
        if (instance is None or
                instance.vm_state not in ('active', 'stopped') or
                instance.task_state not in rows.REBUILD_STATES):
            continue
        known = newest.get(row.uuid)
        if known is None or _time(row) > _time(known):
            newest[row.uuid] = row
    return [newest[uuid] for uuid in sorted(newest)]


def _time(row: rows.Migration) -> float:
    return row.created if row.updated is None else row.updated


def sync_power(agent: 'nova_compute.Agent') -> None:
    """_sync_power_states: the guest counts, where Nova has it here."""
    for row in sorted(agent.database.on_host(agent.name),
                      key=lambda row: row.uuid):
        if row.task_state is None:
            _sync(agent, row)


def _sync(agent: 'nova_compute.Agent', row: rows.Instance) -> None:
    guest = agent.machine.guests.get(row.uuid)
    power = rows.NOSTATE if guest is None else _POWER[guest]
    values: dict[str, str | int] = {'power_state': power}
    if row.vm_state == 'active' and power == rows.SHUTDOWN:
        values.update(vm_state='stopped', stopped_by_nova=True)
    elif row.vm_state == 'stopped' and power == rows.RUNNING:
        agent.nova.world.stop_guest(agent.name, row.uuid)
        values['power_state'] = rows.SHUTDOWN
    if any(getattr(row, name) != value for name, value in values.items()):
        agent.nova.kernel.note('nova', 'syncs power', row.uuid, agent.name,
                               sorted(values.items()))
        agent.database.change(row.uuid, values)


def reap(agent: 'nova_compute.Agent') -> None:
    """_cleanup_running_deleted_instances"""
    for uuid in sorted(agent.machine.guests):
        row = agent.database.instances.get(uuid)
        if row is not None and row.deleted:
            agent.nova.world.destroy_guest(agent.name, uuid)
