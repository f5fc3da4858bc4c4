# SPDX-License-Identifier: Apache-2.0
"""The transition tables: complete, without a dead end, never unproven."""

import pytest

from nova_pets import exception
from nova_pets.model import states
from nova_pets.planning import machine
from nova_pets.tests.unit.planning import samples

H = states.HostState
R = states.RecoveryState


def _reachable(table, start, without=()):
    found, todo = {start}, [start]
    while todo:
        state = todo.pop()
        for (source, event), target in table.items():
            if source is state and event not in without and (
                    target not in found):
                found.add(target)
                todo.append(target)
    return found


def test_every_host_state_is_reachable_from_up():
    assert _reachable(machine.HOST_TRANSITIONS, H.UP) == set(H)


def test_every_recovery_state_is_reachable_from_pending():
    assert _reachable(machine.RECOVERY_TRANSITIONS, R.PENDING) == set(R)


@pytest.mark.parametrize('state', sorted(states.TRANSIENT))
def test_every_transient_state_leads_to_recovered(state):
    assert R.RECOVERED in _reachable(machine.RECOVERY_TRANSITIONS, state)


@pytest.mark.parametrize('state', sorted(states.TERMINAL))
def test_nothing_leaves_a_terminal_state(state):
    assert not [event for source, event in machine.RECOVERY_TRANSITIONS
                if source is state]


@pytest.mark.parametrize('state', sorted(H))
def test_every_host_state_leads_back_to_up(state):
    assert H.UP in _reachable(machine.HOST_TRANSITIONS, state)


def test_no_path_to_an_evacuation_but_through_a_proof():
    reached = _reachable(machine.RECOVERY_TRANSITIONS, R.PENDING,
                         without={'source_proven'})
    assert R.REQUESTING not in reached
    assert R.READY not in reached


def test_no_path_to_fenced_but_through_a_proof():
    proofs = {'proven_off', 'confirmed', 'external_proof'}
    reached = _reachable(machine.HOST_TRANSITIONS, H.UP, without=proofs)
    assert not reached & states.PROVEN_OFF


@pytest.mark.parametrize('state, event', [
    key for key, target in machine.HOST_TRANSITIONS.items()
    if target in states.PROVEN_OFF and key[0] not in states.PROVEN_OFF])
def test_a_proof_must_be_named(state, event):
    row = samples.host(state=state)
    with pytest.raises(exception.IllegalTransition):
        machine.advance_host(row, event, reason='proven_off')
    new = machine.advance_host(row, event, reason='proven_off',
                               proof=states.ProofKind.CONFIRMED,
                               proof_count=4)
    assert new.proof is states.ProofKind.CONFIRMED


@pytest.mark.parametrize('state, event', [
    key for key, target in machine.HOST_TRANSITIONS.items()
    if target not in states.PROVEN_OFF])
def test_no_proof_outlives_its_states(state, event):
    row = samples.host(state=state, proof=states.ProofKind.POWER_OFF,
                       proof_count=3)
    new = machine.advance_host(row, event, reason='x')
    assert (new.proof, new.proof_count) == (None, None)


@pytest.mark.parametrize('state, event', sorted(machine.NEW_EPOCH))
def test_a_new_epoch_voids_what_belonged_to_the_old_one(state, event):
    row = samples.host(state=state, epoch=4, fence_attempts=3)
    new = machine.advance_host(row, event, reason='x')
    assert new.epoch == 5
    assert new.fence_attempts == (1 if new.state is H.FENCING else 0)


@pytest.mark.parametrize('state, event', sorted(
    set(machine.HOST_TRANSITIONS) - machine.NEW_EPOCH))
def test_other_transitions_stay_in_their_epoch(state, event):
    row = samples.host(state=state, epoch=4)
    new = machine.advance_host(row, event, reason='x',
                               proof=states.ProofKind.POWER_OFF)
    assert new.epoch == 4


def test_an_illegal_transition_says_what_was_expected():
    with pytest.raises(exception.IllegalTransition, match='release'):
        machine.advance_host(samples.host(state=H.VACATED), 'fence',
                             reason='x')


def test_the_argument_is_not_changed():
    row = samples.recovery(R.WAITING)
    new = machine.advance_recovery(row, 'due', reason='queued',
                                   changes={'attempts': 9})
    assert (row.state, row.attempts) == (R.WAITING, 0)
    assert (new.state, new.attempts) == (R.READY, 9)
    assert new.generation == row.generation
