# SPDX-License-Identifier: Apache-2.0
"""Verdicts: silence of an agent alone never kills a machine."""

import dataclasses

import pytest

from nova_pets.model import observations
from nova_pets.model import states
from nova_pets.planning import detection
from nova_pets.planning import protection
from nova_pets.tests.unit.planning import samples

V = states.Verdict
OLD_LIFE = dataclasses.replace(samples.LIVE_TCP, age_s=6.0)
OLD_SILENCE = dataclasses.replace(samples.SILENT_TCP, age_s=6.0)
YOUNG_SILENCE = dataclasses.replace(samples.SILENT_TCP, silent_s=0.5)
UNKNOWN_TCP = dataclasses.replace(samples.SILENT_TCP,
                                  sign=states.Sign.UNKNOWN)
SILENT_PING = dataclasses.replace(samples.LIVE_PING,
                                  sign=states.Sign.SILENT, silent_s=60.0)
BMC_OFF = observations.Evidence(
    'power', states.WitnessPath.POWER, states.Sign.SILENT, 'off',
    age_s=0.5, silent_s=5.0)
FORCED = observations.Evidence(
    'forced_down', states.WitnessPath.EXTERNAL, states.Sign.SILENT, '',
    age_s=0.5, silent_s=60.0)


@pytest.mark.parametrize('silent_s, evidence, verdict, reason', [
    (0, (), V.UP, 'heartbeat_back'),
    (19.9, (samples.SILENT_TCP,), V.UP, 'heartbeat_back'),
    (20, (samples.SILENT_TCP,), V.SUSPECT, 'heartbeat_silent'),
    (30, (), V.SUSPECT, 'no_host_witness'),
    (30, (samples.SILENT_TCP,), V.DOWN, 'all_silent'),
    (30, (BMC_OFF,), V.DOWN, 'all_silent'),
    (30, (YOUNG_SILENCE,), V.SUSPECT, 'heartbeat_silent'),
    (30, (OLD_SILENCE,), V.SUSPECT, 'heartbeat_silent'),
    (30, (UNKNOWN_TCP,), V.SUSPECT, 'no_host_witness'),
    (999, (SILENT_PING,), V.SUSPECT, 'no_host_witness'),
    (999, (samples.BMC_ON,), V.SUSPECT, 'no_host_witness'),
    (999, (FORCED,), V.SUSPECT, 'no_host_witness'),
    (999, (samples.LIVE_TCP,), V.SUSPECT, 'host_alive'),
    (999, (samples.LIVE_TCP, BMC_OFF), V.SUSPECT, 'host_alive'),
    (999, (samples.LIVE_PING, samples.SILENT_TCP), V.SUSPECT,
     'agent_alive'),
    (999, (OLD_LIFE, BMC_OFF), V.DOWN, 'all_silent'),
    (999, (samples.BMC_ON, samples.SILENT_TCP), V.DOWN, 'all_silent'),
])
def test_verdict(silent_s, evidence, verdict, reason):
    view = samples.host_view(silent_s=silent_s, evidence=evidence)
    found = detection.judge(view, samples.POLICY)
    assert (found.verdict, found.reason) == (verdict, reason)


def test_without_a_service_row_there_is_no_verdict():
    view = samples.host_view(svc=None, silent_s=999,
                             evidence=(samples.SILENT_TCP,))
    assert detection.judge(view, samples.POLICY).verdict is V.UNKNOWN


def test_forced_down_does_not_make_a_moving_heartbeat_silent():
    view = samples.host_view(svc=samples.service(forced_down=True))
    assert detection.judge(view, samples.POLICY).verdict is V.UP


@pytest.mark.parametrize('metadata, image, is_pet, is_usable', [
    ({'ha': 'true'}, {}, True, True),
    ({'ha': 'True '}, {}, True, True),
    ({'ha': 'false'}, {'pets_ha': 'true'}, False, False),
    ({}, {'pets_ha': 'true'}, True, True),
    ({'ha': 'ture'}, {}, True, False),
    ({'ha': 'ture'}, {'pets_ha': 'true'}, True, True),
    ({'ha': 'ture'}, {'pets_ha': 'false'}, False, False),
    ({}, {}, False, False),
    ({'false': 'ha'}, {}, False, False),
])
def test_who_is_a_pet(metadata, image, is_pet, is_usable):
    found = protection.read_tags(
        samples.instance(metadata=metadata, image=image),
        frozenset({'ha'}))
    assert (found.is_pet, found.is_usable) == (is_pet, is_usable)
    assert bool(found.problems) == ('ture' in metadata.values())


def test_a_tenant_cannot_set_what_the_operator_keeps():
    tags = protection.read_tags(
        samples.instance(metadata={'ha': 'true', 'ha:priority': '1000'},
                         flavor={'pets:priority': '700'}),
        frozenset({'ha'}))
    assert tags.priority == 700
    assert 'tenant_settings' in tags.problems[0]


@pytest.mark.parametrize('values, reason', [
    ({'has_vtpm': True}, 'vtpm'),
    ({'has_accelerators': True}, 'accelerators'),
    ({'has_shares': True}, 'shares'),
    ({'group_policy': 'affinity'}, 'hard_affinity'),
    ({'launched_at': None}, 'never_launched'),
    ({'vm_state': 'suspended'}, 'state_not_covered'),
    ({'vm_state': 'shelved'}, 'state_not_covered'),
    ({'vm_state': 'never heard of'}, 'state_not_covered'),
    ({}, 'no_storage_domain'),
    ({'metadata': {'ha': 'maybe'}}, 'bad_tag'),
])
def test_each_obstacle_is_named(values, reason):
    found = samples.instance(**values)
    tags = protection.read_tags(found, frozenset({'ha', 'disk'}))
    assert reason in protection.why_unprotected(found, tags, True,
                                                samples.POLICY)


@pytest.mark.parametrize('values', [
    {'is_bfv': True},
    {'aggregate': {'pets:storage': 'ceph'}},
    {'metadata': {'ha': 'true', 'ha:disk': 'rebuild'}},
    {'group_policy': 'anti-affinity', 'is_bfv': True},
    {'vm_state': 'paused', 'is_bfv': True},
])
def test_protected(values):
    found = samples.instance(**values)
    tags = protection.read_tags(found, frozenset({'ha', 'disk'}))
    assert protection.why_unprotected(found, tags, True,
                                      samples.POLICY) == ()


@pytest.mark.parametrize('ready', [None, False])
def test_a_fence_that_was_not_seen_to_work_protects_nobody(ready):
    found = samples.instance(is_bfv=True)
    tags = protection.read_tags(found, frozenset({'ha'}))
    assert protection.why_unprotected(found, tags, ready, samples.POLICY) \
        == ('no_working_fence',)


def test_a_heartbeat_that_was_not_seen_to_move_is_not_back():
    """A new engine took every host that was down for up again."""
    view = samples.host_view(state=states.HostState.DOWN, silent_s=0.5,
                             has_moved=False)
    found = detection.judge(view, samples.POLICY)
    assert found.verdict is states.Verdict.SUSPECT
