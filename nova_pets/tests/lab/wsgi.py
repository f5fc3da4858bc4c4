# SPDX-License-Identifier: Apache-2.0
"""Serve one WSGI application on loopback, a thread for each request.

    python -m nova_pets.tests.lab.wsgi MODULE:ATTRIBUTE PORT

Configuration comes by the application's own variables of the environment
(OS_NOVA_CONFIG_DIR and so on).
"""

import importlib
import socketserver
import sys
from wsgiref import simple_server


class Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Quiet(simple_server.WSGIRequestHandler):

    def address_string(self):
        """Without asking a name server."""
        return self.client_address[0]

    def log_message(self, format, *args):
        pass


def main():
    where, port = sys.argv[1:]
    # Several of the applications parse the command line when imported.
    del sys.argv[1:]
    module, _, attribute = where.partition(':')
    application = getattr(importlib.import_module(module), attribute)
    with simple_server.make_server('127.0.0.1', int(port), application,
                                   Server, Quiet) as server:
        server.serve_forever()


if __name__ == '__main__':
    main()
