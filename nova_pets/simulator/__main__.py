# SPDX-License-Identifier: Apache-2.0
"""Run these seeds, one after the other: what many.py starts."""

import gc
import sys

from nova_pets.simulator import many
from nova_pets.simulator import run

GARBAGE = 100_000
"""Little of what a run makes is garbage before it ends: looking for it as
often as Python does by itself costs a tenth of the time."""


def main(*seeds: int) -> None:
    gc.set_threshold(GARBAGE, 50, 100)
    for seed in seeds:
        print(many.write(run.run(seed)), flush=True)


if __name__ == '__main__':
    main(*map(int, sys.argv[1:]))
