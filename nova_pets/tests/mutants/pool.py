# SPDX-License-Identifier: Apache-2.0
"""Forks one process per job from this one, so many at a time.

Whoever calls has imported what is heavy and none of the product, and runs no
other thread. A job that does not end is killed with all that it started.
"""

import collections.abc
import ctypes
import dataclasses
import os
import pathlib
import select
import signal
import sys
import tempfile
import threading
import time
import traceback

CRASHED = 99
_PR_SET_PDEATHSIG = 1
"""Linux: sys/prctl.h."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    code: int | None
    """Exit code; None: ended by a signal, or killed at the deadline."""
    output: str
    took_s: float


@dataclasses.dataclass
class _Running:
    job: int
    pid: int
    watch: int
    output: pathlib.Path
    began: float


def run(jobs: collections.abc.Sequence[collections.abc.Callable[[], int]],
        at_once: int, deadline_s: float
        ) -> collections.abc.Iterator[tuple[int, Outcome]]:
    """Yield (number of the job, its outcome) as they end.

    :param deadline_s: for one job, by the clock on the wall.
    """
    waiting = list(range(len(jobs)))[::-1]
    running: list[_Running] = []
    with tempfile.TemporaryDirectory(prefix='mutants-') as directory:
        try:
            while waiting or running:
                while waiting and len(running) < at_once:
                    number = waiting.pop()
                    running.append(_begin(number, jobs[number],
                                          pathlib.Path(directory)))
                for one in _ended(running, deadline_s):
                    running.remove(one)
                    yield one.job, _outcome(one)
        finally:
            for one in running:
                _kill(one.pid)
                _outcome(one)


def _begin(number: int, job: collections.abc.Callable[[], int],
           directory: pathlib.Path) -> _Running:
    if threading.active_count() > 1:
        raise RuntimeError('expected no other thread: what it holds would '
                           'be held for ever after a fork')
    output = directory / f'{number}.txt'
    sys.stdout.flush()
    sys.stderr.flush()
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _child(job, output)
    return _Running(number, pid, os.pidfd_open(pid), output, began)


def _child(job: collections.abc.Callable[[], int], output: pathlib.Path
           ) -> None:
    """Never returns: nothing of the parent's may run here."""
    code = CRASHED
    try:
        die_with_parent()
        os.setsid()
        written = os.open(output, os.O_WRONLY | os.O_CREAT)
        os.dup2(written, 1)
        os.dup2(written, 2)
        code = job()
    except BaseException:
        # Also of a test that exits: whatever it is, the parent is told.
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that forked it ends,
    in whatever way."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _ended(running: list[_Running], deadline_s: float) -> list[_Running]:
    """Wait until at least one has ended, and return those."""
    ready, _, _ = select.select([one.watch for one in running], [], [], 0.5)
    now = time.monotonic()
    for one in running:
        if one.watch not in ready and now - one.began > deadline_s:
            _kill(one.pid)
    return [one for one in running if one.watch in ready]


def _kill(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        # It has not made its group yet, or is gone.
        os.kill(pid, signal.SIGKILL)


def _outcome(one: _Running) -> Outcome:
    # What it started and left behind; before the wait, which gives its number
    # back.
    _kill(one.pid)
    _, status = os.waitpid(one.pid, 0)
    os.close(one.watch)
    output = (one.output.read_text(errors='replace')
              if one.output.exists() else '')
    one.output.unlink(missing_ok=True)
    return Outcome(os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
                   output, time.monotonic() - one.began)
