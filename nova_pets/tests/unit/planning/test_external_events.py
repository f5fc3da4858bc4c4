# SPDX-License-Identifier: Apache-2.0
"""Somebody else's fencing: trusted only for what it proves."""

import dataclasses

import pytest

from nova_pets.model import actions
from nova_pets.model import observations
from nova_pets.model import states
from nova_pets.planning import detection
from nova_pets.planning import hosts
from nova_pets.planning import safety
from nova_pets.tests.unit.planning import samples

H = states.HostState
V = states.Verdict
TRUSTING = samples.policy_with(
    trusted_events=frozenset({observations.SWITCHED_OFF}))
OFF = observations.Evidence(
    'pacemaker', states.WitnessPath.EXTERNAL, states.Sign.SILENT, 'off',
    age_s=0.5, silent_s=5.0, event=observations.SWITCHED_OFF)
RESET = observations.Evidence(
    'pacemaker', states.WitnessPath.EXTERNAL, states.Sign.UNKNOWN, 'reboot',
    age_s=0.5, event=observations.RESET)
OLD_OFF = dataclasses.replace(OFF, age_s=6.0)
YOUNG_OFF = dataclasses.replace(OFF, silent_s=0.5)
SILENT = samples.SILENT_TCP


@pytest.mark.parametrize('evidence, verdict', [
    ((OFF,), V.DOWN), ((RESET,), V.SUSPECT), ((OLD_OFF,), V.SUSPECT),
    ((YOUNG_OFF,), V.SUSPECT), ((OFF, samples.LIVE_TCP), V.SUSPECT),
    ((OFF, samples.LIVE_PING), V.SUSPECT), ((RESET, SILENT), V.DOWN)])
def test_a_verdict_may_rest_on_an_off(evidence, verdict):
    view = samples.host_view(state=H.SUSPECT, evidence=evidence)
    assert detection.judge(view, samples.POLICY).verdict is verdict


@pytest.mark.parametrize('words, is_free', [
    ((OFF,), True), ((OLD_OFF,), False), ((RESET,), False),
    ((OFF, samples.LIVE_TCP), False)])
def test_a_power_off_may_rest_on_it_too(words, is_free):
    assert (safety.sign_of_life(words, samples.POLICY) is None) is is_free


def proof_of(view, policy, **values):
    found = hosts.plan_host(view, samples.snap(view, **values), policy, True)
    return next((action.proof for action in found
                 if isinstance(action, actions.MoveHost)), None)


@pytest.mark.parametrize('state', [H.DOWN, H.UNPROVEN])
@pytest.mark.parametrize('evidence, is_proof', [
    ((OFF,), True), ((OFF, SILENT), True), ((OLD_OFF, SILENT), False),
    ((RESET, SILENT), False), ((SILENT,), False),
    ((OFF, samples.LIVE_TCP), False), ((OFF, samples.LIVE_PING), False)])
def test_a_trusted_off_is_a_proof_while_all_are_silent(state, evidence,
                                                       is_proof):
    view = samples.host_view(state=state, evidence=evidence)
    wanted = states.ProofKind.EXTERNAL if is_proof else None
    assert proof_of(view, TRUSTING) is wanted
    assert proof_of(view, samples.POLICY) is None


def test_what_is_trusted_is_what_is_named():
    other = samples.policy_with(trusted_events=frozenset({'something'}))
    view = samples.host_view(state=H.DOWN, evidence=(OFF, SILENT))
    assert proof_of(view, other) is None


def test_a_suspect_is_not_proven_off_by_it():
    """The epoch begins with the verdict."""
    view = samples.host_view(state=H.SUSPECT, evidence=(OFF, SILENT))
    assert proof_of(view, TRUSTING) is None


def test_a_quarantined_host_is_not_proven_off_by_it():
    view = samples.host_view(state=H.QUARANTINED, state_s=1.0,
                             evidence=(OFF, SILENT))
    assert proof_of(view, TRUSTING) is None


def fenced(proof, evidence):
    return samples.host_view(state=H.FENCED, row={'proof': proof},
                             evidence=evidence)


@pytest.mark.parametrize('proof, evidence, policy, reason', [
    (states.ProofKind.EXTERNAL, (RESET, SILENT), TRUSTING,
     'reset_after_proof'),
    (states.ProofKind.EXTERNAL, (OFF, SILENT), TRUSTING, None),
    (states.ProofKind.EXTERNAL, (
        dataclasses.replace(RESET, age_s=6.0), SILENT), TRUSTING, None),
    # forced_down was trusted, and is as good as before.
    (states.ProofKind.EXTERNAL, (RESET, SILENT), samples.POLICY, None),
    (states.ProofKind.POWER_OFF, (RESET, SILENT), TRUSTING, None),
    (states.ProofKind.CONFIRMED, (RESET, SILENT), TRUSTING, None),
])
def test_switched_on_after_the_proof(proof, evidence, policy, reason):
    view = fenced(proof, evidence)
    assert safety.why_not_trust_proof(view, policy) == reason
    found = hosts.plan_host(view, samples.snap(view), policy, True)
    assert bool(reason) is any(
        getattr(action, 'event', '') == 'life_seen' for action in found)


POWER = observations.Evidence(
    'bmc', states.WitnessPath.POWER, states.Sign.SILENT, 'off', age_s=6.0,
    silent_s=5.0)


@pytest.mark.parametrize('age_s, verdict', [(6.0, V.DOWN), (20.0, V.DOWN),
                                            (20.1, V.SUSPECT)])
def test_a_slow_bmc_may_testify(age_s, verdict):
    word = dataclasses.replace(POWER, age_s=age_s)
    view = samples.host_view(state=H.SUSPECT, evidence=(word,))
    assert detection.judge(view, samples.POLICY).verdict is verdict
    stops = safety.sign_of_life((word,), samples.POLICY)
    assert (stops is None) is (verdict is V.DOWN)


def test_power_that_is_on_is_no_life():
    on = dataclasses.replace(POWER, sign=states.Sign.UNKNOWN, detail='on')
    for state in (H.FENCED, H.VACATED):
        view = samples.host_view(state=state, evidence=(on, SILENT))
        assert safety.why_not_trust_proof(view, samples.POLICY) is None
    view = samples.host_view(state=H.SUSPECT, evidence=(on,))
    assert detection.judge(view, samples.POLICY).reason == 'no_host_witness'
