# SPDX-License-Identifier: Apache-2.0
"""What an audit reads of one instance and of the hosts, as frozen data.

The audit door (compute/base.py) and engine/survey.py make these;
planning/audit.py judges them.
"""

import dataclasses

from nova_pets.model import observations
from nova_pets.model import records
from nova_pets.model import states


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """One compute host, as far as an audit relies on it."""

    state: states.HostState
    forced_down: bool
    """In Nova, by whomever; True too where its service was not found."""

    @property
    def is_good(self) -> bool:
        """Nothing is known against it, and nobody may evacuate from it."""
        return self.state is states.HostState.UP and not self.forced_down


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """An evacuation record beside the host of its instance."""

    instance_uuid: str
    instance_host: str | None
    record: observations.Migration


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """A migration or resize that has not ended."""

    kind: str
    status: str


@dataclasses.dataclass(frozen=True, slots=True)
class Action:
    """The newest action of an instance."""

    name: str
    is_over: bool
    """It has events, and all of them are finished."""


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """The allocations of an instance."""

    hosts: frozenset[str]
    """Compute hosts whose provider trees hold some."""
    generation: int | None
    """Placement's consumer generation, the one a change insists on."""


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """All that was read of one instance, none of it older than the look."""

    uuid: str
    cell_uuid: str
    name: str
    trace: observations.Trace
    is_ours: bool = True
    """Tagged, or a recovery of it is on record: an audit may mend it."""
    has_open_recovery: bool = False
    attempts: tuple[records.Attempt, ...] = ()
    """Of all its recoveries that are still on record."""
    moves: tuple[Move, ...] = ()
    last_action: Action | None = None
    """None: not read, or there is none."""
    held: Held | None = None
    """None: not read."""
    guests: dict[str, states.GuestAnswer] = dataclasses.field(
        default_factory=dict)
    """{host: what it said}; who was not asked is absent."""
