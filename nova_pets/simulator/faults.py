# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, as data: kinds, when they strike, and how they end.

A fault strikes at a time, or a moment after the n-th line of a kind in the
trace (so that it meets states that pass quickly). ``deeds`` says what each
kind does. Whether it changed anything is told: only those count.
"""

import collections
import collections.abc
import dataclasses
import typing

from nova_pets import exception
from nova_pets.simulator import cloud as cloud_module
from nova_pets.simulator import deeds
from nova_pets.simulator import deeds_engines
from nova_pets.simulator import deeds_hosts
from nova_pets.simulator import deeds_nova
from nova_pets.simulator import deeds_people
from nova_pets.simulator import engines
from nova_pets.simulator import kernel as kernel_module

PARTS = (deeds_engines, deeds_nova, deeds_hosts, deeds_people)
"""The modules whose deeds there are."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, and, mostly, ends."""

    kind: str
    """A name of deeds.KINDS."""
    target: str = ''
    """A host, worker, machine, cell, instance or stage, by kind."""
    at_s: float | None = None
    """Seconds from the beginning; None: ``on`` says when."""
    on: tuple[str, str, int] | None = None
    """(kind of line, word in it, count): after the count-th such line."""
    delay_s: float = 0.0
    """After the line."""
    lasts_s: float = 0.0
    amount: float = 0.0
    """By kind: calls, seconds, a factor."""

    def __str__(self) -> str:
        when = (f'at {self.at_s:.3f}' if self.on is None else
                f'on {self.on[0]!r} {self.on[1]!r} {self.on[2]} '
                f'+{self.delay_s:.3f}')
        parts = [self.kind, self.target, when]
        if self.lasts_s:
            parts.append(f'for {self.lasts_s:.3f}')
        if self.amount:
            parts.append(f'x {self.amount:.3f}')
        return ' '.join(part for part in parts if part)


class Injector:
    """Lets faults strike in one cloud; the engines.Faults of its workers.

    :param faults: those that are known from the beginning.
    """

    def __init__(self) -> None:
        self.cloud: cloud_module.FalseCloud = typing.cast(typing.Any, None)
        self.struck: list[Fault] = []
        self.effective: set[int] = set()
        """Numbers (places in ``struck``) of those that changed anything."""
        self.met: collections.Counter[tuple[str, str]] = (
            collections.Counter())
        """(kind, state of some open recovery when it struck): how often, of
        those that there was something to do for."""
        self.is_healed = False
        self.stages: dict[tuple[str, str], list[int]] = {}
        """{(stage, host or ''): numbers of faults that use up one each}"""
        self.calls: dict[str, list[int]] = collections.defaultdict(list)
        """{'refused' | 'unseen': numbers of faults, one per call}"""
        self.hangs: dict[str, list[tuple[float, int]]] = (
            collections.defaultdict(list))
        """{worker: (seconds, number of the fault), one per call}"""
        self.has_hung = False
        self.messages: list[tuple[str, float, int]] = []
        """(what, seconds, number): the fate of the next messages."""
        self.undo: dict[int, kernel_module.Call] = {}
        self._waiting: list[Fault] = []
        self._seen: collections.Counter[tuple[str, str]] = (
            collections.Counter())
        self._read = 0
        self._chance: typing.Any = None

    def attach(self, cloud: cloud_module.FalseCloud,
               faults: collections.abc.Iterable[Fault]) -> None:
        self.cloud = cloud
        self._chance = cloud.kernel.random('fate')
        cloud.nova.fails = self._fails
        cloud.world.broker.fate = self._fate
        judge = cloud.kernel.after_step

        def after_step() -> None:
            if judge is not None:
                judge()
            self._look()

        cloud.kernel.after_step = after_step
        for fault in faults:
            self.expect(fault)

    def expect(self, fault: Fault) -> None:
        """Let a fault strike when its time comes."""
        if fault.at_s is None:
            self._waiting.append(fault)
            return
        delay_s = kernel_module.START + fault.at_s - self.cloud.kernel.now
        self.cloud.kernel.after(delay_s, lambda: self.strike(fault))

    def strike(self, fault: Fault) -> None:
        if self.is_healed:
            return
        cloud = self.cloud
        number = len(self.struck)
        self.struck.append(fault)
        cloud.kernel.note('fault', fault.kind, fault.target,
                          round(fault.lasts_s, 3), round(fault.amount, 3))
        met = {str(row.state) for row in cloud.open_recoveries()}
        kind = deeds.KINDS[fault.kind]
        try:
            end = kind.deed(self, fault, number)
        except deeds.NothingToDo:
            return
        for state in sorted(met):
            self.met[fault.kind, state] += 1
        if not kind.is_later:
            self.effective.add(number)
        if end is not None:
            self.undo[number] = end
            if fault.lasts_s:
                cloud.kernel.after(fault.lasts_s,
                                   lambda: self.end(number))

    def end(self, number: int) -> None:
        end = self.undo.pop(number, None)
        if end is not None:
            self.cloud.kernel.note('fault ends', self.struck[number].kind,
                                   self.struck[number].target)
            end()

    def heal(self) -> None:
        """End everything that still goes wrong, and let nothing begin."""
        self.is_healed = True
        self._waiting.clear()
        self.stages.clear()
        self.calls.clear()
        self.messages.clear()
        for number in sorted(self.undo):
            self.end(number)

    # -- triggers ------------------------------------------------------------

    def _look(self) -> None:
        """Count the new lines, for those who wait for one."""
        lines = self.cloud.kernel.lines
        if not self._waiting:
            self._read = len(lines)
            return
        while self._read < len(lines):
            line = lines[self._read]
            self._read += 1
            if line[1] in ('recovery', 'host', 'nova', 'commit',
                           'outside'):
                words = [word for word in line[2:] if isinstance(word, str)]
                for word in dict.fromkeys(words):
                    self._count(line[1], word)

    def _count(self, kind: str, word: str) -> None:
        self._seen[kind, word] += 1
        mark = (kind, word, self._seen[kind, word])
        for fault in [one for one in self._waiting if one.on == mark]:
            self._waiting.remove(fault)
            self.cloud.kernel.after(fault.delay_s,
                                    lambda fault=fault: self.strike(fault))

    # -- hooks ---------------------------------------------------------------

    def used(self, number: int) -> None:
        self.effective.add(number)

    def _fails(self, stage: str, uuid: str, where: str) -> str | None:
        numbers = self.stages.get((stage, where)) or self.stages.get(
            (stage, ''))
        if not numbers:
            return None
        self.used(numbers.pop(0))
        return 'error'

    def _fate(self, message: typing.Any) -> tuple[float, ...]:
        normal_s = self._chance.uniform(0.002, 0.02)
        if not self.messages or message.topic == 'scheduler' or (
                _is_of_a_person(message)):
            return (normal_s,)
        what, seconds, number = self.messages.pop(0)
        self.used(number)
        self.cloud.kernel.note('message', what, message.topic, message.id)
        if what == 'lost':
            return ()
        if what == 'late':
            return (normal_s + seconds,)
        return (normal_s, normal_s + seconds)

    def before(self, worker: engines.Worker, port: str, method: str) -> None:
        hangs = self.hangs.get(worker.name)
        if hangs and worker.is_beside():
            for_s, number = hangs.pop(0)
            self.used(number)
            self.has_hung = True
            self.cloud.kernel.note('call hangs', worker.name, port, method,
                                   round(for_s, 3))
            self.cloud.kernel.sleep(for_s)
        if port == 'store' and self.calls['refused']:
            self.used(self.calls['refused'].pop(0))
            self.cloud.kernel.note('store refuses', worker.name, method)
            raise exception.StoreUnavailable(what=method, found='deadlock')

    def after(self, worker: engines.Worker, port: str, method: str) -> None:
        if port == 'store' and self.calls['unseen'] and worker.wrote:
            self.used(self.calls['unseen'].pop(0))
            self.cloud.kernel.note('commit unseen', worker.name, method)
            raise exception.StoreUnavailable(
                what=method, found='the connection was lost')


def _is_of_a_person(message: typing.Any) -> bool:
    """A late order to start runs wherever it arrives, and only draining the
    queue helps; so it is not made to arrive after that."""
    return type(message.body).__name__ in ('Power', 'LiveMigrate')
