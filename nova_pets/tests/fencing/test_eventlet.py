# SPDX-License-Identifier: Apache-2.0
"""The drivers in green threads, as nova-scheduler 31 runs them.

In a process of its own, as eventlet patches a whole process.
"""

import json
import subprocess
import sys

import pytest

from nova_pets.tests.fencing import fronts
from nova_pets.tests.fencing import servers

SCRIPT = """\
import eventlet
eventlet.monkey_patch()
import json, sys, time
from nova_pets import exception
from nova_pets.fencing import registry
ticks = []
def tick():
    while True:
        ticks.append(time.monotonic())
        eventlet.sleep(0.02)
eventlet.spawn(tick)
drivers = registry.known_drivers()
said = []
for name, settings, timeout_s in json.loads(sys.argv[1]):
    device = drivers[name]('host1', settings)
    began, count = time.monotonic(), len(ticks)
    try:
        answer = str(device.power_state(timeout_s))
    except exception.FencingError as error:
        answer = str(error)
    took_s = time.monotonic() - began
    said.append([name, answer, took_s, len(ticks) - count])
print(json.dumps(said))
"""


def test_they_keep_their_deadlines_and_hold_nobody_up(world):
    pytest.importorskip('eventlet', reason='nova without eventlet')
    emulator, bmc = world.redfish(), world.ipmi(0)
    bmc.reset()
    silent = world.keep(fronts.SilentPort()).port
    redfish = {'username': servers.USER, 'password': servers.PASSWORD,
               'ca_file': emulator.ca_file, 'system': emulator.system(),
               'address': f'https://127.0.0.1:{emulator.port}'}
    ipmi = {'username': servers.USER, 'password': servers.PASSWORD,
            'address': '127.0.0.1', 'port': bmc.port, 'cipher_suite': 3}
    status = world.directory / 'status'
    status.write_text('on')
    asked = [
        ('redfish', redfish, 20), ('ipmi', ipmi, 20),
        ('fence_agents', {'agent': 'fence_dummy', 'options': {
            'status_file': str(status)}}, 20),
        ('redfish', redfish | {'address': f'https://127.0.0.1:{silent}'}, 1),
        ('ipmi', ipmi | {'port': 1}, 1)]
    ended = subprocess.run(
        [sys.executable, '-c', SCRIPT, json.dumps(asked)],
        capture_output=True, text=True, timeout=120)

    assert ended.returncode == 0, ended.stderr[-2000:]
    found = json.loads(ended.stdout.splitlines()[-1])
    assert [answer for _, answer, _, _ in found[:3]] == ['on'] * 3, found
    for _, answer, took_s, ticks in found[3:]:
        assert 'within 1.0 s' in answer or 'timed out' in answer
        assert took_s < 2.5
        assert ticks > 10, 'the others stood still meanwhile'
