# SPDX-License-Identifier: Apache-2.0
"""Which driver is held against which endpoint, and how each case is made.

A case is made by the endpoint itself where it can, else by a front before
it. ``Scene.is_off`` asks the endpoint past the front: what is true.
"""

import collections.abc
import dataclasses
import itertools
import json
import pathlib
import socket
import time

from nova_pets.fencing import fake
from nova_pets.fencing import fence_agents
from nova_pets.fencing import ipmi
from nova_pets.fencing import redfish
from nova_pets.tests.fencing import fronts
from nova_pets.tests.fencing import servers

WRONG = 'not-the-Passw0rd'


@dataclasses.dataclass
class Scene:
    level: list
    """The devices of one level."""
    is_off: collections.abc.Callable[[], bool]
    """Whether all their machines are really off."""


class World:
    """What the scenes of one test are built from.

    :param redfish: () -> the Redfish emulator, started when first asked for.
    :param ipmi: (0 or 1) -> an IPMI simulator, the same way.
    """

    def __init__(self, redfish, ipmi, directory, stack):
        self.redfish = redfish
        self.ipmi = ipmi
        self.directory = directory
        self._stack = stack

    def keep(self, front):
        """Close it when the test has ended."""
        self._stack.callback(front.close)
        return front


class Endpoint:
    """name: as in the table. A method for each case that it can make."""

    name = ''

    def __init__(self, world):
        self.world = world

    @classmethod
    def can(cls, case):
        return hasattr(cls, case)

    def scene(self, case):
        return getattr(self, case)()


# -- Redfish ------------------------------------------------------------------


class Redfish(Endpoint):
    """sushy-tools' emulator: TLS, basic authentication."""

    name = 'redfish'

    def build(self, port, system, **changes):
        settings = {
            'address': f'https://127.0.0.1:{port}', 'system': system,
            'username': servers.USER, 'password': servers.PASSWORD,
            'ca_file': self.world.redfish().ca_file} | changes
        return redfish.RedfishFencing('host1', {
            name: value for name, value in settings.items()
            if value is not None})

    def _scene(self, port, *systems, **changes):
        emulator = self.world.redfish()
        return Scene(
            [self.build(port or emulator.port, system, **changes)
             for system in systems],
            lambda: all(emulator.power(system) == 'Off'
                        for system in systems))

    def _front(self, meddle):
        emulator = self.world.redfish()
        return self.world.keep(fronts.HttpsFront(
            emulator, pathlib.Path(emulator.ca_file).parent, meddle))

    def _system(self, kind='on'):
        return self.world.redfish().system(kind)

    def works(self):
        return self._scene(0, self._system())

    def slow(self):
        return self._scene(0, self._system('slow'))

    def off_already(self):
        return self._scene(0, self._system('off'))

    def dropped(self):
        def meddle(request, forward):
            answer = forward()
            if request.command == 'POST':
                raise fronts.Drop()
            return answer
        return self._scene(self._front(meddle).port, self._system())

    def lies(self):
        return self._scene(self._front(_says_ok).port, self._system())

    def flapping(self):
        words = itertools.cycle(['Off', 'On'])

        def meddle(request, forward):
            if request.command == 'POST':
                return 204, {}, b''
            status, headers, body = forward()
            said = json.loads(body)
            if 'PowerState' in said:
                said['PowerState'] = next(words)
            return status, headers, json.dumps(said).encode()
        return self._scene(self._front(meddle).port, self._system())

    def half_stuck(self):
        good, stuck = self.works(), self.lies()
        return Scene(good.level + stuck.level,
                     lambda: good.is_off() and stuck.is_off())

    def wrong_credentials(self):
        return self._scene(0, self._system(), password=WRONG)

    def refused(self):
        return self._scene(servers.free_port(), self._system())

    def silent(self):
        port = self.world.keep(fronts.SilentPort()).port
        return self._scene(port, self._system())

    def untrusted(self):
        return self._scene(0, self._system(), ca_file=None)

    def garbage(self):
        port = self._front(lambda request, forward: (
            200, {'Content-Type': 'text/html'},
            b'<html><body>Off PowerState Off</body></html>')).port
        return self._scene(port, self._system())

    def unknown_system(self):
        scene = self._scene(0, 'no-such-system')
        return Scene(scene.level, lambda: False)


class FenceRedfish(Redfish):
    """The same emulator, asked by the agent fence_redfish."""

    name = 'fence_redfish'

    def build(self, port, system, **changes):
        options = {
            'ip': '127.0.0.1', 'ipport': port, 'username': servers.USER,
            'password': changes.get('password', servers.PASSWORD),
            'systems_uri': f'/redfish/v1/Systems/{system}',
            # The agent has no way to name who signed a certificate.
            'ssl_insecure': 'ca_file' not in changes}
        return fence_agents.FenceAgentsFencing(
            'host1', {'agent': 'fence_redfish', 'options': options})


def _says_ok(request, forward):
    return (204, {}, b'') if request.command == 'POST' else forward()


# -- IPMI ---------------------------------------------------------------------


class Ipmi(Endpoint):
    """openipmi's ipmi_sim."""

    name = 'ipmi'

    def build(self, port, **changes):
        return ipmi.IpmiFencing('host1', {
            'address': '127.0.0.1', 'port': port, 'username': servers.USER,
            'password': servers.PASSWORD, 'cipher_suite': 3} | changes)

    def _scene(self, number=0, power='on', mode='', port=0, **changes):
        bmc = self.world.ipmi(number)
        bmc.reset(power, mode)
        return Scene([self.build(port or bmc.port, **changes)],
                     lambda: not bmc.is_on)

    def _front(self, meddle):
        return self.world.keep(fronts.UdpFront(
            self.world.ipmi(0).port, meddle)).port

    def works(self):
        return self._scene()

    def slow(self):
        return self._scene(mode='slow')

    def off_already(self):
        return self._scene(power='off')

    def dropped(self):
        bmc, since = self.world.ipmi(0), []

        def meddle(reply):
            if bmc.is_on:
                return reply
            since.append(time.monotonic())
            return reply if since[-1] - since[0] > 1.5 else None
        return self._scene(port=self._front(meddle))

    def lies(self):
        return self._scene(mode='lies')

    def flapping(self):
        return self._scene(mode='flapping')

    def half_stuck(self):
        good, stuck = self._scene(0), self._scene(1, mode='lies')
        return Scene(good.level + stuck.level,
                     lambda: good.is_off() and stuck.is_off())

    def wrong_credentials(self):
        return self._scene(password=WRONG)

    def refused(self):
        return self._scene(port=servers.free_port(socket.SOCK_DGRAM))

    def silent(self):
        return self._scene(port=self.world.keep(
            fronts.SilentPort(socket.SOCK_DGRAM)).port)

    def garbage(self):
        return self._scene(port=self._front(
            lambda reply: b'\x06\x00\xff\x07' + bytes(range(40))))


class FenceIpmilan(Ipmi):
    """The same simulator, asked by the agent fence_ipmilan."""

    name = 'fence_ipmilan'

    def build(self, port, **changes):
        options = {
            'ip': '127.0.0.1', 'ipport': port, 'username': servers.USER,
            'password': changes.get('password', servers.PASSWORD),
            'lanplus': True, 'cipher': 3, 'power_wait': 0}
        return fence_agents.FenceAgentsFencing(
            'host1', {'agent': 'fence_ipmilan', 'options': options})


# -- files --------------------------------------------------------------------


class _Files(Endpoint):

    def _scene(self, number=1, power='on', **changes):
        file = self.world.directory / f'machine{number}'
        if power:
            file.write_text(power)
        return Scene([self.build(file, **changes)],
                     lambda: file.exists() and file.read_text() == 'off')

    def works(self):
        return self._scene()

    def off_already(self):
        return self._scene(power='off')

    def half_stuck(self):
        good, stuck = self._scene(1), self.lies(2)
        return Scene(good.level + stuck.level,
                     lambda: good.is_off() and stuck.is_off())

    def garbage(self):
        return self._scene(power='offline')

    def unknown_system(self):
        return self._scene(power='')


class FenceDummy(_Files):

    name = 'fence_dummy'

    def build(self, file, **changes):
        return fence_agents.FenceAgentsFencing(
            'host1', {'agent': 'fence_dummy',
                      'options': {'status_file': str(file)} | changes})

    def slow(self):
        return self._scene(random_sleep_range=3)

    def lies(self, number=1):
        return self._scene(number, type='fail')


class Fake(_Files):

    name = 'fake'

    def build(self, file, **behaviour):
        return fake.FakeFencing('host1', {'state_file': str(file),
                                          'behaviour': behaviour})

    def slow(self):
        return self._scene(slow=2)

    def dropped(self):
        return self._scene(drop=True)

    def lies(self, number=1):
        return self._scene(number, stall=True)

    def flapping(self):
        return self._scene(flap=True)

    def silent(self):
        return self._scene(unreachable=True)

    def garbage(self):
        return self._scene(unknown=True, refuse=True)


ALL = (Redfish, FenceRedfish, Ipmi, FenceIpmilan, FenceDummy, Fake)
