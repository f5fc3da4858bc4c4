# SPDX-License-Identifier: Apache-2.0
"""``simulate``: the product in a false cloud, as a story or in numbers.

Runs nova_pets/simulator and shows what it found. Needs neither nova.conf nor
a database, and touches no cloud; a database that is named has to be empty.
"""

import argparse
import collections.abc
import contextlib
import dataclasses
import os
import time
import typing

from nova_pets import exception
from nova_pets.cmd import arguments
from nova_pets.cmd import console as console_module
from nova_pets.cmd import documents
from nova_pets.cmd import questions
from nova_pets.cmd import simulate_screen
from nova_pets.cmd import verb

if typing.TYPE_CHECKING:
    from nova_pets.simulator import coverage
    from nova_pets.simulator import many
    from nova_pets.simulator import run as run_module


@dataclasses.dataclass(frozen=True)
class Wish:
    """What was asked for."""

    seed: int | None = None
    runs: int | None = None
    first: int = 1
    scenario: str | None = None
    trace: str | None = None
    is_shrinking: bool = False
    is_verbose: bool = False
    side_tables: str | None = None
    keep: str | None = None
    is_complete: bool = False

    def check(self) -> None:
        """:raises OperatorError: it fits not together."""
        given = [name for name, value in (
            ('--seed', self.seed), ('--runs', self.runs),
            ('--scenario', self.scenario)) if value is not None]
        if len(given) != 1:
            raise exception.OperatorError(problem=(
                f'cannot tell what to run: expected one of --seed, --runs '
                f'and --scenario, found {" and ".join(given) or "none"}'))
        if self.runs is not None and self.runs < 1:
            raise exception.OperatorError(problem=(
                f'cannot use --runs {self.runs}: expected 1 or more'))
        if self.runs is None and (self.keep or self.is_complete):
            raise exception.OperatorError(problem=(
                'cannot use --keep or --complete here: expected --runs'))
        if self.seed is None and (self.trace or self.is_shrinking):
            raise exception.OperatorError(problem=(
                'cannot use --trace or --shrink here: expected --seed'))
        if self.seed is None and self.side_tables is not None:
            # Many seeds run at a time, and would share one database.
            raise exception.OperatorError(problem=(
                'cannot use --side-tables here: expected --seed'))


class SimulateVerb(verb.Verbs):
    """The verb, for nova_pets.cmd.manage.PetsCommands."""

    @arguments.args('--side-tables', metavar='<url>', dest='side_tables',
                    help='With --seed: keep the side tables in this empty '
                         'database, not in memory.')
    @arguments.args('--shrink', action='store_true', dest='is_shrinking',
                    help='After a violation: search a short story of it.')
    @arguments.args('--trace', metavar='<file>',
                    help='With --seed: write every line of the trace there.')
    @arguments.args('--verbose', action='store_true', dest='is_verbose',
                    help='Every step; with --runs, every count.')
    @arguments.args('--scenario', metavar='<file>',
                    help='Play a scenario file.')
    @arguments.args('--complete', action='store_true', dest='is_complete',
                    help='With --runs: to have left out anything that there '
                         'is to reach is a failure, too.')
    @arguments.args('--keep', metavar='<file>',
                    help='With --runs: keep what each seed did there, and do '
                         'not run those again that it has.')
    @arguments.args('--first', type=int, default=1, metavar='<seed>',
                    help='With --runs: the first seed (default 1).')
    @arguments.args('--runs', type=int, metavar='<number>',
                    help='Run many seeds; say what they reached and broke.')
    @arguments.args('--seed', type=int, metavar='<seed>',
                    help='Run one seed and tell it.')
    @verb.verb('Try the product in a false cloud, with faults; no real one '
               'is touched.')
    def simulate(self, seed: int | None = None, runs: int | None = None,
                 first: int = 1, scenario: str | None = None,
                 trace: str | None = None, is_shrinking: bool = False,
                 is_verbose: bool = False,
                 side_tables: str | None = None, keep: str | None = None,
                 is_complete: bool = False) -> int:
        document = run(
            Wish(seed, runs, first, scenario, trace, is_shrinking,
                 is_verbose, side_tables, keep, is_complete),
            None if self._as_json else self._console, self._console.width)
        return self._show(document, simulate_screen.screen)


class NoAccess:
    """In place of access.Access: nothing is opened, nothing is read."""

    is_debug = False
    log_file = None


def words_after(argv: collections.abc.Sequence[str]) -> list[str] | None:
    """Return the words after ``simulate``; None: another verb, or options
    of nova before it, which nova has to read."""
    given = list(argv[1:])
    if given[:1] == ['pets']:
        del given[0]
    return given[1:] if given[:1] == ['simulate'] else None


def parsed(method: arguments.Verb, words: list[str]) -> dict[str, typing.Any]:
    """Parse as nova.cmd.common would, without nova's configuration."""
    parser = argparse.ArgumentParser(
        'nova-pets-manage simulate',
        description=getattr(method, 'description', None))
    for flags, settings in getattr(method, 'args', ()):
        parser.add_argument(*flags, **settings)
    return vars(parser.parse_args(words))


def run(wish: Wish, console: console_module.Console | None, width: int
        ) -> documents.Document:
    """Return the document of ``simulate``.

    :param console: where progress is shown; None: nowhere.
    """
    wish.check()
    tell = (lambda text: None) if console is None else console.progress
    if wish.runs is not None:
        return _many(wish, tell)
    if wish.scenario is not None:
        return _scenario(wish.scenario)
    return _one(wish, tell, width)


# -- one seed -----------------------------------------------------------------


def _one(wish: Wish, tell: collections.abc.Callable[[str], None],
         width: int) -> documents.Document:
    from nova_pets.simulator import story
    result = _run_one(wish)
    if wish.trace is not None:
        _write_trace(wish.trace, result)
    story_lines = [*story.head(result, width), '',
                   *story.tell(result.lines, not wish.is_verbose, width),
                   '', *story.end(result, width)]
    document = {
        'exit_code': int(_code(result.violations)), 'seed': result.seed,
        'trace': result.digest, 'violations': result.violations,
        'faults': [str(fault) for fault in result.faults],
        'effective': result.effective, 'events': result.events,
        'rest_s': round(result.took_s, 3), 'story': story_lines,
        'shrunk': None}
    if wish.is_shrinking and result.violations:
        document['shrunk'] = _shrunk(result, tell)
    return document


def _run_one(wish: Wish) -> 'run_module.Result':
    from nova_pets.simulator import run as run_module
    assert wish.seed is not None  # nosec: Wish.check()
    if wish.side_tables is None:
        return run_module.run(wish.seed)
    # Not needed by others, and slow to be imported.
    from nova_pets.simulator import sql_side_tables
    try:
        database = sql_side_tables.Database(wish.side_tables)
    except exception.StoreUnavailable as error:
        raise exception.OperatorError(problem=str(error)) from error
    with contextlib.closing(database):
        return run_module.run(wish.seed, side_tables=database)


def _write_trace(path: str, result: 'run_module.Result') -> None:
    try:
        with open(path, 'w', encoding='utf-8') as file:
            for line in result.lines:
                file.write(f'{line!r}\n')
    except OSError as error:
        raise exception.OperatorError(problem=(
            f'cannot write the trace: {error}')) from error


def _shrunk(result: 'run_module.Result',
            tell: collections.abc.Callable[[str], None]) -> str:
    """Return a short scenario that breaks the same, or why there is none.
    """
    from nova_pets.simulator import scenario
    from nova_pets.simulator import shrink
    try:
        short = shrink.shrink(result, tell=tell)
    except shrink.DoesNotReplay as error:
        return f'# {error}'
    finally:
        tell('')
    found = scenario.of_faults(
        f'Seed {result.seed} broke {short.kind}.', result.seed, short.shape,
        short.faults)
    return scenario.written(found, scenario.play(found).told)


# -- many seeds ---------------------------------------------------------------


def _many(wish: Wish, tell: collections.abc.Callable[[str], None]
          ) -> documents.Document:
    assert wish.runs is not None  # nosec: Wish.check()
    seeds = range(wish.first, wish.first + wish.runs)
    total = _Total()
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        briefs = _briefs(seeds, wish.keep, total, stack)
        try:
            for brief in briefs:
                total.add(brief)
                tell(_progress(total, len(seeds), time.monotonic() - began))
        except KeyboardInterrupt:
            total.is_interrupted = True
        finally:
            tell('')
            typing.cast(typing.Any, briefs).close()
    return _told(wish, total, time.monotonic() - began)


class _Total:
    """What many seeds did, all together."""

    def __init__(self) -> None:
        self.counts: coverage.Counts = {}
        self.failed: dict[int, list[str]] = {}
        self.done = self.kept = 0
        self.least: int | None = None
        self.slowest_s = 0.0
        self.is_interrupted = False

    def add(self, brief: 'many.Brief') -> None:
        from nova_pets.simulator import coverage
        self.done += 1
        if brief.violations:
            self.failed[brief.seed] = brief.violations
        else:
            self.least = min(brief.effective, self.least or brief.effective)
            self.slowest_s = max(self.slowest_s, brief.took_s)
        coverage.add(self.counts, brief.counts)


def _briefs(seeds: range, keep: str | None, total: _Total,
            stack: contextlib.ExitStack
            ) -> 'collections.abc.Iterator[many.Brief]':
    """Yield what each seed does, and keep it; those that a file has are added
    to the total, and not run again."""
    from nova_pets.simulator import many
    if keep is None:
        return many.run(seeds)
    try:
        file = stack.enter_context(open(keep, 'a+b'))
        known = list(many.kept(file, seeds))
    except (OSError, ValueError) as error:
        raise exception.OperatorError(problem=(
            f'cannot keep the runs in {keep}: {error}')) from error
    for brief in known:
        total.add(brief)
    total.kept = len(known)
    done = {brief.seed for brief in known}
    return _kept(many.run([seed for seed in seeds if seed not in done]),
                 file)


def _kept(briefs: 'collections.abc.Iterator[many.Brief]',
          file: typing.BinaryIO) -> 'collections.abc.Iterator[many.Brief]':
    with contextlib.closing(typing.cast(typing.Any, briefs)):
        for brief in briefs:
            if brief.line:
                file.write(brief.line + b'\n')
                file.flush()
            yield brief


def _told(wish: Wish, total: _Total, took_s: float) -> documents.Document:
    from nova_pets.simulator import coverage
    from nova_pets.simulator import run as run_module
    parts = coverage.parts(total.counts)
    is_left_out = wish.is_complete and (
        any(part.missed for part in parts if part.is_demanded) or
        (total.least or 0) < run_module.EFFECTIVE)
    code = _code(total.failed or is_left_out)
    if total.is_interrupted and not total.failed:
        code = questions.Exit.CANNOT_TELL
    ran = total.done - total.kept
    return {
        'exit_code': int(code), 'first': wish.first,
        'runs': total.done, 'asked': wish.runs, 'kept': total.kept,
        'interrupted': total.is_interrupted,
        'took_s': round(took_s, 1), 'processes': os.cpu_count(),
        'runs_per_s': round(ran / took_s, 3) if took_s else None,
        'least_effective': total.least,
        'slowest_rest_s': round(total.slowest_s, 1),
        'failed': {str(seed): total.failed[seed]
                   for seed in sorted(total.failed)},
        'coverage': [_part(part) for part in parts],
        'is_complete': wish.is_complete, 'is_left_out': is_left_out,
        'by_hand': {' <- '.join(key): count for key, count in sorted(
            total.counts.get('by hand', {}).items())},
        'is_verbose': wish.is_verbose}


def _progress(total: _Total, asked: int, took_s: float) -> str:
    ran = total.done - total.kept
    left_s = took_s / ran * (asked - total.done)
    return (f'{total.done} of {asked} seeds, {len(total.failed)} failed, '
            f'{ran / took_s:.1f} seeds/s, {left_s:.0f} s left')


def _part(part: 'coverage.Part') -> documents.Document:
    return {'what': part.title, 'all': len(part.hits),
            'hit': len(part.hits) - len(part.missed),
            'missed': part.missed, 'hits': part.hits,
            'is_demanded': part.is_demanded}


# -- a scenario ---------------------------------------------------------------


def _scenario(path: str) -> documents.Document:
    from nova_pets.simulator import scenario
    from nova_pets.simulator import scenario_lines
    try:
        with open(path, encoding='utf-8') as file:
            text = file.read()
        known = scenario.parse(text)
        outcome = scenario.play(known)
    except (OSError, scenario_lines.NotUnderstood) as error:
        raise exception.OperatorError(problem=(
            f'cannot play {path}: {error}')) from error
    written = scenario.written(known, outcome.told)
    is_as_told = written == text
    return {
        'exit_code': int(_code(outcome.violations or not is_as_told)),
        'violations': outcome.violations, 'is_as_expected': is_as_told,
        'trace': outcome.result.digest, 'points': {
            name: len(done) for name, done in outcome.points.items()},
        'story': [*written.splitlines(), '', 'As expected.' if is_as_told
                  else 'NOT as the file expects.']}


def _code(wrong: object) -> questions.Exit:
    return questions.Exit.ACT if wrong else questions.Exit.WELL
