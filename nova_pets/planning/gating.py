# SPDX-License-Identifier: Apache-2.0
"""Which scheduling requests of a pet may go on.

Pure: what was read is handed in, and what follows is returned;
scheduler/gatekeeper.py reads and writes. A move of an instance passes, is
consumed, is taken over, waits for Nova's records, or is refused.

Source: design.md, section 4, step 4; specs/0004-attempt-protocol.
"""

import dataclasses
import enum

from nova_pets.model import observations
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states

_CLEAN_STATES = frozenset({
    states.RecoveryState.READY, states.RecoveryState.WAITING})


class Verb(enum.Enum):
    PASS = 'pass'  # nosec B105
    CONSUME = 'consume'
    """The open attempt's own request: passes once."""
    TAKE_OVER = 'take over'
    """A person's evacuation becomes the attempt."""
    ASK = 'ask'
    """Nova's records decide; read them and decide again."""
    REFUSE = 'refuse'


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    verb: Verb
    reason: str = ''
    """Why it is refused; one human phrase."""


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """What Nova's own records say about one request of a pet."""

    is_evacuation: bool
    """False: a resize, a cold or a live migration."""
    is_ours: bool
    """Its request_id belongs to an attempt that has ended: a late cast."""
    is_only_one: bool
    """The instance is on the host that it is to leave, and no other
    evacuation of it is open or may have left a guest."""


def decide(view: snapshot.GateView, request_id: str, source: str,
           mode: states.Mode, asked: Asked | None = None) -> Decision:
    """Return the Decision about one request to move an instance.

    :param view: read for this request.
    :param source: the host that the instance is to leave.
    :param asked: None as long as Nova was not asked.
    """
    if not view.is_pet:
        return Decision(Verb.PASS)
    attempt, recovery = view.attempt, view.recovery
    if attempt is not None:
        if attempt.request_id == request_id:
            return Decision(Verb.CONSUME)
        return Decision(Verb.REFUSE,
                        f'attempt {attempt.number} of its recovery is open')
    if mode is not states.Mode.ACT:
        return Decision(Verb.PASS)
    host_state = view.host_states.get(source, states.HostState.UP)
    if host_state is states.HostState.UP and recovery is None:
        return _decide_on_living_host(source, asked)
    if host_state in states.PROVEN_OFF and (recovery is None or (
            recovery.is_bfv and recovery.state in _CLEAN_STATES)):
        return _decide_on_fenced_host(source, recovery, asked)
    if recovery is not None:
        return Decision(
            Verb.REFUSE,
            f'its recovery is {recovery.state.value} and {source} is '
            f'{host_state.value}')
    return Decision(Verb.REFUSE, f'{source} is {host_state.value}')


def why_not_any_more(before: snapshot.GateView, now: snapshot.GateView,
                     request_id: str) -> str:
    """Return why a request that has passed may not go on, '' if it may.

    :param before, now: as read at the gate, and now.
    """
    if now.attempt is not None:
        if now.attempt.request_id != request_id:
            return f'attempt {now.attempt.number} of its recovery is open'
        if now.attempt.gate is not states.Gate.CONSUMED:
            return 'its attempt has ended'
        return ''
    if before.attempt is not None:
        return 'its attempt has ended'
    if before.recovery is None and now.recovery is not None:
        return 'its recovery has begun'
    return ''


def is_only_one(trace: observations.Trace, source: str,
                recovery: records.Recovery | None) -> bool:
    """See Asked. An ended record that had a destination may mean a guest
    there (F4), unless our recovery has been through settling since."""
    if trace.instance is None or trace.instance.host != source:
        return False
    # Of any source: conductor takes any accepted record (F7).
    accepted = [m for m in trace.migrations if m.status == 'accepted']
    if len(accepted) != 1 or accepted[0].destination is not None:
        return False
    if any(m.status == 'pre-migrating' for m in trace.migrations):
        return False
    is_settled = recovery is not None and recovery.attempts > 0
    return is_settled or not any(
        m.status in ('error', 'failed') and m.destination is not None
        and m.source == source for m in trace.migrations)


def may_be_pet(instance: observations.Instance | None) -> bool:
    """Whether any source of tags says something else than a clear no."""
    if instance is None:
        return False
    values = (instance.metadata.get('ha'), instance.flavor.get('pets:ha'),
              instance.image.get('pets_ha'),
              instance.aggregate.get('pets:ha'))
    said = [str(value).strip().lower() for value in values
            if value is not None]
    return any(value not in ('false', '0', 'no', 'off') for value in said)


def _decide_on_living_host(source: str, asked: Asked | None) -> Decision:
    """An evacuation from a host that counts as up runs the pet twice; all
    other moves need the host alive, and are Nova's own affair."""
    if asked is None:
        return Decision(Verb.ASK)
    if not asked.is_evacuation:
        return Decision(Verb.PASS)
    return Decision(Verb.REFUSE, f'{source} is not proven off')


def _decide_on_fenced_host(source: str, recovery: records.Recovery | None,
                           asked: Asked | None) -> Decision:
    """What a person evacuates from a proven off host is taken over where no
    disk can be lost, and let through where nova-pets has let go of the
    instance. Not a late cast of ours, and not beside another evacuation."""
    if asked is None:
        return Decision(Verb.ASK)
    if asked.is_ours:
        return Decision(Verb.REFUSE, 'its attempt has ended')
    if not asked.is_evacuation:
        return Decision(Verb.REFUSE, f'{source} is off')
    if not asked.is_only_one:
        return Decision(Verb.REFUSE,
                        'another evacuation of it is not settled')
    return Decision(Verb.PASS if recovery is None else Verb.TAKE_OVER)
