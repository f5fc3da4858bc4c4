# SPDX-License-Identifier: Apache-2.0
"""One run of one seed: a cloud, a failure, more faults, healing, the end.

Safety is judged after each step; when the faults stop, everything has to
come to rest within a bound (L1 to L3). Same seed, same trace.
"""

import collections
import collections.abc
import contextlib
import dataclasses
import hashlib
import logging
import random
import traceback
import typing

from nova_pets import exception
from nova_pets.engine import engine as engine_module
from nova_pets.model import policy as policy_module
from nova_pets.model import states
from nova_pets.simulator import cloud as cloud_module
from nova_pets.simulator import coverage
from nova_pets.simulator import deeds
from nova_pets.simulator import drawing
from nova_pets.simulator import faults as faults_module
from nova_pets.simulator import kernel as kernel_module
from nova_pets.simulator import nova_rows
from nova_pets.simulator import operator
from nova_pets.simulator import windows

if typing.TYPE_CHECKING:
    from nova_pets.simulator import sql_side_tables

EFFECTIVE = 10
"""Faults that must have changed something before a drawn run is healed."""
FAULTS_MAX = 80
BOUND_S = 1500.0
"""From the end of the last fault to rest; virtual seconds."""
BUDGET_S = 1200.0
"""L2: the longest that a recovery may be in one passing state, when nothing
fails any more; shorter where the product has a limit of its own (_budgets).
"""
MARGIN_S = 90.0
"""Besides such a limit: a claim passes on, a look is due."""
REST_S = 20.0
"""How long everything has to be well before it counts."""
@dataclasses.dataclass
class Result:
    seed: int
    shape: cloud_module.Shape
    faults: list[faults_module.Fault]
    """As they struck: a run of these, in place of drawn ones, is the same.
    """
    effective: int
    violations: list[str]
    digest: str
    lines: list[tuple[object, ...]]
    took_s: float
    """Virtual seconds from healing to rest."""
    events: int
    counts: dict[str, collections.Counter[object]]


class Run:
    """:param faults: None: drawn from the seed, until enough had effect.
    :param bound_s: after healing, in which all has to come to rest.
    :param side_tables: a database for them; None: they are in memory.
    """

    def __init__(self, seed: int,
                 shape: cloud_module.Shape | None = None,
                 faults: list[faults_module.Fault] | None = None,
                 bound_s: float = BOUND_S, *,
                 side_tables: 'sql_side_tables.Database | None' = None):
        self.seed = seed
        self._bound_s = bound_s
        chance = random.Random(f'{seed}/plan')  # nosec B311
        if shape is None:
            shape = drawing.draw_policy(drawing.draw_shape(chance), seed)
        self.shape = shape
        self._drawn = None if faults is not None else drawing.Drawn(
            self.shape, chance, seed)
        self.injector = faults_module.Injector()
        self._bugs: list[str] = []
        self._handler = _Listener(self._bugs)
        self._cloud = cloud_module.FalseCloud(seed, self.shape,
                                              self.injector, side_tables)
        self.operator = operator.Operator(self._cloud)
        self.injector.attach(self._cloud, self._drawn.first()
                             if self._drawn else faults or [])
        self._known = faults
        self._well_since: float | None = None
        self._budgets = _budgets(self.shape.policy)
        self._hangs_s = engine_module.hangs_s(self.shape.policy) + 2 * MARGIN_S
        """More, where a call hung: until an engine begins anew for it."""
        self._passing: dict[int | None, tuple[states.RecoveryState, float]
                            ] = {}
        """Of each open recovery: its state, and since when (L2)."""
        self._is_healed = False
        self._rows = coverage.Rows()

    @property
    def cloud(self) -> cloud_module.FalseCloud:
        return self._cloud

    def go(self) -> Result:
        took_s = 0.0
        with self.watched():
            self._faulty_phase()
            took_s = self._healing_phase()
        return self.result(took_s)

    @contextlib.contextmanager
    def watched(self) -> collections.abc.Iterator[None]:
        """Hear of bugs while the cloud runs; let go of it afterwards."""
        kernel = self._cloud.kernel
        violations = self._cloud.checks.violations
        logger = logging.getLogger('nova_pets')
        before = logger.level, logger.propagate
        logger.setLevel(logging.WARNING)
        logger.propagate = False
        logger.addHandler(self._handler)
        try:
            kernel.after(1.0, self._every_second)
            with self._rows.counting():
                yield
        except kernel_module.Stuck as error:
            violations.append(f'L1 {error}')
        finally:
            logger.removeHandler(self._handler)
            logger.level, logger.propagate = before
            violations += (kernel.failures + self._bugs +
                           self._cloud.mirror_faults())
            kernel.close()

    # -- phases --------------------------------------------------------------

    def _faulty_phase(self) -> None:
        kernel, injector = self._cloud.kernel, self.injector
        checks = self._cloud.checks
        if self._drawn is None:
            kernel.run(kernel_module.START + ends_s(self._known or []),
                       lambda: bool(checks.violations))
            return
        while (self._effective() < EFFECTIVE and
               len(injector.struck) < FAULTS_MAX and not checks.violations):
            fault = self._drawn.next(kernel.now - kernel_module.START)
            injector.expect(fault)
            assert fault.at_s is not None  # nosec: next() gives a time
            kernel.run(kernel_module.START + fault.at_s + 0.001,
                       lambda: bool(checks.violations))
        kernel.run(kernel.now + 20.0, lambda: bool(checks.violations))

    def _effective(self) -> int:
        """How many had effect, of those that are drawn one by one."""
        struck = self.injector.struck
        return sum(deeds.KINDS[struck[number].kind].share is None
                   for number in self.injector.effective)

    def _healing_phase(self) -> float:
        if self._cloud.checks.violations:
            return 0.0
        self.heal()
        self.operator.begin()
        return self.come_to_rest(self._bound_s)

    def heal(self) -> None:
        """End all faults; what they broke for good is repaired."""
        self._cloud.kernel.note('heal')
        self._is_healed = True
        self.injector.heal()
        _mend(self._cloud)

    def come_to_rest(self, bound_s: float = BOUND_S) -> float:
        """Let time pass until all has been well for a while (L1).

        :returns: seconds until it was.
        """
        cloud, kernel = self._cloud, self._cloud.kernel
        began = kernel.now
        while kernel.now - began < bound_s and not cloud.checks.violations:
            kernel.run(kernel.now + 5.0,
                       lambda: bool(cloud.checks.violations))
            wrong = self.not_at_rest()
            if wrong:
                self._well_since = None
            elif self._well_since is None:
                self._well_since = kernel.now
            elif kernel.now - self._well_since >= REST_S:
                cloud.checks.hits['L1'] += 1
                return max(self._well_since - began, 0.0)
        if not cloud.checks.violations:
            cloud.checks.violations += [
                f'L1 not at rest after {bound_s:.0f} s: {sentence}'
                for sentence in self.not_at_rest()]
        return kernel.now - began

    def _every_second(self) -> None:
        cloud = self._cloud
        cloud.kernel.after(1.0, self._every_second)
        cloud.checks.look_at_hosts()
        if self._is_healed:
            self._look_at_budgets()

    def _look_at_budgets(self) -> None:
        """L2, from healing on."""
        checks, now = self._cloud.checks, self._cloud.kernel.now
        before, self._passing = self._passing, {}
        for row in self._cloud.open_recoveries():
            budget_s = self._budgets.get(row.state)
            if budget_s is None:
                continue
            state, since = before.get(row.id, (row.state, now))
            if state is not row.state:
                since = now
            self._passing[row.id] = row.state, since
            checks.hits['L2'] += 1
            if self.injector.has_hung:
                budget_s += self._hangs_s
            if now - since > budget_s:
                checks.broken('L2', f'recovery of {row.instance_uuid} is '
                              f'{row.state} for {now - since:.0f} s '
                              f'({row.reason}: {row.detail})')

    def not_at_rest(self) -> list[str]:
        """Return what is not as it must be in the end."""
        cloud = self._cloud
        wrong = [f'recovery of {row.instance_uuid} is {row.state} '
                 f'({row.reason}: {row.detail})'
                 for row in cloud.open_recoveries()]
        for name, row in sorted(cloud.database.hosts.items()):
            if row.state is not states.HostState.UP:
                wrong.append(f'{name} is {row.state} ({row.reason})')
        for instance in self.shape.instances:
            if instance.is_pet:
                wrong.append(cloud.is_well(instance.name))
                wrong += self._leftovers(instance.name)
        return [sentence for sentence in wrong if sentence]

    def _leftovers(self, uuid: str) -> list[str]:
        """I8 and the allocations, for an instance at rest."""
        cloud = self._cloud
        row = cloud.instance(uuid)
        if row is None or row.deleted:
            return []
        found = []
        database = cloud.nova.cells[row.cell]
        uncleaned = [
            record for record in database.migrations.values()
            if record.uuid == uuid and
            record.kind == nova_rows.EVACUATION and
            record.status in nova_rows.UNCLEANED]
        for record in uncleaned:
            if record.source == row.host:
                found.append(f'{uuid}: record {record.id} is '
                             f'{record.status} and names {row.host} as '
                             f'source, where it lives')
        hosts = set(cloud.nova.api.allocations.get(uuid, ()))
        if uuid in cloud.checks.forced:
            # A person may have evacuated it from a living host: that frees
            # its room when its nova-compute starts again.
            hosts -= {record.source for record in uncleaned} - {row.host}
        if hosts != {row.host}:
            found.append(f'{uuid}: on {row.host}, allocations on '
                         f'{sorted(hosts)}')
        return found

    def result(self, took_s: float) -> Result:
        cloud = self._cloud
        digest = hashlib.sha256()
        for line in cloud.kernel.lines:
            digest.update(repr(line).encode())
        return Result(
            seed=self.seed, shape=self.shape,
            faults=list(self.injector.struck),
            effective=len(self.injector.effective),
            violations=list(cloud.checks.violations),
            digest=digest.hexdigest(), lines=list(cloud.kernel.lines),
            took_s=took_s, events=cloud.kernel.events,
            counts={'checks': collections.Counter(cloud.checks.hits),
                    'moves': collections.Counter(cloud.checks.moves),
                    'rows': collections.Counter(self._rows.hits),
                    'windows': collections.Counter(
                        windows.reached(cloud.kernel.lines)),
                    'found': collections.Counter(self._rows.found),
                    'mended': collections.Counter(cloud.checks.mended),
                    'met': collections.Counter(self.injector.met),
                    'by hand': collections.Counter(self.operator.deeds)})


def _budgets(policy: policy_module.Policy
             ) -> dict[states.RecoveryState, float]:
    """Return {passing state: the longest that one may be in it, seconds}."""
    recovery = states.RecoveryState
    budgets = {state: BUDGET_S for state in (
        recovery.PENDING, recovery.READY, recovery.WAITING)}
    budgets[recovery.REQUESTING] = MARGIN_S
    budgets[recovery.SCHEDULING] = policy.scheduling_timeout_s + MARGIN_S
    for state in (recovery.BUILDING, recovery.SETTLING, recovery.VERIFYING):
        budgets[state] = policy.building_alarm_s + MARGIN_S
    return budgets


def ends_s(faults: collections.abc.Iterable[faults_module.Fault]) -> float:
    """Return when a run of given faults is healed, in seconds."""
    last_s = max([fault.at_s or 0.0 for fault in faults] + [drawing.FIRST_S])
    return last_s + 60.0


def _mend(cloud: cloud_module.FalseCloud) -> None:
    """Repair what faults broke for good, as any operator does at once:
    processes are started again; machines that are off stay off."""
    for name in sorted(cloud.workers):
        worker = cloud.workers[name]
        worker.process.resume()
        worker.die_at = None
        cloud.restart_worker(name)
    for name in sorted(cloud.nova.conductors):
        process = cloud.nova.conductors[name]
        process.resume()
        if not process.is_alive:
            cloud.nova.start_conductor(name)
    for machine in cloud.machines.values():
        machine.is_cut_off = machine.sees_no_hosts = False
        machine.slowness = 1.0


class _Listener(logging.Handler):
    """Hears of errors that the product did not expect: bugs."""

    def __init__(self, bugs: list[str]):
        super().__init__(logging.WARNING)
        self._bugs = bugs

    def emit(self, record: logging.LogRecord) -> None:
        if not record.exc_info or record.exc_info[1] is None:
            return
        error = record.exc_info[1]
        if isinstance(error, exception.PetsException):
            return
        self._bugs.append('bug: ' + ''.join(
            traceback.format_exception(error)))


def run(seed: int, shape: cloud_module.Shape | None = None,
        faults: list[faults_module.Fault] | None = None,
        bound_s: float = BOUND_S, *,
        side_tables: 'sql_side_tables.Database | None' = None) -> Result:
    return Run(seed, shape, faults, bound_s, side_tables=side_tables).go()
