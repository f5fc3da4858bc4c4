# SPDX-License-Identifier: Apache-2.0
"""The registry: which drivers, following the file, and what it refuses."""

import os
import pathlib

import pytest

import nova_pets
from nova_pets import exception
from nova_pets.fencing import fake
from nova_pets.fencing import manual
from nova_pets.fencing import registry

SAMPLE = pathlib.Path(nova_pets.__file__).parent.parent.joinpath(
    'etc', 'nova', 'pets-fencing.yaml.sample')
HOSTS = ('cmp-1', 'cmp-2', 'other')


def entry(match, driver, settings='{}'):
    return (f'  - match: ["{match}"]\n    levels:\n      - devices:\n'
            f'          - driver: {driver}\n'
            f'            settings: {settings}\n')


CMP = 'hosts:\n' + entry('cmp-*', 'fake', '{state_dir: /bmc}')


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'bindings.yaml'


def build(path, text=CMP, allow_fake=True):
    path.write_text(text)
    return registry.Registry(str(path), allow_fake)


def test_devices_of_a_host(path):
    built = build(path)

    [[device]] = built.levels('cmp-1')
    assert isinstance(device, fake.FakeFencing) and device.host == 'cmp-1'
    assert built.levels('other') == ()
    assert built.bound(HOSTS) == {'cmp-1', 'cmp-2'}
    assert built.problem() is None
    assert built.uses_fake()


def test_manual_alone_is_no_fence_that_can_power_off(path):
    built = build(path, 'hosts:\n' + entry('*', 'manual'))

    assert built.bound(HOSTS) == frozenset()
    [[device]] = built.levels('cmp-1')
    assert isinstance(device, manual.ManualFencing)
    assert not built.uses_fake()


def test_fake_is_refused_unless_allowed(path):
    built = build(path, allow_fake=False)

    assert built.bound(HOSTS) == frozenset()
    assert 'line 5: driver fake powers nothing off' in built.problem()
    assert 'allow_fake' in built.problem()


def test_without_a_file_nothing_is_bound(path):
    built = registry.Registry(str(path))

    assert built.bound(HOSTS) == frozenset() and built.digest() == ''
    assert 'No such file' in built.problem()

    path.write_text('hosts:\n' + entry('*', 'manual'))
    assert built.problem() is None and built.digest() != ''


@pytest.mark.parametrize('text, words', [
    ('hosts: [', 'line 1'),
    ('', 'found nothing'),
    (CMP.replace('fake', 'redfsh'), "found 'redfsh'"),
    (CMP.replace('state_dir', 'statedir'), 'line 5: driver fake: expected'),
    ('\udcff', 'UTF-8'),
], ids=['yaml', 'truncated', 'driver', 'setting', 'encoding'])
def test_a_broken_change_keeps_the_last_good_content(path, text, words):
    built = build(path)
    before = built.digest()

    path.write_text(text, errors='surrogateescape')
    assert words in built.problem()
    assert 'the last good content stays in force' in built.problem()
    assert built.digest() == before
    assert built.bound(HOSTS) == {'cmp-1', 'cmp-2'}

    path.write_text(CMP.replace('cmp-*', 'cmp-1'))
    assert built.problem() is None
    assert built.bound(HOSTS) == {'cmp-1'}


def test_a_lost_file_keeps_the_last_good_content(path):
    built = build(path)
    path.unlink()

    assert built.bound(HOSTS) == {'cmp-1', 'cmp-2'}
    assert 'stays in force' in built.problem()

    path.write_text(CMP)
    assert built.problem() is None


def test_a_change_in_the_same_instant_is_seen(path):
    built = build(path)
    assert built.bound(['cmp-1'])
    stat = path.stat()

    path.write_text(CMP.replace('cmp-*', 'cpt-*'))  # the same length
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    assert built.bound(['cmp-1', 'cpt-1']) == {'cpt-1'}


def test_an_old_file_is_read_once(path, monkeypatch):
    path.write_text(CMP)
    os.utime(path, (1, 1))
    built = registry.Registry(str(path), True)
    parsed = []
    monkeypatch.setattr(registry.hashlib, 'sha256', parsed.append)

    assert built.bound(HOSTS) and not parsed


def test_secrets_are_read_when_needed_and_not_before(path, tmp_path):
    class Bmc(fake.FakeFencing):
        name = 'bmc'

        def __init__(self, host, settings):
            self.password = settings['password']

    path.write_text('hosts:\n' + entry(
        '*', 'bmc', f'{{password_file: "{tmp_path}/{{host}}.pw"}}'))
    built = registry.Registry(str(path), True, drivers={'bmc': Bmc})
    assert built.problem() is None
    with pytest.raises(exception.BindingsInvalid, match='cmp-1.pw'):
        built.levels('cmp-1')

    for secret in ('old', 'new'):
        (tmp_path / 'cmp-1.pw').write_text(secret)
        [[device]] = built.levels('cmp-1')
        assert device.password == secret


def test_a_driver_that_breaks_shows_no_secret(path, monkeypatch):
    class Bmc(fake.FakeFencing):
        def __init__(self, host, settings):
            if settings['password'] != 'not-read':
                raise RuntimeError(settings['password'])

    monkeypatch.setenv('BMC_PASSWORD', 'hunter2')
    path.write_text('hosts:\n' + entry(
        '*', 'bmc', '{password_env: BMC_PASSWORD}'))
    built = registry.Registry(str(path), True, drivers={'bmc': Bmc})

    with pytest.raises(exception.BindingsInvalid) as caught:
        built.levels('cmp-1')
    assert 'driver bmc raised RuntimeError' in str(caught.value)
    assert 'hunter2' not in str(caught.value)


def test_hosts_that_several_entries_match_are_named(path):
    built = build(path, CMP + entry('*-1', 'manual'))

    [sentence] = built.ambiguous(HOSTS)
    assert sentence.startswith('cmp-1 is matched by the entries in lines 2')


def test_what_is_allowed_and_unwise_is_named_once(path, tmp_path):
    secret = tmp_path / 'pw'
    secret.write_text('p')
    secret.chmod(0o644)
    built = build(path, 'hosts:\n' + entry(
        '*', 'redfish', '{address: "https://{host}", username: u, '
        f'password_file: {secret}, insecure: true}}'))

    assert built.problem() is None
    first, second = built.warnings(HOSTS)
    assert 'line 5: insecure is true' in first
    assert first.endswith('(concerns cmp-1, cmp-2, other)')
    assert 'can be read by everybody' in second
    secret.chmod(0o640)
    assert len(built.warnings(HOSTS)) == 1
    assert built.warnings([]) == []


def test_a_secret_deep_in_the_settings_is_read(path, tmp_path):
    (tmp_path / 'pw').write_text('p\n')
    built = build(path, 'hosts:\n' + entry(
        '*', 'fence_agents', '{agent: fence_apc, options: {plug: "{host}", '
        f'password_file: {tmp_path}/pw}}}}'))

    [[device]] = built.levels('cmp-1')
    assert device._options == {'plug': 'cmp-1', 'password': 'p'}


def test_the_sample_can_be_used(path):
    assert registry.Registry(str(SAMPLE), allow_fake=True).problem() is None


def of_ipmi(match, **settings):
    words = ', '.join(f'{name}: "{value}"' for name, value in {
        'username': 'admin', 'password_env': 'PW', **settings}.items())
    return (f'  - match: {match}\n    levels:\n      - devices:\n'
            f'          - driver: ipmi\n            settings: {{{words}}}\n')


SHARED = {
    'a glob': (of_ipmi('["cmp-*"]', address='10.0.0.1'), 5, 'all hosts'),
    'a list': (of_ipmi('[cmp-1, cmp-2]', address='10.0.0.1'), 5,
               'all hosts'),
    'only the user is by host': (of_ipmi(
        '["cmp-*"]', address='10.0.0.1', username='{host}'), 5, 'all hosts'),
    'only the secret is by host': (of_ipmi(
        '["cmp-*"]', address='10.0.0.1', password_env='PW_{host}'), 5,
        'all hosts'),
    'two entries': (of_ipmi('[cmp-1]', address='bmc1') +
                    of_ipmi('[cmp-2]', address='BMC1', username='other'), 10,
                    'that of cmp-1 (line 5)'),
}


@pytest.mark.parametrize('text, line, words', SHARED.values(), ids=SHARED)
def test_two_hosts_never_share_a_device(path, text, line, words):
    """One would be powered off for the other, and prove it off."""
    built = build(path, 'hosts:\n' + text)
    assert f' line {line}' in built.problem()
    assert words in built.problem()
    assert built.bound(HOSTS) == frozenset()


OWN = {
    'by the host': of_ipmi('["cmp-*"]', address='bmc-{host}'),
    'by the port': (of_ipmi('[cmp-1]', address='gate', port='1') +
                    of_ipmi('[cmp-2]', address='gate', port='2')).replace(
                        '"1"', '1').replace('"2"', '2'),
    'one host, twice': (of_ipmi('[cmp-1]', address='bmc1') +
                        of_ipmi('[cmp-1]', address='bmc1')),
    'a person': entry('*', 'manual'),
}


@pytest.mark.parametrize('text', OWN.values(), ids=OWN)
def test_hosts_with_devices_of_their_own(path, text):
    assert build(path, 'hosts:\n' + text).problem() is None
