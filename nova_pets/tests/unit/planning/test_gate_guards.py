# SPDX-License-Identifier: Apache-2.0
"""Single conditions of the gate, of late requests and of the transition
function that no table of decisions shows by itself."""

import dataclasses

import pytest

from nova_pets import exception
from nova_pets.model import observations
from nova_pets.model import states
from nova_pets.planning import detection
from nova_pets.planning import gating
from nova_pets.planning import late
from nova_pets.planning import machine
from nova_pets.tests.unit.planning import samples
from nova_pets.tests.unit.planning import test_gating
from nova_pets.tests.unit.planning import test_late

H = states.HostState
R = states.RecoveryState
Verb = gating.Verb


def decide(host, recovery=None, asked=None):
    return gating.decide(test_gating.gate_view(host=host, recovery=recovery),
                         'req-9', 'host1', states.Mode.ACT, asked)


def test_a_recovery_keeps_a_move_from_a_host_that_is_up_again():
    found = decide(H.UP, samples.recovery(R.WAITING))
    assert found.verb is Verb.REFUSE
    assert found.reason == 'its recovery is waiting and host1 is up'


def test_without_a_recovery_the_host_is_the_reason():
    assert decide(H.DOWN).reason == 'host1 is down'


def test_only_an_evacuation_is_taken_over():
    recovery = samples.recovery(R.WAITING, is_bfv=True)
    resize = gating.Asked(False, is_ours=False, is_only_one=True)
    assert decide(H.FENCED, recovery, resize).verb is Verb.REFUSE


@pytest.mark.parametrize('before, now, may_go_on', [
    (None, None, True), (None, R.PENDING, False), (R.PENDING, R.READY, True)])
def test_a_recovery_that_begins_meanwhile_stops_a_request(before, now,
                                                          may_go_on):
    views = [test_gating.gate_view(recovery=state and samples.recovery(
        state)) for state in (before, now)]
    why_not = gating.why_not_any_more(*views, 'req-9')
    assert (why_not == '') is may_go_on


ENDED = [
    ('error', 'host2', 0, False), ('error', 'host2', 1, True),
    ('done', 'host2', 0, True), ('error', None, 0, True)]


@pytest.mark.parametrize('status, destination, attempts, is_only_one', ENDED)
def test_what_an_ended_evacuation_may_have_left(status, destination,
                                                attempts, is_only_one):
    found = test_gating.trace([test_gating.migration(id=9),
                               test_gating.migration(status, destination)])
    recovery = samples.recovery(R.WAITING, attempts=attempts)
    assert gating.is_only_one(found, 'host1', recovery) is is_only_one


def test_an_instance_that_is_gone_is_no_pet():
    assert gating.may_be_pet(None) is False


# -- late requests ------------------------------------------------------------


def test_an_event_that_is_about_to_fail_explains_nothing():
    unfinished = dataclasses.replace(test_late.LATE, finished=False)
    assert test_late.cause(late_event=unfinished) is None


def test_without_any_event_nothing_is_explained():
    found = observations.Trace(samples.instance(host='host3',
                                                vm_state='error'))
    row = samples.recovery(R.RECOVERED, destination='host3')
    assert late.cause(row, [test_late.ENDED], found) is None


def test_an_instance_without_a_host_is_not_where_it_went():
    row = samples.recovery(R.RECOVERED, destination=None)
    found = observations.Trace(
        samples.instance(host=None, vm_state='error'), (),
        {'req-1': (test_late.LATE,)}, ('req-1',))
    assert late.cause(row, [test_late.ENDED], found) is None


# -- the transition function --------------------------------------------------


def test_a_proof_is_kept_while_the_host_stays_off():
    row = samples.host(state=H.FENCED)
    moved = machine.advance_host(row, 'vacated', reason='vacated')
    assert (moved.proof, moved.proof_count) == (row.proof, row.proof_count)


def test_no_proof_no_fenced_host():
    with pytest.raises(exception.IllegalTransition):
        machine.advance_host(samples.host(state=H.FENCING), 'proven_off',
                             reason='proven_off')


def test_a_host_that_is_up_is_forced_down_no_more():
    row = samples.host(state=H.RETURNING, forced_down=True, fence_attempts=2)
    moved = machine.advance_host(row, 'clean', reason='returned')
    assert (moved.forced_down, moved.fence_attempts) == (False, 0)


# -- signs of life ------------------------------------------------------------


@pytest.mark.parametrize('path, is_lively', [
    (states.WitnessPath.HOST, True), (states.WitnessPath.AGENT, True),
    (states.WitnessPath.POWER, False)], ids=str)
def test_a_device_that_has_power_is_no_sign_of_life(path, is_lively):
    word = observations.Evidence('it', path, states.Sign.LIFE, '', age_s=0.5)
    assert bool(detection.lively((word,), samples.POLICY)) is is_lively
