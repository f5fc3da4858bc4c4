# SPDX-License-Identifier: Apache-2.0
"""An engine that stands still at a point of a story, and goes on later.

As SIGSTOP does, and SIGCONT after that: all tasks of its process stand where
they are, and go on with what they had in their hands. It wakes when the others
have done a given number of things, so at a moment of its own choice in the
middle of what they do, or when a long time is over.
"""

LONG_S = 90.0
"""Many times what a claim lasts."""


class Sleeper:
    """Asked at each point of each engine (``cloud.dies_here``).

    :param name: of the worker; None: the first one that is asked.
    :param point: of its first life, where it stands still.
    :param deeds: of others, after which it goes on; 0: after LONG_S.
    """

    def __init__(self, name=None, point=1, deeds=0):
        self._name = name
        self._left = point
        self._deeds = deeds
        self._asleep = None
        self.has_slept = False

    def __call__(self, worker):
        if self._asleep is None:
            if self.has_slept or self._name not in (None, worker.name):
                return False
            self._left -= 1
            if self._left == 0:
                self._stand_still(worker)
        elif worker is not self._asleep and _does_something(worker):
            self._deeds -= 1
            if self._deeds == 0:
                worker.cloud.kernel.after(0.0, self._wake)
        return False

    def _stand_still(self, worker):
        kernel = worker.cloud.kernel
        self._asleep, self.has_slept = worker, True
        kernel.note('engine stands still', worker.name, worker.points)
        worker.process.pause()
        kernel.after(LONG_S, self._wake)
        # Goes on when its process does.
        kernel.sleep(0.0)

    def _wake(self):
        if self._asleep is not None:
            worker, self._asleep = self._asleep, None
            worker.cloud.kernel.note('engine goes on', worker.name)
            worker.process.resume()


def _does_something(worker):
    """Most commits only renew an engine's own row."""
    line = worker.cloud.kernel.lines[-1]
    return line[1] != 'commit' or line[3] != 'renew_engine'
