# SPDX-License-Identifier: Apache-2.0
"""Build nova-pets with pbr, and lay one .pth file beside the package.

The .pth file is what makes ``nova-manage pets`` work (nova_pets/_nova_manage
says how). setuptools has no option for a file in the root of site-packages;
added here, it is listed in the wheel's RECORD, so that pip removes it with
the rest.
"""

import base64
import hashlib
import os
import zipfile

import setuptools
from setuptools.command import build_py
from setuptools.command import editable_wheel

PTH_SOURCE = os.path.join('nova_pets', '_nova_manage.pth')
# Sorts after __editable__*.pth: files are read in the order of their names,
# and in an editable install that one makes nova_pets importable.
PTH_TARGET = 'nova_pets_nova_manage.pth'


class BuildPyWithPth(build_py.build_py):
    """Copy the .pth file into the root of what a wheel installs."""

    def run(self):
        super().run()
        if not self.editable_mode:
            self.copy_file(PTH_SOURCE,
                           os.path.join(self.build_lib, PTH_TARGET))

    def get_outputs(self, include_bytecode=True):
        outputs = super().get_outputs(include_bytecode)
        if not self.editable_mode:
            outputs.append(os.path.join(self.build_lib, PTH_TARGET))
        return outputs


class EditableWheelWithPth(editable_wheel.editable_wheel):
    """Add the .pth file to the wheel of an editable install."""

    def run(self):
        super().run()
        for name in os.listdir(self.dist_dir):
            if name.endswith('.whl'):
                _add_to_wheel(os.path.join(self.dist_dir, name))


def _add_to_wheel(path):
    """Write the wheel anew with the .pth file and its line in RECORD.

    Done on the finished file: what setuptools offers for this inside of the
    command is private and has changed between its releases.
    """
    with open(PTH_SOURCE, 'rb') as source:
        content = source.read()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    line = '%s,sha256=%s,%d\n' % (
        PTH_TARGET, digest.rstrip(b'=').decode('ascii'), len(content))
    with zipfile.ZipFile(path) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    entries[PTH_TARGET] = content
    for name in entries:
        if name.endswith('.dist-info/RECORD'):
            entries[name] += line.encode('ascii')
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as new:
        for name, data in entries.items():
            new.writestr(name, data)


class Distribution(setuptools.Distribution):
    """Use the two commands above: pbr replaces the argument cmdclass."""

    own_commands = {'build_py': BuildPyWithPth,
                    'editable_wheel': EditableWheelWithPth}

    def get_command_class(self, command):
        if command in self.own_commands:
            return self.own_commands[command]
        return super().get_command_class(command)


setuptools.setup(
    setup_requires=['pbr>=6.1.1'],
    pbr=True,
    distclass=Distribution,
)
