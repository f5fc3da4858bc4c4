# SPDX-License-Identifier: Apache-2.0
"""A host that comes and goes gets nothing new before it stayed up."""

import pytest

from nova_pets.model import actions
from nova_pets.model import states
from nova_pets.planning import hosts
from nova_pets.planning import machine
from nova_pets.tests.unit.planning import samples

H = states.HostState
POLICY = samples.policy_with(flap_count=3, flap_calm_s=600.0)
RELEASE = samples.control(states.ControlKind.RELEASE)


def planned(state, policy=POLICY, controls=(), row=None, **values):
    """What is planned for a host whose heartbeat moves."""
    view = samples.host_view(state=state, row=row, **({
        'silent_s': 1.0, 'downs': 3} | values))
    return hosts.plan_host(view, samples.snap(view, controls=controls),
                           policy, True)


def event(*args, **values):
    return next((action.event for action in planned(*args, **values)
                 if isinstance(action, actions.MoveHost)), None)


@pytest.mark.parametrize('state', [H.DOWN, H.UNPROVEN])
@pytest.mark.parametrize('downs, count, forced, found', [
    (2, 3, False, 'alive'), (3, 3, False, 'flapping'),
    (9, 3, False, 'flapping'), (9, 0, False, 'alive'),
    (0, 0, False, 'alive'), (2, 3, True, 'came_back'),
    (3, 3, True, 'flapping')])
def test_who_comes_back_too_often_is_quarantined(state, downs, count, forced,
                                                 found):
    assert event(state, samples.policy_with(flap_count=count), downs=downs,
                 row={'forced_down': forced}) == found
    assert (state, found) in machine.HOST_TRANSITIONS


@pytest.mark.parametrize('reason, state_s, silent_s, found', [
    ('flapping', 599.0, 1.0, None), ('flapping', 600.0, 1.0, 'calm'),
    ('flapping', 600.0, 25.0, None), ('flapping', 600.0, 99.0,
                                      'silent_again'),
    ('life_after_proof', 600.0, 1.0, None)])
def test_a_quarantine_ends_when_the_host_stayed_up(reason, state_s, silent_s,
                                                   found):
    assert event(H.QUARANTINED, row={'reason': reason}, state_s=state_s,
                 silent_s=silent_s) == found


def test_a_person_may_end_it_before():
    assert event(H.QUARANTINED, row={'reason': 'flapping'}, state_s=1.0,
                 controls=(RELEASE,)) == 'release'


def test_one_that_returns_after_a_fence_is_not_held_again():
    """Its power-on was somebody's decision, and its pets are gone."""
    found, = planned(H.RETURNING, state_s=1.0)
    assert isinstance(found, actions.ForceUp)
