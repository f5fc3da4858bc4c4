# SPDX-License-Identifier: Apache-2.0
"""One recovery's outside calls: the attempt protocol, steps 0 to 6.

Every step ends in a commit before the next one begins, so that whoever
claims the row after a crash knows what may have been done. Decisions are
planning's: this module asks it for one step at a time.
Source: design.md, section 4; specs/0004-attempt-protocol.
"""

import dataclasses
import logging
import typing

from nova_pets import exception
from nova_pets.compute import base as compute_base
from nova_pets.db import base as db_base
from nova_pets.engine import memory as memory_module
from nova_pets.engine import ports
from nova_pets.engine import standing as standing_module
from nova_pets.model import actions
from nova_pets.model import observations
from nova_pets.model import policy as policy_model
from nova_pets.model import reasons
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import machine
from nova_pets.planning import safety
from nova_pets.planning import settling
from nova_pets.planning import verifying
from nova_pets.planning import watching

LOG = logging.getLogger(__name__)

STEPS = 60
"""Clean-up steps in one run; more would be a loop, and the next cycle goes
on anyway."""
AGAIN_S = 1.0
"""Pause before a waiting settling or verifying looks again."""
PROBE_S = 10.0

_AT_ONCE = frozenset({'destination_down', 'not_taken', 'foreign_evacuation',
                      'operator_retry', 'claim_refused', 'leftover_room'})
"""Reasons of an ended attempt after which the next one need not wait."""


class AttemptDriver:
    def __init__(self, store: db_base.Store,
                 door: compute_base.ComputeDoor, fencer: ports.Fencer,
                 clock: ports.Clock, memory: memory_module.Memory,
                 workers: ports.Workers,
                 standing: standing_module.Standing, new_id: ports.NewId):
        self._store = store
        self._door = door
        self._fencer = fencer
        self._clock = clock
        self._memory = memory
        self._workers = workers
        self._standing = standing
        self._new_id = new_id

    def execute(self, action: actions.Action, snap: snapshot.Snapshot,
                policy: policy_model.Policy) -> None:
        view = _find(snap, action)
        if view is None:
            return
        match action:
            case actions.MoveRecovery():
                self._move(view, action)
            case actions.Hold():
                self._hold(view, action)
            case actions.GiveUp():
                self._store.advance_recovery(
                    dataclasses.replace(view.row, owner=None),
                    view.row.generation, self._standing.id, None)
            case actions.RecordForeign():
                self._record_foreign(view, action)
            case actions.BeginAttempt():
                self._work(view, lambda: self._begin(view, action, snap,
                                                     policy))
            case actions.LocateDestination():
                self._work(view, lambda: self._locate(view))
            case actions.SettleAttempt():
                self._work(view, lambda: self._settle(view, snap, policy))
            case actions.VerifyInstance():
                self._work(view, lambda: self._verify(view, snap, policy))

    def _work(self, view: snapshot.RecoveryView,
              call: typing.Callable[[], None]) -> None:
        self._workers.submit(('recovery', view.row.id), call)

    # -- rows ----------------------------------------------------------------

    def _claim(self, row: records.Recovery) -> records.Recovery:
        """:raises RowConflict: someone else has it."""
        me = self._standing.id
        assert row.id is not None  # nosec: rows read have an id
        if row.owner == me:
            return row
        generation = self._store.claim_recovery(row.id, row.generation, me)
        if generation is None:
            raise exception.RowConflict(kind='recovery', key=row.id,
                                        expected=row.generation, owner=me)
        return dataclasses.replace(row, generation=generation, owner=me)

    def _write(self, row: records.Recovery, new: records.Recovery,
               attempt: records.Attempt | None = None,
               evidence: dict[str, typing.Any] | None = None
               ) -> tuple[records.Recovery, records.Attempt | None]:
        """Write a transition of a claimed row with its history line."""
        keeps = new.state in states.TRANSIENT
        new = dataclasses.replace(
            new, owner=self._standing.id if keeps else None)
        event = records.Event(
            code=new.reason, text=new.detail, actor=self._standing.actor,
            host=new.source, instance_uuid=new.instance_uuid,
            recovery_id=new.id, attempt_id=attempt.id if attempt else None,
            from_state=row.state, to_state=new.state,
            evidence=evidence or {})
        written = self._store.advance_recovery(
            new, row.generation, self._standing.id, event, attempt)
        LOG.info('recovery %s: %s -> %s (%s%s)', new.name or
                 new.instance_uuid, row.state, new.state,
                 reasons.text(new.reason),
                 f'; {new.detail}' if new.detail else '')
        return written

    def _move(self, view: snapshot.RecoveryView,
              action: actions.MoveRecovery) -> None:
        row = self._claim(view.row)
        new = machine.advance_recovery(
            row, action.event, reason=action.reason, detail=action.detail,
            changes=action.changes)
        attempt = None
        for known in view.attempts:
            if action.attempt_id is not None and (
                    known.id == action.attempt_id):
                attempt = dataclasses.replace(known,
                                              **action.attempt_changes)
        self._write(row, new, attempt)

    def _hold(self, view: snapshot.RecoveryView, action: actions.Hold
              ) -> None:
        """Show why it does not move; history only when the reason is new.
        """
        row = self._claim(view.row)
        event = None
        if row.reason != action.reason:
            event = records.Event(
                code=action.reason, text=action.detail,
                actor=self._standing.actor, host=row.source,
                instance_uuid=row.instance_uuid, recovery_id=row.id)
        self._store.advance_recovery(
            dataclasses.replace(row, reason=action.reason,
                                detail=action.detail,
                                owner=self._standing.id),
            row.generation, self._standing.id, event)

    def _record_foreign(self, view: snapshot.RecoveryView,
                        action: actions.RecordForeign) -> None:
        row = self._claim(view.row)
        assert row.id is not None  # nosec: rows read have an id
        new = machine.advance_recovery(
            row, 'foreign_found', reason='foreign_evacuation',
            detail=action.detail)
        request_id = action.request_id or f'unknown-{action.migration_id}'
        self._write(row, new, records.Attempt(
            id=None, recovery_id=row.id, instance_uuid=row.instance_uuid,
            number=row.attempts, kind=states.AttemptKind.FOREIGN,
            request_id=f'{request_id}@{row.id}', source=row.source,
            gate=states.Gate.CLOSED, migration_id=action.migration_id,
            destination=action.destination, reason='foreign_evacuation',
            detail=action.detail))

    # -- steps 1 to 3: intent, claim, evacuate -------------------------------

    def _begin(self, view: snapshot.RecoveryView,
               action: actions.BeginAttempt, snap: snapshot.Snapshot,
               policy: policy_model.Policy) -> None:
        row = self._claim(view.row)
        assert row.id is not None  # nosec: rows read have an id
        new = machine.advance_recovery(
            row, 'begin', reason='attempt_begun', detail=action.detail,
            changes={'attempts': row.attempts + 1, 'urgent': False,
                     'desired_power': action.desired_power,
                     'destination': None})
        row, attempt = self._write(row, new, records.Attempt(
            id=None, recovery_id=row.id, instance_uuid=row.instance_uuid,
            number=row.attempts + 1, kind=states.AttemptKind.OWN,
            request_id=f'req-{self._new_id()}', source=row.source,
            migration_floor=action.migration_floor))
        assert attempt is not None  # nosec: it was written
        try:
            self._call_nova(row, attempt, action, snap, policy)
        except exception.ClaimsLost as error:
            self._not_sent(row, attempt, 'proof_stale', str(error), 0.5)
        except exception.InstanceChanged as error:
            self._not_sent(row, attempt, 'claim_refused', str(error), 0.5)
        except exception.InstanceGone as error:
            self._not_sent(row, attempt, 'deleted', str(error), 0.5)
        except exception.LeftoverRoom as error:
            self._step(row, attempt, 'uncertain', 'leftover_room',
                       str(error), gate=states.Gate.CLOSED)
        except exception.EvacuateRefused as error:
            self._unclaim(row, action)
            self._not_sent(row, attempt, 'nova_refused', str(error),
                           policy_model.backoff_s(policy, row.attempts))
        except (exception.EvacuateUncertain,
                exception.NovaUnavailable) as error:
            self._step(row, attempt, 'uncertain', 'request_uncertain',
                       str(error), gate=states.Gate.CLOSED)
        else:
            self._step(row, attempt, 'sent', 'request_sent', '')

    def _call_nova(self, row: records.Recovery, attempt: records.Attempt,
                   action: actions.BeginAttempt, snap: snapshot.Snapshot,
                   policy: policy_model.Policy) -> None:
        """Steps 2 and 3; each check stands right before its act."""
        self._guard_fence(snap, row, policy)
        for host in sorted(self._door.allocated_hosts(row.instance_uuid) -
                           {row.source}):
            if safety.destination_state(snap, host) not in (
                    states.PROVEN_OFF):
                raise exception.LeftoverRoom(uuid=row.instance_uuid,
                                             host=host)
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
        seconds, heartbeat unmoved since the proof.

        :raises ClaimsLost: the reason.
        """
        self._standing.guard(row.owner)
        source = row.source
        host = snap.hosts[source].row
        count = self._memory.count(source)
        if host.proof_count is not None and (
                count is None or count > host.proof_count):
            raise exception.ClaimsLost(
                reason=f'the heartbeat of {source} moved after its proof')
        if host.proof is not states.ProofKind.POWER_OFF:
            return
        now = self._clock.monotonic()
        age_s = self._memory.power_off_s(source, now)
        if age_s is None or age_s > policy.fence_fresh_s:
            reading = self._fencer.read(source)
            self._memory.saw_power(source, reading.is_off, now)
            if not reading.is_off:
                raise exception.ClaimsLost(
                    reason=f'the power of {source} does not read off: '
                           f'{reading.detail}')
            self._standing.guard(row.owner)

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
        self._step(row, attempt, 'not_sent', reason, detail,
                   gate=states.Gate.CLOSED, outcome=states.Outcome.NOT_SENT,
                   wait_s=wait_s)

    def _step(self, row: records.Recovery, attempt: records.Attempt | None,
              event: str, reason: str, detail: str,
              gate: states.Gate | None = None,
              outcome: states.Outcome | None = None,
              **changes: typing.Any) -> None:
        """Write one transition of a row that is mine.

        The gate may have consumed the attempt meanwhile: its column is only
        written when it is closed here.
        """
        new = machine.advance_recovery(row, event, reason=reason,
                                       detail=detail[:250], changes=changes)
        if attempt is not None and (gate or outcome):
            attempt = dataclasses.replace(
                attempt, reason=reason, detail=detail[:250],
                gate=gate or attempt.gate,
                outcome=outcome or attempt.outcome)
            self._write(row, new, attempt)
        else:
            self._write(row, new)

    # -- step 5: where it went -----------------------------------------------

    def _locate(self, view: snapshot.RecoveryView) -> None:
        """W7: allocations name D even where no row does."""
        hosts = sorted(self._door.allocated_hosts(view.row.instance_uuid) -
                       {view.row.source})
        if len(hosts) != 1:
            self._quiet(view)
            return
        row = self._claim(view.row)
        new = machine.advance_recovery(
            row, 'destination_known', reason='destination_known',
            detail=f'on {hosts[0]}, by its allocations',
            changes={'destination': hosts[0]})
        attempt = view.open_attempt
        assert attempt is not None  # nosec: planning saw it
        record = watching.own_record(view)
        self._write(row, new, dataclasses.replace(
            attempt, destination=hosts[0], reason='located',
            migration_id=record.id if record else None))

    def _quiet(self, view: snapshot.RecoveryView,
               pause_s: float = AGAIN_S) -> None:
        self._memory.quiet(('recovery', view.row.id),
                           self._clock.monotonic() + pause_s)

    # -- after a failed attempt ----------------------------------------------

    def _settle(self, view: snapshot.RecoveryView, snap: snapshot.Snapshot,
                policy: policy_model.Policy) -> None:
        row = self._claim(view.row)
        view = dataclasses.replace(view, row=row)

        def decide(found: settling.Findings) -> settling.Step:
            return settling.next_step(row, view.attempts, found, snap,
                                      policy, view.state_s)

        found, step = self._steps(view, decide)
        attempt = view.open_attempt
        if isinstance(step, settling.Wait):
            self._show_wait(row, step)
            self._quiet(view)
        elif isinstance(step, settling.Finish):
            self._finish_settling(row, attempt, step, found, view, policy)

    def _finish_settling(self, row: records.Recovery,
                         attempt: records.Attempt | None,
                         step: settling.Finish, found: settling.Findings,
                         view: snapshot.RecoveryView,
                         policy: policy_model.Policy) -> None:
        changes: dict[str, typing.Any] = {}
        reason, detail = step.reason, step.detail
        if step.event == 'clean':
            cause = attempt.reason if attempt else row.reason
            at_once = row.urgent or cause in _AT_ONCE
            changes['wait_s'] = 0.0 if at_once else policy_model.backoff_s(
                policy, row.attempts)
            changes['excluded'] = step.excluded or ()
            if cause == 'no_valid_host':
                reason, changes['excluded'] = cause, ()
        if step.destination:
            changes['destination'] = step.destination
        outcome = step.outcome
        if found.is_adopted and outcome is states.Outcome.SUCCEEDED:
            outcome, reason = states.Outcome.ADOPTED, 'adopted'
        if attempt is not None and attempt.migration_id is None:
            record = watching.own_record(view)
            if record is not None:
                attempt = dataclasses.replace(attempt,
                                              migration_id=record.id)
        closes = attempt is not None and step.event != 'needs_operator'
        self._step(row, attempt, step.event, reason, detail,
                   gate=states.Gate.CLOSED if closes else None,
                   outcome=outcome if closes else None, **changes)

    def _show_wait(self, row: records.Recovery, step: settling.Wait) -> None:
        destination = step.host or row.destination
        if (row.reason, row.detail, row.destination) == (
                step.reason, step.detail, destination):
            return
        self._store.advance_recovery(
            dataclasses.replace(row, reason=step.reason, detail=step.detail,
                                destination=destination,
                                owner=self._standing.id),
            row.generation, self._standing.id, records.Event(
                code=step.reason, text=step.detail,
                actor=self._standing.actor, host=row.source,
                instance_uuid=row.instance_uuid, recovery_id=row.id))

    def _steps(self, view: snapshot.RecoveryView,
               decide: typing.Callable[[settling.Findings], settling.Step]
               ) -> tuple[settling.Findings, settling.Step]:
        """Take steps until one is Wait or Finish; return it and what was
        found."""
        row = view.row
        found = settling.Findings(self._trace(row))
        step: settling.Step = settling.Wait('destination_building')
        taken = 0
        while taken < STEPS:
            step = decide(found)
            # Each host is asked once: a search asks those of a whole cell.
            taken += not isinstance(step, settling.Probe)
            if isinstance(step, (settling.Wait, settling.Finish)):
                break
            self._standing.guard(row.owner)
            try:
                found = self._take(row, step, found)
            except exception.InstanceChanged as error:
                LOG.debug('%s', error)
                found = settling.Findings(self._trace(row))
            except exception.InstanceGone:
                found = settling.Findings(observations.Trace(None))
            if isinstance(step, settling.ChangePower):
                self._memory.restart(('task', row.id))
                return found, settling.Wait('restoring_power')
        return found, step

    def _trace(self, row: records.Recovery) -> observations.Trace:
        return self._door.traces(row.cell_uuid, [row.instance_uuid]).get(
            row.instance_uuid, observations.Trace(None))

    def _take(self, row: records.Recovery, step: settling.Step,
              found: settling.Findings) -> settling.Findings:
        """Do one step; return what is known after it."""
        cell, instance = row.cell_uuid, row.instance_uuid
        match step:
            case settling.Probe(host):
                answer = self._door.guest(cell, instance, host, PROBE_S)
                return dataclasses.replace(
                    found, guests={**found.guests, host: answer},
                    trace=self._trace(row))
            case settling.ReadAllocations():
                return dataclasses.replace(found, allocations=frozenset(
                    self._door.allocated_hosts(instance)))
            case settling.RemoveAllocations(host):
                self._door.remove_allocations(cell, instance, host)
                return dataclasses.replace(found, allocations=frozenset(
                    self._door.allocated_hosts(instance)))
            case settling.Allocate(host):
                self._door.allocate(cell, instance, host)
                return dataclasses.replace(found, allocations=frozenset(
                    self._door.allocated_hosts(instance)) | {host})
            case settling.DeleteAccepted(migration_id):
                self._door.delete_accepted(cell, migration_id)
            case settling.CloseMigration(migration_id, expected, status):
                self._door.close_migration(cell, migration_id, expected,
                                           status)
            case settling.Tombstone(host):
                if self._door.tombstone(cell, instance, host):
                    found = dataclasses.replace(
                        found, tombstoned=found.tombstoned | {host})
            case settling.Restore(expected, values):
                self._door.update_instance(cell, instance, expected, values)
            case settling.Adopt(migration_id, destination, vm_state,
                                expected):
                self._door.adopt(cell, instance, migration_id, row.source,
                                 destination, vm_state, expected)
                found = dataclasses.replace(found, is_adopted=True)
            case settling.ChangePower(power):
                if power is states.DesiredPower.STOPPED:
                    self._door.stop(cell, instance)
                else:
                    self._door.start(cell, instance)
        return dataclasses.replace(found, trace=self._trace(row))

    # -- step 6 --------------------------------------------------------------

    def _verify(self, view: snapshot.RecoveryView, snap: snapshot.Snapshot,
                policy: policy_model.Policy) -> None:
        row = self._claim(view.row)
        view = dataclasses.replace(view, row=row)

        def decide(found: settling.Findings) -> settling.Step:
            return verifying.next_step(row, found, snap, policy,
                                       view.state_s, self._task_s(row, found))

        _, step = self._steps(view, decide)
        if isinstance(step, settling.Wait):
            self._show_wait(row, step)
            self._quiet(view)
        elif isinstance(step, settling.Finish):
            changes = ({'destination': step.destination}
                       if step.destination else {})
            self._step(row, None, step.event, step.reason, step.detail,
                       **changes)

    def _task_s(self, row: records.Recovery, found: settling.Findings
                ) -> float:
        """Return how long its task_state has been what it is."""
        instance = found.trace.instance
        return self._memory.since_s(
            ('task', row.id), instance and instance.task_state,
            self._clock.monotonic())


def _find(snap: snapshot.Snapshot, action: actions.Action
          ) -> snapshot.RecoveryView | None:
    wanted = (action.key if isinstance(action, actions.Hold)
              else getattr(action, 'recovery_id', None))
    for view in snap.recoveries:
        if view.row.id == wanted:
            return view
    return None
