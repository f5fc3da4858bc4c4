# SPDX-License-Identifier: Apache-2.0
"""EmbeddedCloud: Nova's own services in one process, on machines that die.

Puts the parts of this package together and says what a test or the demo may
do with them. What Nova decides is decided by Nova's code alone.
"""

import logging
import os
import shutil
import tempfile
import threading
import time

import fixtures
import nova.conf
from nova import config as nova_config
from nova import context as nova_context
from nova import objects
from nova.objects import base as objects_base
from nova import policy
from nova import quota
from nova.scheduler import utils as scheduler_utils
from nova import service as nova_service
from nova.tests import fixtures as nova_fixtures
from nova.tests.functional import fixtures as functional_fixtures
import nova.utils
from oslo_config import cfg
from oslo_config import fixture as config_fixture
from oslo_policy import opts as policy_opts
from placement import conf as placement_conf
from placement import db_api as placement_db
from oslo_db.sqlalchemy import test_fixtures

from nova_pets.tests.cloud import bootstrap
from nova_pets.tests.cloud import database
from nova_pets.tests.cloud import deeds
from nova_pets.tests.cloud import faults
from nova_pets.tests.cloud import ground
from nova_pets.tests.cloud import hooks
from nova_pets.tests.cloud import hypervisor
from nova_pets.tests.cloud import processes
from nova_pets.tests.cloud import rest
from nova_pets.tests.cloud import settings

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# A dead nova-compute is "down" in Nova's words after this many intervals.
MISSED_REPORTS = 8


class _TestDouble(fixtures.Fixture):
    """What Nova's fixtures want to know of a test case, without one."""

    def id(self):
        return 'nova_pets.tests.cloud'

    def flags(self, **values):
        group = values.pop('group', None)
        for name, value in values.items():
            CONF.set_override(name, value, group)

    def stub_out(self, path, value):
        self.useFixture(fixtures.MonkeyPatch(path, value))


class EmbeddedCloud(deeds.Deeds, rest.RestVerbs):
    """A context manager; see the package's docstring for a guide."""

    def __init__(self, hosts=5, config=None, cells=1, spawn_delay_s=0,
                 report_interval_s=1, down_time_s=None, progress=None,
                 directory=None, start_scheduler=True):
        """Describe the cloud; nothing is started before ``with``.

        :param hosts: number of computes, or a dict of host -> cell name.
        :param config: nova.conf as a dict of group -> option -> value; a
            list becomes a repeated option. Options that nobody has
            registered yet are kept until somebody does.
        :param cells: number of cells besides cell0; hosts of a number are
            all in cell1.
        :param report_interval_s: heartbeat of the computes.
        :param down_time_s: Nova's service_down_time; None: 8 heartbeats.
        :param progress: called with one line of text per step.
        :param directory: where databases, BMC files and the log go; None:
            a temporary one, removed at the end.
        """
        self._cell_names = ['cell%d' % (n + 1) for n in range(cells)]
        if isinstance(hosts, int):
            hosts = {'host%d' % (n + 1): 'cell1' for n in range(hosts)}
        self.hosts = dict(hosts)
        self._config = config or {}
        self.spawn_delay_s = spawn_delay_s
        self.report_interval_s = report_interval_s
        self._down_time_s = down_time_s or MISSED_REPORTS * report_interval_s
        self.progress = progress or (lambda line: None)
        self._own_directory = directory is None
        self.directory = directory
        self._start_scheduler = start_scheduler
        self.board = faults.Board()
        self.flavors = {}
        self.services = {}
        self._processes = []
        self._launched = []
        self._is_closed = False
        self._before = set()

    # Life of the cloud

    def __enter__(self):
        self._before = set(threading.enumerate())
        if self._own_directory:
            self.directory = tempfile.mkdtemp(prefix='nova-pets-cloud-')
        self._fixtures = fixtures.CompoundFixture([])
        self._fixtures.setUp()
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info):
        self.close()

    def close(self):
        """End every thread of the cloud and remove all that it changed."""
        if self._is_closed:
            return
        self._is_closed = True
        self.board.release_all()
        for process in self._processes:
            process.bury()
        if hasattr(self, 'ground'):
            self.ground.close()
        for service in self._launched:
            self._stop_listening(service)
        if hasattr(self, 'messages'):
            self.messages.hang_up()
        if hasattr(self, '_threads'):
            _forget_pools()
            self._threads.close_pools()
        self._await_threads()
        self._fixtures.cleanUp()
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def leftovers(self):
        """Return the threads of this cloud that still run."""
        return [thread for thread in threading.enumerate()
                if thread not in self._before and
                getattr(thread, '_cloud_process', None) is not None]

    def _await_threads(self):
        deadline = time.monotonic() + 10
        while self.leftovers() and time.monotonic() < deadline:
            time.sleep(0.02)
        for thread in self.leftovers():
            LOG.warning('thread outlives its cloud: %s', thread)

    # Building

    def _build(self):
        use = self._fixtures.useFixture
        self._write_log()
        self.progress('databases, options and message bus')
        self._load_config()
        self._threads = use(processes.InheritProcess())
        use(hooks.SeparateProcesses())
        use(nova_fixtures.RPCFixture('nova.test'))
        self.databases = use(_with_templates(self._make_databases()))
        self.messages = use(hooks.Messages(self.board))
        self._reset_globals()
        double = use(_TestDouble())
        use(nova_fixtures.OpenStackSDKFixture())
        use(nova_fixtures.RealPolicyFixture())
        self._start_placement()
        self.neutron = use(nova_fixtures.NeutronFixture(double))
        self.cinder = use(nova_fixtures.CinderFixture(double))
        self.glance = use(nova_fixtures.GlanceFixture(double))
        use(nova_fixtures.ComputeNodeIdFixture())
        use(hooks.ServicePoints(self.board))
        use(fixtures.MonkeyPatch(
            'nova.virt.driver.load_compute_driver', self._load_driver))
        # Nova's 5 s fit a heartbeat of 10 s; of 1 s, a service that starts
        # would look silent for five of them.
        use(fixtures.MonkeyPatch(
            'nova.servicegroup.api.INITIAL_REPORTING_DELAY',
            min(5, self.report_interval_s)))
        use(fixtures.MonkeyPatch(
            'nova.scheduler.client.report.SchedulerReportClient.'
            'get_allocations_for_provider_tree', _consumers_of_tree))
        self.storage = hypervisor.Storage(self.hosts)
        self.ground = ground.Ground(
            self.hosts, self.bmc_directory, self._boot_machine)
        self._start_controllers()
        for host in self.hosts:
            self._start_compute(host)
            self.progress('nova-compute on %s is up' % host)
        self._make_flavors()

    def _write_log(self):
        handler = logging.FileHandler(
            os.path.join(self.directory, 'nova.log'))
        handler.setFormatter(logging.Formatter(
            '%(asctime)s %(levelname)s %(threadName)s %(name)s %(message)s'))
        root = logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        for noisy in ('alembic', 'oslo_db.sqlalchemy',
                      'nova.api.openstack.requestlog'):
            logging.getLogger(noisy).setLevel(logging.WARNING)

        def restore():
            root.removeHandler(handler)
            root.setLevel(level)
            handler.close()
        self._fixtures.addCleanup(restore)

    @property
    def bmc_directory(self):
        """Directory with one file per host, as ``fake`` fencing reads it."""
        return os.path.join(self.directory, 'bmc')

    @property
    def config_file(self):
        return os.path.join(self.directory, 'nova.conf')

    def _load_config(self):
        """Write nova.conf and let Nova read it as its executables do."""
        settings.write(self.config_file, self._defaults(), self._config)
        self._read_config()

    def _read_config(self):
        self._fixtures.addCleanup(CONF.reset)
        self._fixtures.addCleanup(CONF.clear)
        nova_config.parse_args(
            ['nova', '--config-file', self.config_file],
            configure_db=False, init_rpc=False)
        policy_opts.set_defaults(CONF)
        nova.conf.neutron.register_dynamic_opts(CONF)
        nova.conf.devices.register_dynamic_opts(CONF)

    def _defaults(self):
        """Return nova.conf before the test's own options are put over it."""
        return settings.defaults({
            'state_path': self.directory,
            'report_interval': self.report_interval_s,
            'service_down_time': self._down_time_s})

    def _make_databases(self):
        return database.Databases(self.directory, self._cell_names,
                                  self.board)

    def _reset_globals(self):
        """Forget what an earlier cloud in this process left in Nova."""
        from nova.api.openstack import wsgi_app
        from nova.compute import api as compute_api
        from nova.compute import rpcapi
        import nova.service_auth
        objects_base.NovaObject.indirection_api = None
        objects.Service.clear_min_version_cache()
        compute_api.CELLS = []
        rpcapi.reset_globals()
        scheduler_utils.reset_globals()
        nova.service_auth.reset_globals()
        policy.reset()
        wsgi_app.init_global_data.reset()
        wsgi_app.init_application.reset()
        quota.UID_QFD_POPULATED_CACHE_BY_PROJECT = set()
        quota.UID_QFD_POPULATED_CACHE_ALL = False

    def _start_placement(self):
        use = self._fixtures.useFixture
        path = self.databases.placement_url
        manager = self.databases._manager_of(path)
        use(test_fixtures.ReplaceEngineFacadeFixture(
            placement_db.placement_context_manager, manager))
        conf = use(config_fixture.Config(cfg.ConfigOpts()))
        placement_conf.register_opts(conf.conf)
        conf.config(connection=path, group='placement_database')
        self.placement = use(functional_fixtures.PlacementFixture(
            conf_fixture=conf, db=False, register_opts=False)).api

    def _start_controllers(self):
        self.progress('conductor, scheduler and API')
        self.start_service('conductor')
        if self._start_scheduler:
            self.start_service('scheduler')
        self.api_fixture = self._fixtures.useFixture(
            nova_fixtures.OSAPIFixture(api_version='v2.1'))
        CONF.clear_override('debug')

    def _make_flavors(self):
        self._fixtures.useFixture(nova_fixtures.DefaultFlavorsFixture())
        self.flavors = {'m1.tiny': '1', 'm1.small': '2', 'm1.medium': '3',
                        'm1.large': '4', 'm1.xlarge': '5'}

    # Services

    def start_service(self, topic, name=None):
        """Start a conductor or a scheduler; returns its nova Service."""
        name = name or topic
        process = processes.Process(
            name, topic, settings={'host': name}, cell=self._cell_names[0])
        service = self._launch(process, 'nova-%s' % topic)
        self.services[name] = service
        return service

    def _launch(self, process, binary, **kwargs):
        self._processes.append(process)
        with processes.running_as(process):
            service = nova_service.Service.create(
                host=process.name, binary=binary, topic=process.topic,
                **kwargs)
            service.cloud_process = process
            self._launched.append(service)
            service.start()
        return service

    def _start_compute(self, host):
        from nova.compute import rpcapi
        machine = self.ground.machines[host]
        process = processes.Process(
            host, 'compute', cell=self.hosts[host],
            settings={'host': host, 'my_ip': machine.address})
        machine.process = process
        extra = {}
        if hasattr(rpcapi, 'RPC_TOPIC_ALT'):
            extra['topic_alt'] = rpcapi.RPC_TOPIC_ALT
        with processes.running_as(process):
            self._map_host(host)
        service = self._launch(process, 'nova-compute', **extra)
        with processes.running_as(process):
            node = objects.ComputeNode.get_first_node_by_host_for_old_compat(
                nova_context.get_admin_context(), host)
            if not node.mapped:
                node.mapped = 1
                node.save()
        machine.service = service

    def _map_host(self, host):
        context = nova_context.get_admin_context()
        cell = self.databases.cells[self.hosts[host]]
        try:
            objects.HostMapping.get_by_host(context, host)
        except nova.exception.HostMappingNotFound:
            objects.HostMapping(
                context=context, host=host, cell_mapping=cell).create()

    def _load_driver(self, virtapi, compute_driver=None):
        host = processes.current().name
        return hypervisor.CloudDriver(
            virtapi, self, self.ground.machines[host])

    def _stop_listening(self, service):
        with processes.running_as(None):
            for server in (service.rpcserver,
                           getattr(service, 'rpcserver_alt', None)):
                if server is not None:
                    server.stop()
            service.tg.stop()

    def _boot_machine(self, machine):
        """Let a machine with power run again; called by the BMC's watcher."""
        with machine.lock:
            if machine.is_running and not machine.process.is_dead:
                return
            machine.process.kill()
        if not machine.is_running:
            machine.boot()
        with processes.running_as(None):
            self._start_compute(machine.name)


def _consumers_of_tree(client, context, nodename):
    """Ask placement who is on a node, but not about each of them.

    At every claim Nova reads the allocations of all instances of the node,
    one request each, to heal those of PCI devices; this cloud has no such
    devices. That it is asked at all is kept: placement may be away.
    """
    return {consumer: {'allocations': {}}
            for provider in client._provider_tree.get_provider_uuids(
                name_or_uuid=nodename)
            for consumer in client.get_allocations_for_resource_provider(
                context, provider).allocations}


def _forget_pools():
    """Let Nova make its process-wide thread pools anew when next needed."""
    pools = []
    if bootstrap.IS_GREEN:
        nova.utils.DEFAULT_GREEN_POOL = None
    elif hasattr(nova.utils, 'DEFAULT_EXECUTOR'):
        for name in dir(nova.utils):
            if name.endswith('_EXECUTOR'):
                pools.append(getattr(nova.utils, name))
                setattr(nova.utils, name, None)
    else:
        from nova import thread_pool_factory
        factory = thread_pool_factory.FACTORY
        pools.extend(factory._all_executors.values())
        factory._all_executors.clear()
    for pool in pools:
        if pool is not None:
            pool.shutdown(wait=False)


def _with_templates(databases):
    if database._template_directory is None:
        directory = tempfile.TemporaryDirectory(prefix='nova-pets-schema-')
        _with_templates.keep = directory
        database.use_templates(directory.name)
    return databases
