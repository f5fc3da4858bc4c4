# SPDX-License-Identifier: Apache-2.0
"""From a run that breaks an invariant to a short one that still does.

Leaves out faults by delta debugging, then pets, hosts and engines, then
shortens what is left. What counts is the kind of violation (I1, L1, a bug),
not its sentence. Draws nothing: same run in, same run out.
"""

import collections.abc
import dataclasses
import re

from nova_pets.simulator import cloud as cloud_module
from nova_pets.simulator import faults as faults_module
from nova_pets.simulator import run as run_module

Faults = list[faults_module.Fault]
_NUMBER = re.compile(r'[AIL]\d+')


@dataclasses.dataclass(frozen=True)
class Short:
    shape: cloud_module.Shape
    faults: Faults
    kind: str
    """What it breaks."""
    result: run_module.Result
    runs: int
    """How many runs it took."""


class DoesNotReplay(Exception):
    """The faults, given, do not break what they broke when drawn."""


def kind_of(violation: str) -> str:
    """Return 'I4' for 'I4 at 12.3: ...', 'bug' for a traceback."""
    found = _NUMBER.match(violation)
    return found[0] if found else 'bug'


def shrink(result: run_module.Result, runs_max: int = 200,
           tell: collections.abc.Callable[[str], None] = lambda text: None
           ) -> Short:
    """Return the shortest run that was found to break the same.

    :param tell: told what is tried, for a person who waits.
    :raises DoesNotReplay: also for a run without a violation.
    """
    if not result.violations:
        raise DoesNotReplay(f'seed {result.seed} breaks nothing')
    # What does not come to rest costs the whole bound each time: a part of
    # it tells nearly as well, and the end is judged by the whole.
    for bound_s in (0.4 * run_module.BOUND_S, run_module.BOUND_S):
        search = _Search(result, runs_max, tell, bound_s)
        if search.search():
            return Short(search.shape, search.faults, search.kind,
                         search.result, search.runs)
    raise DoesNotReplay(
        f'seed {result.seed} breaks {search.kind} with drawn faults, and '
        f'not when the same are given')


class _Search:
    def __init__(self, result: run_module.Result, runs_max: int,
                 tell: collections.abc.Callable[[str], None],
                 bound_s: float):
        self.kind = kind_of(result.violations[0])
        self.seed = result.seed
        self.shape = result.shape
        self.faults = result.faults
        self.result = result
        self.runs = 0
        self._runs_max = runs_max
        self._tell = tell
        self._bound_s = bound_s
        self._failed: set[tuple[cloud_module.Shape,
                                tuple[faults_module.Fault, ...]]] = set()

    def search(self) -> bool:
        """Shrink; return whether the end is a violation by the whole bound.
        """
        if not self.holds(self.shape, self.faults):
            return False
        before = None
        while before != (self.shape, self.faults):
            before = self.shape, self.faults
            self.leave_out_faults()
            self.make_smaller()
            self.shorten()
        self.result = run_module.run(self.seed, self.shape, self.faults)
        return self._breaks(self.result)

    def _breaks(self, result: run_module.Result) -> bool:
        return self.kind in map(kind_of, result.violations)

    def holds(self, shape: cloud_module.Shape, faults: Faults) -> bool:
        """Return whether it still breaks the same; if so, keep it."""
        key = shape, tuple(faults)
        if key in self._failed or self.runs >= self._runs_max:
            return False
        self.runs += 1
        self._tell(f'run {self.runs}: {len(faults)} faults, '
                   f'{len(shape.instances)} instances, '
                   f'{len(shape.hosts)} hosts')
        result = run_module.run(self.seed, shape, list(faults),
                                self._bound_s)
        if not self._breaks(result):
            self._failed.add(key)
            return False
        self.shape, self.faults, self.result = shape, list(faults), result
        return True

    def leave_out_faults(self) -> None:
        """ddmin: leave out ever smaller parts of the list."""
        size = max(len(self.faults) // 2, 1)
        while True:
            place = 0
            while place < len(self.faults):
                fewer = (self.faults[:place] + self.faults[place + size:])
                if not self.holds(self.shape, fewer):
                    place += size
            if size == 1:
                return
            size //= 2

    def make_smaller(self) -> None:
        for name in [one.name for one in self.shape.instances]:
            self._without('instances', name)
        for host in reversed([one.name for one in self.shape.hosts]):
            if not any(one.host == host for one in self.shape.instances):
                self._without('hosts', host)
        for machine, number in reversed(self.shape.workers[1:]):
            self._without('workers', f'{machine}/{number}')

    def _without(self, field: str, name: str) -> None:
        left = tuple(
            one for one in getattr(self.shape, field)
            if name != (one.name if field != 'workers' else
                        f'{one[0]}/{one[1]}'))
        shape = dataclasses.replace(self.shape, **{field: left})
        machines = {f'{machine}' for machine, _ in shape.workers}
        gone = {name} | ({name.partition('/')[0]} - machines)
        if left:
            self.holds(shape, [fault for fault in self.faults
                               if fault.target not in gone])

    def shorten(self) -> None:
        """Rounder and smaller numbers, where they do as well."""
        for place in range(len(self.faults)):
            for easier in _easier(self.faults[place]):
                faults = list(self.faults)
                faults[place] = easier
                if self.holds(self.shape, faults):
                    break


def _easier(fault: faults_module.Fault
            ) -> collections.abc.Iterator[faults_module.Fault]:
    """Yield simpler faults of the same kind, the simplest first."""
    for digits in (0, 1):
        rounded = dataclasses.replace(
            fault, lasts_s=round(fault.lasts_s, digits),
            at_s=None if fault.at_s is None else round(fault.at_s, digits),
            delay_s=round(fault.delay_s, digits),
            amount=round(fault.amount, digits))
        if rounded.lasts_s > 10:
            yield dataclasses.replace(rounded, lasts_s=5.0)
            yield dataclasses.replace(rounded,
                                      lasts_s=rounded.lasts_s // 2)
        if rounded != fault and (rounded.lasts_s or not fault.lasts_s):
            yield rounded
