# SPDX-License-Identifier: Apache-2.0
"""Keeps one engine thread alive in this scheduler worker.

``KEEPER.ensure()`` is called by the periodic task, after fork, by one thread
of the worker at a time. Nothing is created before that. What the engine does
is not decided here.

The thread is a daemon: it never delays the end of the process, and a worker
that ends (SIGTERM, SIGHUP, kill -9) leaves its claims to be taken over, since
neither launcher of oslo.service runs exit handlers in its workers.

In an eventlet process ``threading`` is patched and the engine runs in a green
thread, like all of Nova's own work there: its sockets, locks and processes
are patched too. A native thread is no way out: it would share Nova's green
locks and database connections with another hub.
"""

import os
import threading
import time

from oslo_log import log as logging

from nova_pets import exception
from nova_pets.scheduler import access

LOG = logging.getLogger(__name__)

FIRST_BACKOFF_S = 5.0
MAX_BACKOFF_S = 300.0


class EngineKeeper:
    """Starts the engine of this process, and again when it died."""

    def __init__(self, build, monotonic=time.monotonic):
        """Keep what ``build()`` returns running: ``.run(stop_event)``.

        :param monotonic: seconds of a clock that never jumps.
        """
        self._build = build
        self._monotonic = monotonic
        self._forget()

    def ensure(self):
        """Start the thread unless it runs or was started a moment ago."""
        if self._pid != os.getpid():
            # Threads do not survive a fork; what is left of them lies.
            self._forget()
            self._pid = os.getpid()
        if self._thread is not None and self._thread.is_alive():
            return
        now = self._monotonic()
        if self._started_at is not None:
            if now - self._started_at > MAX_BACKOFF_S:
                self._failures = 0
            if now - self._started_at < self._backoff_s():
                return
            self._failures += 1
            LOG.warning('the engine of worker %(pid)d has ended, it is '
                        'started again', {'pid': self._pid})
        self._started_at = now
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._stop,), name='nova-pets-engine',
            daemon=True)
        self._thread.start()

    def is_alive(self):
        """Return whether this process has a running engine thread."""
        return (self._pid == os.getpid() and self._thread is not None and
                self._thread.is_alive())

    def stop(self, timeout_s=None):
        """Ask the engine to end, wait at most ``timeout_s`` seconds.

        Returns whether it has ended. For a process that goes on living;
        a worker that ends does not call it.
        """
        if not self.is_alive():
            return True
        self._stop.set()
        self._thread.join(timeout_s)
        ended = not self._thread.is_alive()
        if ended:
            self._forget()
        return ended

    def renew(self):
        """Begin as a new process does; an engine that still runs is asked
        to end."""
        if self.is_alive():
            self._stop.set()
        self._forget()

    def _forget(self):
        self._pid = None
        self._thread = None
        self._stop = None
        self._started_at = None
        self._failures = 0

    def _backoff_s(self):
        return min(FIRST_BACKOFF_S * 2 ** min(self._failures, 10),
                   MAX_BACKOFF_S)

    def _run(self, stop):
        try:
            LOG.info('engine starts in worker %(pid)d', {'pid': os.getpid()})
            self._build().run(stop)
        except exception.CallHangs as error:
            # It has said all; ensure() starts another one.
            LOG.error('%(error)s', {'error': error})
        except Exception:
            # The boundary of our thread: ensure() starts it again. Anything
            # may be wrong here, from a driver that cannot be imported to a
            # schema that is not there yet.
            LOG.exception('the engine of worker %(pid)d failed; see '
                          '"nova-manage pets check"', {'pid': os.getpid()})


def _build_engine():
    return access.wiring().build_engine()


KEEPER = EngineKeeper(_build_engine)
