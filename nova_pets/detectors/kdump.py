# SPDX-License-Identifier: Apache-2.0
"""Detector kdump: does a crashed kernel write its memory to a disk?

Listens for the messages that fence_kdump_send sends from the kernel that
makes the dump. They carry no name and can be forged by anybody who can send a
datagram, so they never prove anything: planning lets them delay a power-off,
and for a bounded time. A thread of its own listens in an engine that
observes; it begins with the first refresh and ends without any.
"""

import collections
import ipaddress
import os
import socket
import struct
import threading

from nova_pets.detectors import base
from nova_pets.detectors import context as detectors_context
from nova_pets.model import observations
from nova_pets.model import states

REFRESH_S = 5.0
_ORPHAN_S = 12 * REFRESH_S
"""An engine that refreshes no more has no slot, or is gone: its port is
wanted by another one on this machine."""
_POLL_S = 0.5
MOST_SENDERS = 4096

_MAGIC = 0x1B302A40
_VERSION = 1
MESSAGES = frozenset(struct.pack(order, _MAGIC, _VERSION)
                     for order in ('<II', '>II'))
"""The sender writes both numbers in its own byte order."""


class KdumpDetector(base.Detector):

    name = 'kdump'
    path = states.WitnessPath.EXTERNAL
    refresh_s = REFRESH_S

    def __init__(self, context: detectors_context.Context):
        self._monotonic = context.monotonic
        self._where = (context.kdump_address, context.kdump_port)
        self._gap_s = context.kdump_gap_s
        self._lock = threading.Lock()
        self._heard: collections.OrderedDict[str, float] = (
            collections.OrderedDict())
        """{address: when its last message came}, oldest first."""
        self._thread: threading.Thread | None = None
        self._refreshed_at = 0.0
        self._problem: str | None = None

    def refresh(self) -> None:
        with self._lock:
            self._refreshed_at = self._monotonic()
            if self._thread is not None and self._thread.is_alive():
                return
            try:
                listener = _listen(*self._where)
            except OSError as error:
                self._problem = (
                    f'cannot listen on {self._where[0]} port '
                    f'{self._where[1]}/udp: {_words(error)}')
                return
            self._problem = None
            self._thread = threading.Thread(
                target=self._serve, args=(listener,), name='pets-kdump',
                daemon=True)
            self._thread.start()

    def problem(self) -> str | None:
        return self._problem

    def look(self, target: base.Target) -> base.Look:
        try:
            address = _plain(target.address or '')
        except ValueError:
            return base.Look(states.Sign.UNKNOWN,
                             'its address is not known')
        with self._lock:
            at = self._heard.get(address)
            problem = self._problem
        age_s = None if at is None else self._monotonic() - at
        if age_s is not None and age_s <= self._gap_s:
            return base.Look(
                states.Sign.UNKNOWN,
                f'dumps its memory, as {address} said {age_s:.0f} s ago',
                observations.DUMPING)
        return base.Look(states.Sign.UNKNOWN,
                         problem or f'nothing heard of {address} lately')

    def _serve(self, listener: socket.socket) -> None:
        with listener:
            while self._monotonic() - self._refreshed_at < _ORPHAN_S:
                try:
                    message, sender = listener.recvfrom(64)
                except TimeoutError:
                    continue
                except OSError as error:
                    self._problem = f'cannot receive: {_words(error)}'
                    return
                if message in MESSAGES:
                    self._hear(_plain(sender[0]))

    def _hear(self, address: str) -> None:
        with self._lock:
            self._heard[address] = self._monotonic()
            self._heard.move_to_end(address)
            while len(self._heard) > MOST_SENDERS:
                self._heard.popitem(last=False)


def _listen(address: str, port: int) -> socket.socket:
    """:raises OSError:"""
    is_v6 = ipaddress.ip_address(address).version == 6
    listener = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET,
                             socket.SOCK_DGRAM)
    try:
        listener.settimeout(_POLL_S)
        listener.bind((address, port))
    except OSError:
        listener.close()
        raise
    return listener


def _plain(address: str) -> str:
    """Return an address in the one form that is compared.

    :raises ValueError: it is none.
    """
    found = ipaddress.ip_address(address.partition('%')[0])
    mapped = getattr(found, 'ipv4_mapped', None)
    return str(mapped or found)


def _words(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__
