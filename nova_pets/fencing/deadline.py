# SPDX-License-Identifier: Apache-2.0
"""Work that may not take longer than its deadline, whatever it waits for.

The caller's time is what is kept: the work is done by another thread, is told
to give up at the deadline, and is not waited for. It knows neither devices
nor processes; ``give_up`` ends what the work waits for (a socket, a child),
so that the thread ends soon, too.
"""

import collections.abc
import threading
import typing

T = typing.TypeVar('T')


class Expired(Exception):
    """The deadline came first; whether the work was done is not known."""


def within(timeout_s: float, work: collections.abc.Callable[[], T],
           give_up: collections.abc.Callable[[], None]) -> T:
    """Return what the work returns, or raise what it raises.

    :param give_up: called at most once, at the deadline; must not wait.
    :raises Expired:
    """
    attempt = _Attempt(work)
    # A daemon: a resolver that hangs must not keep a process from ending.
    threading.Thread(target=attempt.run, name='pets-fencing',
                     daemon=True).start()
    if not attempt.is_done.wait(timeout_s):
        give_up()
        raise Expired()
    if attempt.error is not None:
        raise attempt.error
    return typing.cast(T, attempt.result)


class _Attempt(typing.Generic[T]):

    def __init__(self, work: collections.abc.Callable[[], T]):
        self._work = work
        self.is_done = threading.Event()
        self.result: T | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.result = self._work()
        # Not judged here: it is raised again in the thread that waits.
        except Exception as error:
            self.error = error
        finally:
            self.is_done.set()
