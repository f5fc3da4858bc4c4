# SPDX-License-Identifier: Apache-2.0
"""Detector bmc: does the power of the machine read off?

Asks the fencing devices of the host, and switches nothing. OFF is the silence
of a machine, and evidence; what proves a host off is a fence of our own
(fencing/sequence.py). ON says nothing: a machine that hangs has power, too.
"""

from nova_pets.detectors import base
from nova_pets.detectors import context as detectors_context
from nova_pets.model import states

_LONGEST = 160
"""Characters of what the devices said."""


class BmcDetector(base.Detector):

    name = 'bmc'
    path = states.WitnessPath.POWER
    is_slow = True

    def __init__(self, context: detectors_context.Context):
        self._power = context.power

    def look(self, target: base.Target) -> base.Look:
        if self._power is None:
            return base.Look(states.Sign.UNKNOWN,
                             'no fencing devices are known here')
        if target.host not in self._power.bound([target.host]):
            return base.Look(states.Sign.UNKNOWN,
                             'no fencing device is bound to it')
        reading = self._power.read(target.host)
        detail = reading.detail[:_LONGEST]
        if reading.is_off is True:
            return base.Look(states.Sign.SILENT, f'power is off: {detail}')
        return base.Look(states.Sign.UNKNOWN, detail)

    def problem(self) -> str | None:
        return None if self._power is not None else \
            'no fencing devices are known here'
