# SPDX-License-Identifier: Apache-2.0
"""The bindings file: what it may say, and what its errors name."""

import pathlib
import textwrap

import pytest

import nova_pets
from nova_pets import exception
from nova_pets.fencing import bindings

SAMPLE = pathlib.Path(nova_pets.__file__).parent.parent.joinpath(
    'etc', 'nova', 'pets-fencing.yaml.sample')

GOOD = """\
hosts:
  - match: ["cmp-*", special]
    levels:
      - devices:
          - driver: fake
            settings: {state_dir: /bmc}
  - match: ["*"]
    levels:
      - devices:
          - driver: manual
"""


def parse(text):
    return bindings.parse(textwrap.dedent(text), '/f.yaml')


def with_settings(text):
    return GOOD.replace('{state_dir: /bmc}', text)


@pytest.mark.parametrize('host, driver', [
    ('cmp-1', 'fake'), ('special', 'fake'), ('cmp', 'manual'),
    ('CMP-1', 'manual'), ('net-cmp-1', 'manual')])
def test_the_first_match_counts(host, driver):
    assert parse(GOOD).find(host).levels[0][0].driver == driver


def test_a_host_that_several_entries_match_is_named():
    assert parse(GOOD).ambiguous('cmp-1') == (2, 7)
    assert parse(GOOD).ambiguous('other') == ()


def test_no_entry_no_device():
    assert parse('hosts: []\n').find('cmp-1') is None


@pytest.mark.parametrize('text, line, words', [
    ('', 1, 'expected a mapping, found nothing'),
    ('- a\n', 1, 'expected a mapping, found a list'),
    ('host: []\n', 1, 'expected only hosts, found host'),
    ('hosts: {}\n', 1, 'expected a list, found a mapping'),
    (GOOD.replace('match: ["*"]', 'match: "*"'), 7,
     'hosts.1.match: expected a list, found text'),
    (GOOD.replace('match: ["*"]', 'match: []'), 7, 'at least one'),
    (GOOD.replace('match: ["*"]', 'match: [7]'), 7,
     'expected text, found int'),
    (GOOD.replace('driver: manual', 'drivr: manual'), 10,
     'found drivr'),
    (GOOD.replace('driver: manual', 'settings: {}'), 10,
     'expected driver, found none'),
    (GOOD + 'hosts: []\n', 11, 'hosts is given twice'),
    (with_settings('{state_dir: a, state_dir: b}'), 6, 'given twice'),
    (with_settings('{7: a}'), 6, 'expected text, found int'),
    (GOOD.replace('    levels', '\tlevels', 1), 3, 'cannot start any token'),
    ('hosts: !!python/object/apply:os.system ["true"]\n', 1, 'could not'),
    ('hosts: &a [*a]\n', 1, 'contains itself'),
    (with_settings('{password: hunter2}'), 6,
     'expected password_file or password_env or password_castellan, found '
     'a literal password'),
    (with_settings('{admin_password: hunter2}'), 6, 'literal'),
    (with_settings('{deep: {auth_token: hunter2}}'), 6, 'literal'),
    (with_settings('{address: "https://root:hunter2@bmc"}'), 6,
     'without user and password'),
    (with_settings('{password_file: 7}'), 6, 'to be text'),
])
def test_an_error_names_the_line_and_no_secret(text, line, words):
    with pytest.raises(exception.BindingsInvalid) as caught:
        bindings.parse(text, '/f.yaml')

    assert f'/f.yaml line {line}: ' in str(caught.value)
    assert words in str(caught.value)
    assert 'hunter2' not in str(caught.value)


def test_the_host_is_filled_in(tmp_path, monkeypatch):
    (tmp_path / 'cmp-1.pw').write_text('hunter2\n')
    monkeypatch.setenv('BMC_TOKEN', 'tok')
    [[device]] = parse(with_settings(
        f'{{address: "bmc-{{host}}.example.org", password_file: '
        f'"{tmp_path}/{{host}}.pw", token_env: BMC_TOKEN, port: 443, '
        f'tags: ["{{host}}"]}}')).find('cmp-1').levels

    assert bindings.resolve(device, 'cmp-1', '/f.yaml') == {
        'address': 'bmc-cmp-1.example.org', 'password': 'hunter2',
        'token': 'tok', 'port': 443, 'tags': ['cmp-1']}
    assert bindings.without_secrets(device, 'cmp-1')['password'] == \
        'not-read'


@pytest.mark.parametrize('setting, words', [
    ('password_file: /no/such/file', '/no/such/file'),
    ('password_file: /', 'Is a directory'),
    ('password_env: NO_SUCH_VARIABLE', 'NO_SUCH_VARIABLE is not set')])
def test_a_secret_that_cannot_be_read_is_an_error(setting, words):
    [[device]] = parse(with_settings(f'{{{setting}}}')).find('cmp-1').levels

    with pytest.raises(exception.BindingsInvalid, match=words) as caught:
        bindings.resolve(device, 'cmp-1', '/f.yaml')
    assert 'line 5' in str(caught.value)


@pytest.mark.parametrize('content', [b'\n', b'\xff\xfe'])
def test_an_empty_secret_is_an_error(tmp_path, content):
    path = tmp_path / 'pw'
    path.write_bytes(content)
    [[device]] = parse(with_settings(f'{{password_file: {path}}}')).find(
        'cmp-1').levels

    with pytest.raises(exception.BindingsInvalid, match='cannot be read'):
        bindings.resolve(device, 'cmp-1', '/f.yaml')


@pytest.mark.parametrize('other, is_equal', [
    ('# a comment\n' + GOOD, True),
    (with_settings('{state_dir: /bmc, password_file: /a}'), True),
    (with_settings('{state_dir: /other}'), False),
    (GOOD.replace('cmp-', 'cpt-'), False),
    (GOOD.replace('driver: manual', 'driver: fake'), False),
], ids=['comment', 'place of a secret', 'setting', 'match', 'driver'])
def test_the_digest_is_over_what_fences(other, is_equal):
    assert (parse(GOOD).digest == parse(other).digest) is is_equal


def test_the_digest_depends_on_the_order_of_entries():
    first, second = GOOD.index('  - match'), GOOD.rindex('  - match')
    swapped = GOOD[:first] + GOOD[second:] + GOOD[first:second]

    assert parse(swapped).digest != parse(GOOD).digest


def test_the_sample_is_right():
    assert parse(SAMPLE.read_text()).find('cmp-12.example.org') is not None
