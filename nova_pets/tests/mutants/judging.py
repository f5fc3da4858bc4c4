# SPDX-License-Identifier: Apache-2.0
"""Who judges a module: the tests that concern it, then the simulator.

A judge is a process that has imported the product and all of its own, and
forks once for each mutant: nothing passes from one mutant to the next, and
only the first pays for the imports.
"""

import collections.abc
import enum
import fnmatch
import json
import os
import resource
import shutil
import tempfile

from nova_pets.tests.mutants import mutation
from nova_pets.tests.mutants import patching
from nova_pets.tests.mutants import pool
from nova_pets.tests.mutants import sources

TESTS = sources.ROOT / 'tests'

PLANNING = 'unit/planning/test_'
CONCERNED = (
    ('simulator.*', ()),
    ('planning.gating', (f'{PLANNING}gate_guards.py', f'{PLANNING}gating.py',
                         'unit/scheduler/test_gatekeeper.py')),
    ('planning.machine', (f'{PLANNING}gate_guards.py',
                          f'{PLANNING}machine.py')),
    ('planning.late', (f'{PLANNING}late.py', f'{PLANNING}gate_guards.py')),
    ('planning.audit', (f'{PLANNING}audit.py',)),
    ('planning.returning', (f'{PLANNING}returning.py',)),
    ('planning.storms', (f'{PLANNING}storms.py', f'{PLANNING}limits.py',
                         f'{PLANNING}host_guards.py')),
    ('model.*', (f'{PLANNING}recovery_guards.py',)),
    ('planning.*', tuple(f'{PLANNING}{name}.py' for name in (
        'host_guards', 'recovery_guards', 'settling_guards', 'planner',
        'hosts', 'homecoming', 'ladder', 'recoveries', 'settling',
        'gate_guards', 'detection', 'lost_records', 'external_events',
        'limits', 'flapping'))),
    ('engine.outages', ('unit/engine/test_outages.py',)),
    ('engine.witnesses', ('unit/engine/test_witnesses.py',
                          'unit/engine/test_sight_guards.py')),
    ('engine.memory', ('unit/engine/test_sight_guards.py',
                       'unit/engine/test_witnesses.py',
                       'unit/engine/test_attempt_guards.py',
                       'unit/engine/test_host_work_guards.py')),
    ('engine.collector', ('unit/engine/test_sight_guards.py',
                          'unit/engine/test_dumps.py',
                          'unit/engine/test_host_work_guards.py',
                          'unit/engine/test_attempt_guards.py')),
    ('engine.*', tuple(f'unit/engine/test_{name}_guards.py' for name in (
        'attempt', 'homecoming', 'host_work', 'sight'))),
    ('fencing.sequence', ('unit/fencing/test_level_guards.py',
                          'unit/fencing/test_power_on.py',
                          'unit/fencing/test_sequence.py')),
    ('fencing.*', ('unit/fencing/test_level_guards.py',
                   'unit/fencing/test_sequence.py')),
    ('scheduler.gatekeeper', ('unit/scheduler/test_gatekeeper.py',
                              'unit/scheduler/test_gate.py')),
    ('scheduler.filters.*', ('unit/scheduler/test_filters.py',)),
    ('scheduler.*', ('unit/scheduler',)),
    ('compute.audit', ('db/test_audit_rows.py',)),
    ('compute.writer', ('db/test_writer_guards.py', 'db/test_door_rows.py')),
    ('compute.evacuation', ('db/test_writer_guards.py',)),
    ('compute.*', ('db/test_reader_guards.py', 'db/test_door_rows.py')),
    ('db.gate', ('db/test_gate.py', 'db/test_lost_commit.py')),
    ('db.recoveries', ('db/test_recoveries.py', 'db/test_lost_commit.py',
                       'db/test_races.py')),
    ('db.claims', ('db/test_recoveries.py', 'db/test_hosts.py',
                   'db/test_lost_commit.py', 'db/test_races.py')),
    ('db.engines', ('db/test_engines.py', 'db/test_lost_commit.py',
                    'db/test_races.py')),
    ('db.hosts', ('db/test_hosts.py', 'db/test_lost_commit.py')),
    ('db.pets', ('db/test_pets.py',)),
    ('db.history', ('db/test_history.py', 'db/test_recoveries.py')),
    ('db.controls', ('db/test_controls.py', 'db/test_lost_commit.py')),
    ('db.schema', ('db/test_schema.py',)),
    ('db.s*', ('db/test_snapshot.py', 'db/test_calm_snapshot.py',
               'db/test_lost_commit.py')),
)
"""(pattern of modules, tests that judge them): the first that fits, the
nearest tests first."""

SIMULATED = ('planning.*', 'model.*', 'engine.*', 'fencing.sequence',
             'scheduler.gatekeeper', 'simulator.*')
"""Modules that the simulator runs. Its own stand for ours that it cannot
run: the store's SQL and the host filters."""

WITHOUT_SERVERS = 'not mysql and not postgresql and not memory'


TESTS_CPU_S = 60
SIMULATOR_CPU_S = 240
"""A mutant that loops is ended after so much work, however crowded the
machine is."""
DEADLINE_S = 900.0
"""By the clock on the wall, for one that waits."""

Cases = collections.abc.Sequence[mutation.Mutant | None]
"""None: the product as it is."""
Ask = collections.abc.Callable[[mutation.Mutant | None], 'Verdict']


class Verdict(enum.IntEnum):
    """What became of one mutant; the values are exit codes."""

    SURVIVED = 0
    CAUGHT = 1
    NOT_JUDGED = 90
    """It could not be put in place, or the tests could not be run."""


def is_simulated(module: str) -> bool:
    return any(fnmatch.fnmatch(module, pattern) for pattern in SIMULATED)


def tests_of(module: str) -> tuple[str, ...]:
    """Return the paths of the tests that concern a module, in order.

    Those that are not there (yet) are left out.
    """
    for pattern, tests in CONCERNED:
        if fnmatch.fnmatch(module, pattern):
            return tuple(str(TESTS / test) for test in tests
                         if (TESTS / test).exists())
    raise ValueError(f'no tests are named for {module}')


def judge_by_tests(paths: collections.abc.Sequence[str], cases: Cases,
                   at_once: int, tell: collections.abc.Callable[
                       [str], None]) -> None:
    """Collect the tests, then run them for each case until one fails.

    :param tell: takes one line of JSON for each case that is judged.
    """
    import pytest
    os.environ.pop('NOVA_PETS_REQUIRE', None)
    base = tempfile.mkdtemp(prefix='mutants-')
    try:
        pytest.main([
            '-q', '-s', '-n', '0', '--timeout', '0', '--tb', 'line',
            '--no-header', '-p', 'no:cacheprovider',
            '-k', WITHOUT_SERVERS, *paths],
            plugins=[_Loop(cases, at_once, tell, base)])
    finally:
        shutil.rmtree(base, ignore_errors=True)


class _Loop:
    """A plugin of pytest: runs what was collected once for each case."""

    def __init__(self, cases: Cases, at_once: int, tell, directory: str):
        self._cases = cases
        self._at_once = at_once
        self._tell = tell
        self._directory = directory

    def pytest_runtestloop(self, session):
        if session.testsfailed:
            # Its collection: the product itself does not pass.
            return None

        def ask(case: mutation.Mutant | None) -> Verdict:
            # Where pytest makes its directories, for this process alone.
            os.environ['PYTEST_DEBUG_TEMPROOT'] = tempfile.mkdtemp(
                dir=self._directory)
            for number, item in enumerate(session.items):
                following = session.items[number + 1:number + 2]
                item.config.hook.pytest_runtest_protocol(
                    item=item, nextitem=following[0] if following else None)
                if session.testsfailed:
                    print(f'\nCAUGHT {item.name}')
                    return Verdict.CAUGHT
            return Verdict.SURVIVED
        _judge(ask, self._cases, self._at_once, TESTS_CPU_S, self._tell)
        return True


def judge_by_simulator(seeds: collections.abc.Sequence[int], cases: Cases,
                       at_once: int, tell: collections.abc.Callable[
                           [str], None]) -> None:
    """Run seeds for each case, until one ends badly; where the case is to
    show an invariant, until that was found broken."""
    from nova_pets.simulator import run

    def ask(case: mutation.Mutant | None) -> Verdict:
        wanted = case.shows if case else ''
        for seed in seeds:
            try:
                violations = run.run(seed).violations
            except Exception as error:
                # A mutant may break anything.
                violations = [f'{type(error).__name__}: {error}']
            for sentence in violations:
                if sentence.startswith(f'{wanted} ' if wanted else ''):
                    print(f'\nCAUGHT seed {seed}: {sentence}')
                    return Verdict.CAUGHT
        return Verdict.SURVIVED
    _judge(ask, cases, at_once, SIMULATOR_CPU_S, tell)


def _judge(ask: Ask, cases: Cases, at_once: int, cpu_s: int, tell) -> None:
    def job(case: mutation.Mutant | None) -> collections.abc.Callable[
            [], int]:
        def begin() -> int:
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 5))
            if case is not None:
                source = sources.load(case.module)
                try:
                    patching.patch(source, case.function,
                                   mutation.apply(case, source))
                except patching.CannotPatch as error:
                    print(error)
                    return Verdict.NOT_JUDGED
            return ask(case)
        return begin

    jobs = [job(case) for case in cases]
    for number, outcome in pool.run(jobs, at_once, DEADLINE_S):
        tell(json.dumps({'case': number, 'code': outcome.code,
                         'took_s': outcome.took_s,
                         'output': outcome.output[-2000:]}))
