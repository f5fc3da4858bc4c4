# SPDX-License-Identifier: Apache-2.0
"""The false nova-compute of one host: its start, its queue, its periodics.

All it does to databases goes through a conductor. It never looks at what
the product wrote; it knows its host's guests and Nova's rows. What a source
does when it returns (rows 30 and 31) is init_host.
"""

import collections.abc
import functools
import typing

from nova_pets.simulator import kernel as kernel_module
from nova_pets.simulator import nova_audit
from nova_pets.simulator import nova_errors as errors
from nova_pets.simulator import nova_orders as orders
from nova_pets.simulator import nova_power
from nova_pets.simulator import nova_rebuild
from nova_pets.simulator import nova_rows as rows
from nova_pets.simulator import nova_steps as steps
from nova_pets.simulator import world as world_module

if typing.TYPE_CHECKING:
    from nova_pets.simulator import nova as nova_module

WAIT_S = 5.0
"""Between two looks for a conductor that is away."""

G = world_module.GuestState
T = typing.TypeVar('T')


class Agent:
    """One incarnation of nova-compute."""

    def __init__(self, nova: 'nova_module.Nova',
                 machine: world_module.Host,
                 process: kernel_module.Process):
        self.nova = nova
        self.machine = machine
        self.process = process
        self.database = nova.cells[machine.cell]
        self._is_ready = False

    @property
    def name(self) -> str:
        return self.machine.name

    @property
    def is_consuming(self) -> bool:
        """init_host is done, its RPC server and its heartbeat run."""
        return self._is_ready and self.process.is_alive

    def start(self, has_been_up: bool = False) -> None:
        """:param has_been_up: as if it had started long ago."""
        if has_been_up:
            self._serve(self.nova.settings.sync_power_s)
        else:
            steps.start(self.process, self._begin())

    def _serve(self, first_sync_s: float) -> None:
        """:param first_sync_s: until power states are synced; soon after a
            start.
        """
        self._is_ready = True
        self.nova.consume(orders.compute_topic(self.name))
        settings = self.nova.settings
        self._periodic(settings.audit_s, settings.audit_s,
                       nova_audit.audit_resources)
        self._periodic(first_sync_s, settings.sync_power_s,
                       nova_audit.sync_power)
        self._periodic(settings.reap_s, settings.reap_s, nova_audit.reap)

    def _periodic(self, first_s: float, seconds: float,
                  audit: collections.abc.Callable[['Agent'], None]) -> None:
        def run() -> None:
            if self.is_reaching():
                audit(self)
            self.process.after(seconds, run)

        self.process.after(first_s, run)

    def is_reaching(self) -> bool:
        return (self.nova.why_unreachable(self.machine) is None and
                self.nova.is_cell_up(self.machine.cell))

    # -- steps ---------------------------------------------------------------

    def step(self, name: str, uuid: str) -> steps.Steps[None]:
        return self.nova.step(name, uuid, self.name)

    def remote(self, name: str, uuid: str,
               work: collections.abc.Callable[[], T]) -> steps.Steps[T]:
        """Come to a step and do it through a conductor.

        :raises MessagingTimeout: none was there, or its answer was lost
            after the work was done.
        :raises DatabaseDown:
        """
        yield from self.step(name, uuid)
        waited_s = 0.0
        while self.nova.why_unreachable(self.machine) is not None:
            if waited_s >= self.nova.settings.rpc_timeout_s:
                raise errors.MessagingTimeout('conductor')
            waited_s += WAIT_S
            yield WAIT_S
        self.nova.check_cell(self.machine.cell)
        if self.nova.is_failing('db', uuid, self.name):
            raise errors.DatabaseDown('database')
        result = work()
        if self.nova.is_failing('reply', uuid, self.name):
            raise errors.MessagingTimeout('conductor')
        return result

    def check_placement(self) -> None:
        """:raises PlacementDown: it, or the host's way to it, is away."""
        if self.machine.is_cut_off:
            raise errors.PlacementDown('the host is cut off')
        self.nova.check_placement()

    # -- messages ------------------------------------------------------------

    def take(self, order: typing.Any) -> None:
        match order:
            case orders.Rebuild():
                work = nova_rebuild.Rebuild(self, order).run()
            case orders.Power():
                work = nova_power.change(self, order)
            case orders.Terminate():
                work = nova_power.terminate(self, order)
            case _:
                work = nova_power.live_migrate(self, order)
        steps.start(self.process, work)

    # -- the start -----------------------------------------------------------

    def _begin(self) -> steps.Steps[None]:
        """init_host; the queue is consumed only after it."""
        while not self.is_reaching() or not self.nova.world.is_placement_up:
            yield WAIT_S
        try:
            evacuated = yield from self._destroy_evacuated()
            yield from self._init_instances(evacuated)
        except errors.NovaError as error:
            # The service ends, and whatever supervises it starts it anew.
            self.nova.kernel.note('nova', 'nova-compute exits', '',
                                  self.name, error.details)
            yield WAIT_S
            self.nova.start_compute(self.name)
            return
        yield from self.step('nova-compute serves', '')
        self._serve(self.nova.fuzz_s())

    def _destroy_evacuated(self) -> steps.Steps[frozenset[str]]:
        """Row 30: whatever has a record of having left, wherever it is now.
        """
        records = {row.uuid: row for row in sorted(
            self.database.migrations.values(), key=lambda row: row.id)
            if row.source == self.name and row.status in rows.UNCLEANED and
            row.kind == rows.EVACUATION}
        for uuid in sorted(records):
            if uuid in self.machine.guests:
                yield from self.step('destroys evacuated', uuid)
                self.nova.world.destroy_guest(self.name, uuid)
        for uuid, record in sorted(records.items()):
            row = self.database.instances.get(uuid)
            if row is None or row.deleted:
                continue
            yield from self.step('frees source', uuid)
            self.check_placement()
            self.nova.api.free(uuid, self.name)
            yield from self.remote('completes record', uuid, (
                functools.partial(self.database.change_migration, record.id,
                                  {'status': 'completed'})))
        return frozenset(records)

    def _init_instances(self, evacuated: frozenset[str]
                        ) -> steps.Steps[None]:
        """Row 31."""
        for row in sorted(self.database.on_host(self.name),
                          key=lambda row: row.uuid):
            if row.vm_state == 'error' or row.uuid in evacuated:
                continue
            if (row.vm_state in ('active', 'stopped') and
                    row.task_state in rows.REBUILD_STATES):
                yield from self.remote('init writes error', row.uuid, (
                    functools.partial(self.database.change, row.uuid, {
                        'vm_state': 'error', 'task_state': None})))
                continue
            yield from self._init_instance(row)

    def _init_instance(self, row: rows.Instance) -> steps.Steps[None]:
        if row.task_state == 'migrating':
            self.nova.live_moves.discard(row.uuid)
            yield from self.remote(
                'init ends migration', row.uuid,
                lambda: self.database.change(
                    row.uuid, {'task_state': None}, ['migrating']))
        elif row.task_state == 'deleting':
            yield from nova_power.destroy(self, row)
            return
        elif row.task_state in ('powering-off', 'powering-on',
                                'rebooting_hard'):
            yield from nova_power.resume_order(self, row)
            return
        guest = self.machine.guests.get(row.uuid)
        if (self.nova.settings.resume_guests and guest is G.SHUTDOWN and
                row.vm_state == 'active' and
                row.power_state == rows.RUNNING):
            yield from self.step('resumes guest', row.uuid)
            self.nova.world.start_guest(self.name, row.uuid)
