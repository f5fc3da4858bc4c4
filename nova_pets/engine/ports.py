# SPDX-License-Identifier: Apache-2.0
"""What an engine needs from outside, besides the bases.

Time, threads, power and new identities. Protocols only; wiring hands the real
ones in, tests and the simulator their own.
"""

import collections.abc
import contextlib
import typing

from nova_pets.model import policy
from nova_pets.model import records
from nova_pets.model import states


class Clock(typing.Protocol):
    def monotonic(self) -> float:
        """Seconds; never steps, says nothing about the time of day."""

    def sleep(self, seconds: float) -> None:
        ...


class PowerReading(typing.Protocol):
    is_off: bool
    """Every device of one level read OFF."""
    is_working: bool
    """Every device of one level that can power off answered."""
    is_partly_off: bool
    """In a level, one device reads OFF and another does not."""
    detail: str


class FenceResult(typing.Protocol):
    is_proven: bool
    is_stopped: bool
    """may_act forbade a request."""
    detail: str

    @property
    def evidence(self) -> dict[str, typing.Any]:
        ...


class Told(typing.Protocol):
    """What became of a request that is no proof of anything."""

    is_done: bool
    """It was taken, by all who were asked."""
    detail: str


class Fencer(typing.Protocol):
    """The hands on power; blocks up to its own deadlines."""

    def bound(self, hosts: collections.abc.Iterable[str]) -> frozenset[str]:
        ...

    def read(self, host: str) -> PowerReading:
        ...

    def fence(self, host: str, may_act: collections.abc.Callable[
            [], str | None]) -> FenceResult:
        ...

    def can_power_on(self, hosts: collections.abc.Iterable[str]
                     ) -> frozenset[str]:
        ...

    def power_on(self, host: str, may_act: collections.abc.Callable[
            [], str | None]) -> Told:
        """Tell every device that reads OFF, of each level whose devices all
        do, or in which another one does not."""

    def ladders(self, hosts: collections.abc.Iterable[str]
                ) -> dict[str, policy.Ladder]:
        ...

    def restart_service(self, host: str, may_act: collections.abc.Callable[
            [], str | None]) -> Told:
        """Restart nova-compute on a host that lives, once."""

    def digest(self) -> str:
        ...

    def problem(self) -> str | None:
        ...


class Workers(typing.Protocol):
    """Runs outside calls beside the cycle; at most one per key."""

    def submit(self, key: tuple[str, typing.Any],
               call: collections.abc.Callable[[], None],
               lane: tuple[str, ...] | None = None) -> bool:
        """False: a call with this key is under way, or its lane is full;
        nothing was done.

        :param lane: calls of one lane are few at once.
        """

    def busy(self) -> frozenset[tuple[str, typing.Any]]:
        ...

    def under_way(self) -> dict[tuple[str, typing.Any], float]:
        """{key: seconds since its call was begun or last went on}."""

    def goes_on(self, key: tuple[str, typing.Any]) -> None:
        """A call of several parts says so between two of them."""

    def apart(self, key: tuple[str, typing.Any]
              ) -> contextlib.AbstractContextManager[None]:
        """While a call waits for others: its lane has room for one more."""

    def stop(self) -> None:
        """Begin no waiting call any more."""


Apart = collections.abc.Callable[
    [records.Recovery], contextlib.AbstractContextManager[None]]
"""Workers.apart of the call for a recovery."""

NewId = collections.abc.Callable[[], str]
"""A uuid that nobody else has: of an engine, and of a request."""

ModeNow = collections.abc.Callable[[], tuple[states.Mode, str]]
"""The mode that counts now (kill switch), and why."""
