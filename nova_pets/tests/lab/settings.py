# SPDX-License-Identifier: Apache-2.0
"""The configuration files of a lab's services.

Nothing here is special to nova-pets but what an operator writes, too: the
groups of etc/nova/nova-pets.nova.conf, with short times.
"""

import pathlib
import sys

from nova_pets.tests.lab import identities
from nova_pets.tests.lab import plan as plan_module

REGION = 'lab'
USER = 'nova'
TIMES = {
    'pets': {'idle_interval': 1.0},
    'pets_fencing': {'startup_grace': 10, 'storm_window': 20,
                     'read_interval': 10},
}
"""Shorter than the defaults, so that a test does not wait for them; the
others are as shipped."""

POOL = {'max_pool_size': 2}
"""Idle connections of each process but the schedulers to each database: the
server takes 151 by default, and others use it, too."""

_NOVAS_FILTERS = ('ComputeFilter,ComputeCapabilitiesFilter,'
                  'ImagePropertiesFilter,ServerGroupAntiAffinityFilter,'
                  'ServerGroupAffinityFilter')


def write(path: pathlib.Path, groups: dict[str, dict]) -> str:
    """Write a file of oslo.config; a list is a repeated option."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    with path.open('w') as stream:
        for group, options in groups.items():
            stream.write(f'[{group}]\n')
            for name, value in options.items():
                for one in value if isinstance(value, list) else [value]:
                    stream.write(f'{name} = {one}\n')
    return str(path)


class Settings:
    """Writes the files of one lab below its directory ``etc``."""

    def __init__(self, plan: plan_module.Plan,
                 extra: dict[str, dict] | None = None):
        """
        :param extra: group -> option -> value for every nova.conf.
        """
        self._plan = plan
        self._extra = extra or {}
        self._etc = plan.directory / 'etc'

    def keystone(self) -> str:
        return write(self._etc / 'keystone' / 'keystone.conf', {
            'DEFAULT': self._log('keystone'),
            'database': {'connection': self._plan.database(
                'keystone', 'keystone')},
            'token': {'provider': 'fernet', 'expiration': 86400},
            'fernet_tokens': {
                'key_repository': self._etc / 'keystone' / 'fernet'},
            'fernet_receipts': {
                'key_repository': self._etc / 'keystone' / 'fernet'},
            'credential': {
                'key_repository': self._etc / 'keystone' / 'fernet'},
            'identity': {'password_hash_rounds': 4},
            'cache': {'enabled': True, 'backend': 'oslo_cache.dict'}})

    def placement(self) -> str:
        return write(self._etc / 'placement' / 'placement.conf', {
            'DEFAULT': self._log('placement'),
            'placement_database': {
                'connection': self._plan.database('placement', 'placement'),
                'max_overflow': 50},
            'api': {'auth_strategy': 'keystone'},
            'keystone_authtoken': self._authtoken()})

    def glance(self) -> str:
        directory = self._plan.directory / 'glance'
        directory.mkdir(exist_ok=True)
        for name in ('images', 'staging', 'tasks'):
            (directory / name).mkdir(exist_ok=True)
        return write(self._etc / 'glance' / 'glance-api.conf', {
            'DEFAULT': {**self._log('glance'), 'enabled_backends': 'fs:file',
                        'node_staging_uri': f'file://{directory}/staging',
                        'worker_self_reference_url':
                            self._plan.url('glance')},
            'database': {
                'connection': f'sqlite:///{directory}/glance.sqlite'},
            'glance_store': {'default_backend': 'fs'},
            'fs': {'filesystem_store_datadir': directory / 'images'},
            'os_glance_staging_store': {
                'filesystem_store_datadir': directory / 'staging'},
            'os_glance_tasks_store': {
                'filesystem_store_datadir': directory / 'tasks'},
            'paste_deploy': {'flavor': 'keystone', 'config_file': installed(
                'glance', 'glance-api-paste.ini')},
            'keystone_authtoken': self._authtoken()})

    def nova(self, name: str) -> str:
        """Write the nova.conf of one process: a name of the plan."""
        plan = self._plan
        groups = self._common(name)
        if name in plan.hosts:
            groups['DEFAULT'] |= {
                'transport_url': plan.transport(plan.cell_of(name), name),
                'my_ip': plan.address(name),
                'compute_driver': identities.DRIVER}
            if plan.has_true_hosts:
                self._true_host(name, groups)
        elif plan.conductors.get(name) in plan.cell_names:
            cell = plan.conductors[name]
            groups['DEFAULT']['transport_url'] = plan.transport(cell, name)
            groups['database'] |= {'connection': plan.database(cell, name)}
        else:
            groups['DEFAULT']['transport_url'] = plan.transport('super', name)
            groups['database'] |= {
                'connection': plan.database('cell0', name)}
            groups['api_database'] = {
                'connection': plan.database('api', name), **POOL}
        if name in plan.scheduler_names:
            groups |= self._scheduler(groups)
            # As shipped: what an engine does at once depends on it.
            for group in ('database', 'api_database'):
                del groups[group]['max_pool_size']
        for group, options in self._extra.items():
            groups[group] = {**groups.get(group, {}), **options}
        return write(self._etc / name / 'nova.conf', groups)

    def _true_host(self, name, groups):
        """nova-compute with libvirt, and guests on shared storage.

        :param groups: are changed.
        """
        groups['DEFAULT'] |= {
            'compute_driver': 'libvirt.LibvirtDriver',
            'instances_path': self._plan.directory / 'instances',
            'force_raw_images': False}
        # virt_type is in a file of its own: it takes a while to find out.
        groups['libvirt'] = {'cpu_mode': 'none', 'images_type': 'raw'}
        # Without sudo: it is root.
        groups['nova_sys_admin'] = {
            'helper_command': f'{sys.prefix}/bin/privsep-helper '
                              f'--config-file {self._etc}/{name}/nova.conf'}
        for group, service in (('glance', 'glance'),
                               ('placement', 'placement'),
                               ('neutron', 'neutron')):
            groups[group]['endpoint_override'] = self._plan.url(service, name)

    def virtualization(self, kind: str) -> None:
        write(self.virtualization_path, {'libvirt': {'virt_type': kind}})

    @property
    def virtualization_path(self) -> pathlib.Path:
        return self._etc / 'virtualization.conf'

    def _common(self, name):
        plan = self._plan
        state = plan.directory / name
        state.mkdir(exist_ok=True)
        return {
            'DEFAULT': {
                **self._log(name), 'host': name, 'my_ip': '127.0.0.1',
                'state_path': state, 'periodic_fuzzy_delay': 0,
                'report_interval': plan.report_interval_s,
                # As many of them as with Nova's defaults.
                'service_down_time': 6 * plan.report_interval_s,
                'vif_plugging_timeout': 0, 'reserved_host_memory_mb': 0,
                'initial_cpu_allocation_ratio': 16},
            'database': dict(POOL),
            'oslo_concurrency': {'lock_path': state / 'locks'},
            'keystone_authtoken': self._authtoken(),
            'service_user': {**self._password(name),
                             'send_service_user_token': True},
            'placement': {**self._password(name), 'region_name': REGION},
            'neutron': {**self._password(name), 'region_name': REGION,
                        'endpoint_override': plan.url('neutron')},
            'glance': {'region_name': REGION},
            'cinder': {'os_region_name': REGION},
            'key_manager': {
                'backend': 'nova.keymgr.conf_key_mgr.ConfKeyManager',
                'fixed_key': '0' * 64},
            'vnc': {'enabled': False},
            'conductor': {'workers': 1},
            'quota': {option: -1 for option in (
                'instances', 'cores', 'ram', 'server_groups',
                'server_group_members')},
            'filter_scheduler': {'build_failure_weight_multiplier': 0}}

    def _scheduler(self, groups):
        plan = self._plan
        return {
            'scheduler': {'workers': plan.workers,
                          'discover_hosts_in_cells_interval': 2},
            'filter_scheduler': {
                **groups['filter_scheduler'],
                'available_filters': [
                    'nova.scheduler.filters.all_filters',
                    'nova_pets.scheduler.filters.all_filters'],
                'enabled_filters': 'FencedHostFilter,EvacuationGateFilter,'
                                   f'{_NOVAS_FILTERS},SharedStorageFilter',
                'weight_classes': 'nova.scheduler.weights.all_weighers,'
                                  'nova_pets.scheduler.weights.all_weighers'},
            'pets': {'mode': 'act', 'one_storage_domain': True,
                     **TIMES['pets']},
            'pets_detection': {'tcp_port': plan.ports['witness']},
            'pets_fencing': {
                'bindings_file': self._etc / 'pets-fencing.yaml',
                **TIMES['pets_fencing']}}

    def bmc(self, uuids: dict[str, str]) -> str:
        """Write the emulator's file.

        :param uuids: host -> uuid of its system.
        """
        directory = self._plan.directory / 'bmc'
        systems = [{'uuid': uuid, 'name': host, 'power_state': 'On',
                    'external_notifier': False, 'nics': []}
                   for host, uuid in uuids.items()]
        path = directory / 'emulator.conf'
        path.write_text('\n'.join(
            f'{name} = {value!r}' for name, value in {
                'SUSHY_EMULATOR_LISTEN_IP': '127.0.0.1',
                'SUSHY_EMULATOR_LISTEN_PORT': self._plan.ports['bmc'],
                'SUSHY_EMULATOR_SSL_CERT': f'{directory}/cert.pem',
                'SUSHY_EMULATOR_SSL_KEY': f'{directory}/key.pem',
                'SUSHY_EMULATOR_AUTH_FILE': f'{directory}/htpasswd',
                'SUSHY_EMULATOR_STATE_DIR': f'{directory}/state',
                'SUSHY_EMULATOR_FEATURE_SET': 'minimum',
                'SUSHY_EMULATOR_FAKE_DRIVER': True,
                'SUSHY_EMULATOR_FAKE_SYSTEMS': systems}.items()) + '\n')
        return str(path)

    def bindings(self) -> None:
        """Write who fences whom."""
        directory = self._plan.directory / 'bmc'
        secret = directory / 'password'
        secret.touch(mode=0o600)
        secret.write_text(self._plan.password)
        lines = ['hosts:']
        for host, uuid in identities.systems(self._plan.hosts).items():
            lines += [
                f'  - match: [{host}]', '    levels:', '      - devices:',
                '          - driver: redfish', '            settings:',
                '              address: '
                f'https://127.0.0.1:{self._plan.ports["bmc"]}',
                f'              system: {uuid}',
                '              username: admin',
                f'              password_file: {secret}',
                f'              ca_file: {directory}/cert.pem']
        path = self._etc / 'pets-fencing.yaml'
        path.write_text('\n'.join(lines) + '\n')

    def _log(self, name):
        return {'log_file': self._plan.directory / 'logs' / f'{name}.log'}

    def _password(self, client=None):
        return {'auth_type': 'password',
                'auth_url': self._plan.url('keystone', client) + '/v3',
                'username': USER, 'password': self._plan.password,
                'project_name': 'service', 'user_domain_name': 'Default',
                'project_domain_name': 'Default'}

    def _authtoken(self):
        return {**self._password(),
                'www_authenticate_uri': self._plan.url('keystone'),
                'service_token_roles_required': True,
                'service_token_roles': 'service'}


def installed(project, name):
    """Return the path of a file that a wheel put into etc/PROJECT."""
    return str(pathlib.Path(sys.prefix) / 'etc' / project / name)
