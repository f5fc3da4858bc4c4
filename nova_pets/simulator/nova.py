# SPDX-License-Identifier: Apache-2.0
"""A false Nova: rows, services and messages that behave as Nova's do.

An evacuation goes through the steps of the reference, and each of its
failure windows can be produced by killing, pausing or cutting off something
between two of them. It decides nothing of the product. This module wires the
services together and knows what can be reached.
"""

import collections.abc
import dataclasses

from nova_pets.simulator import kernel as kernel_module
from nova_pets.simulator import nova_compute
from nova_pets.simulator import nova_conductor
from nova_pets.simulator import nova_errors as errors
from nova_pets.simulator import nova_orders as orders
from nova_pets.simulator import nova_people
from nova_pets.simulator import nova_rows as rows
from nova_pets.simulator import nova_scheduler
from nova_pets.simulator import nova_steps as steps
from nova_pets.simulator import tables as tables_module
from nova_pets.simulator import world as world_module

BEATS = 4
"""Events per report interval that serve all hosts' heartbeats."""

Fails = collections.abc.Callable[[str, str, str], str | None]
AtStep = collections.abc.Callable[[str, str, str], steps.Park | None]


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    report_interval_s: float = 10.0
    service_down_time_s: float = 60.0
    rpc_timeout_s: float = 60.0
    """rpc_response_timeout; also how long a call's other side may be silent
    before the call is given up."""
    rpc_long_timeout_s: float = 1800.0
    step_s: tuple[float, float] = (0.005, 0.05)
    spawn_s: tuple[float, float] = (0.5, 5.0)
    audit_s: float = 60.0
    """update_available_resource."""
    sync_power_s: float = 600.0
    fuzz_s: float = 60.0
    """periodic_fuzzy_delay: power is synced within this time of a start."""
    reap_s: float = 1800.0
    """Guests of deleted instances are removed."""
    resume_guests: bool = False
    """resume_guests_state_on_host_boot."""
    conductors: tuple[str, ...] = ('conductor1', 'conductor2')


def _nothing_fails(stage: str, uuid: str, where: str) -> str | None:
    return None


def _go_on(step: str, uuid: str, where: str) -> None:
    pass


class Nova(nova_people.People):
    """
    :param cell_databases: {cell uuid: its tables}
    :param api_database: may hold other tables too.
    """

    def __init__(self, kernel: kernel_module.Kernel,
                 world: world_module.World,
                 cell_databases: dict[str, tables_module.Tables],
                 api_database: tables_module.Tables,
                 settings: Settings = Settings()):
        self.kernel = kernel
        self.world = world
        self.settings = settings
        self.cells = {
            uuid: rows.CellDatabase(uuid, tables, kernel)
            for uuid, tables in sorted(cell_databases.items())}
        self.api = rows.ApiDatabase(api_database)
        self.fails: Fails = _nothing_fails
        """Asked (stage, instance uuid, host) where something may fail."""
        self.at_step: AtStep = _go_on
        """Told (step, instance uuid, service) before each step is done; may
        return what holds it there."""
        self.conductors: dict[str, kernel_module.Process] = {}
        self.schedulers: list[nova_scheduler.Scheduler] = []
        self.agents: dict[str, nova_compute.Agent] = {}
        self.live_moves: set[str] = set()
        """Instances whose guests hypervisors are moving."""
        self._random = kernel.random('nova')
        self._turns: dict[str, int] = {}
        self._requests = 0
        world.broker.on_put = self.consume
        world.on_boot = self._booted
        for name in settings.conductors:
            self.start_conductor(name)
        for name in sorted(world.hosts):
            self._start_at_once(world.hosts[name])
        self._beat(0)

    # -- services ------------------------------------------------------------

    @property
    def conductor_cell(self) -> rows.CellDatabase:
        """Where the conductors have their rows."""
        return next(iter(self.cells.values()))

    def start_conductor(self, name: str) -> kernel_module.Process:
        """Start it, or start it anew."""
        known = self.conductors.get(name)
        if known is not None:
            known.kill()
        self.kernel.note('nova', 'conductor starts', '', name)
        self.conductors[name] = self.kernel.process(name)
        key = (name, rows.CONDUCTOR)
        if key not in self.conductor_cell.services:
            self.conductor_cell.put_service(rows.Service(*key))
        self.consume(orders.CONDUCTOR)
        return self.conductors[name]

    def kill_conductor(self, name: str) -> None:
        self.kernel.note('nova', 'conductor dies', '', name)
        self.conductors[name].kill()
        self.consume(orders.CONDUCTOR)

    def start_compute(self, host: str) -> None:
        """Start nova-compute, or start it anew: init_host, then work."""
        machine = self.world.hosts[host]
        if not machine.system_runs:
            return
        if machine.compute is not None:
            machine.compute.kill()
        self.kernel.note('nova', 'nova-compute starts', '', host)
        agent = self._agent(machine)
        agent.start()

    def _agent(self, machine: world_module.Host) -> nova_compute.Agent:
        process = self.kernel.process(f'{machine.name} nova-compute')
        machine.compute = process
        agent = nova_compute.Agent(self, machine, process)
        self.agents[machine.name] = agent
        return agent

    def _start_at_once(self, machine: world_module.Host) -> None:
        """The world begins with services that have been up for long."""
        self.cells[machine.cell].put_service(rows.Service(
            machine.name, rows.COMPUTE, 1, self.kernel.now))
        self._agent(machine).start(has_been_up=True)

    def _booted(self, machine: world_module.Host) -> None:
        if machine.autostart:
            self.start_compute(machine.name)

    # -- messages ------------------------------------------------------------

    def consume(self, topic: str) -> None:
        """Let a consumer of the topic take what waits there."""
        if not self.world.broker.queues[topic]:
            return
        process, work = self._consumer(topic)
        if process is None or work is None:
            return

        def take() -> None:
            queue = self.world.broker.queues[topic]
            if not queue or not self.world.broker.is_up:
                return
            # Acknowledged before it is worked on: it is gone with whoever
            # took it.
            message = queue.popleft()
            self.kernel.note('nova', 'takes', topic, message.id)
            work(message.body)
            if queue:
                self.consume(topic)

        process.after(0.001, take)

    def _consumer(self, topic: str) -> tuple[
            kernel_module.Process | None,
            collections.abc.Callable[[object], None] | None]:
        if topic == orders.CONDUCTOR:
            found = [(name, process) for name, process
                     in self.conductors.items() if process.is_alive]
            name, process = self._next(topic, found)
            if process is None:
                return None, None
            return process, nova_conductor.Conductor(
                self, name, process).take
        if topic == orders.SCHEDULER:
            found_schedulers = [(str(index), scheduler.process)
                                for index, scheduler
                                in enumerate(self.schedulers)
                                if scheduler.process.is_alive]
            name, process = self._next(topic, found_schedulers)
            if process is None:
                return None, None
            return process, self.schedulers[int(name)].take
        agent = self.agents.get(topic.partition('.')[2])
        if (agent is None or not agent.is_consuming or
                agent.machine.is_cut_off):
            return None, None
        return agent.process, agent.take

    def _next(self, topic: str, found: list[tuple[
            str, kernel_module.Process]]) -> tuple[
                str, kernel_module.Process | None]:
        """Take turns; one that stands still gets work only where no other
        is there."""
        running = [pair for pair in found if not pair[1].is_paused]
        candidates = running or found
        if not candidates:
            return '', None
        turn = self._turns.get(topic, 0)
        self._turns[topic] = turn + 1
        return candidates[turn % len(candidates)]

    def new_request(self) -> str:
        self._requests += 1
        return f'req-nova-{self._requests}'

    # -- what can be reached -------------------------------------------------

    def cell_of(self, uuid: str) -> rows.CellDatabase:
        """:raises InstanceNotFound: no instance of that uuid."""
        cell = self.api.cell_of.get(uuid)
        if cell is None:
            raise errors.InstanceNotFound(uuid)
        return self.cells[cell]

    def instance(self, uuid: str) -> rows.Instance | None:
        """Return the row, deleted ones too, whether it can be read or not.
        """
        cell = self.api.cell_of.get(uuid)
        return None if cell is None else self.cells[cell].instances.get(uuid)

    def is_cell_up(self, cell: str) -> bool:
        return cell not in self.world.down_cells

    def check_cell(self, cell: str) -> None:
        """:raises DatabaseDown: the cell's database is away."""
        if not self.is_cell_up(cell):
            raise errors.DatabaseDown(f'database of {cell}')

    def check_placement(self) -> None:
        """:raises PlacementDown:"""
        if not self.world.is_placement_up:
            raise errors.PlacementDown('placement')

    def conductor_runs(self) -> bool:
        return any(process.is_alive and not process.is_paused
                   for process in self.conductors.values())

    def why_unreachable(self, machine: world_module.Host) -> str | None:
        """Return what keeps a nova-compute from its conductor."""
        if machine.is_cut_off:
            return 'the host is cut off'
        if not self.world.broker.is_up:
            return 'the broker is away'
        if not self.conductor_runs():
            return 'no conductor runs'
        return None

    def is_service_up(self, host: str, cell: str) -> bool:
        """Return what Nova itself thinks of a nova-compute."""
        service = self.cells[cell].services.get((host, rows.COMPUTE))
        return (service is not None and not service.forced_down and
                abs(self.kernel.now - service.last_seen_up) <=
                self.settings.service_down_time_s)

    # -- room ----------------------------------------------------------------

    def free_room(self, host: str) -> int:
        return self.world.hosts[host].capacity - self.api.used(host)

    def candidates(self, cell: str) -> list[str]:
        """Return the hosts with room that Nova holds for up, sorted."""
        services = self.cells[cell].services
        return [host for host in sorted(self.world.hosts)
                if self.world.hosts[host].cell == cell and
                self.free_room(host) > 0 and
                self.is_service_up(host, cell) and
                not services[(host, rows.COMPUTE)].disabled]

    def breaks_group(self, instance: rows.Instance, host: str) -> bool:
        """Return whether the host would break a hard policy of its server
        group."""
        if instance.group is None:
            return False
        others = {row.host for row in
                  self.cells[instance.cell].instances.values()
                  if row.group == instance.group and not row.deleted and
                  row.uuid != instance.uuid}
        if instance.group_policy == 'anti-affinity':
            return host in others
        if instance.group_policy == 'affinity':
            return bool(others) and host not in others
        return False

    # -- time ----------------------------------------------------------------

    def latency_s(self) -> float:
        return self._random.uniform(*self.settings.step_s)

    def spawn_s(self) -> float:
        return self._random.uniform(*self.settings.spawn_s)

    def fuzz_s(self) -> float:
        return self.kernel.random('nova periodics').uniform(
            0.0, self.settings.fuzz_s)

    def step(self, name: str, uuid: str, where: str) -> steps.Steps[None]:
        """Come to a step: what stops here has not done it."""
        self.kernel.note('nova', name, uuid, where)
        held = self.at_step(name, uuid, where)
        if held is not None:
            yield held
        yield self.latency_s()

    def may_fail(self, stage: str, uuid: str, where: str,
                 error: type[errors.NovaError]) -> None:
        """Raise the error where the stage is to fail."""
        if self.is_failing(stage, uuid, where):
            raise error(stage)

    def is_failing(self, stage: str, uuid: str, where: str) -> bool:
        """Ask, once, whether the stage is to fail."""
        if not self.fails(stage, uuid, where):
            return False
        self.kernel.note('stage fails', stage, uuid, where)
        return True

    def _beat(self, turn: int) -> None:
        """One part of all heartbeats; messages that nobody took are looked
        at too, whoever might have come back."""
        names = sorted(self.world.hosts)
        beating: dict[str, list[tuple[str, str]]] = {}
        for index in range(turn, len(names), BEATS):
            machine = self.world.hosts[names[index]]
            agent = self.agents.get(machine.name)
            if (agent is not None and agent.is_consuming and
                    not agent.process.is_paused and
                    self.is_cell_up(machine.cell) and
                    self.why_unreachable(machine) is None):
                beating.setdefault(machine.cell, []).append(
                    (machine.name, rows.COMPUTE))
        if turn == 0 and self.is_cell_up(self.conductor_cell.uuid):
            beating.setdefault(self.conductor_cell.uuid, []).extend(
                (name, rows.CONDUCTOR)
                for name, process in self.conductors.items()
                if process.is_alive and not process.is_paused)
        for cell, services in beating.items():
            self.cells[cell].beat(services)
        for topic in list(self.world.broker.queues):
            self.consume(topic)
        self.kernel.after(self.settings.report_interval_s / BEATS,
                          lambda: self._beat((turn + 1) % BEATS))
