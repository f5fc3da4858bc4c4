# SPDX-License-Identifier: Apache-2.0
"""One evacuation on its destination: rows 17 to 29 of the evacuate path.

Nests as Nova's decorators and context managers do, so that a failure at any
step, and a second failure while the first is handled, write what Nova
writes and no more.
"""

import collections.abc
import typing

from nova_pets.simulator import nova_copies
from nova_pets.simulator import nova_errors as errors
from nova_pets.simulator import nova_orders as orders
from nova_pets.simulator import nova_rows as rows
from nova_pets.simulator import nova_steps as steps

if typing.TYPE_CHECKING:
    from nova_pets.simulator import nova_compute

EVENT = 'compute_rebuild_instance'
STOP_EVENT = 'compute_stop_instance'

T = typing.TypeVar('T')


class _Rollback(errors.NovaError):
    """As InstanceFaultRollback: the instance keeps its vm_state."""


class Rebuild:
    def __init__(self, agent: 'nova_compute.Agent', order: orders.Rebuild):
        self._agent = agent
        self._nova = agent.nova
        self._world = agent.nova.world
        self._host = agent.name
        self._database = agent.database
        self._order = order.order
        self._uuid = order.order.instance.uuid
        self._instance = nova_copies.InstanceCopy(order.order.instance)
        self._migration = nova_copies.MigrationCopy(order.migration)

    # -- how failures are handled, from the outside in -----------------------

    def run(self) -> steps.Steps[None]:
        try:
            yield from self._decorated(EVENT, self._or_error)
        except errors.NovaError:
            return

    def _decorated(self, event: str, work: collections.abc.Callable[
            [], steps.Steps[None]]) -> steps.Steps[None]:
        """reverts_task_state"""
        try:
            yield from self._with_event(event, work)
        except errors.UnexpectedTaskState:
            raise
        except errors.NovaError as error:
            self._instance.set(task_state=None)
            try:
                yield from self._save('reverts task')
            except errors.NovaError:
                pass  # Nova logs it
            raise error

    def _with_event(self, event: str, work: collections.abc.Callable[
            [], steps.Steps[None]]) -> steps.Steps[None]:
        """wrap_instance_event and wrap_instance_fault"""
        request_id = self._order.request_id
        yield from self._remote(f'{event} begins', lambda: (
            self._database.start_event(self._uuid, request_id, event,
                                       self._host)))
        error: errors.NovaError | None = None
        try:
            yield from work()
        except errors.NovaError as caught:
            error, text = caught, caught.details
            try:
                yield from self._remote('adds fault', lambda: (
                    self._database.add_fault(self._uuid, text)))
            except errors.NovaError as second:
                error = second
        yield from self._remote(
            f'{event} ends' if error is None else f'{event} fails',
            lambda: self._database.finish_event(
                self._uuid, request_id, event, error))
        if error is not None:
            raise error

    def _or_error(self) -> steps.Steps[None]:
        """_error_out_instance_on_exception"""
        vm_state = self._instance.get('vm_state')
        try:
            yield from self._rebuild()
        except _Rollback as error:
            self._instance.set(vm_state=vm_state, task_state=None)
            yield from self._save('keeps vm_state')
            raise errors.BuildAbort(error.details) from error
        except errors.NovaError as error:
            self._instance.set(vm_state='error')
            try:
                yield from self._save('writes error')
            except errors.InstanceNotFound:
                pass
            raise error

    def _rebuild(self) -> steps.Steps[None]:
        try:
            yield from self._claim()
            yield from self._build()
        except errors.ComputeResourcesUnavailable as error:
            yield from self._fail_migration()
            yield from self._free_room()
            raise _Rollback(error.details) from error
        except errors.InstanceNotFound:
            yield from self._fail_migration()
            return
        except errors.NovaError as error:
            yield from self._fail_migration()
            yield from self._free_room()
            raise error
        yield from self._finish()

    def _fail_migration(self) -> steps.Steps[None]:
        self._migration.set(status='failed')
        yield from self._remote('migration failed', lambda: (
            self._migration.save(self._database)))

    def _free_room(self) -> steps.Steps[None]:
        yield from self._step('frees destination')
        self._agent.check_placement()
        self._nova.api.free(self._uuid, self._host)

    # -- the steps -----------------------------------------------------------

    def _step(self, name: str) -> steps.Steps[None]:
        return self._agent.step(name, self._uuid)

    def _remote(self, name: str, work: collections.abc.Callable[[], T]
                ) -> steps.Steps[T]:
        return self._agent.remote(name, self._uuid, work)

    def _save(self, name: str, *task_states: str) -> steps.Steps[None]:
        return self._remote(name, lambda: self._instance.save(
            self._database, task_states or None))

    def _may_fail(self, stage: str, error: type[errors.NovaError]) -> None:
        self._nova.may_fail(stage, self._uuid, self._host, error)

    def _claim(self) -> steps.Steps[None]:
        yield from self._step('claim')
        self._may_fail('before_claim', errors.ComputeResourcesUnavailable)
        self._may_fail('claim_breaks', errors.NovaError)
        claimed = self._migration.row
        if claimed is None:
            # Only the claim knows it: whatever becomes of the evacuation,
            # this record stays as it is.
            claimed = yield from self._remote(
                'makes migration', lambda: self._database.add_migration(
                    self._uuid, 'pre-migrating',
                    self._instance.get('host'), self._host))
        else:
            self._migration.set(status='pre-migrating',
                                destination=self._host)
            yield from self._remote('migration pre-migrating', lambda: (
                self._migration.save(self._database)))
        self._may_fail('claim', errors.ComputeResourcesUnavailable)
        self._instance.set_context(claimed.id)
        yield from self._save('saves migration context')

    def _build(self) -> steps.Steps[None]:
        vm_state = self._instance.get('vm_state')
        if self._order.target_stopped and vm_state != 'error':
            vm_state = 'stopped'
        self._check()
        self._instance.set(power_state=rows.NOSTATE,
                           task_state=rows.REBUILDING)
        yield from self._save('rebuilding', rows.REBUILDING)
        yield from self._step('binds ports')
        self._may_fail('neutron', errors.PortBindingFailed)
        yield from self._step('moves volumes')
        self._may_fail('cinder', errors.CinderFailed)
        self._instance.set(task_state=rows.BLOCK_DEVICES)
        yield from self._save('block devices', rows.REBUILDING)
        self._instance.set(task_state=rows.SPAWNING)
        yield from self._save('spawning', rows.BLOCK_DEVICES)
        yield from self._spawn()
        self._instance.set(
            vm_state='active', task_state=None, power_state=rows.RUNNING,
            launched_at=self._nova.kernel.now)
        yield from self._save('saves after spawn', rows.SPAWNING)
        if vm_state == 'stopped':
            yield from self._stop()
        self._may_fail('notify', errors.FailedAfterSpawn)

    def _check(self) -> None:
        if (self._nova.is_failing('group', self._uuid, self._host) or
                self._nova.breaks_group(self._instance.row, self._host)):
            raise errors.GroupAffinityViolation('group policy')
        if self._uuid in self._agent.machine.guests:
            raise errors.InstanceExists(self._uuid)
        self._may_fail('checks', errors.InvalidSharedStorage)
        self._may_fail('glance', errors.EmptyCatalog)

    def _spawn(self) -> steps.Steps[None]:
        """The guest is there, paused, before it runs; half way in."""
        yield from self._step('spawn')
        self._may_fail('spawn', errors.SpawnFailed)
        length_s = self._nova.spawn_s()
        yield length_s / 2
        self._world.create_guest(self._host, self._uuid)
        yield length_s / 2
        self._world.start_guest(self._host, self._uuid)
        yield from self._step('after spawn')
        self._may_fail('after_spawn', errors.FailedAfterSpawn)

    def _stop(self) -> steps.Steps[None]:
        """Row 27: it was stopped, so it is stopped again, by the method
        that people's orders come to as well."""
        self._instance.set(vm_state='active', task_state='powering-off')
        yield from self._save('powering off')
        yield from self._decorated(STOP_EVENT, self._power_off)

    def _power_off(self) -> steps.Steps[None]:
        yield from self._step('stops guest')
        self._may_fail('stop', errors.FailedAfterSpawn)
        self._world.stop_guest(self._host, self._uuid)
        self._instance.set(vm_state='stopped', task_state=None,
                           power_state=rows.SHUTDOWN)
        yield from self._save('saves stopped', 'powering-off')

    def _finish(self) -> steps.Steps[None]:
        """Row 28: only now the row says where the guest is."""
        self._may_fail('finish', errors.FailedAfterSpawn)
        self._instance.set(host=self._host, node=self._host)
        yield from self._save('finish')
        self._instance.set_context(None)
        yield from self._save('drops migration context')
        self._migration.set(status='done')
        yield from self._remote('migration done', lambda: (
            self._migration.save(self._database)))
