# SPDX-License-Identifier: Apache-2.0
"""The gates before the two acts that cannot be taken back.

Pure. Each function returns a reason code, or None when nothing speaks
against the act. What cannot be closed: a process stopped between its last
check and one outside call may still finish that one call when it wakes.
"""

import collections.abc
import datetime

from nova_pets.model import observations
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import detection
from nova_pets.planning import storms


def control_for(controls: tuple[records.Control, ...],
                kind: states.ControlKind, host: str = '',
                cell_uuid: str = '', instance: str = ''
                ) -> records.Control | None:
    """Return the first active order of a kind whose scope covers it."""
    for control in controls:
        if control.kind is not kind or not control.active:
            continue
        if (control.scope == 'all' or
                (control.scope == 'cell' and
                 control.target == cell_uuid != '') or
                (control.scope == 'host' and control.target == host != '') or
                (control.scope == 'instance' and
                 control.target == instance != '')):
            return control
    return None


def why_not_fence(view: snapshot.HostView, snap: snapshot.Snapshot,
                  policy: policy_model.Policy, by_operator: bool = False,
                  by_ladder: bool = False) -> str | None:
    """Return why no power-off may be sent to this host now.

    An operator's order passes the grace after a start or an outage, storms,
    the limit of a day, a memory dump, maintenance and disabled services, but
    never a moving heartbeat, an untrusted view, or observe mode.

    :param by_ladder: its bindings let it be fenced although the machine
        answers (planning/ladder.py); nothing else is passed.
    """
    if policy.mode is not states.Mode.ACT:
        return 'mode_observe'
    if not snap.is_sane:
        return 'own_view'
    judgement = detection.judge(view, policy)
    if by_operator:
        moving = judgement.verdict in (states.Verdict.UP,
                                       states.Verdict.UNKNOWN)
        return 'heartbeat_moves' if moving else None
    if judgement.verdict is not states.Verdict.DOWN and not (
            by_ladder and judgement.reason == 'host_alive'):
        return judgement.reason
    if view.life_by_peer and not by_ladder:
        return 'peer_sees_life'
    if view.row.fence_detail == records.WRONG_DEVICE:
        return 'wrong_device'
    if snap.grace_s > 0:
        return 'starting'
    if snap.calm_s > 0:
        return 'recent_outage'
    row = view.row
    if control_for(snap.controls, states.ControlKind.MAINTENANCE,
                   host=row.host):
        return 'maintenance'
    if view.service is not None and view.service.disabled:
        return 'service_disabled'
    if control_for(snap.controls, states.ControlKind.PAUSE, host=row.host,
                   cell_uuid=row.cell_uuid):
        return 'paused'
    waiting = why_wait_for_dump(view, policy)
    if waiting:
        return waiting
    approved = control_for(snap.controls, states.ControlKind.APPROVAL,
                           host=row.host, cell_uuid=row.cell_uuid)
    counts = approved is not None and approved.epoch in (None, row.epoch)
    if storms.why_storm(row.cell_uuid, snap, policy) and not counts:
        return 'storm'
    if storms.why_enough_today(row.host, snap, policy) and not counts:
        return 'day_limit'
    return None


def why_wait_for_dump(view: snapshot.HostView, policy: policy_model.Policy
                      ) -> str | None:
    """Return why a crashed host keeps its power a little longer: it writes
    its memory to a disk, or may be about to. Anybody can forge what says so,
    so each delay has an end."""
    if (view.dumping_s is not None and
            view.dumping_s < policy.kdump_limit_s):
        return 'kdump'
    if policy.listens_for_kdump and view.silent_s < policy.kdump_wait_s:
        return 'kdump_wait'
    return None


def sign_of_life(words: tuple[observations.Evidence, ...],
                 policy: policy_model.Policy, by_ladder: bool = False
                 ) -> str | None:
    """Return why a power-off that is due may not be sent any more (I4).

    :param words: of the host's witnesses, right before the request. Without
        a fresh one of the machine itself nothing is known, so no.
    :param by_ladder: that the machine answers is known, and no reason.
    """
    for word in detection.lively(words, policy):
        if by_ladder and word.path is states.WitnessPath.HOST:
            continue
        return f'{word.detector} sees life: {word.detail}'
    if not any(detection.is_host_level(word) and
               detection.is_fresh(word, policy) for word in words):
        return 'no witness has looked at the machine lately'
    return None


def why_blind(references: dict[str, tuple[observations.Evidence, ...]],
              policy: policy_model.Policy) -> str:
    """Return why the silence of a host-level witness means nothing: it does
    not see hosts either whose heartbeat moves (this engine is cut off, or
    the port is closed everywhere). '' if it sees one, or has none to look
    at.

    :param references: words about hosts whose heartbeat moves.
    """
    seen: dict[str, list[states.Sign]] = {}
    for _, words in sorted(references.items()):
        for word in words:
            if (word.path is states.WitnessPath.HOST and
                    word.age_s <= policy.evidence_max_age_s):
                seen.setdefault(word.detector, []).append(word.sign)
    for detector, signs in sorted(seen.items()):
        if states.Sign.LIFE not in signs:
            return (f'witness {detector} sees no host, not even '
                    f'{", ".join(sorted(references))}, whose heartbeat moves')
    return ''


def why_not_trust_proof(view: snapshot.HostView,
                        policy: policy_model.Policy) -> str | None:
    """Return why the host's proof is void: a sign of life (W16, W20).

    Only what a witness saw after the proof counts, so after this engine
    first saw the present state: a person may fence a host that answered
    until then.
    """
    lively = [word for word in detection.signs_of_life(view, policy)
              if word.age_s < view.state_s]
    if view.count_moved or lively or view.life_by_peer:
        return 'life_after_proof'
    if (view.row.proof is states.ProofKind.EXTERNAL and
            policy.trusted_events and
            detection.has_event(view, observations.RESET, policy)):
        return 'reset_after_proof'
    return None


def why_not_evacuate(view: snapshot.HostView | None,
                     policy: policy_model.Policy) -> str | None:
    """Return why nothing may be evacuated from this host now."""
    if policy.mode is not states.Mode.ACT:
        return 'mode_observe'
    if view is None or view.row.state is not states.HostState.FENCED:
        return 'source_down'
    row = view.row
    if row.proof is None:
        return 'source_down'
    if view.service is None:
        return 'own_view'
    broken = why_not_trust_proof(view, policy)
    if broken:
        return broken
    if row.proof is states.ProofKind.POWER_OFF:
        if (view.power_off_s is None or
                view.power_off_s > policy.fence_fresh_s):
            return 'proof_stale'
        if detection.signs_of_life(view, policy):
            # From before the power-off, or the proof would be void: a BMC
            # that lies is found by who answered until then.
            return 'witness_due'
    elif not detection.all_silent(view, policy):
        return 'life_after_proof'
    if not row.forced_down or not view.service.forced_down:
        return 'not_forced_down'
    return None


def may_own(owner: str | None, snap: snapshot.Snapshot) -> bool:
    """True where I own the row or its owner is gone."""
    return (owner is None or owner == snap.me or
            owner not in snap.live_engines)


def destination_state(snap: snapshot.Snapshot, host: str | None
                      ) -> states.HostState | None:
    """Return the state of a destination; None: no such host is known. One
    that came and went too often runs what it has: it counts as up here."""
    view = snap.hosts.get(host or '')
    if view is None:
        return None
    return states.HostState.UP if runs_on(view.row) else view.row.state


def runs_on(row: records.Host) -> bool:
    """Whether the host is quarantined only because it came and went: its
    heartbeat moved, so that its guests and its nova-compute run on."""
    return (row.state is states.HostState.QUARANTINED and
            row.reason == 'flapping')


def unexplained(recovery: records.Recovery,
                attempts: tuple[records.Attempt, ...],
                trace: observations.Trace) -> list[observations.Migration]:
    """Return evacuation records from the source that no attempt explains.

    Open ones always count, and of any source those that nobody has taken:
    conductor takes the oldest of them for whatever is asked next (F7). A
    failed one may mean a guest on its destination (F4), and so may one that
    the returning source completed (W18), or one that was done, and the cell
    forgot that the instance lives there; unless the instance was launched
    again since.
    """
    known = {attempt.migration_id for attempt in attempts
             if attempt.migration_id is not None}
    found = []
    for record in trace.migrations:
        if record.id in known:
            continue
        if record.status == 'accepted':
            found.append(record)
        elif record.source != recovery.source:
            continue
        elif record.status == 'pre-migrating' or (
                record.status in ('failed', 'error', 'completed', 'done') and
                record.destination and
                not _was_launched_since(record, trace)):
            found.append(record)
    return found


CLOCKS_DIFFER = datetime.timedelta(hours=1)


def _was_launched_since(record: observations.Migration,
                        trace: observations.Trace) -> bool:
    """Whether the instance was launched again after the record was last
    touched.

    A destination stamps launches by its own clock, which may run ahead of
    the one that stamps records, and the launch of this very record is older
    than its failure. So a little later is not enough, unless nova says in
    another way that an evacuation since then has ended well.
    """
    launched = trace.instance and trace.instance.launched_at
    touched = record.updated_at or record.created_at
    if not (launched and touched and launched > touched):
        return False
    if launched - touched > CLOCKS_DIFFER:
        return True
    there, well = -1, -1
    for events in trace.events.values():
        for event in events:
            if event.name != 'compute_rebuild_instance':
                continue
            if event.host == record.destination:
                there = max(there, event.id)
            if event.result == 'Success':
                well = max(well, event.id)
    return well > there


def hosts_of_lost(recovery: records.Recovery,
                  attempt: records.Attempt | None,
                  trace: observations.Trace, snap: snapshot.Snapshot
                  ) -> set[str]:
    """Return the hosts that may have a guest of an attempt whose records
    the cell has lost: the one where it was seen, else all of the cell."""
    if attempt is None:
        return set()
    if attempt.destination and (attempt.reason == 'records_lost' or
                                _is_forgotten(attempt, trace)):
        return {attempt.destination} - {recovery.source}
    if attempt.reason != 'records_lost':
        return set()
    return {host for host, view in snap.hosts.items()
            if view.row.cell_uuid == recovery.cell_uuid} - {recovery.source}


HAS_ARRIVED = (states.Outcome.SUCCEEDED, states.Outcome.ADOPTED)
_SAYS_NOTHING = (states.Outcome.OPEN, states.Outcome.NOT_SENT)


def undone_arrivals(recovery: records.Recovery,
                    attempts: tuple[records.Attempt, ...]) -> set[str]:
    """Return where the pet of this recovery, which is to be evacuated again,
    had arrived by its last attempt. Its cell forgot that; its guest may run
    there, and need not even hold room (it is adopted where placement refuses
    it). An attempt that was settled since has asked there.
    """
    for attempt in reversed(attempts):
        if attempt.outcome in _SAYS_NOTHING:
            continue
        if attempt.outcome in HAS_ARRIVED and attempt.destination:
            return {attempt.destination} - {recovery.source}
        break
    return set()


_SEEN_NOWHERE = frozenset({'not_taken', 'said_to_be_over'})


def _is_forgotten(attempt: records.Attempt, trace: observations.Trace
                  ) -> bool:
    """Whether the attempt was seen to be built, and no record and no event
    says so any more: the cell failed over after the attempt had ended."""
    if (attempt.kind is not states.AttemptKind.OWN or
            attempt.reason in _SEEN_NOWHERE):
        return False
    return not any(
        record.destination == attempt.destination
        for record in trace.migrations) and not any(
        event.host == attempt.destination
        for event in trace.events.get(attempt.action_id, ()))


_ENDED = ('failed', 'error', 'completed')


def settled_before(migration_id: int | None,
                   earlier: collections.abc.Iterable[records.Attempt],
                   trace: observations.Trace) -> records.Attempt | None:
    """Return the attempt of any recovery whose record this is, if that was
    settled: its destination had failed and said so, or was proven off. Its
    action may say for ever that it is at work there.

    A replica of the cell's database may give an id again, or open a record
    that had ended. So nova has to know besides that this very request reached
    that host, and that the record has ended.
    """
    destinations = {record.destination for record in trace.migrations
                    if record.id == migration_id and record.status in _ENDED}
    for attempt in earlier:
        if (attempt.migration_id != migration_id or
                attempt.outcome is not states.Outcome.FAILED or
                attempt.destination not in destinations):
            continue
        reached = {event.host for event in
                   trace.events.get(attempt.action_id, ())
                   if event.name == 'compute_rebuild_instance'}
        if attempt.destination is not None and (
                attempt.destination in reached):
            return attempt
    return None


def foreign_hosts(recovery: records.Recovery,
                  attempts: tuple[records.Attempt, ...],
                  trace: observations.Trace) -> set[str]:
    """Return the hosts that somebody else's evacuations reached since the
    last one that ended well, and where theirs did not: no record need name
    them, as two requests may have used one (F7).
    """
    ours = {attempt.action_id for attempt in attempts}
    computed = [(request, event) for request, known in trace.events.items()
                for event in known
                if event.name == 'compute_rebuild_instance']
    last_good = max((event.id for _, event in computed
                     if event.result == 'Success'), default=-1)
    return {event.host for request, event in computed
            if event.id > last_good and request not in ours and
            event.host and event.host != recovery.source}
