# SPDX-License-Identifier: Apache-2.0
"""What each task_state and vm_state of nova means for a recovery.

Pure tables. Source: specs/0002-states, tables 3 and 4; design.md, section 4,
step 2: a task whose worker died with the source is claimed, one that belongs
to another host is not, and some forbid any evacuation.
"""

import enum

from nova_pets.model import observations
from nova_pets.model import states


class TaskRule(enum.StrEnum):
    CLAIM = 'claim'
    """Its worker ran on the source and died with it."""
    ELSEWHERE = 'elsewhere'
    """Another host works on it, or was about to."""
    FORBIDDEN = 'forbidden'
    """Its owner is deleting it."""


REBUILD_TASKS = frozenset({
    'rebuilding', 'rebuild_block_device_mapping', 'rebuild_spawning'})

_DIED_WITH_SOURCE = REBUILD_TASKS | frozenset({
    None, 'scheduling', 'block_device_mapping', 'networking', 'spawning',
    'image_snapshot', 'image_snapshot_pending', 'image_pending_upload',
    'image_uploading', 'image_backup', 'updating_password', 'reboot_pending',
    'rebooting', 'reboot_started', 'reboot_pending_hard', 'rebooting_hard',
    'reboot_started_hard', 'pausing', 'unpausing', 'suspending', 'resuming',
    'powering-off', 'powering-on', 'rescuing', 'unrescuing', 'restoring'})

_ELSEWHERE = frozenset({
    'migrating', 'resize_prep', 'resize_migrating', 'resize_migrated',
    'resize_finish', 'resize_reverting', 'resize_confirming', 'shelving',
    'shelving_image_pending_upload', 'shelving_image_uploading',
    'shelving_offloading', 'unshelving'})

_FORBIDDEN = frozenset({'deleting', 'soft-deleting'})

TASK_RULES: dict[str | None, TaskRule] = {
    **{task: TaskRule.CLAIM for task in _DIED_WITH_SOURCE},
    **{task: TaskRule.ELSEWHERE for task in _ELSEWHERE},
    **{task: TaskRule.FORBIDDEN for task in _FORBIDDEN},
}

EVACUABLE = frozenset({'active', 'stopped', 'error'})
"""vm_states that nova's evacuate accepts; all others need a person."""

GONE = frozenset({'deleted', 'soft-delete'})

_POWER_SHUTDOWN = 4
"""nova.compute.power_state.SHUTDOWN."""


def task_rule(task_state: str | None) -> TaskRule:
    """Return the rule; a task_state that we do not know belongs to nobody
    that we know to be dead, so ELSEWHERE."""
    return TASK_RULES.get(task_state, TaskRule.ELSEWHERE)


def is_gone(instance: observations.Instance | None) -> bool:
    """True where there is nothing left to recover, or soon will be."""
    return (instance is None or instance.deleted or
            instance.vm_state in GONE)


def original_vm_state(instance: observations.Instance) -> str:
    """Return the vm_state to restore before each attempt.

    ERROR hides whether it ran (a failed evacuation writes it over STOPPED,
    W6): the power_state column that nova last synced tells.
    """
    if instance.vm_state == 'error':
        stopped = instance.power_state == _POWER_SHUTDOWN
        return 'stopped' if stopped else 'active'
    return instance.vm_state or 'active'


def desired_power(vm_state: str, task_state: str | None
                  ) -> states.DesiredPower:
    """Return what the owner wants: a stop or start that the dead host can
    no longer do is their last word."""
    if task_state == 'powering-off':
        return states.DesiredPower.STOPPED
    if task_state == 'powering-on':
        return states.DesiredPower.RUNNING
    if vm_state == 'stopped':
        return states.DesiredPower.STOPPED
    return states.DesiredPower.RUNNING
