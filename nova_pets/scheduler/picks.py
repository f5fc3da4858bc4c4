# SPDX-License-Identifier: Apache-2.0
"""Hosts that this process picked for evacuations a moment ago.

Between the choice of a host and the moment when the tables name it as the
destination, other requests would choose the same host. What this process chose
itself it need not guess. Nothing safe depends on it.
"""

import contextlib
import os
import threading
import time

KEPT_S = 30.0
"""Longer than an engine takes, on a busy machine, to find the destination of
an attempt and to write it down; where the tables name one, no pick counts."""

_by_process: dict[int, 'Picks'] = {}


class Picks:
    """{request_id: host} of the last seconds."""

    def __init__(self, monotonic=time.monotonic):
        self.lock = threading.Lock()
        self._monotonic = monotonic
        self._picks: dict[str, tuple[float, str]] = {}

    def host(self, request_id):
        """Return what was picked for a request; None: nothing was."""
        _, picked = self._picks.get(request_id, (0.0, None))
        return picked

    def count(self, host, but=None):
        """Return how many of the last picks are this host.

        :param but: a request that does not count.
        """
        return sum(1 for key, (_, picked) in self._picks.items()
                   if picked == host and key != but)

    def add(self, request_id, host):
        """Keep one pick; a request has one, the last."""
        self._picks[request_id] = (self._monotonic(), host)

    def drop_old(self):
        oldest = self._monotonic() - KEPT_S
        self._picks = {key: pick for key, pick in self._picks.items()
                       if pick[0] > oldest}


@contextlib.contextmanager
def present():
    """Give the Picks of this process, alone: choosing and keeping are one
    step, or two requests at once would choose the same host."""
    pid = os.getpid()
    if pid not in _by_process:
        # After fork: the lock of the parent may be held for ever.
        _by_process.setdefault(pid, Picks())
    picks = _by_process[pid]
    with picks.lock:
        picks.drop_old()
        yield picks
