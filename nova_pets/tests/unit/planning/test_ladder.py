# SPDX-License-Identifier: Apache-2.0
"""A dead nova-compute on a living machine: alarm, restart, or fence."""

import pytest

from nova_pets.model import actions
from nova_pets.model import policy
from nova_pets.model import states
from nova_pets.planning import ladder
from nova_pets.planning import safety
from nova_pets.tests.unit.planning import samples
from nova_pets.tests.unit.planning import test_hosts

H = states.HostState
C = states.ControlKind
LIFE = (samples.LIVE_TCP,)
PLAIN = policy.Ladder(tries=2, after_s=60.0)
FENCES = policy.Ladder(tries=2, after_s=60.0, then_fence=True,
                       fence_after_s=900.0)
told = test_hosts.told


def view(silent_s=60.0, state=H.SUSPECT, tried=0, evidence=LIFE, **values):
    row = {'evidence': {ladder.TRIES: tried} if tried else {},
           **values.pop('row', {})}
    return samples.host_view(state=state, silent_s=silent_s, row=row,
                             evidence=evidence, **values)


def plan(one, steps=PLAIN, is_wanted=True, others=(), **values):
    ladders = {'host1': steps} if steps else {}
    return test_hosts.plan(one, is_wanted, values.pop(
        'policy', samples.POLICY), others, ladders=ladders, **values)


def test_without_a_ladder_it_is_alarm_only():
    assert told(plan(view(9999.0), None)) == ['Hold host_alive']


def test_nova_compute_is_restarted_a_few_times():
    assert plan(view()) == [actions.RestartService('host1', 7, 1, 2)]
    assert plan(view(tried=1)) == [actions.RestartService('host1', 7, 2, 2)]
    assert told(plan(view(tried=2))) == ['Hold service_restart_failed']


NOT_YET = {
    'too early': view(59.0),
    'nova-compute answers a ping': view(
        evidence=(samples.LIVE_TCP, samples.LIVE_PING)),
    'only nova-compute answers': view(evidence=(samples.LIVE_PING,)),
    'nobody answers yet': view(evidence=()),
    'its heartbeat moves': view(1.0),
    'one was tried a moment ago': view(is_resting=True),
}


@pytest.mark.parametrize('one', NOT_YET.values(), ids=NOT_YET)
def test_nothing_is_restarted(one):
    assert not [action for action in plan(one)
                if isinstance(action, actions.RestartService)]


def test_between_two_tries_what_was_said_stands():
    assert plan(view(tried=1, is_resting=True)) == []


STORM = [samples.host_view(f'host{index}', H.SUSPECT, evidence=LIFE)
         for index in range(2, 7)]
FORBIDDEN = {
    'mode_observe': {'policy': samples.policy_with(
        mode=states.Mode.OBSERVE)},
    'own_view': {'is_sane': False},
    'starting': {'grace_s': 1.0},
    'maintenance': {'controls': (samples.control(C.MAINTENANCE),)},
    'paused': {'controls': (samples.control(C.PAUSE, 'cell',
                                            samples.CELL),)},
    'paused ': {'controls': (samples.control(C.PAUSE),)},
    'storm': {'others': STORM},
}


@pytest.mark.parametrize('reason', FORBIDDEN)
def test_nova_compute_is_not_restarted_by_us(reason):
    assert told(plan(view(), **FORBIDDEN[reason])) == [
        f'Hold {reason.strip()}']


def test_a_disabled_service_is_not_restarted():
    one = view(svc=samples.service(disabled=True))
    assert told(plan(one)) == ['Hold service_disabled']


# -- then fence ---------------------------------------------------------------


def test_a_service_that_stays_dead_for_long_is_a_verdict_where_so_bound():
    [moved] = plan(view(900.0, tried=2), FENCES)
    assert (moved.event, moved.reason) == ('verdict_down', 'service_dead')
    assert told(plan(view(899.0, tried=2), FENCES)) == [
        'Hold service_restart_failed']
    assert told(plan(view(9999.0, tried=2), PLAIN)) == [
        'Hold service_restart_failed']


def test_then_it_is_fenced_if_a_pet_needs_it():
    [fenced] = plan(view(900.0, H.DOWN), FENCES)
    assert isinstance(fenced, actions.FenceHost)
    assert fenced.reason == 'service_fence'
    assert told(plan(view(900.0, H.DOWN), FENCES, is_wanted=False)) == [
        'Hold not_wanted']
    assert told(plan(view(899.0, H.DOWN), FENCES)) == ['Hold host_alive']
    assert told(plan(view(900.0, H.DOWN), PLAIN)) == ['Hold host_alive']


def test_who_is_down_altogether_is_fenced_as_without_a_ladder():
    [fenced] = plan(view(900.0, H.DOWN, evidence=(samples.SILENT_TCP,)),
                    FENCES)
    assert fenced.reason == 'fence_started'


@pytest.mark.parametrize('reason', [name for name in FORBIDDEN
                                    if name.strip() == name])
def test_all_that_forbids_a_power_off_still_does(reason):
    values = FORBIDDEN[reason]
    assert told(plan(view(900.0, H.DOWN), FENCES, **values)) == [
        f'Hold {reason}']
    assert not [action for action in plan(view(900.0, tried=2), FENCES,
                                          **values)
                if isinstance(action, actions.MoveHost)]


def test_a_ping_that_is_answered_keeps_the_host():
    both = (samples.LIVE_TCP, samples.LIVE_PING)
    assert told(plan(view(900.0, H.DOWN, evidence=both), FENCES)) == [
        'Hold host_alive']


def test_the_last_look_before_the_request_passes_the_machine_only():
    assert safety.sign_of_life(LIFE, samples.POLICY, by_ladder=True) is None
    assert safety.sign_of_life(LIFE, samples.POLICY) is not None
    assert safety.sign_of_life(
        (samples.LIVE_TCP, samples.LIVE_PING), samples.POLICY,
        by_ladder=True) is not None


@pytest.mark.parametrize('evidence, why_not', [
    (LIFE, None), ((samples.LIVE_PING,), 'agent_alive'),
    ((), 'no_host_witness')])
def test_the_ladder_passes_one_gate_only(evidence, why_not):
    one = view(900.0, H.DOWN, evidence=evidence)
    assert safety.why_not_fence(one, samples.snap(one), samples.POLICY,
                                by_ladder=True) == why_not
