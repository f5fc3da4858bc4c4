# SPDX-License-Identifier: Apache-2.0
"""The BMCs of all hosts: sushy-tools' Redfish emulator, one system a host.

TLS and basic authentication as on a real BMC. Power off ends the host's
processes by kill -9, and is read back as Off only when none of them is left;
power on starts them again. A file ``bmc_HOST`` beside the machines makes a
BMC misbehave: ``mute`` (accepts and never answers), ``lies`` (says OK and
does nothing), ``slow`` (takes 5 s).

    python -m nova_pets.tests.lab.bmc DIRECTORY --config FILE
"""

import pathlib
import sys
import threading
import time

from sushy_tools.emulator import main
from sushy_tools.emulator.resources.systems import fakedriver

from nova_pets.tests.lab import machine
from nova_pets.tests.lab import processes

_WORDS = {machine.ON: 'On', machine.OFF: 'Off',
          machine.TURNING_OFF: 'PoweringOff'}
SLOW_S = 5
MUTE_S = 600


class Machines:
    """Switches machines; one switching at a time for each."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.truth = machine.Truth(self.directory / 'truth')
        self.processes = processes.Processes(self.directory)
        self._locks = {name: threading.Lock() for name in self.truth.names}

    def mood(self, host):
        try:
            return (self.directory / 'truth' / f'bmc_{host}'
                    ).read_text().strip()
        except FileNotFoundError:
            return ''

    def power_off(self, host):
        with self._locks[host]:
            if self.truth.facts(host).power == machine.OFF:
                return
            # No guest starts from here on, whatever nova-compute still does.
            self.truth.set_power(host, machine.TURNING_OFF)
            if self.mood(host) == 'slow':
                time.sleep(SLOW_S)
            for name in self.processes.of_host(host):
                self.processes.kill(name)
            self.truth.set_power(host, machine.OFF)

    def power_on(self, host):
        with self._locks[host]:
            if self.truth.facts(host).power == machine.ON:
                return
            self.truth.set_power(host, machine.ON)
            for name in self.processes.of_host(host):
                self.processes.start(name)


def install(machines):
    """Put the machines behind the emulator's fake driver."""

    def asked(self, identity):
        # By uuid or, as an alias error, by name: as the fake driver does.
        host = self._get(identity)['name']
        if machines.mood(host) == 'mute':
            time.sleep(MUTE_S)
        return host

    def get_power_state(self, identity):
        return _WORDS[machines.truth.facts(asked(self, identity)).power]

    def set_power_state(self, identity, state):
        host = asked(self, identity)
        if machines.mood(host) == 'lies':
            return
        # A BMC answers first; the state is to be read back.
        order = machines.power_on if 'On' in state else machines.power_off
        threading.Thread(target=order, args=(host,), daemon=True).start()

    fakedriver.FakeDriver.get_power_state = get_power_state
    fakedriver.FakeDriver.set_power_state = set_power_state


if __name__ == '__main__':
    install(Machines(sys.argv.pop(1)))
    sys.exit(main.main())
