# SPDX-License-Identifier: Apache-2.0
"""What a window is played on: a false Nova or a real one, in the same words.

A stage has four hosts, host1 to host4, of which host2 alone takes new
instances until ``open_host``. An instance is known by the name that it was
booted with. What is left behind is read from the databases, from placement
and from the hypervisors' own lists.
"""

import dataclasses
import enum
import typing

HOSTS = ('host1', 'host2', 'host3', 'host4')


class Point(enum.Enum):
    """A place that an evacuation comes to; the step has not been done."""

    CALL = 'call'
    """The API asks neutron, before it writes anything."""
    CAST = 'cast'
    """The API sends to conductor."""
    CONDUCTOR = 'conductor'
    """Conductor has the cast, and has done nothing."""
    SCHEDULE = 'schedule'
    """Conductor asks neutron, before it asks the scheduler."""
    SCHEDULER = 'scheduler'
    """The scheduler has the call, and has done nothing."""
    ROOM = 'room'
    """The scheduler claims the room in placement."""
    SEND = 'send'
    """Conductor sends to the destination."""
    CLAIM = 'claim'
    """The destination has the cast, and has claimed nothing."""
    IMAGE = 'image'
    """The destination asks glance."""
    PORTS = 'ports'
    """It asks neutron."""
    VOLUMES = 'volumes'
    """It asks cinder; boot from volume only."""
    SPAWN = 'spawn'
    SPAWNED = 'spawned'
    """The guest runs."""
    POWER_OFF = 'power off'
    """The guest of a stopped instance runs, and is to be stopped again."""
    FINISH = 'finish'
    """The row says ACTIVE, and not yet where."""


class Message(enum.Enum):
    TO_CONDUCTOR = 'conductor.rebuild_instance'
    TO_SCHEDULER = 'scheduler.select_destinations'
    TO_DESTINATION = 'compute.rebuild_instance'


@dataclasses.dataclass(frozen=True)
class Left:
    """What an evacuation left behind, of one instance."""

    vm_state: str = 'active'
    task_state: str | None = None
    host: str = 'host1'
    records: tuple[tuple[str, str, str | None], ...] = ()
    """(status, source, destination) of each evacuation record."""
    room: tuple[str, ...] = ('host1',)
    """Hosts with allocations of it."""
    running: tuple[str, ...] = ()
    """Hosts where it truly runs."""
    events: tuple[tuple[str, str | None], ...] = ()
    """(name, result) of each event of its evacuations; None: unfinished."""
    power: int = 1
    """The column power_state."""
    context: bool = False
    """It has a migration context."""
    relaunched: bool = False
    """launched_at is later than the newest evacuation record."""


class Stage(typing.Protocol):
    # -- instances -----------------------------------------------------------

    def boot(self, name: str, is_stopped: bool = False,
             is_bfv: bool = False, group: str | None = None,
             host: str = 'host1') -> None:
        """:param group: its server group, with anti-affinity."""

    def evacuate(self, name: str, host: str | None = None) -> None:
        """As a person does; a failure of the call is what it leaves.

        :param host: insist on that host, without the scheduler.
        """

    def order(self, name: str, verb: str) -> None:
        """As a person does.

        :param verb: 'start' or 'reboot', a hard one.
        """

    def delete_record(self, name: str) -> None:
        """Delete its oldest accepted record, as an engine does."""

    def close_record(self, name: str) -> None:
        """Make its oldest accepted record 'error', as a person may."""

    def claim(self, name: str) -> None:
        """Write task_state rebuilding, as an engine does before it calls."""

    # -- hosts and services --------------------------------------------------

    def booted(self) -> None:
        """Wait until what was booted runs, or is stopped."""

    def lose(self, host: str) -> None:
        """Its machine dies, and is forced down in Nova."""

    def force_down(self, host: str) -> None:
        """Alone: the machine lives on."""

    def silence(self, host: str) -> None:
        """nova-compute dies alone, and is forced down in Nova."""

    def back(self, host: str) -> None:
        """The machine runs again, and nova-compute has started on it."""

    def open_host(self, host: str) -> None:
        """Let it take instances."""

    def close_host(self, host: str) -> None:
        """Let it take none."""

    def restart_conductor(self) -> None:
        """It is killed, and another takes its place."""

    def stop_conductor(self, is_stopped: bool) -> None:
        """As SIGSTOP does, and SIGCONT."""

    def kill_scheduler(self) -> None: ...

    def start_scheduler(self) -> None: ...

    def placement_away(self, is_away: bool) -> None: ...

    def cell_away(self, host: str, is_away: bool) -> None:
        """The host cannot reach its cell's database."""

    def beats(self) -> dict[str, int]:
        """Return {host: report_count}."""

    def wait_beats(self) -> None:
        """Let as much time pass as several heartbeats take."""

    # -- faults --------------------------------------------------------------

    def hold(self, point: Point, name: str) -> None:
        """Work on the instance will stand still at the point."""

    def wait_held(self, point: Point, name: str) -> None: ...

    def hold_no_more(self, point: Point, name: str) -> None:
        """Let later ones pass; what is held there stays."""

    def release(self, point: Point, name: str) -> None: ...

    def fail(self, point: Point, name: str, is_clean: bool = False) -> None:
        """Once, the step will end with an exception.

        :param is_clean: at CLAIM, the one of a host without resources.
        """

    def fail_writes(self, name: str, times: int) -> None:
        """So many of the destination's next transactions on it will fail.
        """

    def lose_message(self, message: Message, name: str) -> None:
        """The next one about the instance will never arrive."""

    def defer_message(self, message: Message, name: str) -> None:
        """The next one will arrive at ``deliver`` only."""

    def wait_deferred(self, name: str) -> None: ...

    def deliver(self, name: str) -> None: ...

    # -- the end -------------------------------------------------------------

    def wait_left(self, name: str, **expected: typing.Any) -> None:
        """Let time pass until these fields of Left are so, or in vain."""

    def settle(self) -> None:
        """Let time pass until nothing moves any more."""

    def left(self, name: str) -> Left: ...
