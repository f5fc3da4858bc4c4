# SPDX-License-Identifier: Apache-2.0
"""The endpoints of the tier, and the table at its end.

Each worker starts the endpoints that its tests ask for, once.
"""

import contextlib
import importlib.util
import shutil
import statistics

import pytest

from nova_pets.tests import conftest
from nova_pets.tests.fencing import endpoints
from nova_pets.tests.fencing import servers
from nova_pets.tests.fencing import suite

PROGRAMS = {'ipmitool': 'ipmitool', 'ipmi_sim': 'openipmi',
            'openssl': 'openssl', 'fence_redfish': 'fence-agents',
            'fence_ipmilan': 'fence-agents', 'fence_dummy': 'fence-agents'}
"""{program: the Debian package that has it}"""
PATH = '/usr/sbin:/usr/bin:/sbin:/bin'


@pytest.fixture(scope='session', autouse=True)
def _all_is_there():
    packages = {package for program, package in PROGRAMS.items()
                if shutil.which(program, path=PATH) is None}
    if packages:
        conftest.require('fencing', 'needs the Debian packages '
                         f'{" ".join(sorted(packages))}')
    if importlib.util.find_spec('sushy_tools') is None:
        conftest.require('fencing', 'needs sushy-tools: make venv')


@pytest.fixture(scope='session')
def endpoint_servers(tmp_path_factory):
    """(kind, number) -> the server, started when first asked for."""
    kinds = {'redfish': servers.RedfishEmulator,
             'ipmi': servers.IpmiSimulator}
    started = {}

    def get(kind, number=0):
        if (kind, number) not in started:
            directory = tmp_path_factory.mktemp(f'{kind}{number}')
            started[kind, number] = kinds[kind](directory)
        return started[kind, number]

    yield get
    for server in started.values():
        server.stop()


@pytest.fixture
def world(endpoint_servers, tmp_path):
    with contextlib.ExitStack() as stack:
        yield endpoints.World(
            lambda: endpoint_servers('redfish'),
            lambda number: endpoint_servers('ipmi', number), tmp_path, stack)


def pytest_generate_tests(metafunc):
    """Give a test of the suite the cases that its endpoint can make."""
    for name, cases in suite.CASES.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, [
                case for case in cases if metafunc.cls.endpoint.can(case)])


def pytest_terminal_summary(terminalreporter):
    """Print how many cases each driver was held against, and how fast."""
    rows = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, 'user_properties', ()):
                if name == 'fencing' and report.when == 'call':
                    endpoint, took_s = value
                    row = rows.setdefault(endpoint, [0, 0, []])
                    row[0] += 1
                    row[1] += report.passed
                    row[2] += [took_s] if took_s is not None else []
    if not rows:
        return
    terminalreporter.section('fencing drivers on their endpoints')
    terminalreporter.write_line(
        f'{"driver":<16}{"cases":>6}{"well":>6}'
        f'{"proven off, s: p50":>21}{"max":>7}')
    for endpoint, (cases, well, took) in sorted(rows.items()):
        times = (f'{statistics.median(took):>21.2f}{max(took):>7.2f}'
                 if took else '')
        terminalreporter.write_line(
            f'{endpoint:<16}{cases:>6}{well:>6}{times}')
    terminalreporter.write_line(
        f'{"all":<16}{sum(row[0] for row in rows.values()):>6}'
        f'{sum(row[1] for row in rows.values()):>6}')
