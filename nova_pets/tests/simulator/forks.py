# SPDX-License-Identifier: Apache-2.0
"""A death at every point of a story, at the cost of what comes after it.

The story is played once. At each point of an engine's first life the process
forks: in the child the engine dies there, or whatever else is to befall it,
and the story goes on to its end, as in a play of its own with that death; the
parent goes on without it.
"""

import collections
import os
import traceback

from nova_pets.simulator import scenario


def deaths(known, judge, befalls=None):
    """Return [(scenario.Death, what the judge says)], one for each point.

    :param judge: called in the child with the Death and the Outcome;
        returns '' or what is wrong.
    :param befalls: asked in the child at each point of each engine, from
        that one on, in the place of dying there: does it die?
    """
    walk = _Walk(befalls)
    try:
        outcome = scenario.play(known, dies_here=walk)
        if walk.death is None:
            return walk.heard
        os.write(walk.told, judge(walk.death, outcome).encode())
    except BaseException:
        if walk.death is None:
            raise
        os.write(walk.told, traceback.format_exc().encode())
    # Only a child comes here, and nothing of its parent's is its to end.
    os._exit(0)


class _Walk:
    """Forks at each point; in a child, ``death`` is the one it is for."""

    def __init__(self, befalls):
        self._befalls = befalls
        self.heard = []
        self.death = None
        self.told = None
        self._first_lives = {}
        self._counts = collections.Counter()

    def __call__(self, worker):
        if self.death is not None:
            return self._befalls is not None and self._befalls(worker)
        if self._first_lives.setdefault(worker.name, worker) is not worker:
            return False
        self._counts[worker.name] += 1
        death = scenario.Death(worker.name, self._counts[worker.name])
        ear, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ear)
            self.death, self.told = death, told
            return self._befalls is None or self._befalls(worker)
        os.close(told)
        with os.fdopen(ear) as lines:
            said = lines.read()
        _, status = os.waitpid(child, 0)
        self.heard.append((death, said if status == 0 else
                           f'{death}: the child ended with {status}'))
        return False
