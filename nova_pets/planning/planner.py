# SPDX-License-Identifier: Apache-2.0
"""One plan for one cycle: all hosts, all open recoveries, the limits.

Pure: ``plan(snapshot, policy) -> actions + what is waited for``. No clock,
randomness, CONF, log or I/O; iterates in sorted order, so the same snapshot
gives the same plan.
"""

import collections

from nova_pets.model import actions
from nova_pets.model import policy as policy_model
from nova_pets.model import reasons
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import hosts
from nova_pets.planning import recoveries
from nova_pets.planning import safety

R = states.RecoveryState

_ASKING = frozenset({R.REQUESTING, R.SCHEDULING})
"""No destination has it yet: conductors, schedulers and placement work."""

QUEUED_SHOWN_S = 5.0
"""Most wait for a place only for a moment: not each has to say so."""

_FOR_AN_EPOCH = frozenset({
    states.ControlKind.CONFIRM_FENCED, states.ControlKind.FENCE,
    states.ControlKind.RELEASE, states.ControlKind.APPROVAL})
"""Orders that are about one failure of one host."""
_TO_PROVE = frozenset({
    states.ControlKind.CONFIRM_FENCED, states.ControlKind.FENCE})
"""Orders that a proof makes void. One that stood until life is seen after all
would be a word from before that."""


def plan(snap: snapshot.Snapshot, policy: policy_model.Policy
         ) -> actions.Plan:
    """Return what this engine should do now, in this order: hosts by name,
    then recoveries by priority, oldest first."""
    if policy.mode is states.Mode.OFF:
        return actions.Plan(())
    wanted = _wanted_hosts(snap)
    planned: list[actions.Action] = []
    for name in sorted(snap.hosts):
        host = snap.hosts[name]
        if safety.may_own(host.row.owner, snap):
            planned += hosts.plan_host(host, snap, policy, name in wanted)
    ordered = sorted(snap.recoveries, key=lambda view: (
        not view.row.urgent, -view.row.priority, view.row.id or 0))
    for view in ordered:
        if is_mine(view, snap):
            planned += recoveries.plan_recovery(view, snap, policy)
        elif view.row.owner == snap.me and not view.is_busy:
            # Each would wait for the other for ever.
            assert view.row.id is not None  # nosec: rows read have an id
            planned.append(actions.GiveUp(view.row.id, view.row.generation))
    planned += _begin(ordered, snap, policy, _recoveries_of(planned))
    planned += _stale_orders(snap)
    return actions.Plan(tuple(planned), tuple(_waits(snap, policy)))


def is_mine(view: snapshot.RecoveryView, snap: snapshot.Snapshot) -> bool:
    """I may own the row, and no other living engine drives its host.

    One engine drives all recoveries of one failed host: the limits per host
    are exact, and two engines do not race for each row.
    """
    source = snap.hosts.get(view.row.source)
    return (safety.may_own(view.row.owner, snap) and
            (source is None or safety.may_own(source.row.owner, snap)))


def _wanted_hosts(snap: snapshot.Snapshot) -> set[str]:
    """Hosts that some pet needs to be proven off."""
    wanted: set[str] = set()
    for view in snap.recoveries:
        if view.row.state in states.TRANSIENT:
            wanted.add(view.row.source)
            if view.row.state is R.SETTLING and view.row.destination:
                wanted.add(view.row.destination)
            for attempt in view.attempts:
                is_open = attempt.outcome is states.Outcome.OPEN
                if is_open and attempt.destination:
                    wanted.add(attempt.destination)
    return wanted


def _recoveries_of(planned: list[actions.Action]) -> set[int]:
    """Ids of the recoveries that this plan already moves."""
    return {action.recovery_id for action in planned
            if isinstance(action, (actions.MoveRecovery,
                                   actions.RecordForeign,
                                   actions.SettleAttempt))}


def _begin(ordered: list[snapshot.RecoveryView], snap: snapshot.Snapshot,
           policy: policy_model.Policy, moved: set[int]
           ) -> list[actions.Action]:
    """Begin attempts of READY recoveries: by priority, within the limits
    per failed host, in all, and for what no destination has yet."""
    in_flight = collections.Counter(
        view.row.source for view in snap.recoveries
        if view.row.state in states.IN_FLIGHT)
    total = sum(in_flight.values())
    asking = sum(view.row.state in _ASKING for view in snap.recoveries)
    planned: list[actions.Action] = []
    for view in ordered:
        row = view.row
        if (row.state is not R.READY or view.is_busy or
                not is_mine(view, snap) or row.id in moved or
                view.trace is None or view.trace.instance is None or
                view.open_attempt is not None):
            continue
        why_not = recoveries.why_not_begin(view, snap, policy)
        if why_not is None and (
                in_flight[row.source] >= policy.parallel_per_host or
                total >= policy.parallel or
                asking >= policy.parallel_requests):
            if view.state_s < QUEUED_SHOWN_S:
                continue
            why_not = ('queued', '')
        if why_not:
            if why_not[0] not in ('proof_stale', 'witness_due'):
                planned += recoveries.hold(view, *why_not)
            continue
        begun = recoveries.begin(view)
        planned += begun
        if isinstance(begun[0], actions.BeginAttempt):
            in_flight[row.source] += 1
            total += 1
            asking += 1
    return planned


def _stale_orders(snap: snapshot.Snapshot) -> list[actions.Action]:
    """End orders on recoveries that no open recovery waits for, and words
    of confirm_fenced for another epoch."""
    planned: list[actions.Action] = []
    instances = {view.row.instance_uuid for view in snap.recoveries}
    sources = {view.row.source for view in snap.recoveries
               if view.row.state in (R.NEEDS_OPERATOR, R.WAITING)}
    abandonable = {view.row.source for view in snap.recoveries}
    for control in snap.controls:
        if control.kind in (states.ControlKind.RETRY,
                            states.ControlKind.RECOVER,
                            states.ControlKind.ABANDON):
            hosts_left = (abandonable if control.kind is
                          states.ControlKind.ABANDON else sources)
            is_needed = (control.target in instances
                         if control.scope == 'instance'
                         else control.target in hosts_left)
            is_new = (control.kind is states.ControlKind.RECOVER and
                      snap.has_orders_to_open)
            if not is_needed and not is_new:
                planned.append(actions.EndControl(
                    control, 'nothing (more) to do'))
        elif control.scope == 'host' and control.kind in _FOR_AN_EPOCH:
            view = snap.hosts.get(control.target)
            why_void = _why_void(control, view.row) if view else ''
            if why_void:
                planned.append(actions.EndControl(control, why_void))
    return planned


def _why_void(control: records.Control, row: records.Host) -> str:
    """Return why an order for a host has outlived its reason, '' if not: it
    must not fire at the host's next failure, perhaps days later."""
    if row.state is states.HostState.UP:
        return 'void: the host is up'
    if row.state in states.PROVEN_OFF and control.kind in _TO_PROVE:
        return 'void: the host is proven off already'
    if control.epoch is not None and control.epoch != row.epoch:
        return f'void: the host is in epoch {row.epoch}'
    return ''


def _waits(snap: snapshot.Snapshot, policy: policy_model.Policy
           ) -> list[str]:
    """Return one sentence per thing that is waited for, sorted."""
    waits = []
    if not snap.is_sane:
        waits.append(f'this engine does not trust its own view: '
                     f'{snap.why_not_sane}')
    if policy.mode is states.Mode.OBSERVE:
        for name, view in sorted(snap.hosts.items()):
            if view.row.state is states.HostState.DOWN:
                waits.append(f'observe mode: would fence {name}')
            elif view.row.state is states.HostState.FENCED:
                waits.append(f'observe mode: would evacuate '
                             f'{view.open_recoveries} instances of {name}')
    counted: collections.Counter[tuple[str, str]] = collections.Counter(
        (view.row.source, view.row.reason) for view in snap.recoveries
        if view.row.reason and view.row.state not in states.IN_FLIGHT)
    for (source, code), number in sorted(counted.items()):
        waits.append(f'{number} of {source}: {reasons.text(code)}')
    return waits
