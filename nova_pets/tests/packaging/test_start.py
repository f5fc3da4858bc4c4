# SPDX-License-Identifier: Apache-2.0
"""What a Python program pays at its start for our .pth file."""

import statistics
import subprocess
import time

from nova_pets.tests.packaging import environment

RUNS = 50
LIMIT_S = 0.001


def measure(env):
    """Return the median seconds of a start with and without the file.

    Interleaved, so that whatever else the machine does hits both alike.
    """
    pth = env.site / environment.PTH
    away = pth.with_suffix('.away')
    command = [str(env.python), '-c', 'pass']
    process_env = environment.clean_env()

    def start():
        began = time.perf_counter()
        subprocess.run(command, env=process_env, check=True)
        return time.perf_counter() - began

    with_file, without = [], []
    for _ in range(RUNS):
        with_file.append(start())
        pth.rename(away)
        try:
            without.append(start())
        finally:
            away.rename(pth)
    return statistics.median(with_file), statistics.median(without)


def test_a_python_program_starts_as_fast_as_without(new_environment,
                                                    pets_wheel):
    """Three series: noise may spoil one, a real cost shows in each."""
    env = new_environment(pets_wheel)
    start = env.run('python', '-c', 'pass')
    assert (start.returncode, start.stderr) == (0, '')
    costs = []
    for _ in range(3):
        with_file, without = measure(env)
        costs.append(with_file - without)
        print(f'start: {with_file * 1000:.3f} ms with, '
              f'{without * 1000:.3f} ms without')
        if costs[-1] < LIMIT_S:
            return
    raise AssertionError(f'a start costs {min(costs) * 1000:.3f} ms more')


def test_only_nova_manage_imports_anything_of_ours(new_environment,
                                                   pets_wheel):
    env = new_environment(pets_wheel)
    ask = ('import sys; print([name for name in sys.modules '
           'if name.startswith("nova")])')
    assert env.run('python', '-c', ask).stdout == '[]\n'
    assert env.run('python', '-c', ask, 'nova-manage').stdout == (
        "['nova_pets', 'nova_pets._nova_manage']\n")
