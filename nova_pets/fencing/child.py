# SPDX-License-Identifier: Apache-2.0
"""One child process: a deadline, nothing left behind, no secret in sight.

Says what the child said and how it ended; knows no device. What is secret is
given on stdin: argv and the environment can be read by others. The child
leads a session of its own, and at the deadline it, its process group and
everything that it started elsewhere (pexpect opens sessions) are killed.
"""

import collections.abc
import dataclasses
import os
import shutil
import signal
import threading
import typing

from oslo_concurrency import processutils
import psutil

from nova_pets.fencing import deadline

PATH = '/usr/sbin:/usr/bin:/sbin:/bin'
ENVIRONMENT = {'PATH': PATH, 'LC_ALL': 'C.UTF-8'}
"""All that a child gets. Ours may hold secrets (password_env), and agents
change their behaviour by variables of Pacemaker."""


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """A child that ended by itself."""

    code: int
    out: str
    err: str


def find(program: str) -> str | None:
    """Return the path of an executable where the system keeps them."""
    return shutil.which(program, path=PATH)


def run(argv: collections.abc.Sequence[str], given: str, timeout_s: float
        ) -> Ended:
    """Return how the child ended, having read ``given`` on its stdin.

    :raises Expired: it was killed; what it did is not known.
    :raises OSError: it could not be started.
    """
    family = _Family()
    return deadline.within(timeout_s, lambda: _run(argv, given, family),
                           family.kill)


def _run(argv: collections.abc.Sequence[str], given: str,
         family: '_Family') -> Ended:
    try:
        out, err = processutils.execute(
            *argv, process_input=given, env_variables=ENVIRONMENT, cwd='/',
            # processutils has no start_new_session; it runs code of its own
            # between fork and exec in any case.
            preexec_fn=os.setsid, on_execute=family.began)
    except processutils.ProcessExecutionError as error:
        if error.exit_code is None:
            raise OSError(error.description or 'could not be run') from None
        return Ended(error.exit_code, error.stdout or '', error.stderr or '')
    return Ended(0, out, err)


class _Family:
    """A child and all that descends from it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: typing.Any = None
        self._is_over = False

    def began(self, child: typing.Any) -> None:
        with self._lock:
            self._child = child
            is_over = self._is_over
        if is_over:
            _kill(child)

    def kill(self) -> None:
        with self._lock:
            self._is_over = True
            child = self._child
        if child is not None:
            _kill(child)


def _kill(child: typing.Any) -> None:
    if child.returncode is not None:
        return
    below = []
    try:
        leader = psutil.Process(child.pid)
        # Stopped first, so that it starts nothing while we look.
        leader.suspend()
        below = leader.children(recursive=True)
    except psutil.Error:
        pass
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    for process in below:
        try:
            process.kill()
        except psutil.Error:
            pass
