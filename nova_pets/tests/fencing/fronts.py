# SPDX-License-Identifier: Apache-2.0
"""What stands between a driver and its endpoint, and does harm.

HttpsFront ends TLS and forwards to the emulator unless its ``meddle`` says
otherwise; UdpFront does so with datagrams; SilentPort accepts and never
answers.
"""

import contextlib
import http.client
import http.server
import socket
import ssl
import threading


class Drop(Exception):
    """Close the connection without another word."""


class HttpsFront:
    """:param meddle: (request, forward) -> (status, headers, body);
    request is the handler (command, path, headers, wfile), forward() asks
    the emulator. It may raise Drop.
    """

    def __init__(self, upstream, directory, meddle):
        self.seen = []
        """(method, path, has credentials) of each request."""
        self._is_over = threading.Event()
        trust = ssl.create_default_context(cafile=upstream.ca_file)
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = 30

            def handle_any(self):
                length = int(self.headers.get('Content-Length') or 0)
                body = self.rfile.read(length)
                front.seen.append((self.command, self.path,
                                   'Authorization' in self.headers))

                def forward():
                    with contextlib.closing(http.client.HTTPSConnection(
                            '127.0.0.1', upstream.port, timeout=20,
                            context=trust)) as link:
                        link.request(self.command, self.path, body,
                                     dict(self.headers))
                        answer = link.getresponse()
                        return (answer.status, {
                            'Content-Type': answer.getheader(
                                'Content-Type', '')}, answer.read())

                try:
                    status, headers, said = meddle(self, forward)
                except Drop:
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header('Content-Length', str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST = handle_any

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # the driver went away: its right

        self._server = Server(('127.0.0.1', 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / 'cert.pem', directory / 'key.pem')
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True,
            do_handshake_on_connect=False)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,),
                         daemon=True).start()

    def pause(self, seconds):
        """Wait in a meddle; ends early when the front is closed."""
        if self._is_over.wait(seconds):
            raise Drop()

    def close(self):
        self._is_over.set()
        self._server.shutdown()
        self._server.server_close()


class SilentPort:
    """Accepts (the kernel does) and never answers."""

    def __init__(self, kind=socket.SOCK_STREAM):
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.bind(('127.0.0.1', 0))
        if kind == socket.SOCK_STREAM:
            self._socket.listen(64)
        self.port = self._socket.getsockname()[1]

    def close(self):
        self._socket.close()


class UdpFront:
    """:param meddle: reply -> reply, or None: it is lost."""

    def __init__(self, upstream_port, meddle):
        self._upstream = ('127.0.0.1', upstream_port)
        self._meddle = meddle
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(('127.0.0.1', 0))
        self.port = self._front.getsockname()[1]
        self._backs = {}
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                data, client = self._front.recvfrom(65535)
            except OSError:
                return
            if client not in self._backs:
                back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self._backs[client] = back
                threading.Thread(target=self._answer, args=(back, client),
                                 daemon=True).start()
            self._backs[client].sendto(data, self._upstream)

    def _answer(self, back, client):
        back.settimeout(20)
        while True:
            try:
                reply = self._meddle(back.recv(65535))
                if reply is not None:
                    self._front.sendto(reply, client)
            except OSError:
                return

    def close(self):
        # A thread in recvfrom keeps the socket: woken by a datagram.
        with contextlib.suppress(OSError):
            self._front.shutdown(socket.SHUT_RDWR)
        self._front.close()
