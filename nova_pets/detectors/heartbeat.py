# SPDX-License-Identifier: Apache-2.0
"""Detector heartbeat: does the service record of nova-compute move?

Asks nobody: the collector reads all service records anyway, and measures on
its own monotonic clock how long each stands still. Nova's service_is_up is
not used, it compares clocks of two machines.
"""

from nova_pets.detectors import base
from nova_pets.detectors import context as detectors_context
from nova_pets.model import states


class HeartbeatDetector(base.Detector):

    name = 'heartbeat'
    path = states.WitnessPath.AGENT
    always = True

    def __init__(self, context: detectors_context.Context):
        self._context = context

    def look(self, target: base.Target) -> base.Look:
        measure = self._context.silence_s
        silent_s = None if measure is None else measure(target)
        if silent_s is None:
            return base.Look(states.Sign.UNKNOWN,
                             'its service record was not read yet')
        if silent_s < self._context.suspect_s:
            return base.Look(states.Sign.LIFE,
                             f'moved {silent_s:.0f} s ago')
        return base.Look(states.Sign.SILENT,
                         f'stands still for {silent_s:.0f} s')
