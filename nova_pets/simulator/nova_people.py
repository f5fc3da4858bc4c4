# SPDX-License-Identifier: Apache-2.0
"""Nova's API as people (and the door) call it: checks, rows, casts.

An evacuation is accepted whatever else is under way (F1): the only guard is
that the source's service is not up. Each call ends as Nova's REST API would,
with what it refuses as an exception.
"""

import collections.abc
import dataclasses
import typing

from nova_pets.simulator import kernel as kernel_module
from nova_pets.simulator import nova_errors as errors
from nova_pets.simulator import nova_orders as orders
from nova_pets.simulator import nova_power
from nova_pets.simulator import nova_rows as rows
from nova_pets.simulator import world as world_module

BLOCKED_S = 5.0
"""Between two tries of a cast that waits for the broker."""

Between = collections.abc.Callable[[str], None]


def _go_on(label: str) -> None:
    pass


class People:
    """The part of Nova that is its API."""

    kernel: kernel_module.Kernel
    world: world_module.World
    api: rows.ApiDatabase
    cells: dict[str, rows.CellDatabase]

    if typing.TYPE_CHECKING:
        def cell_of(self, uuid: str) -> rows.CellDatabase: ...
        def check_cell(self, cell: str) -> None: ...
        def check_placement(self) -> None: ...
        def is_service_up(self, host: str, cell: str) -> bool: ...
        def new_request(self) -> str: ...
        def free_room(self, host: str) -> int: ...
        def may_fail(self, stage: str, uuid: str, where: str,
                     error: type[errors.NovaError]) -> None: ...

    # -- instances -----------------------------------------------------------

    def api_boot(self, uuid: str, host: str, **columns: typing.Any
                 ) -> rows.Instance:
        """Have an instance that has been running on a host for long."""
        machine = self.world.hosts[host]
        row = rows.Instance(
            uuid=uuid, cell=machine.cell, name=columns.pop('name', uuid),
            host=host, node=host, launched_at=self.kernel.now, **columns)
        is_stopped = row.vm_state == 'stopped'
        if is_stopped:
            row = dataclasses.replace(row, power_state=rows.SHUTDOWN)
        self.api.put('instance_mappings', uuid, machine.cell)
        self.api.allocate(uuid, host)
        row = self.cells[machine.cell].put_instance(row)
        machine.guests[uuid] = (world_module.GuestState.SHUTDOWN if is_stopped
                                else world_module.GuestState.RUNNING)
        self.kernel.note('nova', 'booted', uuid, host)
        return row

    def api_evacuate(self, uuid: str, host: str | None = None,
                     force: bool = False, target_stopped: bool = False,
                     between: Between = _go_on) -> str:
        """A person's evacuation; return its request_id. Its cast waits for
        the broker as long as it takes."""
        request_id = self.new_request()
        order = self.evacuate(
            uuid, request_id, host=host, force=force,
            target_stopped=target_stopped, between=between)
        self._cast(orders.CONDUCTOR, order)
        return request_id

    def evacuate(self, uuid: str, request_id: str,
                 host: str | None = None, force: bool = False,
                 on_shared_storage: bool | None = None,
                 target_stopped: bool = False,
                 save: collections.abc.Callable[[], None] | None = None,
                 between: Between = _go_on) -> orders.Evacuate:
        """Rows 2 to 8; return what is to be cast.

        :param save: writes task_state instead of Nova's own blind save.
        :param between: called between two commits, with what comes next.
        """
        database = self._database(uuid)
        instance = database.instance(uuid)
        if (instance.vm_state not in ('active', 'stopped', 'error') or
                instance.launched_at is None):
            raise errors.InstanceInvalidState(instance.vm_state)
        if self.is_service_up(instance.host or '', database.uuid):
            raise errors.ComputeServiceInUse(str(instance.host))
        self._check_api()
        self.may_fail('api', uuid, 'api', errors.PortBindingFailed)
        between('task_state')
        if save is None:
            self.kernel.note('nova', 'evacuate', uuid, request_id)
            self._database(uuid).change(
                uuid, {'task_state': rows.REBUILDING})
        else:
            save()
        instance = dataclasses.replace(instance, task_state=rows.REBUILDING)
        between('action')
        self._database(uuid).add_action(uuid, request_id, rows.EVACUATE)
        between('migration')
        migration = self._database(uuid).add_migration(
            uuid, 'accepted', instance.host or '', host)
        self.kernel.note('nova', 'accepted', uuid, migration.id)
        between('cast')
        self.may_fail('cast', uuid, 'api', errors.MessageDeliveryFailure)
        return orders.Evacuate(
            request_id, instance,
            forced_host=host if force else None,
            wanted_host=None if force else host,
            on_shared_storage=on_shared_storage,
            target_stopped=target_stopped)

    def api_stop(self, uuid: str) -> None:
        self._power(uuid, 'stop', ('active', 'error'))

    def api_start(self, uuid: str) -> None:
        self._power(uuid, 'start', ('stopped',))

    def api_reboot(self, uuid: str) -> None:
        """A hard one."""
        self._power(uuid, 'reboot', ('active', 'stopped', 'error'))

    def _power(self, uuid: str, verb: str,
               vm_states: tuple[str, ...]) -> None:
        order = self.power(uuid, verb, vm_states)
        self._cast(orders.compute_topic(order.instance.host or ''), order)

    def power(self, uuid: str, verb: str,
              vm_states: tuple[str, ...]) -> orders.Power:
        """Check it and write task_state; return what is to be cast.

        :raises InstanceInvalidState:
        """
        database = self._database(uuid)
        row = database.instance(uuid)
        allowed = (None, nova_power.TASKS[verb]) if verb == 'reboot' else (
            None,)
        if row.vm_state not in vm_states or row.task_state not in allowed:
            raise errors.InstanceInvalidState(
                f'{row.vm_state}/{row.task_state}')
        values: dict[str, typing.Any] = {
            'task_state': nova_power.TASKS[verb]}
        if verb == 'stop':
            values['stopped_by_nova'] = False
        row = database.change(uuid, values)
        request_id = self.new_request()
        database.add_action(uuid, request_id, verb)
        self.kernel.note('nova', f'asks {verb}', uuid, row.host)
        return orders.Power(request_id, verb, row)

    def api_delete(self, uuid: str) -> None:
        """Where the host is down the row goes without it."""
        database = self._database(uuid)
        row = database.change(uuid, {'task_state': 'deleting'})
        request_id = self.new_request()
        if self.is_service_up(row.host or '', database.uuid):
            self._cast(orders.compute_topic(row.host or ''),
                       orders.Terminate(request_id, row))
            return
        self.kernel.note('nova', 'local delete', uuid, row.host)
        database.change(uuid, {'deleted': True, 'deleted_at': self.kernel.now,
                               'vm_state': 'deleted', 'task_state': None})
        self.check_placement()
        self.api.free_all(uuid)

    def api_set_metadata(self, uuid: str, metadata: dict[str, str]) -> None:
        """Replace the instance's metadata."""
        self.kernel.note('nova', 'metadata', uuid, sorted(metadata.items()))
        self._database(uuid).change(uuid, {'metadata': dict(metadata)})

    def api_reset_state(self, uuid: str, vm_state: str) -> None:
        self.kernel.note('nova', 'reset state', uuid, vm_state)
        self._database(uuid).change(
            uuid, {'vm_state': vm_state, 'task_state': None})

    def api_live_migrate(self, uuid: str, host: str) -> None:
        database = self._database(uuid)
        row = database.instance(uuid)
        if row.vm_state != 'active' or row.task_state is not None:
            raise errors.InstanceInvalidState(
                f'{row.vm_state}/{row.task_state}')
        if not self.is_service_up(row.host or '', database.uuid):
            raise errors.NoValidHost('its host is not up')
        if host == row.host or not self.is_service_up(
                host, database.uuid) or self.free_room(host) < 1:
            raise errors.NoValidHost(host)
        self.check_placement()
        self.kernel.note('nova', 'asks live migration', uuid, host)
        row = database.begin_move(uuid)
        self.api.allocate(uuid, host)
        self._cast(orders.compute_topic(row.host or ''),
                   orders.LiveMigrate(self.new_request(), row, host))

    # -- services ------------------------------------------------------------

    def api_force_down(self, host: str, value: bool) -> None:
        """:raises ForcedUpRefused: evacuations from it are not cleaned up.
        """
        cell = self.world.hosts[host].cell
        self.check_cell(cell)
        if not value and any(
                row.source == host and row.status == 'done' and
                row.kind == rows.EVACUATION
                for row in self.cells[cell].migrations.values()):
            raise errors.ForcedUpRefused(host)
        self.set_forced_down(host, value)

    def set_forced_down(self, host: str, value: bool) -> None:
        """As Nova's internal API, which looks at no record."""
        database = self.cells[self.world.hosts[host].cell]
        self.kernel.note('nova', 'forced_down', host, value)
        database.put_service(dataclasses.replace(
            database.services[(host, rows.COMPUTE)], forced_down=value))

    def api_disable(self, host: str, value: bool) -> None:
        database = self.cells[self.world.hosts[host].cell]
        self.check_cell(database.uuid)
        database.put_service(dataclasses.replace(
            database.services[(host, rows.COMPUTE)], disabled=value))

    # -- inside --------------------------------------------------------------

    def _database(self, uuid: str) -> rows.CellDatabase:
        self._check_api()
        database = self.cell_of(uuid)
        self.check_cell(database.uuid)
        return database

    def _check_api(self) -> None:
        if not self.world.is_api_db_up:
            raise errors.DatabaseDown('api database')

    def _cast(self, topic: str, order: typing.Any) -> None:
        """Send it now, or whenever the broker is back."""
        if not self.world.broker.cast(topic, order):
            self.kernel.after(BLOCKED_S, lambda: self._cast(topic, order))
