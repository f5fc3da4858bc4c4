# SPDX-License-Identifier: Apache-2.0
"""The BMCs of all hosts: sushy-tools' Redfish emulator, one system a host.

TLS and basic authentication as on a real BMC. Power off ends the host's
processes by kill -9, and is read back as Off only when none of them is left;
power on starts them again. A file ``bmc_HOST`` beside the machines makes a
BMC misbehave in one of MOODS; each answer that is not as it should be leaves
a line in ``bmc_misbehaved``. No mood says Off of a machine that is on: with
one witness of the power nobody could tell. Only the negative control of a test
wants that: DECEIVES.

    python -m nova_pets.tests.lab.bmc DIRECTORY --config FILE
"""

import itertools
import json
import pathlib
import sys
import threading
import time

from sushy_tools.emulator import main
from sushy_tools import error
from sushy_tools.emulator.resources.systems import fakedriver

from nova_pets.tests.lab import machine
from nova_pets.tests.lab import processes

_WORDS = {machine.ON: 'On', machine.OFF: 'Off',
          machine.TURNING_OFF: 'PoweringOff'}
MOODS = {
    'mute': 'accepts and never answers, and does nothing',
    'late': 'answers, and does, after 12 s',
    'slow': 'takes 5 s to switch off',
    'lies': 'says OK and does nothing',
    'errors': 'answers with an error of its own',
    'flaky': 'answers every second time with an error',
    'garbage': 'gives the power a name that nobody knows',
    'stuck': 'is powering off for ever, and stays on',
    'stale': 'reads on although it was switched off',
}
DECEIVES = 'deceives'
"""Does nothing, and says from then on that it did: as one that is wired to
another machine."""
SLOW_S = 5
LATE_S = 12
"""Longer than [pets_fencing] query_timeout."""
LOOK_S = 0.2


class Machines:
    """Switches machines; one switching at a time for each."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.truth = machine.Truth(self.directory / 'truth')
        self.processes = processes.Processes(self.directory)
        self._said = {}
        self._locks = {name: threading.Lock() for name in self.truth.names}
        self._asked = {name: itertools.count() for name in self.truth.names}

    def mood(self, host):
        try:
            return (self.directory / 'truth' / f'bmc_{host}'
                    ).read_text().strip()
        except FileNotFoundError:
            return ''

    def note(self, host, mood):
        """Leave a line about an answer that is not as it should be."""
        with misbehaved(self.truth.directory).open('a') as lines:
            lines.write(json.dumps({
                'at': time.monotonic(), 'host': host, 'mood': mood}) + '\n')

    def suffer(self, host, is_read):
        """Keep a caller waiting, or fail, as the mood is; return the mood.

        :raises FishyError: what the emulator turns into an answer.
        """
        mood = self.mood(host)
        if mood == 'mute':
            self.note(host, mood)
            while self.mood(host) == 'mute':
                time.sleep(LOOK_S)
            raise error.FishyError('was away', 503)
        if mood == 'late':
            self.note(host, mood)
            time.sleep(LATE_S)
        elif mood == 'errors' or (mood == 'flaky' and
                                  next(self._asked[host]) % 2):
            self.note(host, mood)
            raise error.FishyError('an error of its own', 500)
        elif mood in (('garbage', 'stuck', 'stale') if is_read else
                      ('lies', 'stuck', 'slow')):
            self.note(host, mood)
        return mood

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

    def power(self, host):
        """Return what it says of the power of its machine."""
        if self.mood(host) == DECEIVES and host in self._said:
            return self._said[host]
        return self.truth.facts(host).power

    def deceive(self, host, power):
        self._said[host] = power


def misbehaved(directory):
    return pathlib.Path(directory) / 'bmc_misbehaved'


def install(machines):
    """Put the machines behind the emulator's fake driver."""

    # By uuid or, as an alias error, by name: as the fake driver does.

    def get_power_state(self, identity):
        host = self._get(identity)['name']
        mood = machines.suffer(host, is_read=True)
        return {'garbage': 'Undecided', 'stuck': 'PoweringOff',
                'stale': 'On'}.get(mood, _WORDS[machines.power(host)])

    def set_power_state(self, identity, state):
        host = self._get(identity)['name']
        if machines.suffer(host, is_read=False) in ('lies', 'stuck'):
            return
        if machines.mood(host) == DECEIVES:
            machines.deceive(host, machine.ON if 'On' in state
                             else machine.OFF)
            return
        # A BMC answers first; the state is to be read back.
        order = machines.power_on if 'On' in state else machines.power_off
        threading.Thread(target=order, args=(host,), daemon=True).start()

    fakedriver.FakeDriver.get_power_state = get_power_state
    fakedriver.FakeDriver.set_power_state = set_power_state


if __name__ == '__main__':
    install(Machines(sys.argv.pop(1)))
    sys.exit(main.main())
