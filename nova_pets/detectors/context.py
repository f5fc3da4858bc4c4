# SPDX-License-Identifier: Apache-2.0
"""What detectors are built from; plain data, read by nobody else."""

import collections.abc
import dataclasses
import time
import typing

from nova_pets.compute import base as compute_base
from nova_pets.detectors import base
from nova_pets.model import observations


class Expired(Exception):
    """A program was killed at its deadline; what it did is not known."""


class Ended(typing.Protocol):
    """A program that ended by itself."""

    @property
    def code(self) -> int:
        ...

    @property
    def out(self) -> str:
        ...

    @property
    def err(self) -> str:
        ...


class Reading(typing.Protocol):
    @property
    def is_off(self) -> bool:
        """Every device of one level read OFF."""

    @property
    def detail(self) -> str:
        ...


class Power(typing.Protocol):
    def bound(self, hosts: collections.abc.Iterable[str]) -> frozenset[str]:
        ...

    def read(self, host: str) -> Reading:
        """Ask the devices once, each within its own deadline."""


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """Handed to the constructor of every detector."""

    door: compute_base.ComputeDoor
    tcp_port: int = 22
    tcp_timeout_s: float = 1.0
    ping_timeout_s: float = 2.0
    suspect_s: float = 20.0
    """Silence of a heartbeat that makes a suspect."""
    silence_s: collections.abc.Callable[
        [base.Target], float | None] | None = None
    """How long the collector has seen the heartbeat of a host stand still;
    None: it does not tell (then there is no detector heartbeat)."""
    service: collections.abc.Callable[
        [base.Target], observations.Service | None] | None = None
    """The service row as the collector last read it; None: the detector
    asks the door."""
    power: Power | None = None
    """Reads the fencing devices of hosts; None: there are none here."""
    run: collections.abc.Callable[
        [collections.abc.Sequence[str], float], Ended] | None = None
    """Runs a program and kills all of it at its deadline; raises OSError
    when it cannot be started, Expired when it was killed."""
    alive_at: collections.abc.Callable[
        [base.Target], float | None] | None = None
    """When the collector last saw a host alive, by ``monotonic``."""
    monotonic: collections.abc.Callable[[], float] = time.monotonic
    pacemaker_prefix: tuple[str, ...] = ()
    pacemaker_nodes: collections.abc.Mapping[str, str] = dataclasses.field(
        default_factory=dict)
    """{host: name of its cluster node}; who is not in it has its own name."""
    pacemaker_timeout_s: float = 5.0
    kdump_address: str = '127.0.0.1'
    kdump_port: int = 7410
    kdump_gap_s: float = 30.0
