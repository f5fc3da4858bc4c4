# SPDX-License-Identifier: Apache-2.0
"""What one cycle knows: rows, observations, and ages by my own clock.

Built by engine/collector.py, judged by planning; GateView is what one
scheduling request meets, as the store reads it. Every ``*_s`` here is
seconds on this engine's monotonic clock.
"""

import dataclasses
import datetime
import math

from nova_pets.model import observations
from nova_pets.model import policy
from nova_pets.model import records
from nova_pets.model import states


DAY = datetime.timedelta(hours=24)
OWN_FENCES = ('fence_started', 'service_fence')
"""Codes of the history lines of power-offs that no person asked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class StoreSnapshot:
    """One read of the side tables."""

    engines: tuple[records.Engine, ...] = ()
    """Not deposed ones, idle ones too."""
    hosts: tuple[records.Host, ...] = ()
    """All rows."""
    recoveries: tuple[records.Recovery, ...] = ()
    """Open ones."""
    attempts: tuple[records.Attempt, ...] = ()
    """All attempts of the open recoveries."""
    controls: tuple[records.Control, ...] = ()
    """Active ones."""
    fenced_today: frozenset[str] = frozenset()
    """Hosts that engines began to power off by themselves in the last 24
    hours, by the database's clock; read only while some host is not up."""
    pets_by_host: dict[str, int] = dataclasses.field(default_factory=dict)
    """Tagged instances per host; read only while some host is not up."""
    problems: tuple[str, ...] = ()
    """Rows of another version that could not be read and are left out."""


@dataclasses.dataclass(frozen=True, slots=True)
class GateView:
    """What one scheduling request of one instance meets."""

    is_pet: bool
    """It has a row in pets_instances or an open recovery."""
    host_states: dict[str, states.HostState]
    """Rows of the asked hosts, and of all that are not up: that a move of
    what is no pet costs one read (missing: no row, so up)."""
    recovery: records.Recovery | None
    """The open one."""
    attempt: records.Attempt | None
    """Its open attempt."""


@dataclasses.dataclass(frozen=True, slots=True)
class HostView:
    """One compute host as this engine sees it now."""

    row: records.Host
    service: observations.Service | None
    """None: its cell could not be read, or it has no service row."""
    silent_s: float
    """Since its report_count was last seen to move (or since this engine
    first read it), counted only between successful reads."""
    count_moved: bool
    """report_count is above row.proof_count (False without a proof)."""
    down_ago_s: float = math.inf
    """Since this engine last saw it down, not proven off; inf: never."""
    life_by_peer: str = ''
    """The engine that says that it sees life of it, of one that is proven off
    since then; '': none does."""
    downs: int = 0
    """How often this engine saw it go down within the window of flapping."""
    has_moved: bool = True
    """Its report_count was seen to move since this engine began to watch."""
    was_forced_alive: bool = False
    """It was forced down before it fell silent, as far as this engine saw."""
    evidence: tuple[observations.Evidence, ...] = ()
    state_s: float = 0.0
    """Since this engine first saw (epoch, state, fence_attempts) so."""
    power_off_s: float | None = None
    """Seconds since a read-back said OFF on every device (None: not)."""
    dumping_s: float | None = None
    """Since some engine first heard that it dumps its memory, in this
    silence; None: nobody hears it now."""
    is_opened: bool = False
    """This engine has read its instances and opened the records in its
    present (epoch, state), not long ago."""
    open_recoveries: int = 0
    is_resting: bool = False
    """What was tried for it a moment ago (draining, power-on, a restart of
    its service) failed; not yet again."""
    is_passed_on: bool = False
    """This engine could not prove it off a moment ago: its peers, whose way
    to the device may be another one, try before it does so again."""
    settled_records: bool = True
    """No evacuation record 'done' of this source is still uncleaned; only
    read while returning."""


@dataclasses.dataclass(frozen=True, slots=True)
class RecoveryView:
    """One open recovery with all that is known about it."""

    row: records.Recovery
    attempts: tuple[records.Attempt, ...]
    trace: observations.Trace | None
    """None: not read in this cycle, or its cell could not be read."""
    state_s: float = 0.0
    is_busy: bool = False
    """An action of this engine for it is still under way."""
    is_tagged: bool | None = None
    """ha=true as read from Nova now; None: not known."""

    @property
    def open_attempt(self) -> records.Attempt | None:
        for attempt in self.attempts:
            if attempt.outcome is states.Outcome.OPEN:
                return attempt
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    me: str
    """This engine's id."""
    is_sane: bool
    """My own reads are fresh and a conductor answered: I may judge."""
    why_not_sane: str
    hosts: dict[str, HostView]
    recoveries: tuple[RecoveryView, ...]
    controls: tuple[records.Control, ...] = ()
    live_engines: frozenset[str] = frozenset()
    """Ids not deposed; a claim of any other id is void."""
    busy_hosts: frozenset[str] = frozenset()
    """Hosts with an action of this engine under way."""
    fence_bindings: frozenset[str] = frozenset()
    """Hosts for which a fencing device is configured."""
    can_power_on: frozenset[str] = frozenset()
    """Of these, whose devices can power on again."""
    ladders: dict[str, policy.Ladder] = dataclasses.field(
        default_factory=dict)
    """{host: what is tried where only its nova-compute is dead}."""
    has_orders_to_open: bool = False
    """An operator's recover order made hosts be read anew in this cycle."""
    grace_s: float = 0.0
    """Seconds left in which nothing is powered off by us: all engines were
    away until a moment ago."""
    calm_s: float = 0.0
    """Seconds left in which nothing is powered off by us: this engine's view
    was not to be trusted until a moment ago."""
    fenced_today: frozenset[str] = frozenset()
    """Hosts that were powered off by us within a day, by any engine."""
    heard_dumping: frozenset[str] = frozenset()
    """Hosts that this engine itself hears dump their memory."""
    conductors_silent: frozenset[str] = frozenset()
    """Conductor hosts whose service row stands still."""
