# SPDX-License-Identifier: Apache-2.0
"""The messages of a crashed kernel, sent by the program that really does.

Debian's fence_kdump_send is what kdump puts into the kernel that makes the
dump. The listener is the product's; the clock is that of the machine.
"""

import pathlib
import shutil
import subprocess
import time

import pytest

from nova_pets.detectors import base
from nova_pets.detectors import context as detectors_context
from nova_pets.detectors import kdump
from nova_pets.model import observations
from nova_pets.model import states
from nova_pets.tests import conftest as tiers
from nova_pets.tests.unit.detectors import test_kdump as unit

WAIT_S = 30


@pytest.fixture
def sender():
    found = shutil.which('fence_kdump_send', path=':'.join(
        ('/usr/libexec/fence-agents', '/usr/lib/fence-agents',
         '/usr/libexec', '/usr/sbin')))
    if found is None:
        tiers.require('fencing', 'fence_kdump_send (package fence-agents) '
                                 'is not installed')
    return pathlib.Path(found)


class Ear:
    """A detector that listens, with the clock of this machine."""

    def __init__(self, address, gap_s=30.0):
        self.address = address
        self.port = unit.free_port()
        self.detector = kdump.KdumpDetector(detectors_context.Context(
            door=None, kdump_address=address, kdump_port=self.port,
            kdump_gap_s=gap_s))
        self.detector.refresh()
        assert self.detector.problem() is None

    def look(self, address=None):
        return self.detector.look(base.Target(
            'host1', 'cell1', address or self.address))

    def waits(self, event):
        """Whether the event (or '', none) is told in time."""
        deadline = time.monotonic() + WAIT_S
        while self.look().event != event:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def send(sender, ear, *options):
    done = subprocess.run(
        [sender, '-p', str(ear.port), '-i', '1', *options, ear.address],
        capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('family, address', [
    ('ipv4', '127.0.0.1'), ('ipv6', '::1')])
def test_a_dump_is_heard_of(sender, family, address):
    ear = Ear(address)
    assert ear.look().event == ''
    send(sender, ear, '-c', '2', '-f', family)
    assert ear.waits(observations.DUMPING)
    look = ear.look()
    assert look.sign is states.Sign.UNKNOWN
    assert f'as {address} said' in look.detail
    assert ear.look('192.0.2.1').event == ''


def test_it_is_over_when_the_messages_end(sender):
    ear = Ear('127.0.0.1', gap_s=2.0)
    send(sender, ear, '-c', '3')
    assert ear.look().event == observations.DUMPING
    assert ear.waits('')
