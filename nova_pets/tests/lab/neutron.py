# SPDX-License-Identifier: Apache-2.0
"""A stand-in for neutron: a cloud that has no networks and no ports.

Instances of the lab are booted with ``networks: none``; then Nova asks
neutron for ports (at a build, an evacuation, a deletion), and this says that
there are none. Tokens are not looked at.
"""

import json

_KINDS = ('ports', 'networks', 'subnets', 'floatingips', 'extensions',
          'security-groups', 'routers', 'segments')


def application(environ, start_response):
    kind = environ['PATH_INFO'].strip('/').split('/')[-1]
    if environ['REQUEST_METHOD'] != 'GET':
        status, body = '409 Conflict', {'NeutronError': 'no networks here'}
    elif kind in ('', 'v2.0'):
        status, body = '200 OK', {'versions': [], 'resources': []}
    elif kind in _KINDS:
        status, body = '200 OK', {kind.replace('-', '_'): []}
    else:
        status, body = '404 Not Found', {'NeutronError': 'none'}
    start_response(status, [('Content-Type', 'application/json')])
    return [json.dumps(body).encode()]
