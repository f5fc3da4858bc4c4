# SPDX-License-Identifier: Apache-2.0
"""Rows of hosts: claimed by compare-and-swap, then written with a line.

Nothing outside is touched here. A write that finds another generation or
owner raises, and whoever meant to act does not.
"""

import dataclasses
import logging

from nova_pets import exception
from nova_pets.db import base as db_base
from nova_pets.engine import standing as standing_module
from nova_pets.model import actions
from nova_pets.model import reasons
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.planning import machine

LOG = logging.getLogger(__name__)

H = states.HostState


class HostRows:
    def __init__(self, store: db_base.Store,
                 standing: standing_module.Standing):
        self._store = store
        self._standing = standing

    def claim(self, row: records.Host) -> records.Host:
        """Return the row as mine, with the generation to write against.

        :raises RowConflict: someone else has it.
        :raises ClaimsLost: this engine drives nothing.
        """
        me = self._standing.claimant()
        if row.owner == me:
            return row
        generation = self._store.claim_host(row.host, row.generation, me)
        if generation is None:
            raise exception.RowConflict(kind='host', key=row.host,
                                        expected=row.generation, owner=me)
        return dataclasses.replace(row, generation=generation, owner=me)

    def write(self, row: records.Host, new: records.Host,
              event: records.Event | None, keeps_owner: bool = False,
              gives_up: bool = False) -> records.Host:
        """Write what follows a claimed row; a host without trouble is given
        up, so that any engine may notice its next failure.

        :param keeps_owner: what was written is the intent of an act.
        :param gives_up: the act failed here, and any engine may try it next.
        """
        is_calm = not keeps_owner and new.state in (
            H.UP, H.SUSPECT, H.VACATED, H.RETURNING)
        new = dataclasses.replace(
            new, owner=None if is_calm or gives_up else self._standing.id)
        written = self._store.advance_host(
            new, row.generation, self._standing.id, event)
        if event is not None and event.to_state:
            LOG.info('host %s: %s -> %s (%s)', row.host, row.state,
                     new.state, event.text or reasons.text(event.code))
        return written

    def move(self, row: records.Host, action: actions.MoveHost,
             text: str = '', gives_up: bool = False) -> records.Host:
        row = self.claim(row)
        new = machine.advance_host(
            row, action.event, reason=action.reason,
            evidence=action.evidence, proof=action.proof,
            proof_count=action.proof_count)
        return self.write(row, new, self._event(row, new, text),
                          gives_up=gives_up)

    def hold(self, row: records.Host, action: actions.Hold) -> None:
        row = self.claim(row)
        new = dataclasses.replace(row, reason=action.reason)
        self.write(row, new, records.Event(
            code=action.reason, text=action.detail,
            actor=self._standing.actor, host=row.host))

    def _event(self, row: records.Host, new: records.Host, text: str = ''
               ) -> records.Event:
        return records.Event(
            code=new.reason, text=text, actor=self._standing.actor,
            host=row.host, from_state=row.state, to_state=new.state,
            evidence=new.evidence)
