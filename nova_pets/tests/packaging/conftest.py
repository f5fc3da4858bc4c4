# SPDX-License-Identifier: Apache-2.0
"""The wheels, built and downloaded once, and environments made of them."""

from importlib import metadata
import itertools

import pytest

from nova_pets.tests import conftest
from nova_pets.tests.packaging import environment


@pytest.fixture(scope='session')
def source(tmp_path_factory):
    """A copy of the tree that a build may write to."""
    return environment.copy_tree(tmp_path_factory.mktemp('tree') / 'source')


@pytest.fixture(scope='session')
def pets_wheel(source, tmp_path_factory):
    setuptools = metadata.version('setuptools').split('.')
    if tuple(map(int, setuptools[:2])) < (70, 1):
        conftest.require('packaging', 'needs setuptools 70.1: make venv')
    return environment.build_wheel(source, tmp_path_factory.mktemp('pets'))


@pytest.fixture(scope='session')
def nova_wheels(tmp_path_factory):
    """A function that returns the wheel of a version of nova."""
    target = tmp_path_factory.mktemp('nova')
    wheels = {}

    def get(version=None):
        version = version or metadata.version('nova')
        if version not in wheels:
            try:
                wheels[version] = environment.download_nova(version, target)
            except environment.Failed as exc:
                conftest.require('packaging', f'no wheel of nova: {exc}')
        return wheels[version]

    return get


@pytest.fixture(scope='session')
def new_environment(tmp_path_factory):
    """A function that makes an environment and installs wheels there."""
    numbers = itertools.count()

    def make(*wheels):
        path = tmp_path_factory.mktemp('env') / str(next(numbers))
        env = environment.Environment(path)
        for wheel in wheels:
            env.install(wheel)
        return env

    return make


@pytest.fixture(scope='module')
def installed(new_environment, nova_wheels, pets_wheel):
    """Nova, then nova-pets: as an operator has it. Not to be changed."""
    return new_environment(nova_wheels(), pets_wheel)
