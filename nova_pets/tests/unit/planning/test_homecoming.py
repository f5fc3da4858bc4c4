# SPDX-License-Identifier: Apache-2.0
"""When a host that every pet has left comes back, and what is done before."""

import pytest

from nova_pets.model import actions
from nova_pets.model import states
from nova_pets.planning import homecoming
from nova_pets.tests.unit.planning import samples
from nova_pets.tests.unit.planning import test_hosts

H = states.HostState
C = states.ControlKind
AFTER = samples.policy_with(power_on=states.PowerOn.AFTER_RECOVERY)
NEVER = samples.policy_with(power_on=states.PowerOn.NEVER)
OBSERVE = samples.policy_with(power_on=states.PowerOn.AFTER_RECOVERY,
                              mode=states.Mode.OBSERVE)
DRAINED = {'evidence': {homecoming.DRAINED: 'compute.host1 is empty'}}
CAN = {'can_power_on': frozenset({'host1'})}
told = test_hosts.told


def vacated(row=None, **values):
    return samples.host_view(state=H.VACATED, row={**DRAINED, **(row or {})},
                             **values)


def returning(reason, **values):
    return samples.host_view(
        state=H.RETURNING, row={'reason': reason, 'forced_down': True},
        svc=samples.service(forced_down=True), **values)


def plan(view, policy=samples.POLICY, is_wanted=False, **snap):
    return test_hosts.plan(view, is_wanted, policy, **{**CAN, **snap})


# -- the queue ----------------------------------------------------------------


@pytest.mark.parametrize('policy', [samples.POLICY, AFTER, NEVER], ids=[
    'manual', 'after_recovery', 'never'])
def test_the_queue_of_an_empty_host_is_drained_whoever_powers_it_on(policy):
    view = vacated({'evidence': {}})
    assert plan(view, policy) == [actions.DrainQueue('host1', 7)]


NOT_DRAINED_YET = {
    'already drained': ({}, {}, {}),
    'it failed a moment ago': ({'evidence': {}}, {'is_resting': True}, {}),
    'observe mode': ({'evidence': {}}, {}, {'policy': OBSERVE}),
}


@pytest.mark.parametrize('row, view, more', NOT_DRAINED_YET.values(),
                         ids=NOT_DRAINED_YET)
def test_a_queue_is_left_alone(row, view, more):
    assert plan(vacated(row, **view), **more) == []


def test_nothing_is_dropped_while_a_pet_is_left_or_life_is_seen():
    bare = {'evidence': {}}
    assert told(plan(vacated(bare, open_recoveries=1))) == [
        'MoveHost reopened']
    assert told(plan(vacated(bare), is_wanted=True)) == ['MoveHost reopened']
    assert told(plan(vacated(bare, count_moved=True))) == [
        'MoveHost life_seen']
    assert told(plan(vacated(bare, is_opened=False))) == ['OpenRecoveries']


# -- by itself ----------------------------------------------------------------


def test_only_after_recovery_powers_on_without_a_person():
    [moved] = plan(vacated(), AFTER)
    assert (moved.event, moved.reason) == ('power_on', 'powering_on')
    assert plan(vacated()) == [] and plan(vacated(), NEVER) == []


def test_nothing_is_powered_on_before_its_queue_was_drained():
    assert told(plan(vacated({'evidence': {}}), AFTER)) == ['DrainQueue']


STAYS_OFF = {
    'cannot_power_on': ({}, {}, {'can_power_on': frozenset()}),
    'own_view': ({}, {}, {'is_sane': False}),
    'own_view ': ({}, {'svc': None}, {}),
    'confirmed_stays_off': ({'proof': states.ProofKind.CONFIRMED}, {}, {}),
    'confirmed_stays_off ': ({'proof': states.ProofKind.EXTERNAL}, {}, {}),
    'maintenance': ({}, {}, {'controls': (
        samples.control(C.MAINTENANCE),)}),
    'service_disabled': ({}, {'svc': samples.service(
        forced_down=True, disabled=True)}, {}),
    'paused': ({}, {}, {'controls': (samples.control(
        C.PAUSE, 'cell', samples.CELL),)}),
    'paused ': ({}, {}, {'controls': (samples.control(C.PAUSE),)}),
}


@pytest.mark.parametrize('reason', STAYS_OFF)
def test_it_stays_off(reason):
    row, view, snap = STAYS_OFF[reason]
    assert told(plan(vacated(row, **view), AFTER, **snap)) == [
        f'Hold {reason.strip()}']


@pytest.mark.parametrize('row, svc', [
    ({'forced_down': False}, {'forced_down': True}),
    ({}, {'forced_down': False})], ids=['not by us', 'taken away'])
def test_it_is_forced_down_again_before_it_is_powered_on(row, svc):
    view = vacated(row, svc=samples.service(**svc))
    assert told(plan(view, AFTER)) == ['ForceDown']


# -- released -----------------------------------------------------------------


@pytest.mark.parametrize('policy, snap, reason', [
    (samples.POLICY, {}, 'powering_on'),
    (AFTER, {}, 'powering_on'),
    (NEVER, {}, 'release_requested'),
    (samples.POLICY, {'can_power_on': frozenset()}, 'release_requested'),
    (samples.policy_with(mode=states.Mode.OBSERVE), {}, 'release_requested'),
], ids=['manual', 'after_recovery', 'never', 'no device', 'observe'])
def test_a_released_host_is_powered_on_where_that_may_be(policy, snap,
                                                         reason):
    order = samples.control(C.RELEASE)
    for view in (vacated(), samples.host_view(state=H.QUARANTINED)):
        moved, ended = plan(view, policy, controls=(order,), **snap)
        assert (moved.event, moved.reason) == ('release', reason)
        assert ended.control is order


# -- on the way ---------------------------------------------------------------


@pytest.mark.parametrize('reason', sorted(homecoming.UNDER_WAY))
def test_what_was_wanted_is_done_by_whoever_comes_next(reason):
    assert plan(returning(reason)) == [actions.PowerOn('host1', 7)]
    assert plan(returning(reason, is_resting=True)) == []
    assert plan(returning(reason), OBSERVE) == []


@pytest.mark.parametrize('reason', ['powered_on', 'release_requested',
                                    'waiting_for_cleanup', 'power_on_late',
                                    'never_reported'])
def test_nobody_is_powered_on_twice_or_unasked(reason):
    assert plan(returning(reason)) == []


@pytest.mark.parametrize('reason, late', [
    ('powered_on', 'power_on_late'),
    ('waiting_for_cleanup', 'never_reported')])
def test_whoever_does_not_report_is_told_of(reason, late):
    """A machine that came to life by itself, and whose nova-compute does not
    start with it, was returning for ever, without an alarm (30002514)."""
    assert plan(returning(reason, state_s=899.0)) == []
    assert told(plan(returning(reason, state_s=900.0))) == [f'Hold {late}']
    assert plan(returning(late, state_s=901.0)) == []
    assert plan(returning('release_requested', state_s=901.0)) == []


def test_a_host_that_reports_is_up_only_when_it_is_clean():
    view = returning('powered_on', silent_s=0.0, settled_records=False)
    assert told(plan(view)) == ['Hold waiting_for_cleanup']
    view = returning('powering_on', silent_s=0.0)
    assert told(plan(view)) == ['ForceUp']


@pytest.mark.parametrize('reason', ['waiting_for_cleanup', 'cleanup_missed'])
def test_whoever_started_before_its_pets_had_left_is_told_of(reason):
    """No start of nova-compute is to come that would clean up: it was for
    ever returning, and nobody was told."""
    view = returning(reason, silent_s=0.0, settled_records=False,
                     state_s=30.0)
    assert told(plan(view)) in ([], ['Hold cleanup_missed'])
    assert (plan(view) == []) == (reason == 'cleanup_missed')
    view = returning('waiting_for_cleanup', silent_s=0.0,
                     settled_records=False, state_s=29.0)
    assert plan(view) == []
    view = returning('cleanup_missed', silent_s=0.0, state_s=90.0)
    assert told(plan(view)) == ['ForceUp']


def test_whoever_came_late_is_given_a_reading_to_be_clean():
    view = returning('powered_on', silent_s=0.0, settled_records=False,
                     state_s=900.0)
    assert told(plan(view)) == ['Hold waiting_for_cleanup']
