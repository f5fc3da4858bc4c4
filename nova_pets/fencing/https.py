# SPDX-License-Identifier: Apache-2.0
"""HTTPS for one call to one BMC: to that address only, bounded, and cut off
at a moment that somebody else chooses.

Knows nothing of Redfish. A reply may drip for hours, be endless, redirect, or
name another host as the place to go on: none of that may hold us, fill
memory, or carry the password elsewhere. What is posted is posted once, and
nothing is sent after the cut.
"""

import io
import socket
import threading
import typing
from urllib import parse

import requests
from requests import adapters
import urllib3
from urllib3 import connection as urllib3_connection

MOST_BYTES = 1 << 20
"""Of one reply; a large ComputerSystem has some tens of kilobytes."""


class Leash:
    """Ends what a call waits for; used from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[socket.socket] = []
        self.is_cut = False

    def hold(self, connected: socket.socket) -> None:
        # A duplicate, since TLS takes the descriptor out of the original.
        held = connected.dup()
        with self._lock:
            self._held.append(held)
            is_cut = self.is_cut
        if is_cut:
            _shut(held)

    def cut(self) -> None:
        with self._lock:
            self.is_cut = True
            held = list(self._held)
        for one in held:
            _shut(one)

    def let_go(self) -> None:
        with self._lock:
            held, self._held = self._held, []
        for one in held:
            one.close()


def _shut(held: socket.socket) -> None:
    try:
        held.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it was closed by the other side


def confine(session: requests.Session, address: str, leash: Leash) -> None:
    """Let the session reach ``https://HOST[:PORT]`` and nothing else.

    Proxies and .netrc of the environment are not used either.
    """
    session.trust_env = False
    session.adapters.clear()
    session.mount(f'{origin_of(address)}/', _Adapter(leash))


def origin_of(address: str) -> str:
    """Return scheme, host and port.

    :raises ValueError: it is no https address.
    """
    parts = parse.urlsplit(address)
    if parts.scheme != 'https' or not parts.hostname:
        raise ValueError('expected https://HOST or https://HOST:PORT')
    if parts.path not in ('', '/') or parts.query or parts.fragment or \
            parts.username is not None or (parts.port or 1) < 1:
        raise ValueError('expected https://HOST or https://HOST:PORT, '
                         'found more than that')
    return f'https://{parts.netloc.lower()}'


class _Adapter(adapters.HTTPAdapter):

    def __init__(self, leash: Leash):
        self._leash = leash
        self._posted: requests.Response | None = None
        self._has_posted = False
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: typing.Any, **kwargs: typing.Any
                         ) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            'https': _pool_class(self._leash)}

    def send(self, request: requests.PreparedRequest, stream: bool = False,
             *args: typing.Any, **kwargs: typing.Any) -> requests.Response:
        if self._leash.is_cut:
            raise requests.RequestException('the time for it was over')
        if request.method == 'POST':
            # NOTE(pets): sushy posts again what was refused in some words.
            if self._posted is not None:
                return self._posted
            if self._has_posted:
                raise requests.RequestException('it was sent once already')
            self._has_posted = True
        response = super().send(request, True, *args, **kwargs)
        try:
            _read(response)
        finally:
            self._leash.let_go()
        if response.is_redirect:
            raise requests.RequestException(
                f'it redirects to {response.headers["location"]}')
        if request.method == 'POST':
            self._posted = response
        return response


def _pool_class(leash: Leash) -> type[urllib3.HTTPSConnectionPool]:

    class Connection(urllib3_connection.HTTPSConnection):

        def _new_conn(self) -> socket.socket:
            connected = super()._new_conn()
            leash.hold(connected)
            return connected

    class Pool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool


def _read(response: requests.Response) -> None:
    """Put the body, if it is not too large, in the place of the stream."""
    raw = response.raw
    try:
        body = raw.read(MOST_BYTES + 1, decode_content=True)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise requests.ConnectionError(error) from None
    finally:
        raw.close()
    if len(body) > MOST_BYTES:
        raise requests.RequestException(
            f'the reply has more than {MOST_BYTES} bytes')
    response.raw = urllib3.HTTPResponse(
        body=io.BytesIO(body), status=raw.status, preload_content=False)
