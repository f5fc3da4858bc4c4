# SPDX-License-Identifier: Apache-2.0
"""doc/nova-pets-manage.rst names every verb, option and key."""

import pathlib
import re

import pytest

from nova_pets.cmd import manage
from nova_pets.tests.unit.cmd import test_documents

MANUAL = pathlib.Path(__file__).parents[4] / 'doc' / 'nova-pets-manage.rst'
VERBS = {name: method for name, method in vars(manage.PetsCommands).items()
         if callable(method) and not name.startswith('_')}


@pytest.fixture(scope='module')
def parts():
    """Return (the verbs, the keys of --json), each {entry: its text}."""
    if not MANUAL.exists():
        pytest.skip('installed without its documents')
    verbs, keys = MANUAL.read_text().split('\nTo look\n')[1].split(
        '\nJSON\n')
    return _entries(verbs), _entries(keys)


def _entries(text):
    return {name: f'{rest} {body}'.replace('``', ' ') for name, rest, body in
            re.findall(r'^([a-z]\w*)(.*)\n((?:    .*\n)+)', text,
                       re.MULTILINE)}


@pytest.mark.parametrize('verb', sorted(VERBS))
def test_every_verb_and_its_own_options_are_told(parts, verb):
    flags = {flag for flags, _settings in VERBS[verb].args
             for flag in flags if flag.startswith('--')}
    told = set(re.findall(r'--[a-z-]+', parts[0][verb]))
    assert flags - {'--json', '--dry-run'} <= told


@pytest.mark.parametrize('name', [
    'engine', 'host', 'pet', 'recovery', 'attempt', 'order', 'event',
    'status', 'show'])
def test_every_key_is_told(parts, name):
    told = set(re.split(r'[\s;,]+', parts[1][name]))
    assert set(test_documents.KEYS[name].split()) <= told
