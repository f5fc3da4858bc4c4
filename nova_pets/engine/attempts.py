# SPDX-License-Identifier: Apache-2.0
"""One recovery's outside calls: which part of the attempt protocol is due.

Every step ends in a commit before the next one begins, so that whoever
claims the row after a crash knows what may have been done. Decisions are
planning's; the steps are engine/requesting.py and engine/clearing.py.
Source: design.md, section 4; specs/0004-attempt-protocol.
"""

import contextlib
import dataclasses
import typing

from nova_pets.compute import base as compute_base
from nova_pets.db import base as db_base
from nova_pets.engine import clearing
from nova_pets.engine import memory as memory_module
from nova_pets.engine import ports
from nova_pets.engine import recovery_rows
from nova_pets.engine import requesting
from nova_pets.engine import standing as standing_module
from nova_pets.model import actions
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import snapshot


class AttemptDriver:
    def __init__(self, store: db_base.Store,
                 door: compute_base.ComputeDoor, fencer: ports.Fencer,
                 clock: ports.Clock, memory: memory_module.Memory,
                 workers: ports.Workers,
                 standing: standing_module.Standing, new_id: ports.NewId):
        self._store = store
        self._workers = workers
        self._standing = standing
        self._rows = recovery_rows.RecoveryRows(store, standing)

        def apart(row: records.Recovery
                  ) -> contextlib.AbstractContextManager[None]:
            return workers.apart(('recovery', row.id))

        self._requester = requesting.Requester(
            self._rows, door, fencer, clock, memory, standing, new_id, apart)
        self._settler = clearing.Settler(
            self._rows, door, clock, memory, standing,
            lambda row: workers.goes_on(('recovery', row.id)), apart)

    def execute(self, action: actions.Action, snap: snapshot.Snapshot,
                policy: policy_model.Policy) -> None:
        view = _find(snap, action)
        if view is None:
            return
        match action:
            case actions.MoveRecovery():
                self._rows.move(view, action)
            case actions.Hold():
                self._rows.hold(view, action)
            case actions.GiveUp():
                self._store.advance_recovery(
                    dataclasses.replace(view.row, owner=None),
                    view.row.generation, self._standing.id, None)
            case actions.RecordForeign():
                self._rows.record_foreign(view, action)
            case actions.BeginAttempt():
                self._work(view, lambda: self._requester.begin(
                    view, action, snap, policy))
            case actions.LocateDestination():
                self._work(view, lambda: self._settler.locate(view))
            case actions.SettleAttempt():
                self._work(view, lambda: self._settler.settle(
                    view, snap, policy))
            case actions.VerifyInstance():
                self._work(view, lambda: self._settler.verify(
                    view, snap, policy))

    def _work(self, view: snapshot.RecoveryView,
              call: typing.Callable[[], None]) -> None:
        # What one source keeps busy holds up no other one.
        self._workers.submit(('recovery', view.row.id), call,
                             (view.row.cell_uuid, view.row.source))


def _find(snap: snapshot.Snapshot, action: actions.Action
          ) -> snapshot.RecoveryView | None:
    wanted = (action.key if isinstance(action, actions.Hold)
              else getattr(action, 'recovery_id', None))
    for view in snap.recoveries:
        if view.row.id == wanted:
            return view
    return None
