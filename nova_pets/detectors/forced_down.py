# SPDX-License-Identifier: Apache-2.0
"""Detector forced_down: has somebody told Nova that the host is down?

Somebody else's word: evidence, and a proof only where [pets_fencing]
trust_forced_down says so. Whether it was our own doing is known to the
host's row and judged by planning.
"""

from nova_pets import exception
from nova_pets.detectors import base
from nova_pets.detectors import context as detectors_context
from nova_pets.model import observations
from nova_pets.model import states


class ForcedDownDetector(base.Detector):

    name = 'forced_down'
    path = states.WitnessPath.EXTERNAL

    def __init__(self, context: detectors_context.Context):
        self._context = context

    def look(self, target: base.Target) -> base.Look:
        try:
            service = self._service(target)
        except exception.NovaUnavailable as error:
            return base.Look(states.Sign.UNKNOWN, str(error))
        if service is None:
            return base.Look(states.Sign.UNKNOWN, 'nova has no such service')
        if service.forced_down is True:
            return base.Look(states.Sign.SILENT, 'forced down in nova')
        return base.Look(states.Sign.UNKNOWN, 'not forced down in nova')

    def _service(self, target: base.Target) -> observations.Service | None:
        if self._context.service is not None:
            return self._context.service(target)
        for service in self._context.door.services(target.cell_uuid):
            if service.host == target.host:
                return service
        return None
