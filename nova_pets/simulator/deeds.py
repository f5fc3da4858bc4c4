# SPDX-License-Identifier: Apache-2.0
"""The kinds of faults: a name, a deed, and what it strikes.

The deeds are in deeds_*.py, which add themselves to KINDS when faults.py
imports them. A deed raises NothingToDo where it would change nothing (the
worker is dead already), and returns what ends it, or None. What cannot be
closed by any design is not done: a machine that nobody reaches, lives, and
reads OFF at its BMC (design.md, section 9).
"""

import collections.abc
import dataclasses
import random
import typing

if typing.TYPE_CHECKING:
    from nova_pets.simulator import faults

Call = collections.abc.Callable[[], None]
Deed = collections.abc.Callable[
    ['faults.Injector', 'faults.Fault', int], Call | None]


class NothingToDo(Exception):
    """The fault would not change anything here and now."""


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    deed: Deed
    target: str
    """worker | machine | host | cell | conductor | pet | stage | ''"""
    lasts_s: tuple[float, float] = (0.0, 0.0)
    amount: tuple[float, float] = (0.0, 0.0)
    is_later: bool = False
    """It counts when it is used up, not when it strikes."""
    weight: float = 1.0
    share: float | None = None
    """Drawn apart, from a stream of its own, in this share of the seeds: so
    the other kinds stay what they were to a seed before there was this one.
    None: drawn by its weight, as most are."""


KINDS: dict[str, Kind] = {}


def kind(name: str, target: str = '', **more: typing.Any
          ) -> collections.abc.Callable[[Deed], Deed]:
    def keep(deed: Deed) -> Deed:
        KINDS[name] = Kind(deed, target, **more)
        return deed
    return keep


def draw_amounts(of: Kind, chance: random.Random) -> tuple[float, float]:
    """Return (lasts_s, amount) for a fault of the kind."""
    return (round(chance.uniform(*of.lasts_s), 3),
            round(chance.uniform(*of.amount), 3))
