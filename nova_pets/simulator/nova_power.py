# SPDX-License-Identifier: Apache-2.0
"""What people ask of a living nova-compute: power, deletion, live migration.

Each order was checked and its task_state written by the API before it came.
"""

import typing

from nova_pets.simulator import nova_errors as errors
from nova_pets.simulator import nova_orders as orders
from nova_pets.simulator import nova_rows as rows
from nova_pets.simulator import nova_steps as steps
from nova_pets.simulator import world as world_module

if typing.TYPE_CHECKING:
    from nova_pets.simulator import nova_compute

TASKS = {'stop': 'powering-off', 'start': 'powering-on',
         'reboot': 'rebooting_hard'}

NO_ANSWER_S = 60.0
"""After so long a call to a dead nova-compute is given up."""

_STARTED: dict[str, list[str | None]] = {
    'start': ['powering-on'], 'reboot': ['reboot_started_hard']}

G = world_module.GuestState


def change(agent: 'nova_compute.Agent', order: orders.Power
           ) -> steps.Steps[None]:
    """Stop, start or reboot (hard) the guest, and write what it is now.

    Only a reboot looks at the row before it acts: an order that waited in
    the queue of a dead host starts a guest there, wherever Nova has the
    instance by then.
    """
    uuid = order.instance.uuid
    yield from agent.step(order.verb, uuid)
    try:
        if order.verb == 'stop':
            yield from _stop(agent, uuid)
        else:
            if order.verb == 'reboot':
                yield from _save(agent, uuid, {
                    'task_state': 'reboot_started_hard'}, ['rebooting_hard'])
            # The domain is defined anew, whether it is there or not.
            agent.nova.world.start_guest(agent.name, uuid)
            yield from _save(agent, uuid, {
                'vm_state': 'active', 'task_state': None,
                'power_state': rows.RUNNING}, _STARTED[order.verb])
    except errors.UnexpectedTaskState:
        return
    except errors.NovaError:
        try:
            yield from _save(agent, uuid, {'task_state': None}, None)
        except errors.NovaError:
            return


def _stop(agent: 'nova_compute.Agent', uuid: str) -> steps.Steps[None]:
    """A guest that is not there, or is down already, is no error."""
    guest = agent.machine.guests.get(uuid)
    expected: list[str | None] = [TASKS['stop']]
    if guest in (None, G.SHUTDOWN):
        expected.append(None)
    agent.nova.world.stop_guest(agent.name, uuid)
    yield from _save(agent, uuid, {
        'vm_state': 'stopped', 'task_state': None, 'power_state': (
            rows.NOSTATE if guest is None else rows.SHUTDOWN)}, expected)


def _save(agent: 'nova_compute.Agent', uuid: str,
          values: dict[str, str | int | None],
          expected: list[str | None] | None) -> steps.Steps[None]:
    yield from agent.remote('saves power', uuid, lambda: (
        agent.database.change(uuid, values, expected)))


def resume_order(agent: 'nova_compute.Agent', row: rows.Instance
                 ) -> steps.Steps[None]:
    """init_host repeats what a restart interrupted."""
    verb = next(verb for verb, task in TASKS.items()
                if task == row.task_state)
    yield from change(agent, orders.Power('', verb, row))


def terminate(agent: 'nova_compute.Agent', order: orders.Terminate
              ) -> steps.Steps[None]:
    try:
        yield from destroy(agent, order.instance)
    except errors.NovaError:
        return


def destroy(agent: 'nova_compute.Agent', row: rows.Instance
            ) -> steps.Steps[None]:
    yield from agent.step('destroys guest', row.uuid)
    agent.nova.world.destroy_guest(agent.name, row.uuid)
    yield from agent.remote('deletes', row.uuid, lambda: (
        agent.database.change(row.uuid, {
            'deleted': True, 'deleted_at': agent.nova.kernel.now,
            'vm_state': 'deleted', 'task_state': None})))
    yield from agent.step('frees all room', row.uuid)
    agent.check_placement()
    agent.nova.api.free_all(row.uuid)


def live_migrate(agent: 'nova_compute.Agent', order: orders.LiveMigrate
                 ) -> steps.Steps[None]:
    """The hypervisors move the guest, whatever becomes of nova-compute; a
    new nova-compute on the source ends what is still under way."""
    uuid, nova = order.instance.uuid, agent.nova
    nova.live_moves.add(uuid)
    destination = nova.world.hosts[order.destination]
    yield from agent.step('live migrates', uuid)
    is_over = steps.Mailbox()

    def switch() -> None:
        is_wanted = uuid in nova.live_moves
        nova.live_moves.discard(uuid)
        if (is_wanted and agent.machine.guests.get(uuid) is G.RUNNING and
                destination.system_runs):
            nova.world.destroy_guest(agent.name, uuid)
            nova.world.start_guest(destination.name, uuid)
            is_over.put(True)
        else:
            is_over.put(False)

    length_s = nova.spawn_s()
    if agent.machine.system is not None:
        agent.machine.system.after(length_s, switch)
    yield is_over.wait(agent.process, 10 * length_s)
    has_moved = is_over.has_answer and is_over.take()
    values: dict[str, str | None] = {'task_state': None}
    if has_moved:
        values.update(host=destination.name, node=destination.name)
        yield from agent.step('finishes at destination', uuid)
        if not nova.agents[destination.name].is_consuming:
            # It is asked in vain; then its row names it all the same.
            yield NO_ANSWER_S
            values['vm_state'] = 'error'
    try:
        yield from agent.remote('live migrated', uuid, lambda: (
            agent.database.change(uuid, values)))
        yield from agent.step('frees other room', uuid)
        agent.check_placement()
        nova.api.free(uuid, agent.name if has_moved else destination.name)
        agent.database.end_move(uuid)
    except errors.NovaError:
        return
