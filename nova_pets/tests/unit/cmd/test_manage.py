# SPDX-License-Identifier: Apache-2.0
"""The command line itself: where the category goes, who is asking."""

import getpass

import pytest

from nova_pets.cmd import console
from nova_pets.cmd import manage
from nova_pets.cmd import program

VERBS = ('status', 'show', 'fence')


@pytest.mark.parametrize('given, expected', [
    (['status'], ['pets', 'status']),
    (['pets', 'status'], ['pets', 'status']),
    (['--debug', 'status'], ['--debug', 'pets', 'status']),
    (['--config-file', 'x', 'show', 'db1'],
     ['--config-file', 'x', 'pets', 'show', 'db1']),
    (['bogus'], ['pets', 'bogus']),
    (['--config-file', 'x', 'bogus'],
     ['--config-file', 'x', 'pets', 'bogus']),
    (['--config-file=x', 'bogus'], ['--config-file=x', 'pets', 'bogus']),
    (['--help'], ['pets', '--help']), ([], ['pets']),
    (['version'], ['version']),
    (['bash-completion', 'pets'], ['bash-completion', 'pets'])],
    ids=' '.join)
def test_the_category_may_be_left_out(given, expected):
    assert program.with_category(['program', *given], VERBS) == [
        'program', *expected]


def test_every_public_method_is_a_verb_with_json():
    verbs = {name: method for name, method in vars(
        manage.PetsCommands).items()
        if callable(method) and not name.startswith('_')}
    assert set(verbs) == {
        'db_sync', 'db_version', 'purge', 'status', 'list', 'hosts', 'show',
        'history', 'check', 'audit', 'fence', 'confirm_fenced', 'release',
        'maintenance', 'recover', 'retry', 'abandon', 'pause', 'resume',
        'approve'}
    for verb in verbs.values():
        flags = {flag for flags, _settings in verb.args for flag in flags}
        assert '--json' in flags and verb.description


@pytest.mark.parametrize('name', [
    'fence', 'confirm_fenced', 'release', 'maintenance', 'recover', 'retry',
    'abandon', 'pause', 'resume', 'approve'])
def test_every_order_needs_a_reason_and_can_be_tried_dry(name):
    declared = {flags[0]: settings for flags, settings in
                vars(manage.PetsCommands)[name].args}
    assert declared['--reason']['required'] is True
    assert '--dry-run' in declared


@pytest.mark.parametrize('sudo, said', [
    (None, 'user root'), ('root', 'user root'),
    ('alice', 'user alice (as root)')])
def test_who_ordered_is_the_person_behind_sudo(monkeypatch, sudo, said):
    monkeypatch.setattr(getpass, 'getuser', lambda: 'root')
    monkeypatch.delenv('SUDO_USER', raising=False)
    if sudo:
        monkeypatch.setenv('SUDO_USER', sudo)
    assert console.actor() == said
