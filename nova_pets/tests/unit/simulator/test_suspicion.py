# SPDX-License-Identifier: Apache-2.0
"""What healthy hosts never suffer, by the measure of tests/bench; and that
the measure sees it where it happens."""

import dataclasses

import pytest

from nova_pets.model import states
from nova_pets.planning import detection
from nova_pets.tests.bench import suspicion

SUSPECT, DOWN, POWER_OFF = 1, 2, 3
HEARTBEATS_S = [10.0, 2.0]
BAD_REPORTS = suspicion.Trouble('', late=1.0, lost=0.3,
                                agent_s=suspicion.AGENT_S)
DEAD_AGENTS = suspicion.Trouble('', agent_s=((60, 120),))


def run(policy, trouble, seconds=200):
    return suspicion.Run(7, policy, trouble, hosts=12).run(seconds)


@pytest.mark.parametrize('heartbeat_s', HEARTBEATS_S)
def test_reports_and_nova_computes_alone_find_no_host_down(heartbeat_s):
    found = run(suspicion.make_policy(heartbeat_s), BAD_REPORTS)
    assert found.counts[SUSPECT] > 10
    assert found.counts[DOWN] == found.counts[POWER_OFF] == 0


def test_a_judge_without_the_host_level_witness_is_seen(monkeypatch):
    monkeypatch.setattr(detection, '_LIFE_LEVEL',
                        (states.WitnessPath.AGENT,))
    monkeypatch.setattr(detection, '_host_level_silence',
                        lambda view, policy: True)
    found = run(suspicion.make_policy(10.0), DEAD_AGENTS)
    assert found.counts[DOWN] > 5
    assert found.counts[POWER_OFF] > 5


def test_without_host_level_life_the_power_off_is_kept_back(monkeypatch):
    """One layer alone: a machine that answers is not found down, even where
    nobody asks for its silence."""
    monkeypatch.setattr(detection, '_host_level_silence',
                        lambda view, policy: True)
    found = run(suspicion.make_policy(10.0), DEAD_AGENTS)
    assert found.counts[SUSPECT] > 5
    assert found.counts[DOWN] == 0


@pytest.mark.parametrize('heartbeat_s', HEARTBEATS_S)
def test_a_machine_that_pauses_for_less_than_the_bound_keeps_its_power(
        heartbeat_s):
    policy = suspicion.make_policy(heartbeat_s)
    bound_s = suspicion.harmless_pause_s(policy)
    found = run(policy, suspicion.Trouble(
        '', machine_s=((0.7 * bound_s, bound_s),)), seconds=500)
    assert len(found.pauses) > 40
    assert found.counts[POWER_OFF] == 0


@pytest.mark.parametrize('heartbeat_s', HEARTBEATS_S)
def test_a_machine_that_pauses_for_long_is_powered_off(heartbeat_s):
    policy = suspicion.make_policy(heartbeat_s)
    length_s = suspicion.detection_bound_s(policy) + 5
    found = run(policy, suspicion.Trouble(
        '', machine_s=((length_s, length_s + 5),)))
    assert found.pauses
    assert found.counts[POWER_OFF] >= 0.7 * len(found.pauses)


@pytest.mark.parametrize('heartbeat_s', HEARTBEATS_S)
def test_a_death_is_found_within_the_documented_time(heartbeat_s):
    policy = suspicion.make_policy(heartbeat_s)
    took = suspicion.deaths_s(7, policy, hosts=12)
    assert len(took) == 6
    assert took[-1] <= suspicion.detection_bound_s(policy)


def test_the_documented_bounds():
    """specs/0010-fencing, "Detection time" and "False suspicion"."""
    figures = [(suspicion.detection_bound_s(policy),
                suspicion.harmless_pause_s(policy))
               for policy in map(suspicion.make_policy, HEARTBEATS_S)]
    assert figures == [pytest.approx((32.3, 17.7)), pytest.approx((7.8, 2.0))]


def test_a_seed_says_all():
    policy = suspicion.make_policy(2.0)
    trouble = dataclasses.replace(suspicion.MACHINES, lost=0.1, late=0.5)
    first, again = run(policy, trouble), run(policy, trouble)
    assert first == again
    assert first.counts
