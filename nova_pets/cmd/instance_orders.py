# SPDX-License-Identifier: Apache-2.0
"""What a person may order for instances now: recover, retry, abandon; pure.

Rows in, an orders.Ruling out; one order per instance, so that each can be
obeyed and ended by itself.
"""

import collections.abc
import dataclasses

from nova_pets.cmd import orders
from nova_pets.cmd import words
from nova_pets.model import records
from nova_pets.model import states

C = states.ControlKind
H = states.HostState
R = states.RecoveryState


@dataclasses.dataclass(slots=True)
class _Outcome:
    """Gathered instance by instance."""

    adds: list[records.Control] = dataclasses.field(default_factory=list)
    already: list[str] = dataclasses.field(default_factory=list)
    refused: list[str] = dataclasses.field(default_factory=list)
    notes: list[tuple[str, str]] = dataclasses.field(default_factory=list)


def recover(pets: collections.abc.Sequence[records.Pet],
            hosts: dict[str, records.Host],
            recoveries: dict[str, records.Recovery], standing: orders.Orders,
            person: orders.Person, is_host_wide: bool = False
            ) -> orders.Ruling:
    """Begin the recovery of pets whose host is not up."""
    out, given = _Outcome(), list(standing)
    for pet in pets:
        who = words.instance(pet.name, pet.instance_uuid)
        host = hosts.get(pet.host or '')
        open_one = recoveries.get(pet.instance_uuid)
        known = orders.active(given, C.RECOVER, 'instance', pet.instance_uuid)
        if open_one is not None and open_one.state not in (
                R.WAITING, R.NEEDS_OPERATOR):
            out.already.append(
                f'{who} is being recovered already: '
                f'{words.RECOVERY_WORDS[open_one.state]}.')
        elif known:
            out.already.append(f'{who}: {orders.stands(known[0])}.')
        elif open_one is None and (host is None or
                                   host.state in (H.UP, H.SUSPECT)):
            out.refused.append(
                f'{who} is on {pet.host or "no host"}, which is '
                f'{host.state if host else "not known"}: only an instance '
                f'whose host is down can be recovered. To move it from a '
                f'living host use nova (live or cold migration).')
        else:
            out.adds.append(orders.new(
                C.RECOVER, 'instance', pet.instance_uuid, person))
    return _for_instances(
        'recover', out,
        'Its recovery begins at once when its host is proven off, whatever '
        'keeps it from beginning by itself; every safety rule stays.',
        is_host_wide)


def retry(recoveries: collections.abc.Sequence[records.Recovery],
          standing: orders.Orders, person: orders.Person,
          is_host_wide: bool = False) -> orders.Ruling:
    """Ask for the next attempt without waiting."""
    out, given = _Outcome(), list(standing)
    for row in recoveries:
        who = words.instance(row.name, row.instance_uuid)
        known = orders.active(given, C.RETRY, 'instance', row.instance_uuid)
        if row.state in states.TERMINAL:
            out.refused.append(f'{who} has no open recovery: the last one '
                               f'{_ended(row)}.')
        elif known:
            out.already.append(f'{who}: {orders.stands(known[0])}.')
        elif row.state in (R.PENDING, R.READY):
            out.already.append(
                f'{who} is next: {words.RECOVERY_WORDS[row.state]}.')
        elif row.state not in (R.WAITING, R.NEEDS_OPERATOR):
            out.refused.append(
                f'{who} is not ready for another attempt '
                f'({words.RECOVERY_WORDS[row.state]}): one beside it could '
                f'run two copies. It goes on by itself.')
        else:
            out.adds.append(orders.new(
                C.RETRY, 'instance', row.instance_uuid, person))
    return _for_instances(
        'retry', out,
        'What earlier attempts left is settled again, then the next attempt '
        'begins without waiting; every safety rule stays.',
        is_host_wide)


def abandon(recoveries: collections.abc.Sequence[records.Recovery],
            standing: orders.Orders, person: orders.Person,
            is_host_wide: bool = False) -> orders.Ruling:
    """End recoveries; Nova's instance is left as it is."""
    out, given = _Outcome(), list(standing)
    for row in recoveries:
        who = words.instance(row.name, row.instance_uuid)
        known = orders.active(given, C.ABANDON, 'instance', row.instance_uuid)
        if row.state in states.TERMINAL:
            out.already.append(f'{who} has no open recovery: the last one '
                               f'{_ended(row)}.')
        elif known:
            out.already.append(f'{who}: {orders.stands(known[0])}.')
        else:
            if row.state in states.IN_FLIGHT:
                out.notes.append((who, 'has an attempt in flight; the order '
                                  'waits until that has ended'))
            if row.destination and row.state not in (R.PENDING, R.WAITING):
                out.notes.append((who, f'a guest of it may be on '
                                  f'{row.destination}: look there before '
                                  f'it is started anywhere else'))
            out.adds.append(orders.new(
                C.ABANDON, 'instance', row.instance_uuid, person))
    return _for_instances(
        'abandon', out,
        'The recovery ends, nothing more is tried in this epoch, and the '
        'instance stays in nova as it is: you take care of it.',
        is_host_wide)


def _ended(row: records.Recovery) -> str:
    return 'was abandoned' if row.state is R.ABANDONED else 'succeeded'


def _for_instances(verb: str, outcome: _Outcome, effect: str,
                   is_host_wide: bool) -> orders.Ruling:
    """One ruling for several instances.

    With --host, those that it does not apply to are counted, not refused.
    """
    adds, already, refused = (outcome.adds, outcome.already,
                              outcome.refused)
    if is_host_wide and (already or refused):
        others = words.count(len(already) + len(refused), 'instance')
        already, refused = [f'{others} there: nothing to {verb}.'], []
    if is_host_wide and not (adds or already):
        already = [f'No instance there to {verb}.']
    return orders.Ruling(
        adds=tuple(adds), already=tuple(already), refused=tuple(refused),
        shown=tuple(outcome.notes), effect=effect if adds else '',
        oath=f'{verb} {words.count(len(adds), "instance")}' if adds else '',
        after=('nova-manage pets status',) if adds else ())
