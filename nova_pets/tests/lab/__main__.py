# SPDX-License-Identifier: Apache-2.0
"""python -m nova_pets.tests.lab up|down|...: a lab by hand; see --help."""

import sys

from nova_pets.tests.lab import commands

if __name__ == '__main__':
    sys.exit(commands.main())
