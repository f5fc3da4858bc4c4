# SPDX-License-Identifier: Apache-2.0
"""Detector rpc_ping: does nova-compute answer a message?

The same path as the heartbeat (agent and broker). It only asks; silence of
it says nothing about the machine.
"""

from nova_pets import exception
from nova_pets.detectors import base
from nova_pets.detectors import context as detectors_context
from nova_pets.model import states


class RpcPingDetector(base.Detector):

    name = 'rpc_ping'
    path = states.WitnessPath.AGENT

    def __init__(self, context: detectors_context.Context):
        self._context = context

    def look(self, target: base.Target) -> base.Look:
        timeout_s = self._context.ping_timeout_s
        try:
            is_answered = self._context.door.ping(target.host, timeout_s)
        except exception.NovaUnavailable as error:
            return base.Look(states.Sign.UNKNOWN, str(error))
        if is_answered is True:
            return base.Look(states.Sign.LIFE, 'nova-compute answered')
        return base.Look(states.Sign.SILENT,
                         f'no answer within {timeout_s:g} s')
