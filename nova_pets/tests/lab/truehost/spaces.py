# SPDX-License-Identifier: Apache-2.0
"""Who is in the pid namespace of which host, as the machine's /proc says."""

import contextlib
import os
import signal
import time

from nova_pets.tests.lab import processes

STOP_S = 10


def of_hosts(known: processes.Processes, hosts) -> dict[str, str]:
    """Return namespace -> host of those that run."""
    found = {}
    for host in hosts:
        pid = known.pid(host)
        if pid is None:
            continue
        # The process that we started is unshare(1), outside of it.
        with contextlib.suppress(OSError):
            found[os.readlink(f'/proc/{pid}/ns/pid_for_children')] = host
    return found


def pids() -> list[int]:
    return [int(name) for name in os.listdir('/proc') if name.isdigit()]


def of(pid: int) -> str | None:
    """Return the namespace of a process, None: it is gone."""
    try:
        return os.readlink(f'/proc/{pid}/ns/pid')
    except OSError:
        return None


def members(space: str) -> list[int]:
    """Return the pids in a namespace, the first one first; no zombies."""
    return sorted(pid for pid in pids()
                  if of(pid) == space and not processes.is_gone(pid))


def signal_all(space: str, number: int) -> None:
    """Signal every process in a namespace, the first one first."""
    for pid in members(space):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def stop_all(space: str) -> None:
    """SIGSTOP every process in a namespace, and see that all stand still.

    :raises TimeoutError: one of them goes on.
    """
    deadline = time.monotonic() + STOP_S
    while True:
        moving = [pid for pid in members(space)
                  if not processes.is_still(pid)]
        if not moving:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f'processes go on in spite of SIGSTOP: '
                               f'{moving}')
        signal_all(space, signal.SIGSTOP)
        time.sleep(0.02)
