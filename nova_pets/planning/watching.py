# SPDX-License-Identifier: Apache-2.0
"""What becomes of a request that Nova has: arrived, failed, or silent.

Pure: a RecoveryView and the rest of the snapshot in, actions out. The states
SCHEDULING and BUILDING; what a failed attempt left is planning/settling.py's.
Source: design.md, section 4; specs/0004-attempt-protocol.
"""

import typing

from nova_pets.model import actions
from nova_pets.model import observations
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import safety

H = states.HostState

Actions = list[actions.Action]

DEAD_DESTINATION = frozenset({
    H.DOWN, H.FENCING, H.FENCED, H.VACATED, H.QUARANTINED, H.UNPROVEN,
    H.RETURNING})
"""The destination is a host failure of its own now."""
_NOT_TAKEN = frozenset({'destination_down', 'scheduling_lost'})
"""What befalls a request that only placement knows the destination of."""


def plan_scheduling(view: snapshot.RecoveryView, snap: snapshot.Snapshot,
                policy: policy_model.Policy) -> Actions:
    ended = _in_flight(view, snap)
    if ended or view.trace is None:
        return ended
    attempt = view.open_attempt
    if attempt is None:
        return [move(view, 'failed', 'owner_lost')]
    record = own_record(view)
    computed = _events(view, 'compute_rebuild_instance')
    destination = (record.destination if record else None) or (
        computed[0].host if computed else None) or attempt.destination
    if destination:
        return [move(view, 'destination_known', 'destination_known',
                     f'on {destination}', {'destination': destination},
                     {'destination': destination,
                      'migration_id': record.id if record else None})]
    conducted = _events(view, 'rebuild_server')
    is_conducted = any(event.finished for event in conducted)
    holders = {event.host for event in conducted if event.host}
    if not is_conducted and holders & snap.conductors_silent:
        return [failed(view, 'failed', 'scheduling_lost',
                        f'conductor {", ".join(sorted(holders))} is silent')]
    if view.state_s >= policy.scheduling_timeout_s:
        # Also when the conductor is done: placement may have lost what would
        # tell the destination.
        return [failed(view, 'failed', 'scheduling_lost',
                        f'no news for {view.state_s:.0f} s')]
    if is_conducted and view.state_s >= policy.locate_after_s:
        assert attempt.id is not None  # nosec: rows read have an id
        return [actions.LocateDestination(
            recovery_id(view), view.row.generation, attempt.id)]
    return []


def plan_building(view: snapshot.RecoveryView, snap: snapshot.Snapshot,
              policy: policy_model.Policy) -> Actions:
    ended = _in_flight(view, snap)
    if ended or view.trace is None:
        return ended
    attempt = view.open_attempt
    destination = attempt.destination if attempt else view.row.destination
    state = safety.destination_state(snap, destination)
    if state in DEAD_DESTINATION:
        return [failed(view, 'failed', 'destination_down',
                        f'{destination} is {state}')]
    record = own_record(view)
    never_consumed = (record is not None and record.status == 'accepted' and
                      not _events(view, 'compute_rebuild_instance'))
    if (never_consumed or are_records_lost(view)) and (
            view.state_s >= policy.scheduling_timeout_s):
        return [failed(view, 'failed', 'scheduling_lost',
                        f'{destination} did not take it for '
                        f'{view.state_s:.0f} s')]
    if view.state_s >= policy.building_alarm_s:
        return [failed(view, 'failed', 'building_slow', f'on {destination}')]
    return []


def _in_flight(view: snapshot.RecoveryView, snap: snapshot.Snapshot
               ) -> Actions:
    """What SCHEDULING and BUILDING share: the end of an attempt."""
    if view.trace is None:
        return []
    if view.trace.instance is None or view.trace.instance.deleted:
        return [failed(view, 'failed', 'deleted')]
    there = arrived(view)
    if there:
        return there
    record = own_record(view)
    if record is not None and record.status in ('failed', 'error'):
        # Only a destination writes 'failed', also before its claim has put
        # its name there; 'error' without one is the conductor's.
        reason = ('destination_failed'
                  if record.destination or record.status == 'failed'
                  else 'no_valid_host')
        return [failed(view, 'failed', reason, _why(view, record))]
    for event in _events(view, 'compute_rebuild_instance'):
        if event.finished and event.result == 'Error':
            return [failed(view, 'failed', 'destination_failed',
                            _why(view, record))]
    for event in _events(view, 'rebuild_server'):
        if event.finished and event.result == 'Error':
            return [failed(view, 'failed', 'scheduling_lost',
                            f'conductor reported an error'
                            f'{_details(event)}')]
    return []


def arrived(view: snapshot.RecoveryView) -> Actions:
    """The instance's row names another host: it lives there, whatever
    somebody has asked of it since."""
    found = view.trace.instance if view.trace else None
    if (found is None or found.host is None or found.deleted or
            found.host == view.row.source):
        return []
    return [move(view, 'arrived', 'arrived', f'on {found.host}',
                 {'destination': found.host},
                 {'outcome': states.Outcome.SUCCEEDED,
                  'gate': states.Gate.CLOSED,
                  'destination': found.host})]


def failed(view: snapshot.RecoveryView, event: str, reason: str,
            detail: str = '') -> actions.MoveRecovery:
    """To SETTLING; the gate closes in the same transaction, and where it
    went is kept: an attempt may fail before it was seen to build, and one
    that only placement named says so, for settling. Records that are gone are
    the reason, whatever else there is."""
    if are_records_lost(view):
        reason = 'records_lost'
    changes = {'gate': states.Gate.CLOSED, 'reason': reason,
               'detail': detail}
    attempt, record = view.open_attempt, own_record(view)
    reached = (record.destination if record else None) or next(
        (known.host for known in _events(view, 'compute_rebuild_instance')
         if known.host), None)
    if attempt is not None and attempt.destination is None and reached:
        changes['destination'] = reached
    elif (attempt is not None and attempt.reason == 'located' and
            not reached and reason in _NOT_TAKEN):
        changes['reason'] = 'not_taken'
    return move(view, event, reason, detail, attempt_changes=changes)


def are_records_lost(view: snapshot.RecoveryView) -> bool:
    """Whether the cell's database has lost what was written for the open
    attempt: a failover took its last commits back.

    Its action is written before its gate lets it through, and a destination
    begins with an event: before it claims the record, or gives it up.
    """
    attempt = view.open_attempt
    if (attempt is None or view.trace is None or
            attempt.kind is not states.AttemptKind.OWN or
            attempt.gate is not states.Gate.CONSUMED):
        return False
    if attempt.action_id not in view.trace.actions:
        return True
    record = own_record(view)
    if _events(view, 'compute_rebuild_instance') or (
            record is not None and record.destination):
        return False
    is_seen = attempt.destination is not None and attempt.reason != 'located'
    return is_seen or record is not None and record.status == 'failed'


def own_record(view: snapshot.RecoveryView
               ) -> observations.Migration | None:
    """Return the migration record of the open attempt: the one it names,
    or the first from the source above its floor that no other attempt
    explains."""
    attempt = view.open_attempt
    if attempt is None or view.trace is None:
        return None
    others = {other.migration_id for other in view.attempts
              if other.id != attempt.id}
    for record in view.trace.migrations:
        if attempt.migration_id is not None:
            if record.id == attempt.migration_id:
                return record
        elif (record.source == view.row.source and
              record.id > attempt.migration_floor and
              record.id not in others):
            return record
    return None


def move(view: snapshot.RecoveryView, event: str, reason: str,
         detail: str = '', changes: dict[str, typing.Any] | None = None,
         attempt_changes: dict[str, typing.Any] | None = None,
         attempt: records.Attempt | None = None) -> actions.MoveRecovery:
    """:param attempt: the one that changes; None: the open one."""
    attempt = attempt or view.open_attempt
    return actions.MoveRecovery(
        recovery_id=recovery_id(view), generation=view.row.generation,
        event=event, reason=reason, detail=detail, changes=changes or {},
        attempt_id=attempt.id if attempt and attempt_changes else None,
        attempt_changes=attempt_changes or {} if attempt else {})


def recovery_id(view: snapshot.RecoveryView) -> int:
    assert view.row.id is not None  # nosec: rows read have an id
    return view.row.id


def _events(view: snapshot.RecoveryView, name: str
            ) -> list[observations.ActionEvent]:
    attempt = view.open_attempt
    if attempt is None or view.trace is None:
        return []
    return [event for event in view.trace.events.get(attempt.action_id, ())
            if event.name == name]


def _why(view: snapshot.RecoveryView,
         record: observations.Migration | None) -> str:
    attempt = view.open_attempt
    destination = (record.destination if record else None) or (
        attempt.destination if attempt else None)
    where = f'on {destination}' if destination else 'while scheduling'
    for name in ('compute_rebuild_instance', 'rebuild_server'):
        for event in _events(view, name):
            if event.result == 'Error':
                return f'{where}{_details(event)}'
    return where


def _details(event: observations.ActionEvent) -> str:
    return f': {event.details}' if event.details else ''
