# SPDX-License-Identifier: Apache-2.0
"""What a person may order now, and the rows that the order would be.

Pure: rows in, a Ruling out. The command only writes what the ruling says;
the engines act on it, and check everything again when they do.
"""

import collections.abc
import dataclasses
import datetime

from nova_pets.cmd import documents
from nova_pets.cmd import words
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.planning import machine

C = states.ControlKind
H = states.HostState
R = states.RecoveryState

Orders = collections.abc.Iterable[records.Control]

COMMANDS = ('nova-manage ', 'rabbitmqctl ')
"""How a line of Ruling.after begins when it is a command."""


@dataclasses.dataclass(frozen=True, slots=True)
class Ruling:
    """What will be written, and what a person should read before."""

    adds: tuple[records.Control, ...] = ()
    ends: tuple[records.Control, ...] = ()
    already: tuple[str, ...] = ()
    """Sentences: this is so already, nothing is written for it."""
    refused: tuple[str, ...] = ()
    """Sentences: why not, and what to do instead."""
    shown: tuple[tuple[str, str], ...] = ()
    """(label, text): what speaks for and against it."""
    effect: str = ''
    """What the engines will do, one sentence."""
    oath: str = ''
    """What the person says by typing yes; empty: no question asked."""
    after: tuple[str, ...] = ()
    """What to do or look at afterwards."""


@dataclasses.dataclass(frozen=True, slots=True)
class Person:
    """Who orders, and why."""

    actor: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Around:
    """What is known around one host."""

    pets: int = 0
    open_recoveries: int = 0
    orders: tuple[records.Control, ...] = ()
    """Active ones."""


def new(kind: states.ControlKind, scope: str, target: str,
           person: Person, epoch: int | None = None,
           until_at: datetime.datetime | None = None) -> records.Control:
    return records.Control(
        id=None, kind=kind, scope=scope, target=target, epoch=epoch,
        reason=person.reason, actor=person.actor, until_at=until_at)


def active(orders: Orders, kind: states.ControlKind, scope: str,
           target: str = '') -> list[records.Control]:
    return [order for order in orders
            if order.active and order.kind is kind and
            order.scope == scope and order.target == target]


def stands(order: records.Control) -> str:
    """Return "ordered by alice: 'reason'"."""
    return f'ordered by {order.actor or "somebody"}: "{order.reason}"'


# -- one host -----------------------------------------------------------------


def fence(host: records.Host, around: Around, person: Person,
          epoch: int | None = None) -> Ruling:
    shown = _safety(host, around)
    standing = active(around.orders, C.FENCE, 'host', host.host)
    problem = _wrong_epoch(host, epoch)
    if not problem and host.state is H.FENCING:
        return Ruling(already=(f'{host.host} is being powered off already.',),
                      shown=shown)
    if not problem and standing:
        return Ruling(already=(
            f'{host.host}: {stands(standing[0])}.',), shown=shown)
    if not problem and host.state in states.PROVEN_OFF:
        problem = (f'{host.host} is proven off already '
                   f'({_proof_of(host)}).')
    elif not problem and host.state is H.UP:
        problem = (
            f'{host.host} is up and its heartbeat moves: a host that shows '
            f'life is never fenced. If it must go, stop nova-compute and '
            f'the machine by hand; the engines see it then.')
    elif not problem and (host.state, 'operator_fence') not in \
            machine.HOST_TRANSITIONS:
        problem = _not_in_state(host, 'fenced')
    if problem:
        return Ruling(refused=(problem,), shown=shown)
    return Ruling(
        adds=(new(C.FENCE, 'host', host.host, person, host.epoch),),
        shown=shown,
        effect=(f'An engine powers {host.host} off now and reads the power '
                f'back. It passes storms, limits and maintenance, never a '
                f'moving heartbeat. Whatever still runs there is lost.'),
        oath=f'power off {host.host}',
        after=('nova-manage pets status',
               f'nova-manage pets history --host {host.host}'))


def confirm_fenced(host: records.Host, around: Around, person: Person,
                   epoch: int | None = None) -> Ruling:
    """A person's word that the host is off; for its present epoch only."""
    shown = _safety(host, around)
    standing = [order for order in
                active(around.orders, C.CONFIRM_FENCED, 'host', host.host)
                if order.epoch == host.epoch]
    problem = _wrong_epoch(host, epoch)
    if not problem and host.state in states.PROVEN_OFF:
        return Ruling(already=(f'{host.host} is proven off already '
                               f'({_proof_of(host)}).',), shown=shown)
    if not problem and standing:
        return Ruling(already=(
            f'{host.host}: {stands(standing[0])}; it is taken as proof '
            f'while every witness is silent.',), shown=shown)
    if not problem and (host.state, 'confirmed') not in \
            machine.HOST_TRANSITIONS:
        problem = _not_in_state(host, 'confirmed to be off')
    alive = [witness for witness in documents.witnesses(host.evidence)
             if witness['sign'] == states.Sign.LIFE]
    if not problem and alive:
        seen = '; '.join(f'{witness["witness"]}: {witness["detail"]}'
                         for witness in alive)
        problem = (
            f'{host.host} shows life ({seen}): a host that is seen alive '
            f'cannot be confirmed to be off. Power it off first, and wait '
            f'until every witness is silent.')
    if problem:
        return Ruling(refused=(problem,), shown=shown)
    return Ruling(
        adds=(new(C.CONFIRM_FENCED, 'host', host.host, person,
                     host.epoch),),
        shown=shown,
        effect=(f'The engines take your word as the proof that {host.host} '
                f'is off, for epoch {host.epoch} only and while every '
                f'witness is silent. Its pets are then started elsewhere: '
                f'if it still runs, their disks will be written twice.'),
        oath=(f'{host.host} is powered off (epoch {host.epoch}), I looked, '
              f'and it cannot start by itself'),
        after=('nova-manage pets status',))


def release(host: records.Host, around: Around, person: Person,
            epoch: int | None = None) -> Ruling:
    shown = _safety(host, around)
    standing = active(around.orders, C.RELEASE, 'host', host.host)
    problem = _wrong_epoch(host, epoch)
    if not problem and host.state in (H.UP, H.RETURNING):
        return Ruling(already=(
            f'{host.host} is '
            f'{"up" if host.state is H.UP else "coming back already"}.',),
            shown=shown)
    if not problem and standing:
        return Ruling(already=(f'{host.host}: {stands(standing[0])}.',),
                      shown=shown)
    if not problem and host.state is H.FENCED:
        leaving = words.count(around.open_recoveries, 'open recovery',
                              'open recoveries')
        problem = (
            f'{host.host} is proven off, but its pets are still leaving '
            f'({leaving}): it stays off until all have left. '
            f'"nova-manage pets list --host {host.host}" shows them.')
    elif not problem and (host.state, 'release') not in \
            machine.HOST_TRANSITIONS:
        problem = _not_in_state(host, 'released')
    if problem:
        return Ruling(refused=(problem,), shown=shown)
    return Ruling(
        adds=(new(C.RELEASE, 'host', host.host, person, host.epoch),),
        shown=shown,
        effect=(f'{host.host} may come back: nova-compute removes the guests '
                f'that were evacuated, and only when that was seen is '
                f'forced_down cleared and the host up again. Before, the '
                f'engines empty the queue of its nova-compute and power it '
                f'on, unless [pets_fencing] power_on is never, or it has no '
                f'device for that.'),
        oath=f'let {host.host} come back',
        after=_drain(host.host))


def _drain(host: str) -> tuple[str, ...]:
    """Why: the queue outlives its consumer. A late start or rebuild in it
    would run a second copy there without any check (design.md, 5)."""
    return (
        'What came of it, and what was dropped from the queue:',
        f'nova-manage pets history --host {host}',
        f'If that says that the queue is not drained, or you power it on '
        f'yourself: BEFORE {host} is powered on, drop what its queues still '
        f'hold: a late start in one would run a second copy there (-p VHOST '
        f'where nova has a virtual host of its own; the second queue exists '
        f'since nova 34):',
        f'rabbitmqctl purge_queue compute.{host}',
        f'rabbitmqctl purge_queue compute-alt.{host}',
        f'Then power on {host}, or start nova-compute there.')


def maintenance(host: records.Host, orders: Orders, person: Person,
                until_at: datetime.datetime | None, is_off: bool) -> Ruling:
    standing = active(orders, C.MAINTENANCE, 'host', host.host)
    if is_off:
        if not standing:
            return Ruling(already=(f'{host.host} is in no maintenance.',))
        return Ruling(ends=tuple(standing), effect=(
            f'{host.host} leaves maintenance: if it fails it is fenced '
            f'again.'))
    if standing and standing[0].until_at == until_at:
        return Ruling(already=(
            f'{host.host} is in maintenance already, '
            f'{stands(standing[0])}.',))
    notes = []
    if host.state is not H.UP:
        notes.append(('State', f'{host.state}: '
                      f'{words.HOST_WORDS[host.state]}'))
    until = f' until {words.clock(words.iso(until_at))} UTC' \
        if until_at else ', until --off'
    return Ruling(
        adds=(new(C.MAINTENANCE, 'host', host.host, person,
                     until_at=until_at),),
        ends=tuple(standing), shown=tuple(notes),
        effect=(f'{host.host} is in maintenance{until}: if it falls silent '
                f'it is not fenced, only alarmed about; its pets stay where '
                f'they are.'))


# -- all, a cell or a host ----------------------------------------------------


def pause(scope: str, target: str, orders: Orders, person: Person
          ) -> Ruling:
    standing = active(orders, C.PAUSE, scope, target)
    if standing:
        return Ruling(already=(
            f'{scope_text(scope, target)} is paused already, '
            f'{stands(standing[0])}.',))
    return Ruling(
        adds=(new(C.PAUSE, scope, target, person),),
        effect=(f'{scope_text(scope, target)}: no new recovery starts and '
                f'no host is powered off; attempts in flight are finished. '
                f'It stands until resume.'),
        after=(f'nova-manage pets resume{_scope_option(scope, target)} '
               f'--reason "..."',))


def resume(scope: str, target: str, orders: Orders) -> Ruling:
    orders = list(orders)
    standing = active(orders, C.PAUSE, scope, target)
    others = [order for order in orders
              if order.active and order.kind is C.PAUSE and
              order not in standing]
    still = tuple(text for order in others for text in (
        f'Still paused: {scope_text(order.scope, order.target)}, '
        f'{stands(order)}:',
        f'nova-manage pets resume'
        f'{_scope_option(order.scope, order.target)} --reason "..."'))
    if not standing:
        return Ruling(already=(
            f'{scope_text(scope, target)}: no such pause.',), after=still)
    return Ruling(
        ends=tuple(standing), after=still,
        effect=f'{scope_text(scope, target)}: recoveries start again.')


LIMITS = frozenset({'storm', 'day_limit'})
"""Reasons of holds that an approval passes."""


def approve(scope: str, target: str,
            hosts: collections.abc.Iterable[records.Host],
            orders: Orders, person: Person, is_off: bool = False) -> Ruling:
    """Let hosts that a storm, or the limit of a day, holds back be powered
    off.

    An approval names each host and its epoch: nobody approves what has not
    happened yet.
    """
    orders = list(orders)
    covered = [host for host in hosts if _covers(scope, target, host)]
    if is_off:
        ends = [order for host in covered for order in
                active(orders, C.APPROVAL, 'host', host.host)]
        return Ruling(ends=tuple(ends), already=() if ends else (
            f'{scope_text(scope, target)}: no approval stands.',),
            effect='The approvals are withdrawn.' if ends else '')
    held = [host for host in covered if host.reason in LIMITS]
    adds, already = [], []
    for host in held:
        standing = active(orders, C.APPROVAL, 'host', host.host)
        if standing:
            already.append(f'{host.host}: {stands(standing[0])}.')
        else:
            adds.append(new(C.APPROVAL, 'host', host.host, person,
                               host.epoch))
    if not held:
        return Ruling(refused=(
            f'{scope_text(scope, target)}: no host is held back by a storm '
            f'or by the limit of a day now, there is nothing to approve.',))
    names = [order.target for order in adds]
    return Ruling(
        adds=tuple(adds), already=tuple(already),
        shown=tuple((host.host, _witness_text(host)) for host in held),
        effect=(f'{words.count(len(names), "host")} may be powered off '
                f'although too many are silent at once, or were powered off '
                f'within a day: '
                f'{words.listing(names)}.') if adds else '',
        oath=(f'I looked at {words.listing(names)}; they are dead, and the '
              f'network or the database is not the reason') if adds else '',
        after=('nova-manage pets status',) if adds else ())


def scope_text(scope: str, target: str) -> str:
    return {'all': 'The whole cloud', 'host': target}.get(
        scope, f'{scope.capitalize()} {target}')


def _scope_option(scope: str, target: str) -> str:
    return '' if scope == 'all' else f' --{scope} {target}'


def _covers(scope: str, target: str, host: records.Host) -> bool:
    return (scope == 'all' or
            (scope == 'cell' and host.cell_uuid == target) or
            (scope == 'host' and host.host == target))


# -- what to show -------------------------------------------------------------


def _safety(host: records.Host, around: Around
            ) -> tuple[tuple[str, str], ...]:
    """All that speaks for and against an act upon this host."""
    state = f'{host.state}: {words.HOST_WORDS[host.state]}'
    if host.reason:
        state += f' ({documents.reason_text(host.reason)})'
    shown = [('State', state), ('Epoch', str(host.epoch))]
    if host.proof:
        shown.append(('Proof', _proof_of(host)))
    shown.append(('Witnesses', _witness_text(host)))
    ready = {True: 'was seen to work', False: 'does not work',
             None: 'was never asked'}[host.fence_ready]
    shown.append(('Fence', ready + (f': {host.fence_detail}'
                                    if host.fence_detail else '')))
    if host.fence_attempts:
        shown.append(('Tried', f'{words.count(host.fence_attempts, "time")} '
                      f'in this epoch'))
    shown.append(('Pets', f'{around.pets} known there'))
    for order in around.orders:
        covers = _covers(order.scope, order.target, host)
        if order.active and covers and order.kind in (C.PAUSE,
                                                      C.MAINTENANCE):
            shown.append((str(order.kind).capitalize(), stands(order)))
    return tuple(shown)


def _witness_text(host: records.Host) -> str:
    seen = [documents.witness_text(witness)
            for witness in documents.witnesses(host.evidence)]
    return '; '.join(seen) or 'nothing recorded'


def _proof_of(host: records.Host) -> str:
    return words.PROOF_WORDS.get(host.proof, str(host.proof)) \
        if host.proof else 'no proof recorded'


def _wrong_epoch(host: records.Host, epoch: int | None) -> str:
    if epoch is None or epoch == host.epoch:
        return ''
    return (f'{host.host} is in epoch {host.epoch}, not {epoch}: things '
            f'have changed since you looked. Look again: '
            f'nova-manage pets hosts --host {host.host}')


def _not_in_state(host: records.Host, wanted: str) -> str:
    return (f'{host.host} cannot be {wanted} now: it is {host.state} '
            f'({words.HOST_WORDS[host.state]}).')
