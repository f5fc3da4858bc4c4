# SPDX-License-Identifier: Apache-2.0
"""Every vm_state, task_state and kind has a row, and the rows are safe."""

import itertools

import pytest

from nova_pets.model import reasons
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.planning import instance_states
from nova_pets.planning import opening
from nova_pets.planning import protection
from nova_pets.tests.unit.planning import samples

Rule = instance_states.Rule
R = states.RecoveryState
RECOVERS = (Rule.RECOVER, Rule.RUNNING, Rule.STOPPED)
COMBINATIONS = list(itertools.product(
    [*instance_states.VM_STATES, 'never heard of', None],
    [*instance_states.TASK_STATES, 'never heard of']))
ROWS = {**instance_states.VM_STATES, **instance_states.TASK_STATES,
        **protection.KINDS}


def opened(**instance):
    found = samples.instance(is_bfv=True, **instance)
    tags = protection.read_tags(found, frozenset({'ha'}))
    pet = protection.pet_of(found, tags, True, samples.POLICY)
    return opening.opened(records.Host('host1', 'cell1', epoch=4), found, pet)


@pytest.mark.parametrize('row', ROWS.values(), ids=map(str, ROWS))
def test_every_row_has_words(row):
    assert row.reason in reasons.REASONS


@pytest.mark.parametrize('row', [
    row for row in ROWS.values() if row.rule is Rule.OPERATOR],
    ids=lambda row: row.reason)
def test_what_needs_a_person_comes_with_commands(row):
    commands = reasons.next_commands(row.reason, 'db1', 'host1')
    assert commands
    assert not any('{' in command for command in commands)


@pytest.mark.parametrize('vm_state, task_state', COMBINATIONS)
def test_only_what_is_known_on_both_sides_is_evacuated(vm_state, task_state):
    applied = instance_states.rule_for(vm_state, task_state)
    is_known = (vm_state in instance_states.VM_STATES and
                task_state in instance_states.TASK_STATES)
    if applied.rule in RECOVERS:
        assert is_known
        assert vm_state in ('active', 'stopped', 'paused', 'error')
        assert instance_states.TASK_STATES[task_state].rule in RECOVERS
    elif not is_known and applied.rule is Rule.OPERATOR:
        assert 'never heard of' in applied.about or 'None' in applied.about
    assert applied.about


@pytest.mark.parametrize('vm_state, task_state', [
    pair for pair in COMBINATIONS
    if instance_states.rule_for(*pair).rule in RECOVERS])
@pytest.mark.parametrize('power_state', [1, 3, 4])
def test_nothing_that_its_owner_stopped_is_started(vm_state, task_state,
                                                   power_state):
    """I6: it runs afterwards only if it ran, or its owner asked for it."""
    recovery = opened(vm_state=vm_state, task_state=task_state,
                      power_state=power_state)
    assert recovery.original_vm_state in ('active', 'stopped')
    ran = vm_state == 'active' or (vm_state == 'error' and power_state == 1)
    asked = instance_states.last_word(task_state)
    wanted = asked or (states.DesiredPower.RUNNING if ran
                       else states.DesiredPower.STOPPED)
    assert recovery.desired_power is wanted
    if recovery.original_vm_state == 'active' and vm_state != 'active':
        assert ran or asked is states.DesiredPower.RUNNING


@pytest.mark.parametrize('vm_state, task_state, rule, reason', [
    ('paused', None, Rule.STOPPED, 'was_paused'),
    ('paused', 'unpausing', Rule.RUNNING, 'wanted_running'),
    ('active', 'pausing', Rule.STOPPED, 'wanted_stopped'),
    ('active', 'shelving_image_uploading', Rule.STOPPED, 'wanted_stopped'),
    ('suspended', 'resuming', Rule.OPERATOR, 'suspended'),
    ('rescued', 'unrescuing', Rule.OPERATOR, 'rescued'),
    ('building', 'spawning', Rule.LEAVE, 'never_launched'),
    ('shelved', None, Rule.LEAVE, 'shelved'),
    ('shelved', 'powering-on', Rule.OPERATOR, 'unshelving'),
    ('shelved', 'shelving_offloading', Rule.OPERATOR, 'offloading'),
    ('shelved_offloaded', 'spawning', Rule.OPERATOR, 'unshelving'),
    ('shelved_offloaded', None, Rule.LEAVE, 'offloaded'),
    ('building', 'deleting', Rule.ABANDON, 'being_deleted'),
    ('shelved', 'deleting', Rule.ABANDON, 'being_deleted'),
    ('soft-delete', None, Rule.ABANDON, 'deleted'),
    ('soft-delete', 'restoring', Rule.OPERATOR, 'restoring'),
    ('resized', 'resize_confirming', Rule.OPERATOR, 'resized'),
    ('active', 'migrating', Rule.OPERATOR, 'migrating'),
    ('paused', 'migrating', Rule.OPERATOR, 'migrating')])
def test_two_halves_make_one_rule(vm_state, task_state, rule, reason):
    applied = instance_states.rule_for(vm_state, task_state)
    assert (applied.rule, applied.reason) == (rule, reason)


@pytest.mark.parametrize('vm_state, power, original', [
    ('active', 1, 'active'), ('stopped', 4, 'stopped'),
    ('paused', 3, 'stopped'), ('suspended', 4, 'stopped'),
    ('rescued', 1, 'stopped'), ('resized', 1, 'active'),
    ('resized', 4, 'stopped'), ('never heard of', 1, 'stopped'),
    ('error', 4, 'stopped'), ('error', 3, 'stopped'), ('error', 1, 'active'),
    ('error', 6, 'active')])
def test_what_nova_gets_to_see_before_an_attempt(vm_state, power, original):
    """Nova's evacuate takes active, stopped and error only."""
    found = samples.instance(vm_state=vm_state, power_state=power)
    assert instance_states.original_vm_state(found) == original


@pytest.mark.parametrize('power', [0, 7, None, 99])
def test_an_error_that_may_have_been_stopped_is_asked_about(power):
    recovery = opened(vm_state='error', power_state=power)
    assert recovery.state is R.NEEDS_OPERATOR
    assert recovery.reason == 'power_unknown'
    assert str(power) in recovery.detail


@pytest.mark.parametrize('instance, reason', [
    ({'vm_state': 'shelved'}, 'shelved'),
    ({'vm_state': 'building', 'task_state': 'spawning',
      'launched_at': None}, 'never_launched'),
    ({'vm_state': 'error', 'launched_at': None}, 'never_launched')])
def test_nothing_is_opened_for_what_is_left_alone(instance, reason):
    found = opened(**instance)
    assert isinstance(found, opening.LeftAlone)
    assert found.reason == reason


def test_a_kind_that_nova_refuses_begins_with_a_person():
    recovery = opened(has_vtpm=True, has_shares=True)
    assert (recovery.state, recovery.reason) == (R.NEEDS_OPERATOR, 'shares')
    assert reasons.text('vtpm') in recovery.detail


def test_what_its_state_leaves_to_a_person_waits_for_its_host_first():
    assert opened(vm_state='suspended').state is R.PENDING


@pytest.mark.parametrize('values, rule, reasons_', [
    ({}, Rule.RUNNING, ('was_running', 'on_volume')),
    ({'vm_state': 'paused'}, Rule.STOPPED, ('was_paused', 'on_volume')),
    ({'vm_state': 'shelved', 'has_vtpm': True}, Rule.LEAVE, ('shelved',)),
    ({'has_vtpm': True}, Rule.OPERATOR, ('vtpm',)),
    ({'vm_state': 'suspended'}, Rule.OPERATOR, ('suspended',)),
    ({'vm_state': 'never heard of'}, Rule.OPERATOR, ('not_evacuable',)),
    ({'group_policy': 'anti-affinity', 'is_locked': True}, Rule.RUNNING,
     ('was_running', 'on_volume', 'anti_affinity', 'locked')),
    ({'is_bfv': False, 'metadata': {'ha': 'true', 'ha:disk': 'rebuild'}},
     Rule.RUNNING, ('was_running', 'disk_given_up')),
    ({'has_ephemeral': True}, Rule.OPERATOR, ('no_storage_domain',)),
    ({'has_ephemeral': True, 'aggregate': {'pets:storage': 'a'}},
     Rule.RUNNING, ('was_running', 'in_storage_domain', 'ephemeral_disk')),
    ({'is_bfv': False}, Rule.OPERATOR, ('no_storage_domain',))])
def test_a_pet_tells_beforehand_what_will_be_done(values, rule, reasons_):
    found = samples.instance(**{'is_bfv': True, **values})
    tags = protection.read_tags(found, frozenset({'ha', 'disk'}))
    pet = protection.pet_of(found, tags, True, samples.POLICY)
    outlook = protection.outlook(pet)
    assert (outlook.rule, outlook.reasons) == (rule, reasons_)


def test_what_was_being_suspended_comes_back_stopped():
    assert opened(task_state='suspending').desired_power is (
        states.DesiredPower.STOPPED)


def order(id, kind, target, scope='instance'):
    return records.Control(id=id, kind=kind, scope=scope, target=target)


C = states.ControlKind


@pytest.mark.parametrize('row, orders, is_given_up', [
    ({}, [order(1, C.ABANDON, 'i1')], True),
    ({}, [order(1, C.ABANDON, 'host1', 'host')], True),
    ({}, [], True),
    ({}, [order(1, C.RECOVER, 'i1'), order(2, C.ABANDON, 'i1')], True),
    ({}, [order(2, C.RECOVER, 'i1'), order(1, C.ABANDON, 'i1')], False),
    ({}, [order(1, C.ABANDON, 'i1'), order(2, C.RECOVER, 'host1', 'host')],
     False),
    ({}, [order(1, C.ABANDON, 'i1'), order(2, C.RECOVER, 'i2')], True),
    ({'epoch': 3}, [order(1, C.ABANDON, 'i1')], False),
    ({'reason': 'untagged'}, [order(1, C.ABANDON, 'i1')], False),
    ({'source': 'host2'}, [order(1, C.ABANDON, 'i1')], False)])
def test_what_a_person_gave_up_is_not_opened_again(row, orders, is_given_up):
    """When its host is vacated, its pets are read once more."""
    ended = samples.recovery(R.ABANDONED, **{
        'epoch': 4, 'reason': 'operator_abandon', **row})
    host = records.Host('host1', 'cell1', epoch=4)
    assert opening.given_up(host, [ended], orders) == (
        {'i1'} if is_given_up else set())
