# SPDX-License-Identifier: Apache-2.0
"""The door to the false Nova: every method of compute/base.py.

Raises what the real door (compute/nova.py) raises: NovaUnavailable where the
database, the broker or placement that a call needs is away, or where the
engine behind it is cut off. It decides nothing; reads are what one statement
would see at this moment.
"""

import collections.abc
import typing

from nova_pets import exception
from nova_pets.compute import base
from nova_pets.model import observations
from nova_pets.model import states
from nova_pets.simulator import door_queues
from nova_pets.simulator import door_reach
from nova_pets.simulator import door_reads as reads
from nova_pets.simulator import nova_errors as errors
from nova_pets.simulator import nova_orders as orders
from nova_pets.simulator import nova_rows as rows
from nova_pets.simulator import world as world_module

if typing.TYPE_CHECKING:
    from nova_pets.simulator import nova as nova_module

CONDUCTOR_S = 5.0
"""A conductor must answer within this time before an evacuate."""
CAST_S = 3.0
"""Until a bounded cast gives up a broker that is away."""
QUESTION_S = 0.02

ALLOWED = ('host', 'node', 'vm_state', 'task_state', 'power_state')
"""Columns that an engine writes or compares."""


def _go_on(label: str) -> None:
    pass


class Door(base.ComputeDoor):
    """
    :param link: whether the engine behind this door reaches anything.
    """

    def __init__(self, nova: 'nova_module.Nova',
                 link: collections.abc.Callable[[], bool] = (
                     door_reach.everything)):
        self._nova = nova
        self.reach = door_reach.Reach(nova, link)
        self.between: collections.abc.Callable[[str], None] = _go_on
        """Called between two commits of one call, with what comes next; may
        give the turn away, or end the process."""

    # -- eyes ----------------------------------------------------------------

    def cells(self) -> list[observations.Cell]:
        return [observations.Cell(uuid, uuid) for uuid in self._nova.cells]

    def services(self, cell_uuid: str) -> list[observations.Service]:
        database = self.reach.cell(cell_uuid)
        return [observations.Service(
            row.host, cell_uuid, row.report_count, row.forced_down,
            row.disabled) for row in database.services.values()
            if row.binary == rows.COMPUTE]

    def conductors(self) -> dict[str, int]:
        found = {}
        for cell_uuid in self._nova.cells:
            for row in self.reach.cell(cell_uuid).services.values():
                if row.binary == rows.CONDUCTOR:
                    found[row.host] = row.report_count
        return found

    def conductor_answers(self, timeout_s: float) -> bool:
        self._broker('ask any conductor')
        if self._nova.conductor_runs():
            self._wait(QUESTION_S)
            return True
        self._wait(timeout_s)
        return False

    def host_addresses(self, cell_uuid: str) -> dict[str, str]:
        self.reach.cell(cell_uuid)
        return {name: f'192.0.2.{index}' for index, (name, machine)
                in enumerate(sorted(self._nova.world.hosts.items()), 1)
                if machine.cell == cell_uuid}

    def changed_instances(self, cell_uuid: str, mark: typing.Any
                          ) -> tuple[list[str], typing.Any]:
        self.reach.api()
        found = self.reach.cell(cell_uuid).instances.values()
        newest = max((row.changed for row in found), default=0)
        if mark is None:
            return sorted(row.uuid for row in found if not row.deleted and
                          reads.is_tagged(self._nova, row)), newest
        return sorted(row.uuid for row in found if row.changed > mark), newest

    def instances(self, cell_uuid: str,
                  uuids: collections.abc.Collection[str]
                  ) -> dict[str, observations.Instance]:
        self.reach.api()
        database = self.reach.cell(cell_uuid)
        return {uuid: reads.instance(self._nova, database.instances[uuid])
                for uuid in sorted(uuids) if uuid in database.instances}

    def instances_on(self, cell_uuid: str, host: str
                     ) -> list[observations.Instance]:
        self.reach.api()
        found = self.reach.cell(cell_uuid).on_host(host)
        return [reads.instance(self._nova, row) for row in
                sorted(found, key=lambda row: row.uuid)]

    def traces(self, cell_uuid: str, uuids: collections.abc.Collection[str]
               ) -> dict[str, observations.Trace]:
        return reads.traces(self.reach.cell(cell_uuid), uuids)

    def uncleaned_sources(self, cell_uuid: str, host: str) -> int:
        cell = self.reach.cell(cell_uuid)
        return sum(row.source == host and row.status in rows.UNCLEANED and
                   row.kind == rows.EVACUATION and
                   row.uuid in cell.instances and
                   not cell.instances[row.uuid].deleted
                   for row in cell.migrations.values())

    def allocated_hosts(self, uuid: str) -> set[str]:
        for cell_uuid in self._nova.cells:
            self.reach.cell(cell_uuid)
        self.reach.placement()
        return set(self._nova.api.allocations.get(uuid, ()))

    def guest(self, cell_uuid: str, uuid: str, host: str,
              timeout_s: float) -> states.GuestAnswer:
        database = self.reach.cell(cell_uuid)
        row = database.instances.get(uuid)
        if row is None or row.deleted:
            raise exception.InstanceGone(uuid=uuid)
        self._broker(f'ask {host} about {uuid}')
        if not self._answers(host):
            self._wait(timeout_s)
            return states.GuestAnswer.UNREACHABLE
        self._wait(QUESTION_S)
        guest = self._nova.world.hosts[host].guests.get(uuid)
        if guest is world_module.GuestState.RUNNING:
            return states.GuestAnswer.RUNNING
        return states.GuestAnswer.NOT_RUNNING

    def ping(self, host: str, timeout_s: float) -> bool:
        self._broker(f'ask nova-compute on {host}')
        answers = self._answers(host)
        self._wait(QUESTION_S if answers else timeout_s)
        return answers

    # -- hands ---------------------------------------------------------------

    def set_forced_down(self, cell_uuid: str, host: str,
                        value: bool) -> None:
        self.reach.api()
        self.reach.cell(cell_uuid)
        self._nova.set_forced_down(host, value)

    def update_instance(self, cell_uuid: str, uuid: str,
                        expected: dict[str, typing.Any],
                        values: dict[str, typing.Any]) -> None:
        database = self.reach.cell(cell_uuid)
        self._expect(database, uuid, expected)
        unknown = set(values) - set(ALLOWED)
        if unknown:
            raise ValueError(f'no column that an engine writes: {unknown}')
        self._nova.kernel.note('nova', 'written', uuid,
                               sorted(values.items()))
        database.change(uuid, values)

    def evacuate(self, cell_uuid: str, uuid: str, request_id: str,
                 on_shared_storage: bool | None,
                 target_stopped: bool) -> None:
        try:
            if not self.conductor_answers(CONDUCTOR_S):
                raise exception.EvacuateRefused(
                    uuid=uuid, found='no conductor answers')
        except exception.NovaUnavailable as error:
            raise exception.EvacuateRefused(
                uuid=uuid, found=str(error)) from error
        database = self.reach.cell(cell_uuid)
        claimed = {'task_state': rows.REBUILDING}
        row = self._expect(database, uuid, claimed)
        claimed['host'] = row.host or ''
        floor = self._newest(database, uuid)

        def save() -> None:
            self.update_instance(cell_uuid, uuid, claimed,
                                 {'task_state': rows.REBUILDING})

        try:
            order = self._nova.evacuate(
                uuid, request_id, on_shared_storage=on_shared_storage,
                target_stopped=target_stopped, save=save,
                between=self.between)
            self._cast(orders.CONDUCTOR, order)
        except (errors.NovaError, exception.NovaUnavailable) as error:
            raise self._failed(database, uuid, request_id, floor,
                               error) from error

    def delete_accepted(self, cell_uuid: str, migration_id: int) -> bool:
        database = self.reach.cell(cell_uuid)
        row = database.migrations.get(migration_id)
        if (row is None or row.status != 'accepted' or
                row.kind != rows.EVACUATION):
            return False
        self._nova.kernel.note('nova', 'record deleted', row.uuid,
                               migration_id)
        database.drop_migration(migration_id)
        return True

    def close_migration(self, cell_uuid: str, migration_id: int,
                        expected: collections.abc.Collection[str],
                        status: str) -> bool:
        database = self.reach.cell(cell_uuid)
        row = database.migrations.get(migration_id)
        if (row is None or row.status not in expected or
                row.kind != rows.EVACUATION):
            return False
        self._nova.kernel.note('nova', 'record closed', row.uuid,
                               migration_id, status)
        database.change_migration(migration_id, {'status': status})
        return True

    def adopt(self, cell_uuid: str, uuid: str, migration_id: int,
              source: str, destination: str, vm_state: str,
              expected: dict[str, typing.Any]) -> None:
        self.allocate(cell_uuid, uuid, destination)
        self.between('adopt')
        database = self.reach.cell(cell_uuid)
        self._expect(database, uuid, {**expected, 'host': source})
        self._nova.kernel.note('nova', 'adopted', uuid, destination)
        with database.tables.commit():
            database.change(uuid, {
                'host': destination, 'node': destination,
                'task_state': None, 'vm_state': vm_state,
                'migration_context': None})
            record = database.migrations.get(migration_id)
            if (record is not None and record.uuid == uuid and
                    record.status != 'completed'):
                database.change_migration(migration_id, {
                    'status': 'done', 'destination': destination})

    def tombstone(self, cell_uuid: str, uuid: str, host: str) -> bool:
        database = self.reach.cell(cell_uuid)
        row = database.instances.get(uuid)
        if row is None:
            raise exception.InstanceGone(uuid=uuid)
        if row.host == host:
            return False
        if not any(record.source == host and record.status == 'done'
                   for record in database.evacuations(uuid)):
            self._nova.kernel.note('nova', 'tombstone', uuid, host)
            database.add_migration(uuid, 'done', host, None)
        return True

    def remove_allocations(self, cell_uuid: str, uuid: str,
                           host: str) -> None:
        self.reach.cell(cell_uuid)
        self.reach.placement()
        self._nova.kernel.note('nova', 'room freed', uuid, host)
        self._nova.api.free(uuid, host)

    def allocate(self, cell_uuid: str, uuid: str, host: str) -> None:
        self.reach.cell(cell_uuid)
        self.reach.placement()
        held = self._nova.api.allocations.get(uuid, frozenset())
        if host not in held and self._nova.free_room(host) > 0:
            self._nova.kernel.note('nova', 'room taken', uuid, host)
            self._nova.api.allocate(uuid, host)

    def stop(self, cell_uuid: str, uuid: str) -> None:
        self._power(cell_uuid, uuid, 'stop', ('active', 'error'))

    def start(self, cell_uuid: str, uuid: str) -> None:
        self._power(cell_uuid, uuid, 'start', ('stopped',))

    def drain(self, cell_uuid: str, host: str, timeout_s: float,
              tell: collections.abc.Callable[[observations.Dropped], None]
              ) -> observations.Drained:
        self._broker(f'empty the queue of {host}')
        return door_queues.drain(self._nova, host, tell)

    def _power(self, cell_uuid: str, uuid: str, verb: str,
               vm_states: tuple[str, ...]) -> None:
        self.reach.cell(cell_uuid)
        try:
            order = self._nova.power(uuid, verb, vm_states)
            self.between(verb)
            self._cast(orders.compute_topic(order.instance.host or ''),
                       order)
        except errors.InstanceNotFound as error:
            raise exception.InstanceGone(uuid=uuid) from error
        except errors.InstanceInvalidState as error:
            raise exception.InstanceChanged(
                uuid=uuid, expected='a state that allows it',
                found=str(error)) from error
        except errors.NovaError as error:
            raise exception.NovaUnavailable(
                what=f'{verb} {uuid}', found=error.details) from error

    # -- inside --------------------------------------------------------------

    def _broker(self, what: str) -> None:
        self.reach.check_link()
        if not self._nova.world.broker.is_up:
            self._wait(CAST_S)
            raise exception.NovaUnavailable(
                what=what, found='the broker does not answer')

    def _answers(self, host: str) -> bool:
        machine = self._nova.world.hosts[host]
        agent = self._nova.agents.get(host)
        return (agent is not None and agent.is_consuming and
                not agent.process.is_paused and not machine.is_cut_off)

    def _wait(self, seconds: float) -> None:
        """Let time pass, where an engine's task asks."""
        if self._nova.kernel.current_process() is not None:
            self._nova.kernel.sleep(seconds)

    def _cast(self, topic: str, order: object) -> None:
        self.reach.check_link()
        if not self._nova.world.broker.cast(topic, order):
            self._wait(CAST_S)
            raise errors.MessageDeliveryFailure('the broker is away')

    def _expect(self, database: rows.CellDatabase, uuid: str,
                expected: collections.abc.Mapping[str, typing.Any]
                ) -> rows.Instance:
        """:raises InstanceChanged, InstanceGone: see base.update_instance.
        """
        row = database.instances.get(uuid)
        if row is None or row.deleted:
            raise exception.InstanceGone(uuid=uuid)
        found = {name: reads.column(row, name) for name in expected}
        for name, wanted in expected.items():
            if not isinstance(wanted, (list, tuple, set, frozenset)):
                wanted = [wanted]
            if found[name] not in wanted:
                raise exception.InstanceChanged(
                    uuid=uuid, expected=dict(expected), found=found)
        return row

    def _newest(self, database: rows.CellDatabase, uuid: str) -> int:
        return max((row.id for row in database.evacuations(uuid)), default=0)

    def _failed(self, database: rows.CellDatabase, uuid: str,
                request_id: str, floor: int, error: Exception
                ) -> exception.PetsException:
        """Return the exception that tells what a failed call left behind.
        """
        if isinstance(error, errors.InstanceNotFound):
            return exception.InstanceGone(uuid=uuid)
        left = None
        if not self.reach.link() or not self._nova.is_cell_up(database.uuid):
            left = 'what it left cannot be read'
        elif (uuid, request_id) in database.actions:
            left = 'the action is recorded'
        elif self._newest(database, uuid) > floor:
            left = 'a migration is recorded'
        if left is None:
            return exception.EvacuateRefused(uuid=uuid, found=str(error))
        return exception.EvacuateUncertain(uuid=uuid,
                                           found=f'{error}; {left}')
