# SPDX-License-Identifier: Apache-2.0
"""What the tcp witness sees of the hosts: a port each, in one process.

A refused connection is a sign of life, so a dead machine must not refuse: it
must say nothing. For that its port stays open and its queue is full: Linux
drops what comes then, without a word, and without any privilege needed.

    python -m nova_pets.tests.lab.wire TRUTH PORT HOST=ADDRESS ...
"""

import pathlib
import select
import socket
import sys
import time

from nova_pets.tests.lab import machine

LOOK_S = 0.05
_FILLERS = 4


class Wire:
    """The port of one host."""

    def __init__(self, address, port):
        self._where = (address, port)
        self._fillers = []
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self._where)
        self.socket.listen(0)
        self.socket.setblocking(False)
        self.is_silent = False

    def fall_silent(self):
        self.is_silent = True
        for _ in range(_FILLERS):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(self._where)
            self._fillers.append(filler)

    def speak(self):
        self.is_silent = False
        for filler in self._fillers:
            filler.close()
        self._fillers = []

    def answer(self):
        while True:
            try:
                self.socket.accept()[0].close()
            except BlockingIOError:
                return
            except OSError:
                continue


def main(truth, port, *hosts):
    truth = machine.Truth(pathlib.Path(truth))
    wires = {}
    for host in hosts:
        name, address = host.split('=')
        wires[name] = Wire(address, int(port))
    looked_at = 0.0
    while True:
        select.select([wire.socket for wire in wires.values()
                       if not wire.is_silent], [], [], LOOK_S)
        # Look before answering: who was cut off a moment ago is silent.
        if time.monotonic() - looked_at >= LOOK_S:
            looked_at = time.monotonic()
            for name, wire in wires.items():
                facts = truth.facts(name)
                is_silent = facts.is_cut_off or facts.power == machine.OFF
                if is_silent and not wire.is_silent:
                    wire.answer()
                    wire.fall_silent()
                elif wire.is_silent and not is_silent:
                    wire.speak()
        for wire in wires.values():
            if not wire.is_silent:
                wire.answer()


if __name__ == '__main__':
    main(*sys.argv[1:])
