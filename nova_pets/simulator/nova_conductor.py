# SPDX-License-Identifier: Apache-2.0
"""The false nova-conductor: rows 10 to 16 of the evacuate path.

Its work lives only in its own memory: who kills the process loses it. It
reads and writes the cell's database itself.
"""

import typing

from nova_pets.simulator import kernel as kernel_module
from nova_pets.simulator import nova_errors as errors
from nova_pets.simulator import nova_orders as orders
from nova_pets.simulator import nova_rows as rows
from nova_pets.simulator import nova_steps as steps

if typing.TYPE_CHECKING:
    from nova_pets.simulator import nova as nova_module

EVENT = 'rebuild_server'
RETRY_S = 2.0
"""Between two looks for a broker that is away; a cast waits for ever."""


class Conductor:
    def __init__(self, nova: 'nova_module.Nova', name: str,
                 process: kernel_module.Process):
        self._nova = nova
        self._name = name
        self._process = process

    def take(self, order: typing.Any) -> None:
        steps.start(self._process, self._evacuate(order))

    def _database(self, uuid: str) -> rows.CellDatabase:
        database = self._nova.cell_of(uuid)
        self._nova.check_cell(database.uuid)
        return database

    def _step(self, name: str, order: orders.Evacuate) -> steps.Steps[None]:
        return self._nova.step(name, order.instance.uuid, self._name)

    def _evacuate(self, order: orders.Evacuate) -> steps.Steps[None]:
        uuid = order.instance.uuid
        yield from self._step('conductor begins', order)
        try:
            self._database(uuid).start_event(
                uuid, order.request_id, EVENT, self._name)
        except errors.NovaError:
            return  # nobody has the cast any more: W3
        error = None
        try:
            yield from self._work(order)
        except errors.NovaError as caught:
            error = caught
        yield from self._step('conductor ends' if error is None
                              else 'conductor fails', order)
        try:
            self._database(uuid).finish_event(
                uuid, order.request_id, EVENT, error)
        except errors.NovaError:
            return

    def _work(self, order: orders.Evacuate) -> steps.Steps[None]:
        uuid = order.instance.uuid
        yield from self._step('reads migration', order)
        migration = self._database(uuid).first_accepted(uuid)
        if order.forced_host is not None:
            yield from self._force(order, migration)
            host = order.forced_host
        else:
            host = yield from self._schedule(order, migration)
        yield from self._step('casts to destination', order)
        broker = self._nova.world.broker
        while not broker.cast(orders.compute_topic(host),
                              orders.Rebuild(order, migration)):
            yield RETRY_S

    def _force(self, order: orders.Evacuate,
               migration: rows.Migration | None) -> steps.Steps[None]:
        """Copy the allocations to a host that a person insists on."""
        uuid, host = order.instance.uuid, typing.cast(str, order.forced_host)
        yield from self._step('allocates by force', order)
        self._nova.check_placement()
        held = self._nova.api.allocations.get(uuid, frozenset())
        if not held:
            raise errors.ConsumerAllocationRetrievalFailed(uuid)
        try:
            if len(held) > 1 or self._nova.free_room(host) < 1:
                raise errors.NoValidHost(host)
        except errors.NoValidHost as error:
            yield from self._write(order, order.instance.vm_state, error)
            yield from self._close(order, migration)
            raise
        self._nova.api.allocate(uuid, host)

    def _schedule(self, order: orders.Evacuate,
                  migration: rows.Migration | None) -> steps.Steps[str]:
        uuid = order.instance.uuid
        yield from self._step('asks scheduler', order)
        self._nova.may_fail('conductor', uuid, self._name,
                            errors.PortBindingFailed)
        try:
            host = yield from self._call(order)
        except errors.NoValidHost as error:
            yield from self._close(order, migration)
            yield from self._write(order, 'error', error)
            raise
        return host

    def _call(self, order: orders.Evacuate) -> steps.Steps[str]:
        """Call a scheduler, as long as somebody is heard to work on it."""
        nova = self._nova
        settings = nova.settings
        answer = steps.Mailbox()
        taken_by: list[object] = []
        ends = nova.kernel.now + settings.rpc_long_timeout_s
        is_sent = nova.world.broker.cast(orders.SCHEDULER, orders.Select(
            order.request_id, order.instance,
            frozenset({order.instance.host or ''}), order.wanted_host,
            answer, taken_by, ends))
        while not answer.has_answer and nova.kernel.now < ends:
            yield answer.wait(self._process, settings.rpc_timeout_s)
            if not answer.has_answer and not (
                    is_sent and nova.world.broker.is_up and
                    any(self._is_heard(worker) for worker in taken_by)):
                raise errors.MessagingTimeout('scheduler')
        return typing.cast(str, answer.take())

    @staticmethod
    def _is_heard(worker: object) -> bool:
        return (isinstance(worker, kernel_module.Process) and
                worker.is_alive and not worker.is_paused)

    def _close(self, order: orders.Evacuate,
               migration: rows.Migration | None) -> steps.Steps[None]:
        uuid = order.instance.uuid
        yield from self._step('migration error', order)
        if migration is not None:
            self._database(uuid).change_migration(
                migration.id, {'status': 'error'})

    def _write(self, order: orders.Evacuate, vm_state: str,
               error: errors.NovaError) -> steps.Steps[None]:
        """Write over whatever the row says by now."""
        uuid = order.instance.uuid
        yield from self._step(f'writes {vm_state}', order)
        database = self._database(uuid)
        database.change(uuid, {'vm_state': vm_state, 'task_state': None})
        database.add_fault(uuid, error.details)
