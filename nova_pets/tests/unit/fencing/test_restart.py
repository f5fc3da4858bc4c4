# SPDX-License-Identifier: Apache-2.0
"""A restart of nova-compute in the bindings: what may be said, and not.

What it does on a real sshd is in tests/fencing/test_ssh_restart.py.
"""

import pytest

from nova_pets import exception
from nova_pets.fencing import bindings
from nova_pets.fencing import fencer
from nova_pets.fencing import registry
from nova_pets.fencing import sequence
from nova_pets.fencing import ssh_restart
from nova_pets.model import policy

GOOD = """\
hosts:
  - match: ["cmp-*"]
    levels: [{{devices: [{{driver: manual}}]}}]
    service_restart:
      ssh: {{address: "{{{{host}}}}.example.org", user: pets,
            private_key_file: {key}, known_hosts: /known{ssh}}}
{more}  - match: ["*"]
    levels: [{{devices: [{{driver: manual}}]}}]
"""


def text(more='', ssh='', key='/key'):
    lines = ''.join(f'      {line}\n' for line in more.splitlines())
    return GOOD.format(more=lines, ssh=ssh, key=key).replace('{{', '{'
                                                             ).replace(
        '}}', '}')


def parse(*args, **kwargs):
    return bindings.parse(text(*args, **kwargs), '/f.yaml')


def test_without_numbers_the_defaults_hold():
    first, second = parse().entries
    assert first.restart.ladder == policy.Ladder()
    assert second.restart is None


def test_numbers_are_read():
    [first, _] = parse('tries: 3\nafter: 30\nthen_fence: true\n'
                       'fence_after: 600\ntimeout: 5').entries
    assert first.restart.ladder == policy.Ladder(3, 30, True, 600)
    assert first.restart.timeout_s == 5


def test_the_digest_tells_ladders_apart_and_no_secrets():
    assert parse().digest != parse('tries: 3').digest
    assert parse().digest == parse(key='/other').digest


WRONG = {
    'tries: 0': 'tries: expected at least 1, found 0',
    'tries: 99': 'tries: expected at most 10, found 99',
    'tries: many': 'expected a whole number',
    'then_fence: 1': 'expected true or false',
    'fence_after: 5': 'expected at least 60',
    'reboot: true': 'expected only',
    'then_fence: true\nfence_after: 100': 'every restart has had its time',
}


@pytest.mark.parametrize('more', WRONG)
def test_a_wrong_ladder_is_refused_with_its_line(more):
    with pytest.raises(exception.BindingsInvalid) as caught:
        parse(more)
    assert WRONG[more] in str(caught.value) and 'line' in str(caught.value)


@pytest.mark.parametrize('ssh, why', [
    (', private_key: abc', 'found a literal private_key'),
    (', passphrase: abc', 'found a literal passphrase')])
def test_a_literal_secret_is_refused(ssh, why):
    with pytest.raises(exception.BindingsInvalid, match=why) as caught:
        parse(ssh=ssh)
    assert 'abc' not in str(caught.value)


def build(tmp_path, **values):
    path = tmp_path / 'f.yaml'
    path.write_text(text(**values))
    return registry.Registry(str(path))


@pytest.mark.parametrize('ssh, why', [
    (', port: 0', 'port'), (', shell: bash', 'expected only'),
    (', command: ""', 'command')])
def test_wrong_settings_are_told_by_the_registry(tmp_path, ssh, why):
    assert why in build(tmp_path, ssh=ssh).problem()


def test_a_key_has_many_lines_and_a_passphrase_has_one(tmp_path):
    key = tmp_path / 'key'
    key.write_text('-----BEGIN\nabc\n-----END\n')
    built = build(tmp_path, key=key)
    assert built.problem() is None
    assert built.restarter('cmp-1')[1] == 30.0
    assert built.restarter('other') is None
    built = build(tmp_path, key=key, ssh=f', passphrase_file: {key}')
    with pytest.raises(exception.BindingsInvalid, match='more than one'):
        built.restarter('cmp-1')


def test_only_what_is_bound_has_a_ladder(tmp_path):
    assert set(build(tmp_path).ladders(['cmp-1', 'other'])) == {'cmp-1'}
    assert build(tmp_path).can_power_on(['cmp-1']) == frozenset()


def test_a_key_that_is_missing_is_told(tmp_path):
    hands = fencer.Fencer(build(tmp_path, key='/is/not/there'),
                          sequence.SystemClock(), 1.0, 1.0)
    told = hands.restart_service('cmp-1', lambda: None)
    assert not told.is_done and 'private_key_file' in told.detail


@pytest.mark.parametrize('host', ['a b', 'x;y', '-oProxyCommand', '$(x)'])
def test_a_host_whose_name_is_none_is_refused(host):
    with pytest.raises(exception.BindingsInvalid):
        ssh_restart.SshRestart(host, {
            'user': 'u', 'private_key': 'k', 'known_hosts': '/k'})


def test_a_key_that_everybody_can_read_is_warned_of(tmp_path):
    key = tmp_path / 'key'
    key.write_text('secret')
    key.chmod(0o644)
    [said] = build(tmp_path, key=key).warnings(['cmp-1'])
    assert str(key) in said and 'read by everybody' in said
    key.chmod(0o600)
    assert build(tmp_path, key=key).warnings(['cmp-1']) == []
