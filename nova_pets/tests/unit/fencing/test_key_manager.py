# SPDX-License-Identifier: Apache-2.0
"""Secrets from castellan, by a key manager of castellan's own tests."""

import sys
import threading

from castellan.common.objects import passphrase
from castellan import options
from oslo_config import cfg
import pytest

from nova_pets import exception
from nova_pets.fencing import bindings
from nova_pets.fencing import key_manager

MOCK = 'castellan.tests.unit.key_manager.mock_key_manager.MockKeyManager'


@pytest.fixture
def keeper():
    conf = cfg.ConfigOpts()
    options.set_defaults(conf, backend=MOCK)
    conf([])
    keeper = key_manager.KeyManager(conf)
    with pytest.raises(ValueError):
        keeper.read('makes it')
    return keeper


@pytest.fixture
def reference(keeper):
    return keeper._api.store(object(),
                             passphrase.Passphrase(b'hunter2'))


def test_a_secret_is_read_by_its_reference(keeper, reference):
    [[device]] = bindings.parse(
        'hosts: [{match: ["*"], levels: [{devices: [{driver: x, settings: '
        f'{{password_castellan: "{reference}"}}}}]}}]}}]', '/f').find(
            'h').levels

    assert bindings.resolve(device, 'h', '/f', keeper.read) == {
        'password': 'hunter2'}
    with pytest.raises(exception.BindingsInvalid, match='no key manager'):
        bindings.resolve(device, 'h', '/f')


def test_an_unknown_reference_is_an_error(keeper):
    with pytest.raises(ValueError, match='may .key_manager. of nova.conf'):
        keeper.read('no-such-reference')


def test_what_it_said_last_is_used_when_it_is_down(keeper, reference,
                                                   monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(key_manager.time, 'monotonic', lambda: now[0])
    assert keeper.read(reference) == 'hunter2'

    keeper._api.delete(object(), reference)
    now[0] += key_manager.FRESH_S + 1
    assert keeper.read(reference) == 'hunter2'


def test_a_key_manager_that_hangs_is_not_waited_for(keeper, reference,
                                                    monkeypatch):
    monkeypatch.setattr(key_manager, 'TIMEOUT_S', 0.1)
    monkeypatch.setattr(keeper, '_ask',
                        lambda found: threading.Event().wait(20))

    with pytest.raises(ValueError, match='no answer within'):
        keeper.read(reference)


def test_without_castellan_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'castellan.key_manager', None)

    with pytest.raises(ValueError, match=r'nova-pets\[castellan\]'):
        key_manager.KeyManager(cfg.ConfigOpts()).read('x')
