# SPDX-License-Identifier: Apache-2.0
"""Puts right what late requests write over recovered pets.

Writes the vm_state of such an instance by compare-and-swap, once for each
late request, with a line of history. Decides nothing: planning/late.py does.
"""

import collections.abc
import logging

from nova_pets import exception
from nova_pets.compute import base as compute_base
from nova_pets.db import base as db_base
from nova_pets.engine import standing as standing_module
from nova_pets.model import observations
from nova_pets.model import records
from nova_pets.planning import late

LOG = logging.getLogger(__name__)

PROBE_S = 10.0
MENDED = 'late_cast_mended'


class Mender:
    def __init__(self, store: db_base.Store,
                 door: compute_base.ComputeDoor,
                 standing: standing_module.Standing):
        self._store = store
        self._door = door
        self._standing = standing

    def turn(self, in_error: collections.abc.Iterable[observations.Instance]
             ) -> None:
        """Look at pets in ERROR with nothing under way."""
        for instance in in_error:
            try:
                self._mend(instance)
            except (exception.NovaUnavailable, exception.InstanceChanged,
                    exception.InstanceGone, exception.ClaimsLost) as error:
                LOG.debug('%s', error)

    def _mend(self, instance: observations.Instance) -> None:
        me = self._standing.id
        cell, uuid = instance.cell_uuid, instance.uuid
        newest = self._store.recoveries(instance_uuid=uuid, limit=1)
        if not newest or newest[0].destination != instance.host:
            return
        recovery = newest[0]
        assert recovery.id is not None  # nosec: rows read have an id
        trace = self._door.traces(cell, [uuid])[uuid]
        event = late.cause(recovery, self._store.attempts(recovery.id),
                           trace)
        found = trace.instance
        if event is None or found is None or found.host is None:
            return
        if any(line.code == MENDED and line.evidence.get('event') == event.id
               for line in self._store.history(instance_uuid=uuid)):
            return
        guest = self._door.guest(cell, uuid, found.host, PROBE_S)
        vm_state = late.mended_state(found, guest)
        if vm_state is None:
            return
        self._standing.guard(me)
        self._door.update_instance(
            cell, uuid, {'host': found.host, 'vm_state': 'error',
                         'task_state': None}, {'vm_state': vm_state})
        LOG.info('instance %s: error -> %s (a late request had failed on '
                 '%s)', uuid, vm_state, event.host)
        self._store.record(records.Event(
            code=MENDED, text=f'{vm_state} again; it had failed on '
                              f'{event.host}',
            actor=self._standing.actor, host=found.host, instance_uuid=uuid,
            recovery_id=recovery.id, evidence={'event': event.id}))
