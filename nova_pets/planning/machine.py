# SPDX-License-Identifier: Apache-2.0
"""The transition tables: the only source of a new state.

Pure data and one function. Source: specs/0002-states; a test compares them.
"""

import dataclasses
import typing

from nova_pets import exception
from nova_pets.model import records
from nova_pets.model import states

H = states.HostState
R = states.RecoveryState

HOST_TRANSITIONS: dict[tuple[states.HostState, str], states.HostState] = {
    (H.UP, 'silent'): H.SUSPECT,
    (H.SUSPECT, 'alive'): H.UP,
    (H.SUSPECT, 'verdict_down'): H.DOWN,
    # A person's order, before the verdict; never against a heartbeat.
    (H.SUSPECT, 'operator_fence'): H.FENCING,
    (H.DOWN, 'alive'): H.UP,
    # We had forced it down in an earlier epoch: it has to clean up first.
    (H.DOWN, 'came_back'): H.RETURNING,
    # Down and back too often: nobody goes there before it stayed up.
    (H.DOWN, 'flapping'): H.QUARANTINED,
    (H.DOWN, 'fence'): H.FENCING,
    (H.DOWN, 'operator_fence'): H.FENCING,
    (H.DOWN, 'confirmed'): H.FENCED,
    (H.DOWN, 'external_proof'): H.FENCED,
    (H.DOWN, 'cannot_fence'): H.UNPROVEN,
    (H.FENCING, 'proven_off'): H.FENCED,
    (H.FENCING, 'fence_failed'): H.UNPROVEN,
    (H.FENCING, 'fence_retry'): H.DOWN,
    (H.FENCING, 'confirmed'): H.FENCED,
    (H.UNPROVEN, 'alive'): H.UP,
    (H.UNPROVEN, 'came_back'): H.RETURNING,
    (H.UNPROVEN, 'flapping'): H.QUARANTINED,
    (H.UNPROVEN, 'confirmed'): H.FENCED,
    (H.UNPROVEN, 'external_proof'): H.FENCED,
    (H.UNPROVEN, 'operator_fence'): H.FENCING,
    (H.UNPROVEN, 'fence'): H.FENCING,
    (H.FENCED, 'vacated'): H.VACATED,
    (H.FENCED, 'life_seen'): H.QUARANTINED,
    (H.VACATED, 'life_seen'): H.RETURNING,
    (H.VACATED, 'reopened'): H.FENCED,
    (H.VACATED, 'release'): H.RETURNING,
    # The intent; the power follows.
    (H.VACATED, 'power_on'): H.RETURNING,
    (H.QUARANTINED, 'operator_fence'): H.FENCING,
    (H.QUARANTINED, 'confirmed'): H.FENCED,
    (H.QUARANTINED, 'silent_again'): H.DOWN,
    (H.QUARANTINED, 'release'): H.RETURNING,
    (H.QUARANTINED, 'calm'): H.RETURNING,
    (H.RETURNING, 'clean'): H.UP,
    (H.RETURNING, 'operator_fence'): H.FENCING,
}
"""(state, event) -> next state of a host."""

NEW_EPOCH = frozenset({(H.SUSPECT, 'verdict_down'),
                       (H.QUARANTINED, 'silent_again'),
                       (H.SUSPECT, 'operator_fence'),
                       (H.QUARANTINED, 'operator_fence'),
                       (H.RETURNING, 'operator_fence')})
"""Transitions that begin a new failure epoch: earlier proofs, fence
attempts and operators' words are void."""

RECOVERY_TRANSITIONS: dict[
    tuple[states.RecoveryState, str], states.RecoveryState] = {
    (R.PENDING, 'source_proven'): R.READY,
    (R.PENDING, 'source_returned'): R.VERIFYING,
    # Nova's row names another host that is down, too.
    (R.PENDING, 'arrived'): R.VERIFYING,
    (R.READY, 'begin'): R.REQUESTING,
    (R.READY, 'source_unproven'): R.PENDING,
    (R.READY, 'foreign_found'): R.SETTLING,
    (R.READY, 'unsettled'): R.SETTLING,
    (R.READY, 'arrived'): R.VERIFYING,
    (R.REQUESTING, 'sent'): R.SCHEDULING,
    (R.REQUESTING, 'not_sent'): R.WAITING,
    (R.REQUESTING, 'uncertain'): R.SETTLING,
    (R.SCHEDULING, 'destination_known'): R.BUILDING,
    (R.SCHEDULING, 'arrived'): R.VERIFYING,
    (R.SCHEDULING, 'failed'): R.SETTLING,
    (R.BUILDING, 'arrived'): R.VERIFYING,
    (R.BUILDING, 'failed'): R.SETTLING,
    (R.SETTLING, 'arrived'): R.VERIFYING,
    (R.SETTLING, 'clean'): R.WAITING,
    (R.WAITING, 'due'): R.READY,
    (R.WAITING, 'foreign_found'): R.SETTLING,
    (R.WAITING, 'arrived'): R.VERIFYING,
    (R.WAITING, 'source_unproven'): R.PENDING,
    (R.WAITING, 'taken_over'): R.SCHEDULING,
    (R.READY, 'taken_over'): R.SCHEDULING,
    (R.VERIFYING, 'verified'): R.RECOVERED,
    (R.VERIFYING, 'left_again'): R.PENDING,
    (R.VERIFYING, 'rebase'): R.PENDING,
    # Back to the proof first: what an operator asks for needs one too.
    (R.NEEDS_OPERATOR, 'retry'): R.PENDING,
    (R.NEEDS_OPERATOR, 'arrived'): R.VERIFYING,
    (R.NEEDS_OPERATOR, 'source_returned'): R.ABANDONED,
}
"""(state, event) -> next state of a recovery."""

for _state in (R.READY, R.SETTLING, R.VERIFYING):
    RECOVERY_TRANSITIONS[_state, 'needs_operator'] = R.NEEDS_OPERATOR
for _state in (R.PENDING, R.READY, R.SETTLING, R.WAITING, R.VERIFYING,
               R.NEEDS_OPERATOR):
    RECOVERY_TRANSITIONS[_state, 'abandon'] = R.ABANDONED


def advance_host(row: records.Host, event: str, *, reason: str,
                 evidence: dict[str, typing.Any] | None = None,
                 proof: states.ProofKind | None = None,
                 proof_count: int | None = None) -> records.Host:
    """Return the host after one event; the argument is not changed.

    A new epoch clears proof, fence attempts and the forced_down mark that
    belong to the old one; a proof is only kept in states that have one.

    :raises IllegalTransition: (state, event) is not in HOST_TRANSITIONS.
    """
    state = _next(HOST_TRANSITIONS, 'host', row.state, event)
    changes: dict[str, typing.Any] = {
        'state': state, 'reason': reason,
        'evidence': dict(evidence or {})}
    if (row.state, event) in NEW_EPOCH:
        changes.update(epoch=row.epoch + 1, proof=None, proof_count=None,
                       fence_attempts=0)
    if state in states.PROVEN_OFF and row.state not in states.PROVEN_OFF:
        if proof is None:
            raise exception.IllegalTransition(
                kind='host', state=row.state.value,
                event=f'{event} without a proof',
                expected='an event with a proof')
        changes.update(proof=proof, proof_count=proof_count)
    elif state not in states.PROVEN_OFF:
        changes.update(proof=None, proof_count=None)
    if state is H.FENCING:
        changes['fence_attempts'] = changes.get(
            'fence_attempts', row.fence_attempts) + 1
    if state is H.UP:
        changes.update(forced_down=False, fence_attempts=0)
    return dataclasses.replace(row, **changes)


def advance_recovery(row: records.Recovery, event: str, *, reason: str,
                     detail: str = '',
                     changes: dict[str, typing.Any] | None = None
                     ) -> records.Recovery:
    """Return the recovery after one event; the argument is not changed.

    :raises IllegalTransition: (state, event) is not in
        RECOVERY_TRANSITIONS.
    """
    state = _next(RECOVERY_TRANSITIONS, 'recovery', row.state, event)
    return dataclasses.replace(row, state=state, reason=reason,
                               detail=detail, **(changes or {}))


S = typing.TypeVar('S', states.HostState, states.RecoveryState)


def _next(table: dict[tuple[S, str], S], kind: str, state: S,
          event: str) -> S:
    try:
        return table[state, event]
    except KeyError:
        expected = sorted(known for (from_state, known) in table
                          if from_state is state)
        raise exception.IllegalTransition(
            kind=kind, state=state.value, event=event,
            expected=', '.join(expected) or 'nothing (terminal)') from None
