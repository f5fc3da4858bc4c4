# SPDX-License-Identifier: Apache-2.0
"""Rows of the false Nova's databases, and Nova's own ways to write them.

Each method that writes is one transaction. Nothing here knows whether the
database can be reached; whoever calls asks that first.
"""

import collections.abc
import dataclasses
import datetime
import typing

from nova_pets.simulator import kernel as kernel_module
from nova_pets.simulator import nova_errors as errors
from nova_pets.simulator import tables as tables_module

EPOCH = datetime.datetime(2026, 1, 1, 12, 0)
"""The time of day when the virtual clock begins."""

REBUILDING = 'rebuilding'
BLOCK_DEVICES = 'rebuild_block_device_mapping'
SPAWNING = 'rebuild_spawning'
REBUILD_STATES = (REBUILDING, BLOCK_DEVICES, SPAWNING)

NOSTATE = 0
RUNNING = 1
PAUSED = 3
SHUTDOWN = 4
"""Values of nova.compute.power_state."""

COMPUTE = 'nova-compute'
CONDUCTOR = 'nova-conductor'
EVACUATION = 'evacuation'
EVACUATE = 'evacuate'
UNDER_WAY = ('accepted', 'pre-migrating')
UNCLEANED = (*UNDER_WAY, 'done')
"""Records by which a starting source destroys its copy (F8)."""


def moment(now: float) -> datetime.datetime:
    """Return a virtual time as Nova stores it."""
    return EPOCH + datetime.timedelta(seconds=now - kernel_module.START)


@dataclasses.dataclass(frozen=True, slots=True)
class Instance:
    uuid: str
    cell: str
    project: str = 'project'
    name: str = ''
    host: str | None = None
    node: str | None = None
    vm_state: str = 'active'
    task_state: str | None = None
    power_state: int = RUNNING
    launched_at: float | None = None
    deleted: bool = False
    deleted_at: float | None = None
    """Virtual seconds."""
    locked: bool = False
    metadata: dict[str, str] = dataclasses.field(default_factory=dict)
    flavor: dict[str, str] = dataclasses.field(default_factory=dict)
    image: dict[str, str] = dataclasses.field(default_factory=dict)
    is_bfv: bool = False
    has_vtpm: bool = False
    has_accelerators: bool = False
    has_shares: bool = False
    group: str | None = None
    group_policy: str | None = None
    zone: str = 'nova'
    migration_context: int | None = None
    """Id of the migration that a claim on a destination belongs to."""
    stopped_by_nova: bool = False
    """Its newest 'stop' action names no user."""
    changed: int = 0
    """Grows with every write of any instance of the cell."""


@dataclasses.dataclass(frozen=True, slots=True)
class Migration:
    id: int
    uuid: str
    status: str
    source: str
    destination: str | None
    created: float
    updated: float | None = None
    kind: str = EVACUATION


@dataclasses.dataclass(frozen=True, slots=True)
class Action:
    id: int
    uuid: str
    request_id: str
    action: str


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    id: int
    uuid: str
    request_id: str
    name: str
    host: str
    started: float
    finished: bool = False
    result: str | None = None
    details: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    host: str
    binary: str
    report_count: int = 0
    last_seen_up: float = 0.0
    forced_down: bool = False
    disabled: bool = False


class CellDatabase:
    """Nova's rows of one cell."""

    def __init__(self, uuid: str, tables: tables_module.Tables,
                 kernel: kernel_module.Kernel):
        self.uuid = uuid
        self.tables = tables
        self._kernel = kernel
        self._changes = 0
        """As time, which no failover takes back."""
        self.instances: dict[str, Instance] = tables.table('instances')
        self.migrations: dict[int, Migration] = tables.table('migrations')
        self.actions: dict[tuple[str, str], Action] = tables.table('actions')
        self.events: dict[int, Event] = tables.table('action_events')
        self.services: dict[tuple[str, str], Service] = tables.table(
            'services')
        self.moves: dict[str, str] = tables.table('moves')
        """{instance: status of its live migration that has not ended}"""
        self.faults: dict[int, tuple[str, str]] = tables.table('faults')

    # -- instances -----------------------------------------------------------

    def instance(self, uuid: str) -> Instance:
        """:raises InstanceNotFound: none, or deleted."""
        row = self.instances.get(uuid)
        if row is None or row.deleted:
            raise errors.InstanceNotFound(uuid)
        return row

    def put_instance(self, row: Instance) -> Instance:
        with self.tables.commit():
            self._changes += 1
            row = dataclasses.replace(row, changed=self._changes)
            self.tables.put('instances', row.uuid, row)
        return row

    def change(self, uuid: str, values: collections.abc.Mapping[
            str, typing.Any], task_states: collections.abc.Collection[
                str | None] | None = None) -> Instance:
        """Write columns, as Instance.save does.

        :param task_states: the expected ones; None: no expectation.
        :raises UnexpectedTaskState: nothing was written.
        """
        row = self.instance(uuid)
        if task_states is not None and row.task_state not in task_states:
            raise errors.UnexpectedTaskState(
                f'expected {sorted(map(str, task_states))}, found '
                f'{row.task_state}')
        return self.put_instance(dataclasses.replace(row, **values))

    def on_host(self, host: str) -> list[Instance]:
        return [row for row in self.instances.values()
                if row.host == host and not row.deleted]

    def add_fault(self, uuid: str, text: str) -> None:
        with self.tables.commit():
            self.tables.put('faults', self.tables.next_id('faults'),
                            (uuid, text))

    # -- migrations ----------------------------------------------------------

    def add_migration(self, uuid: str, status: str, source: str,
                      destination: str | None,
                      kind: str = EVACUATION) -> Migration:
        with self.tables.commit():
            row = Migration(
                self.tables.next_id('migrations'), uuid, status, source,
                destination, self._kernel.now, kind=kind)
            self.tables.put('migrations', row.id, row)
        return row

    def change_migration(self, id_: int, values: collections.abc.Mapping[
            str, typing.Any]) -> Migration:
        """:raises MigrationNotFound: it was deleted."""
        row = self.migrations.get(id_)
        if row is None:
            raise errors.MigrationNotFound(str(id_))
        row = dataclasses.replace(row, updated=self._kernel.now, **values)
        with self.tables.commit():
            self.tables.put('migrations', id_, row)
        return row

    def drop_migration(self, id_: int) -> None:
        with self.tables.commit():
            self.tables.drop('migrations', id_)

    def evacuations(self, uuid: str) -> list[Migration]:
        """Return the instance's evacuation records, oldest first."""
        return sorted((row for row in self.migrations.values()
                       if row.uuid == uuid and row.kind == EVACUATION),
                      key=lambda row: row.id)

    def first_accepted(self, uuid: str) -> Migration | None:
        """Return the record that conductor takes for its own (F7)."""
        return next((row for row in self.evacuations(uuid)
                     if row.status == 'accepted'), None)

    def begin_move(self, uuid: str) -> Instance:
        """Have a live migration of the instance on record."""
        with self.tables.commit():
            self.tables.put('moves', uuid, 'running')
            return self.change(uuid, {'task_state': 'migrating'})

    def end_move(self, uuid: str) -> None:
        if uuid in self.moves:
            with self.tables.commit():
                self.tables.drop('moves', uuid)

    # -- actions -------------------------------------------------------------

    def add_action(self, uuid: str, request_id: str, action: str) -> None:
        with self.tables.commit():
            self.tables.put('actions', (uuid, request_id), Action(
                self.tables.next_id('actions'), uuid, request_id, action))

    def start_event(self, uuid: str, request_id: str, name: str,
                    host: str) -> None:
        """:raises InstanceActionNotFound: no such action (a failover)."""
        if (uuid, request_id) not in self.actions:
            raise errors.InstanceActionNotFound(request_id)
        with self.tables.commit():
            id_ = self.tables.next_id('action_events')
            self.tables.put('action_events', id_, Event(
                id_, uuid, request_id, name, host, self._kernel.now))

    def finish_event(self, uuid: str, request_id: str, name: str,
                     error: errors.NovaError | None = None) -> None:
        """Finish the first event of that name: a doubled message's second
        one stays open, as in Nova.

        :raises InstanceActionNotFound: the event is gone (a failover).
        """
        mine = [row for row in self.events.values()
                if row.uuid == uuid and row.request_id == request_id and
                row.name == name]
        if not mine:
            raise errors.InstanceActionNotFound(request_id)
        row = min(mine, key=lambda row: row.id)
        with self.tables.commit():
            self.tables.put('action_events', row.id, dataclasses.replace(
                row, finished=True,
                result='Success' if error is None else 'Error',
                details=None if error is None else error.details))

    # -- services ------------------------------------------------------------

    def put_service(self, row: Service) -> None:
        with self.tables.commit():
            self.tables.put('services', (row.host, row.binary), row)

    def beat(self, services: collections.abc.Iterable[
            tuple[str, str]]) -> None:
        """Count one report of each, in one go."""
        with self.tables.commit():
            for key in services:
                row = self.services.get(key) or Service(*key)
                self.tables.put('services', key, dataclasses.replace(
                    row, report_count=row.report_count + 1,
                    last_seen_up=self._kernel.now))


class ApiDatabase:
    """What Nova keeps above the cells, and placement's allocations."""

    def __init__(self, tables: tables_module.Tables):
        self.tables = tables
        self.cell_of: dict[str, str] = tables.table('instance_mappings')
        self.allocations: dict[str, frozenset[str]] = tables.table(
            'allocations')
        self.aggregates: dict[str, dict[str, str]] = tables.table(
            'aggregates')
        self.generations: dict[str, int] = tables.table('generations')
        """Placement's, of each consumer: grows with its allocations."""

    def put(self, table: str, key: str, row: typing.Any) -> None:
        with self.tables.commit():
            self.tables.put(table, key, row)
            if table == 'allocations':
                self.tables.put('generations', key,
                                self.generations.get(key, 0) + 1)

    def allocate(self, uuid: str, host: str) -> None:
        held = self.allocations.get(uuid, frozenset())
        self.put('allocations', uuid, held | {host})

    def free(self, uuid: str, host: str) -> None:
        held = self.allocations.get(uuid, frozenset())
        if host in held:
            self.put('allocations', uuid, held - {host})

    def free_all(self, uuid: str) -> None:
        if self.allocations.get(uuid):
            self.put('allocations', uuid, frozenset())

    def used(self, host: str) -> int:
        """Return for how many instances the host's room is taken."""
        return sum(host in hosts for hosts in self.allocations.values())
