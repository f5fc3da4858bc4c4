# SPDX-License-Identifier: Apache-2.0
"""What to do about one host: from silence to proof, and back.

Pure: a HostView and the rest of the snapshot in, actions out.
Source: design.md, sections 3 and 5; specs/0002-states.
"""

import collections.abc

from nova_pets.model import actions
from nova_pets.model import policy as policy_model
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import detection
from nova_pets.planning import homecoming
from nova_pets.planning import host_moves
from nova_pets.planning import host_orders
from nova_pets.planning import ladder
from nova_pets.planning import safety
from nova_pets.planning import storms

H = states.HostState
C = states.ControlKind

Actions = list[actions.Action]

_ALIVE = frozenset({'host_alive', 'agent_alive'})
STAYS_OFF_S = 60.0
"""How often the power of a host is read whose last pets wait for people."""


def plan_host(view: snapshot.HostView, snap: snapshot.Snapshot,
              policy: policy_model.Policy, is_wanted: bool) -> Actions:
    """Return the actions for one host that this engine may own.

    :param is_wanted: some pet needs the host to be proven off: a recovery
        from it is open, or it is the destination of an open attempt.
    """
    if view.row.host in snap.busy_hosts:
        return []
    planner = _PLANNERS[view.row.state]
    return planner(view, snap, policy, is_wanted)


def _up(view: snapshot.HostView, snap: snapshot.Snapshot,
        policy: policy_model.Policy, is_wanted: bool) -> Actions:
    judgement = detection.judge(view, policy)
    if judgement.verdict in (states.Verdict.SUSPECT, states.Verdict.DOWN):
        return [host_moves.move(view, 'silent', judgement.reason, policy)]
    return []


def _suspect(view: snapshot.HostView, snap: snapshot.Snapshot,
             policy: policy_model.Policy, is_wanted: bool) -> Actions:
    judgement = detection.judge(view, policy)
    if judgement.verdict is states.Verdict.UP:
        return [host_moves.move(view, 'alive', judgement.reason, policy)]
    ordered = host_orders.operator_fence(view, snap, policy)
    if ordered:
        return ordered
    if judgement.verdict is states.Verdict.DOWN:
        if not snap.is_sane:
            return host_moves.hold(view, 'own_view', snap.why_not_sane)
        return [host_moves.move(view, 'verdict_down', judgement.reason,
                                policy)]
    if safety.why_wait_for_dump(view, policy) == 'kdump':
        # The kernel that makes the dump may refuse connections.
        return host_moves.hold(view, 'kdump', _why_held('kdump', view, snap,
                                                        policy))
    climbed = ladder.climb(view, snap, policy)
    if climbed is not None:
        return climbed
    if (view.life_by_peer and view.row.reason in _ALIVE and
            judgement.reason != 'host_alive'):
        # Who sees most says why: two engines that see it differently would
        # else write their reasons by turns, for ever.
        return []
    return host_moves.hold(view, judgement.reason)


def is_flapping(view: snapshot.HostView, policy: policy_model.Policy
                ) -> bool:
    """True where the host was down so often within the window that nothing
    new should go there."""
    return 0 < policy.flap_count <= view.downs


def _alive(view: snapshot.HostView, reason: str,
           policy: policy_model.Policy) -> Actions:
    """Up again; by way of returning where forced_down is ours to clear, or
    not yet where it was down too often lately."""
    if is_flapping(view, policy):
        return [host_moves.move(view, 'flapping', 'flapping', policy)]
    if view.row.forced_down:
        return [host_moves.move(view, 'came_back', 'waiting_for_cleanup',
                                policy)]
    return [host_moves.move(view, 'alive', reason, policy)]


def _down(view: snapshot.HostView, snap: snapshot.Snapshot,
          policy: policy_model.Policy, is_wanted: bool) -> Actions:
    judgement = detection.judge(view, policy)
    row = view.row
    if judgement.verdict is states.Verdict.UP:
        return _alive(view, judgement.reason, policy)
    if not view.is_opened:
        return [actions.OpenRecoveries(row.host, row.generation, row.epoch)]
    proven = host_orders.outside_proof(view, snap, policy)
    if proven:
        return proven
    ordered = host_orders.operator_fence(view, snap, policy)
    if ordered:
        return ordered
    if not is_wanted:
        return host_moves.hold(view, 'not_wanted')
    by_ladder = ladder.is_fence_due(view, snap, policy)
    why_not = safety.why_not_fence(view, snap, policy, by_ladder=by_ladder)
    if why_not:
        return host_moves.hold(view, why_not, _why_held(why_not, view, snap,
                                                        policy))
    if row.host not in snap.fence_bindings:
        return [host_moves.move(view, 'cannot_fence', 'no_fence', policy)]
    retry_is_due = (row.reason == 'fence_owner_lost' or
                    view.state_s >= policy.fence_retry_s)
    if row.fence_attempts and not retry_is_due:
        return []
    if _is_left_to_peers(view, snap):
        return []
    return [actions.FenceHost(
        row.host, row.generation, 'fence',
        'service_fence' if by_ladder else 'fence_started')]


def _is_left_to_peers(view: snapshot.HostView, snap: snapshot.Snapshot
                      ) -> bool:
    return view.is_passed_on and len(snap.live_engines) > 1


def _why_held(reason: str, view: snapshot.HostView,
              snap: snapshot.Snapshot, policy: policy_model.Policy) -> str:
    """Return the numbers behind a hold that is told now; a storm counts all
    hosts, so not in each cycle of each host that it holds."""
    if reason == view.row.reason:
        return ''
    if reason == 'storm':
        return storms.why_storm(view.row.cell_uuid, snap, policy)
    if reason == 'day_limit':
        return storms.why_enough_today(view.row.host, snap, policy)
    return {'own_view': snap.why_not_sane,
            'peer_sees_life': f'{view.life_by_peer} does',
            'starting': f'for another {snap.grace_s:.0f} s',
            'recent_outage': f'for another {snap.calm_s:.0f} s',
            'kdump': f'heard for {view.dumping_s or 0:.0f} s: until its '
                     f'messages stop, at most {policy.kdump_limit_s:.0f} s',
            'kdump_wait': f'silent for {view.silent_s:.0f} s of '
                          f'{policy.kdump_wait_s:.0f} s'}.get(reason, '')


def _fencing(view: snapshot.HostView, snap: snapshot.Snapshot,
             policy: policy_model.Policy, is_wanted: bool) -> Actions:
    """Not busy here and mine to own: the engine that fenced is gone."""
    if host_orders.confirmation(view, snap):
        return host_orders.outside_proof(view, snap, policy)
    return [host_moves.move(view, 'fence_retry', 'fence_owner_lost', policy)]


def _unproven(view: snapshot.HostView, snap: snapshot.Snapshot,
              policy: policy_model.Policy, is_wanted: bool) -> Actions:
    judgement = detection.judge(view, policy)
    if judgement.verdict is states.Verdict.UP:
        return _alive(view, judgement.reason, policy)
    proven = host_orders.outside_proof(view, snap, policy)
    if proven:
        return proven
    ordered = host_orders.operator_fence(view, snap, policy)
    if ordered:
        return ordered
    has_new_device = (view.row.reason == 'no_fence' and
                      view.row.host in snap.fence_bindings)
    if has_new_device and is_wanted and not safety.why_not_fence(
            view, snap, policy):
        return [actions.FenceHost(view.row.host, view.row.generation,
                                  'fence', 'fence_started')]
    if _is_left_to_peers(view, snap):
        return []
    if not view.is_opened:
        return [actions.OpenRecoveries(view.row.host, view.row.generation,
                                       view.row.epoch)]
    return _off_by_now(view, snap, policy, is_wanted)


def _off_by_now(view: snapshot.HostView, snap: snapshot.Snapshot,
                policy: policy_model.Policy, is_wanted: bool) -> Actions:
    """Powered off since by a person, or by what has broken it, and a device
    that answers says so: proven as ever. What runs on is a person's matter:
    they may be at work on it."""
    row = view.row
    if (not is_wanted or row.host not in snap.fence_bindings or
            view.state_s < policy.fence_retry_s or
            safety.why_not_fence(view, snap, policy)):
        return []
    off_s = view.power_off_s
    if (off_s is not None and off_s < view.state_s and
            off_s <= policy.fence_fresh_s):
        return [actions.FenceHost(row.host, row.generation, 'fence',
                                  'reads_off')]
    return [] if view.is_resting else [
        actions.ReadPower(row.host, row.generation)]


def _fenced(view: snapshot.HostView, snap: snapshot.Snapshot,
            policy: policy_model.Policy, is_wanted: bool) -> Actions:
    row = view.row
    broken = safety.why_not_trust_proof(view, policy)
    if broken:
        return [host_moves.move(view, 'life_seen', broken, policy)]
    if policy.mode is not states.Mode.ACT:
        return host_moves.hold(view, 'mode_observe')
    if not row.forced_down or (view.service is not None and
                               not view.service.forced_down):
        return [actions.ForceDown(row.host, row.generation, row.epoch)]
    if not view.is_opened:
        return [actions.OpenRecoveries(row.host, row.generation, row.epoch)]
    if not is_wanted and not view.open_recoveries:
        return [host_moves.move(view, 'vacated', 'vacated', policy)]
    # While pets are on their way, often; as long as one is left there that
    # waits for a person, now and then.
    fresh_s = (policy.fence_fresh_s / 2 if is_wanted else
               max(policy.fence_fresh_s, STAYS_OFF_S))
    is_stale = view.power_off_s is None or view.power_off_s > fresh_s
    if row.proof is states.ProofKind.POWER_OFF and is_stale:
        return [actions.ReadPower(row.host, row.generation)]
    return []


def _quarantined(view: snapshot.HostView, snap: snapshot.Snapshot,
                 policy: policy_model.Policy, is_wanted: bool) -> Actions:
    released = homecoming.release(view, snap, policy)
    if released:
        return released
    ordered = host_orders.operator_fence(view, snap, policy)
    if ordered:
        return ordered
    proven = host_orders.outside_proof(view, snap, policy)
    if proven:
        return proven
    if (view.row.reason == 'flapping' and
            view.state_s >= policy.flap_calm_s and
            detection.judge(view, policy).verdict is states.Verdict.UP):
        return [host_moves.move(view, 'calm', 'waiting_for_cleanup', policy)]
    if (detection.all_silent(view, policy) and snap.is_sane and
            view.state_s >= detection.down_after_s(policy)):
        return _silent_again(view, policy)
    return []


def _silent_again(view: snapshot.HostView, policy: policy_model.Policy
                  ) -> Actions:
    """Silent all the time since life was seen; but somebody may have switched
    it on, and it boots: it is not killed for that, unless it is off again, or
    had come up, and fell silent after that."""
    is_booting = (view.row.reason == 'power_not_off' and
                  view.state_s < policy.power_on_wait_s and
                  not _is_off_again(view) and not _had_come_up(view, policy))
    if is_booting:
        return [] if view.is_resting else [
            actions.ReadPower(view.row.host, view.row.generation)]
    return [host_moves.move(view, 'silent_again', 'all_silent', policy)]


def _is_off_again(view: snapshot.HostView) -> bool:
    """Whether its power was read as off since it was not."""
    return view.power_off_s is not None and view.power_off_s < view.state_s


def _had_come_up(view: snapshot.HostView, policy: policy_model.Policy
                 ) -> bool:
    """Whether its heartbeat was seen to move well after the state began."""
    return (view.has_moved and
            view.silent_s + detection.down_after_s(policy) < view.state_s)


_PLANNERS: dict[states.HostState, collections.abc.Callable[
    [snapshot.HostView, snapshot.Snapshot, policy_model.Policy, bool],
    Actions]] = {
    H.UP: _up, H.SUSPECT: _suspect, H.DOWN: _down, H.FENCING: _fencing,
    H.FENCED: _fenced, H.VACATED: homecoming.vacated,
    H.RETURNING: homecoming.returning,
    H.QUARANTINED: _quarantined, H.UNPROVEN: _unproven}
