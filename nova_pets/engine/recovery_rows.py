# SPDX-License-Identifier: Apache-2.0
"""Rows of recoveries and their attempts: claimed, then written once.

Nothing outside is touched here. A write that finds another generation or
owner raises, and whoever meant to act does not.
"""

import dataclasses
import logging
import typing

from nova_pets import exception
from nova_pets.db import base as db_base
from nova_pets.engine import standing as standing_module
from nova_pets.model import actions
from nova_pets.model import reasons
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import machine
from nova_pets.planning import safety
from nova_pets.planning import settling

LOG = logging.getLogger(__name__)


class RecoveryRows:
    def __init__(self, store: db_base.Store,
                 standing: standing_module.Standing):
        self._store = store
        self._standing = standing

    def claim(self, row: records.Recovery) -> records.Recovery:
        """
        :raises RowConflict: someone else has it.
        :raises ClaimsLost: this engine drives nothing.
        """
        me = self._standing.claimant()
        assert row.id is not None  # nosec: rows read have an id
        if row.owner == me:
            return row
        generation = self._store.claim_recovery(row.id, row.generation, me)
        if generation is None:
            raise exception.RowConflict(kind='recovery', key=row.id,
                                        expected=row.generation, owner=me)
        return dataclasses.replace(row, generation=generation, owner=me)

    def guard_source(self, expected: records.Host) -> None:
        """What was decided by a view of the source some moments ago holds
        only as long as nobody has written something else of it.

        :raises ClaimsLost: it is not proven off any more.
        """
        found = self._store.host(expected.host)
        if found is None or (found.state, found.epoch) != (
                expected.state, expected.epoch):
            raise exception.ClaimsLost(
                reason=f'{expected.host} was {expected.state} and is '
                       f'{found.state if found else "unknown"} by now')

    def write(self, row: records.Recovery, new: records.Recovery,
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

    def move(self, view: snapshot.RecoveryView,
             action: actions.MoveRecovery) -> None:
        row = self.claim(view.row)
        new = machine.advance_recovery(
            row, action.event, reason=action.reason, detail=action.detail,
            changes=action.changes)
        attempt = None
        for known in view.attempts:
            if action.attempt_id is not None and (
                    known.id == action.attempt_id):
                attempt = dataclasses.replace(known,
                                              **action.attempt_changes)
        self.write(row, new, attempt)

    def hold(self, view: snapshot.RecoveryView, action: actions.Hold
             ) -> None:
        """Show why it does not move; history only when the reason is new.
        """
        row = self.claim(view.row)
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

    def record_foreign(self, view: snapshot.RecoveryView,
                       action: actions.RecordForeign) -> None:
        row = self.claim(view.row)
        assert row.id is not None  # nosec: rows read have an id
        known = self._settled_before(row, view, action)
        if known is not None:
            self._take_over(row, known, action.detail)
            return
        new = machine.advance_recovery(
            row, 'foreign_found', reason='foreign_evacuation',
            detail=action.detail)
        request_id = action.request_id or f'unknown-{action.migration_id}'
        self.write(row, new, records.Attempt(
            id=None, recovery_id=row.id, instance_uuid=row.instance_uuid,
            number=row.attempts, kind=states.AttemptKind.FOREIGN,
            request_id=f'{request_id}@{row.id}', source=row.source,
            gate=states.Gate.CLOSED, migration_id=action.migration_id,
            destination=action.destination, reason='foreign_evacuation',
            detail=action.detail))

    def _settled_before(self, row: records.Recovery,
                        view: snapshot.RecoveryView,
                        action: actions.RecordForeign
                        ) -> records.Attempt | None:
        """Return what an earlier recovery of ours says of the record."""
        assert view.trace is not None  # nosec: planning saw it there
        earlier = [attempt for known in self._store.recoveries(
            instance_uuid=row.instance_uuid)
            for attempt in self._store.attempts(typing.cast(int, known.id))]
        return safety.settled_before(action.migration_id, earlier,
                                     view.trace)

    def _take_over(self, row: records.Recovery, known: records.Attempt,
                   detail: str) -> None:
        """Let it explain its record and its action here, too."""
        assert row.id is not None  # nosec: rows read have an id
        self._store.advance_recovery(
            dataclasses.replace(row, owner=self._standing.id),
            row.generation, self._standing.id, records.Event(
                code='settled_before', text=detail,
                actor=self._standing.actor, host=row.source,
                instance_uuid=row.instance_uuid, recovery_id=row.id),
            dataclasses.replace(
                known, id=None, recovery_id=row.id, number=row.attempts,
                request_id=f'{known.action_id}@{row.id}',
                gate=states.Gate.CLOSED, reason='settled_before',
                detail=detail))

    def step(self, row: records.Recovery, attempt: records.Attempt | None,
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
            self.write(row, new, attempt)
        else:
            self.write(row, new)

    def show_wait(self, row: records.Recovery, step: settling.Wait) -> None:
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
