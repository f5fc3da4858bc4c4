# SPDX-License-Identifier: Apache-2.0
"""Hands for a host that may come back: its queue, then its power.

What is dropped is told in the history before it is dropped. Between the last
look at the queue and the request for power there is nothing else: whatever
was published since an earlier look, by whomever, an engine that died in
between included, is dropped then.
"""

import dataclasses

from nova_pets import exception
from nova_pets.compute import base as compute_base
from nova_pets.db import base as db_base
from nova_pets.engine import host_rows
from nova_pets.engine import memory as memory_module
from nova_pets.engine import ports
from nova_pets.engine import standing as standing_module
from nova_pets.model import actions
from nova_pets.model import observations
from nova_pets.model import records
from nova_pets.planning import homecoming

DRAIN_S = 30.0
"""For one queue; what is left over has the next turn."""
REST_S = 30.0
"""After something could not be done."""


class Homecoming:
    def __init__(self, store: db_base.Store, rows: host_rows.HostRows,
                 door: compute_base.ComputeDoor, fencer: ports.Fencer,
                 clock: ports.Clock, memory: memory_module.Memory,
                 standing: standing_module.Standing):
        self._store = store
        self._rows = rows
        self._door = door
        self._fencer = fencer
        self._clock = clock
        self._memory = memory
        self._standing = standing

    def drain(self, row: records.Host) -> None:
        """Empty the queue of a host that every pet has left."""
        row = self._rows.claim(row)
        found = self._drain(row)
        if not found.is_drained:
            self._hold(row, 'not_drained', found.detail)
            return
        self._rows.write(
            row, dataclasses.replace(row, reason='vacated', evidence={
                **row.evidence, homecoming.DRAINED: found.detail}),
            records.Event(code='queue_drained', text=found.detail,
                          actor=self._standing.actor, host=row.host))

    def power_on(self, row: records.Host) -> None:
        """Drain, and power on right after that. Whoever comes here again
        after a crash finds it on, or does both anew."""
        row = self._rows.claim(row)
        reading = self._fencer.read(row.host)
        if not reading.is_off and not reading.is_partly_off:
            if reading.is_working:
                self._hold(row, 'powered_on', reading.detail)
            else:
                self._hold(row, 'power_unreadable', reading.detail)
            return
        drained: list[observations.Drained] = []

        def may_act() -> str | None:
            """Asked right before each request. Before the first one the
            queue is emptied; after it the host is on."""
            why_not = self._standing.why_not_act(row.owner)
            if why_not or not reading.is_off or drained:
                return why_not
            drained.append(self._drain(row))
            return None if drained[0].is_drained else drained[0].detail

        told = self._fencer.power_on(row.host, may_act)
        if drained and not drained[0].is_drained:
            self._hold(row, 'not_drained', drained[0].detail)
        else:
            self._hold(row, 'powered_on' if told.is_done else
                       'power_on_failed', told.detail)

    def _drain(self, row: records.Host) -> observations.Drained:
        def tell(message: observations.Dropped) -> None:
            self._standing.guard(row.owner)
            self._store.record(records.Event(
                code='message_dropped', actor=self._standing.actor,
                text=f'{message.method} {message.request_id}'.rstrip(),
                host=row.host, instance_uuid=message.instance_uuid))

        self._standing.guard(row.owner)
        try:
            return self._door.drain(row.cell_uuid, row.host, DRAIN_S, tell)
        except exception.NovaUnavailable as error:
            return observations.Drained(False, 0, str(error))

    def _hold(self, row: records.Host, reason: str, detail: str) -> None:
        """Show what came of it; where it was nothing, rest. A line of history
        only when the reason is new, and the row is given up."""
        if reason in homecoming.UNDER_WAY:
            self._memory.quiet(('return', row.host),
                               self._clock.monotonic() + REST_S)
        if row.reason == reason:
            self._rows.write(row, row, None)
            return
        self._rows.hold(row, actions.Hold(
            'host', row.host, row.generation, reason, detail[:250]))
