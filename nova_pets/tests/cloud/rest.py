# SPDX-License-Identifier: Apache-2.0
"""What people do to a cloud through its REST API.

Mixed into EmbeddedCloud. Every verb is one request to the real API of Nova,
as an administrator; the microversion can be chosen. Nothing here looks into
the database.
"""

import contextlib
import uuid

from nova_pets.tests.cloud import processes

IMAGE = '155d900f-4e14-4e4c-a73d-069cbf4541e6'
MICROVERSION = '2.94'


class RestVerbs:
    """Verbs on self.admin_api, a nova.tests.functional.api client."""

    @contextlib.contextmanager
    def _version(self, microversion):
        client = self.api_fixture.admin_api
        # One client object for each call: tests may use many threads.
        client = type(client)(client.auth_user, client.base_url,
                              project_id=client.project_id,
                              roles=client.roles)
        client.microversion = microversion
        yield client

    def create_server(self, name, host=None, metadata=None, flavor='m1.tiny',
                      bfv=False, group=None, networks='none', **extra):
        """Ask for one instance and return its uuid at once.

        :param host: compute host that it must be built on, None: scheduler.
        :param flavor: name of a flavor of add_flavor() or of Nova's fixture.
        :param bfv: boot from a volume, else from an image.
        :param group: uuid of a server group.
        """
        server = {'name': name, 'flavorRef': self.flavors[flavor],
                  'networks': networks, 'metadata': metadata or {}}
        if bfv:
            server['block_device_mapping_v2'] = [{
                'boot_index': 0, 'source_type': 'volume',
                'destination_type': 'volume', 'uuid': str(uuid.uuid4())}]
            server['imageRef'] = ''
        else:
            server['imageRef'] = IMAGE
        if host:
            server['host'] = host
        server.update(extra)
        body = {'server': server}
        if group:
            body['os:scheduler_hints'] = {'group': group}
        with self._version(MICROVERSION) as client:
            return client.api_post('/servers', body).body['server']['id']

    def boot(self, name, timeout_s=120, **kwargs):
        """Build one instance, wait until it is active, return its uuid."""
        instance = self.create_server(name, **kwargs)
        self.wait_server(instance, timeout_s=timeout_s, status='ACTIVE')
        return instance

    def boot_many(self, servers, timeout_s=120):
        """Build instances side by side.

        :param servers: dict of name -> keyword arguments of create_server().
        :returns: dict of name -> uuid.
        """
        instances = {name: self.create_server(name, **kwargs)
                     for name, kwargs in servers.items()}
        waiting = dict(instances)

        def are_active():
            servers = self.servers()
            for name, instance in list(waiting.items()):
                server = servers.get(instance, {'status': 'BUILD'})
                if server['status'] == 'ERROR':
                    raise AssertionError(
                        'cannot boot %s: %s' % (name, server.get('fault')))
                if server['status'] == 'ACTIVE':
                    del waiting[name]
                    self.progress('%s is active' % name)
            return not waiting
        processes.wait_until(are_active, timeout_s, 'the instances',
                             interval_s=0.5)
        return instances

    def server(self, instance):
        """Return the API's view of one instance."""
        with self._version(MICROVERSION) as client:
            return client.get_server(instance)

    def servers(self):
        """Return the API's view of all instances, by uuid."""
        with self._version(MICROVERSION) as client:
            return {server['id']: server for server in client.get_servers(
                search_opts={'all_tenants': 1})}

    def wait_server(self, instance, timeout_s=90, **expected):
        """Wait until the API shows the expected values; return the server.

        Keys: status, host, task_state, vm_state, power_state.
        """
        def has_come():
            server = self.server(instance)
            found.clear()
            found.update({key: server[_KEYS[key]] for key in expected})
            if found != expected and server['status'] == 'ERROR' and (
                    expected.get('status') not in (None, 'ERROR')):
                found['fault'] = server.get('fault')
            return server if found == expected else None
        found = {}
        try:
            return processes.wait_until(has_come, timeout_s, expected)
        except AssertionError as error:
            raise AssertionError('%s; server %s has %s'
                                 % (error, instance, found)) from None

    def action(self, instance, body, microversion=MICROVERSION):
        """POST one server action and return the response."""
        with self._version(microversion) as client:
            return client.api_post('/servers/%s/action' % instance, body)

    def evacuate(self, instance, host=None, force=None,
                 microversion=MICROVERSION, **extra):
        """Evacuate as a person does; up to 2.94 a running guest restarts."""
        body = dict(extra)
        if host:
            body['host'] = host
        if force is not None:
            body['force'] = force
        return self.action(instance, {'evacuate': body}, microversion)

    def stop(self, instance):
        return self.action(instance, {'os-stop': None})

    def start(self, instance):
        return self.action(instance, {'os-start': None})

    def reboot(self, instance, kind='HARD'):
        return self.action(instance, {'reboot': {'type': kind}})

    def migrate(self, instance):
        return self.action(instance, {'migrate': None})

    def live_migrate(self, instance):
        return self.action(instance, {'os-migrateLive': {
            'host': None, 'block_migration': 'auto'}})

    def reset_state(self, instance, state):
        return self.action(instance, {'os-resetState': {'state': state}})

    def lock(self, instance):
        return self.action(instance, {'lock': None})

    def delete(self, instance):
        with self._version(MICROVERSION) as client:
            return client.api_delete('/servers/%s' % instance)

    def set_metadata(self, instance, **metadata):
        with self._version(MICROVERSION) as client:
            return client.api_post('/servers/%s/metadata' % instance,
                                   {'metadata': metadata})

    def delete_metadata(self, instance, key):
        with self._version(MICROVERSION) as client:
            return client.api_delete(
                '/servers/%s/metadata/%s' % (instance, key))

    def add_flavor(self, name, extra_specs=None, ram=512, vcpus=1, disk=1):
        """Make a flavor; its name is good for create_server() then."""
        with self._version(MICROVERSION) as client:
            flavor = client.api_post('/flavors', {'flavor': {
                'name': name, 'ram': ram, 'vcpus': vcpus, 'disk': disk,
                'id': str(uuid.uuid4())}}).body['flavor']
            if extra_specs:
                client.api_post('/flavors/%s/os-extra_specs' % flavor['id'],
                                {'extra_specs': extra_specs})
        self.flavors[name] = flavor['id']

    def add_aggregate(self, name, hosts, metadata=None):
        """Make a host aggregate; returns its id."""
        with self._version(MICROVERSION) as client:
            aggregate = client.api_post('/os-aggregates', {'aggregate': {
                'name': name}}).body['aggregate']['id']
            url = '/os-aggregates/%s/action' % aggregate
            for host in hosts:
                client.api_post(url, {'add_host': {'host': host}})
            if metadata:
                client.api_post(
                    url, {'set_metadata': {'metadata': metadata}})
        return aggregate

    def add_server_group(self, name, policy):
        """Make a server group; returns its uuid."""
        with self._version(MICROVERSION) as client:
            return client.api_post('/os-server-groups', {'server_group': {
                'name': name, 'policy': policy}}).body['server_group']['id']

    def compute_services(self):
        """Return the API's view of the nova-computes, by host."""
        with self._version(MICROVERSION) as client:
            services = client.api_get(
                '/os-services?binary=nova-compute').body['services']
        return {service['host']: service for service in services}

    def update_service(self, host, **values):
        """PUT values such as forced_down=True or status='disabled'."""
        service = self.compute_services()[host]['id']
        with self._version(MICROVERSION) as client:
            return client.api_put('/os-services/%s' % service, values)

    def force_down(self, host, is_down=True):
        return self.update_service(host, forced_down=is_down)

    def hypervisors(self):
        """Return the API's view of the compute nodes, by host name."""
        with self._version('2.53') as client:
            nodes = client.api_get(
                '/os-hypervisors/detail').body['hypervisors']
        return {node['hypervisor_hostname']: node for node in nodes}

    def migrations(self, instance):
        """Return the migration records of an instance, oldest first."""
        with self._version(MICROVERSION) as client:
            found = client.api_get(
                '/os-migrations?instance_uuid=%s' % instance
            ).body['migrations']
        return sorted(found, key=lambda migration: migration['id'])

    def actions(self, instance):
        """Return the instance actions with their events, oldest first."""
        with self._version(MICROVERSION) as client:
            url = '/servers/%s/os-instance-actions' % instance
            found = client.api_get(url).body['instanceActions']
            return [client.api_get('%s/%s' % (url, action['request_id']))
                    .body['instanceAction'] for action in reversed(found)]

    def allocations(self, instance):
        """Return placement's allocations: compute host -> resources."""
        body = self.placement.get('/allocations/%s' % instance).body
        names = {node['id']: host
                 for host, node in self.hypervisors().items()}
        return {names.get(provider, provider): allocation['resources']
                for provider, allocation in body['allocations'].items()}


_KEYS = {
    'status': 'status',
    'host': 'OS-EXT-SRV-ATTR:host',
    'task_state': 'OS-EXT-STS:task_state',
    'vm_state': 'OS-EXT-STS:vm_state',
    'power_state': 'OS-EXT-STS:power_state',
}
