# SPDX-License-Identifier: Apache-2.0
"""What people, or trusted events, say about one host: obeyed or refused.

Pure. A word that would be a proof counts only while every witness is silent.
"""

from nova_pets.model import actions
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import detection
from nova_pets.planning import host_moves
from nova_pets.planning import safety

H = states.HostState
C = states.ControlKind

Actions = list[actions.Action]


def operator_fence(view: snapshot.HostView, snap: snapshot.Snapshot,
                    policy: policy_model.Policy) -> Actions:
    """Obey ``fence HOST``; refuse it with the reason."""
    order = safety.control_for(snap.controls, C.FENCE, host=view.row.host)
    if order is None or order.scope != 'host':
        return []
    why_not = safety.why_not_fence(view, snap, policy, by_operator=True)
    if why_not == 'heartbeat_moves':
        return [actions.EndControl(order, 'refused: ' + why_not)]
    if why_not:
        return host_moves.hold(view, why_not)
    if view.row.host not in snap.fence_bindings:
        return [actions.EndControl(order, 'refused: no_fence')]
    return [actions.FenceHost(view.row.host, view.row.generation,
                              'operator_fence', 'operator_fence'),
            actions.EndControl(order, 'fencing begins')]


def confirmation(view: snapshot.HostView, snap: snapshot.Snapshot
                  ) -> records.Control | None:
    word = safety.control_for(snap.controls, C.CONFIRM_FENCED,
                              host=view.row.host)
    if word is None or word.epoch != view.row.epoch:
        return None
    return word


def outside_proof(view: snapshot.HostView, snap: snapshot.Snapshot,
                   policy: policy_model.Policy) -> Actions:
    """A person's word or a trusted event, only while all are silent. A
    forced_down from before the silence is no word about it."""
    is_silent = (detection.all_silent(view, policy) and
                 not view.life_by_peer)
    word = confirmation(view, snap)
    if word is not None and is_silent:
        return [host_moves.move(view, 'confirmed', 'confirmed_off', policy,
                      proof=states.ProofKind.CONFIRMED),
                actions.EndControl(word, 'taken as proof')]
    forced_by_others = (view.service is not None and
                        view.service.forced_down and
                        not view.row.forced_down and
                        not view.was_forced_alive)
    has_epoch = view.row.state in (H.DOWN, H.UNPROVEN)
    is_trusted = (
        (policy.trust_forced_down and forced_by_others) or
        any(detection.has_event(view, event, policy)
            for event in sorted(policy.trusted_events)))
    if is_trusted and is_silent and has_epoch:
        return [host_moves.move(view, 'external_proof', 'external_off', policy,
                      proof=states.ProofKind.EXTERNAL)]
    return []
