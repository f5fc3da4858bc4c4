# SPDX-License-Identifier: Apache-2.0
"""One lab with true hosts for the session, if this machine can have them."""

import importlib.util
import os
import shutil
import subprocess

import pytest

from nova_pets.tests import conftest as tiers
from nova_pets.tests.lab import conftest as lab_conftest
from nova_pets.tests.lab import plan as plan_module

TIER = 'truehosts'
MODULES = ('keystone', 'glance', 'placement', 'libvirt')
PROGRAMS = {'libvirtd': 'libvirt-daemon',
            'qemu-system-x86_64': 'qemu-system-x86',
            'qemu-img': 'qemu-utils', 'ip': 'iproute2', 'gcc': 'gcc'}
"""{program: the Debian package that has it}"""
DRIVER = ('/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/'
          'libvirt_driver_qemu.so')
COMPUTES, SCHEDULERS, WORKERS = 4, 2, 2

pytest_terminal_summary = lab_conftest.pytest_terminal_summary


def why_not():
    """Return what is missing on this machine, '' if nothing is."""
    modules = [name for name in MODULES
               if importlib.util.find_spec(name) is None]
    if modules:
        return f'{", ".join(modules)} cannot be imported: run ' \
               '"make tier-truehosts"'
    packages = {package for program, package in PROGRAMS.items()
                if shutil.which(program) is None}
    if not os.path.exists(DRIVER):
        packages.add('libvirt-daemon-driver-qemu')
    if packages:
        return f'needs the Debian packages {" ".join(sorted(packages))}'
    if os.geteuid() != 0:
        return 'needs root, for namespaces'
    tried = subprocess.run(
        ['unshare', '--net', '--mount', '--uts', '--ipc', '--pid', '--fork',
         'ip', 'link', 'add', 'br0', 'type', 'bridge'],
        capture_output=True, text=True)
    return f'cannot make namespaces: {tried.stderr.strip()}' \
        if tried.returncode else ''


@pytest.fixture(scope='session')
def machine_has_all():
    missing = why_not()
    if missing:
        tiers.require(TIER, missing)


@pytest.fixture(scope='session')
def lab(machine_has_all, tmp_path_factory, pytestconfig):
    from nova_pets.tests.lab.truehost import deeds
    plan = plan_module.make(
        tmp_path_factory.mktemp('lab'), cells=1, computes=COMPUTES,
        schedulers=SCHEDULERS, workers=WORKERS, report_interval_s=2,
        database=lab_conftest.server(), has_true_hosts=True)
    with lab_conftest.brought_up(plan, pytestconfig, TIER,
                                 deeds.TrueLab) as result:
        yield result
