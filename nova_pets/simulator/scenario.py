# SPDX-License-Identifier: Apache-2.0
"""Scenario files: a story of commands, and what must be told of it.

The first line says why. Then come blocks: commands, a line ``----``, and the
story that they make. Commands: world, fault (scenario_lines.py), ``run 5m``,
``heal`` (all faults end), ``operator`` (a person does what is asked for from
now on), ``rest`` (until all is well). A line that begins with a space goes
on with the one before it.

The same commands are played again with engines that die at given points;
then only where it ends is compared. Decides nothing about the product.
"""

import collections
import collections.abc
import dataclasses
import textwrap
import typing

from nova_pets.simulator import cloud as cloud_module
from nova_pets.simulator import engines
from nova_pets.simulator import faults as faults_module
from nova_pets.simulator import kernel as kernel_module
from nova_pets.simulator import run as run_module
from nova_pets.simulator import scenario_lines as lines_module
from nova_pets.simulator import story

RULE = '----'
RESTART_S = 20.0
"""After its death at a point an engine is started again."""

Line = tuple[typing.Any, ...]
DiesHere = collections.abc.Callable[[engines.Worker], bool]


@dataclasses.dataclass(frozen=True)
class Block:
    written: tuple[str, ...]
    """Its commands as they stand in the file, remarks too."""
    expected: tuple[str, ...] = ()

    @property
    def commands(self) -> list[str]:
        found: list[str] = []
        for line in self.written:
            if line.startswith('#') or not line.strip():
                continue
            if line.startswith(' ') and found:
                found[-1] += ' ' + line.strip()
            else:
                found.append(line.strip())
        return found


@dataclasses.dataclass(frozen=True)
class Scenario:
    why: str
    blocks: tuple[Block, ...]


@dataclasses.dataclass(frozen=True)
class Death:
    """An engine dies at its n-th point, counted from its start; of the
    second and later deaths, from the death before."""

    worker: str
    point: int


@dataclasses.dataclass(frozen=True)
class Outcome:
    told: tuple[tuple[str, ...], ...]
    """The story of each block."""
    violations: list[str]
    ends: dict[str, str]
    """{instance: runs | stopped | gone}, as its owner has it in the end"""
    result: run_module.Result
    points: dict[str, list[str]]
    """{worker: what was done at each point of its first incarnation}"""
    passed: int
    """Points that all incarnations have counted themselves."""


def parse(text: str) -> Scenario:
    """:raises NotUnderstood: what is wrong, and in which line."""
    lines = text.rstrip('\n').split('\n')
    if not lines[0].startswith('# '):
        raise lines_module.NotUnderstood(
            f'line 1: expected "# why there is this scenario", found '
            f'{lines[0]!r}')
    blocks: list[Block] = []
    written: list[str] = []
    expected: list[str] | None = None
    for line in lines[1:]:
        if expected is None:
            if line == RULE:
                expected = []
            elif line.strip() or written:
                written.append(line)
        elif line.strip():
            expected.append(line)
        else:
            blocks.append(Block(tuple(written), tuple(expected)))
            written, expected = [], None
    if written or expected is not None:
        blocks.append(Block(tuple(written), tuple(expected or ())))
    return Scenario(lines[0], tuple(blocks))


def written(scenario: Scenario, told: tuple[tuple[str, ...], ...]) -> str:
    """Return the file of a scenario with what was told in it."""
    parts = [scenario.why]
    for block, lines in zip(scenario.blocks, told, strict=True):
        parts += [*block.written, RULE, *lines, '']
    return '\n'.join(parts).rstrip('\n') + '\n'


def of_faults(why: str, seed: int, shape: typing.Any,
              faults: list[faults_module.Fault]) -> Scenario:
    """Return the scenario that is the same as run.Run(seed, shape, faults).
    """
    commands = _folded(lines_module.world_line(
        lines_module.World(shape, seed)))
    for fault in faults:
        commands += _folded(lines_module.fault_line(fault))
    return Scenario(f'# {why}', (Block((
        *commands, f'run {run_module.ends_s(faults):.3f}', 'heal',
        'operator', 'rest')),))


def _folded(command: str) -> list[str]:
    """Break a command at its spaces, to 79 columns."""
    return textwrap.wrap(command, story.WIDTH, subsequent_indent='    ',
                         break_long_words=False, break_on_hyphens=False)


def play(scenario: Scenario, deaths: tuple[Death, ...] = (),
         dies_here: DiesHere | None = None) -> Outcome:
    """Do what it says; return what was told.

    :param deaths: engines that die, one after the other.
    :param dies_here: in the place of ``deaths``: asked at each point of each
        engine (``Worker.points``). Who dies is started again.
    :raises NotUnderstood: a command cannot be read.
    """
    first, *rest = scenario.blocks[0].commands
    if not first.startswith('world '):
        raise lines_module.NotUnderstood(
            f'cannot begin with {first!r}: expected world ...')
    known = lines_module.world(first.removeprefix('world ').split())
    player = _Player(run_module.Run(known.seed, known.shape, []))
    told: list[tuple[str, ...]] = []
    with player.run.watched():
        if dies_here is not None or deaths:
            cloud = player.run.cloud
            cloud.dies_here = _Restarting(
                cloud, dies_here or _InTurn(list(deaths)))
        for number, block in enumerate(scenario.blocks):
            commands = block.commands if number else rest
            told.append(tuple(player.block(commands)))
        player.settle()
        ends = player.ends()
    result = player.run.result(player.took_s)
    return Outcome(tuple(told), result.violations, ends, result,
                   points_of(result.lines),
                   sum(worker.points for worker in player.run.cloud.born))


def points_of(lines: list[Line]) -> dict[str, list[str]]:
    """Return at what each worker could have died in its first life, from a
    trace: after each commit, before and after each outside call."""
    points: dict[str, list[str]] = {}
    lives: collections.Counter[str] = collections.Counter()
    for line in lines:
        if line[1] == 'engine starts':
            lives[line[2]] += 1
            points.setdefault(line[2], [])
        elif line[1] in ('commit', 'outside', 'outside done') and (
                lives[line[2]] == 1):
            method = line[3] if line[1] == 'commit' else line[4]
            points[line[2]].append(f'{line[1]} {method}')
    return points


class _InTurn:
    """Deaths one after the other."""

    def __init__(self, deaths: list[Death]):
        self._deaths = deaths
        self._counted = 0

    def __call__(self, worker: engines.Worker) -> bool:
        if not self._deaths or worker.name != self._deaths[0].worker:
            return False
        self._counted += 1
        if self._counted < self._deaths[0].point:
            return False
        del self._deaths[0]
        self._counted = 0
        return True


class _Restarting:
    """Who dies at a point is started again."""

    def __init__(self, cloud: cloud_module.FalseCloud, dies_here: DiesHere):
        self._cloud = cloud
        self._dies_here = dies_here

    def __call__(self, worker: engines.Worker) -> bool:
        if not self._dies_here(worker):
            return False
        self._cloud.kernel.after(
            RESTART_S, lambda: self._cloud.restart_worker(worker.name))
        return True


class _Player:
    def __init__(self, run: run_module.Run):
        self.run = run
        self.took_s = 0.0
        self._is_operated = False
        self._is_at_rest = False

    def block(self, commands: list[str]) -> list[str]:
        """Do the commands of a block; return its story."""
        kernel = self.run.cloud.kernel
        checks = self.run.cloud.checks
        begun, broken = len(kernel.lines), len(checks.violations)
        for command in commands:
            if not checks.violations:
                self._do(command)
        told = list(story.tell(kernel.lines[begun:], digits=0))
        if self._is_at_rest:
            told += [f'{"":11}{name:10} {text}'
                     for name, text in self._homes()]
        for sentence in checks.violations[broken:]:
            told += story.violation(sentence)
        if not checks.violations[broken:]:
            told.append(f'{kernel.now - kernel_module.START:7.0f}    '
                        f'invariants: ok')
        return told

    def _do(self, command: str) -> None:
        word, _, text = command.partition(' ')
        run = self.run
        kernel, checks = run.cloud.kernel, run.cloud.checks
        if word != 'rest':
            self._is_at_rest = False
        if word == 'run':
            kernel.run(kernel.now + lines_module.seconds(text),
                       lambda: bool(checks.violations))
        elif word == 'fault':
            fault = lines_module.fault(text)
            if fault.at_s is None and fault.on is None:
                fault = dataclasses.replace(
                    fault, at_s=kernel.now - kernel_module.START)
            run.injector.expect(fault)
        elif word == 'heal':
            run.heal()
        elif word == 'operator':
            self._operate()
        elif word == 'rest':
            self.took_s = run.come_to_rest(
                lines_module.seconds(text) if text else run_module.BOUND_S)
            self._is_at_rest = not checks.violations
        else:
            raise lines_module.NotUnderstood(
                f'cannot do {command!r}: expected fault, run, heal, '
                f'operator or rest')

    def _operate(self) -> None:
        if not self._is_operated:
            self._is_operated = True
            self.run.operator.begin()

    def settle(self) -> None:
        """Bring a story to its end that does not do it itself."""
        if self._is_at_rest or self.run.cloud.checks.violations:
            return
        self.run.heal()
        self._operate()
        self.took_s = self.run.come_to_rest()

    def ends(self) -> dict[str, str]:
        found = {}
        for instance in self.run.shape.instances:
            row = self.run.cloud.instance(instance.name)
            if instance.is_pet:
                found[instance.name] = (
                    'gone' if row is None or row.deleted else
                    'stopped' if row.vm_state == 'stopped' else 'runs')
        return found

    def _homes(self) -> list[tuple[str, str]]:
        cloud = self.run.cloud
        found = []
        for name, text in self.ends().items():
            row = cloud.instance(name)
            where = f' on {row.host}' if row and text != 'gone' else ''
            found.append((name, {'stopped': 'is stopped', 'gone':
                                 'is deleted'}.get(text, text) + where))
        return found
