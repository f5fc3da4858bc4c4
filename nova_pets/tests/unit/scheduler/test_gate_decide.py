# SPDX-License-Identifier: Apache-2.0
"""The gate's rules as tables; pure, nothing is read."""

import pytest

from nova_pets.model import states
from nova_pets.scheduler import gate
from nova_pets.tests.unit.scheduler import fakes

H = states.HostState
R = states.RecoveryState
ACT = states.Mode.ACT
OBSERVE = states.Mode.OBSERVE

A_MOVE = gate.Asked(False, is_ours=False, is_only_one=False)
A_PERSONS = gate.Asked(True, is_ours=False, is_only_one=True)
BESIDE_ANOTHER = gate.Asked(True, is_ours=False, is_only_one=False)
LATE = gate.Asked(True, is_ours=True, is_only_one=True)


def verb(view, request_id=fakes.OTHER, mode=ACT, asked=None):
    return gate.decide(view, request_id, 'host1', mode, asked).verb


@pytest.mark.parametrize('host', list(H), ids=str)
@pytest.mark.parametrize('mode', [ACT, OBSERVE], ids=str)
def test_what_is_no_pet_passes(host, mode):
    assert verb(fakes.view(is_pet=False, host=host), mode=mode) is \
        gate.Verb.PASS


@pytest.mark.parametrize('host', list(H), ids=str)
@pytest.mark.parametrize('mode', [ACT, OBSERVE], ids=str)
def test_the_open_attempts_own_request_is_consumed(host, mode):
    view = fakes.view(host=host, recovery=fakes.recovery(),
                      attempt=fakes.attempt())
    assert verb(view, fakes.OURS, mode) is gate.Verb.CONSUME


@pytest.mark.parametrize('host', list(H), ids=str)
@pytest.mark.parametrize('mode', [ACT, OBSERVE], ids=str)
@pytest.mark.parametrize('asked', [None, A_MOVE, A_PERSONS, LATE], ids=str)
def test_nothing_passes_beside_an_open_attempt(host, mode, asked):
    view = fakes.view(host=host, recovery=fakes.recovery(is_bfv=True),
                      attempt=fakes.attempt())
    assert verb(view, fakes.OTHER, mode, asked) is gate.Verb.REFUSE


@pytest.mark.parametrize('host', list(H), ids=str)
@pytest.mark.parametrize('recovery', [
    None, *(fakes.recovery(state) for state in sorted(states.OPEN))],
    ids=lambda recovery: recovery and str(recovery.state))
def test_observe_passes_everything_without_an_open_attempt(host, recovery):
    assert verb(fakes.view(host=host, recovery=recovery),
                mode=OBSERVE) is gate.Verb.PASS


@pytest.mark.parametrize('asked,expected', [
    (None, gate.Verb.ASK), (A_MOVE, gate.Verb.PASS),
    (A_PERSONS, gate.Verb.REFUSE), (LATE, gate.Verb.REFUSE)], ids=str)
def test_a_pet_on_a_living_host_may_move_but_not_be_evacuated(
        asked, expected):
    assert verb(fakes.view(host=H.UP), asked=asked) is expected


NOT_UP_NOT_PROVEN = sorted(set(H) - {H.UP} - states.PROVEN_OFF)


@pytest.mark.parametrize('host', NOT_UP_NOT_PROVEN, ids=str)
@pytest.mark.parametrize('recovery', [
    None, *(fakes.recovery(state, is_bfv=True) for state in
            sorted(states.OPEN))],
    ids=lambda recovery: recovery and str(recovery.state))
@pytest.mark.parametrize('asked', [None, A_MOVE, A_PERSONS, LATE], ids=str)
def test_nothing_leaves_a_host_that_is_neither_up_nor_proven_off(
        host, recovery, asked):
    assert verb(fakes.view(host=host, recovery=recovery),
                asked=asked) is gate.Verb.REFUSE


@pytest.mark.parametrize('host', sorted(states.PROVEN_OFF), ids=str)
@pytest.mark.parametrize('state', sorted(states.OPEN), ids=str)
@pytest.mark.parametrize('is_bfv', [True, False])
def test_an_evacuation_is_taken_over_only_in_a_clean_state_from_volume(
        host, state, is_bfv):
    view = fakes.view(host=host,
                      recovery=fakes.recovery(state, is_bfv=is_bfv))
    can = is_bfv and state in (R.READY, R.WAITING)
    assert verb(view) is (gate.Verb.ASK if can else gate.Verb.REFUSE)
    assert verb(view, asked=A_PERSONS) is (
        gate.Verb.TAKE_OVER if can else gate.Verb.REFUSE)


@pytest.mark.parametrize('host', sorted(states.PROVEN_OFF), ids=str)
@pytest.mark.parametrize('recovery', [
    None, fakes.recovery(R.READY, is_bfv=True)], ids=['let go', 'ready'])
@pytest.mark.parametrize('asked', [A_MOVE, BESIDE_ANOTHER, LATE], ids=str)
def test_only_a_lone_evacuation_of_a_person_leaves_a_fenced_host(
        host, recovery, asked):
    assert verb(fakes.view(host=host, recovery=recovery),
                asked=asked) is gate.Verb.REFUSE


def test_a_person_may_evacuate_what_nova_pets_has_let_go_of():
    assert verb(fakes.view(host=H.FENCED), asked=A_PERSONS) is \
        gate.Verb.PASS


def test_an_unknown_host_counts_as_up():
    view = fakes.base.GateView(True, {}, None, None)
    assert verb(view) is gate.Verb.ASK


@pytest.mark.parametrize('decision', [
    gate.decide(fakes.view(host=host, recovery=recovery, attempt=attempt),
                fakes.OTHER, 'host1', ACT, asked)
    for host in H
    for recovery in [None, *(fakes.recovery(s) for s in sorted(states.OPEN))]
    for attempt in (None, fakes.attempt())
    for asked in (A_MOVE, A_PERSONS, BESIDE_ANOTHER, LATE)], ids=str)
def test_after_asking_it_is_decided_and_a_refusal_has_a_reason(decision):
    assert decision.verb is not gate.Verb.ASK
    assert bool(decision.reason) is (decision.verb is gate.Verb.REFUSE)


MIGRATIONS = [
    ('its own record', (fakes.migration(),), True),
    ('none', (), False),
    ('two accepted', (fakes.migration(), fakes.migration(id=2)), False),
    ('a stale one of an earlier host', (
        fakes.migration(source='host0', id=2), fakes.migration()), False),
    ('forced', (fakes.migration(destination='host2'),), False),
    ('one is building', (fakes.migration('pre-migrating', 'host2', id=2),
                         fakes.migration()), False),
    ('a failed one that reached a host',
     (fakes.migration('failed', 'host2', id=2), fakes.migration()), False),
    ('an error before any host',
     (fakes.migration('error', id=2), fakes.migration()), True),
    ('one is building from an earlier host', (
        fakes.migration('pre-migrating', 'host2', source='host0', id=2),
        fakes.migration()), False),
    ('a failed one of an earlier host', (
        fakes.migration('failed', 'host2', source='host0', id=2),
        fakes.migration()), True),
    ('of an earlier host', (fakes.migration(
        'done', 'host1', source='host0', id=2), fakes.migration()), True),
]


@pytest.mark.parametrize(
    'migrations,expected', [m[1:] for m in MIGRATIONS],
    ids=[m[0] for m in MIGRATIONS])
def test_another_evacuation_that_may_have_built_a_guest_is_seen(
        migrations, expected):
    """State F3 above all: the row looks untouched, a record betrays it."""
    assert gate._is_only_one(
        fakes.trace(migrations), 'host1', None) is expected


def test_a_settled_failure_is_no_other_evacuation():
    found = fakes.trace((fakes.migration('failed', 'host2', id=2),
                         fakes.migration()))
    assert gate._is_only_one(found, 'host1',
                             fakes.recovery(R.WAITING, attempts=1))


def test_an_instance_that_has_left_the_host_is_not_evacuated_from_it():
    assert not gate._is_only_one(fakes.trace(host='host2'), 'host1', None)


OWN, FOREIGN = fakes.attempt(), fakes.attempt(fakes.OTHER)
CONSUMED = fakes.attempt(gate=states.Gate.CONSUMED)
CLOSED = fakes.attempt(gate=states.Gate.CLOSED)
NOW = [
    ('still open', CONSUMED, CONSUMED, False, fakes.OURS, True),
    ('closed since', CONSUMED, CLOSED, False, fakes.OURS, False),
    ('never consumed', CONSUMED, OWN, False, fakes.OURS, False),
    ('ended since', CONSUMED, None, False, fakes.OURS, False),
    ('another began', None, CONSUMED, False, fakes.OTHER, False),
    ('a move, nothing began', None, None, False, fakes.OTHER, True),
    ('a move, a recovery began', None, None, True, fakes.OTHER, False),
]


@pytest.mark.parametrize(
    'before,now,recovers,request_id,passes', [n[1:] for n in NOW],
    ids=[n[0] for n in NOW])
def test_what_has_passed_is_checked_again(before, now, recovers, request_id,
                                          passes):
    first = fakes.view(attempt=before,
                       recovery=fakes.recovery() if before else None)
    second = fakes.view(attempt=now, recovery=fakes.recovery()
                        if recovers or now else None)
    why = gate.why_not_any_more(first, second, request_id)
    assert (why == '') is passes
