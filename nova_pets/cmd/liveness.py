# SPDX-License-Identifier: Apache-2.0
"""Is any engine alive? Answered by progress, not by comparing wall clocks.

Two reads of the renewal counters some tenths of a second apart: a counter
that moved is an engine that lives. Waits no longer than needed, and never
longer than LONGEST_S; an engine whose own pace is slower than that is not
called dead.
"""

import collections.abc
import dataclasses
import enum
import time

from nova_pets.model import records

LONGEST_S = 3.0
_STEP_S = 0.15
_PATIENCE = 1.5
"""Of its pace: a cycle may take a little longer than its interval."""


class Answer(enum.StrEnum):
    ALIVE = 'alive'
    """A counter of a working engine moved while we looked."""
    SILENT = 'silent'
    """None moved for longer than an engine's pace."""
    UNKNOWN = 'unknown'
    """None moved, but their pace is slower than we wait."""
    NONE = 'none'
    """No engine is registered."""


@dataclasses.dataclass(frozen=True, slots=True)
class Liveness:
    answer: Answer
    moved: frozenset[str] = frozenset()
    """Ids of the engines that were seen to move."""
    watched_s: float = 0.0

    @property
    def is_dead(self) -> bool:
        return self.answer in (Answer.SILENT, Answer.NONE)

    def of(self, engine_id: str) -> bool | None:
        """True: it moved. None: not told; idle ones renew slowly."""
        return True if engine_id in self.moved else None


def watch(read: collections.abc.Callable[[], list[records.Engine]],
          pace_s: float,
          clock: collections.abc.Callable[[], float] = time.monotonic,
          wait: collections.abc.Callable[[float], None] = time.sleep
          ) -> Liveness:
    """Look at the counters until one of a working engine moved.

    :param read: returns the engines that are not deposed.
    :param pace_s: the slowest interval in which an engine that works (has
        a slot) renews.
    """
    first = {engine.id: engine for engine in read()}
    if not first:
        return Liveness(Answer.NONE)
    enough_s = pace_s * _PATIENCE
    limit_s = min(LONGEST_S, enough_s)
    began = clock()
    while True:
        spent_s = clock() - began
        if spent_s >= limit_s:
            break
        wait(min(_STEP_S, limit_s - spent_s))
        now = read()
        moved = frozenset(
            engine.id for engine in now
            if engine.id not in first
            or engine.renewals != first[engine.id].renewals)
        if any(engine.id in moved and engine.slot is not None
               for engine in now):
            return Liveness(Answer.ALIVE, moved, clock() - began)
    answer = Answer.SILENT if limit_s >= enough_s else Answer.UNKNOWN
    return Liveness(answer, frozenset(), clock() - began)
