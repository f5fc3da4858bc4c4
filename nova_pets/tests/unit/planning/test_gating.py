# SPDX-License-Identifier: Apache-2.0
"""The gate's rules as tables; pure, nothing is read."""

import pytest

from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import gating
from nova_pets.tests.unit.planning import samples

H = states.HostState
R = states.RecoveryState
ACT = states.Mode.ACT
OBSERVE = states.Mode.OBSERVE
OURS = 'req-ours'
OTHER = 'req-other'

A_MOVE = gating.Asked(False, is_ours=False, is_only_one=False)
A_PERSONS = gating.Asked(True, is_ours=False, is_only_one=True)
BESIDE_ANOTHER = gating.Asked(True, is_ours=False, is_only_one=False)
LATE = gating.Asked(True, is_ours=True, is_only_one=True)


def gate_view(is_pet=True, host=H.UP, recovery=None, attempt=None):
    return snapshot.GateView(is_pet=is_pet, host_states={'host1': host},
                             recovery=recovery, attempt=attempt)


def an_attempt(request_id=OURS, **values):
    return samples.attempt(request_id=request_id, **values)


def migration(status='accepted', destination=None, source='host1', id=1):
    return samples.migration(id, status, source, destination)


def trace(migrations=None, host='host1'):
    return samples.trace(
        *((migration(),) if migrations is None else migrations), host=host)


def verb(view, request_id=OTHER, mode=ACT, asked=None):
    return gating.decide(view, request_id, 'host1', mode, asked).verb


@pytest.mark.parametrize('host', list(H), ids=str)
@pytest.mark.parametrize('mode', [ACT, OBSERVE], ids=str)
def test_what_is_no_pet_passes(host, mode):
    assert verb(gate_view(is_pet=False, host=host), mode=mode) is \
        gating.Verb.PASS


@pytest.mark.parametrize('host', list(H), ids=str)
@pytest.mark.parametrize('mode', [ACT, OBSERVE], ids=str)
def test_the_open_attempts_own_request_is_consumed(host, mode):
    view = gate_view(host=host, recovery=samples.recovery(R.SCHEDULING),
                     attempt=an_attempt())
    assert verb(view, OURS, mode) is gating.Verb.CONSUME


@pytest.mark.parametrize('host', list(H), ids=str)
@pytest.mark.parametrize('mode', [ACT, OBSERVE], ids=str)
@pytest.mark.parametrize('asked', [None, A_MOVE, A_PERSONS, LATE], ids=str)
def test_nothing_passes_beside_an_open_attempt(host, mode, asked):
    view = gate_view(host=host, recovery=samples.recovery(is_bfv=True),
                     attempt=an_attempt())
    assert verb(view, OTHER, mode, asked) is gating.Verb.REFUSE


@pytest.mark.parametrize('host', list(H), ids=str)
@pytest.mark.parametrize('recovery', [
    None, *(samples.recovery(state) for state in sorted(states.OPEN))],
    ids=lambda recovery: recovery and str(recovery.state))
def test_observe_passes_everything_without_an_open_attempt(host, recovery):
    assert verb(gate_view(host=host, recovery=recovery),
                mode=OBSERVE) is gating.Verb.PASS


@pytest.mark.parametrize('asked,expected', [
    (None, gating.Verb.ASK), (A_MOVE, gating.Verb.PASS),
    (A_PERSONS, gating.Verb.REFUSE), (LATE, gating.Verb.REFUSE)], ids=str)
def test_a_pet_on_a_living_host_may_move_but_not_be_evacuated(
        asked, expected):
    assert verb(gate_view(host=H.UP), asked=asked) is expected


NOT_UP_NOT_PROVEN = sorted(set(H) - {H.UP} - states.PROVEN_OFF)


@pytest.mark.parametrize('host', NOT_UP_NOT_PROVEN, ids=str)
@pytest.mark.parametrize('recovery', [
    None, *(samples.recovery(state, is_bfv=True) for state in
            sorted(states.OPEN))],
    ids=lambda recovery: recovery and str(recovery.state))
@pytest.mark.parametrize('asked', [None, A_MOVE, A_PERSONS, LATE], ids=str)
def test_nothing_leaves_a_host_that_is_neither_up_nor_proven_off(
        host, recovery, asked):
    assert verb(gate_view(host=host, recovery=recovery),
                asked=asked) is gating.Verb.REFUSE


@pytest.mark.parametrize('host', sorted(states.PROVEN_OFF), ids=str)
@pytest.mark.parametrize('state', sorted(states.OPEN), ids=str)
@pytest.mark.parametrize('is_bfv', [True, False])
def test_an_evacuation_is_taken_over_only_in_a_clean_state_from_volume(
        host, state, is_bfv):
    view = gate_view(host=host,
                     recovery=samples.recovery(state, is_bfv=is_bfv))
    can = is_bfv and state in (R.READY, R.WAITING)
    assert verb(view) is (gating.Verb.ASK if can else gating.Verb.REFUSE)
    assert verb(view, asked=A_PERSONS) is (
        gating.Verb.TAKE_OVER if can else gating.Verb.REFUSE)


@pytest.mark.parametrize('host', sorted(states.PROVEN_OFF), ids=str)
@pytest.mark.parametrize('recovery', [
    None, samples.recovery(R.READY, is_bfv=True)], ids=['let go', 'ready'])
@pytest.mark.parametrize('asked', [A_MOVE, BESIDE_ANOTHER, LATE], ids=str)
def test_only_a_lone_evacuation_of_a_person_leaves_a_fenced_host(
        host, recovery, asked):
    assert verb(gate_view(host=host, recovery=recovery),
                asked=asked) is gating.Verb.REFUSE


def test_a_person_may_evacuate_what_nova_pets_has_let_go_of():
    assert verb(gate_view(host=H.FENCED), asked=A_PERSONS) is \
        gating.Verb.PASS


def test_an_unknown_host_counts_as_up():
    view = snapshot.GateView(True, {}, None, None)
    assert verb(view) is gating.Verb.ASK


@pytest.mark.parametrize('decision', [
    gating.decide(gate_view(host=host, recovery=recovery, attempt=attempt),
                  OTHER, 'host1', ACT, asked)
    for host in H
    for recovery in [None, *(samples.recovery(s) for s in sorted(states.OPEN))]
    for attempt in (None, an_attempt())
    for asked in (A_MOVE, A_PERSONS, BESIDE_ANOTHER, LATE)], ids=str)
def test_after_asking_it_is_decided_and_a_refusal_has_a_reason(decision):
    assert decision.verb is not gating.Verb.ASK
    assert bool(decision.reason) is (decision.verb is gating.Verb.REFUSE)


MIGRATIONS = [
    ('its own record', (migration(),), True),
    ('none', (), False),
    ('two accepted', (migration(), migration(id=2)), False),
    ('a stale one of an earlier host', (
        migration(source='host0', id=2), migration()), False),
    ('forced', (migration(destination='host2'),), False),
    ('one is building', (migration('pre-migrating', 'host2', id=2),
                         migration()), False),
    ('a failed one that reached a host',
     (migration('failed', 'host2', id=2), migration()), False),
    ('an error before any host',
     (migration('error', id=2), migration()), True),
    ('one is building from an earlier host', (
        migration('pre-migrating', 'host2', source='host0', id=2),
        migration()), False),
    ('a failed one of an earlier host', (
        migration('failed', 'host2', source='host0', id=2),
        migration()), True),
    ('of an earlier host', (migration(
        'done', 'host1', source='host0', id=2), migration()), True),
]


@pytest.mark.parametrize(
    'migrations,expected', [m[1:] for m in MIGRATIONS],
    ids=[m[0] for m in MIGRATIONS])
def test_another_evacuation_that_may_have_built_a_guest_is_seen(
        migrations, expected):
    """State F3 above all: the row looks untouched, a record betrays it."""
    assert gating.is_only_one(trace(migrations), 'host1', None) is expected


def test_a_settled_failure_is_no_other_evacuation():
    found = trace((migration('failed', 'host2', id=2), migration()))
    assert gating.is_only_one(found, 'host1',
                              samples.recovery(R.WAITING, attempts=1))


def test_an_instance_that_has_left_the_host_is_not_evacuated_from_it():
    assert not gating.is_only_one(trace(host='host2'), 'host1', None)


OWN, FOREIGN = an_attempt(), an_attempt(OTHER)
CONSUMED = an_attempt(gate=states.Gate.CONSUMED)
CLOSED = an_attempt(gate=states.Gate.CLOSED)
NOW = [
    ('still open', CONSUMED, CONSUMED, False, OURS, True),
    ('closed since', CONSUMED, CLOSED, False, OURS, False),
    ('never consumed', CONSUMED, OWN, False, OURS, False),
    ('ended since', CONSUMED, None, False, OURS, False),
    ('another began', None, CONSUMED, False, OTHER, False),
    ('a move, nothing began', None, None, False, OTHER, True),
    ('a move, a recovery began', None, None, True, OTHER, False),
]


@pytest.mark.parametrize(
    'before,now,recovers,request_id,passes', [n[1:] for n in NOW],
    ids=[n[0] for n in NOW])
def test_what_has_passed_is_checked_again(before, now, recovers, request_id,
                                          passes):
    recovery = samples.recovery(R.SCHEDULING)
    first = gate_view(attempt=before, recovery=recovery if before else None)
    second = gate_view(attempt=now,
                       recovery=recovery if recovers or now else None)
    why = gating.why_not_any_more(first, second, request_id)
    assert (why == '') is passes
