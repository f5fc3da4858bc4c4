# SPDX-License-Identifier: Apache-2.0
"""How are things, whom is meant, and when? Judged purely from rows.

Gives the exit codes their meaning. Reads nothing, writes nothing; what may
be ordered is orders.py's question.
"""

import collections.abc
import dataclasses
import datetime
import enum
import re

from nova_pets import exception
from nova_pets.cmd import documents
from nova_pets.cmd import liveness
from nova_pets.cmd import words
from nova_pets.model import reasons
from nova_pets.model import records
from nova_pets.model import states


class Exit(enum.IntEnum):
    """Exit codes of every verb; those of nova-status, and two more."""

    WELL = 0
    """Nothing is under way and nobody has to do anything."""
    UNDER_WAY = 1
    """A recovery, a hold or a pause is under way (check: a warning)."""
    ACT = 2
    """Somebody must act, an order was refused, or no engine is alive."""
    CANNOT_TELL = 3
    """Usage, database or schema: nothing is known."""
    UNEXPECTED = 255
    """A fault of ours; the log has it."""


ALARMING_STATES = frozenset({states.HostState.UNPROVEN,
                             states.HostState.QUARANTINED})
ALARMING_REASONS = frozenset({
    'host_alive', 'no_host_witness', 'no_fence', 'fence_failed',
    'life_after_proof', 'power_unreadable', 'power_not_off',
    'service_restart_failed', 'service_dead', 'power_on_failed',
    'power_on_late', 'never_reported', 'cleanup_missed', 'building_slow',
    'verify_failed', 'day_limit', 'wrong_device', 'peer_sees_life'})
"""A host or recovery held for one of these does not move on without a
person, whatever its state."""

SHORTEST_PREFIX = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """All that a status needs, as read."""

    now: datetime.datetime | None
    engines: tuple[records.Engine, ...]
    liveness: liveness.Liveness
    hosts: tuple[records.Host, ...]
    pets: tuple[records.Pet, ...]
    recoveries: tuple[records.Recovery, ...]
    """Open ones."""
    attempts: tuple[records.Attempt, ...]
    """Of the open recoveries."""
    orders: tuple[records.Control, ...]
    """Active ones."""
    mode: states.Mode
    """As this command's nova.conf says."""
    mode_reason: str = ''
    """Why the mode that counts is another one (the kill switch)."""
    has_fake_fencing: bool = False
    problems: tuple[str, ...] = ()
    """Rows that could not be read."""


@dataclasses.dataclass(frozen=True, slots=True)
class Alarm:
    """Something that does not move on without a person."""

    about: str
    text: str
    commands: tuple[str, ...] = ()


def exit_code(facts: Facts) -> Exit:
    if alarms(facts):
        return Exit.ACT
    if is_under_way(facts):
        return Exit.UNDER_WAY
    return Exit.WELL


def is_under_way(facts: Facts) -> bool:
    return bool(facts.recoveries or facts.orders or is_blind(facts) or any(
        host.state is not states.HostState.UP for host in facts.hosts))


def is_blind(facts: Facts) -> bool:
    """Whether no working engine trusts its own view: until one does, no
    host is found down. An engine that has not said it yet counts as one."""
    at_work = documents.working(facts.engines)
    return bool(at_work) and all(
        engine.report.get('is_sane') is False for engine in at_work)


def alarms(facts: Facts) -> list[Alarm]:
    """What somebody must act on, gravest first."""
    return (_engine_alarms(facts) +
            [_host_alarm(host) for host in facts.hosts
             if is_alarming_host(host)] +
            [_recovery_alarm(recovery) for recovery in facts.recoveries
             if is_alarming_recovery(recovery)])


def is_alarming_host(host: records.Host) -> bool:
    """A host that waits for release waits well, drained or not."""
    if host.state is states.HostState.RETURNING and (
            host.reason == 'not_drained'):
        return True
    return host.state in ALARMING_STATES or (
        host.state is not states.HostState.UP and
        host.reason in ALARMING_REASONS)


def is_alarming_recovery(recovery: records.Recovery) -> bool:
    return recovery.state is states.RecoveryState.NEEDS_OPERATOR or (
        recovery.state in states.OPEN and
        recovery.reason in ALARMING_REASONS)


def recovery_exit(recovery: records.Recovery | None) -> Exit:
    """The exit code of ``show``: how this one instance is."""
    if recovery is None or recovery.state in states.TERMINAL:
        return Exit.WELL
    return (Exit.ACT if is_alarming_recovery(recovery)
            else Exit.UNDER_WAY)


def warnings(facts: Facts) -> list[str]:
    """What a person should know, though nothing is held up by it."""
    found = list(facts.problems)
    if facts.has_fake_fencing:
        found.append(
            'Fake fencing is allowed ([pets_fencing] allow_fake): no machine '
            'is really powered off. Never in production.')
    if facts.mode_reason:
        found.append(f'Mode {facts.mode}: {facts.mode_reason}.')
    modes = modes_of(facts.engines)
    if len(modes) > 1:
        found.append(
            f'The engines run in different modes ({", ".join(modes)}): '
            'compare nova.conf of the schedulers, then restart them.')
    elif modes and modes != [states.Mode.ACT]:
        found.append(f'The engines run in mode {modes[0]}: '
                     f'{words.MODE_WORDS[modes[0]]}.')
    said: dict[str, None] = {}
    for engine in documents.working(facts.engines):
        row = documents.engine(engine, None, None)
        said.update(dict.fromkeys(
            f'{engine.host} says: {text}.' for text in
            (*row['problems'], row['mode_reason']) if text))
    found += said
    for what, values in (
            ('fencing bindings', {documents.digest(engine)
                                  for engine in facts.engines}),
            ('versions of nova-pets', {engine.version
                                       for engine in facts.engines})):
        if len(values) > 1:
            found.append(f'The schedulers have different {what}: '
                         'nova-manage pets check tells which.')
    return found


def modes_of(engines: collections.abc.Iterable[records.Engine]
             ) -> list[str]:
    """The modes of those at work; a reserve's is that of its start."""
    return sorted({str(engine.mode)
                   for engine in documents.working(engines)})


def _engine_alarms(facts: Facts) -> list[Alarm]:
    found = []
    if facts.liveness.is_dead:
        text = ('no engine is registered: nothing is watched and nothing '
                'will be recovered')
        if facts.liveness.answer is liveness.Answer.SILENT:
            ages = [words.seconds_since(engine.renewed_at, facts.now)
                    for engine in facts.engines]
            known = [age for age in ages if age is not None]
            last = f', the last sign was {words.ago(min(known))}' \
                if known else ''
            text = (f'no engine is alive: none moved within '
                    f'{facts.liveness.watched_s:.0f} s{last}')
        if facts.mode is states.Mode.OFF:
            text = '[pets] mode is off: nothing is watched'
        found.append(Alarm('engines', text, (
            'nova-manage pets check',
            'systemctl restart nova-scheduler   (on the controllers)')))
    ungated = sorted({engine.host for engine in facts.engines
                      if not engine.gate_loaded})
    if ungated:
        found.append(Alarm(
            'gate', f'the gate is not loaded in nova-scheduler on '
            f'{words.listing(ungated)}: evacuations by other people are '
            f'not held back there', ('nova-manage pets check',)))
    return found


def _host_alarm(host: records.Host) -> Alarm:
    text = words.HOST_WORDS.get(host.state, str(host.state))
    if host.reason:
        text += f'; {reasons.text(host.reason)}'
    return Alarm(host.host, text, tuple(
        reasons.next_commands(host.reason, host=host.host)
        or ['nova-manage pets hosts --host ' + host.host]))


def _recovery_alarm(recovery: records.Recovery) -> Alarm:
    name = recovery.name or recovery.instance_uuid
    text = reasons.text(recovery.reason) if recovery.reason else (
        words.RECOVERY_WORDS.get(recovery.state, str(recovery.state)))
    if recovery.detail:
        text += f' ({recovery.detail})'
    return Alarm(
        words.instance(recovery.name, recovery.instance_uuid), text,
        tuple(reasons.next_commands(recovery.reason, instance=name,
                                    host=recovery.source)
              or [f'nova-manage pets show {name}']))


# -- whom is meant ------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """One instance that a word may mean."""

    uuid: str
    name: str
    project_id: str


def resolve(word: str, known: collections.abc.Iterable[Named]) -> str:
    """Return the uuid that a full uuid, a unique name or a unique prefix
    of a uuid means.

    :raises OperatorError: nothing fits, or more than one does.
    """
    fits = {item.uuid: item for item in known
            if word.lower() == item.uuid}
    if not fits:
        fits = {item.uuid: item for item in known if
                word == item.name or (
                    len(word) >= SHORTEST_PREFIX and
                    item.uuid.startswith(word.lower()))}
    if len(fits) == 1:
        return next(iter(fits))
    if not fits:
        raise exception.OperatorError(problem=(
            f'cannot find instance {word!r}: expected a uuid, a unique name '
            f'or at least {SHORTEST_PREFIX} first characters of the uuid of '
            f'an instance that is tagged for HA; found none. '
            f'"nova-manage pets list" shows all.'))
    shown = ', '.join(
        f'{item.uuid} ({item.name}, project {item.project_id})'
        for item in sorted(fits.values(), key=lambda item: item.uuid)[:5])
    raise exception.OperatorError(problem=(
        f'cannot tell which instance {word!r} is: expected one, found '
        f'{len(fits)}: {shown}. Give more of the uuid.'))


def find_host(word: str, hosts: collections.abc.Iterable[records.Host]
              ) -> records.Host:
    """:raises OperatorError: no such host; near ones are named."""
    rows = sorted(hosts, key=lambda row: row.host)
    for row in rows:
        if row.host == word:
            return row
    near = [row.host for row in rows
            if word.lower() in row.host.lower()
            or row.host.lower() in word.lower()]
    known = (f'did you mean {words.listing(near)}?' if near else
             f'known are {words.listing([row.host for row in rows])}.'
             if rows else 'no host is known yet, has an engine ever run?')
    raise exception.OperatorError(problem=(
        f'cannot find host {word!r}: expected the name of a nova-compute '
        f'service host; {known}'))


# -- when ---------------------------------------------------------------------


_RELATIVE = re.compile(r'(\d+)\s*(s|m|min|h|d|w)')
_UNITS = {'s': 1, 'm': 60, 'min': 60, 'h': 3600, 'd': 86400, 'w': 604800}


def parse_when(word: str, now: datetime.datetime, option: str,
               is_future: bool = False) -> datetime.datetime:
    """Return a naive UTC time.

    :param word: '2026-11-21', '2026-11-21 03:14', ISO 8601 (without a zone:
        UTC), or a distance from now: '30m', '2h', '7d'.
    :param is_future: a distance points forward.
    :raises OperatorError: neither.
    """
    text = word.strip()
    relative = _RELATIVE.fullmatch(text.lower())
    try:
        if relative:
            distance = datetime.timedelta(
                seconds=int(relative[1]) * _UNITS[relative[2]])
            return now + distance if is_future else now - distance
        when = datetime.datetime.fromisoformat(text)
        if when.tzinfo is not None:
            when = when.astimezone(datetime.UTC).replace(tzinfo=None)
        return when
    except (ValueError, OverflowError):
        raise exception.OperatorError(problem=(
            f'cannot use {option} {word!r}: expected a date and time in '
            f'UTC such as "2026-11-21" or "2026-11-21 03:14", or a distance '
            f'such as 30m, 2h or 7d')) from None
