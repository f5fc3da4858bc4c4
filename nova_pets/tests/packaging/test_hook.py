# SPDX-License-Identifier: Apache-2.0
"""The hook by itself, on a module of the shape of nova.cmd.manage."""

import importlib
import sys
import types

import pytest

from nova_pets import _nova_manage

CATEGORIES = {'db': None, 'cell_v2': None, 'pets': None}


@pytest.mark.parametrize('words, category', [
    (['pets', 'status'], 'pets'),
    (['--config-file', '/etc/nova/nova.conf', 'pets', 'list'], 'pets'),
    (['cell_v2', 'create_cell', '--name', 'pets'], 'cell_v2'),
    (['bash-completion', 'pets'], 'bash-completion'),
    (['version'], 'version'),
    (['--help'], None),
    ([], None),
], ids=lambda value: ' '.join(value) if isinstance(value, list) else None)
def test_the_category_is_the_first_word_that_is_one(words, category):
    assert _nova_manage.asked_for(words, CATEGORIES) == category


@pytest.fixture
def manage(tmp_path, monkeypatch):
    """A false nova.cmd.manage to import; its name is taken for nova's."""
    (tmp_path / 'false_manage.py').write_text(
        'CATEGORIES = {"db": object}\ndef main():\n    return 0\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_nova_manage, 'MODULE', 'false_manage')
    monkeypatch.setattr(sys, 'meta_path', list(sys.meta_path))
    monkeypatch.setattr(sys, 'argv', ['nova-manage', 'db', 'sync'])
    yield lambda: importlib.import_module('false_manage')
    sys.modules.pop('false_manage', None)


def test_the_finder_leaves_after_its_module(manage):
    before = list(sys.meta_path)
    _nova_manage.install()
    _nova_manage.install()
    assert len(sys.meta_path) == len(before) + 1
    module = manage()
    assert 'pets' in module.CATEGORIES
    assert sys.meta_path == before
    assert 'exec_module' not in vars(module.__spec__.loader)


def test_a_module_without_categories_is_left_alone(manage, tmp_path, capsys):
    (tmp_path / 'false_manage.py').write_text('answer = 42\n')
    importlib.invalidate_caches()
    _nova_manage.install()
    assert manage().answer == 42
    assert 'cannot add' in capsys.readouterr().err


def test_a_category_of_that_name_in_nova_wins(manage):
    module = types.SimpleNamespace(CATEGORIES={'pets': dict},
                                   main=lambda: 0)
    _nova_manage.add_category(module)
    assert module.CATEGORIES == {'pets': dict}


def test_another_category_does_not_import_our_verbs(manage):
    _nova_manage.install()
    module = manage()
    assert isinstance(module.CATEGORIES['pets'](), _nova_manage.NoCommands)


@pytest.mark.parametrize('code, expected', [(2, 3), (1, 1), (0, 0)])
def test_only_usage_errors_of_ours_change_their_code(
        manage, monkeypatch, code, expected):
    def main():
        sys.exit(code)

    monkeypatch.setattr(sys, 'argv', ['nova-manage', 'pets', 'status'])
    module = types.SimpleNamespace(CATEGORIES={}, main=main)
    _nova_manage.add_category(module)
    with pytest.raises(SystemExit) as caught:
        module.main()
    assert caught.value.code == expected
