# SPDX-License-Identifier: Apache-2.0
"""Is the instance well on its destination, and if not, which step mends it?

Pure, in the manner of planning/settling.py. The instance's row names the
destination; power as recorded, allocations only where they belong, no
leftover record of anybody that a late message or a returning source could
act upon. Watched for a while before it counts as recovered.
"""

import dataclasses

from nova_pets.model import observations
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import instance_states
from nova_pets.planning import returning
from nova_pets.planning import safety
from nova_pets.planning import settling
from nova_pets.planning import watching

WATCH_EVERY_S = 5.0
"""A look costs placement and the cell some reads for every instance."""

_SETTLED = 'power_settled'
"""The reason of a recovery whose instance was seen stopped, or running, as
its owner had it; written where else it would be stopped or started again."""
_ASKED = ('powering-off', 'powering-on')


def next_step(recovery: records.Recovery, found: settling.Findings,
              snap: snapshot.Snapshot, policy: policy_model.Policy,
              state_s: float, task_s: float = 0.0,
              attempts: tuple[records.Attempt, ...] = ()) -> settling.Step:
    """Return the next step for a VERIFYING recovery.

    :param attempts: all of the recovery.
    :param state_s: seconds in VERIFYING by the engine's clock.
    :param task_s: seconds since it was first seen in its task_state.
    """
    instance = found.trace.instance
    if instance_states.is_gone(instance):
        return settling.Finish('abandon', 'deleted')
    assert instance is not None  # nosec: is_gone covers None
    if recovery.destination == recovery.source:
        if (instance.host != recovery.source and safety.destination_state(
                snap, instance.host) in watching.DEAD_DESTINATION):
            return settling.Finish('left_again', 'odd_records',
                                   f'nova says {instance.host}')
        return returning.next_step(recovery, found, snap, policy, state_s,
                                   attempts)
    if instance.host == recovery.source or instance.host is None:
        return settling.Finish('left_again', 'odd_records',
                               f'nova says {instance.host} again')
    leftover = _leftover(recovery, found, snap, policy, state_s)
    if leftover is not None:
        return leftover
    if instance.task_state is not None:
        if (instance.task_state in instance_states.REBUILD_TASKS and
                _was_refused(found.trace)):
            return settling.Restore(
                {'host': instance.host, 'task_state': instance.task_state},
                {'task_state': None})
        if (instance.task_state in _ASKED and
                task_s >= policy.scheduling_timeout_s):
            # The order to stop or start it was lost. It is given again,
            # which can at worst meet the first one on the same host.
            return settling.Restore(
                {'host': instance.host, 'task_state': instance.task_state},
                {'task_state': None})
        if state_s >= policy.building_alarm_s:
            return settling.Finish('needs_operator', 'verify_failed',
                                   f'task_state {instance.task_state}')
        return _wait(recovery, f'task_state {instance.task_state}')
    power = _power(recovery, found, policy, state_s)
    if power is not None:
        return power
    if found.allocations is None:
        return settling.ReadAllocations()
    if instance.host not in found.allocations:
        return settling.Allocate(instance.host)
    leaked = sorted(found.allocations - {recovery.source, instance.host})
    if leaked:
        return settling.RemoveAllocations(leaked[0])
    if state_s < policy.verify_watch_s:
        # All is well. What a late message may still do is found when the
        # watch ends, and mended then.
        return dataclasses.replace(
            _wait(recovery, f'on {instance.host}',
                  _is_power_ours(recovery)),
            again_s=min(policy.verify_watch_s - state_s, WATCH_EVERY_S))
    return settling.Finish('verified', 'recovered', f'on {instance.host}',
                           destination=instance.host)


def _was_refused(trace: observations.Trace) -> bool:
    """Whether the newest evacuation asked for ended with its conductor: a
    person's, that the gate refused, leaves only the task_state."""
    events = trace.events.get(trace.actions[-1], ()) if trace.actions else ()
    return bool(events) and all(
        event.name == 'rebuild_server' and event.finished and
        event.result == 'Error' for event in events)


def _leftover(recovery: records.Recovery, found: settling.Findings,
              snap: snapshot.Snapshot, policy: policy_model.Policy,
              state_s: float) -> settling.Step | None:
    """An ``accepted`` record from the source: a request that the gate
    refused, or that is late. Its deletion stops a late cast (F5) and keeps
    the source's return (F8) and the next evacuation (F7) clean."""
    instance = found.trace.instance
    for record in found.trace.migrations:
        if (instance is not None and record.source == instance.host and
                record.status == 'done'):
            # A tombstone of a host that has become its home: nova-compute
            # would destroy the guest at its next start (F8).
            return settling.CloseMigration(record.id, ('done',), 'error')
        if (instance is not None and record.source == instance.host and
                record.status == 'accepted'):
            return _asked_anew(recovery, record, found, snap, policy,
                               state_s)
        if record.source != recovery.source or record.status != 'accepted':
            continue
        return settling.DeleteAccepted(record.id)
    return None


def _asked_anew(recovery: records.Recovery,
                record: observations.Migration, found: settling.Findings,
                snap: snapshot.Snapshot, policy: policy_model.Policy,
                state_s: float) -> settling.Step:
    """Somebody asked to evacuate it from where it has just arrived. The gate
    refuses that, and the record stays: by it, its home would destroy it at
    the next start (F8)."""
    if (not _was_refused(found.trace) and
            state_s < policy.scheduling_timeout_s):
        return _wait(recovery, f'migration {record.id} is accepted')
    step = settling.delete(record, snap, policy)
    if isinstance(step, settling.Wait):
        return _wait(recovery, step.detail)
    return step


def _power(recovery: records.Recovery, found: settling.Findings,
           policy: policy_model.Policy, state_s: float
           ) -> settling.Step | None:
    """Return what brings power and vm_state to what the owner had.

    It was so once: what stops or starts it later is its owner again.
    """
    instance = found.trace.instance
    assert instance is not None and instance.host is not None  # nosec
    if instance.vm_state == 'error':
        answer = found.guests.get(instance.host)
        if answer is None:
            return settling.Probe(instance.host)
        if answer is states.GuestAnswer.RUNNING:
            return settling.Restore(
                {'host': instance.host, 'vm_state': 'error',
                 'task_state': None}, {'vm_state': 'active'})
        if state_s >= policy.scheduling_timeout_s:
            return settling.Finish('needs_operator', 'verify_failed',
                                   f'vm_state error on {instance.host}, '
                                   f'its guest is {answer}')
        return _wait(recovery, f'guest {answer}')
    if recovery.reason == _SETTLED:
        return None
    wants_stop = recovery.desired_power is states.DesiredPower.STOPPED
    if (wants_stop and instance.vm_state == 'active' and
            not _was_stopped(found.trace, instance.host)):
        return settling.ChangePower(states.DesiredPower.STOPPED)
    wants_start = (not wants_stop and
                   recovery.original_vm_state == 'stopped')
    if wants_start and instance.vm_state == 'stopped':
        return settling.ChangePower(states.DesiredPower.RUNNING)
    return None


def _was_stopped(trace: observations.Trace, host: str) -> bool:
    """Whether nova has stopped it there, as the end of its evacuation."""
    for request in reversed(trace.actions):
        there = [event for event in trace.events.get(request, ())
                 if event.host == host]
        if there:
            return any(event.name == 'compute_stop_instance' and
                       event.result == 'Success' for event in there)
    return False


def _is_power_ours(recovery: records.Recovery) -> bool:
    """Whether _power would stop or start it."""
    return (recovery.desired_power is states.DesiredPower.STOPPED or
            recovery.original_vm_state == 'stopped')


def _wait(recovery: records.Recovery, detail: str, is_settled: bool = False
          ) -> settling.Wait:
    """Keep the reason: it says whether power was as it should be."""
    is_settled = is_settled or recovery.reason == _SETTLED
    return settling.Wait(_SETTLED if is_settled else 'arrived', detail)
