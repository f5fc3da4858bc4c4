# SPDX-License-Identifier: Apache-2.0
"""Bring a lab up from nothing, and take it down to nothing.

The order is what it has to be: ground, identity, tables, services, hosts.
What does not wait for each other runs beside each other. Each step says what
it does and when.
"""

import concurrent.futures
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import bcrypt
from cryptography import fernet
import requests

import nova_pets
from nova_pets.tests.fencing import servers
from nova_pets.tests.lab import deeds
from nova_pets.tests.lab import ground
from nova_pets.tests.lab import identities
from nova_pets.tests.lab import identity
from nova_pets.tests.lab import machine
from nova_pets.tests.lab import plan as plan_module
from nova_pets.tests.lab import processes
from nova_pets.tests.lab import rest
from nova_pets.tests.lab import settings
from nova_pets.tests.lab.truehost import guest
from nova_pets.tests.lab.truehost import host as truehost
from nova_pets.tests.lab.truehost import locks
from nova_pets.tests.lab.truehost import network

BIN = pathlib.Path(sys.prefix) / 'bin'
DEADLINE_S = 240
"""Of one step; the machine may be busy with other things."""
_WSGI = {'keystone': 'keystone.wsgi.api', 'glance': 'glance.wsgi.api',
         'placement': 'placement.wsgi.api', 'neutron':
         'nova_pets.tests.lab.neutron', 'api': 'nova.wsgi.osapi_compute'}


class Failed(Exception):
    """A step did not come to its end; says which, and where to look."""


class Up:
    """One way up.

    :param say: takes a line for people.
    """

    def __init__(self, plan: plan_module.Plan, say=print, extra=None):
        self.plan = plan
        self.cloud = rest.Cloud(plan)
        self.truth = machine.Truth(plan.directory / 'truth')
        self.processes = processes.Processes(plan.directory)
        self._settings = settings.Settings(plan, extra)
        self._began = time.monotonic()
        self._say = say

    def say(self, text):
        self._say(f'{time.monotonic() - self._began:6.1f} s  {text}')

    def run(self) -> None:
        plan = self.plan
        plan.directory.mkdir(parents=True, mode=0o700, exist_ok=True)
        plan.save()
        self._configure()
        self.say('databases and virtual hosts')
        ground.make(plan)
        for name in ('link.database', 'link.broker', 'bmc', 'neutron',
                     *self._ground_of_hosts()):
            self.processes.start(name)
        self._wait('the links', lambda: all(
            _listens(plan.ports[f'{service}.{client}'])
            for service, clients in plan.clients.items()
            for client in clients))
        self.say('tables of keystone, placement, glance and nova')
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(self._keystone),
                         pool.submit(self._nova_tables),
                         pool.submit(self._virtualization),
                         pool.submit(self._placement_and_glance)]:
                done.result()
        self.say('conductors, schedulers, computes, APIs')
        for name in self.processes.specs:
            self.processes.start(name)
        self._wait('glance', lambda: self._answers('glance'))
        identity.fill_glance(self.cloud, *(
            [guest.image()] if plan.has_true_hosts else []))
        self._wait('the API of nova', lambda: self._answers('api'))
        identity.fill_nova(self.cloud)
        self._wait('the computes', self._all_report)
        self.say('hosts in their cells, engines at work')
        self._wait('hosts that can be scheduled to', self._hosts_are_known)
        lab = deeds.Lab(plan)
        self._wait('engines that call all hosts up',
                   lambda: lab.pets('status')[0] == 0)
        self.say(f'up: {plan.schedulers} nova-schedulers with {plan.workers} '
                 f'workers each, {plan.computes} nova-computes in '
                 f'{plan.cells} cell(s)')

    def _configure(self):
        plan, directory = self.plan, self.plan.directory
        self.truth.make(plan.hosts)
        (directory / 'links.json').write_text('{}')
        for part in ('logs', 'bmc/state', 'etc/keystone/fernet'):
            (directory / part).mkdir(parents=True, exist_ok=True)
        for number in (0, 1):
            key = directory / f'etc/keystone/fernet/{number}'
            key.touch(mode=0o600)
            key.write_bytes(fernet.Fernet.generate_key())
        servers.make_certificate(directory / 'bmc')
        (directory / 'bmc' / 'htpasswd').write_text('admin:' + bcrypt.hashpw(
            plan.password.encode(), bcrypt.gensalt(4)).decode() + '\n')
        self._settings.bindings()
        self.processes.define(self._specs())
        shutil.copy(settings.installed('nova', 'api-paste.ini'),
                    directory / 'etc' / 'api')
        for host in plan.hosts:
            (directory / host / 'compute_id').write_text(
                identities.node(host))
            if plan.has_true_hosts:
                truehost.lay_out(directory / host, identities.systems(
                    plan.hosts)[host])
        if plan.has_true_hosts:
            (directory / 'instances').mkdir()
            locks.library(directory)

    def _ground_of_hosts(self):
        """Start what has to be there first; return what else is needed."""
        if not self.plan.has_true_hosts:
            return ('wire',)
        self.processes.start(network.PROCESS)
        self._wait('the network of the hosts',
                   network.made(self.plan.directory).exists)
        return ('forwarder', 'watcher')

    def _virtualization(self):
        if self.plan.has_true_hosts:
            kind = guest.kind(self.plan.directory)
            self._settings.virtualization(kind)
            self.say(f'guests run with {kind}')

    def _specs(self):
        plan, settings_ = self.plan, self._settings
        specs = {}

        def add(name, *argv, host=None, before_kill=(), **env):
            specs[name] = {
                'argv': [str(one) for one in argv], 'host': host,
                'before_kill': before_kill,
                'env': {'PYTHONPATH': _path(), **{
                    key: str(value) for key, value in env.items()}}}

        def own(module, *argv):
            return (sys.executable, '-m', f'nova_pets.tests.lab.{module}',
                    *argv)

        database, broker = _host_port(plan.server, 3306), _host_port(
            plan.broker, 5672)
        for service, (host, port) in (('database', database),
                                      ('broker', broker)):
            add(f'link.{service}', *own(
                'link', plan.directory / 'links.json', service, host, port,
                *(f'{client}={plan.ports[f"{service}.{client}"]}'
                  for client in plan.clients[service])))
        if plan.has_true_hosts:
            add(network.PROCESS, *network.holder(plan.directory))
            add('forwarder', *own(
                'truehost.forwarder', plan.directory,
                *(port for name, port in plan.ports.items()
                  if name != 'witness')))
            # The judge may not blink because others are busy.
            add('watcher', 'nice', '-n', '-10', *own(
                'truehost.watcher', plan.directory))
        else:
            add('wire', *own('wire', plan.directory / 'truth',
                             plan.ports['witness'],
                             *(f'{host}={plan.address(host)}'
                               for host in plan.hosts)))
        add('bmc', *own('bmc', plan.directory, '--config', settings_.bmc(
            identities.systems(plan.hosts))))
        for name, module in _WSGI.items():
            project = 'nova' if name == 'api' else name
            path = settings_.nova('api') if name == 'api' else \
                getattr(settings_, name)() if name != 'neutron' else 'none'
            add(name, *own('wsgi', f'{module}:application',
                           plan.ports[name]),
                **{f'OS_{project.upper()}_CONFIG_DIR': os.path.dirname(path)})
        way = network.inside(plan.directory) if plan.has_true_hosts else ()
        for names, command in (
                (plan.conductors, (BIN / 'nova-conductor',)),
                (plan.scheduler_names, (*way, BIN / 'nova-scheduler'))):
            for name in names:
                add(name, *command, '--config-file', settings_.nova(name))
        for host in plan.hosts:
            self._add_host(add, host, own)
        return specs

    def _add_host(self, add, host, own):
        plan, conf = self.plan, self._settings.nova(host)
        if not plan.has_true_hosts:
            add(host, *own('compute'), '--config-file', conf, host=host)
            return
        add(host, *truehost.command(
            plan.directory, host, plan.address(host), plan.ports['witness'],
            (BIN / 'nova-compute', '--config-file', conf, '--config-file',
             self._settings.virtualization_path)),
            host=host, before_kill=network.unplug(plan.directory, host))

    # -- steps ----------------------------------------------------------------

    def _keystone(self):
        conf = self.plan.directory / 'etc/keystone/keystone.conf'
        self._command('keystone-manage', '--config-file', conf, 'db_sync')
        self._command(
            'keystone-manage', '--config-file', conf, 'bootstrap',
            '--bootstrap-password', self.plan.password,
            '--bootstrap-region-id', settings.REGION,
            *(word for interface in ('public', 'internal', 'admin')
              for word in (f'--bootstrap-{interface}-url',
                           self.plan.url('keystone') + '/v3')))
        self.processes.start('keystone')
        self._wait('keystone', lambda: self._answers('keystone'))
        self.cloud.log_in()
        identity.fill_keystone(self.plan, self.cloud)
        self.say('keystone answers; users and catalogue are there')

    def _placement_and_glance(self):
        etc = self.plan.directory / 'etc'
        self._command('placement-manage', '--config-file',
                      etc / 'placement/placement.conf', 'db', 'sync')
        self._command('glance-manage', '--config-file',
                      etc / 'glance/glance-api.conf', 'db_sync')
        self.say('tables of placement and glance are there')

    def _nova_tables(self):
        plan = self.plan

        def template(url, port):
            return url.replace(f':{plan.ports[port]}/', ':{port}/')

        self._command(
            sys.executable, '-m', 'nova_pets.tests.lab.tables',
            plan.directory / 'etc/super/nova.conf',
            *(word for cell in plan.cell_names for word in (
                cell,
                template(plan.database(cell, 'super'), 'database.super'),
                template(plan.transport(cell, 'super'), 'broker.super'))))
        self.say('tables of nova and nova-pets are there')

    def _command(self, *argv):
        program = pathlib.Path(argv[0])
        if not program.is_absolute():
            program = BIN / program
        log = self.plan.directory / 'logs' / f'{program.name}.setup'
        environ = {**os.environ, 'PYTHONPATH': _path()}
        environ.pop('PYTHONDONTWRITEBYTECODE', None)
        with log.open('ab') as stream:
            done = subprocess.run(
                [program, *argv[1:]], stdin=subprocess.DEVNULL,
                stdout=stream, stderr=stream, env=environ,
                timeout=DEADLINE_S)
        if done.returncode:
            raise Failed(f'{program.name} ended with {done.returncode}: '
                         f'{log}\n{_tail(log)}')

    def _answers(self, service):
        self._look_at(service)
        try:
            return self.cloud.ask(service, 'GET', {
                'keystone': '/v3', 'glance': '/v2/images',
                'api': '/v2.1/flavors'}[service]) is not None
        except (requests.RequestException, rest.Refused):
            return False

    def _all_report(self):
        """Whether every nova-compute has reported since it registered: as
        all of them start at once, the first report may take longer than a
        service may be silent."""
        return len([service for service in self.cloud.computes().values()
                    if service['state'] == 'up' and service['updated_at']]
                   ) == self.plan.computes

    def _hosts_are_known(self):
        return len(self.cloud.ask(
            'api', 'GET', '/v2.1/os-hypervisors')['hypervisors']
        ) == self.plan.computes

    def _look_at(self, name):
        if self.processes.pid(name) is None:
            log = self.processes.log(name)
            raise Failed(f'{name} has ended: {log}\n{_tail(log)}')

    def _wait(self, what, condition):
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            if time.monotonic() > deadline:
                raise Failed(f'not in {DEADLINE_S} s: {what}; see '
                             f'{self.plan.directory}/logs')
            time.sleep(0.2)


def down(directory: pathlib.Path, say=print, keep: bool = False) -> None:
    """End what runs, drop databases and virtual hosts, remove the files.

    :param keep: leave the files (logs, journal) where they are.
    """
    known = processes.Processes(directory)
    # The ways of the others last, or their logs end in complaints.
    for name in reversed(known.specs):
        known.kill(name)
    server = plan_module.server_of(directory)
    if server is not None:
        ground.drop(plan_module.prefix_of(directory), server)
        (directory / plan_module.FILE).rename(directory / plan_module.ENDED)
    # Only what ``up`` made is ever removed.
    if not keep and (directory / plan_module.ENDED).exists():
        shutil.rmtree(directory)
    say('down: no process, no database, no virtual host is left')


def _path():
    """Where this nova_pets is, for processes that start elsewhere."""
    here = str(pathlib.Path(nova_pets.__file__).parents[1])
    return os.pathsep.join(filter(None, (here, os.environ.get(
        'PYTHONPATH', ''))))


def _host_port(url, default):
    hostport = url.split('//')[1].split('@')[-1].split('/')[0]
    host, _, port = hostport.partition(':')
    return host, int(port or default)


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


def _tail(path, count=25):
    return '\n'.join(path.read_text(errors='replace').splitlines()[-count:])
