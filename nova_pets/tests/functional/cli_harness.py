# SPDX-License-Identifier: Apache-2.0
"""Runs the command's real main() in this process, on SQLite.

Each run parses a nova.conf of its own and opens the database afresh, as a new
process would; nova's global configuration is put back afterwards.
"""

# First of all: it chooses how nova's threads run in this process.
from nova_pets.tests.cloud import bootstrap  # noqa: F401, I001

import dataclasses
import functools
import io
import json
import logging
import sys
import threading

import nova.conf
from nova.db.api import api as nova_api_db
from nova.db.main import api as nova_main_db
from oslo_db.sqlalchemy import enginefacade
import pytest

from nova_pets.cmd import program
from nova_pets.db import schema
from nova_pets.db import session
from nova_pets.db import store as store_module
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.tests.unit.cmd import samples

CONF = nova.conf.CONF
H = states.HostState
R = states.RecoveryState

NOVA_CONF = """
[DEFAULT]
periodic_enable = true
periodic_fuzzy_delay = 5
[api_database]
connection = {api_database}
[filter_scheduler]
available_filters = nova.scheduler.filters.all_filters
available_filters = nova_pets.scheduler.filters.all_filters
enabled_filters = FencedHostFilter,EvacuationGateFilter,\
ComputeFilter,SharedStorageFilter
weight_classes = nova.scheduler.weights.all_weighers,\
nova_pets.scheduler.weights.all_weighers
[service_user]
auth_type = none
[pets]
kill_switch_file =
idle_interval = 0.2
{pets}
[pets_fencing]
bindings_file = {bindings}
allow_fake = true
"""


@dataclasses.dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def document(self):
        return json.loads(self.out)


class Terminal(io.StringIO):
    """Somebody sits there, and has typed this."""

    def isatty(self):
        return True


class Cli:
    """A command line with its nova.conf, store and devices."""

    def __init__(self, directory, monkeypatch, capsys):
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self._directory = directory
        self.path = directory / 'api.db'
        self.url = f'sqlite:///{self.path}'
        self.conf_path = directory / 'nova.conf'
        self.bindings = directory / 'fencing.yaml'
        self.power = directory / 'power'
        self.power.mkdir()
        self.bindings.write_text(
            'hosts:\n  - match: ["host*"]\n    levels:\n'
            '      - devices:\n          - driver: fake\n'
            f'            settings: {{state_dir: {self.power}}}\n')
        self.write_conf()
        self._facade = None

    def write_conf(self, pets='', text=None):
        self.conf_path.write_text(text if text is not None else
                                  NOVA_CONF.format(
                                      api_database=self.url, pets=pets,
                                      bindings=self.bindings))

    @property
    def store(self):
        """The store as an engine would have it."""
        if self._facade is None:
            self.path.write_bytes(empty_database(self.path))
            self._facade = session.standalone(self.url)
        return store_module.SqlStore(self._facade, 'engine ctl1/1')

    def run(self, *given, typed=None, columns=79, conf=True):
        """Run ``nova-pets-manage GIVEN``; return what a person sees.

        :param typed: what is typed at a terminal; None: no terminal.
        """
        set_to = self._monkeypatch.setattr
        self._monkeypatch.setenv('COLUMNS', str(columns + 1))
        set_to(nova_api_db, 'context_manager',
               enginefacade.transaction_context())
        set_to(nova_main_db, 'context_manager',
               enginefacade.transaction_context())
        set_to(sys, 'stdin', io.StringIO() if typed is None
               else Terminal(typed))
        words = ['--config-file', str(self.conf_path)] if conf else []
        handlers = logging.getLogger().handlers[:]
        forget_command_line()
        self._capsys.readouterr()
        try:
            code = program.run(['nova-pets-manage', *words, *given])
        finally:
            logging.getLogger().handlers[:] = handlers
            forget_command_line()
        seen = self._capsys.readouterr()
        return Result(code, seen.out, seen.err)


@functools.cache
def _template(directory):
    path = directory / 'template.db'
    facade = session.standalone(f'sqlite:///{path}')
    schema.sync(facade.writer.get_engine())
    facade.writer.get_engine().dispose()
    return path.read_bytes()


def empty_database(beside):
    """Return a database with our tables; made once, in the directory of all
    tests."""
    return _template(beside.parent.parent)


def forget_command_line():
    """Put nova's global configuration back to before a run."""
    CONF.reset()
    if 'category' in CONF:
        CONF.unregister_opt(CONF._opts['category']['opt'])


class LiveEngine:
    """Renews one engine's row until it is left, as an engine does."""

    def __init__(self, store, engine):
        self._store = store
        self._engine = engine
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self):
        self._store.register_engine(self._engine)
        if self._engine.slot is not None:
            assert self._store.take_slot(self._engine.id, self._engine.slot)
        self._thread.start()
        return self

    def __exit__(self, *_failure):
        self._stop.set()
        self._thread.join()

    def _renew(self):
        renewals = 0
        report = self._engine.report or None
        while not self._stop.wait(0.1):
            renewals = self._store.renew_engine(
                self._engine.id, renewals, report=report)


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    return Cli(tmp_path, monkeypatch, capsys)


def put(store, *rows):
    """Write rows as engines would; returns the engine's id."""
    me = 'a0000000-0000-4000-8000-00000000000a'
    if not any(engine.id == me for engine in store.engines(True)):
        store.register_engine(samples.engine(id=me, slot=None))
    for row in rows:
        if isinstance(row, records.Host):
            store.ensure_hosts([(row.host, row.cell_uuid)])
            now = store.host(row.host)
            generation = store.claim_host(row.host, now.generation, me)
            store.advance_host(dataclasses.replace(
                row, owner=None, generation=generation), generation, me,
                records.Event(code=row.reason or 'heartbeat_back',
                              host=row.host, from_state='up',
                              to_state=str(row.state),
                              evidence=row.evidence))
        elif isinstance(row, records.Pet):
            store.upsert_pets([row])
        elif isinstance(row, records.Recovery):
            store.open_recoveries([dataclasses.replace(row, state=R.READY)],
                                  records.Event(code='source_down'))
            now = store.recoveries(instance_uuid=row.instance_uuid)[0]
            generation = store.claim_recovery(now.id, now.generation, me)
            store.advance_recovery(
                dataclasses.replace(row, id=now.id, owner=None,
                                    generation=generation),
                generation, me, records.Event(
                    code=row.reason or 'queued',
                    instance_uuid=row.instance_uuid,
                    recovery_id=now.id, from_state='ready',
                    to_state=str(row.state)))
    return me


@pytest.fixture
def night(cli):
    """One failed host, one pet waiting, one that needs a person."""
    store = cli.store
    put(store, samples.fenced('host1'), samples.host('host2', H.UP),
        samples.host('host3', H.UNPROVEN, reason='no_fence',
                     evidence={'heartbeat': 'silent 70 s',
                               'tcp': 'silent: timed out'}),
        samples.pet(), samples.pet(samples.WEB1, 'web1', 'host1'),
        samples.recovery(), samples.recovery(
            samples.WEB1, 'web1', R.NEEDS_OPERATOR, reason='odd_records'))
    return cli


@pytest.fixture
def engine(cli):
    with LiveEngine(cli.store, samples.engine()) as alive:
        yield alive
