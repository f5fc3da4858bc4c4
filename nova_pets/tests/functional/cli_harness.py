# SPDX-License-Identifier: Apache-2.0
"""Runs the command's real main() in this process, on SQLite.

Each run parses a nova.conf of its own and opens the database afresh, as a new
process would; nova's global configuration is put back afterwards.
"""

import dataclasses
import io
import json
import logging
import sys
import threading
import time

import nova.conf
from nova.db.api import api as nova_api_db
from nova.db.main import api as nova_main_db
from oslo_config import cfg
from oslo_db.sqlalchemy import enginefacade

from nova_pets.cmd import manage
from nova_pets.db import schema
from nova_pets.db import session
from nova_pets.db import store as store_module

CONF = nova.conf.CONF

NOVA_CONF = """
[DEFAULT]
periodic_enable = true
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
        self.url = f'sqlite:///{directory}/api.db'
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
            self._facade = session.standalone(self.url)
            schema.sync(self._facade.writer.get_engine())
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
            code = manage.run(['nova-pets-manage', *words, *given])
        finally:
            logging.getLogger().handlers[:] = handlers
            forget_command_line()
        seen = self._capsys.readouterr()
        return Result(code, seen.out, seen.err)


def forget_command_line():
    """Put nova's global configuration back to before a run."""
    CONF.reset()
    for name in ('category',):
        if name in CONF:
            opt = CONF._opts[name]['opt']
            CONF.unregister_opt(opt)
    assert isinstance(CONF, cfg.ConfigOpts)


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


def until(condition, deadline_s=5.0):
    """Wait for a condition; fail at the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, 'did not come true in time'
        time.sleep(0.02)
