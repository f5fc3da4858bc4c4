# SPDX-License-Identifier: Apache-2.0
"""What should not be, of one instance: found, explained, and mended if safe.

Pure: facts in, findings out. The engine looks once more right before it
mends, and does nothing when this says anything else by then. A mend is
offered only where no guest can be lost or doubled by it, whoever acts
meanwhile; each is compare-and-swap. An instance under recovery has no
findings: its recovery knows better.
Source: specs/0006-audit, which has the argument for each.
"""

import collections.abc
import dataclasses
import typing

from nova_pets.model import audit
from nova_pets.model import observations
from nova_pets.model import states
from nova_pets.planning import instance_states
from nova_pets.planning import settling

Places = collections.abc.Mapping[str, audit.Place]

UNCLAIMED, CLAIMED, DONE = 'accepted', 'pre-migrating', 'done'
OPEN = (UNCLAIMED, CLAIMED, DONE)
"""Statuses by which a source that starts destroys its copy (F8)."""
ENDED = ('failed', 'error')
"""Ended, and no proof that no guest was left (F4)."""

_ON_DESTINATION = 'compute_rebuild_instance'
_BEFORE_SPAWN = frozenset({'rebuilding', 'rebuild_block_device_mapping'})
"""While this is cleared by compare-and-swap, no spawn has begun (F2)."""
_RESTING = frozenset({'active', 'stopped', 'paused', 'suspended', 'rescued',
                      'error', 'shelved', 'soft-delete'})
"""vm_states in which an instance stays where it is."""
_NO_GUEST = frozenset({states.Outcome.FAILED, states.Outcome.NOT_SENT,
                       states.Outcome.SUCCEEDED, states.Outcome.ADOPTED})
"""Outcomes after which an attempt has left no guest but the adopted one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Withdraw:
    """Close the record that would destroy the guest on its own host; only
    while the instance is still there."""

    migration_id: int
    host: str


@dataclasses.dataclass(frozen=True, slots=True)
class RemoveLeak:
    """Remove a host's allocations, only from what was read."""

    host: str
    generation: int


@dataclasses.dataclass(frozen=True, slots=True)
class Forget:
    """Remove our row of an instance that is gone."""


Mend = (settling.DeleteAccepted | settling.CloseMigration |
        settling.Restore | Withdraw | RemoveLeak | Forget)


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that should not be."""

    code: str
    """Of model/reasons.py; it has the text and the commands."""
    uuid: str
    cell_uuid: str
    name: str
    host: str
    """The host that it is about."""
    detail: str
    """One phrase with the figures."""
    is_ours: bool = True
    mend: Mend | None = None
    """What may be done safely; None: nothing, ``why_not`` says why."""
    why_not: str = ''
    is_unknown: bool = False
    """It could not be told whether it is so."""


def judge(facts: audit.Facts, places: Places) -> list[Finding]:
    """Return what should not be, in a fixed order."""
    instance = facts.trace.instance
    if facts.has_open_recovery or instance_states.is_gone(instance):
        return []
    assert instance is not None  # nosec: is_gone covers None
    found = [*_records(facts, instance, places),
             *_task(facts, instance, places),
             *_allocations(facts, instance, places),
             *_guests(facts, instance, places)]
    if facts.is_ours:
        return found
    return [dataclasses.replace(
        one, mend=None, why_not='it is no pet: left to whoever moved it')
        for one in found]


def is_suspicious(named: audit.Named, places: Places) -> bool:
    """Whether a record is worth a closer look at its instance; cheap, as
    every record of a long history passes here."""
    record, here = named.record, named.instance_host
    if record.status in ENDED:
        return record.destination not in (None, here)
    if record.status == DONE and record.source != here:
        return _is_good(places, record.source)
    return record.status in OPEN


def suspects(facts: audit.Facts, places: Places) -> list[str]:
    """Return hosts besides its own where a guest of it may be, sorted.

    Those that records and attempts name: stock Nova cannot be asked which
    guests a host has.
    """
    instance = facts.trace.instance
    if instance is None:
        return []
    explained = {attempt.migration_id for attempt in facts.attempts
                 if attempt.outcome in _NO_GUEST}
    found = {attempt.destination for attempt in facts.attempts
             if attempt.outcome is states.Outcome.UNSETTLED}
    for record in facts.trace.migrations:
        if record.status == CLAIMED or (
                record.status in ENDED and record.id not in explained and
                not _was_launched_since(instance, record)):
            found.add(record.destination)
        if record.status in OPEN and _is_good(places, record.source):
            found.add(record.source)
    return sorted(host for host in found if host and host != instance.host)


def to_ask(facts: audit.Facts, places: Places, is_all: bool = True
           ) -> list[str]:
    """Return hosts to be asked for a guest next; own host last, and only
    where the answer of another one needs it.

    :param is_all: also those that hold no room for it.
    """
    instance = facts.trace.instance
    asked = set(facts.guests)
    doubtful = suspects(facts, places) if is_all else []
    wanted = [host for host in sorted({*doubtful, *_with_room(facts)})
              if host not in asked and _is_good(places, host)]
    if wanted or instance is None or not instance.host:
        return wanted
    is_needed = states.GuestAnswer.RUNNING in facts.guests.values() or any(
        record.status == CLAIMED and record.source == instance.host
        for record in facts.trace.migrations)
    if (is_needed and instance.host not in asked and
            _is_good(places, instance.host)):
        return [instance.host]
    return []


def in_words(mend: Mend) -> str:
    """Say what a mend does, or did."""
    match mend:
        case settling.DeleteAccepted(migration_id):
            return f'migration {migration_id} deleted'
        case settling.CloseMigration(migration_id, _, status):
            return f'migration {migration_id} closed as {status}'
        case settling.Restore():
            return 'task_state cleared'
        case Withdraw(migration_id):
            return f'migration {migration_id} withdrawn'
        case RemoveLeak(host):
            return f'its allocations on {host} removed'
        case Forget():
            return 'our row removed'


def _was_launched_since(instance: observations.Instance,
                        record: observations.Migration) -> bool:
    touched = record.updated_at or record.created_at
    return bool(instance.launched_at and touched and
                instance.launched_at > touched)


def _is_good(places: Places, host: str | None) -> bool:
    place = places.get(host or '')
    return place is not None and place.is_good


def _is_up(places: Places, host: str | None) -> bool:
    place = places.get(host or '')
    return place is not None and place.state is states.HostState.UP


def _not_good(places: Places, host: str | None) -> str:
    """Say in words why a host cannot be relied on."""
    place = places.get(host or '')
    if place is None:
        return f'{host} is no host that is known'
    if place.state is not states.HostState.UP:
        return f'{host} is {place.state}'
    return f'{host} is forced down in nova'


def _finding(facts: audit.Facts, code: str, host: str | None, detail: str,
             mend: Mend | None = None, why_not: str = '',
             is_unknown: bool = False) -> Finding:
    return Finding(code, facts.uuid, facts.cell_uuid, facts.name, host or '',
                   detail, mend=mend, why_not='' if mend else why_not,
                   is_ours=facts.is_ours, is_unknown=is_unknown)


# -- evacuation records -------------------------------------------------------


def _records(facts: audit.Facts, instance: observations.Instance,
             places: Places) -> list[Finding]:
    found = []
    for record in facts.trace.migrations:
        if record.status not in OPEN:
            continue
        judged = (_at_home(facts, instance, record, places)
                  if record.source == instance.host else
                  _elsewhere(facts, instance, record, places))
        found += [judged] if judged else []
    return found


def _at_home(facts: audit.Facts, instance: observations.Instance,
             record: observations.Migration, places: Places
             ) -> Finding | None:
    """The record names as source the host where the instance lives: if
    nova-compute restarts there, it destroys the guest (F8)."""
    host = instance.host
    detail = f'migration {record.id} is {record.status}'
    is_good = _is_good(places, host)
    if not is_good and record.status != DONE and not _is_quiet(facts.trace):
        return None  # it is being evacuated, rightly
    mend: Mend | None = None
    why_not = ''
    if record.status == UNCLAIMED and (is_good or (
            _is_up(places, host) and _all_failed(facts.trace))):
        # From a host that is up nothing is evacuated, whoever asked. Where a
        # person has forced it down: what the gate refused, or conductor gave
        # up, no destination will claim.
        mend = settling.DeleteAccepted(record.id)
    elif not is_good:
        why_not = _not_good(places, host)
    elif record.status == CLAIMED:
        mend, why_not = _give_up(facts, record)
    elif not _is_resting(facts, instance):
        why_not = 'it is being worked on'
    else:
        mend = Withdraw(record.id, host or '')
    return _finding(facts, 'record_of_its_host', host, detail, mend, why_not)


def _give_up(facts: audit.Facts, record: observations.Migration
             ) -> tuple[Mend | None, str]:
    """A destination had claimed it, and the instance still lives on the
    source: over only when both hosts say so."""
    if not _has_ended_on(facts.trace, record.destination):
        return None, f'{record.destination} may still be at work'
    other = facts.guests.get(record.destination or '')
    if other is not states.GuestAnswer.NOT_RUNNING:
        return None, (f'a guest may be on {record.destination}: '
                      f'{_said(other)}')
    own = facts.guests.get(record.source)
    if own is not states.GuestAnswer.RUNNING:
        return None, f'no guest was seen on {record.source}: {_said(own)}'
    return settling.CloseMigration(record.id, (CLAIMED,), 'error'), ''


def _elsewhere(facts: audit.Facts, instance: observations.Instance,
               record: observations.Migration, places: Places
               ) -> Finding | None:
    """The instance does not live on the source (any more)."""
    detail = (f'migration {record.id} from {record.source} is '
              f'{record.status}')
    if record.status == DONE:
        if not _is_good(places, record.source):
            return None  # as it should be: the source cleans up when it starts
        return _finding(facts, 'uncleaned_source', record.source, detail,
                        why_not='only its nova-compute can, when it starts')
    mend: Mend | None = None
    why_not = ''
    if instance.host is None:
        why_not = 'it has no host now'
    elif record.status == UNCLAIMED:
        mend = settling.DeleteAccepted(record.id)
    elif record.destination == instance.host:
        if instance.task_state in instance_states.REBUILD_TASKS:
            return None  # being finished
        # What nova writes last itself; the source cleans up by either.
        mend = settling.CloseMigration(record.id, (CLAIMED,), DONE)
    elif not _has_ended_on(facts.trace, record.destination):
        why_not = f'{record.destination} may still be at work'
    elif facts.guests.get(record.destination or '') is \
            states.GuestAnswer.NOT_RUNNING:
        mend = settling.CloseMigration(record.id, (CLAIMED,), 'error')
    else:
        said = _said(facts.guests.get(record.destination or ''))
        why_not = f'a guest may be on {record.destination}: {said}'
    return _finding(facts, 'stale_record', record.source, detail, mend,
                    why_not)


def _said(answer: states.GuestAnswer | None) -> str:
    return {states.GuestAnswer.RUNNING: 'it runs there',
            states.GuestAnswer.NOT_RUNNING: 'none runs there',
            states.GuestAnswer.UNREACHABLE: 'no answer',
            None: 'not asked'}[answer]


# -- task_state ---------------------------------------------------------------


def _task(facts: audit.Facts, instance: observations.Instance,
          places: Places) -> list[Finding]:
    task = instance.task_state
    if task not in instance_states.REBUILD_TASKS or (
            facts.last_action is None):
        return []
    is_waiting = any(record.status in (UNCLAIMED, CLAIMED)
                     for record in facts.trace.migrations)
    if is_waiting:
        return []  # its record comes first
    mend: Mend | None = None
    why_not = ''
    if facts.last_action.name != 'evacuate':
        if not facts.last_action.is_over:
            return []  # its owner rebuilds it
        why_not = f'the newest action is {facts.last_action.name}, not ours'
    elif not _is_good(places, instance.host):
        why_not = _not_good(places, instance.host)
    elif _has_open_events(facts.trace, _ON_DESTINATION):
        # A conductor whose end the cell never heard of changes nothing: no
        # record waits, and without one no destination can claim.
        why_not = 'a destination may still be at work'
    elif task not in _BEFORE_SPAWN:
        why_not = 'a spawn had begun: a guest may be elsewhere'
    else:
        mend = settling.Restore(
            {'host': instance.host, 'vm_state': instance.vm_state,
             'task_state': task}, {'task_state': None})
    return [_finding(facts, 'stuck_rebuilding', instance.host,
                     f'task_state {task}', mend, why_not)]


def _has_open_events(trace: observations.Trace, name: str | None = None
                     ) -> bool:
    """:param name: only events of this name; None: of any."""
    return any(not event.finished and name in (None, event.name)
               for events in trace.events.values() for event in events)


def _is_quiet(trace: observations.Trace) -> bool:
    """Every evacuation that was asked for was heard of, and the newest has
    ended; what conductor has sent on is still on its way."""
    if _has_open_events(trace) or not all(
            trace.events.get(request) for request in trace.actions):
        return False
    events = [event for known in trace.events.values() for event in known]
    newest = max(events, key=lambda event: event.id, default=None)
    return newest is not None and (
        newest.name == _ON_DESTINATION or newest.result == 'Error')


def _all_failed(trace: observations.Trace) -> bool:
    """Nothing of any evacuation that was asked for is on its way: each has
    ended on its destination, or before it had one."""
    newest = [max(trace.events.get(request, ()), key=lambda event: event.id,
                  default=None) for request in sorted(trace.actions)]
    return bool(newest) and all(
        event is not None and event.finished and
        (event.name == _ON_DESTINATION or event.result == 'Error')
        for event in newest)


def _has_ended_on(trace: observations.Trace, host: str | None) -> bool:
    """The host has worked on it, and neither it nor anybody does now."""
    return not _has_open_events(trace) and any(
        event.name == _ON_DESTINATION and event.host == host
        for known in trace.events.values() for event in known)


def _is_resting(facts: audit.Facts, instance: observations.Instance
                ) -> bool:
    return (instance.task_state is None and not facts.moves and
            instance.vm_state in _RESTING)


# -- allocations --------------------------------------------------------------


def _allocations(facts: audit.Facts, instance: observations.Instance,
                 places: Places) -> list[Finding]:
    held = facts.held
    if held is None or not _may_have_leaks(facts):
        return []
    found = []
    if instance.host and instance.host not in held.hosts:
        found.append(_finding(
            facts, 'no_allocation', instance.host,
            f'allocations on {", ".join(sorted(held.hosts)) or "no host"}',
            why_not='nova has a command for it'))
    doubtful = set(suspects(facts, places))
    for host in _with_room(facts):
        mend, why_not = _leak(facts, instance, held, host, doubtful, places)
        found.append(_finding(facts, 'leaked_allocation', host,
                              f'it lives on {instance.host}', mend, why_not))
    return found


def _may_have_leaks(facts: audit.Facts) -> bool:
    """A live or cold migration or a resize legitimately holds two; so does
    an evacuation under way."""
    instance = facts.trace.instance
    return (instance is not None and instance.host is not None and
            _is_resting(facts, instance) and
            not any(record.status in (UNCLAIMED, CLAIMED)
                    for record in facts.trace.migrations))


def _with_room(facts: audit.Facts) -> list[str]:
    """Return the hosts where it holds room and does not live, but for a
    source that has not cleaned up yet. A guest may be there: a migration may
    have arrived without nova's knowing (its cell was away, or forgot it)."""
    instance = facts.trace.instance
    if facts.held is None or instance is None or not _may_have_leaks(facts):
        return []
    return sorted(facts.held.hosts - {instance.host} - {
        record.source for record in facts.trace.migrations
        if record.status == DONE})


def _leak(facts: audit.Facts, instance: observations.Instance,
          held: audit.Held, host: str, doubtful: set[str], places: Places
          ) -> tuple[Mend | None, str]:
    if not _is_good(places, instance.host):
        return None, _not_good(places, instance.host)
    if instance.host not in held.hosts:
        return None, 'they may be all that it has'
    if held.generation is None:
        return None, 'placement gave no generation'
    answer = facts.guests.get(host)
    place = places.get(host)
    is_off = (place is not None and place.state in states.PROVEN_OFF and
              host not in doubtful)
    if not is_off and answer is not states.GuestAnswer.NOT_RUNNING:
        return None, f'a guest may be there: {_said(answer)}'
    return RemoveLeak(host, held.generation), ''


# -- guests -------------------------------------------------------------------


def _guests(facts: audit.Facts, instance: observations.Instance,
            places: Places) -> list[Finding]:
    found = []
    tombstoned = {record.source for record in facts.trace.migrations
                  if record.status == DONE}
    doubtful = suspects(facts, places)
    for host in sorted({*doubtful, *_with_room(facts)}):
        answer = facts.guests.get(host)
        if answer is states.GuestAnswer.RUNNING:
            found.append(_stray(facts, instance, host))
        elif host not in doubtful:
            continue  # its room is told of
        elif not facts.is_ours:
            continue
        elif not _is_good(places, host) and host not in tombstoned:
            found.append(_finding(
                facts, 'guest_unknown', host, _not_good(places, host),
                why_not='it cannot be asked', is_unknown=True))
        elif answer is states.GuestAnswer.UNREACHABLE:
            found.append(_finding(
                facts, 'guest_unknown', host, 'it does not answer',
                why_not='it does not answer', is_unknown=True))
    return found


def _stray(facts: audit.Facts, instance: observations.Instance, host: str
           ) -> Finding:
    own = facts.guests.get(instance.host or '')
    detail = f'nova says {instance.host}: {_said(own)}'
    if own is states.GuestAnswer.RUNNING:
        return _finding(facts, 'two_guests', host, detail,
                        why_not='which one to keep is a person\'s choice')
    return _finding(facts, 'orphan_guest', host, detail,
                    why_not='whose disk and network it has is not known')


def missing(kind: typing.Literal['pet', 'recovery'], uuid: str,
            cell_uuid: str, name: str, host: str | None) -> Finding:
    """Return the finding on a row of ours whose instance is gone."""
    if kind == 'pet':
        return Finding('pet_without_instance', uuid, cell_uuid, name,
                       host or '', 'nova has no such instance any more',
                       mend=Forget())
    return Finding('recovery_without_instance', uuid, cell_uuid, name,
                   host or '', 'nova has no such instance any more',
                   why_not='the engine that owns it ends it')
