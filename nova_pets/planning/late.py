# SPDX-License-Identifier: Apache-2.0
"""Did a late request write ERROR over a pet that had recovered long ago?

Pure. A cast that waited in the queue of a dead destination is consumed when
that host returns. Without its migration record it fails before it touches
anything, and Nova then writes ERROR over the instance (F5, W21).
"""

from nova_pets.model import observations
from nova_pets.model import records
from nova_pets.model import states

_SHUTDOWN = 4
"""nova.compute.power_state.SHUTDOWN."""


def cause(recovery: records.Recovery | None,
          attempts: list[records.Attempt], trace: observations.Trace
          ) -> observations.ActionEvent | None:
    """Return the late failure that explains the ERROR, None: it has another
    cause, or one that is not known, and is not ours to mend.

    It must be the newest event of all evacuations of the instance, a failure
    of one of our ended attempts, on another host than the one it lives on.
    """
    found = trace.instance
    if (recovery is None or found is None or found.deleted or
            recovery.state is not states.RecoveryState.RECOVERED or
            found.vm_state != 'error' or found.task_state is not None or
            found.host is None or found.host != recovery.destination):
        return None
    events = [(event.id, request, event)
              for request, known in trace.events.items() for event in known]
    if not events:
        return None
    _, request, newest = max(events, key=lambda entry: entry[0])
    ended = {attempt.action_id for attempt in attempts
             if attempt.outcome is states.Outcome.FAILED}
    is_late_failure = (
        newest.name == 'compute_rebuild_instance' and newest.finished and
        newest.result == 'Error' and newest.host != found.host and
        request in ended)
    return newest if is_late_failure else None


def mended_state(found: observations.Instance, guest: states.GuestAnswer
                 ) -> str | None:
    """Return the vm_state to write, None: it cannot be told."""
    if guest is states.GuestAnswer.RUNNING:
        return 'active'
    if (guest is states.GuestAnswer.NOT_RUNNING and
            found.power_state == _SHUTDOWN):
        return 'stopped'
    return None
