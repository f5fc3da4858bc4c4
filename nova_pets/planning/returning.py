# SPDX-License-Identifier: Apache-2.0
"""The source is up again: is the pet well at home, or must it be restarted?

Pure, in the manner of planning/settling.py, for a VERIFYING recovery whose
destination is its source. What the pet went through meanwhile is not known:
its host may have rebooted, and nova-compute destroys the guest and the
allocations of an evacuation that was only requested (W17), or writes ERROR
over it (W22). Only the answer of its host counts.

This state is reached from PENDING alone, where every attempt is settled; but
one that arrived may have been forgotten by the cell since, so whoever it went
to, or holds room for it, is asked first, and a guest that runs there is
adopted. Nothing that its owner stopped is started:
the start is for an instance that nova calls ACTIVE and that has no guest.
Nova stops by itself what it finds shut down after a reboot of its host: that
is started again. Where a user stopped it, a person is asked, whose retry
starts it.
"""

import typing

from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import instance_states
from nova_pets.planning import safety
from nova_pets.planning import settling

_RESTARTING = 'restoring_power'


def next_step(recovery: records.Recovery, found: settling.Findings,
              snap: snapshot.Snapshot, policy: policy_model.Policy,
              state_s: float, attempts: tuple[records.Attempt, ...] = ()
              ) -> settling.Step:
    """Return the next step for an instance that exists.

    :param attempts: all of the recovery.
    :param state_s: seconds in VERIFYING by the engine's clock.
    """
    instance = found.trace.instance
    assert instance is not None  # nosec: verifying asked
    if instance.host != recovery.source:
        return settling.Finish('abandon', 'moved_away',
                               f'on {instance.host}')
    if policy.mode is not states.Mode.ACT:
        return _wait(recovery, 'observe mode: nothing is started')
    step = (_row(recovery, found) or
            _elsewhere(recovery, attempts, found, snap, policy, state_s) or
            _guest(recovery, found))
    if step is None:
        if recovery.reason == _RESTARTING:
            return settling.Finish('verified', 'restarted_at_home',
                                   f'on {recovery.source}')
        return settling.Finish('abandon', 'source_returned')
    if isinstance(step, settling.Wait) and (
            state_s >= policy.building_alarm_s):
        return settling.Finish('needs_operator', 'verify_failed',
                               step.detail)
    return step


def _row(recovery: records.Recovery, found: settling.Findings
         ) -> settling.Step | None:
    """Return what clears away what evacuations left, None: it is clear.

    Without any attempt of ours the row is as people and nova made it.
    """
    instance = found.trace.instance
    assert instance is not None  # nosec: next_step asked
    for record in found.trace.migrations:
        if record.source != recovery.source:
            continue
        if record.status == 'accepted':
            return settling.DeleteAccepted(record.id)
        if record.status == 'pre-migrating':
            return _wait(recovery, f'migration {record.id} is '
                                   f'pre-migrating')
    values: dict[str, typing.Any] = {}
    if instance.task_state in instance_states.REBUILD_TASKS:
        values['task_state'] = None
    elif instance.task_state is not None:
        return _wait(recovery, f'task_state {instance.task_state}')
    if instance.vm_state == 'error' and recovery.attempts:
        values['vm_state'] = recovery.original_vm_state
    if values:
        return settling.Restore(
            {'host': instance.host, 'vm_state': instance.vm_state,
             'task_state': instance.task_state}, values)
    if found.allocations is None:
        return settling.ReadAllocations()
    if recovery.source not in found.allocations:
        return settling.Allocate(recovery.source)
    return None


def _elsewhere(recovery: records.Recovery,
               attempts: tuple[records.Attempt, ...],
               found: settling.Findings, snap: snapshot.Snapshot,
               policy: policy_model.Policy, state_s: float
               ) -> settling.Step | None:
    """Return what is still to be done about other hosts that may run it,
    None: nobody does. Without any attempt of ours a person's migration may
    have arrived without nova's knowing; what room it left is the audit's."""
    assert found.allocations is not None  # nosec: _row has read them
    leaked = found.allocations - {recovery.source}
    arrived = {attempt.destination for attempt in attempts
               if attempt.destination and
               attempt.outcome in safety.HAS_ARRIVED}
    said = {attempt.destination: attempt for attempt in attempts
            if attempt.reason == 'said_to_be_over'}
    for host in sorted(leaked | arrived - {recovery.source}):
        step = settling.settle_host(recovery, said.get(host), host, found,
                                    snap, policy, state_s)
        if step is not None:
            return step
        if host in leaked and recovery.attempts:
            return settling.RemoveAllocations(host)
    return None


def _guest(recovery: records.Recovery, found: settling.Findings
           ) -> settling.Step | None:
    """Return what makes it run again, None: it runs, or should not.

    nova starts only what is STOPPED: the row is made so first, after the
    intent was written as the reason of the recovery.
    """
    instance = found.trace.instance
    assert instance is not None  # nosec: next_step asked
    is_restarting = recovery.reason == _RESTARTING or recovery.urgent
    wants_run = recovery.desired_power is states.DesiredPower.RUNNING
    if instance.vm_state == 'active' and not wants_run:
        return settling.ChangePower(states.DesiredPower.STOPPED)
    if (instance.vm_state == 'stopped' and wants_run and
            recovery.original_vm_state == 'active'):
        if is_restarting:
            return settling.ChangePower(states.DesiredPower.RUNNING)
        if found.trace.stopped_by_nova:
            return settling.Wait(_RESTARTING, 'nova found its guest shut '
                                 f'down on {recovery.source}')
        return settling.Finish('needs_operator', 'stopped_at_home',
                               f'on {recovery.source}')
    if instance.vm_state != 'active':
        return None
    answer = found.guests.get(recovery.source)
    if answer is None:
        return settling.Probe(recovery.source)
    if answer is states.GuestAnswer.RUNNING:
        return None
    if answer is not states.GuestAnswer.NOT_RUNNING:
        return _wait(recovery, f'{recovery.source} does not say whether '
                               f'its guest runs')
    if not is_restarting:
        return settling.Wait(_RESTARTING, f'no guest of it runs on '
                                          f'{recovery.source}')
    return settling.Restore(
        {'host': instance.host, 'vm_state': 'active', 'task_state': None},
        {'vm_state': 'stopped'})


def _wait(recovery: records.Recovery, detail: str) -> settling.Wait:
    """Keep the reason: it says whether a restart of ours has begun."""
    return settling.Wait(
        _RESTARTING if recovery.reason == _RESTARTING else
        'source_returned', detail)
