# SPDX-License-Identifier: Apache-2.0
"""The lab's cloud as people use it: keystone, glance and Nova over HTTP.

What an administrator and a tenant do, one request each; nothing here looks
into a database.
"""

import time

import requests

from nova_pets.tests.lab import plan as plan_module

MICROVERSION = '2.94'
IMAGE = 'cirros'
FLAVOR = 'tiny'
_SETTLED = ('ACTIVE', 'ERROR', 'SHUTOFF')


class Refused(Exception):
    """A request was answered by an error."""


class Cloud:

    def __init__(self, plan: plan_module.Plan):
        self._plan = plan
        self._token = None
        self._session = requests.Session()
        self._session.trust_env = False

    def ask(self, service: str, method: str, path: str, body=None,
            **kwargs):
        """Make one request with a token; return what JSON came back.

        :raises Refused: with the answer's own words.
        """
        headers = {'OpenStack-API-Version': f'compute {MICROVERSION}',
                   **kwargs.pop('headers', {})}
        if self._token:
            headers['X-Auth-Token'] = self._token
        answer = self._session.request(
            method, self._plan.url(service) + path, json=body,
            headers=headers, timeout=60, **kwargs)
        if answer.status_code >= 400:
            raise Refused(f'{method} {service} {path}: {answer.status_code} '
                          f'{answer.text[:500]}')
        self._last = answer
        return answer.json() if answer.content and 'json' in \
            answer.headers.get('Content-Type', '') else None

    def log_in(self) -> None:
        self._token = None
        self.ask('keystone', 'POST', '/v3/auth/tokens', {'auth': {
            'identity': {'methods': ['password'], 'password': {'user': {
                'name': 'admin', 'domain': {'id': 'default'},
                'password': self._plan.password}}},
            'scope': {'project': {'name': 'admin',
                                  'domain': {'id': 'default'}}}}})
        self._token = self._last.headers['X-Subject-Token']

    def another(self) -> 'Cloud':
        """Return one with the same token, for another thread."""
        result = Cloud(self._plan)
        result._token = self._token
        return result

    # -- servers --------------------------------------------------------------

    def boot(self, name: str, host: str | None = None,
             metadata: dict | None = None) -> str:
        """Ask for a server and return its uuid at once."""
        server = {'name': name, 'flavorRef': FLAVOR, 'networks': 'none',
                  'imageRef': self.image(), 'metadata': metadata or {}}
        if host:
            server['host'] = host
        return self.ask('api', 'POST', '/v2.1/servers',
                        {'server': server})['server']['id']

    def image(self) -> str:
        return self.ask('glance', 'GET', f'/v2/images?name={IMAGE}'
                        )['images'][0]['id']

    def servers(self) -> dict[str, dict]:
        """Return all servers by their uuid."""
        return {server['id']: server for server in self.ask(
            'api', 'GET', '/v2.1/servers/detail?all_tenants=1')['servers']}

    def wait_active(self, uuids, seconds: float = 120) -> dict[str, dict]:
        deadline = time.monotonic() + seconds
        while True:
            servers = self.servers()
            mine = {uuid: servers[uuid] for uuid in uuids}
            if all(server['status'] in _SETTLED and
                   not server['OS-EXT-STS:task_state']
                   for server in mine.values()):
                bad = {server['name']: server.get('fault', {}).get('message')
                       for server in mine.values()
                       if server['status'] != 'ACTIVE'}
                if bad:
                    raise Refused(f'not active: {bad}')
                return mine
            if time.monotonic() > deadline:
                raise Refused('not active in time: %s' % {
                    server['name']: (server['status'],
                                     server['OS-EXT-STS:task_state'])
                    for server in mine.values()})
            time.sleep(0.3)

    def delete(self, uuid: str) -> None:
        self.ask('api', 'DELETE', f'/v2.1/servers/{uuid}')

    def act(self, uuid: str, action: str, what=None) -> None:
        """Ask for an action: os-stop, reboot, evacuate, os-resetState."""
        self.ask('api', 'POST', f'/v2.1/servers/{uuid}/action',
                 {action: what})

    def tag(self, uuid: str, is_pet: bool) -> None:
        path = f'/v2.1/servers/{uuid}/metadata'
        if is_pet:
            self.ask('api', 'POST', path, {'metadata': {'ha': 'true'}})
        else:
            self.ask('api', 'DELETE', f'{path}/ha')

    def computes(self) -> dict[str, dict]:
        """Return the nova-compute services by their host."""
        return self.services('nova-compute')

    def services(self, binary: str) -> dict[str, dict]:
        return {service['host']: service for service in self.ask(
            'api', 'GET', f'/v2.1/os-services?binary={binary}')['services']}

    def force_up(self, host: str) -> None:
        self.force(host, False)

    def force(self, host: str, is_down: bool) -> None:
        self.ask('api', 'PUT',
                 f'/v2.1/os-services/{self.computes()[host]["id"]}',
                 {'forced_down': is_down})
