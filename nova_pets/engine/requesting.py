# SPDX-License-Identifier: Apache-2.0
"""Steps 1 to 3 of an attempt: intent, claim in Nova, evacuate.

Each check stands right before its act: the claim, and the fence of the
source, which is to be true at that very moment.
Source: design.md, section 4; specs/0004-attempt-protocol.
"""

import logging

from nova_pets import exception
from nova_pets.compute import base as compute_base
from nova_pets.engine import memory as memory_module
from nova_pets.engine import ports
from nova_pets.engine import recovery_rows
from nova_pets.engine import standing as standing_module
from nova_pets.model import actions
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import machine
from nova_pets.planning import safety

LOG = logging.getLogger(__name__)


class Requester:
    def __init__(self, rows: recovery_rows.RecoveryRows,
                 door: compute_base.ComputeDoor, fencer: ports.Fencer,
                 clock: ports.Clock, memory: memory_module.Memory,
                 standing: standing_module.Standing, new_id: ports.NewId,
                 apart: ports.Apart):
        self._rows = rows
        self._door = door
        self._fencer = fencer
        self._clock = clock
        self._memory = memory
        self._standing = standing
        self._new_id = new_id
        self._apart = apart

    def begin(self, view: snapshot.RecoveryView,
              action: actions.BeginAttempt, snap: snapshot.Snapshot,
              policy: policy_model.Policy) -> None:
        row = self._rows.claim(view.row)
        assert row.id is not None  # nosec: rows read have an id
        new = machine.advance_recovery(
            row, 'begin', reason='attempt_begun', detail=action.detail,
            changes={'attempts': row.attempts + 1, 'urgent': False,
                     'desired_power': action.desired_power,
                     'destination': None})
        row, attempt = self._rows.write(row, new, records.Attempt(
            id=None, recovery_id=row.id, instance_uuid=row.instance_uuid,
            number=row.attempts + 1, kind=states.AttemptKind.OWN,
            request_id=f'req-{self._new_id()}', source=row.source,
            migration_floor=action.migration_floor))
        assert attempt is not None  # nosec: it was written
        try:
            self._call_nova(row, attempt, action, snap, policy,
                            safety.undone_arrivals(row, view.attempts))
        except exception.ClaimsLost as error:
            self._not_sent(row, attempt, 'proof_stale', str(error), 0.5)
        except exception.InstanceChanged as error:
            self._not_sent(row, attempt, 'claim_refused', str(error), 0.5)
        except exception.InstanceGone as error:
            self._not_sent(row, attempt, 'deleted', str(error), 0.5)
        except exception.LeftoverRoom as error:
            self._rows.step(row, attempt, 'uncertain', 'leftover_room',
                            str(error), gate=states.Gate.CLOSED)
        except exception.EvacuateRefused as error:
            self._unclaim(row, action)
            self._not_sent(row, attempt, 'nova_refused', str(error),
                           policy_model.backoff_s(policy, row.attempts))
        except (exception.EvacuateUncertain,
                exception.NovaUnavailable) as error:
            self._rows.step(row, attempt, 'uncertain', 'request_uncertain',
                            str(error), gate=states.Gate.CLOSED)
        else:
            self._rows.step(row, attempt, 'sent', 'request_sent', '')

    def _call_nova(self, row: records.Recovery, attempt: records.Attempt,
                   action: actions.BeginAttempt, snap: snapshot.Snapshot,
                   policy: policy_model.Policy, arrived: set[str]) -> None:
        """Steps 2 and 3; each check stands right before its act.

        :param arrived: hosts that may have its guest, and its room or not.
        """
        self._guard_fence(snap, row, policy)
        held = self._door.allocated_hosts(row.instance_uuid)
        for host in sorted((held | arrived) - {row.source}):
            if safety.destination_state(snap, host) not in (
                    states.PROVEN_OFF):
                raise exception.LeftoverRoom(uuid=row.instance_uuid,
                                             host=host)
            if host not in held:
                continue
            self._standing.guard(row.owner)
            self._door.remove_allocations(row.cell_uuid, row.instance_uuid,
                                          host)
        self._standing.guard(row.owner)
        self._door.update_instance(
            row.cell_uuid, row.instance_uuid,
            expected={'host': row.source, 'vm_state': action.vm_state,
                      'task_state': action.task_state},
            values={'vm_state': row.original_vm_state,
                    'task_state': 'rebuilding'})
        try:
            self._guard_fence(snap, row, policy)
            self._rows.guard_source(snap.hosts[row.source].row)
            self._standing.guard(row.owner)
        except exception.ClaimsLost:
            self._unclaim(row, action)
            raise
        keeps_disk = not row.is_bfv and row.disk != 'rebuild'
        is_shared = keeps_disk or (not row.is_bfv and
                                   row.storage_domain is not None)
        wants_stop = (
            row.desired_power is states.DesiredPower.STOPPED and
            row.original_vm_state != 'stopped')
        self._door.evacuate(
            row.cell_uuid, row.instance_uuid, attempt.request_id,
            on_shared_storage=True if is_shared else None,
            target_stopped=wants_stop)

    def _guard_fence(self, snap: snapshot.Snapshot, row: records.Recovery,
                     policy: policy_model.Policy) -> None:
        """The fence kept true: claims mine, power off within the last
        seconds (or all witnesses silent, where a word is the proof),
        heartbeat unmoved since the proof.

        :raises ClaimsLost: the reason.
        """
        self._standing.guard(row.owner)
        source = row.source
        host = snap.hosts[source].row
        self._guard_heartbeat(host, policy)
        now = self._clock.monotonic()
        if host.proof is not states.ProofKind.POWER_OFF:
            # Nothing of a word can be read again, but that all are silent.
            life = safety.sign_of_life(self._memory.evidence(source, now),
                                       policy)
            if life:
                raise exception.ClaimsLost(reason=life)
            return
        age_s = self._memory.power_off_s(source, now)
        if age_s is None or age_s > policy.fence_fresh_s:
            with self._apart(row):
                reading = self._fencer.read(source)
            self._memory.saw_power(source, reading.is_off, now)
            if not reading.is_off:
                raise exception.ClaimsLost(
                    reason=f'the power of {source} does not read off: '
                           f'{reading.detail}')
            self._standing.guard(row.owner)

    def _guard_heartbeat(self, host: records.Host,
                         policy: policy_model.Policy) -> None:
        """What the cycle has read counts while it is fresh; else it is read
        here. A heartbeat that nobody has read has not stood still.

        :raises ClaimsLost, NovaUnavailable: unknown is not unmoved.
        """
        if host.proof_count is None:
            return
        age_s = self._memory.read_age_s(host.cell_uuid,
                                        self._clock.monotonic())
        if age_s is not None and age_s <= policy.fence_fresh_s:
            count = self._memory.count(host.host)
        else:
            counts = {service.host: service.report_count for service
                      in self._door.services(host.cell_uuid)}
            count = counts.get(host.host)
        if count is None or count > host.proof_count:
            raise exception.ClaimsLost(
                reason=f'the heartbeat of {host.host} moved after its proof')

    def _unclaim(self, row: records.Recovery,
                 action: actions.BeginAttempt) -> None:
        """Give Nova's row back as it was; it may have moved on, or be the
        claim of another engine by now."""
        if self._standing.why_not_act(row.owner):
            return
        try:
            self._door.update_instance(
                row.cell_uuid, row.instance_uuid,
                expected={'host': row.source, 'task_state': 'rebuilding',
                          'vm_state': row.original_vm_state},
                values={'task_state': None})
        except (exception.InstanceChanged, exception.InstanceGone) as error:
            LOG.debug('%s', error)

    def _not_sent(self, row: records.Recovery, attempt: records.Attempt,
                  reason: str, detail: str, wait_s: float) -> None:
        self._rows.step(row, attempt, 'not_sent', reason, detail,
                        gate=states.Gate.CLOSED,
                        outcome=states.Outcome.NOT_SENT, wait_s=wait_s)
