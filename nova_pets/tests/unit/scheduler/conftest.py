# SPDX-License-Identifier: Apache-2.0
import nova.conf
import pytest

from nova_pets.conf import opts
from nova_pets.model import states
from nova_pets.scheduler import access
from nova_pets.scheduler import picks
from nova_pets.scheduler import unsafe_hosts
from nova_pets.tests.unit.scheduler import fakes

nova.conf.CONF([], project='nova', default_config_files=[],
               default_config_dirs=[])
opts.register_opts(nova.conf.CONF)


@pytest.fixture
def store(monkeypatch):
    """The store of this process, in mode act."""
    result = fakes.FakeStore()
    monkeypatch.setattr(access, 'store', lambda: result)
    access.configure(states.Mode.ACT, None)
    unsafe_hosts.forget()
    picks._by_process.clear()
    yield result
    access.configure(states.Mode.OFF, None)
    unsafe_hosts.forget()
    picks._by_process.clear()


@pytest.fixture
def door(monkeypatch):
    result = fakes.FakeDoor()
    monkeypatch.setattr(access, 'door', lambda: result)
    return result


@pytest.fixture
def option():
    """Set an option of nova.conf for one test."""
    changed = []

    def set_option(group, name, value):
        changed.append((group, name))
        nova.conf.CONF.set_override(name, value, group)

    yield set_option
    for group, name in changed:
        nova.conf.CONF.clear_override(name, group)
