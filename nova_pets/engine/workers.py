# SPDX-License-Identifier: Apache-2.0
"""Runs outside calls beside the cycle, so that a slow device delays nobody.

One per engine, made after fork. A call that raises is logged, never lost
silently; its row is taken up again by the next cycle. What fails in the same
way again is only told when it begins: cycles are short.
"""

import collections.abc
import concurrent.futures
import contextlib
import logging
import threading
import time
import typing

from nova_pets import exception

LOG = logging.getLogger(__name__)

Call = collections.abc.Callable[[], None]
Key = tuple[str, typing.Any]
Lane = tuple[str, ...]

AT_ONCE = 4
"""Calls of one lane. They work with the database, and the pools of SQLAlchemy
keep five connections by default: what is opened beyond that is closed after
each use, which cost more than all else that the calls did."""


class Workers:
    """At most one call per key.

    :param spawn: has a call run beside the caller, now or later; raises
        RuntimeError when that is over.
    :param at_once: calls of one lane. What finds it full is not done, and
        does not wait: when its turn came, what it was decided by would be
        old. The next cycle decides again.
    """

    def __init__(self, spawn: collections.abc.Callable[[Call], typing.Any],
                 monotonic: collections.abc.Callable[[], float] =
                 time.monotonic, at_once: int = AT_ONCE):
        self._spawn = spawn
        self._monotonic = monotonic
        self._at_once = at_once
        self._lock = threading.Lock()
        self._busy: dict[Key, float | None] = {}
        """{key: when its call was begun or last went on; None: it waits}"""
        self._lane: dict[Key, Lane] = {}
        self._failing: dict[Key, type[Exception]] = {}

    def submit(self, key: Key, call: Call, lane: Lane | None = None) -> bool:
        """
        :param lane: of calls that are few at once; other lanes' are not
            counted.
        """
        with self._lock:
            if key in self._busy:
                return False
            if lane is not None:
                if list(self._lane.values()).count(lane) >= self._at_once:
                    return False
                self._lane[key] = lane
            self._busy[key] = None
        try:
            self._spawn(lambda: self._run(key, call))
        except RuntimeError:  # shut down meanwhile
            self._end(key)
            return False
        return True

    def _end(self, key: Key) -> None:
        with self._lock:
            self._busy.pop(key, None)
            self._lane.pop(key, None)

    def busy(self) -> frozenset[Key]:
        with self._lock:
            return frozenset(self._busy)

    def under_way(self) -> dict[Key, float]:
        """Return {key: seconds since its call was begun or went on}; without
        those that wait to be begun."""
        with self._lock:
            now = self._monotonic()
            return {key: now - at for key, at in self._busy.items()
                    if at is not None}

    def goes_on(self, key: Key) -> None:
        """Say, between two parts of a long call, that it does not hang."""
        with self._lock:
            if key in self._busy:
                self._busy[key] = self._monotonic()

    @contextlib.contextmanager
    def apart(self, key: Key) -> collections.abc.Iterator[None]:
        """While a call waits for a device or for another service: its lane
        has room for one more."""
        with self._lock:
            lane = self._lane.pop(key, None)
        try:
            yield
        finally:
            with self._lock:
                if lane is not None and key in self._busy:
                    self._lane[key] = lane

    def stop(self) -> None:
        """Begin no waiting call any more."""

    def _run(self, key: Key, call: Call) -> None:
        self.goes_on(key)
        try:
            call()
            self._failing.pop(key, None)
        except exception.RowConflict as error:
            LOG.debug('%s: %s', key, error)
        except (exception.ClaimsLost, exception.NovaUnavailable,
                exception.StoreUnavailable) as error:
            is_told = self._failing.get(key) is type(error)
            LOG.log(logging.DEBUG if is_told else logging.WARNING,
                    '%s: %s', key, error)
            self._failing[key] = type(error)
        # NOTE(pets): the outermost boundary of a worker; whatever a driver
        # or nova raised must not end the thread silently.
        except Exception:
            LOG.exception('unexpected error in %s; it is tried again', key)
        finally:
            self._end(key)


class ThreadWorkers(Workers):
    """:param size: calls at once; further ones wait in order."""

    def __init__(self, size: int, at_once: int = AT_ONCE):
        self._pool = concurrent.futures.ThreadPoolExecutor(
            max_workers=size, thread_name_prefix='pets')
        super().__init__(self._pool.submit, at_once=at_once)

    def stop(self) -> None:
        """Let running calls end by themselves; start no waiting one."""
        self._pool.shutdown(wait=False, cancel_futures=True)
