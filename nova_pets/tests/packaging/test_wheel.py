# SPDX-License-Identifier: Apache-2.0
"""What is in the wheel, and that what it promises can be loaded."""

from importlib import metadata
import zipfile

import pytest

from nova_pets.tests.packaging import environment

NAMESPACES = ('console_scripts', 'nova_pets.detectors', 'nova_pets.fencing',
              'nova_pets.filters', 'nova_pets.weighers', 'oslo.config.opts')


@pytest.fixture(scope='module')
def names(pets_wheel):
    with zipfile.ZipFile(pets_wheel) as wheel:
        return wheel.namelist()


def test_the_pth_file_is_in_the_root_and_in_record(pets_wheel, names):
    assert environment.PTH in names
    [record] = [name for name in names if name.endswith('/RECORD')]
    with zipfile.ZipFile(pets_wheel) as wheel:
        assert f'{environment.PTH},sha256=' in wheel.read(record).decode()


def test_all_python_files_and_samples_are_in_it(names):
    missing = [
        str(path.relative_to(environment.ROOT))
        for path in (environment.ROOT / 'nova_pets').rglob('*.py')
        if str(path.relative_to(environment.ROOT)) not in names]
    assert missing == []
    for sample in (environment.ROOT / 'etc' / 'nova').iterdir():
        assert any(name.endswith(f'.data/data/etc/nova/{sample.name}')
                   for name in names)


def test_every_entry_point_can_be_loaded(installed):
    script = '''
from importlib import metadata
import sys
distribution = metadata.distribution('nova-pets')
for point in distribution.entry_points:
    point.load()
    print(point.group)
'''
    loaded = installed.run('python', '-c', script)
    assert loaded.returncode == 0, loaded.stderr
    assert set(loaded.stdout.split()) == set(NAMESPACES)


def test_what_it_requires_is_what_the_tests_run_with():
    """pip check, for our own requirements."""
    for line in metadata.requires('nova-pets'):
        name = line.partition(';')[0].strip()
        for mark in '<>=!~ ':
            name = name.partition(mark)[0]
        assert metadata.version(name)
