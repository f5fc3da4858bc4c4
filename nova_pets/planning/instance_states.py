# SPDX-License-Identifier: Apache-2.0
"""What is done with an instance in each vm_state and task_state of nova.

One table: a row for every vm_state and every task_state, with a rule and a
reason (model/reasons.py has its text and the safe next commands). Pure data
and the few functions that read it. What an instance is (its kind) is
planning/protection.py's. Source: specs/0002-states, tables 3 and 4.

The argument of every row: with the host proven off, its memory is gone and
its disk is where it was. What can be evacuated without losing more than that,
and without starting what its owner does not want to run, is; all else is
a person's decision, or nobody's.
"""

import dataclasses
import enum

from nova_pets.model import observations
from nova_pets.model import states


class Rule(enum.StrEnum):
    RECOVER = 'recover'
    """Evacuated; the other half of the row says whether it runs then."""
    RUNNING = 'recover running'
    """Evacuated, and runs."""
    STOPPED = 'recover stopped'
    """Evacuated, and is stopped: its owner did not want it to run."""
    OPERATOR = 'needs operator'
    """Nothing is done before a person decides."""
    LEAVE = 'leave alone'
    """Nothing to save, or nothing that could be lost by waiting for the
    host: no recovery is opened, the history says why."""
    ABANDON = 'abandon'
    """Its owner deletes it."""


@dataclasses.dataclass(frozen=True, slots=True)
class StateRule:
    rule: Rule
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Applied:
    """The rule for one instance, and which half of its row decided."""

    rule: Rule
    reason: str
    about: str
    """'vm_state paused', 'task_state migrating', 'power_state 0'."""


VM_STATES: dict[str, StateRule] = {
    'active': StateRule(Rule.RUNNING, 'was_running'),
    'stopped': StateRule(Rule.STOPPED, 'was_stopped'),
    'error': StateRule(Rule.RECOVER, 'was_in_error'),
    'paused': StateRule(Rule.STOPPED, 'was_paused'),
    'suspended': StateRule(Rule.OPERATOR, 'suspended'),
    'rescued': StateRule(Rule.OPERATOR, 'rescued'),
    'resized': StateRule(Rule.OPERATOR, 'resized'),
    'building': StateRule(Rule.LEAVE, 'never_launched'),
    'shelved': StateRule(Rule.LEAVE, 'shelved'),
    'shelved_offloaded': StateRule(Rule.LEAVE, 'offloaded'),
    'soft-delete': StateRule(Rule.ABANDON, 'deleted'),
    'deleted': StateRule(Rule.ABANDON, 'deleted'),
}
_UNKNOWN_VM_STATE = StateRule(Rule.OPERATOR, 'not_evacuable')

REBUILD_TASKS = frozenset({
    'rebuilding', 'rebuild_block_device_mapping', 'rebuild_spawning'})


def _rows(rule: Rule, reason: str, *tasks: str | None
          ) -> dict[str | None, StateRule]:
    return {task: StateRule(rule, reason) for task in tasks}


TASK_STATES: dict[str | None, StateRule] = {
    **_rows(Rule.RECOVER, 'no_task', None),
    **_rows(Rule.RECOVER, 'task_died', *sorted(REBUILD_TASKS),
            'scheduling', 'block_device_mapping', 'networking', 'spawning',
            'image_snapshot', 'image_snapshot_pending',
            'image_pending_upload', 'image_uploading', 'image_backup',
            'updating_password'),
    **_rows(Rule.RUNNING, 'wanted_running', 'powering-on', 'reboot_pending',
            'rebooting', 'reboot_started', 'reboot_pending_hard',
            'rebooting_hard', 'reboot_started_hard', 'unpausing',
            'resuming', 'unrescuing'),
    **_rows(Rule.STOPPED, 'wanted_stopped', 'powering-off', 'pausing',
            'rescuing', 'shelving', 'shelving_image_pending_upload',
            'shelving_image_uploading'),
    **_rows(Rule.OPERATOR, 'suspending', 'suspending'),
    **_rows(Rule.OPERATOR, 'migrating', 'migrating'),
    **_rows(Rule.OPERATOR, 'resizing', 'resize_prep', 'resize_migrating',
            'resize_migrated', 'resize_finish', 'resize_reverting',
            'resize_confirming'),
    **_rows(Rule.OPERATOR, 'offloading', 'shelving_offloading'),
    **_rows(Rule.OPERATOR, 'unshelving', 'unshelving'),
    **_rows(Rule.OPERATOR, 'restoring', 'restoring'),
    **_rows(Rule.ABANDON, 'being_deleted', 'deleting', 'soft-deleting'),
}
_UNKNOWN_TASK = StateRule(Rule.OPERATOR, 'task_elsewhere')

_WANTED_OFF = frozenset({'suspending', 'shelving_offloading'})
"""Tasks that a person decides about, and that were to end without a running
guest: what is evacuated then comes back stopped."""

_RAN = frozenset({1, 6})
"""nova.compute.power_state RUNNING and CRASHED."""
_DID_NOT_RUN = frozenset({3, 4})
"""PAUSED and SHUTDOWN."""


def rule_for(vm_state: str | None, task_state: str | None) -> Applied:
    """Return the rule for what nova's row says; nothing falls through.

    In this order: a deletion ends it; what is left alone at rest needs a
    person while a task stands in its row (somebody wanted it back, and the
    host died over that); then the graver half decides; then the task, as
    the owner's last word on power.
    """
    vm = VM_STATES.get(vm_state or '', _UNKNOWN_VM_STATE)
    task = TASK_STATES.get(task_state, _UNKNOWN_TASK)
    by_vm = Applied(vm.rule, vm.reason, f'vm_state {vm_state}')
    by_task = Applied(task.rule, task.reason, f'task_state {task_state}')
    if task.rule is Rule.ABANDON:
        return by_task
    if vm.rule is Rule.ABANDON:
        return by_task if task_state == 'restoring' else by_vm
    if vm.rule is Rule.LEAVE:
        if task_state is None or vm_state == 'building':
            return by_vm
        if task.rule is Rule.OPERATOR:
            return by_task
        return Applied(Rule.OPERATOR, 'unshelving',
                       f'{by_vm.about}, {by_task.about}')
    if vm.rule is Rule.OPERATOR:
        return by_vm if task_state is None else Applied(
            vm.rule, vm.reason, f'{by_vm.about}, {by_task.about}')
    if task.rule in (Rule.OPERATOR, Rule.RUNNING, Rule.STOPPED):
        return by_task
    return by_vm


def rule_of(instance: observations.Instance) -> Applied:
    """Return the rule at the moment of its host's failure: also a build
    that failed, and an ERROR of which nova does not know whether it ran."""
    found = rule_for(instance.vm_state, instance.task_state)
    if instance.vm_state != 'error' or found.rule is Rule.ABANDON:
        return found
    if instance.launched_at is None:
        return Applied(Rule.LEAVE, 'never_launched', 'launched_at None')
    if (found.rule is Rule.RECOVER and
            instance.power_state not in _RAN | _DID_NOT_RUN):
        return Applied(Rule.OPERATOR, 'power_unknown',
                       f'power_state {instance.power_state}')
    return found


def is_gone(instance: observations.Instance | None) -> bool:
    """True where there is nothing left to recover, or soon will be."""
    if instance is None or instance.deleted:
        return True
    vm = VM_STATES.get(instance.vm_state or '', _UNKNOWN_VM_STATE)
    return vm.rule is Rule.ABANDON and instance.task_state != 'restoring'


def original_vm_state(instance: observations.Instance) -> str:
    """Return the vm_state to write before each attempt: one that nova's
    evacuate accepts, and that does not start what did not run.

    ERROR hides whether it ran (a failed evacuation writes it over STOPPED,
    W6): the power_state column that nova last synced tells. So it does for
    what a person has to decide about first.
    """
    if instance.vm_state in ('active', 'stopped'):
        return instance.vm_state
    if instance.vm_state == 'error':
        stopped = instance.power_state in _DID_NOT_RUN
        return 'stopped' if stopped else 'active'
    if instance.vm_state == 'paused':
        wanted = last_word(instance.task_state)
        return 'active' if wanted is states.DesiredPower.RUNNING else (
            'stopped')
    if instance.vm_state == 'resized':
        return 'active' if instance.power_state in _RAN else 'stopped'
    return 'stopped'


def last_word(task_state: str | None) -> states.DesiredPower | None:
    """Return the owner's last word on power: what they had asked of the
    dead host, None: nothing."""
    if task_state in _WANTED_OFF:
        return states.DesiredPower.STOPPED
    rule = TASK_STATES.get(task_state, _UNKNOWN_TASK).rule
    if rule is Rule.RUNNING:
        return states.DesiredPower.RUNNING
    if rule is Rule.STOPPED:
        return states.DesiredPower.STOPPED
    return None


def desired_power(vm_state: str, task_state: str | None
                  ) -> states.DesiredPower:
    """Return what the owner wants: their last word, else what is."""
    wanted = last_word(task_state)
    if wanted is not None:
        return wanted
    if vm_state == 'active':
        return states.DesiredPower.RUNNING
    return states.DesiredPower.STOPPED
