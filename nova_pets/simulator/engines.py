# SPDX-License-Identifier: Apache-2.0
"""A worker of a false nova-scheduler: a process with the real engine in it.

The engine's code is the product's. Whatever it calls outside goes through a
Port, which gives the turn away before and after the call, so that other
engines, Nova and faults come in between, and which is where this engine may
be slow, cut off, or die.
"""

import collections.abc
import dataclasses
import datetime
import typing

from nova_pets import exception
from nova_pets.detectors import base as detectors_base
from nova_pets.detectors import context as detectors_context
from nova_pets.detectors import forced_down
from nova_pets.detectors import rpc_ping
from nova_pets.engine import engine as engine_module
from nova_pets.engine import workers
from nova_pets.fencing import fencer
from nova_pets.model import policy as policy_module
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.simulator import kernel as kernel_module
from nova_pets.simulator import power
from nova_pets.simulator import world as world_module

NOON = datetime.datetime(2026, 1, 1, 12, 0)
"""The time of day at kernel.START, on machines whose clocks are right."""

HANDS = frozenset({
    'set_forced_down', 'update_instance', 'evacuate', 'delete_accepted',
    'close_migration', 'adopt', 'tombstone', 'remove_allocations', 'stop',
    'start', 'remove_leak', 'withdraw'})
"""The door's calls that change something outside."""

CALL_S = 0.004
"""Mean time of a call to the database or to Nova, each way."""
AGAIN_S = 5.0
"""Until the keeper of an engine that gave up has started another one."""
LOST_S = 3.0
"""Until a connection to something unreachable is given up."""


@dataclasses.dataclass
class Machine:
    """A host of schedulers: its network and its clocks."""

    name: str
    is_cut_off: bool = False
    """No database, no broker, no BMC, no witness."""
    sees_no_hosts: bool = False
    """No BMC and no witness; database and broker are well."""
    slowness: float = 1.0
    """Factor on the time of every call."""
    rate: float = 1.0
    """Seconds of its monotonic clock per virtual second."""
    offset_s: float = 0.0
    wall_step_s: float = 0.0
    """How far its time of day is wrong."""


class Clock:
    """The monotonic clock of one machine."""

    def __init__(self, kernel: kernel_module.Kernel, machine: Machine):
        self._kernel = kernel
        self._machine = machine

    def monotonic(self) -> float:
        return (self._kernel.now * self._machine.rate +
                self._machine.offset_s)

    def sleep(self, seconds: float) -> None:
        self._kernel.sleep(seconds / self._machine.rate)


class Stop:
    """What engine.run() takes for a threading.Event."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._is_set = False

    def set(self) -> None:
        """Noticed at the end of the pause, at most an idle turn later."""
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, seconds: float) -> bool:
        self._clock.sleep(seconds)
        return self._is_set


class Faults(typing.Protocol):
    """What may happen to one call; simulator/faults.py decides."""

    def before(self, worker: 'Worker', port: str, method: str) -> None:
        """May raise what the port raises when it is away."""

    def after(self, worker: 'Worker', port: str, method: str) -> None:
        ...


class Port:
    """Stands for the store, the door or a device in front of one engine.
    """

    def __init__(self, worker: 'Worker', name: str, target: typing.Any):
        self._worker = worker
        self._name = name
        self._target = target

    def __getattr__(self, method: str) -> typing.Any:
        found = getattr(self._target, method)
        if not callable(found):
            return found
        worker, name = self._worker, self._name

        def call(*args: typing.Any, **kwargs: typing.Any) -> typing.Any:
            worker.before(name, method, args)
            try:
                answer = found(*args, **kwargs)
            # NOTE(pets): whatever it raises goes on to the engine; but the
            # call is over, which is a point to die at.
            except Exception:
                worker.call_failed(name, method)
                raise
            try:
                worker.after(name, method)
            except exception.StoreUnavailable:
                if method == 'renew_engine':
                    self._target.lose_renewal(*args[:2])
                raise
            return answer

        # Found by the instance from now on: this is the hot path.
        self.__dict__[method] = call
        return call


@dataclasses.dataclass(frozen=True)
class Cloud:
    """What all workers share."""

    kernel: kernel_module.Kernel
    world: world_module.World
    commits: collections.abc.Callable[[], int]
    """How many transactions the side tables have seen."""
    make_store: collections.abc.Callable[[str], typing.Any]
    """actor -> db.base.Store"""
    make_door: collections.abc.Callable[['Worker'], typing.Any]
    """-> compute.base.ComputeDoor"""
    make_audits: collections.abc.Callable[['Worker'], typing.Any]
    """-> compute.base.AuditDoor"""
    policy: policy_module.Policy
    faults: Faults
    mode: collections.abc.Callable[[], states.Mode] = (
        lambda: states.Mode.ACT)
    tenant_settings: frozenset[str] = frozenset({'ha', 'priority', 'disk'})
    read_interval_s: float = 60.0
    dies_here: collections.abc.Callable[['Worker'], bool] = (
        lambda worker: False)
    """Asked at each point (Worker.points): does it die there?"""


class Worker:
    """One incarnation: ``Worker(...)`` starts it, ``process`` may be killed
    or paused, ``terminate`` is SIGTERM."""

    def __init__(self, cloud: Cloud, machine: Machine, number: int,
                 incarnation: int, version: str = '1'):
        self.cloud = cloud
        self.machine = machine
        self.name = f'{machine.name}/{number}'
        self.number = number
        kernel = cloud.kernel
        self.process = kernel.process(f'engine {self.name}#{incarnation}')
        self._chance = kernel.random(f'calls of {self.process.name}')
        self._audit_chance = kernel.random(
            f'audits of {self.process.name}')
        self._audit: object = None
        """The task of an audit, while there is one."""
        self._beside: set[object] = set()
        """The tasks of threads beside the cycle."""
        self._ids = kernel.random(f'ids of {self.process.name}')
        self.clock = Clock(kernel, machine)
        self.stop = Stop(self.clock)
        self.call_began = kernel.now
        """When the outside call that is under way was begun."""
        self.points = 0
        """Places passed at which it could die: after each commit, before
        and after each outside call."""
        self.die_at: int | None = None
        self.on_death: collections.abc.Callable[[], None] = lambda: None
        self.wrote = False
        """The last call to the store committed something."""
        self._commits = 0
        # Typed as what they stand for: the gate of this worker uses them too.
        self.store: typing.Any = Port(
            self, 'store', cloud.make_store(f'engine {self.name}'))
        self.door: typing.Any = Port(self, 'door', cloud.make_door(self))
        self._version = version
        self.engine = self._build()
        kernel.note('engine starts', self.name)
        self.process.spawn(self._run)

    def _build(self) -> engine_module.Engine:
        cloud, machine = self.cloud, self.machine
        return engine_module.Engine(
            store=self.store, door=self.door,
            audits=Port(self, 'door', cloud.make_audits(self)),
            detectors=lambda eyes, memory: self._detectors(eyes),
            fencer=fencer.Fencer(power.Devices(self), self.clock,
                                 query_timeout_s=5.0,
                                 fence_timeout_s=cloud.policy.
                                 fence_timeout_s),
            clock=self.clock, workers=_Workers(self),
            policy=cloud.policy,
            template=records.Engine(
                id='', host=machine.name, worker=str(self.number),
                version=self._version, mode=cloud.mode(), gate_loaded=True),
            tenant_settings=cloud.tenant_settings,
            mode_now=lambda: (cloud.mode(), ''),
            read_interval_s=cloud.read_interval_s, utc_now=self._utc_now,
            new_id=self._new_id)

    def _run(self) -> None:
        """As scheduler/worker.py keeps it: an engine that gave up is followed
        by another one in the same process."""
        while True:
            try:
                self.engine.run(self.stop)
            except exception.CallHangs as error:
                self.cloud.kernel.note('engine begins anew', self.name,
                                       str(error))
                self.cloud.kernel.sleep(AGAIN_S)
                self.engine = self._build()
            else:
                return

    def terminate(self) -> None:
        """SIGTERM: nova-scheduler lets the engine end its turn."""
        self.cloud.kernel.note('engine told to stop', self.name)
        self.stop.set()

    def beside(self, call: workers.Call) -> None:
        """Do a call of a thread beside the cycle."""
        task = self.cloud.kernel.current_task()
        self._beside.add(task)
        try:
            call()
        finally:
            self._beside.discard(task)

    def is_beside(self) -> bool:
        """Whether this very task is such a thread."""
        return self.cloud.kernel.current_task() in self._beside

    def audit(self, call: workers.Call) -> None:
        """Do an audit: how long its calls take is drawn apart, so that one
        that finds nothing changes nothing of a run."""
        self._audit = self.cloud.kernel.current_task()
        try:
            call()
        finally:
            self._audit = None

    @property
    def is_alive(self) -> bool:
        return self.process.is_alive

    def _new_id(self) -> str:
        digits = f'{self._ids.getrandbits(128):032x}'
        return '-'.join((digits[:8], digits[8:12], digits[12:16],
                         digits[16:20], digits[20:]))

    def _utc_now(self) -> datetime.datetime:
        return NOON + datetime.timedelta(
            seconds=self.cloud.kernel.now - kernel_module.START +
            self.machine.wall_step_s)

    def _detectors(self, eyes: typing.Any
                   ) -> tuple[detectors_base.Detector, ...]:
        policy = self.cloud.policy
        context = detectors_context.Context(
            door=self.door, ping_timeout_s=2.0,
            suspect_s=policy.suspect_heartbeats * policy.report_interval_s,
            service=eyes.service)
        return (Tcp(self), rpc_ping.RpcPingDetector(context),
                forced_down.ForcedDownDetector(context))

    # -- what a port does ----------------------------------------------------

    def latency_s(self) -> float:
        chance = (self._audit_chance if self._audit is not None and
                  self.cloud.kernel.current_task() is self._audit
                  else self._chance)
        return (chance.expovariate(1 / CALL_S) *
                self.machine.slowness)

    def before(self, port: str, method: str,
               args: tuple[typing.Any, ...] = ()) -> None:
        cloud = self.cloud
        began = cloud.kernel.now
        cloud.kernel.sleep(self.latency_s())
        if self.machine.is_cut_off:
            cloud.kernel.sleep(LOST_S)
            raise _away(port)
        if port == 'store' and not cloud.world.is_api_db_up:
            cloud.kernel.sleep(LOST_S)
            raise _away(port)
        cloud.faults.before(self, port, method)
        if port != 'store' and (method in HANDS or port == 'bmc'):
            self.call_began = began
            cloud.kernel.note('outside', self.name, port, method,
                              *_plain(args))
            self._point()
        self._commits = cloud.commits()

    def after(self, port: str, method: str) -> None:
        """Nothing gives the turn away between the call and this."""
        cloud = self.cloud
        self.wrote = False
        is_deed = port == 'bmc' or method in HANDS
        if port == 'store':
            if cloud.commits() != self._commits:
                self.wrote = True
                cloud.kernel.note('commit', self.name, method)
                self._point()
        elif is_deed:
            cloud.kernel.note('outside done', self.name, port, method)
            self._point()
        cloud.faults.after(self, port, method)
        if is_deed or self.wrote:
            # The answer is on its way. That of a read gets old before the
            # next call in any case.
            cloud.kernel.sleep(self.latency_s())

    def call_failed(self, port: str, method: str) -> None:
        if port != 'store':
            self._is_over(port, method)

    def _is_over(self, port: str, method: str) -> None:
        if method in HANDS or port == 'bmc':
            self.cloud.kernel.note('outside done', self.name, port, method)
            self._point()

    def _point(self) -> None:
        self.points += 1
        if self.points == self.die_at or self.cloud.dies_here(self):
            self.cloud.kernel.note('engine dies', self.name, self.points)
            self.on_death()
            self.cloud.kernel.die_here()


def _away(port: str) -> Exception:
    if port == 'store':
        return exception.StoreUnavailable(what='read or write',
                                          found='no connection')
    if port == 'bmc':
        return exception.FencingError(what='ask the power', host='?',
                                      device='bmc', found='no way there')
    return exception.NovaUnavailable(what='reach Nova',
                                     found='no connection')


def _plain(args: tuple[typing.Any, ...]) -> tuple[typing.Any, ...]:
    return tuple(arg for arg in args
                 if isinstance(arg, (str, int, float, bool, type(None))))


class _Workers(workers.Workers):
    def __init__(self, worker: Worker):
        super().__init__(worker.process.spawn, worker.clock.monotonic)
        self._worker = worker

    def submit(self, key: workers.Key, call: workers.Call,
               lane: workers.Lane | None = None) -> bool:
        beside = (self._worker.audit if key == ('turn', 'audit') else
                  self._worker.beside)
        return super().submit(key, lambda: beside(call), lane)


class Tcp(detectors_base.Detector):
    """The TCP probe of a machine, from the engine's machine."""

    name = 'tcp'
    path = states.WitnessPath.HOST
    looks_in_calm = False
    """No port of this world is closed, and what a seed means stays so."""

    def __init__(self, worker: Worker):
        self._worker = worker

    def look(self, target: detectors_base.Target) -> detectors_base.Look:
        worker = self._worker
        worker.cloud.kernel.sleep(worker.latency_s())
        host = worker.cloud.world.hosts[target.host]
        is_seen = not (worker.machine.is_cut_off or
                       worker.machine.sees_no_hosts)
        if host.answers_tcp and is_seen:
            return detectors_base.Look(states.Sign.LIFE, 'answered')
        worker.cloud.kernel.sleep(1.0)
        return detectors_base.Look(states.Sign.SILENT, 'no answer')
