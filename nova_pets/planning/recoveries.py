# SPDX-License-Identifier: Apache-2.0
"""What to do about one recovery: the attempt protocol as decisions.

Pure: a RecoveryView and the rest of the snapshot in, actions out. What a
failed attempt left is planning/settling.py's business.
Source: design.md, section 4; specs/0004-attempt-protocol.
"""

import collections.abc
import typing

from nova_pets.model import actions
from nova_pets.model import observations
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import instance_states
from nova_pets.planning import safety
from nova_pets.planning import watching

H = states.HostState
R = states.RecoveryState
C = states.ControlKind

Actions = list[actions.Action]

def plan_recovery(view: snapshot.RecoveryView, snap: snapshot.Snapshot,
                  policy: policy_model.Policy) -> Actions:
    """Return the actions for one open recovery that I may own.

    READY recoveries are only prepared here; planner.py begins attempts, as
    it alone sees priorities and limits.
    """
    if view.is_busy:
        return []
    ordered = _orders(view, snap)
    if ordered:
        return ordered
    planner = _PLANNERS[view.row.state]
    return planner(view, snap, policy)


def hold(view: snapshot.RecoveryView, reason: str, detail: str = ''
         ) -> Actions:
    if view.row.reason == reason and view.row.detail == detail:
        return []
    return [actions.Hold(kind='recovery', key=watching.recovery_id(view),
                         generation=view.row.generation, reason=reason,
                         detail=detail)]


def _orders(view: snapshot.RecoveryView, snap: snapshot.Snapshot
            ) -> Actions:
    """Obey retry, recover and abandon of an operator."""
    row = view.row
    order = safety.control_for(snap.controls, C.ABANDON, host=row.source,
                               instance=row.instance_uuid)
    if order and row.state not in states.IN_FLIGHT:
        return [watching.move(
            view, 'abandon', 'operator_abandon', order.reason,
            attempt_changes={'gate': states.Gate.CLOSED,
                             'outcome': states.Outcome.UNSETTLED}),
                *_ended(order)]
    order = (safety.control_for(snap.controls, C.RETRY, host=row.source,
                                instance=row.instance_uuid) or
             safety.control_for(snap.controls, C.RECOVER, host=row.source,
                                instance=row.instance_uuid))
    if order is None:
        return []
    urgent: dict[str, typing.Any] = {'urgent': True}
    if row.state is R.NEEDS_OPERATOR:
        # Who asks so has been told what it says: that the destination does
        # not work on it any more (settling, (c)).
        says_ended = row.reason == 'building_slow'
        return [watching.move(
            view, 'retry', 'operator_retry', order.reason, urgent,
            {'reason': 'said_to_be_over', 'detail': order.reason}
            if says_ended else None,
            view.open_attempt or _last_that_arrived(view)), *_ended(order)]
    if row.state is R.WAITING:
        return [watching.move(view, 'due', 'operator_retry', order.reason,
                              urgent),
                *_ended(order)]
    return _ended(order)


def _last_that_arrived(view: snapshot.RecoveryView
                       ) -> records.Attempt | None:
    """Whose work a person speaks of where no attempt is open: home again,
    and nova says that another host builds it (returning, _elsewhere)."""
    return next((attempt for attempt in reversed(view.attempts)
                 if attempt.outcome in safety.HAS_ARRIVED), None)


def _ended(order: records.Control) -> Actions:
    """A host-wide order stays for its other instances; the engine ends it
    when none is left to obey (planner.py)."""
    if order.scope != 'instance':
        return []
    return [actions.EndControl(order, 'obeyed')]


def _gone(view: snapshot.RecoveryView) -> Actions:
    """End what has nothing left to recover; no attempt is open here."""
    trace = view.trace
    if trace is None:
        return []
    closed = {'gate': states.Gate.CLOSED,
              'outcome': states.Outcome.UNSETTLED}
    if instance_states.is_gone(trace.instance):
        return [watching.move(view, 'abandon', 'deleted',
                              attempt_changes=closed)]
    assert trace.instance is not None  # nosec: is_gone covers None
    found = instance_states.rule_for(trace.instance.vm_state,
                                     trace.instance.task_state)
    if found.rule is instance_states.Rule.ABANDON:
        return [watching.move(view, 'abandon', found.reason,
                              attempt_changes=closed)]
    if view.is_tagged is False:
        return [watching.move(view, 'abandon', 'untagged',
                              attempt_changes=closed)]
    return []


def _pending(view: snapshot.RecoveryView, snap: snapshot.Snapshot,
             policy: policy_model.Policy) -> Actions:
    gone = _gone(view)
    if gone:
        return gone
    source = snap.hosts.get(view.row.source)
    if source is None:
        return []
    found = view.trace.instance if view.trace else None
    if found is not None and found.host != view.row.source:
        if safety.destination_state(snap, found.host) in (
                watching.DEAD_DESTINATION):
            # It had left a dead host for this one, and the cell forgot it.
            return watching.arrived(view)
        return [watching.move(view, 'abandon', 'moved_away',
                              f'on {found.host}')]
    if source.row.state is H.UP or (safety.runs_on(source.row) and
                                    not source.row.forced_down):
        return _at_home(view, policy)
    if (source.row.state is H.FENCED and
            source.row.epoch >= view.row.epoch):
        return [watching.move(view, 'source_proven', 'source_proven', '',
                              {'epoch': source.row.epoch})]
    return hold(view, 'source_down', f'{source.row.host} is '
                f'{source.row.state}')


def _ready(view: snapshot.RecoveryView, snap: snapshot.Snapshot,
           policy: policy_model.Policy) -> Actions:
    attempt = view.open_attempt
    if attempt is None:
        return _before_attempt(view, snap)
    # Its record would else look like somebody's.
    early = _gone(view) or watching.arrived(view)
    if early or view.trace is None:
        return early
    return [watching.failed(view, 'unsettled', attempt.reason
                            if attempt.reason == 'said_to_be_over'
                            else 'operator_retry',
                            'an earlier attempt is settled first')]


def _before_attempt(view: snapshot.RecoveryView,
                    snap: snapshot.Snapshot) -> Actions:
    """What goes before any attempt: READY and WAITING share it."""
    early = _gone(view) or watching.arrived(view)
    if early or view.trace is None:
        return early
    source = snap.hosts.get(view.row.source)
    if source is None or source.row.state not in states.PROVEN_OFF:
        return [watching.move(view, 'source_unproven', 'source_down',
                              'the proof of its host is gone')]
    return _foreign(view, view.trace)


def _foreign(view: snapshot.RecoveryView, trace: observations.Trace
             ) -> Actions:
    """Step 0: record what our attempts do not explain; it is settled
    before anything else."""
    strange = safety.unexplained(view.row, view.attempts, trace)
    if not strange:
        return []
    record = strange[0]
    return [actions.RecordForeign(
        recovery_id=watching.recovery_id(view), generation=view.row.generation,
        request_id=foreign_request(view, trace),
        migration_id=record.id, destination=record.destination,
        detail=f'migration {record.id} is {record.status}'
               + (f' on {record.destination}' if record.destination
                  else ''))]


def foreign_request(view: snapshot.RecoveryView,
                    trace: observations.Trace) -> str:
    """Return the request_id of somebody's evacuation, '' if it is not
    clear which one."""
    ours = {attempt.action_id for attempt in view.attempts}
    strange = [request for request in trace.actions if request not in ours]
    return strange[0] if len(strange) == 1 else ''


def why_not_begin(view: snapshot.RecoveryView, snap: snapshot.Snapshot,
                  policy: policy_model.Policy) -> tuple[str, str] | None:
    """Return (reason, detail) for which a READY recovery stays READY, or
    None: its attempt may begin."""
    row = view.row
    source = snap.hosts.get(row.source)
    why_not = safety.why_not_evacuate(source, policy)
    if why_not:
        return why_not, ''
    if not snap.is_sane:
        return 'own_view', snap.why_not_sane
    paused = safety.control_for(
        snap.controls, C.PAUSE, host=row.source, cell_uuid=row.cell_uuid,
        instance=row.instance_uuid)
    if paused:
        return 'paused', paused.reason
    return None


def why_needs_operator(found: observations.Instance
                       ) -> tuple[str, str] | None:
    """Return why nova's row forbids an attempt without a person."""
    applied = instance_states.rule_for(found.vm_state, found.task_state)
    if applied.rule in (instance_states.Rule.OPERATOR,
                        instance_states.Rule.LEAVE):
        return applied.reason, applied.about
    return None


def _desired_power(row: records.Recovery, found: observations.Instance
                   ) -> states.DesiredPower:
    """Return what is wanted after this attempt. Nova's own attempts leave
    vm_states that mean nothing; before the first one, a stop or a pause
    since the recovery was opened is the owner's."""
    wanted = instance_states.last_word(found.task_state)
    if wanted is not None:
        return wanted
    if row.attempts == 0 and found.vm_state in ('stopped', 'paused'):
        return states.DesiredPower.STOPPED
    return row.desired_power


def begin(view: snapshot.RecoveryView) -> Actions:
    """Return the intent of the next attempt (limits were asked)."""
    trace = view.trace
    assert trace is not None and trace.instance is not None  # nosec
    found = trace.instance
    refused = why_needs_operator(found)
    if refused:
        return [watching.move(view, 'needs_operator', *refused)]
    floor = max((record.id for record in trace.migrations), default=0)
    desired = _desired_power(view.row, found)
    return [actions.BeginAttempt(
        recovery_id=watching.recovery_id(view), generation=view.row.generation,
        vm_state=found.vm_state, task_state=found.task_state,
        desired_power=desired, migration_floor=floor,
        detail=_what_is_new(view.row, found, desired))]


def _what_is_new(row: records.Recovery, found: observations.Instance,
                 desired: states.DesiredPower) -> str:
    """Return, for the history, what the claim of this attempt replaces."""
    told = []
    if (found.vm_state, found.task_state) != (row.original_vm_state, None):
        told.append(f'nova says {found.vm_state}, {found.task_state}')
    if desired is not row.desired_power:
        told.append(f'to be {desired}')
    return '; '.join(told)


def _requesting(view: snapshot.RecoveryView, snap: snapshot.Snapshot,
                policy: policy_model.Policy) -> Actions:
    """Not busy here, and mine or ownerless: the caller died in the call."""
    return [watching.failed(view, 'uncertain', 'owner_lost')]


def _settling(view: snapshot.RecoveryView, snap: snapshot.Snapshot,
              policy: policy_model.Policy) -> Actions:
    attempt = view.open_attempt
    return [actions.SettleAttempt(
        watching.recovery_id(view), view.row.generation,
        attempt.id if attempt else None)]


def _waiting(view: snapshot.RecoveryView, snap: snapshot.Snapshot,
             policy: policy_model.Policy) -> Actions:
    before = _before_attempt(view, snap)
    if before:
        return before
    if view.row.urgent or view.state_s >= view.row.wait_s:
        return [watching.move(view, 'due', 'queued')]
    return []


def _verifying(view: snapshot.RecoveryView, snap: snapshot.Snapshot,
               policy: policy_model.Policy) -> Actions:
    row = view.row
    state = safety.destination_state(snap, row.destination)
    if state in watching.DEAD_DESTINATION and row.destination:
        return [watching.move(view, 'rebase', 'rebased',
                              f'{row.destination} is {state}',
                              {'source': row.destination, 'destination': None,
                               'epoch': snap.hosts[row.destination].row.epoch,
                               'excluded': ()})]
    if view.trace is None:
        return []
    return [actions.VerifyInstance(watching.recovery_id(view),
                                   row.generation, None)]


def _needs_operator(view: snapshot.RecoveryView, snap: snapshot.Snapshot,
                    policy: policy_model.Policy) -> Actions:
    found = view.trace.instance if view.trace else None
    is_unwell = found is not None and (
        found.task_state is not None or found.vm_state == 'error')
    early = _gone(view)
    if not (view.row.reason == 'verify_failed' and is_unwell):
        early = early or watching.arrived(view)
    if early:
        return early
    source = snap.hosts.get(view.row.source)
    if source is None or source.row.state is not H.UP:
        return []
    if view.row.destination != view.row.source:
        return [_returned(view)]
    found = view.trace.instance if view.trace else None
    if (view.row.reason == 'stopped_at_home' and found is not None and
            found.vm_state != 'stopped'):
        return [watching.move(view, 'retry', 'source_returned',
                              f'vm_state {found.vm_state}')]
    return []


def _at_home(view: snapshot.RecoveryView, policy: policy_model.Policy
             ) -> Actions:
    """Its host is up again: look whether the pet is, unless somebody else's
    evacuation may have left a guest elsewhere, or nothing may be done."""
    if view.trace is None:
        return []
    elsewhere = [record for record in safety.unexplained(
        view.row, view.attempts, view.trace) if record.destination]
    if elsewhere or policy.mode is not states.Mode.ACT:
        return [watching.move(view, 'abandon', 'source_returned')]
    return [watching.move(view, 'source_returned', 'source_returned', '',
                          {'destination': view.row.source})]


def _returned(view: snapshot.RecoveryView) -> actions.MoveRecovery:
    """Only a host without any open evacuation record comes back as up, so
    an attempt that is still open here is over."""
    return watching.move(view, 'source_returned', 'source_returned',
                         attempt_changes={'gate': states.Gate.CLOSED,
                                          'outcome': states.Outcome.UNSETTLED})


_PLANNERS: dict[states.RecoveryState, collections.abc.Callable[
    [snapshot.RecoveryView, snapshot.Snapshot, policy_model.Policy],
    Actions]] = {
    R.PENDING: _pending, R.READY: _ready, R.REQUESTING: _requesting,
    R.SCHEDULING: watching.plan_scheduling,
    R.BUILDING: watching.plan_building,
    R.VERIFYING: _verifying, R.SETTLING: _settling, R.WAITING: _waiting,
    R.NEEDS_OPERATOR: _needs_operator}
