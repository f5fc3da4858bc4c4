# SPDX-License-Identifier: Apache-2.0
"""A host that every pet has left: when it may come back, and how.

Pure. Off and staying off until then; its queue is emptied, for it holds what
people and conductors sent meanwhile; forced_down is kept until nova-compute
has cleaned up. Whoever is to be powered on leaves VACATED, and so its proof,
before: the move is the intent, and the power follows.
Source: design.md, section 5.
"""

from nova_pets.model import actions
from nova_pets.model import policy as policy_model
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import detection
from nova_pets.planning import host_moves
from nova_pets.planning import host_orders
from nova_pets.planning import safety

C = states.ControlKind

Actions = list[actions.Action]


UNDER_WAY = frozenset({'powering_on', 'not_drained', 'power_on_failed',
                       'power_unreadable'})
"""Reasons of a RETURNING host that somebody, or the policy, wants powered on,
and that is not known to have been told."""
LATE = {'powered_on': 'power_on_late',
        'waiting_for_cleanup': 'never_reported'}
"""What is said of a RETURNING host that has not reported for long; it may boot
by itself, and not start nova-compute."""
DRAINED = 'queue'
"""In the evidence of a VACATED host whose queue was emptied since."""

CLEANUP_S = 30.0
"""Longer than any reading of the records that is in use may be old."""


def vacated(view: snapshot.HostView, snap: snapshot.Snapshot,
            policy: policy_model.Policy, is_wanted: bool) -> Actions:
    released = release(view, snap, policy)
    if released:
        return released
    row = view.row
    if is_wanted or view.open_recoveries:
        if safety.why_not_trust_proof(view, policy):
            return host_moves.hold(view, 'life_after_proof')
        return [actions.MoveHost(
            host=row.host, generation=row.generation,
            event='reopened', reason='source_proven',
            evidence=detection.evidence_of(view), proof=row.proof,
            proof_count=row.proof_count)]
    if safety.why_not_trust_proof(view, policy):
        return [host_moves.move(view, 'life_seen', 'waiting_for_cleanup',
                                policy)]
    if policy.mode is not states.Mode.ACT:
        return []
    if not view.is_opened:
        return [actions.OpenRecoveries(row.host, row.generation, row.epoch)]
    if view.is_resting:
        return []
    if DRAINED not in row.evidence:
        return [actions.DrainQueue(row.host, row.generation)]
    return _power_on(view, snap, policy)


def _power_on(view: snapshot.HostView, snap: snapshot.Snapshot,
              policy: policy_model.Policy) -> Actions:
    """Let it leave VACATED to be powered on, where the policy says so."""
    if policy.power_on is not states.PowerOn.AFTER_RECOVERY:
        return []
    why_not = why_not_power_on(view, snap)
    if why_not:
        return host_moves.hold(view, why_not)
    row = view.row
    if not row.forced_down or (view.service is not None and
                               not view.service.forced_down):
        return [actions.ForceDown(row.host, row.generation, row.epoch)]
    return [host_moves.move(view, 'power_on', 'powering_on', policy)]


def why_not_power_on(view: snapshot.HostView, snap: snapshot.Snapshot
                     ) -> str | None:
    """Return why an empty host is not powered on without a person.

    Where a person said that it is off, a person may have the hands in it.
    """
    row = view.row
    if view.service is None or not snap.is_sane:
        return 'own_view'
    if row.host not in snap.can_power_on:
        return 'cannot_power_on'
    if row.proof is not states.ProofKind.POWER_OFF:
        return 'confirmed_stays_off'
    if safety.control_for(snap.controls, C.MAINTENANCE, host=row.host):
        return 'maintenance'
    if view.service.disabled:
        return 'service_disabled'
    if safety.control_for(snap.controls, C.PAUSE, host=row.host,
                          cell_uuid=row.cell_uuid):
        return 'paused'
    return None


def returning(view: snapshot.HostView, snap: snapshot.Snapshot,
              policy: policy_model.Policy, is_wanted: bool) -> Actions:
    row = view.row
    judgement = detection.judge(view, policy)
    if judgement.verdict is states.Verdict.UP:
        if not view.settled_records:
            return host_moves.hold(view, _why_not_clean(view))
        return [actions.ForceUp(row.host, row.generation)]
    ordered = host_orders.operator_fence(view, snap, policy)
    if ordered:
        return ordered
    if (row.reason in UNDER_WAY and policy.mode is states.Mode.ACT and
            not view.is_resting):
        return [actions.PowerOn(row.host, row.generation)]
    late = LATE.get(row.reason)
    if late and view.state_s >= policy.power_on_wait_s:
        return host_moves.hold(view, late)
    return []


def _why_not_clean(view: snapshot.HostView) -> str:
    """Return why a host that reports has records open.

    nova-compute reports only after its start has cleaned up what was
    evacuated until then. What was done later, because it came back while its
    pets were leaving, is cleaned by the next start, and by nothing else.
    """
    if view.row.reason in ('waiting_for_cleanup', 'cleanup_missed') and (
            view.state_s >= CLEANUP_S):
        return 'cleanup_missed'
    return 'waiting_for_cleanup'


def release(view: snapshot.HostView, snap: snapshot.Snapshot,
            policy: policy_model.Policy) -> Actions:
    """Obey ``release HOST``: let it come back, and power it on where the
    policy and its devices allow it."""
    row = view.row
    order = safety.control_for(snap.controls, C.RELEASE, host=row.host)
    if order is None:
        return []
    powers_on = (policy.mode is states.Mode.ACT and
                 policy.power_on is not states.PowerOn.NEVER and
                 row.host in snap.can_power_on)
    return [host_moves.move(
        view, 'release', 'powering_on' if powers_on else 'release_requested',
        policy), actions.EndControl(order, 'the host is returning')]
