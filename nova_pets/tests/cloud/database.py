# SPDX-License-Identifier: Apache-2.0
"""The cloud's databases: API, cell0, the cells and placement, in SQLite.

Each is a file of its own in WAL mode, made once per Python process with the
project's own migrations and copied afterwards. SQLite has one writer per
file, so writers take turns (a lock per file; a lock of the kernel's besides
where other processes of the operating system write, too). A thread of a dead
process never begins a transaction; one that it is inside of is finished
first.
"""

import collections
import contextlib
import fcntl
import os
import shutil
import sqlite3
import threading

import fixtures
from nova import context as nova_context
from nova.db.api import api as api_db
from nova.db import migration
from nova.db.main import api as main_db
from nova import objects
from oslo_config import cfg
from oslo_db.sqlalchemy import enginefacade
from oslo_db.sqlalchemy import test_fixtures
from placement import conf as placement_conf
from placement.db.sqlalchemy import migration as placement_migration
from placement import db_api as placement_db
from placement import deploy as placement_deploy
from placement.objects import resource_class
from placement.objects import trait

from nova_pets.tests.cloud import processes

# How long a writer may wait for its turn before it is taken for a deadlock.
TURN_S = 120

_local = threading.local()
_template_directory = None


class Databases(fixtures.Fixture):
    """Files, context managers and cell mappings.

    Placement's database is only made here; its path is in placement_url.
    """

    def __init__(self, directory, cells, board, is_shared=False,
                 is_there=False):
        """:param is_shared: other processes of the operating system use them.
        :param is_there: one of these has made them already.
        """
        super().__init__()
        self._is_shared = is_shared
        self._is_there = is_there
        self._directory = directory
        self._cell_names = cells
        self._board = board
        self._turns = collections.defaultdict(threading.RLock)
        self._guard = threading.Lock()
        self._depths = collections.Counter()
        self._managers = {}
        #: Transactions begun, as (process name or None, 'read' or 'write').
        self.transactions = collections.Counter()
        self.cells = {}

    def _setUp(self):
        self._take_turns()
        self.api_url = self._new_file('api')
        self._plug(api_db.context_manager, self.api_url)
        self._first = self._url_of_cell(self._cell_names[0])
        for name in ['cell0'] + self._cell_names:
            self._new_file('main', name)
        self._plug(main_db.context_manager, self._first)
        self.useFixture(fixtures.MonkeyPatch(
            'nova.db.main.api.create_context_manager', self._manager_of))
        self.useFixture(fixtures.MonkeyPatch(
            'nova.db.main.api.get_context_manager', self._pick_manager))
        _forget_cells()
        self.addCleanup(_forget_cells)
        self.placement_url = self._new_file('placement')
        self._map_cells()

    def _path(self, name):
        return os.path.join(self._directory, '%s.sqlite' % name)

    def _url_of_cell(self, name):
        return 'sqlite:///%s?timeout=60' % self._path(name)

    def _new_file(self, kind, name=None):
        if not self._is_there:
            shutil.copy(_template(kind), self._path(name or kind))
        return self._url_of_cell(name or kind)

    def _plug(self, facade, url):
        """Let one of Nova's global facades use this cloud's file."""
        manager = self._manager_of(url)
        self.useFixture(
            test_fixtures.ReplaceEngineFacadeFixture(facade, manager))

    def _manager_of(self, connection=None):
        """Return the one context manager for a URL (None: the first cell)."""
        connection = connection or self._first
        with self._guard:
            if connection not in self._managers:
                manager = enginefacade.transaction_context()
                # 'synchronous' off: nobody reads these files after a crash
                # of the whole Python process.
                manager.configure(connection=connection,
                                  sqlite_synchronous=False,
                                  max_pool_size=20, max_overflow=100)
                self._managers[connection] = manager
                self.addCleanup(_dispose, manager)
            return self._managers[connection]

    def _pick_manager(self, context):
        targeted = getattr(context, 'db_connection', None)
        if targeted:
            return targeted
        process = processes.current()
        if process is not None and process.cell:
            return self._manager_of(self._url_of_cell(process.cell))
        return self._manager_of(self._first)

    def _map_cells(self):
        context = nova_context.get_admin_context()
        for name in ['cell0'] + self._cell_names:
            mapping = objects.CellMapping(
                context=context, name=name, transport_url='fake://nowhere/',
                uuid=(objects.CellMapping.CELL0_UUID if name == 'cell0'
                      else _cell_uuid(name)),
                database_connection=self._url_of_cell(name))
            if self._is_there:
                mapping = objects.CellMapping.get_by_uuid(
                    context, mapping.uuid)
            else:
                mapping.create()
            self.cells[name] = mapping

    def _take_turns(self):
        scope = enginefacade._TransactionContextManager._transaction_scope

        @contextlib.contextmanager
        def gated_scope(manager, context):
            is_writer = manager._mode is enginefacade._WRITER
            with self._turn(manager, is_writer):
                with processes.not_to_be_stopped():
                    with scope(manager, context) as resource:
                        yield resource

        self.useFixture(fixtures.MockPatchObject(
            enginefacade._TransactionContextManager, '_transaction_scope',
            gated_scope))

    @contextlib.contextmanager
    def _turn(self, manager, is_writer):
        """Pass the gate of a dying process, and wait for the file."""
        if not processes.is_shielded():
            self._board.reach('db')
            process = processes.current()
            self.transactions[process.name if process else None,
                              'write' if is_writer else 'read'] += 1
        if not is_writer:
            yield
            return
        url = str(manager.reader.get_engine().url)
        with self._guard:
            lock = self._turns[url]
        while True:
            if not lock.acquire(timeout=TURN_S):
                raise AssertionError('no turn to write %s' % url)
            if not processes.must_freeze():
                break
            lock.release()
            processes.checkpoint()
        try:
            with self._kernel_lock(url):
                yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def _kernel_lock(self, url):
        """Keep other processes' writers out; the kernel lets go of it when
        this process dies. A turn inside of a turn is the same one."""
        if not self._is_shared or self._depths[url]:
            yield
            return
        self._depths[url] += 1
        try:
            name = os.path.basename(url.partition('?')[0])
            path = os.path.join(self._directory, name + '.turn')
            with open(path, 'w') as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                yield
        finally:
            self._depths[url] -= 1


def _dispose(manager):
    manager.writer.get_engine().dispose()


def _forget_cells():
    """Empty the caches of nova.context."""
    nova_context.CELL_CACHE = {}
    nova_context.CELLS = []


def _cell_uuid(name):
    return '00000000-0000-0000-0000-%012x' % int.from_bytes(
        name.encode()[-6:], 'big')


def _template(kind):
    """Return the path of an empty database with the newest schema."""
    path = os.path.join(_template_directory, '%s.sqlite' % kind)
    if not os.path.exists(path):
        # Somebody may have swept the directory for temporary files.
        os.makedirs(_template_directory, exist_ok=True)
        draft = path + '.draft'
        with contextlib.closing(sqlite3.connect(draft)) as connection:
            connection.execute('PRAGMA journal_mode=WAL')
        _MAKERS[kind](draft)
        with contextlib.closing(sqlite3.connect(draft)) as connection:
            connection.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        os.rename(draft, path)
    return path


def use_templates(directory):
    """Say where the empty databases are kept; once per Python process."""
    global _template_directory
    _template_directory = directory


def _make_nova(database, facade):
    def make(path):
        manager = enginefacade.transaction_context()
        manager.configure(connection='sqlite:///' + path,
                          sqlite_synchronous=False)
        replace = test_fixtures.ReplaceEngineFacadeFixture(facade, manager)
        with replace:
            with fixtures.MonkeyPatch(
                    'nova.db.main.api.get_context_manager',
                    lambda context: facade):
                migration.db_sync(database=database)
        _dispose(manager)
    return make


def _make_placement(path):
    manager = enginefacade.transaction_context()
    manager.configure(connection='sqlite:///' + path,
                      sqlite_synchronous=False)
    facade = placement_db.placement_context_manager
    with test_fixtures.ReplaceEngineFacadeFixture(facade, manager):
        placement_migration.create_schema(manager.writer.get_engine())
        trait._TRAITS_SYNCED = False
        resource_class._RESOURCE_CLASSES_SYNCED = False
        conf = placement_conf_for(path)
        placement_deploy.update_database(conf)
    _dispose(manager)


def placement_conf_for(path):
    """Return options of a placement that uses one SQLite file."""
    conf = cfg.ConfigOpts()
    placement_conf.register_opts(conf)
    conf.set_override('connection', 'sqlite:///' + path,
                      'placement_database')
    conf([], default_config_files=[])
    return conf


_MAKERS = {
    'api': _make_nova('api', api_db.context_manager),
    'main': _make_nova('main', main_db.context_manager),
    'placement': _make_placement,
}
