# SPDX-License-Identifier: Apache-2.0
"""The stock nova-compute with the lab's driver.

nova-compute loads drivers from the package nova.virt only; this gives the
lab's a name there (``compute_driver = pets_lab.LabDriver``) and then runs
nova-compute's own main. Imports nothing of nova before that: it decides
first how its threads are made.
"""

import importlib.abc
import importlib.util
import sys

_NAME = 'nova.virt.pets_lab'
_TRUE_NAME = 'nova_pets.tests.lab.driver'


class _Finder(importlib.abc.MetaPathFinder):

    def find_spec(self, fullname, path=None, target=None):
        if fullname != _NAME:
            return None
        true = importlib.util.find_spec(_TRUE_NAME)
        return importlib.util.spec_from_file_location(fullname, true.origin)


def main():
    sys.meta_path.insert(0, _Finder())
    sys.argv[0] = 'nova-compute'
    from nova.cmd import compute
    return compute.main()


if __name__ == '__main__':
    sys.exit(main())
