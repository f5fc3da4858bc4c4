# SPDX-License-Identifier: Apache-2.0
"""Prints both tables; exit status 0 unless something could not be run."""

import sys

from nova_pets.tests import cloud as _  # noqa: F401  chooses native threads
from nova_pets.tests.bench import idle
from nova_pets.tests.bench import scheduling


def main():
    idle.main()
    scheduling.main()
    return 0


if __name__ == '__main__':
    sys.exit(main())
