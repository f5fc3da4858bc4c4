# SPDX-License-Identifier: Apache-2.0
"""Steps 5 and 6 of an attempt: where it went, what it left, what to put right.

Takes the steps that planning decides, one after the other, each from a
fresh read; a crash between two of them needs no case of its own.
Source: design.md, section 4; specs/0004-attempt-protocol.
"""

import dataclasses
import logging
import typing

from nova_pets import exception
from nova_pets.compute import base as compute_base
from nova_pets.engine import memory as memory_module
from nova_pets.engine import ports
from nova_pets.engine import recovery_rows
from nova_pets.engine import standing as standing_module
from nova_pets.model import observations
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import machine
from nova_pets.planning import settling
from nova_pets.planning import verifying
from nova_pets.planning import watching

LOG = logging.getLogger(__name__)

STEPS = 60
"""Clean-up steps in one run; more would be a loop, and the next cycle goes
on anyway."""
LOCATE_AGAIN_S = 1.0
"""Pause before a destination that no allocation names is looked for again."""
PROBE_S = 10.0

_AT_ONCE = frozenset({'destination_down', 'not_taken', 'foreign_evacuation',
                      'operator_retry', 'claim_refused', 'leftover_room'})
"""Reasons of an ended attempt after which the next one need not wait."""


class Settler:
    def __init__(self, rows: recovery_rows.RecoveryRows,
                 door: compute_base.ComputeDoor, clock: ports.Clock,
                 memory: memory_module.Memory,
                 standing: standing_module.Standing,
                 goes_on: typing.Callable[[records.Recovery], None],
                 apart: ports.Apart):
        """
        :param goes_on: told before each step: a search through a whole cell
            takes long, and does not hang.
        """
        self._rows = rows
        self._goes_on = goes_on
        self._apart = apart
        self._door = door
        self._clock = clock
        self._memory = memory
        self._standing = standing

    def locate(self, view: snapshot.RecoveryView) -> None:
        """W7: allocations name D even where no row does."""
        hosts = sorted(self._door.allocated_hosts(view.row.instance_uuid) -
                       {view.row.source})
        if len(hosts) != 1:
            self._quiet(view, LOCATE_AGAIN_S)
            return
        row = self._rows.claim(view.row)
        new = machine.advance_recovery(
            row, 'destination_known', reason='destination_known',
            detail=f'on {hosts[0]}, by its allocations',
            changes={'destination': hosts[0]})
        attempt = view.open_attempt
        assert attempt is not None  # nosec: planning saw it
        record = watching.own_record(view)
        self._rows.write(row, new, dataclasses.replace(
            attempt, destination=hosts[0], reason='located',
            migration_id=record.id if record else None))

    def settle(self, view: snapshot.RecoveryView, snap: snapshot.Snapshot,
               policy: policy_model.Policy) -> None:
        row = self._rows.claim(view.row)
        view = dataclasses.replace(view, row=row)

        def decide(found: settling.Findings) -> settling.Step:
            return settling.next_step(row, view.attempts, found, snap,
                                      policy, view.state_s)

        found, step = self._steps(view, decide)
        attempt = view.open_attempt
        if isinstance(step, settling.Wait):
            self._rows.show_wait(row, step)
            self._quiet(view, step.again_s)
        elif isinstance(step, settling.Finish):
            self._finish_settling(row, attempt, step, found, view, policy)

    def verify(self, view: snapshot.RecoveryView, snap: snapshot.Snapshot,
               policy: policy_model.Policy) -> None:
        row = self._rows.claim(view.row)
        view = dataclasses.replace(view, row=row)

        def decide(found: settling.Findings) -> settling.Step:
            return verifying.next_step(
                row, found, snap, policy, view.state_s,
                self._task_s(row, found), view.attempts)

        _, step = self._steps(view, decide)
        if isinstance(step, settling.Wait):
            self._rows.show_wait(row, step)
            self._quiet(view, step.again_s)
        elif isinstance(step, settling.Finish):
            changes = ({'destination': step.destination}
                       if step.destination else {})
            self._rows.step(row, None, step.event, step.reason, step.detail,
                            **changes)

    def _quiet(self, view: snapshot.RecoveryView, pause_s: float) -> None:
        self._memory.quiet(('recovery', view.row.id),
                           self._clock.monotonic() + pause_s)

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
        self._rows.step(row, attempt, step.event, reason, detail,
                        gate=states.Gate.CLOSED if closes else None,
                        outcome=outcome if closes else None, **changes)

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
            self._goes_on(row)
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
                with self._apart(row):
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

    def _task_s(self, row: records.Recovery, found: settling.Findings
                ) -> float:
        """Return how long its task_state has been what it is."""
        instance = found.trace.instance
        return self._memory.since_s(
            ('task', row.id), instance and instance.task_state,
            self._clock.monotonic())
