# SPDX-License-Identifier: Apache-2.0
"""The way from each process of the lab to one service it does not own.

The database server and the broker may be shared with others, so they are
never stopped: each client has a port of its own here, and the file of rules
says what becomes of its connections. The file is read again when it changes.

* ``pass``: bytes go through.
* ``stall``: connections stay, and new ones are accepted; no byte moves. What
  was under way arrives when the stall ends.
* ``cut``: connections are reset, and new ones too.

    python -m nova_pets.tests.lab.link RULES SERVICE HOST PORT CLIENT=PORT ...

RULES is JSON: {"SERVICE": {"CLIENT or *": "stall"}}. How often a client met
a rule (bytes held back, connections reset) is counted in the file
``hurt.SERVICE`` beside it: {"CLIENT": count}.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import socket
import struct
import sys

LOOK_S = 0.1
PASS, STALL, CUT = 'pass', 'stall', 'cut'
MODES = (PASS, STALL, CUT)
_RESET = struct.pack('ii', 1, 0)
"""SO_LINGER: close by a reset."""


class Rules:
    """What the file says now."""

    def __init__(self, path, service):
        self._path = pathlib.Path(path)
        self._service = service
        self._said = {}
        self._stamp = None

    def look(self):
        with contextlib.suppress(FileNotFoundError, ValueError):
            stamp = self._path.stat().st_mtime_ns
            if stamp != self._stamp:
                self._said = json.loads(
                    self._path.read_text()).get(self._service, {})
                self._stamp = stamp

    def mode(self, client):
        return self._said.get(client, self._said.get('*', PASS))


class Client:
    """The port of one client and the connections that came by it."""

    def __init__(self, name, target):
        self.name = name
        self._target = target
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._mode = PASS
        self._writers = set()
        self.hurt = 0

    def obey(self, mode):
        if mode == self._mode:
            return
        self._mode = mode
        if mode == STALL:
            self._is_open.clear()
            return
        if mode == CUT:
            self.hurt += len(self._writers)
            for writer in list(self._writers):
                _reset(writer)
        self._is_open.set()

    async def accept(self, reader, writer):
        self._writers.add(writer)
        try:
            self.hurt += not self._is_open.is_set()
            await self._is_open.wait()
            if self._mode == CUT:
                self.hurt += 1
                _reset(writer)
                return
            there, back = await asyncio.open_connection(*self._target)
            self._writers.add(back)
            try:
                await asyncio.gather(self._pump(reader, back),
                                     self._pump(there, writer))
            finally:
                self._writers.discard(back)
                back.close()
        except OSError:
            _reset(writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _pump(self, reader, writer):
        try:
            while data := await reader.read(65536):
                self.hurt += not self._is_open.is_set()
                await self._is_open.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            with contextlib.suppress(OSError, RuntimeError):
                writer.write_eof()


def _reset(writer):
    sock = writer.get_extra_info('socket')
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


async def serve(rules_path, service, host, port, *clients):
    rules = Rules(rules_path, service)
    known = []
    for client in clients:
        name, own_port = client.split('=')
        known.append(Client(name, (host, int(port))))
        await asyncio.start_server(known[-1].accept, '127.0.0.1',
                                   int(own_port))
    told = None
    while True:
        rules.look()
        for client in known:
            client.obey(rules.mode(client.name))
        hurt = {client.name: client.hurt for client in known}
        if hurt != told:
            told = hurt
            path = hurt_path(pathlib.Path(rules_path).parent, service)
            new = path.with_suffix(f'.{os.getpid()}')
            new.write_text(json.dumps(hurt))
            new.replace(path)
        await asyncio.sleep(LOOK_S)


def hurt_path(directory, service):
    return pathlib.Path(directory) / f'hurt.{service}'


if __name__ == '__main__':
    asyncio.run(serve(*sys.argv[1:]))
