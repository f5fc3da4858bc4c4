# SPDX-License-Identifier: Apache-2.0
"""The service is dead and its machine lives: alarm, restart, or fence.

Pure. Without a ladder in the bindings of the host it is alarm only: healthy
guests are not killed for a dead agent. A ladder first restarts nova-compute,
a few times in one silence; only where it says so is the host fenced, guests
and all, after a silence that is long.
Source: specs/0010-fencing.
"""

from nova_pets.model import actions
from nova_pets.model import policy as policy_model
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import detection
from nova_pets.planning import host_moves
from nova_pets.planning import safety
from nova_pets.planning import storms

C = states.ControlKind

TRIES = 'restarts'
"""In the evidence of a SUSPECT host: restarts begun in this silence."""

Actions = list[actions.Action]


def climb(view: snapshot.HostView, snap: snapshot.Snapshot,
          policy: policy_model.Policy) -> Actions | None:
    """Return what to do about a SUSPECT host whose machine answers; None
    where the alarm is all, or it is too early."""
    ladder = snap.ladders.get(view.row.host)
    if ladder is None or not is_service_dead(view, policy):
        return None
    if is_fence_due(view, snap, policy) and not safety.why_not_fence(
            view, snap, policy, by_ladder=True):
        return [host_moves.move(view, 'verdict_down', 'service_dead', policy)]
    if view.silent_s < ladder.after_s:
        return None
    if view.is_resting:
        return []
    tried = int(view.row.evidence.get(TRIES, 0))
    if tried >= ladder.tries:
        return host_moves.hold(view, 'service_restart_failed')
    why_not = why_not_restart(view, snap, policy)
    if why_not:
        return host_moves.hold(view, why_not)
    return [actions.RestartService(view.row.host, view.row.generation,
                                   tried + 1, ladder.tries)]


def is_service_dead(view: snapshot.HostView, policy: policy_model.Policy
                    ) -> bool:
    """True while the heartbeat is silent, the machine answers, and
    nova-compute itself does not on any path."""
    judgement = detection.judge(view, policy)
    agents = [word for word in detection.signs_of_life(view, policy)
              if word.path is states.WitnessPath.AGENT]
    return judgement.reason == 'host_alive' and not agents


def why_not_restart(view: snapshot.HostView, snap: snapshot.Snapshot,
                    policy: policy_model.Policy) -> str | None:
    """Return why nova-compute may not be restarted by us now. Where many are
    silent, restarting them all mends nothing."""
    if policy.mode is not states.Mode.ACT:
        return 'mode_observe'
    if not snap.is_sane:
        return 'own_view'
    if snap.grace_s > 0:
        return 'starting'
    if safety.control_for(snap.controls, C.MAINTENANCE, host=view.row.host):
        return 'maintenance'
    if view.service is not None and view.service.disabled:
        return 'service_disabled'
    if safety.control_for(snap.controls, C.PAUSE, host=view.row.host,
                          cell_uuid=view.row.cell_uuid):
        return 'paused'
    if storms.why_storm(view.row.cell_uuid, snap, policy):
        return 'storm'
    return None


def is_fence_due(view: snapshot.HostView, snap: snapshot.Snapshot,
                 policy: policy_model.Policy) -> bool:
    """True where the ladder's last step has its turn; the other gates of a
    power-off are asked besides (safety.why_not_fence)."""
    ladder = snap.ladders.get(view.row.host)
    return (ladder is not None and ladder.then_fence and
            view.silent_s >= ladder.fence_after_s and
            is_service_dead(view, policy))
