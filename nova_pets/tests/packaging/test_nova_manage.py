# SPDX-License-Identifier: Apache-2.0
"""``nova-manage pets`` while nova and nova-pets come, change and go."""

import hashlib

import pytest

from nova_pets.tests.packaging import environment

STOCK = ('api_db', 'cell_v2', 'db', 'placement')


def assert_pets_works(env):
    synced = env.nova_manage('pets', 'db_sync')
    assert synced.returncode == 0, synced.stderr
    version = env.nova_manage('pets', 'db_version', '--json')
    assert version.returncode == 0, version.stderr
    assert_stock_works(env)


def assert_stock_works(env):
    """Nova's own categories: listed, parsed and run."""
    words = env.nova_manage('bash-completion').stdout.split()
    assert set(STOCK) <= set(words)
    assert env.nova_manage('version').returncode == 0
    synced = env.nova_manage('api_db', 'sync')
    assert synced.returncode == 0, synced.stderr
    usage = env.nova_manage('cell_v2', 'no_such_action')
    assert usage.returncode == 2


def assert_no_pets(env):
    words = env.nova_manage('bash-completion').stdout.split()
    assert 'pets' not in words
    refused = env.nova_manage('pets', 'status')
    assert refused.returncode == 2
    assert "invalid choice: 'pets'" in refused.stderr


def files_of(env, package):
    """Return {path: digest} of a package's files, bytecode left out."""
    return {path: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (env.site / package).rglob('*')
            if path.is_file() and path.suffix != '.pyc'}


def test_pets_is_a_category_of_the_stock_nova_manage(installed):
    words = installed.nova_manage('bash-completion').stdout.split()
    assert 'pets' in words
    verbs = installed.nova_manage('bash-completion', 'pets').stdout.split()
    assert {'status', 'list', 'db_sync', 'check'} <= set(verbs)
    usage = installed.nova_manage('pets', '--help')
    assert usage.returncode == 0
    assert 'confirm_fenced' in usage.stdout
    assert_pets_works(installed)


def test_a_usage_error_of_ours_cannot_tell(installed):
    """2 would say that somebody must act."""
    assert installed.nova_manage('pets', 'no_such_verb').returncode == 3
    assert installed.nova_manage('pets').returncode == 3


def test_the_word_pets_elsewhere_is_not_the_category(installed):
    made = installed.nova_manage('db', 'sync', '--version', 'pets')
    assert made.returncode == 2
    assert 'nova-pets' not in made.stderr


def test_our_own_script_has_the_same_verbs(installed):
    usage = installed.run('nova-pets-manage', 'pets', '--help')
    assert usage.returncode == 0, usage.stderr
    assert 'confirm_fenced' in usage.stdout


def test_it_works_when_nova_comes_after_us(new_environment, nova_wheels,
                                           pets_wheel):
    assert_pets_works(new_environment(pets_wheel, nova_wheels()))


def test_it_survives_a_reinstallation_of_nova(new_environment, nova_wheels,
                                              pets_wheel):
    env = new_environment(nova_wheels(), pets_wheel)
    env.install('--force-reinstall', nova_wheels())
    assert_pets_works(env)


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
    assert 'pets' in env.nova_manage('bash-completion').stdout.split()
    assert files_of(env, 'nova') == before

    env.uninstall('nova-pets')

    assert files_of(env, 'nova') == before
    assert [path.name for path in env.site.glob('*nova_pets*')] == []
    assert not (env.path / 'bin' / 'nova-pets-manage').exists()
    assert_no_pets(env)
    assert_stock_works(env)


@pytest.mark.parametrize('damage', [
    pytest.param(lambda site: environment.shutil.rmtree(site / 'nova_pets'),
                 id='the package is gone'),
    pytest.param(lambda site: (site / 'nova_pets/_nova_manage.py').unlink(),
                 id='the hook is gone'),
    pytest.param(lambda site: (site / 'nova_pets/_nova_manage.py'
                               ).write_text('cut in the mid'),
                 id='the hook is cut'),
])
def test_half_removed_it_is_silent(new_environment, nova_wheels, pets_wheel,
                                   damage):
    env = new_environment(nova_wheels(), pets_wheel)
    damage(env.site)
    start = env.run('python', '-c', 'print("started")', 'nova-manage')
    assert (start.returncode, start.stdout, start.stderr) == (
        0, 'started\n', '')
    assert_no_pets(env)
    assert_stock_works(env)


@pytest.mark.parametrize('content', [
    'raise RuntimeError("out of order")', 'import no_such_module',
    'cut in the mid', 'import sys\nPetsCommands = None'], ids=[
    'raises', 'lacks a dependency', 'is no Python', 'lacks the class'])
def test_broken_verbs_say_so_and_break_nothing_else(
        new_environment, nova_wheels, pets_wheel, content):
    env = new_environment(nova_wheels(), pets_wheel)
    (env.site / 'nova_pets/cmd/manage.py').write_text(content)
    asked = env.nova_manage('pets', 'status', '--json')
    assert asked.returncode == 3
    assert 'cannot load nova_pets.cmd.manage' in asked.stderr
    assert_stock_works(env)


@pytest.mark.parametrize('mode', ['compat', 'lenient'])
def test_it_works_from_an_editable_installation(
        new_environment, nova_wheels, pets_wheel, tmp_path, mode):
    """pets_wheel is named for what its absence says about setuptools."""
    env = new_environment(nova_wheels())
    tree = environment.copy_tree(tmp_path / 'source')
    env.install('--no-build-isolation', '--config-settings',
                f'editable_mode={mode}', '-e', tree)
    assert_pets_works(env)
    env.uninstall('nova-pets')
    assert_no_pets(env)
