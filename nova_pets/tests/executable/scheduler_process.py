# SPDX-License-Identifier: Apache-2.0
"""The stock nova-scheduler executable with our plugins, as processes.

Starts, signals and looks at processes that this module started itself, and
reads the engines' rows from the database. Knows nothing of what they do.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
import uuid

import sqlalchemy as sa

from nova_pets.db import models
from nova_pets.db import schema

DEADLINE_S = 90
"""A start of nova takes 3 s on an idle core; machines that test are not."""

BIN = pathlib.Path(sys.prefix) / 'bin'

PLUGINS = {
    'available_filters': ['nova.scheduler.filters.all_filters',
                          'nova_pets.scheduler.filters.all_filters'],
    'enabled_filters': 'FencedHostFilter,EvacuationGateFilter,'
                       'ComputeFilter,SharedStorageFilter',
    'weight_classes': 'nova.scheduler.weights.all_weighers,'
                      'nova_pets.scheduler.weights.all_weighers'}

_TABLES = """
import sys
from nova import config, context, objects
config.parse_args(sys.argv[:1] + ['--config-file', sys.argv[1]])
objects.register_all()
import nova.conf
import sqlalchemy as sa
from nova.db.api import models as api_models
from nova.db.main import models as main_models
CONF = nova.conf.CONF
for models, url in ((api_models, CONF.api_database.connection),
                    (main_models, sys.argv[2]),
                    (main_models, CONF.database.connection)):
    for table in models.BASE.metadata.tables.values():
        # Some are too long here; nova's migrations shorten them.
        table.indexes.clear()
    models.BASE.metadata.create_all(sa.create_engine(url))
for name, uuid, url in (
        ('cell0', objects.CellMapping.CELL0_UUID, sys.argv[2]),
        ('cell1', '11111111-1111-1111-1111-111111111111',
         CONF.database.connection)):
    objects.CellMapping(
        context.get_admin_context(), name=name, uuid=uuid,
        database_connection=url,
        transport_url=CONF.transport_url if name == 'cell1' else 'none:/'
    ).create()
"""
"""Nova's tables as its models have them: a minute less than its own
migrations, which are not what is tested here."""

_PING = """
import sys
from nova import config, context, objects, rpc
config.parse_args(sys.argv[:1] + ['--config-file', sys.argv[1]])
objects.register_all()
from nova import baserpc
import oslo_messaging
api = baserpc.BaseAPI(topic='scheduler')
for tries in sys.stdin:
    answer = 'silence'
    # A call is lost where no worker has made the queue yet.
    for _ in range(int(tries)):
        try:
            answer = api.ping(context.get_admin_context(), 'pong', timeout=3)
            break
        except oslo_messaging.MessagingTimeout:
            pass
    print(answer, flush=True)
"""
"""One process for all tests: to import nova takes longer than to ask."""


def wait(condition, what):
    """Poll until ``condition()`` is true; return what it returned."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f'not in {DEADLINE_S} s: {what}'
        time.sleep(0.1)


class Ground:
    """Databases with Nova's and our tables, and a virtual host; shared by
    the schedulers of a session, which clear our tables in between."""

    def __init__(self, directory, urls, transport_url):
        """
        :param urls: of the databases 'api', 'cell0' and 'cell1', empty.
        """
        self.directory = pathlib.Path(directory)
        self.urls = urls
        self.transport_url = transport_url
        self.engine = sa.create_engine(urls['api'], pool_pre_ping=True)
        subprocess.run(
            [sys.executable, '-c', _TABLES,
             self.write_config('tables', {}), urls['cell0']],
            check=True, timeout=300)
        schema.sync(self.engine)
        self._pinger = None

    def close(self):
        self.engine.dispose()
        if self._pinger is not None:
            with self._pinger:
                self._pinger.kill()

    def ping(self):
        """Return what a worker of any nova-scheduler answers over RPC."""
        if self._pinger is None:
            with open(self.directory / 'ping.stderr', 'ab') as stderr:
                self._pinger = subprocess.Popen(
                    [sys.executable, '-c', _PING,
                     self.write_config('ping', {})], stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, stderr=stderr, text=True)
        self._pinger.stdin.write(f'{DEADLINE_S // 3}\n')
        self._pinger.stdin.flush()
        return self._pinger.stdout.readline()

    def write_config(self, name, groups):
        """Write a nova.conf and return its path.

        :param groups: group -> option -> value, on top of what it takes to
            start; a list becomes a repeated option.
        """
        state = self.directory / name
        state.mkdir(exist_ok=True)
        values = {
            'DEFAULT': {
                'transport_url': self.transport_url, 'host': name,
                'state_path': state, 'log_file': state / 'nova.log',
                'my_ip': '127.0.0.1', 'periodic_fuzzy_delay': 0,
                'report_interval': 1, 'service_down_time': 10,
                # Nova 33 sleeps for this long whenever it is stopped.
                'manager_shutdown_timeout': 1},
            'api_database': {'connection': self.urls['api']},
            'database': {'connection': self.urls['cell1']},
            'placement': {'auth_type': 'none',
                          'endpoint_override': 'http://127.0.0.1:9'},
            'oslo_concurrency': {'lock_path': state},
            'scheduler': {'workers': 2},
            'filter_scheduler': PLUGINS,
            'pets_scheduler': {'periodic_spacing': 0.5},
            'pets': {'claim_ttl': 3, 'idle_interval': 0.5}}
        for group, options in groups.items():
            values[group] = {**values.get(group, {}), **options}
        path = state / 'nova.conf'
        with open(path, 'w') as conf:
            for group, options in values.items():
                conf.write(f'[{group}]\n')
                for option, value in options.items():
                    for one in value if isinstance(value, list) else [value]:
                        conf.write(f'{option} = {one}\n')
        return path

    def forget(self):
        """Empty our tables."""
        with self.engine.begin() as conn:
            for table in reversed(models.METADATA.sorted_tables):
                conn.execute(sa.delete(table))

    def engines(self):
        """Return {worker pid: [renewals, ...]} of all rows."""
        found = {}
        with self.engine.connect() as conn:
            for row in conn.execute(sa.select(
                    models.ENGINES.c.worker, models.ENGINES.c.renewals)):
                found.setdefault(int(row.worker), []).append(row.renewals)
        return found


class Scheduler:
    """One nova-scheduler: a master and its workers."""

    def __init__(self, ground, backend, groups):
        self.ground = ground
        self.conf = ground.write_config(f's-{uuid.uuid4().hex[:8]}', groups)
        self.log = self.conf.parent / 'nova.log'
        self.backend = backend
        self.process = None

    def start(self):
        environ = dict(os.environ)
        environ['OS_NOVA_DISABLE_EVENTLET_PATCHING'] = \
            'true' if self.backend == 'threading' else 'false'
        with open(self.conf.parent / 'stderr', 'ab') as stderr:
            self.process = subprocess.Popen(
                [BIN / 'nova-scheduler', '--config-file', self.conf],
                env=environ, stdin=subprocess.DEVNULL,
                stdout=stderr, stderr=stderr)

    def stop(self):
        """End it by SIGTERM; return the seconds that took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DEADLINE_S)
        return time.monotonic() - began

    def close(self):
        """End whatever still runs."""
        if self.process is None or self.process.poll() is not None:
            return
        pids = [self.process.pid, *self.workers()]
        self.process.kill()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(DEADLINE_S)

    def workers(self):
        """Return the pids of the workers."""
        tasks = pathlib.Path(f'/proc/{self.process.pid}/task')
        with contextlib.suppress(FileNotFoundError):
            return sorted(
                int(pid) for task in tasks.iterdir()
                for pid in (task / 'children').read_text().split())
        return []

    def running_engines(self):
        """Return the workers whose engines renew; waits for a renewal."""
        before = self.ground.engines()
        return wait(lambda: {
            pid for pid, counters in self.ground.engines().items()
            if sum(counters) > sum(before.get(pid, []))}, 'a renewal')

    def wait_for_engines(self, other_than=()):
        """Wait until each of two workers runs an engine; return them.

        :param other_than: pids that do not count.
        """
        def both():
            assert self.process.poll() is None, self.tail()
            pids = set(self.workers()) - set(other_than)
            return pids if len(pids) == 2 and \
                pids <= set(self.ground.engines()) else None

        try:
            return wait(both, 'an engine in each of two workers')
        except AssertionError as error:
            raise AssertionError(
                f'{error}; workers {self.workers()}, engines '
                f'{self.ground.engines()}\n{self.tail()}') from None

    def tail(self, count=60):
        """Return the last lines of its log."""
        lines = []
        for path in (self.conf.parent / 'stderr', self.log):
            if path.exists():
                lines += path.read_text(errors='replace').splitlines()[
                    -count:]
        return '\n'.join(lines)
