# SPDX-License-Identifier: Apache-2.0
"""One engine: renew, observe, plan, act, again, at its own pace.

The imperative shell around planning. ``cycle()`` is one turn and may be
driven by tests and the simulator; ``run()`` drives it in a worker of
nova-scheduler and never raises.
"""

import collections
import dataclasses
import datetime
import logging
import threading
import typing
import uuid

from nova_pets import exception
from nova_pets.compute import base as compute_base
from nova_pets.db import base as db_base
from nova_pets.detectors import base as detectors_base
from nova_pets.engine import attempts
from nova_pets.engine import audit_rounds
from nova_pets.engine import auditing
from nova_pets.engine import collector
from nova_pets.engine import executor
from nova_pets.engine import hearsay
from nova_pets.engine import memory
from nova_pets.engine import mending
from nova_pets.engine import outages
from nova_pets.engine import ports
from nova_pets.engine import standing
from nova_pets.engine import tagging
from nova_pets.model import actions
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import planner
from nova_pets.planning import safety

LOG = logging.getLogger(__name__)

H = states.HostState

_CALM = frozenset({H.UP, H.VACATED, H.RETURNING, H.UNPROVEN,
                   H.QUARANTINED})
ORDERS_EVERY_S = 10.0
TAG_INTERVALS = 5
"""From one look for changed tags to the next, in idle_interval."""
REPORT_EVERY_S = 15.0
SCHEMA_EVERY_S = 300.0
REST_TTLS = 3
"""How long an engine that does not trust its view lets others try."""
STANDSTILL_S = 30.0
"""Pause while the schema does not fit."""
HANGS_S = 120.0
"""Much longer than a part of any call takes that is bounded; a database or a
service that is lost without a word (no reset reaches us) bounds none."""
FENCES = 4
"""Nor is a fence taken for one that hangs, nor a reading of so many devices
that each take all of [pets_fencing] query_timeout, which is less."""
TURN_HANGS_S = 3600.0
"""For what one engine is enough for: an audit may take long."""


def _utc_now() -> datetime.datetime:
    """The time of day, naive UTC; for timed orders of people only."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def _new_id() -> str:
    return str(uuid.uuid4())


def hangs_s(policy: policy_model.Policy) -> float:
    """Return after how many seconds a call is said to hang."""
    return max(HANGS_S, FENCES * policy.fence_timeout_s)


class Engine:
    def __init__(self, store: db_base.Store,
                 door: compute_base.ComputeDoor,
                 detectors: typing.Callable[
                     [collector.Collector, memory.Memory],
                     tuple[detectors_base.Detector, ...]],
                 fencer: ports.Fencer, clock: ports.Clock,
                 workers: ports.Workers, policy: policy_model.Policy,
                 template: records.Engine,
                 tenant_settings: frozenset[str],
                 mode_now: ports.ModeNow, read_interval_s: float = 300.0,
                 utc_now: typing.Callable[[], datetime.datetime] = _utc_now,
                 new_id: ports.NewId = _new_id,
                 audits: compute_base.AuditDoor | None = None):
        """
        :param detectors: makes them, given who reads the services.
        :param template: this engine's row but for id and counters.
        :param read_interval_s: how often each healthy host's fence is
            looked at.
        :param audits: None: nothing is audited.
        """
        self._store = store
        self._clock = clock
        self._workers = workers
        self._policy = policy
        self._mode_now = mode_now
        self._fencer = fencer
        self._utc_now = utc_now
        self._read_interval_s = read_interval_s
        self.memory = memory.Memory()
        self.standing = standing.Standing(
            store, clock, template, policy, new_id)
        self._tags = tagging.Tagging(store, door, tenant_settings)
        self._collector = collector.Collector(
            store, door, (), fencer, clock, self.memory, workers, self._tags)
        self._collector.witnesses.detectors = detectors(
            self._collector, self.memory)
        self._mender = mending.Mender(store, door, self.standing)
        self._audits = audit_rounds.AuditRounds(
            store, self.memory, workers, self.standing, self._tags,
            auditing.Auditor(store, door, audits, self.standing),
            self._why_not_mend) if audits else None
        self._outages = outages.Outages(clock, policy)
        self._is_sane = False
        driver = attempts.AttemptDriver(
            store, door, fencer, clock, self.memory, workers, self.standing,
            new_id)
        self.executor = executor.Executor(
            store, door, fencer, clock, self.memory, workers, self.standing,
            self._tags, driver)
        self._report: records.Json = {}
        self._report_written: tuple[records.Json, float] | None = None
        self._is_troubled = False
        self._fence_looked_at = ''
        self._mode_said: states.Mode | None = None

    # -- one turn ------------------------------------------------------------

    def cycle(self) -> float:
        """Take one turn; return the seconds until the next one is due."""
        try:
            return self._turn()
        except exception.PetsException:
            self._outages.failed()
            raise

    def _turn(self) -> float:
        started = self._clock.monotonic()
        self._check_calls()
        self._check_schema()
        mode, why_mode = self._mode_now()
        if mode is not self._mode_said:
            LOG.info('mode is %s%s', mode, f': {why_mode}' * bool(why_mode))
            self._mode_said = mode
        policy = dataclasses.replace(self._policy, mode=mode)
        self.standing.renew(self._report_due(), mode)
        if not self.standing.has_slot:
            pause_s = self._idle_turn()
            self._outages.worked(observes=False)
            return pause_s
        stored = self._store.snapshot()
        self.standing.watch_peers(stored.engines)
        if not self.standing.has_slot:
            return self._pace(policy, started)
        snap = self._collector.collect(self.standing.id, stored, policy)
        if snap.is_sane:
            self._outages.worked(observes=True)
        else:
            self._outages.failed()
        snap = dataclasses.replace(
            snap, grace_s=self.standing.grace_s(),
            calm_s=self._outages.calm_s())
        plan = planner.plan(snap, policy)
        for action in plan.actions:
            self.executor.execute(action, snap, policy)
        self._is_sane = snap.is_sane
        if self._let_peers_try(snap, stored, policy):
            return 0.0
        if self._is_first(stored):
            self._housekeeping(stored, policy)
        self._is_troubled = any(
            view.row.state not in _CALM and
            (view.row.state is not H.FENCED or
             safety.may_own(view.row.owner, snap))
            for view in snap.hosts.values()
        ) or any(view.row.state in states.TRANSIENT and
                 planner.is_mine(view, snap) for view in snap.recoveries)
        self._report = self._describe(
            snap, plan.waits, why_mode, stored,
            hearsay.alive(snap, policy))
        if any(isinstance(action, actions.MoveRecovery) and
               action.event == 'source_proven' for action in plan.actions):
            return 0.0  # their attempts begin in the next cycle
        return self._pace(policy, started)

    def _let_peers_try(self, snap: snapshot.Snapshot,
                       stored: snapshot.StoreSnapshot,
                       policy: policy_model.Policy) -> bool:
        """Step back when my own view has not been good for as long as a
        claim lasts and another engine observes: what I own would wait for
        me, and the trouble may be mine alone."""
        now = self._clock.monotonic()
        bad_s = self.memory.since_s(('turn', 'sane'), snap.is_sane, now)
        has_peers = any(engine.slot is not None and
                        engine.id != self.standing.id
                        for engine in stored.engines)
        if snap.is_sane or bad_s < policy.claim_ttl_s or not has_peers:
            return False
        LOG.warning('stepping back for another engine: %s',
                    snap.why_not_sane)
        self.memory.restart(('turn', 'sane'))
        self.standing.step_back(REST_TTLS * policy.claim_ttl_s)
        return True

    def _check_calls(self) -> None:
        """Nothing else moves the row of a call that hangs: not I, as it is
        busy, and no peer, as I live and own it.

        :raises CallHangs: one of mine does.
        """
        limit_s = hangs_s(self._policy)
        for key, seconds in sorted(self._workers.under_way().items(),
                                   key=lambda item: -item[1]):
            allowed_s = TURN_HANGS_S if key[0] == 'turn' else limit_s
            if seconds > allowed_s:
                raise exception.CallHangs(
                    key=' '.join(str(part) for part in key),
                    seconds=seconds, limit=allowed_s)

    def _check_schema(self) -> None:
        """:raises SchemaMismatch: neither mine nor one step newer."""
        now = self._clock.monotonic()
        if not self.memory.is_quiet(('turn', 'schema'), now):
            self._store.check_schema()
            self.memory.quiet(('turn', 'schema'), now + SCHEMA_EVERY_S)

    def _idle_turn(self) -> float:
        """A worker without a slot: look whether one is free."""
        engines = tuple(self._store.engines())
        self.standing.watch_peers(engines)
        if self.standing.seek_slot(engines):
            return 0.0
        return self.standing.idle_pause_s(engines)

    def _pace(self, policy: policy_model.Policy, started: float) -> float:
        """Quick while there is something that I may move, but with pauses as
        long as the cycles: others work on these processors, too."""
        slow_s = min(policy.idle_interval_s, policy.report_interval_s / 4)
        if not self._is_troubled:
            return slow_s
        took_s = self._clock.monotonic() - started
        return max(policy.active_interval_s, min(took_s, slow_s))

    def _is_first(self, stored: snapshot.StoreSnapshot) -> bool:
        """The lowest slot does what one engine is enough for; if it dies,
        its slot is taken or the next one is the lowest."""
        slots = [engine.slot for engine in stored.engines
                 if engine.slot is not None]
        return self.standing.engine.slot == min(slots, default=None)

    # -- what one engine is enough for ---------------------------------------

    def _housekeeping(self, stored: snapshot.StoreSnapshot,
                      policy: policy_model.Policy) -> None:
        now = self._clock.monotonic()
        if not self.memory.is_quiet(('turn', 'tags'), now):
            self.memory.quiet(('turn', 'tags'), now +
                              TAG_INTERVALS * policy.idle_interval_s)
            ready = tagging.fence_ready(stored)
            cells = self._collector.cells
            self._workers.submit(
                ('turn', 'tags'),
                lambda: self._turn_tags(cells, ready, policy))
        self._look_at_fences(stored, now)
        if not self.memory.is_quiet(('turn', 'orders'), now):
            self.memory.quiet(('turn', 'orders'), now + ORDERS_EVERY_S)
            self._end_timed_orders(stored)
        if self._audits is not None:
            self._audits.turn(stored, policy, now)

    def _why_not_mend(self) -> str | None:
        mode, _ = self._mode_now()
        if mode is not states.Mode.ACT:
            return f'mode is {mode}'
        return None if self._is_sane else 'this engine does not trust ' \
            'its own view'

    def _end_timed_orders(self, stored: snapshot.StoreSnapshot) -> None:
        """A maintenance ends when the database's clock and mine have both
        passed its end: a step of one of them must not end it early."""
        timed = [control for control in stored.controls if control.until_at]
        if not timed:
            return
        now = min(self._store.now(), self._utc_now())
        for control in timed:
            if control.until_at is not None and control.until_at <= now:
                self._store.end_control(control, self.standing.actor,
                                        'its time is over')

    def _turn_tags(self, cells: list[typing.Any],
                   ready: dict[str, bool | None],
                   policy: policy_model.Policy) -> None:
        self._tags.turn(cells, ready, policy)
        if policy.mode is states.Mode.ACT:
            self._mender.turn(self._tags.in_error)

    def _look_at_fences(self, stored: snapshot.StoreSnapshot,
                        now: float) -> None:
        """One healthy host per cycle, each about every read_interval; round
        and round, or the first ones of many would be due again before the
        last ones had their turn."""
        bound = self._fencer.bound(row.host for row in stored.hosts)
        last = self._fence_looked_at
        for row in sorted(stored.hosts,
                          key=lambda row: (row.host <= last, row.host)):
            key = ('fence', row.host)
            if row.state is not H.UP or row.owner is not None:
                continue
            if self.memory.is_quiet(key, now):
                continue
            if row.host not in bound and row.fence_ready is None:
                continue
            self.memory.quiet(key, now + self._read_interval_s)
            self._fence_looked_at = row.host
            self._workers.submit(
                ('host', row.host),
                lambda row=row: self.executor.check_fence(row))
            return

    # -- telling -------------------------------------------------------------

    def _describe(self, snap: snapshot.Snapshot, waits: tuple[str, ...],
                  why_mode: str, stored: snapshot.StoreSnapshot,
                  alive: records.Json) -> records.Json:
        hosts = collections.Counter(
            str(view.row.state) for view in snap.hosts.values())
        heard = {'dumping': sorted(snap.heard_dumping)} \
            if snap.heard_dumping else {}
        if alive:
            heard[hearsay.ALIVE] = alive
        return heard | {
            'waits': list(waits), 'mode_reason': why_mode,
            'is_sane': snap.is_sane, 'why_not_sane': snap.why_not_sane,
            'hosts': dict(sorted(hosts.items())),
            'recoveries': len(snap.recoveries),
            'is_warm': snap.grace_s <= 0,
            'problems': [problem for problem in
                         (self._fencer.problem(), *stored.problems,
                          *self._collector.witnesses.problems())
                         if problem],
            'bindings_digest': self._fencer.digest()}

    def _report_due(self) -> records.Json | None:
        """The report when it changed, or was not written for long."""
        now = self._clock.monotonic()
        written = self._report_written
        if (written is not None and written[0] == self._report and
                now - written[1] < REPORT_EVERY_S):
            return None
        self._report_written = (self._report, now)
        return self._report

    # -- for ever ------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Take turns until ``stop``. What fails is logged once per kind, and
        shown when it is over.

        :raises CallHangs: what this engine drove is given up. Another one is
            to be made: all that this one knows of calls is void.
        """
        trouble = ''
        while not stop.is_set():
            try:
                pause_s = self.cycle()
                if trouble:
                    LOG.info('the engine works again')
                    trouble = ''
            except exception.CallHangs as error:
                self._workers.stop()
                self._resign()
                self._record(error)
                raise
            except exception.SchemaMismatch as error:
                pause_s = STANDSTILL_S
                trouble = _say_once(trouble, error)
            except exception.PetsException as error:
                pause_s = self._policy.idle_interval_s
                trouble = _say_once(trouble, error)
            # NOTE(pets): the outermost boundary of the engine; an error of
            # any library must not end it.
            except Exception as error:
                pause_s = self._policy.idle_interval_s
                if trouble != repr(error):
                    LOG.exception('unexpected error; the engine goes on')
                trouble = repr(error)
            stop.wait(pause_s)
        self._resign()

    def _record(self, error: exception.CallHangs) -> None:
        """Where an operator looks for why a recovery stood still."""
        try:
            self._store.record(records.Event(
                code='call_hangs', text=str(error),
                actor=self.standing.actor))
        except exception.PetsException as away:
            LOG.debug('%s', away)

    def _resign(self) -> None:
        try:
            self.standing.resign()
        except exception.PetsException as error:
            LOG.debug('%s', error)


def _say_once(before: str, error: Exception) -> str:
    if before != repr(error):
        LOG.error('%s', error)
    return repr(error)
