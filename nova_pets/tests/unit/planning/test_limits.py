# SPDX-License-Identifier: Apache-2.0
"""What holds a power-off back for a while, or for a day."""

import dataclasses

import pytest

from nova_pets.model import actions
from nova_pets.model import observations
from nova_pets.model import states
from nova_pets.planning import detection
from nova_pets.planning import hosts
from nova_pets.planning import safety
from nova_pets.planning import storms
from nova_pets.tests.unit.planning import samples

H = states.HostState
C = states.ControlKind
POLICY = samples.policy_with(day_hosts=2, day_share=0.1)
LISTENING = samples.policy_with(listens_for_kdump=True, kdump_wait_s=45.0)


def down(**values):
    return samples.host_view(state=H.DOWN, **values)


def why_not(view, policy=samples.POLICY, by_operator=False, **values):
    return safety.why_not_fence(view, samples.snap(view, **values), policy,
                                by_operator)


def held(view, policy=samples.POLICY, **values):
    """The hold that is written for a host, as (reason, detail)."""
    found = hosts.plan_host(view, samples.snap(view, **values), policy, True)
    assert [type(action) for action in found] == [actions.Hold]
    return found[0].reason, found[0].detail


# -- after an outage


def test_nothing_is_powered_off_soon_after_an_outage():
    assert why_not(down(), calm_s=0.1) == 'recent_outage'
    assert why_not(down(), calm_s=0.0) is None
    assert held(down(), calm_s=12.0) == ('recent_outage',
                                         'for another 12 s')


def test_an_operator_does_not_wait_for_the_calm():
    assert why_not(down(), calm_s=9.0, by_operator=True) is None


# -- within a day


@pytest.mark.parametrize('number, limit', [(1, 2), (20, 2), (30, 3),
                                           (100, 10)])
def test_the_limit_of_a_day_is_a_number_or_a_share(number, limit):
    assert storms.day_limit(POLICY, number) == limit


@pytest.mark.parametrize('fenced, reason', [
    ({'host2'}, None), ({'host2', 'host3'}, 'day_limit'),
    ({'host2', 'host3', 'host4'}, 'day_limit'),
    ({'host1', 'host2', 'host3'}, None)])
def test_as_many_as_may_be_within_a_day(fenced, reason):
    """Who counts already may be powered off again."""
    assert why_not(down(), POLICY, fenced_today=frozenset(fenced)) == reason


def test_the_numbers_are_told():
    assert held(down(), POLICY, fenced_today=frozenset({'a', 'b'})) == (
        'day_limit', '2 of 1 hosts were powered off by us within a day: at '
        'most 2 may')


@pytest.mark.parametrize('epoch, passes', [(None, True), (1, True),
                                           (2, False)])
def test_an_approval_passes_the_limit_of_a_day(epoch, passes):
    approval = samples.control(C.APPROVAL, epoch=epoch)
    found = why_not(down(), POLICY, fenced_today=frozenset('abc'),
                    controls=(approval,))
    assert (found is None) is passes


def test_an_operator_passes_the_limit_of_a_day():
    assert why_not(down(), POLICY, fenced_today=frozenset('abc'),
                   by_operator=True) is None


# -- while memory is dumped


@pytest.mark.parametrize('dumping_s, reason', [
    (None, None), (0.0, 'kdump'), (599.0, 'kdump'), (600.0, None)])
def test_a_dump_is_given_its_time_and_no_more(dumping_s, reason):
    assert why_not(down(dumping_s=dumping_s)) == reason


def test_without_a_limit_no_dump_is_waited_for():
    policy = samples.policy_with(kdump_limit_s=0.0)
    assert why_not(down(dumping_s=0.0), policy) is None


@pytest.mark.parametrize('silent_s, reason', [(44.9, 'kdump_wait'),
                                              (45.0, None)])
def test_the_first_message_is_waited_for(silent_s, reason):
    assert why_not(down(silent_s=silent_s), LISTENING) == reason
    deaf = samples.policy_with(kdump_wait_s=45.0)
    assert why_not(down(silent_s=silent_s), deaf) is None


def test_the_hold_of_a_dump_says_since_when_and_until_when():
    assert held(down(dumping_s=12.0)) == (
        'kdump', 'heard for 12 s: until its messages stop, at most 600 s')
    assert held(down(silent_s=31.0), LISTENING) == (
        'kdump_wait', 'silent for 31 s of 45 s')


def test_a_dump_is_shown_while_its_kernel_refuses_connections():
    view = samples.host_view(state=H.SUSPECT, evidence=(samples.LIVE_TCP,))
    assert held(view)[0] == 'host_alive'
    assert held(dataclasses.replace(view, dumping_s=3.0))[0] == 'kdump'
    assert held(dataclasses.replace(view, dumping_s=601.0))[0] == \
        'host_alive'


def test_an_operator_does_not_wait_for_a_dump():
    assert why_not(down(dumping_s=1.0), by_operator=True) is None


def test_a_proof_by_others_does_not_wait_for_a_dump():
    word = samples.control(C.CONFIRM_FENCED, epoch=1)
    found = hosts.plan_host(
        down(dumping_s=1.0), samples.snap(down(), controls=(word,)),
        samples.POLICY, True)
    assert found[0].proof is states.ProofKind.CONFIRMED


def test_messages_of_a_dump_are_no_word_on_the_host():
    """They can be forged: neither life nor silence of the machine."""
    word = observations.Evidence(
        'kdump', states.WitnessPath.EXTERNAL, states.Sign.UNKNOWN, '',
        age_s=0.5, event=observations.DUMPING)
    view = samples.host_view(state=H.SUSPECT, evidence=(word,))
    assert detection.judge(view, samples.POLICY).reason == 'no_host_witness'
    assert detection.hears_dump((word,), samples.POLICY)
    for other in (dataclasses.replace(word, age_s=6.0),
                  dataclasses.replace(word, event=''),
                  dataclasses.replace(word, event=observations.RESET)):
        assert not detection.hears_dump((other,), samples.POLICY)
