# SPDX-License-Identifier: Apache-2.0
"""What planning wants done: each names its row and the generation read.

The executor claims the row by compare-and-swap first; zero rows mean that
someone else has it, and nothing is done.
"""

import dataclasses
import typing

from nova_pets.model import records
from nova_pets.model import states


@dataclasses.dataclass(frozen=True, slots=True)
class MoveHost:
    """Advance a host by one event; nothing outside is touched."""

    host: str
    generation: int
    event: str
    """An event of planning/machine.py HOST_TRANSITIONS."""
    reason: str
    evidence: dict[str, typing.Any] = dataclasses.field(
        default_factory=dict)
    proof: states.ProofKind | None = None
    proof_count: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Hold:
    """Show why a row does not move on; written when the reason changed."""

    kind: str
    """host | recovery"""
    key: str | int
    generation: int
    reason: str
    detail: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class FenceHost:
    """Power the host off and read it back (state FENCING, persisted)."""

    host: str
    generation: int
    event: str
    """fence | operator_fence"""
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class ForceDown:
    """Set nova's forced_down; the host is proven off."""

    host: str
    generation: int
    epoch: int


@dataclasses.dataclass(frozen=True, slots=True)
class ForceUp:
    """Clear nova's forced_down; the host has cleaned up."""

    host: str
    generation: int


@dataclasses.dataclass(frozen=True, slots=True)
class ReadPower:
    """Ask the fencing devices for the power state (keeps a proof fresh)."""

    host: str
    generation: int


@dataclasses.dataclass(frozen=True, slots=True)
class DrainQueue:
    """Drop what waits for nova-compute on a host that is off and empty."""

    host: str
    generation: int


@dataclasses.dataclass(frozen=True, slots=True)
class PowerOn:
    """Drain the queue, and power on what reads off right after that (state
    RETURNING, persisted)."""

    host: str
    generation: int


@dataclasses.dataclass(frozen=True, slots=True)
class RestartService:
    """Count a try (persisted), then restart nova-compute on a host that
    lives."""

    host: str
    generation: int
    number: int
    """Of this try, from 1."""
    of: int


@dataclasses.dataclass(frozen=True, slots=True)
class OpenRecoveries:
    """Read the host's instances afresh; create the missing records."""

    host: str
    generation: int
    epoch: int


@dataclasses.dataclass(frozen=True, slots=True)
class MoveRecovery:
    """Advance a recovery by one event; nothing outside is touched."""

    recovery_id: int
    generation: int
    event: str
    """An event of planning/machine.py RECOVERY_TRANSITIONS."""
    reason: str
    detail: str = ''
    changes: dict[str, typing.Any] = dataclasses.field(default_factory=dict)
    """Other columns of the recovery."""
    attempt_id: int | None = None
    attempt_changes: dict[str, typing.Any] = dataclasses.field(
        default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class GiveUp:
    """Let go of a recovery whose host another living engine drives."""

    recovery_id: int
    generation: int


@dataclasses.dataclass(frozen=True, slots=True)
class BeginAttempt:
    """Record the intent (REQUESTING), then claim in Nova and evacuate."""

    recovery_id: int
    generation: int
    vm_state: str | None
    task_state: str | None
    """As read: the compare-and-swap insists on them."""
    desired_power: states.DesiredPower
    migration_floor: int
    detail: str = ''
    """What people, or an earlier attempt, have made of it meanwhile."""


@dataclasses.dataclass(frozen=True, slots=True)
class RecordForeign:
    """Record somebody else's evacuation as an attempt, and settle it."""

    recovery_id: int
    generation: int
    request_id: str
    migration_id: int | None
    destination: str | None
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class LocateDestination:
    """Read the instance's allocations to learn where it was sent."""

    recovery_id: int
    generation: int
    attempt_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class SettleAttempt:
    """Decide, step by step, what the attempt left, and clean it."""

    recovery_id: int
    generation: int
    attempt_id: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class VerifyInstance:
    """Put power, state and allocations right on the destination."""

    recovery_id: int
    generation: int
    attempt_id: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class EndControl:
    control: records.Control
    detail: str


Action = (MoveHost | Hold | FenceHost | ForceDown | ForceUp | ReadPower |
          DrainQueue | PowerOn | RestartService | OpenRecoveries |
          MoveRecovery | GiveUp | BeginAttempt | RecordForeign |
          LocateDestination | SettleAttempt | VerifyInstance | EndControl)


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    actions: tuple[Action, ...]
    waits: tuple[str, ...] = ()
    """Human sentences: what the engine waits for, or would do in observe
    mode. Stored in the engine's report; status shows them."""
