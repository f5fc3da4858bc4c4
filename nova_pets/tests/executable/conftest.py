# SPDX-License-Identifier: Apache-2.0
"""Databases, a virtual host, and schedulers that are surely ended."""

import contextlib
import importlib.metadata
import os
import shutil
import subprocess
import uuid

import pytest

from nova_pets.tests.db import databases
from nova_pets.tests.executable import scheduler_process

RABBIT = os.environ.get('NOVA_PETS_TEST_RABBIT',
                        'rabbit://guest:guest@127.0.0.1:5672/')

_NOVA = int(importlib.metadata.version('nova').split('.')[0])
BACKENDS = ['threading', 'eventlet'] if _NOVA >= 33 else ['eventlet']


@contextlib.contextmanager
def virtual_host():
    """Yield the transport URL of a virtual host of our own."""
    name = f'nova_pets_test_{uuid.uuid4().hex[:12]}'
    if shutil.which('rabbitmqctl') is None:
        pytest.skip('rabbitmqctl is not installed')

    def control(*arguments):
        return subprocess.run(
            ['rabbitmqctl', '-q', *arguments], capture_output=True,
            text=True, timeout=120)

    added = control('add_vhost', name)
    if added.returncode:
        pytest.skip(f'RabbitMQ cannot be used: {added.stderr}')
    try:
        user = RABBIT.split('//')[1].split(':')[0]
        control('set_permissions', '-p', name, user, '.*', '.*', '.*')
        yield RABBIT.rstrip('/') + '/' + name
    finally:
        control('delete_vhost', name)


@pytest.fixture(scope='session')
def ground(tmp_path_factory):
    directory = tmp_path_factory.mktemp('executable')
    with contextlib.ExitStack() as stack:
        urls = {name: stack.enter_context(
            databases.database('mysql', directory))
            for name in ('api', 'cell0', 'cell1')}
        transport_url = stack.enter_context(virtual_host())
        result = scheduler_process.Ground(directory, urls, transport_url)
        stack.callback(result.close)
        yield result


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


@pytest.fixture
def start(ground, backend):
    """Start nova-scheduler with these groups in its nova.conf."""
    ground.forget()
    with contextlib.ExitStack() as stack:
        def start_(**groups):
            scheduler = scheduler_process.Scheduler(ground, backend, groups)
            stack.callback(scheduler.close)
            scheduler.start()
            return scheduler
        yield start_
