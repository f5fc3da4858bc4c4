# SPDX-License-Identifier: Apache-2.0
"""Detector tcp: does anything answer at a TCP port of the machine?

A witness of the machine itself. An accepted connection is life, and so is a
refused one: a kernel sent the refusal. Only what came (or did not come) from
out there is silence; an error of this machine says nothing about the other.
Sends nothing, resolves no name.
"""

import errno
import ipaddress
import os
import socket

from nova_pets.detectors import base
from nova_pets.detectors import context as detectors_context
from nova_pets.model import states

_ANSWERED = frozenset({errno.ECONNREFUSED, errno.ECONNRESET})
_NOT_ANSWERED = frozenset({
    errno.ETIMEDOUT,
    # The neighbour or a router on the way says that the machine is not
    # reached. That there is a route from here was seen before.
    errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN})


class TcpDetector(base.Detector):

    name = 'tcp'
    path = states.WitnessPath.HOST

    def __init__(self, context: detectors_context.Context):
        self._port = context.tcp_port
        self._timeout_s = context.tcp_timeout_s

    def look(self, target: base.Target) -> base.Look:
        if not target.address:
            return base.Look(states.Sign.UNKNOWN, 'its address is not known')
        try:
            address = ipaddress.ip_address(target.address)
        except ValueError:
            return base.Look(states.Sign.UNKNOWN,
                             f'{target.address} is no address')
        if address.is_unspecified or address.is_multicast:
            return base.Look(states.Sign.UNKNOWN,
                             f'{address} is no address of a machine')
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        where = f'{address}:{self._port}' if address.version == 4 \
            else f'[{address}]:{self._port}'
        try:
            _see_route(family, str(address), self._port)
        except OSError as error:
            return base.Look(states.Sign.UNKNOWN,
                             f'no way to {where} from here: {_words(error)}')
        return self._connect(family, str(address), where)

    def _connect(self, family: int, address: str, where: str) -> base.Look:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.settimeout(self._timeout_s)
                probe.connect((address, self._port))
        except TimeoutError:
            return base.Look(
                states.Sign.SILENT,
                f'no answer of {where} within {self._timeout_s:g} s')
        except OSError as error:
            return base.Look(_sign_of(error), f'{where}: {_words(error)}')
        return base.Look(states.Sign.LIFE, f'{where} answered')


def _see_route(family: int, address: str, port: int) -> None:
    """Look the route up; a datagram socket sends nothing when connected.

    :raises OSError: this machine cannot send there.
    """
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((address, port))


def _sign_of(error: OSError) -> states.Sign:
    if error.errno in _ANSWERED:
        return states.Sign.LIFE
    if error.errno in _NOT_ANSWERED:
        return states.Sign.SILENT
    return states.Sign.UNKNOWN


def _words(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__
