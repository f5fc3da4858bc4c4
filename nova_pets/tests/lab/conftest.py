# SPDX-License-Identifier: Apache-2.0
"""One lab for the session: brought up, used by each test in turn, ended."""

import contextlib
import importlib.util
import os
import signal

import pytest

from nova_pets.tests import conftest as tiers
from nova_pets.tests.db import stepped_server
from nova_pets.tests.lab import plan as plan_module

TIMINGS = 'lab timing'
DATABASE = os.environ.get('NOVA_PETS_LAB_DATABASE', 'mysql')
HEARTBEAT_S = int(os.environ.get('NOVA_PETS_LAB_HEARTBEAT_S', '2'))
OWN = 'own'
"""A MariaDB of the session, whose clock may be stepped."""


def server():
    """Return which kind of database server is to be used."""
    return 'mysql' if DATABASE == OWN else DATABASE


@pytest.fixture(scope='session')
def own_server(tmp_path_factory):
    """A database server whose clock may be stepped; None: another one was
    asked for."""
    if DATABASE != OWN:
        yield None
        return
    started = stepped_server.Server(tmp_path_factory.mktemp('mariadb'))
    try:
        started.start()
    except stepped_server.Missing as error:
        tiers.require('lab', str(error))
    yield started
    started.stop()


@pytest.fixture(scope='session')
def lab(tmp_path_factory, pytestconfig, own_server):
    missing = [name for name in ('keystone', 'glance', 'placement')
               if importlib.util.find_spec(name) is None]
    if missing:
        tiers.require('lab', f'{", ".join(missing)} cannot be imported: '
                             'run "make tier-lab"')
    from nova_pets.tests.lab import deeds
    plan = plan_module.make(
        tmp_path_factory.mktemp('lab'), cells=2, computes=7, schedulers=3,
        workers=2, report_interval_s=HEARTBEAT_S, database=server())
    if own_server is not None:
        plan.server = own_server.url
    with brought_up(plan, pytestconfig, 'lab', deeds.Lab) as result:
        yield result


@contextlib.contextmanager
def brought_up(plan, config, tier, make):
    """Bring a lab up for a session, and down after it, whatever ends it.

    :param make: of the plan: what the tests are given.
    """
    from nova_pets.tests.lab import ground
    from nova_pets.tests.lab import guard
    from nova_pets.tests.lab import up
    capture = config.pluginmanager.getplugin('capturemanager')

    def say(text):
        # Where a person looks: it takes a while.
        with capture.global_and_fixture_disabled():
            print(text, flush=True)

    # "timeout" ends us by this when all of it takes too long.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with guard.over(plan.directory):
        try:
            up.Up(plan, say).run()
            result = make(plan)
            result.cloud.log_in()
            yield result
        except ground.Missing as error:
            tiers.require(tier, str(error))
        finally:
            # The logs and the journal stay, as long as pytest keeps them.
            up.down(plan.directory, say, keep=True)


def pytest_terminal_summary(terminalreporter):
    """Print what took how long, whether the tests passed or not."""
    lines = [
        value for reports in terminalreporter.stats.values()
        for report in reports if getattr(report, 'when', '') == 'call'
        for name, value in report.user_properties if name == TIMINGS]
    if lines:
        terminalreporter.section('the lab')
        for line in lines:
            terminalreporter.write_line(line)
