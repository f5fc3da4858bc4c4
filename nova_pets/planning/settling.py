# SPDX-License-Identifier: Apache-2.0
"""What a failed or strange attempt left, decided one clean-up step at a time.

Pure: the executor reads Nova afresh, asks ``next_step``, does that one step
(each is compare-and-swap or idempotent) and asks again, until the answer is
Wait or Finish. A crash between any two steps is continued by the next owner.

The order carries the argument. The gate was closed before we came here. A
record never claimed (``accepted``) is deleted first: a late cast then fails
at its first write. A destination is believed to hold no guest only when it
is proven off, or when it has finished and says so. Allocations and the row
follow; then, and only then, may another attempt begin.
Source: design.md, section 4, "After a failed attempt"; nova-evacuation.md, 2.
"""

import collections.abc
import dataclasses
import typing

from nova_pets.model import observations
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import detection
from nova_pets.planning import instance_states
from nova_pets.planning import safety

H = states.HostState


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    reason: str
    detail: str = ''
    host: str | None = None
    """The host that has to be proven off first."""
    again_s: float = 1.0
    """When to look again."""


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    host: str


@dataclasses.dataclass(frozen=True, slots=True)
class DeleteAccepted:
    migration_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class CloseMigration:
    migration_id: int
    expected: tuple[str, ...]
    status: str


@dataclasses.dataclass(frozen=True, slots=True)
class Adopt:
    migration_id: int
    destination: str
    vm_state: str
    expected: dict[str, typing.Any]


@dataclasses.dataclass(frozen=True, slots=True)
class ReadAllocations:
    pass


@dataclasses.dataclass(frozen=True, slots=True)
class RemoveAllocations:
    host: str


@dataclasses.dataclass(frozen=True, slots=True)
class Allocate:
    """Let it hold its flavor's room where it lives."""

    host: str


@dataclasses.dataclass(frozen=True, slots=True)
class Tombstone:
    host: str


@dataclasses.dataclass(frozen=True, slots=True)
class Restore:
    """Compare-and-swap of the instance row."""

    expected: dict[str, typing.Any]
    values: dict[str, typing.Any]


@dataclasses.dataclass(frozen=True, slots=True)
class ChangePower:
    """Ask nova's API to stop or start the recovered instance."""

    power: states.DesiredPower


@dataclasses.dataclass(frozen=True, slots=True)
class Finish:
    """The end of a settling or a verifying; becomes one transition."""

    event: str
    reason: str
    detail: str = ''
    outcome: states.Outcome | None = None
    destination: str | None = None
    excluded: tuple[str, ...] | None = None
    """None: leave as it is."""


Step = (Wait | Probe | DeleteAccepted | CloseMigration | Adopt |
        ReadAllocations | RemoveAllocations | Allocate | Tombstone |
        Restore | ChangePower | Finish)


@dataclasses.dataclass(frozen=True, slots=True)
class Findings:
    """What one run of steps has learnt so far; made anew in each run."""

    trace: observations.Trace
    allocations: frozenset[str] | None = None
    guests: dict[str, states.GuestAnswer] = dataclasses.field(
        default_factory=dict)
    """Answers of living destinations."""
    tombstoned: frozenset[str] = frozenset()
    is_adopted: bool = False


def next_step(recovery: records.Recovery,
              attempts: tuple[records.Attempt, ...], found: Findings,
              snap: snapshot.Snapshot, policy: policy_model.Policy,
              state_s: float) -> Step:
    """Return the next step of settling this recovery's open attempt.

    :param state_s: seconds in SETTLING by the engine's clock.
    """
    instance = found.trace.instance
    if instance_states.is_gone(instance):
        return Finish('abandon', 'deleted',
                      outcome=states.Outcome.UNSETTLED)
    assert instance is not None  # nosec: is_gone covers None
    if instance.host != recovery.source:
        return Finish('arrived', 'arrived', f'on {instance.host}',
                      outcome=states.Outcome.SUCCEEDED,
                      destination=instance.host)
    attempt = _open(attempts)
    for record in _to_settle(recovery, attempts, attempt, found.trace):
        step = _settle_record(recovery, attempts, record, found, snap,
                              policy, state_s)
        if step is not None:
            return step
    return _clean(recovery, attempts, instance, found, snap, policy,
                  state_s)


def _open(attempts: tuple[records.Attempt, ...]) -> records.Attempt | None:
    for attempt in attempts:
        if attempt.outcome is states.Outcome.OPEN:
            return attempt
    return None


_LEFT = ('accepted', 'pre-migrating', 'failed', 'error', 'completed', 'done')
"""A source that comes back while D builds makes the record completed
(W18); nothing of that ends the work on D."""
_SAYS_IT_LIVES_THERE = ('pre-migrating', 'done')
"""Of a record that means nothing: its source would clean up by it, and
destroy what lives there."""


def _to_settle(recovery: records.Recovery,
               attempts: tuple[records.Attempt, ...],
               attempt: records.Attempt | None, trace: observations.Trace
               ) -> list[observations.Migration]:
    """Return the records that may still mean something, by id: those that
    no attempt explains, and those of the open attempt."""
    strange = {record.id for record in
               safety.unexplained(recovery, attempts, trace)}
    own = attempt.migration_id if attempt is not None else None
    return [record for record in trace.migrations
            if record.status in _LEFT and
            (record.id in strange or record.id == own)]


def _events(attempt: records.Attempt | None, trace: observations.Trace,
            name: str) -> list[observations.ActionEvent]:
    if attempt is None:
        return []
    return [event for event in trace.events.get(attempt.action_id, ())
            if event.name == name]


def _settle_record(recovery: records.Recovery,
                   attempts: tuple[records.Attempt, ...],
                   record: observations.Migration, found: Findings,
                   snap: snapshot.Snapshot, policy: policy_model.Policy,
                   state_s: float) -> Step | None:
    """Return the step that this record still needs, None: it is settled."""
    attempt = _open(attempts)
    if record.status == 'accepted':
        return _accepted(attempt, record, found.trace, snap, policy, state_s)
    if record.destination is None:
        return None  # never had one: W6
    state = safety.destination_state(snap, record.destination)
    if state in states.PROVEN_OFF:
        return _on_dead_destination(record, found)
    if state is not H.UP:
        return Wait('destination_down', f'{record.destination} is '
                    f'{state or "unknown"}', record.destination)
    return _on_living_destination(attempts, record, found, state_s, policy)


def _accepted(attempt: records.Attempt | None,
              record: observations.Migration, trace: observations.Trace,
              snap: snapshot.Snapshot, policy: policy_model.Policy,
              state_s: float) -> Step:
    """No destination has claimed it. Ours goes at once: its gate is closed.

    Somebody else's may be on its way past a gate that cannot stop it (a
    forced host): it gets the time that a request of ours would get.
    """
    is_ours = attempt is not None and attempt.kind is states.AttemptKind.OWN
    if is_ours:
        return delete(record, snap, policy)
    conducted = _events(attempt, trace, 'rebuild_server')
    has_ended = any(event.finished and event.result == 'Error'
                    for event in conducted)
    holders = {event.host for event in conducted if event.host}
    is_lost = bool(holders & snap.conductors_silent)
    if has_ended or is_lost or state_s >= policy.scheduling_timeout_s:
        return delete(record, snap, policy)
    return Wait('foreign_evacuation', f'migration {record.id} is accepted')


def delete(record: observations.Migration, snap: snapshot.Snapshot,
           policy: policy_model.Policy) -> DeleteAccepted | Wait:
    """Delete it, unless its source may be starting right now.

    nova-compute lists the open records of its host when it starts, takes its
    time (W17: it asks itself over RPC, in vain, about each disk), and ends
    with MigrationNotFound when one has vanished meanwhile. It closes the
    record by itself; once its heartbeat moves it has.
    """
    view = snap.hosts.get(record.source)
    if (view is None or view.row.state in states.PROVEN_OFF or
            detection.judge(view, policy).verdict is states.Verdict.UP):
        return DeleteAccepted(record.id)
    return Wait('source_starting', f'{record.source} is {view.row.state}')


def _on_dead_destination(record: observations.Migration, found: Findings
                         ) -> Step | None:
    """D is proven off: no guest of it runs. Leave what makes D destroy its
    stray copy when it returns."""
    assert record.destination is not None  # nosec: the caller asked
    instance = found.trace.instance
    assert instance is not None  # nosec: the caller asked
    if instance.task_state in instance_states.REBUILD_TASKS:
        return Restore(_as_read(instance), {'task_state': None})
    if record.status in _SAYS_IT_LIVES_THERE:
        return CloseMigration(record.id, (record.status,), 'error')
    if record.destination not in found.tombstoned:
        return Tombstone(record.destination)
    return None


def _on_living_destination(attempts: tuple[records.Attempt, ...],
                           record: observations.Migration, found: Findings,
                           state_s: float, policy: policy_model.Policy
                           ) -> Step | None:
    """Never released by a timeout or by a negative answer alone: its thread
    may be inside spawn. Only a finished event makes that answer count, or a
    person's word that nova-compute was restarted there since. A guest that
    runs has left spawn: it is adopted, whether its thread lives or not.
    """
    assert record.destination is not None  # nosec: the caller asked
    where, attempt = record.destination, _open(attempts)
    computed = _events(attempt, found.trace, 'compute_rebuild_instance')
    # One that a person forced there may have taken the record of ours (F7),
    # and go on when ours has failed.
    works = _works(found.trace, where,
                   {attempt.action_id for attempt in attempts})
    is_over = (bool(computed) and not works and
               all(event.finished for event in computed) or
               attempt is not None and attempt.reason == 'said_to_be_over')
    answer = found.guests.get(where)
    if not is_over and (record.status == 'pre-migrating' or computed or
                        works):
        is_late = (state_s >= policy.building_alarm_s or
                   attempt is not None and attempt.reason == 'building_slow')
        if not is_late:
            return Wait('destination_building', f'on {where}')
        if answer not in (None, states.GuestAnswer.RUNNING):
            return Finish('needs_operator', 'building_slow',
                          f'on {where}, its guest is {answer}')
    # failed or error with no event known: somebody else's, and ended.
    if answer is None:
        return Probe(where)
    if answer is states.GuestAnswer.UNREACHABLE:
        return Wait('probe_unreachable', f'on {where}')
    if answer is states.GuestAnswer.RUNNING:
        instance = found.trace.instance
        assert instance is not None  # nosec: the caller asked
        return Adopt(record.id, where, 'active', _as_read(instance))
    if any(event.host == where and event.result == 'Success' for event in
           _events(attempt, found.trace, 'compute_stop_instance')):
        # It was stopped before, so nova built it and stopped it again: it
        # is there, shut off, and would be in the way of every other build.
        instance = found.trace.instance
        assert instance is not None  # nosec: the caller asked
        return Adopt(record.id, where, 'stopped', _as_read(instance))
    is_word = attempt is not None and attempt.reason == 'said_to_be_over'
    if record.status == 'pre-migrating':
        return CloseMigration(record.id, ('pre-migrating',), 'error')
    if (is_word or record.status == 'done') and (
            where not in found.tombstoned):
        # What it left there may be a paused guest, or one that was shut off:
        # they look like none.
        return Tombstone(where)
    if record.status == 'done':
        return CloseMigration(record.id, ('done',), 'error')
    return None


def _as_read(instance: observations.Instance) -> dict[str, typing.Any]:
    return {'host': instance.host, 'vm_state': instance.vm_state,
            'task_state': instance.task_state}


def settle_host(recovery: records.Recovery,
                attempt: records.Attempt | None, host: str,
                found: Findings, snap: snapshot.Snapshot,
                policy: policy_model.Policy, state_s: float
                ) -> Step | None:
    """Return what has to be done about a host that no record explains, but
    room that it holds, or an event there, does; None: no guest is there."""
    instance = found.trace.instance
    assert instance is not None  # nosec: the caller asked
    state = safety.destination_state(snap, host)
    if state in states.PROVEN_OFF:
        return None if host in found.tombstoned else Tombstone(host)
    if state is not H.UP:
        return Wait('destination_down', f'{host} is {state or "unknown"}',
                    host)
    answer = found.guests.get(host)
    is_lost = attempt is not None and attempt.reason == 'said_to_be_over'
    if not is_lost and _works(found.trace, host) and not _has_begun_anew(
            found.trace, host):
        if state_s < policy.building_alarm_s:
            return Wait('destination_building', f'on {host}')
        if answer not in (None, states.GuestAnswer.RUNNING):
            return Finish('needs_operator', 'building_slow',
                          f'on {host}, its guest is {answer}')
    if answer is None:
        return Probe(host)
    if answer is states.GuestAnswer.UNREACHABLE:
        return Wait('probe_unreachable', f'on {host}')
    if answer is not states.GuestAnswer.RUNNING:
        if (host not in (found.allocations or ()) or
                host not in safety.hosts_of_lost(recovery, attempt,
                                                 found.trace, snap)):
            return None
        # It gives its room back when it has failed; until then it builds.
        if state_s < policy.building_alarm_s:
            return Wait('destination_building', f'on {host}')
        return Finish('needs_operator', 'building_slow',
                      f'on {host}, its guest is {answer}')
    newest = max((record.id for record in found.trace.migrations
                  if record.source == recovery.source and
                  record.status != 'completed'), default=0)
    return Adopt(newest, host, 'active', _as_read(instance))


def _reached(recovery: records.Recovery,
             attempts: tuple[records.Attempt, ...],
             attempt: records.Attempt | None, trace: observations.Trace
             ) -> set[str]:
    """Return where the open attempt began to be built by a record that is
    not settled here: conductor takes the oldest unclaimed one (F7), and a
    failover of the cell's database may bring back one that was deleted."""
    settled = {record.destination for record in
               _to_settle(recovery, attempts, attempt, trace)}
    return {event.host for event in
            _events(attempt, trace, 'compute_rebuild_instance')
            if event.host and event.host not in settled}


def _works(trace: observations.Trace, host: str,
           settled: collections.abc.Collection[str] = ()) -> bool:
    """Whether the newest evacuation that reached the host is unfinished.

    :param settled: request_ids that do not count.
    """
    events = [event for request, begun in trace.events.items()
              for event in begun if request not in settled and
              event.name == 'compute_rebuild_instance' and
              event.host == host]
    return bool(events) and not max(
        events, key=lambda event: event.id).finished


def _has_begun_anew(trace: observations.Trace, host: str) -> bool:
    """Whether nova-compute was started there after the last evacuation to
    it: a start completes the records of what has left the host, such as a
    tombstone (F8), and nothing else does. Whoever worked before is dead,
    whatever an event says whose end its cell has lost."""
    left = [record.id for record in trace.migrations
            if record.source == host and record.status == 'completed']
    came = [record.id for record in trace.migrations
            if record.destination == host]
    return max(left, default=0) > max(came, default=0)


def _clean(recovery: records.Recovery,
           attempts: tuple[records.Attempt, ...],
           instance: observations.Instance, found: Findings,
           snap: snapshot.Snapshot, policy: policy_model.Policy,
           state_s: float) -> Step:
    """No record means a guest any more: allocations, the row, the end."""
    attempt = _open(attempts)
    if found.allocations is None:
        return ReadAllocations()
    leaked = found.allocations - {recovery.source}
    for host in sorted(leaked | safety.foreign_hosts(
            recovery, attempts, found.trace) |
            safety.undone_arrivals(recovery, attempts) |
            safety.hosts_of_lost(recovery, attempt, found.trace, snap) |
            _reached(recovery, attempts, attempt, found.trace)):
        step = settle_host(recovery, attempt, host, found, snap, policy,
                           state_s)
        if step is not None:
            return step
        if host in leaked:
            return RemoveAllocations(host)
    values: dict[str, typing.Any] = {}
    if instance.task_state in instance_states.REBUILD_TASKS:
        values['task_state'] = None
    is_touched = instance.vm_state in ('error', 'active', 'stopped')
    if is_touched and instance.vm_state != recovery.original_vm_state:
        values['vm_state'] = recovery.original_vm_state
    if values:
        return Restore(_as_read(instance), values)
    excluded: tuple[str, ...] = ()
    destination = attempt.destination if attempt else None
    if destination and attempt and (
            attempt.kind is states.AttemptKind.OWN):
        excluded = (destination,)
    is_known = attempt is None or attempt.reason != 'said_to_be_over'
    return Finish('clean', 'backing_off', attempt.detail if attempt else '',
                  outcome=(states.Outcome.FAILED if is_known else
                           states.Outcome.UNSETTLED), excluded=excluded)
