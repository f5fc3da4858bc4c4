# SPDX-License-Identifier: Apache-2.0
"""Which windows of an evacuation a run went through, read off its trace.

Pure. The windows are those of nova-evacuation.md, section 2 (specs/0007): the
point at which an evacuation broke, or a deed that crossed it. An evacuation
is followed from its record (``accepted``) to the next one of its instance.
"""

import collections
import collections.abc
import dataclasses
import typing

Line = tuple[typing.Any, ...]

WINDOWS = ('W1', 'W2', 'W3', 'W4', 'W5', 'W6', 'W6b', 'W7', 'W8', 'W9', 'W10',
           'W10b', 'W11', 'W12', 'W13', 'W14', 'W15', 'W16', 'W17', 'W18',
           'W19', 'W20', 'W21', 'W22', 'W23')

_OUTAGES = frozenset({'broker away', 'cell database away',
                      'side tables away'})
_COMPUTE = 'compute_rebuild_instance'
_DEATHS = frozenset({'nova-compute dies', 'system crashes', 'power off'})
_OPEN = frozenset({'pending', 'ready', 'waiting', 'requesting', 'scheduling',
                   'building', 'settling'})
_LAST = (
    ('W10b', {'powering off'}),
    ('W10', {'saves after spawn'}),
    ('W9', {'spawning'}),
    ('W8', {f'{_COMPUTE} begins'}))
"""Where a destination that neither ended nor failed was, the last first."""


@dataclasses.dataclass
class _Evacuation:
    """One request, as far as it came."""

    steps: set[str] = dataclasses.field(default_factory=set)
    destination: str | None = None
    late: set[str] = dataclasses.field(default_factory=set)
    """Hosts where something else of the instance began meanwhile."""
    is_uncertain: bool = False
    """Its caller was not told that it was sent."""
    has_source_returned: bool = False
    has_destination_died: bool = False
    is_over: bool = False

    def windows(self) -> set[str]:
        """Return what it broke in; nothing for a good one."""
        if f'{_COMPUTE} begins' in self.steps:
            return self._at_destination()
        if 'casts to destination' in self.steps:
            return {'W7'}
        if 'conductor fails' in self.steps:
            if 'migration error' in self.steps:
                return {'W6'}
            return {'W6b' if 'placement_claim fails' in self.steps else 'W5'}
        if 'reads migration' in self.steps:
            return {'W4'}
        return {'W2' if self.is_uncertain else 'W3'}

    def _at_destination(self) -> set[str]:
        has_ended = f'{_COMPUTE} ends' in self.steps
        has_failed = f'{_COMPUTE} fails' in self.steps
        found = set()
        if self.has_source_returned and has_ended:
            found.add('W18')
        if self.has_source_returned and has_failed:
            found.add('W19')
        if has_failed:
            if 'after spawn' in self.steps:
                found.add('W11' if 'db fails' in self.steps else 'W14')
            else:
                found.add('W13' if 'writes error' in self.steps else 'W12')
        elif not has_ended:
            if not self.has_destination_died and 'after spawn' in self.steps:
                found.add('W11')
            else:
                found.add(next(name for name, steps in _LAST
                               if steps & self.steps))
        return found


class _Reader:
    def __init__(self) -> None:
        self.found: collections.Counter[str] = collections.Counter()
        self._home: dict[str, str] = {}
        self._state: dict[str, str] = {}
        self._latest: dict[str, _Evacuation] = {}
        self._alive: set[str] = set()
        self._events = {
            'nova': self._nova, 'recovery': self._recovery,
            'fault': self._fault, 'stage fails': self._stage,
            'system up': self._up}

    def read(self, lines: collections.abc.Iterable[Line]) -> None:
        for line in lines:
            if line[1] in _DEATHS:
                self._dies(line[2], line[1])
            else:
                reader = self._events.get(line[1])
                if reader is not None:
                    reader(*line[2:])
        for one in self._latest.values():
            self._end(one)

    def _end(self, one: _Evacuation | None) -> None:
        if one is not None and not one.is_over:
            one.is_over = True
            self.found.update(one.windows())

    def _nova(self, step: str, uuid: str, *rest: typing.Any) -> None:
        if step == 'booted':
            self._home[uuid] = rest[0]
            self._alive.add(rest[0])
        elif step == 'accepted':
            self._end(self._latest.get(uuid))
            self._latest[uuid] = _Evacuation()
            if self._home.get(uuid) in self._alive:
                self.found['W20'] += 1
        elif step == 'init writes error':
            self.found['W22'] += 1
        elif step == 'completes record':
            self._source_cleans_up(uuid)
        else:
            self._goes_on(step, uuid, *rest)

    def _goes_on(self, step: str, uuid: str, *rest: typing.Any) -> None:
        one = self._latest.get(uuid)
        if one is None:
            return
        where = rest[0] if isinstance(rest[0], str) else ''
        if where in one.late - {one.destination}:
            return
        if step == f'{_COMPUTE} begins':
            if one.is_over or step in one.steps:
                self.found['W21'] += 1
                one.late.add(where)
                return
            one.destination = where
        if step == f'{_COMPUTE} ends' and one.destination:
            self._home[uuid] = one.destination
        if step == 'live migrated':
            # Its new host is not told; it is known to be alive.
            self._home.pop(uuid, None)
        one.steps.add(step)
        if step in ('record deleted', 'record closed', 'adopted'):
            self._end(one)

    def _source_cleans_up(self, uuid: str) -> None:
        one = self._latest.get(uuid)
        if one is None or one.is_over or f'{_COMPUTE} ends' in one.steps:
            return
        if f'{_COMPUTE} begins' in one.steps:
            one.has_source_returned = True
        else:
            self.found['W17'] += 1
            one.is_over = True

    def _stage(self, stage: str, uuid: str, *rest: typing.Any) -> None:
        one = self._latest.get(uuid)
        if one is not None:
            one.steps.add(f'{stage} fails')

    def _recovery(self, uuid: str, before: str, after: str, reason: str,
                  *rest: typing.Any) -> None:
        one = self._latest.get(uuid)
        if before == 'requesting':
            if reason == 'nova_refused':
                self.found['W1'] += 1
            elif after == 'settling' and one is not None:
                one.is_uncertain = True
        if reason == 'rebased':
            self.found['W15'] += 1
        self._state[uuid] = after

    def _fault(self, kind: str, *rest: typing.Any) -> None:
        if kind in _OUTAGES:
            self.found['W23'] += 1

    def _up(self, host: str) -> None:
        self._alive.add(host)
        for uuid, home in self._home.items():
            if home != host or self._state.get(uuid) not in _OPEN:
                continue
            one = self._latest.get(uuid)
            if one is None or one.is_over:
                self.found['W16'] += 1

    def _dies(self, host: str, how: str) -> None:
        if how != 'nova-compute dies':
            self._alive.discard(host)
        for one in self._latest.values():
            if one.destination == host:
                one.has_destination_died = True


def reached(lines: collections.abc.Iterable[Line]
            ) -> collections.Counter[str]:
    """Return how often each window was gone through.

    :param lines: of the kernel's trace.
    """
    reader = _Reader()
    reader.read(lines)
    return reader.found
