# SPDX-License-Identifier: Apache-2.0
"""Takes a lab down when whoever brought it up is gone, however that ended.

    python -m nova_pets.tests.lab.guard DIRECTORY

Waits for the end of its standard input, which ends with the process that
holds the other end of the pipe, also when that is killed. Then what is left
of the lab is taken down; where it was taken down already, nothing is done.
"""

import contextlib
import pathlib
import subprocess
import sys

from nova_pets.tests.lab import plan as plan_module
from nova_pets.tests.lab import up


@contextlib.contextmanager
def over(directory: pathlib.Path):
    """Guard the lab in this directory meanwhile."""
    # A session of its own: Ctrl-C does not reach it.
    with subprocess.Popen(
            [sys.executable, '-m', __spec__.name, str(directory)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            start_new_session=True) as guard:
        try:
            yield
        finally:
            guard.stdin.close()


def main(directory):
    sys.stdin.read()
    if plan_module.server_of(directory) is not None:
        up.down(directory, keep=True)


if __name__ == '__main__':
    main(pathlib.Path(sys.argv[1]))
