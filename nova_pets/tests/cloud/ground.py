# SPDX-License-Identifier: Apache-2.0
"""The machines under the cloud: power, BMC, one TCP port and the guests.

What is true here is true, whatever Nova's database says: the judge of a test
or of the demo asks this module. It knows no Nova.

A BMC is a file that contains ``on`` or ``off``. A port of a machine that does
not run is silent (a connect times out, nothing answers), because that is what
a dead machine looks like; a refused connect would prove a living kernel.
"""

import dataclasses
import enum
import logging
import os
import select
import socket
import threading
import time

from nova_pets.tests.cloud import processes

LOG = logging.getLogger(__name__)


class GuestState(enum.Enum):
    RUNNING = 'running'
    SHUTDOWN = 'shutdown'


@dataclasses.dataclass
class Guest:
    """A domain on one machine; it outlives nova-compute and a power loss."""
    uuid: str
    name: str
    state: GuestState


class Machine:
    """One compute host: its power, its kernel and its guests."""

    def __init__(self, name, address, bmc_path):
        self.name = name
        self.address = address
        self.bmc_path = bmc_path
        self.is_running = True
        self.guests = {}
        #: instance uuid -> how often a guest of it was started here.
        self.starts = {}
        #: The nova-compute that runs here, None before the first one.
        self.process = None
        self.service = None
        self.lock = threading.RLock()
        self.port = None
        self.write_bmc('on')

    def write_bmc(self, word):
        """Write the BMC's answer; in one step, for readers never see half."""
        draft = self.bmc_path + '.draft'
        with open(draft, 'w') as stream:
            stream.write(word)
        os.replace(draft, self.bmc_path)

    def read_bmc(self):
        with open(self.bmc_path) as stream:
            return stream.read().strip()

    def start_guest(self, uuid, name, state=GuestState.RUNNING):
        """Define the domain and run it, unless this machine is dead."""
        with self.lock:
            if not processes.must_freeze():
                self.guests[uuid] = Guest(uuid, name, state)
                if state is GuestState.RUNNING:
                    self.starts[uuid] = self.starts.get(uuid, 0) + 1
                return
        processes.checkpoint()

    def set_guest_state(self, uuid, state):
        """Run or stop a defined domain; False when there is none."""
        with self.lock:
            if not processes.must_freeze():
                guest = self.guests.get(uuid)
                if guest is None:
                    return False
                if (state is GuestState.RUNNING and
                        guest.state is not GuestState.RUNNING):
                    self.starts[uuid] = self.starts.get(uuid, 0) + 1
                guest.state = state
                return True
        processes.checkpoint()
        return True

    def remove_guest(self, uuid):
        with self.lock:
            if not processes.must_freeze():
                return self.guests.pop(uuid, None) is not None
        processes.checkpoint()
        return False

    def lose_power(self):
        """Everything that runs here ends now; domains stay defined."""
        with self.lock:
            if self.process is not None:
                self.process.kill()
            self.is_running = False
            for guest in self.guests.values():
                guest.state = GuestState.SHUTDOWN
        self.port.silence()

    def boot(self):
        """The kernel runs again; guests stay down, nova-compute too."""
        with self.lock:
            self.is_running = True
        self.port.answer()


class Port:
    """A TCP port that answers or is silent, without any privilege.

    A silent port is a listening socket with a full accept queue: Linux drops
    further SYNs, so that a connect gets no answer at all.
    """

    def __init__(self, address, number):
        self._address = address
        self._number = number
        self._fillers = []
        self._lock = threading.Lock()
        self.is_silent = False
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.setblocking(False)
        self._listener.bind((address, number))
        self._listener.listen(64)

    def fileno(self):
        return self._listener.fileno()

    def accept_waiting(self):
        """Answer whoever connected, if the machine runs."""
        with self._lock:
            if not self.is_silent:
                self._accept_all()

    def silence(self):
        """Stop answering; returns when a new connect gets no answer."""
        with self._lock:
            if self.is_silent:
                return
            self.is_silent = True
            self._listener.listen(0)
            while self._fill():
                pass

    def answer(self):
        with self._lock:
            self.is_silent = False
            for filler in self._fillers:
                filler.close()
            self._fillers = []
            self._accept_all()
            self._listener.listen(64)

    def close(self):
        with self._lock:
            for filler in self._fillers:
                filler.close()
            self._listener.close()

    def _accept_all(self):
        while True:
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            connection.close()

    def _fill(self):
        """Add one connect; False when it found the queue full."""
        filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        filler.setblocking(False)
        self._fillers.append(filler)
        filler.connect_ex((self._address, self._number))
        # 20 ms is an age for a loopback handshake.
        _readable, writable, _errors = select.select([], [filler], [], 0.02)
        return bool(writable)


class Ground:
    """All machines, and the thread that answers ports and watches BMCs."""

    def __init__(self, names, directory, on_power_on):
        """Make the machines.

        :param directory: where the BMC files go, one per machine.
        :param on_power_on: called with a Machine whose BMC went to ``on``.
        """
        self._on_power_on = on_power_on
        self._is_closed = threading.Event()
        self._seen = {}
        os.makedirs(directory, exist_ok=True)
        self.machines = {
            name: Machine(name, '127.0.1.%d' % number,
                          os.path.join(directory, name))
            for number, name in enumerate(names, start=1)}
        self.port_number = self._open_ports()
        self._thread = threading.Thread(
            target=self._watch, name='cloud-ground', daemon=True)
        self._thread.start()

    def close(self):
        self._is_closed.set()
        self._thread.join()
        for machine in self.machines.values():
            machine.port.close()

    def _open_ports(self):
        """Give every machine the same port number, free on all of them."""
        for _attempt in range(50):
            with socket.socket() as probe:
                probe.bind(('127.0.0.1', 0))
                number = probe.getsockname()[1]
            opened = []
            try:
                for machine in self.machines.values():
                    machine.port = Port(machine.address, number)
                    opened.append(machine.port)
                return number
            except OSError:
                for port in opened:
                    port.close()
        raise AssertionError('cannot find a TCP port free on all addresses')

    def _watch(self):
        self._seen = {name: machine.read_bmc()
                      for name, machine in self.machines.items()}
        ports = [machine.port for machine in self.machines.values()]
        while not self._is_closed.is_set():
            try:
                self._watch_power()
            except processes.ProcessGone:
                return
            answering = [port for port in ports if not port.is_silent]
            if not answering:
                time.sleep(0.05)
                continue
            readable = select.select(answering, [], [], 0.05)[0]
            for port in readable:
                port.accept_waiting()

    def _watch_power(self):
        for name, machine in self.machines.items():
            try:
                word = machine.read_bmc()
            except OSError:
                continue
            if word == self._seen[name]:
                continue
            self._seen[name] = word
            if word == 'off':
                LOG.info('power off: %s', name)
                machine.lose_power()
            elif word == 'on':
                LOG.info('power on: %s', name)
                self._on_power_on(machine)
