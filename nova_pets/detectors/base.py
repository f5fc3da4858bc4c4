# SPDX-License-Identifier: Apache-2.0
"""The contract of witnesses: evidence, never a verdict.

A detector is built by wiring with what it needs handed in (settings, the
compute door); it reads no CONF. ``look`` may block up to its own timeout and
is called from worker threads, for hosts that are silent or in trouble only.
It raises nothing: what it cannot find out is Sign.UNKNOWN. ``refresh`` is
called about every ``refresh_s`` by an engine that observes, also while all is
well, for what has to be known before a host falls silent.
"""

import abc
import dataclasses

from nova_pets.model import states


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What is known of a host that is looked at."""

    host: str
    cell_uuid: str
    address: str | None
    """compute_nodes.host_ip; None: unknown."""


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """One answer; the collector adds ages by its monotonic clock."""

    sign: states.Sign
    detail: str
    event: str = ''
    """One of model/observations.EVENTS: what it has seen happen; '' for a
    plain answer."""


class Detector(abc.ABC):
    name: str = ''
    path: states.WitnessPath
    always = False
    is_slow = False
    """Its answers take as long as a device likes: few are asked for at once,
    so that they keep no other witness waiting."""
    looks_in_calm = True
    """A witness of the machine looks at hosts that are up, too, now and then:
    its silence means something where it saw the host before."""
    refresh_s: float | None = None
    """None: there is nothing to refresh."""

    @abc.abstractmethod
    def look(self, target: Target) -> Look:
        ...

    def refresh(self) -> None:
        """Read what has to be known before trouble begins; may block as
        ``look`` may."""
        return

    def problem(self) -> str | None:
        """Return what keeps it from seeing anything, for people."""
        return None
