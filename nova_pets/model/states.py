# SPDX-License-Identifier: Apache-2.0
"""The states of hosts, recoveries and attempts, and the small enums.

Plain data; values are stored in the database: never rename one. Which
transition is allowed is planning/machine.py's decision.
"""

import enum


class Mode(enum.StrEnum):
    """What the whole product may do ([pets] mode)."""

    ACT = 'act'
    """Track, fence and evacuate."""
    OBSERVE = 'observe'
    """Track and report what would be done; fence and evacuate nothing."""
    OFF = 'off'
    """Nova exactly as without us."""


class HostState(enum.StrEnum):
    UP = 'up'
    """Nothing known against it. Left when its heartbeat stands still."""
    SUSPECT = 'suspect'
    """Heartbeat silent; other witnesses are being asked. Detection moves
    it back to up or on to down."""
    DOWN = 'down'
    """Verdict: the host does not answer on any path, a host-level witness
    included. Not yet proven off: nothing may be evacuated."""
    FENCING = 'fencing'
    """Our intent to power it off is recorded; the executor is at it."""
    FENCED = 'fenced'
    """Proven off in this epoch. Its pets are evacuated from here."""
    VACATED = 'vacated'
    """Proven off and no open recovery left; its queue is emptied. Waits for
    release, or is powered on."""
    RETURNING = 'returning'
    """Released, being powered on, or back by itself while our forced_down
    stood: nova-compute starts, cleans its evacuated guests."""
    QUARANTINED = 'quarantined'
    """Showed life although proven off, or came back too early: nothing is
    evacuated from it or to it until a person or a fresh proof decides. Or
    it was down too often, and has to stay up for a while first."""
    UNPROVEN = 'unproven'
    """Could not be proven off. An operator decides (confirm_fenced), or powers
    it off: it is proven once its device says so."""


class RecoveryState(enum.StrEnum):
    PENDING = 'pending'
    """The source is down but not proven off. Moves on with its host."""
    READY = 'ready'
    """The source is proven off; the next attempt may begin."""
    REQUESTING = 'requesting'
    """Intent recorded, request_id chosen; the call to Nova may or may not
    have been made."""
    SCHEDULING = 'scheduling'
    """evacuate() returned; conductor and scheduler have the work."""
    BUILDING = 'building'
    """A destination has (or was sent) the work."""
    VERIFYING = 'verifying'
    """The instance's row names the destination; power and allocations are
    put right, and the row is watched for late messages. Where the
    destination is the source, that came back: nova-compute is asked whether
    the guest runs."""
    SETTLING = 'settling'
    """An attempt failed or is unexplained; a guest may be on its
    destination. No new attempt begins before that is decided."""
    WAITING = 'waiting'
    """Clean state; backs off before the next attempt."""
    NEEDS_OPERATOR = 'needs_operator'
    """No safe step is left without a person; the reason says what may be
    done."""
    RECOVERED = 'recovered'
    """Runs (or is stopped, if it was) on its destination, exactly once."""
    ABANDONED = 'abandoned'
    """Nothing to recover any more: deleted, untagged, source came back
    untouched, or a person said so."""


TRANSIENT = frozenset({
    RecoveryState.PENDING, RecoveryState.READY, RecoveryState.REQUESTING,
    RecoveryState.SCHEDULING, RecoveryState.BUILDING,
    RecoveryState.VERIFYING, RecoveryState.SETTLING, RecoveryState.WAITING})
STABLE = frozenset({RecoveryState.NEEDS_OPERATOR})
TERMINAL = frozenset({RecoveryState.RECOVERED, RecoveryState.ABANDONED})
OPEN = TRANSIENT | STABLE

IN_FLIGHT = frozenset({
    RecoveryState.REQUESTING, RecoveryState.SCHEDULING,
    RecoveryState.BUILDING})
"""Recoveries whose attempt nova works on; they count against the limits."""

PROVEN_OFF = frozenset({HostState.FENCED, HostState.VACATED})
"""Host states in which the present epoch has a proof."""


class AttemptKind(enum.StrEnum):
    OWN = 'own'
    """We chose the request_id before the call."""
    FOREIGN = 'foreign'
    """Somebody else's evacuation, found or taken over."""


class Gate(enum.StrEnum):
    ARMED = 'armed'
    """The scheduler lets this request through once."""
    CONSUMED = 'consumed'
    """It went through; a second delivery is refused."""
    CLOSED = 'closed'
    """Never again: the attempt has ended, or was never to pass."""


class Outcome(enum.StrEnum):
    OPEN = 'open'
    """In flight, or not yet settled."""
    SUCCEEDED = 'succeeded'
    ADOPTED = 'adopted'
    """The guest was found on the destination; Nova's row was completed."""
    FAILED = 'failed'
    """Settled: no guest of it exists anywhere."""
    UNSETTLED = 'unsettled'
    """Ended with its recovery before it was settled (a person, a deletion):
    a guest of it may exist on its destination."""
    NOT_SENT = 'not_sent'
    """Nova never got the request."""


class PowerState(enum.StrEnum):
    """What a fencing device reports. Only OFF fences."""

    ON = 'on'
    OFF = 'off'
    TURNING_ON = 'turning_on'
    TURNING_OFF = 'turning_off'
    UNKNOWN = 'unknown'


class PowerOn(enum.StrEnum):
    """Who powers a host on that was powered off ([pets] power_on)."""

    NEVER = 'never'
    """People, by hand."""
    MANUAL = 'manual'
    """We do, when a person releases it."""
    AFTER_RECOVERY = 'after_recovery'
    """We do, as soon as every pet has left it."""


class Sign(enum.StrEnum):
    """What one witness says about a host."""

    LIFE = 'life'
    """It saw the host (or its agent) alive within its age."""
    SILENT = 'silent'
    """It asked and got no answer. Never proof of anything alone."""
    UNKNOWN = 'unknown'
    """It could not ask, or the answer means nothing."""


class WitnessPath(enum.StrEnum):
    """Paths that fail together count as one witness."""

    AGENT = 'agent'
    """nova-compute, the broker, conductor, the database: heartbeat, ping."""
    HOST = 'host'
    """The machine itself: TCP probe."""
    POWER = 'power'
    """Its BMC. ON is no sign of life."""
    EXTERNAL = 'external'
    """Somebody else's word: forced_down, Pacemaker, an operator."""


class Verdict(enum.StrEnum):
    UP = 'up'
    SUSPECT = 'suspect'
    DOWN = 'down'
    UNKNOWN = 'unknown'
    """Our own view is not sane: no verdict."""


class ProofKind(enum.StrEnum):
    """Why a host counts as proven off in its present epoch."""

    POWER_OFF = 'power_off'
    """Every device of a level read back OFF by a separate query."""
    CONFIRMED = 'confirmed'
    """An operator's confirm_fenced naming this epoch."""
    EXTERNAL = 'external'
    """forced_down by others or an event of a trusted kind."""


class DesiredPower(enum.StrEnum):
    RUNNING = 'running'
    STOPPED = 'stopped'


class GuestAnswer(enum.StrEnum):
    """What a living destination says about a guest."""

    RUNNING = 'running'
    NOT_RUNNING = 'not_running'
    """Absent, paused, shut off or not yet created: tells them not apart."""
    UNREACHABLE = 'unreachable'


class ControlKind(enum.StrEnum):
    PAUSE = 'pause'
    """No new recovery starts in the scope; running ones continue."""
    MAINTENANCE = 'maintenance'
    """The host is never fenced: alarm only."""
    APPROVAL = 'approval'
    """An operator lets the host's recovery pass a storm hold."""
    FENCE = 'fence'
    """An operator asks the engines to fence the host now."""
    CONFIRM_FENCED = 'confirm_fenced'
    """An operator's word that the host is off, for one epoch."""
    RELEASE = 'release'
    """An operator lets the host come back."""
    RECOVER = 'recover'
    """An operator asks for an instance's recovery to begin now."""
    RETRY = 'retry'
    """An operator asks for the next attempt now."""
    ABANDON = 'abandon'
    """An operator ends the instance's recovery."""
    AUDIT = 'audit'
    """An operator asks for an audit, and to mend what is safe, now."""
