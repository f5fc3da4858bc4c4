# SPDX-License-Identifier: Apache-2.0
"""Run the seeds FIRST to END - 1: what many.py starts."""

import sys

from nova_pets.simulator import many
from nova_pets.simulator import run


def main(first: int, end: int) -> None:
    for seed in range(first, end):
        print(many.write(run.run(seed)), flush=True)


if __name__ == '__main__':
    main(int(sys.argv[1]), int(sys.argv[2]))
