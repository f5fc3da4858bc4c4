# SPDX-License-Identifier: Apache-2.0
"""Throw-away environments: real wheels, installed and removed by real pip.

An environment holds nova and nova-pets as pip installed them. Everything
else is linked from the environment that runs the tests, so that one is made
in seconds. It never writes to that environment, and imports neither nova nor
nova_pets from it or from the tree.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv

ROOT = pathlib.Path(__file__).parents[3]
BUILD_FILES = ('setup.cfg', 'setup.py', 'pyproject.toml', 'requirements.txt',
               'README.rst', 'LICENSE')
BUILD_TREES = ('nova_pets', 'etc')
PTH = 'nova_pets_nova_manage.pth'


class Failed(Exception):
    """A command of pip's ended badly; its output is the message."""


def copy_tree(target):
    """Copy what a build needs; the tree of the tests stays as it is."""
    target.mkdir()
    for name in BUILD_FILES:
        shutil.copy(ROOT / name, target)
    for name in BUILD_TREES:
        shutil.copytree(ROOT / name, target / name,
                        ignore=shutil.ignore_patterns('__pycache__', '.*'))
    return target


def build_wheel(source, target):
    """Build the wheel of a copied tree and return its path."""
    run_pip(sys.executable, 'wheel', '--no-deps', '--no-build-isolation',
            '-w', target, source)
    [wheel] = target.glob('nova_pets-*.whl')
    return wheel


def download_nova(version, target):
    """Return the wheel of that nova from the package index."""
    run_pip(sys.executable, 'download', '--no-deps', '-d', target,
            f'nova=={version}')
    [wheel] = target.glob(f'nova-{version}-*.whl')
    return wheel


def run_pip(python, *args):
    """Run this environment's pip for that Python."""
    done = subprocess.run(
        [sys.executable, '-m', 'pip', '--disable-pip-version-check',
         '--python', str(python), *map(str, args)],
        env=clean_env(PBR_VERSION='1.0.0.dev0'), capture_output=True,
        text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Failed(f'pip {args}: {done.stdout}\n{done.stderr}')
    return done.stdout


def clean_env(**more):
    """Return the process environment without what would leak in."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(('PYTHON', 'OS_NOVA', 'NOVA_PETS', 'PBR'))}
    return {**kept, **more}


class Environment:
    """One throw-away environment at a path."""

    def __init__(self, path):
        self.path = path
        venv.create(path, with_pip=False, symlinks=True)
        self.python = path / 'bin' / 'python'
        self.site = pathlib.Path(sysconfig.get_path(
            'purelib', 'venv', {'base': str(path)}))
        self._link_dependencies()

    def _link_dependencies(self):
        links = self.path / 'dependencies'
        links.mkdir()
        for site in {sysconfig.get_path('purelib'),
                     sysconfig.get_path('platlib')}:
            for entry in pathlib.Path(site).iterdir():
                is_own = entry.name.partition('-')[0] in (
                    'nova', 'nova_pets', 'pip', '__pycache__')
                if not is_own and entry.suffix != '.pth':
                    (links / entry.name).symlink_to(entry)
        (self.site / 'dependencies.pth').write_text(f'{links}\n')

    def install(self, *args):
        run_pip(self.python, 'install', '--no-deps', '--no-compile', *args)

    def uninstall(self, name):
        run_pip(self.python, 'uninstall', '--yes', name)

    def run(self, program, *args):
        """Run a program of the environment; stdout and stderr apart."""
        return subprocess.run(
            [str(self.path / 'bin' / program), *map(str, args)],
            cwd=self.path, env=clean_env(PYTHONWARNINGS='ignore'),
            capture_output=True, text=True, check=False, timeout=120,
            stdin=subprocess.DEVNULL)

    def nova_manage(self, *args):
        """Run nova-manage with a nova.conf whose databases are SQLite."""
        conf = self.path / 'nova.conf'
        if not conf.exists():
            conf.write_text(
                '[database]\n'
                f'connection = sqlite:///{self.path}/cell.sqlite\n'
                '[api_database]\n'
                f'connection = sqlite:///{self.path}/api.sqlite\n')
        return self.run('nova-manage', '--config-file', conf, *args)
