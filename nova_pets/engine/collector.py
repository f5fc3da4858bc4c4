# SPDX-License-Identifier: Apache-2.0
"""Eyes of the engine: reads the store, Nova and the witnesses; one Snapshot.

Writes nothing but new, plain host rows. Durations are taken on my own
monotonic clock. What could not be read is absent, never guessed.
"""

import collections
import logging
import math

from nova_pets import exception
from nova_pets.compute import base as compute_base
from nova_pets.db import base as db_base
from nova_pets.detectors import base as detectors_base
from nova_pets.engine import hearsay
from nova_pets.engine import memory as memory_module
from nova_pets.engine import ports
from nova_pets.engine import tagging
from nova_pets.engine import witnesses as witnesses_module
from nova_pets.model import observations
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import detection
from nova_pets.planning import storms

LOG = logging.getLogger(__name__)

H = states.HostState
C = states.ControlKind

CONDUCTORS_EVERY_S = 10.0
PING_CONDUCTOR_S = 5.0
OPERATOR_EVERY_S = 5.0
"""How often the traces of recoveries that need an operator are read."""


class Collector:
    def __init__(self, store: db_base.Store,
                 door: compute_base.ComputeDoor,
                 detectors: tuple[detectors_base.Detector, ...],
                 fencer: ports.Fencer, clock: ports.Clock,
                 memory: memory_module.Memory, workers: ports.Workers,
                 tags: tagging.Tagging):
        self._store = store
        self._door = door
        self.witnesses = witnesses_module.Witnesses(
            door, detectors, clock, memory, workers)
        self._fencer = fencer
        self._clock = clock
        self._memory = memory
        self._workers = workers
        self._tags = tags
        self._services: dict[str, observations.Service] = {}
        self._cells: list[observations.Cell] = []
        self._conductors: dict[str, tuple[int, float]] = {}
        self._conductors_at: float | None = None
        self._conductor_answered: tuple[bool, float] | None = None
        self._troubled_at = math.inf
        """Since when some host is not up; inf: all are."""
        self._seen_orders: set[int] = set()

    def service(self, target: detectors_base.Target
                ) -> observations.Service | None:
        """The row of a host as last read (for detectors)."""
        return self._services.get(target.host)

    @property
    def cells(self) -> list[observations.Cell]:
        return list(self._cells)

    def collect(self, me: str, stored: snapshot.StoreSnapshot,
                policy: policy_model.Policy) -> snapshot.Snapshot:
        """Return what is known now.

        :param stored: the side tables as just read.
        :raises NovaUnavailable: not even the cells could be listed.
        """
        self._read_services(policy)
        rows = self._host_rows(stored)
        is_troubled = any(row.state is not H.UP for row in rows.values())
        self._notice_trouble(is_troubled)
        self._read_conductors(is_troubled)
        references = self.witnesses.references(
            rows, self._services, policy) if is_troubled else []
        self.witnesses.refresh()
        self.witnesses.probe(rows, policy, references, self._cells)
        live = frozenset(engine.id for engine in stored.engines)
        busy = self._workers.busy()
        new_orders = self._new_orders(stored)
        recoveries = self._recoveries(stored, busy, me, live)
        troubled = [name for name, row in rows.items()
                    if row.state is not H.UP]
        why_not_sane = (self._why_not_sane(policy, is_troubled) or
                        self.witnesses.why_blind(references, policy))
        now = self._clock.monotonic()
        heard_dumping = frozenset(
            name for name, row in rows.items() if row.state is not H.UP and
            detection.hears_dump(self._memory.evidence(name, now), policy))
        dumping = heard_dumping | _dumping_by_peers(stored, me)
        return snapshot.Snapshot(
            me=me, is_sane=not why_not_sane, why_not_sane=why_not_sane,
            hosts={name: self._host_view(row, stored, policy, dumping, me)
                   for name, row in rows.items()},
            recoveries=recoveries, controls=stored.controls,
            live_engines=live,
            busy_hosts=frozenset(key for kind, key in busy
                                 if kind == 'host'),
            fence_bindings=self._fencer.bound(troubled),
            can_power_on=self._fencer.can_power_on(troubled),
            ladders=self._fencer.ladders(troubled),
            has_orders_to_open=new_orders,
            fenced_today=stored.fenced_today,
            heard_dumping=heard_dumping,
            conductors_silent=self._silent_conductors(policy))

    # -- hosts ---------------------------------------------------------------

    def _read_services(self, policy: policy_model.Policy) -> None:
        self._cells = self._door.cells()
        max_gap_s = max(policy.report_interval_s,
                        3 * policy.idle_interval_s)
        for cell in self._cells:
            started = self._clock.monotonic()
            try:
                found = self._door.services(cell.uuid)
            except exception.NovaUnavailable as error:
                LOG.warning('cell %s: %s', cell.name, error)
                self._services = {
                    host: service
                    for host, service in self._services.items()
                    if service.cell_uuid != cell.uuid}
                continue
            self._memory.saw_services(found, cell.uuid, started, max_gap_s)
            kept = {host: service for host, service in self._services.items()
                    if service.cell_uuid != cell.uuid}
            kept.update((service.host, service) for service in found)
            self._services = kept

    def _host_rows(self, stored: snapshot.StoreSnapshot
                   ) -> dict[str, records.Host]:
        rows = {row.host: row for row in stored.hosts}
        missing = [(service.host, service.cell_uuid)
                   for service in self._services.values()
                   if service.host not in rows]
        if missing:
            # Judged from the next cycle on: a row that exists but could not
            # be read (a newer version's) must not be taken for a plain one.
            self._store.ensure_hosts(missing)
        return rows

    def _host_view(self, row: records.Host, stored: snapshot.StoreSnapshot,
                   policy: policy_model.Policy, dumping: frozenset[str],
                   me: str) -> snapshot.HostView:
        now = self._clock.monotonic()
        service = self._services.get(row.host)
        if row.state in storms.DOWN:
            self._memory.saw_down(row.host, row.epoch, now)
        down_ago_s = self._memory.down_ago_s(row.host, now)
        life_by_peer = hearsay.who_sees_life(
            row, stored, me) if row.state is not H.UP else ''
        self._memory.heard_of_life(row.host, life_by_peer)
        if row.state is H.UP and service is not None:
            return snapshot.HostView(
                row=row, service=service, count_moved=False,
                down_ago_s=down_ago_s,
                silent_s=self._memory.silent_s(row.host, row.cell_uuid))
        count_moved = (
            service is not None and row.proof_count is not None and
            service.report_count > row.proof_count)
        return snapshot.HostView(
            row=row, service=service,
            silent_s=self._memory.silent_s(row.host, row.cell_uuid),
            count_moved=count_moved, down_ago_s=down_ago_s,
            has_moved=self._memory.has_moved(row.host),
            was_forced_alive=self._memory.was_forced_alive(row.host),
            evidence=self._memory.evidence(row.host, now),
            life_by_peer=life_by_peer,
            state_s=self._memory.since_s(
                ('host', row.host),
                (row.epoch, row.state, row.fence_attempts), now),
            power_off_s=self._memory.power_off_s(row.host, now),
            downs=self._memory.downs(row.host, now, policy.flap_window_s),
            dumping_s=self._memory.dumping_s(row.host, now)
            if row.host in dumping else None,
            is_opened=self._memory.is_opened(
                row.host, (row.epoch, row.state), now),
            open_recoveries=sum(1 for recovery in stored.recoveries
                                if recovery.source == row.host),
            is_resting=self._memory.is_quiet(('return', row.host), now),
            is_passed_on=self._memory.is_quiet(('fence again', row.host),
                                               now),
            settled_records=self._is_clean(row))

    def _is_clean(self, row: records.Host) -> bool:
        if row.state is not H.RETURNING:
            return True
        try:
            return self._door.uncleaned_sources(
                row.cell_uuid, row.host) == 0
        except exception.NovaUnavailable:
            return False

    # -- my own view ---------------------------------------------------------

    def _notice_trouble(self, is_troubled: bool) -> None:
        """What a conductor answered before it began, proves nothing of it."""
        if not is_troubled:
            self._troubled_at = math.inf
        elif self._troubled_at == math.inf:
            self._troubled_at = self._clock.monotonic()
            self._conductor_answered = None
            self._memory.quiet(('probe', 'conductor'), self._troubled_at)

    def _read_conductors(self, is_troubled: bool) -> None:
        now = self._clock.monotonic()
        every_s = (witnesses_module.PROBE_EVERY_S if is_troubled
                   else CONDUCTORS_EVERY_S)
        if (self._conductors_at is None or
                now - self._conductors_at >= every_s):
            try:
                found = self._door.conductors()
            except exception.NovaUnavailable as error:
                LOG.warning('%s', error)
            else:
                self._conductors_at = now
                for host, count in found.items():
                    known = self._conductors.get(host)
                    if known is None or known[0] != count:
                        self._conductors[host] = (count, now)
                for host in sorted(self._conductors.keys() - found.keys()):
                    del self._conductors[host]
        if not is_troubled or self._memory.is_quiet(
                ('probe', 'conductor'), now):
            return
        self._memory.quiet(('probe', 'conductor'), now + PING_CONDUCTOR_S)
        self._workers.submit(('probe', 'conductor'), self._ping_conductor)

    def _ping_conductor(self) -> None:
        started = self._clock.monotonic()
        try:
            answered = self._door.conductor_answers(PING_CONDUCTOR_S)
        except exception.NovaUnavailable:
            answered = False
        if started >= self._troubled_at:
            self._conductor_answered = (answered, started)

    def _silent_conductors(self, policy: policy_model.Policy
                           ) -> frozenset[str]:
        if self._conductors_at is None:
            return frozenset()
        silence_s = policy.down_heartbeats * policy.report_interval_s
        return frozenset(
            host for host, (_, changed_at) in self._conductors.items()
            if self._conductors_at - changed_at >= silence_s)

    def _why_not_sane(self, policy: policy_model.Policy,
                      is_troubled: bool) -> str:
        """Return '' where my own view may be trusted (W23)."""
        now = self._clock.monotonic()
        for cell in self._cells:
            age_s = self._memory.read_age_s(cell.uuid, now)
            if age_s is None or age_s > policy.report_interval_s:
                return f'services of cell {cell.name} were not read lately'
            if self._memory.gaps(cell.uuid) > 1:
                # One gap is a pause (engine/outages.py). Engines for which
                # each turn takes so long would wait for a silence for ever.
                return (f'services of cell {cell.name} are read too seldom '
                        'to see a silence: this engine or its database is '
                        'too slow')
        if not is_troubled:
            return ''
        if not self._conductors:
            return 'no conductor is known'
        if len(self._silent_conductors(policy)) == len(self._conductors):
            return 'every conductor is silent'
        answered = self._conductor_answered
        if answered is None or now - answered[1] > 4 * PING_CONDUCTOR_S:
            return 'no conductor was asked yet'
        return '' if answered[0] else 'no conductor answers'

    # -- recoveries ----------------------------------------------------------

    def _new_orders(self, stored: snapshot.StoreSnapshot) -> bool:
        """Have the hosts of new recover orders read anew, once each."""
        new = [control for control in stored.controls
               if control.kind is C.RECOVER and
               control.id not in self._seen_orders]
        for control in new:
            assert control.id is not None  # nosec: rows read have an id
            self._seen_orders.add(control.id)
            if control.scope == 'host':
                self._memory.reopen(control.target)
                continue
            for pet in self._store.pets(uuids=[control.target]):
                if pet.host:
                    self._memory.reopen(pet.host)
        return bool(new)

    def _recoveries(self, stored: snapshot.StoreSnapshot,
                    busy: frozenset[tuple[str, object]], me: str,
                    live: frozenset[str]
                    ) -> tuple[snapshot.RecoveryView, ...]:
        now = self._clock.monotonic()
        attempts: dict[int, list[records.Attempt]] = (
            collections.defaultdict(list))
        for attempt in stored.attempts:
            attempts[attempt.recovery_id].append(attempt)
        mine = [row for row in stored.recoveries
                if row.owner is None or row.owner == me or
                row.owner not in live]
        traces = self._traces(mine, now)
        views = []
        for row in stored.recoveries:
            assert row.id is not None  # nosec: rows read have an id
            key = ('recovery', row.id)
            trace = traces.get(row.instance_uuid)
            views.append(snapshot.RecoveryView(
                row=row, attempts=tuple(attempts[row.id]), trace=trace,
                state_s=self._memory.since_s(
                    key, (row.state, row.attempts), now),
                is_busy=key in busy or self._memory.is_quiet(key, now),
                is_tagged=self._tags.is_tagged(row, trace, now)))
        return tuple(views)

    def _traces(self, rows: list[records.Recovery], now: float
                ) -> dict[str, observations.Trace]:
        by_cell: dict[str, list[str]] = collections.defaultdict(list)
        for row in rows:
            if row.state is states.RecoveryState.NEEDS_OPERATOR:
                key = ('trace', row.id)
                if self._memory.is_quiet(key, now):
                    continue
                self._memory.quiet(key, now + OPERATOR_EVERY_S)
            by_cell[row.cell_uuid].append(row.instance_uuid)
        traces: dict[str, observations.Trace] = {}
        for cell_uuid, uuids in sorted(by_cell.items()):
            try:
                traces.update(self._door.traces(cell_uuid, sorted(uuids)))
            except exception.NovaUnavailable as error:
                LOG.warning('%s', error)
        return traces


def _dumping_by_peers(stored: snapshot.StoreSnapshot, me: str
                      ) -> frozenset[str]:
    """Return the hosts that living peers hear dump their memory: a crashed
    kernel may not send to every scheduler, nor every message arrive."""
    found: set[str] = set()
    for peer in stored.engines:
        heard = peer.report.get('dumping')
        if peer.id != me and isinstance(heard, list):
            found.update(name for name in heard if isinstance(name, str))
    return frozenset(found)
