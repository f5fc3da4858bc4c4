# SPDX-License-Identifier: Apache-2.0
"""The truth of a false cloud: machines, guests, BMCs, broker, links.

What really runs, whatever any database says. Knows nothing of Nova's rows
(simulator/nova.py) nor of the product. A machine is powered or not; its
operating system runs or has died; nova-compute is a process on it.
"""

import collections
import collections.abc
import dataclasses
import enum
import typing

from nova_pets.simulator import kernel as kernel_module

BOOT_S = 20.0
"""From power-on to an operating system that answers."""


class GuestState(enum.StrEnum):
    RUNNING = 'running'
    PAUSED = 'paused'
    SHUTDOWN = 'shutdown'
    """Defined, with its disk, and not running."""


@dataclasses.dataclass
class Host:
    name: str
    cell: str
    capacity: int
    is_powered: bool = True
    system: kernel_module.Process | None = None
    """The operating system; None: crashed, or not yet booted."""
    compute: kernel_module.Process | None = None
    """nova-compute; it lives at most as long as the system."""
    guests: dict[str, GuestState] = dataclasses.field(default_factory=dict)
    """{instance uuid: state}; a domain outlives a power cycle, as
    SHUTDOWN."""
    makers: dict[str, kernel_module.Process] = dataclasses.field(
        default_factory=dict)
    """Who created a paused guest, and will let it run."""
    is_cut_off: bool = False
    """Its network is gone (broker, database, TCP probe); storage is not."""
    is_binding_wrong: bool = False
    autostart: bool = False
    """nova-compute starts by itself when the system boots."""

    @property
    def system_runs(self) -> bool:
        return (self.is_powered and self.system is not None and
                self.system.is_alive)

    @property
    def compute_runs(self) -> bool:
        return (self.system_runs and self.compute is not None and
                self.compute.is_alive)

    @property
    def answers_tcp(self) -> bool:
        return (self.system_runs and not self.is_cut_off and
                not self.system.is_paused)

    def running(self) -> list[str]:
        """Instances whose guest has power and storage now, and so may
        write: a frozen host counts, it may thaw."""
        if not self.is_powered or self.system is None:
            return []
        return [uuid for uuid, state in self.guests.items()
                if state is GuestState.RUNNING or
                state is GuestState.PAUSED and self._is_being_made(uuid)]

    def _is_being_made(self, uuid: str) -> bool:
        """A paused guest whose nova-compute died stays so: nobody lets it
        run any more."""
        maker = self.makers.get(uuid)
        return maker is not None and maker.is_alive


class Power(enum.StrEnum):
    """How a BMC behaves."""

    WELL = 'well'
    SLOW = 'slow'
    """Takes ``delay_s`` for each answer and for each deed."""
    MUTE = 'mute'
    """Never answers; nothing is done."""
    DROPS = 'drops'
    """Does what it was told, and the answer is lost."""
    STALLS = 'stalls'
    """Accepts a power-off and reads TURNING_OFF for ever."""
    REFUSES = 'refuses'
    SAYS_ON = 'says_on'
    """Powers off, and goes on reading ON."""
    SAYS_OFF = 'says_off'
    """Reads OFF whatever is true."""
    UNBOUND = 'unbound'
    """The bindings do not name it."""


@dataclasses.dataclass
class Bmc:
    host: str
    """The machine that it really switches."""
    behaviour: Power = Power.WELL
    delay_s: float = 0.0
    is_turning_off: bool = False


@dataclasses.dataclass
class Message:
    id: int
    topic: str
    """'conductor' or 'compute.<host>'"""
    body: typing.Any


class Broker:
    """Topics with queues that outlive their consumers, at most once.

    Loss, delay and doubling are faults that are set from outside; a message
    taken from a queue is gone with whoever took it.
    """

    def __init__(self, kernel: kernel_module.Kernel):
        self._kernel = kernel
        self.is_up = True
        self.queues: dict[str, collections.deque[Message]] = (
            collections.defaultdict(collections.deque))
        self.consumers: dict[str, list[collections.abc.Callable[
            [Message], None] | None]] = {}
        self.on_put: collections.abc.Callable[[str], None] | None = None
        """Told the topic after each arrival; consumers look then."""
        self.fate: collections.abc.Callable[[Message], tuple[
            float, ...]] = lambda message: (0.01,)
        """Seconds until each delivery of a message; (): it is lost."""
        self._ids = 0

    def cast(self, topic: str, body: typing.Any) -> bool:
        """Send; False: the broker is away and nothing was sent."""
        if not self.is_up:
            return False
        self._ids += 1
        message = Message(self._ids, topic, body)
        for delay_s in self.fate(message):
            self._kernel.after(delay_s, lambda: self._arrive(message))
        return True

    def _arrive(self, message: Message) -> None:
        if not self.is_up:
            # It was on its way through the broker when that died.
            self._kernel.note('message lost', message.topic, message.id)
            return
        self.queues[message.topic].append(message)
        if self.on_put is not None:
            self.on_put(message.topic)

    def drain(self, topic: str) -> list[Message]:
        """Take all that waits."""
        found = list(self.queues[topic])
        self.queues[topic].clear()
        return found


class World:
    """:param hosts: (name, cell, capacity) of each machine."""

    def __init__(self, kernel: kernel_module.Kernel,
                 hosts: collections.abc.Iterable[tuple[str, str, int]]):
        self.kernel = kernel
        self.hosts: dict[str, Host] = {}
        self.bmcs: dict[str, Bmc] = {}
        """By the host that they are bound to."""
        self.broker = Broker(kernel)
        self.is_api_db_up = True
        self.down_cells: set[str] = set()
        """Cells whose database is away."""
        self.is_placement_up = True
        self.on_boot: collections.abc.Callable[[Host], None] | None = None
        """The system of a machine has come up (Nova starts its agent)."""
        self.on_guest_start: collections.abc.Callable[
            [Host, str], None] | None = None
        for name, cell, capacity in hosts:
            host = Host(name, cell, capacity)
            host.system = kernel.process(f'{name} system')
            self.hosts[name] = host
            self.bmcs[name] = Bmc(name)

    # -- machines ------------------------------------------------------------

    def crash_system(self, name: str) -> None:
        """Kernel panic: power stays on, nothing runs."""
        host = self.hosts[name]
        self.kernel.note('system crashes', name)
        self._stop_everything(host)

    def power_off(self, name: str) -> None:
        host = self.hosts[name]
        if not host.is_powered:
            return
        self.kernel.note('power off', name)
        self._stop_everything(host)
        host.is_powered = False

    def power_on(self, name: str) -> None:
        """The machine boots; what Nova does then is on_boot's affair."""
        host = self.hosts[name]
        if host.is_powered and host.system is not None:
            return
        self.kernel.note('power on', name)
        host.is_powered = True
        bmc = self.bmcs[name]
        bmc.is_turning_off = False
        booting = self.kernel.process(f'{name} system')

        def up() -> None:
            if host.is_powered and host.system is None:
                host.system = booting
                self.kernel.note('system up', name)
                if self.on_boot is not None:
                    self.on_boot(host)

        host.system = None
        booting.after(BOOT_S, up)

    def _stop_everything(self, host: Host) -> None:
        if host.compute is not None:
            host.compute.kill()
            host.compute = None
        if host.system is not None:
            host.system.kill()
            host.system = None
        for uuid in host.guests:
            host.guests[uuid] = GuestState.SHUTDOWN

    def freeze(self, name: str) -> None:
        """The whole machine stands still, guests too, and may thaw."""
        host = self.hosts[name]
        self.kernel.note('host freezes', name)
        for process in (host.system, host.compute):
            if process is not None:
                process.pause()

    def thaw(self, name: str) -> None:
        host = self.hosts[name]
        self.kernel.note('host thaws', name)
        for process in (host.system, host.compute):
            if process is not None:
                process.resume()

    def kill_compute(self, name: str) -> None:
        host = self.hosts[name]
        if host.compute is not None:
            self.kernel.note('nova-compute dies', name)
            host.compute.kill()
            host.compute = None

    # -- guests --------------------------------------------------------------

    def create_guest(self, name: str, uuid: str) -> None:
        """Have it paused, until its network is plugged."""
        host = self.hosts[name]
        host.guests[uuid] = GuestState.PAUSED
        if host.compute is not None:
            host.makers[uuid] = host.compute
        self.kernel.note('guest created', name, uuid)

    def start_guest(self, name: str, uuid: str) -> None:
        host = self.hosts[name]
        host.guests[uuid] = GuestState.RUNNING
        self.kernel.note('guest runs', name, uuid)
        if self.on_guest_start is not None:
            self.on_guest_start(host, uuid)

    def stop_guest(self, name: str, uuid: str) -> None:
        host = self.hosts[name]
        if uuid in host.guests:
            host.guests[uuid] = GuestState.SHUTDOWN
            self.kernel.note('guest stops', name, uuid)

    def destroy_guest(self, name: str, uuid: str) -> None:
        if self.hosts[name].guests.pop(uuid, None) is not None:
            self.kernel.note('guest destroyed', name, uuid)

    def running(self, uuid: str) -> list[str]:
        """Hosts on which the instance may write now, sorted."""
        return sorted(name for name, host in self.hosts.items()
                      if uuid in host.running())
