# SPDX-License-Identifier: Apache-2.0
"""Rows of the side tables as frozen data; nothing here decides or acts.

Times (``*_at``) are naive UTC of the database, for people only: no rule
compares them. Durations that rules need are measured by each engine on its
own monotonic clock and come in through model/snapshot.py.
"""

import dataclasses
import datetime
import typing

from nova_pets.model import states

Json = dict[str, typing.Any]
When = datetime.datetime | None


WRONG_DEVICE = ('reads off while the host is up: it is the device of another '
                'machine, or it lies')
"""fence_detail of a host whose power no reading of its devices can prove."""


@dataclasses.dataclass(frozen=True, slots=True)
class Engine:
    """One engine: a worker process of some nova-scheduler."""

    id: str
    """A fresh uuid at every start and after every deposition."""
    host: str
    worker: str
    """Process id, for people."""
    version: str
    mode: states.Mode
    gate_loaded: bool
    bindings_digest: str = ''
    slot: int | None = None
    """None: idle, only tries for a slot. Unique among engines."""
    renewals: int = 0
    """The renewal counter; every claim of this engine lives by it."""
    deposed: bool = False
    """True: all its claims are void; the row is history."""
    report: Json = dataclasses.field(default_factory=dict)
    """What the last cycle saw and waits for (status shows it)."""
    started_at: When = None
    renewed_at: When = None


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """One compute host and its present failure epoch."""

    host: str
    cell_uuid: str
    state: states.HostState = states.HostState.UP
    epoch: int = 0
    """Grows by one each time the host leaves up for down."""
    reason: str = ''
    """Code of model/reasons.py: why it is in this state or held there."""
    evidence: Json = dataclasses.field(default_factory=dict)
    proof: states.ProofKind | None = None
    """Set only while the present epoch is proven off."""
    proof_count: int | None = None
    """report_count when the proof was made; if it moves, the proof is
    void (a sign of life)."""
    fence_attempts: int = 0
    """In this epoch."""
    forced_down: bool = False
    """We set forced_down in this epoch (so it is ours to clear)."""
    fence_ready: bool | None = None
    """Its fence was last seen to work (None: never asked)."""
    fence_detail: str = ''
    generation: int = 0
    owner: str | None = None
    """Engine id; a claim is void when that engine is deposed."""
    since_at: When = None
    updated_at: When = None


@dataclasses.dataclass(frozen=True, slots=True)
class Pet:
    """One HA-tagged instance (table pets_instances)."""

    instance_uuid: str
    cell_uuid: str
    project_id: str
    name: str
    host: str | None
    vm_state: str | None
    priority: int = 500
    """Higher first."""
    disk: str = 'keep'
    """keep | rebuild (the owner accepts the loss of its disk)."""
    settings: Json = dataclasses.field(default_factory=dict)
    """{key: {'value': v, 'source': metadata|flavor|image|aggregate|
    default}}"""
    problems: tuple[str, ...] = ()
    """Human sentences on tags that could not be used."""
    unprotected: tuple[str, ...] = ()
    """Reason codes; empty: protected."""
    is_bfv: bool = False
    """Boots from a volume and has no ephemeral disk besides: nothing of it
    lies on its host."""
    storage_domain: str | None = None
    generation: int = 0
    updated_at: When = None


@dataclasses.dataclass(frozen=True, slots=True)
class Recovery:
    """One evacuation record: an instance in an epoch of its host."""

    id: int | None
    instance_uuid: str
    cell_uuid: str
    project_id: str
    name: str
    source: str
    epoch: int
    state: states.RecoveryState
    reason: str = ''
    """Code of model/reasons.py."""
    detail: str = ''
    """One human sentence with the figures."""
    priority: int = 500
    original_vm_state: str = 'active'
    """Restored before every attempt; never written later."""
    desired_power: states.DesiredPower = states.DesiredPower.RUNNING
    is_bfv: bool = False
    disk: str = 'keep'
    storage_domain: str | None = None
    attempts: int = 0
    excluded: tuple[str, ...] = ()
    """Destinations not to be used by the next attempt."""
    destination: str | None = None
    wait_s: float = 0.0
    """Back-off of WAITING, counted by the owner's monotonic clock from when
    it first saw the row so."""
    urgent: bool = False
    """Back-off and rate do not apply once (a person asked)."""
    untagged: bool = False
    """The owner took the tag away: no further attempt."""
    generation: int = 0
    owner: str | None = None
    created_at: When = None
    since_at: When = None
    finished_at: When = None


@dataclasses.dataclass(frozen=True, slots=True)
class Attempt:
    """One evacuate request, ours or foreign. Never deleted while the
    recovery is open: a host that was ever a destination may hold a guest.
    """

    id: int | None
    recovery_id: int
    instance_uuid: str
    number: int
    kind: states.AttemptKind
    request_id: str
    """Unique. Of one that was found in Nova, not chosen by us:
    'REQUEST@RECOVERY', as each recovery may have to settle it."""
    source: str
    gate: states.Gate = states.Gate.ARMED
    outcome: states.Outcome = states.Outcome.OPEN
    migration_floor: int = 0
    """Highest evacuation migration id of the instance at intent; ours is
    above it."""
    migration_id: int | None = None
    destination: str | None = None
    reason: str = ''
    detail: str = ''
    started_at: When = None
    ended_at: When = None

    @property
    def action_id(self) -> str:
        """The request_id that Nova keeps the action's events under."""
        return self.request_id.partition('@')[0]


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One line of history."""

    code: str
    """Code of model/reasons.py."""
    text: str = ''
    actor: str = ''
    """'engine HOST/PID' or 'user NAME'."""
    host: str | None = None
    instance_uuid: str | None = None
    recovery_id: int | None = None
    attempt_id: int | None = None
    from_state: str | None = None
    to_state: str | None = None
    evidence: Json = dataclasses.field(default_factory=dict)
    id: int | None = None
    at: When = None


@dataclasses.dataclass(frozen=True, slots=True)
class Control:
    """A person's standing order or request."""

    id: int | None
    kind: states.ControlKind
    scope: str
    """all | cell | host | instance"""
    target: str = ''
    """cell uuid, host name or instance uuid; '' for all."""
    epoch: int | None = None
    reason: str = ''
    actor: str = ''
    until_at: When = None
    """Maintenance only; shown, and it ends only when the database's and
    the engine's clocks both passed it."""
    active: bool = True
    generation: int = 0
    created_at: When = None
    ended_at: When = None
