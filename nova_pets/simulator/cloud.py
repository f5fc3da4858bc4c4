# SPDX-License-Identifier: Apache-2.0
"""A whole false cloud with nova-pets in its schedulers.

Puts world, Nova, side tables and workers together, as wiring.py and a
packager do for a real one, and offers the deeds that scenarios, faults and
people need. Chooses nothing by chance.
"""

import collections.abc
import contextlib
import dataclasses
import typing

from nova_pets import exception
from nova_pets.db import base
from nova_pets.model import policy as policy_module
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.scheduler import gatekeeper
from nova_pets.simulator import audit_door
from nova_pets.simulator import checks
from nova_pets.simulator import door as door_module
from nova_pets.simulator import door_reach
from nova_pets.simulator import engines
from nova_pets.simulator import kernel as kernel_module
from nova_pets.simulator import memory_database
from nova_pets.simulator import memory_store
from nova_pets.simulator import nova as nova_module
from nova_pets.simulator import nova_rows
from nova_pets.simulator import nova_scheduler
from nova_pets.simulator import tables as tables_module
from nova_pets.simulator import world as world_module

if typing.TYPE_CHECKING:
    from nova_pets.simulator import sql_side_tables

POLICY = policy_module.Policy(
    report_interval_s=2.0, fence_timeout_s=12.0, fence_retry_s=5.0,
    fence_attempts=2,
    backoff_max_s=60.0, one_storage_domain=True, claim_ttl_s=10.0,
    scheduling_timeout_s=60.0, building_alarm_s=300.0, active_interval_s=1.0,
    idle_interval_s=2.0, storm_hosts=3, startup_grace_s=0.0,
    outage_calm_s=0.0, flap_count=0)
"""Numbers of a brisk cloud: a run is short, and nothing is left out."""


@dataclasses.dataclass(frozen=True)
class HostShape:
    name: str
    cell: str = 'cell1'
    capacity: int = 8


@dataclasses.dataclass(frozen=True)
class InstanceShape:
    name: str
    host: str
    vm_state: str = 'active'
    is_pet: bool = True
    priority: int = 500
    is_bfv: bool = False
    group: str | None = None
    group_policy: str | None = None


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a cloud is made of."""

    hosts: tuple[HostShape, ...]
    instances: tuple[InstanceShape, ...]
    workers: tuple[tuple[str, int], ...] = (('sched1', 1), ('sched2', 1))
    """(machine, number) of each scheduler worker."""
    policy: policy_module.Policy = POLICY
    resume_guests: bool = False


class FalseCloud:
    """
    :param seed: of all chance in it.
    :param side_tables: where to keep them; None: in memory.
    """

    def __init__(self, seed: int, shape: Shape,
                 faults: engines.Faults | None = None,
                 side_tables: 'sql_side_tables.Database | None' = None):
        self.shape = shape
        self.kernel = kernel = kernel_module.Kernel(seed)
        self.world = world_module.World(kernel, [
            (host.name, host.cell, host.capacity) for host in shape.hosts])
        cells = sorted({host.cell for host in shape.hosts})
        self.cell_tables = {
            cell: tables_module.Tables(lambda: kernel.now) for cell in cells}
        self.api_tables = tables_module.Tables(lambda: kernel.now)
        self.nova = nova_module.Nova(
            kernel, self.world, self.cell_tables, self.api_tables,
            nova_module.Settings(
                report_interval_s=shape.policy.report_interval_s,
                resume_guests=shape.resume_guests))
        self.database = memory_database.MemoryDatabase(self.api_tables)
        """The side tables, or what is to be seen of those in SQL."""
        self.has_lost_commits = False
        """Some failover of the API database took something back."""
        self.lost_times: list[tuple[str, float, float]] = []
        """(api or cell, since when its commits were lost, when)"""
        self._mirror = side_tables and side_tables.mirror(self.database)
        self.mode = states.Mode.ACT
        self.faults = faults or NoFaults()
        self.machines = {name: engines.Machine(name)
                         for name in sorted({name for name, _
                                             in shape.workers})}
        self.workers: dict[str, engines.Worker] = {}
        self.born: list[engines.Worker] = []
        """Every incarnation, the dead ones too."""
        self.dies_here: collections.abc.Callable[[engines.Worker], bool] = (
            lambda worker: False)
        self._incarnations = 0
        self._cloud = engines.Cloud(
            kernel=kernel, world=self.world,
            commits=lambda: self.api_tables.commits,
            make_store=self.store, make_door=lambda worker: door_module.Door(
                self.nova, link=lambda: not worker.machine.is_cut_off),
            make_audits=self._audits, policy=shape.policy,
            faults=self.faults, mode=lambda: self.mode,
            dies_here=lambda worker: self.dies_here(worker))
        self.checks = checks.Checks(checks.Truth(
            self.world, self.instance, self.database, self.uncleaned,
            shape.policy, lambda: self.workers))
        kernel.after_step = self.checks.step
        self.people = self.store('user operator')
        for instance in shape.instances:
            self._boot(instance)
        # No failover reaches back behind the beginning.
        for tables in (self.api_tables, *self.cell_tables.values()):
            tables.forget_before(kernel.now)
        for machine, number in shape.workers:
            self.start_worker(machine, number)

    def store(self, actor: str) -> base.Store:
        return (self._mirror.store(actor) if self._mirror else
                memory_store.MemoryStore(self.database, actor))

    def _audits(self, worker: engines.Worker) -> audit_door.AuditDoor:
        return audit_door.AuditDoor(self.nova, door_reach.Reach(
            self.nova, link=lambda: not worker.machine.is_cut_off))

    def lose_commits(self, since: float) -> int:
        """Undo what the API database committed after a moment; return how
        many transactions those were."""
        lost = (self._mirror.lose_since(since) if self._mirror else
                self.api_tables.lose_since(since))
        self.has_lost_commits |= bool(lost)
        self.lost_times.append(('api', since, self.kernel.now))
        return lost

    def lose_cell_commits(self, cell: str, since: float) -> int:
        """The same for one cell's database; its replica counts on from the
        highest id that it knows."""
        self.lost_times.append((cell, since, self.kernel.now))
        return self.cell_tables[cell].lose_since(since, with_counters=True)

    def mirror_faults(self) -> list[str]:
        """Return where the side tables are not as the judge saw them."""
        return self._mirror.differences() if self._mirror else []

    def _boot(self, shape: InstanceShape) -> None:
        metadata = {}
        if shape.is_pet:
            metadata = {'ha': 'true', 'ha:priority': str(shape.priority)}
        self.nova.api_boot(
            shape.name, shape.host, vm_state=shape.vm_state,
            metadata=metadata, is_bfv=shape.is_bfv, group=shape.group,
            group_policy=shape.group_policy)

    # -- scheduler workers ---------------------------------------------------

    def start_worker(self, machine: str, number: int, version: str = '1'
                     ) -> engines.Worker:
        """Start it, or start it anew after its death."""
        self._incarnations += 1
        worker = engines.Worker(self._cloud, self.machines[machine], number,
                                self._incarnations, version)
        self.workers[worker.name] = worker
        self.born.append(worker)
        keeper = gatekeeper.Gatekeeper(
            lambda: worker.store, lambda: worker.door, lambda: self.mode)
        guard = _Guard(worker, keeper)
        scheduler = nova_scheduler.Scheduler(
            self.nova, worker.process, guard.gate, guard.filters)
        self.nova.schedulers = [
            known for known in self.nova.schedulers
            if known.process.is_alive] + [scheduler]
        return worker

    def kill_worker(self, name: str) -> None:
        worker = self.workers[name]
        if worker.is_alive:
            self.kernel.note('engine killed', name)
            worker.process.kill()

    def restart_worker(self, name: str) -> None:
        worker = self.workers[name]
        if not worker.is_alive:
            self.start_worker(worker.machine.name, worker.number)

    # -- orders of an operator -----------------------------------------------

    def order(self, kind: states.ControlKind, scope: str, target: str = '',
              reason: str = '', epoch: int | None = None) -> bool:
        """Give an order as nova-manage pets does; False: the tables are
        away."""
        if not self.world.is_api_db_up:
            return False
        self.kernel.note('operator', str(kind), scope, target)
        self.people.add_control(records.Control(
            id=None, kind=kind, scope=scope, target=target, epoch=epoch,
            reason=reason, actor='user operator'))
        return True

    def end_orders(self, kind: states.ControlKind,
                   target: str | None = None) -> None:
        """Take standing orders back, now or when the tables are there.

        :param target: None: all of the kind.
        """
        if not self.world.is_api_db_up:
            self.kernel.after(5.0, lambda: self.end_orders(kind, target))
            return
        for control in self.people.controls():
            if control.kind is kind and target in (None, control.target):
                self.people.end_control(control, 'user operator', 'over')

    # -- what is the case ----------------------------------------------------

    def instance(self, uuid: str) -> nova_rows.Instance | None:
        """Return Nova's row, also of a deleted instance."""
        cell = self.nova.api.cell_of.get(uuid)
        return None if cell is None else (
            self.nova.cells[cell].instances.get(uuid))

    def open_recoveries(self) -> list[records.Recovery]:
        return [self.database.recoveries[key] for key in
                sorted(self.database.open_recovery.values())]

    def uncleaned(self, host: str) -> list[nova_rows.Migration]:
        """Return the records for which a starting nova-compute there
        destroys its guest."""
        cell = self.nova.cells[self.world.hosts[host].cell]
        return [row for row in cell.migrations.values()
                if row.source == host and row.status in nova_rows.UNCLEANED
                and row.kind == nova_rows.EVACUATION]

    def is_forced_down(self, host: str) -> bool:
        cell = self.nova.cells[self.world.hosts[host].cell]
        return cell.services[(host, nova_rows.COMPUTE)].forced_down

    def is_well(self, uuid: str) -> str:
        """Return '' when the instance is where its owner would have it,
        else what is wrong; a person's deeds count as the owner's."""
        row = self.instance(uuid)
        if row is None or row.deleted:
            return self._expect_running(uuid, [])
        if row.task_state is not None:
            return f'{uuid}: task_state {row.task_state}'
        host = row.host or ''
        if row.vm_state == 'active':
            return self._expect_running(uuid, [host])
        if row.vm_state == 'stopped':
            return self._expect_running(uuid, [])
        return f'{uuid}: vm_state {row.vm_state} on {host}'

    def _expect_running(self, uuid: str, expected: list[str]) -> str:
        found = self.world.running(uuid)
        return '' if found == expected else (
            f'{uuid}: expected to run on {expected}, found {found}')


class _Guard:
    """Our request filter and our host filters, for one worker's scheduler.
    """

    def __init__(self, worker: engines.Worker,
                 keeper: gatekeeper.Gatekeeper):
        self._worker = worker
        self._keeper = keeper
        self._passed: dict[str, gatekeeper.Passed] = {}
        self._unsafe: dict[str, states.HostState] = {}

    def gate(self, request: nova_scheduler.Request) -> None:
        with self._told(request):
            self._passed[request.request_id] = self._keeper.check(
                _adapted(request))

    def filters(self, request: nova_scheduler.Request, hosts: list[str]
                ) -> list[str]:
        passed = self._passed.pop(request.request_id, None)
        with self._told(request):
            passed = self._keeper.repeat(_adapted(request),
                                     passed.view if passed else None)
        refused = set(self._read_unsafe())
        try:
            refused.update(self._worker.store.tombstoned(
                request.instance_uuid))
        except exception.StoreUnavailable:
            pass  # as FencedHostFilter: a failure of ours fails no request
        if passed.view and passed.view.recovery and passed.view.attempt:
            refused.update(passed.view.recovery.excluded)
        return [host for host in hosts if host not in refused]

    @contextlib.contextmanager
    def _told(self, request: nova_scheduler.Request
              ) -> collections.abc.Iterator[None]:
        try:
            yield
        except exception.PetsException as error:
            self._worker.cloud.kernel.note(
                'gate refuses', request.instance_uuid,
                type(error).__name__)
            raise

    def _read_unsafe(self) -> collections.abc.Iterable[str]:
        try:
            self._unsafe = self._worker.store.unsafe_hosts()
        except exception.StoreUnavailable:
            pass
        return self._unsafe


def _adapted(request: nova_scheduler.Request) -> gatekeeper.Request:
    return gatekeeper.Request(
        instance_uuid=request.instance_uuid, source=request.source,
        request_id=request.request_id, cell_uuid=request.cell_uuid)


class NoFaults:
    def before(self, worker: engines.Worker, port: str, method: str) -> None:
        pass

    def after(self, worker: engines.Worker, port: str, method: str) -> None:
        pass

