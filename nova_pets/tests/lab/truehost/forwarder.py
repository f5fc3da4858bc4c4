# SPDX-License-Identifier: Apache-2.0
"""The way from the hosts' network to what listens on loopback.

Listens in the namespace of the bridge, on the same ports, and connects on
127.0.0.1 of the machine: so the services stay where nobody else reaches
them, and hosts reach them through their own link only.

    python -m nova_pets.tests.lab.truehost.forwarder DIRECTORY PORT ...
"""

import asyncio
import os
import pathlib
import socket
import sys

from nova_pets.tests.lab import link
from nova_pets.tests.lab.truehost import network


async def serve(directory, ports):
    there = os.open(network.path(pathlib.Path(directory)), os.O_RDONLY)
    for port in map(int, ports):
        with network.entered(there):
            listener = socket.create_server(('0.0.0.0', port), backlog=100)
        await asyncio.start_server(
            link.Client(str(port), ('127.0.0.1', port)).accept,
            sock=listener)
    os.close(there)
    await asyncio.Event().wait()


if __name__ == '__main__':
    asyncio.run(serve(sys.argv[1], sys.argv[2:]))
