# SPDX-License-Identifier: Apache-2.0
"""``nova-manage pets`` while nova and nova-pets come, change and go."""

import hashlib
import shutil

import pytest

from nova_pets.tests.packaging import environment

STOCK = {'api_db', 'cell_v2', 'db', 'placement'}


def categories(env):
    """Return what nova-manage says that it offers; it must start well."""
    listed = env.nova_manage('bash-completion')
    assert listed.returncode == 0, listed.stderr
    return set(listed.stdout.split())


def assert_pets_works(env):
    synced = env.nova_manage('pets', 'db_sync')
    assert synced.returncode == 0, synced.stderr
    version = env.nova_manage('pets', 'db_version', '--json')
    assert version.returncode == 0, version.stderr


def assert_stock_works(env):
    """A category of Nova's own does real work."""
    synced = env.nova_manage('api_db', 'sync')
    assert synced.returncode == 0, synced.stderr


def files_of(env, package):
    """Return {path: digest} of a package's files, bytecode left out."""
    return {path: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (env.site / package).rglob('*')
            if path.is_file() and path.suffix != '.pyc'}


@pytest.fixture
def damaged(installed):
    """The shared environment; what a test does to nova_pets is mended."""
    package = installed.site / 'nova_pets'
    copy = installed.path / 'nova_pets.whole'
    shutil.copytree(package, copy)
    yield installed
    shutil.rmtree(package, ignore_errors=True)
    copy.rename(package)


def test_pets_is_a_category_of_the_stock_nova_manage(installed):
    assert categories(installed) >= STOCK | {'pets'}
    verbs = installed.nova_manage('bash-completion', 'pets').stdout.split()
    assert {'status', 'list', 'db_sync', 'check'} <= set(verbs)
    usage = installed.nova_manage('pets', '--help')
    assert usage.returncode == 0
    assert 'confirm_fenced' in usage.stdout
    assert_pets_works(installed)
    assert_stock_works(installed)


def test_a_usage_error_of_ours_cannot_tell(installed):
    """2 would say that somebody must act."""
    assert installed.nova_manage('pets', 'no_such_verb').returncode == 3
    assert installed.nova_manage('db', 'no_such_verb').returncode == 2


def test_the_word_pets_elsewhere_is_not_the_category(installed):
    made = installed.nova_manage('db', 'sync', '--version', 'pets')
    assert made.returncode == 2
    assert 'nova-pets' not in made.stderr


def test_our_own_script_has_the_same_verbs(installed):
    usage = installed.run('nova-pets-manage', 'pets', '--help')
    assert usage.returncode == 0, usage.stderr
    assert 'confirm_fenced' in usage.stdout


def test_it_survives_a_reinstallation_of_nova(new_environment, nova_wheels,
                                              pets_wheel):
    """And it does not matter which of the two was there first."""
    env = new_environment(pets_wheel, nova_wheels())
    assert categories(env) >= STOCK | {'pets'}
    env.install('--force-reinstall', nova_wheels())
    assert_pets_works(env)
    assert_stock_works(env)


@pytest.mark.nova(33, 34)
def test_it_survives_an_upgrade_of_nova(new_environment, nova_wheels,
                                        pets_wheel):
    env = new_environment(nova_wheels('31.3.1'), pets_wheel)
    before = files_of(env, 'nova')
    env.install('--upgrade', nova_wheels())
    assert files_of(env, 'nova') != before
    assert_pets_works(env)


def test_uninstalled_it_leaves_nova_as_it_was(new_environment, nova_wheels,
                                              pets_wheel):
    env = new_environment(nova_wheels())
    before = files_of(env, 'nova')
    env.install(pets_wheel)
    assert 'pets' in categories(env)
    assert files_of(env, 'nova') == before

    env.uninstall('nova-pets')

    assert files_of(env, 'nova') == before
    assert [path.name for path in env.site.glob('*nova_pets*')] == []
    assert not (env.path / 'bin' / 'nova-pets-manage').exists()
    refused = env.nova_manage('pets', 'status')
    assert refused.returncode == 2
    assert "invalid choice: 'pets'" in refused.stderr
    assert_stock_works(env)


@pytest.mark.parametrize('damage', [
    pytest.param(shutil.rmtree, id='the package is gone'),
    pytest.param(lambda package: (package / '_nova_manage.py').unlink(),
                 id='the hook is gone'),
    pytest.param(lambda package: (package / '_nova_manage.py').write_text(
        'cut in the mid'), id='the hook is cut'),
])
def test_half_removed_it_is_silent(damaged, damage):
    damage(damaged.site / 'nova_pets')
    start = damaged.run('python', '-c', 'print("started")', 'nova-manage')
    assert (start.returncode, start.stdout, start.stderr) == (
        0, 'started\n', '')
    found = categories(damaged)
    assert STOCK <= found
    assert 'pets' not in found


@pytest.mark.parametrize('content', [
    'raise RuntimeError("out of order")', 'import no_such_module',
    'cut in the mid', 'import sys\n'], ids=[
    'raises', 'lacks a dependency', 'is no Python', 'lacks the class'])
def test_broken_verbs_say_so_and_break_nothing_else(damaged, content):
    (damaged.site / 'nova_pets/cmd/manage.py').write_text(content)
    asked = damaged.nova_manage('pets', 'status', '--json')
    assert asked.returncode == 3
    assert 'cannot load nova_pets.cmd.manage' in asked.stderr
    assert categories(damaged) >= STOCK


def test_it_works_from_an_editable_installation(
        new_environment, nova_wheels, pets_wheel, tmp_path):
    """Both of setuptools' ways: a path, and a finder of its own.

    pets_wheel is asked for because it says what is missing for a build.
    """
    env = new_environment(nova_wheels())
    tree = environment.copy_tree(tmp_path / 'source')
    for mode in ('compat', 'lenient'):
        env.install('--no-build-isolation', '--config-settings',
                    f'editable_mode={mode}', '-e', tree)
        assert_pets_works(env)
        env.uninstall('nova-pets')
        assert 'pets' not in categories(env)
