# SPDX-License-Identifier: Apache-2.0
"""Sends the witnesses out, and keeps them from waiting for each other.

Decides who is looked at and how often; what an answer means is planning's.
Looks run in the workers, and their words go to the engine's memory.
"""

import collections.abc
import itertools
import logging
import math

from nova_pets import exception
from nova_pets.compute import base as compute_base
from nova_pets.detectors import base as detectors_base
from nova_pets.engine import memory as memory_module
from nova_pets.engine import ports
from nova_pets.model import observations
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.planning import safety

LOG = logging.getLogger(__name__)

H = states.HostState

PROBE_EVERY_S = 1.0
ADDRESSES_EVERY_S = 60.0
ADDRESS_AGAIN_S = 10.0
"""Where one is missing: a host may have none for long."""
REFERENCES = 3
"""Living hosts that the witnesses are tried on while some host is not up."""
CALM_EVERY_S = 120.0
"""How often a witness of the machine looks at each host that is up, so that
its silence is known to mean something; and how many in one turn."""
CALM_AT_ONCE = 4
SLOW_AT_ONCE = 8
"""Looks of slow witnesses under way at once: a quarter of the threads of an
engine (wiring.WORKERS), so that dead devices keep nobody waiting."""
SLOW_EVERY_S = 2.0
SLOW_WATCH_S = 10.0
"""How often a slow witness is asked while a verdict may depend on it, and
otherwise: some BMCs lock up when they are asked often."""

_JUDGED = frozenset({H.UP, H.SUSPECT, H.DOWN, H.QUARANTINED})
"""States that a verdict may end."""
_WATCHED = frozenset(H) - {H.UP, H.VACATED}
"""States in which every witness is asked all the time."""


class Witnesses:
    def __init__(self, door: compute_base.ComputeDoor,
                 detectors: tuple[detectors_base.Detector, ...],
                 clock: ports.Clock, memory: memory_module.Memory,
                 workers: ports.Workers):
        self._door = door
        self.detectors = detectors
        self._clock = clock
        self._memory = memory
        self._workers = workers
        self._cells: list[observations.Cell] = []
        self._addresses: dict[str, str] = {}
        self._addresses_due = -math.inf
        self._missing_due = -math.inf
        """When an address that is not among them is worth another look."""
        self._slow_at: dict[tuple[str, str], float] = {}
        """When a slow witness was last asked for a host."""

    def references(self, rows: dict[str, records.Host],
                   known: collections.abc.Container[str],
                   policy: policy_model.Policy) -> list[str]:
        """Return some hosts whose heartbeat moves: whoever does not see
        those may not say that another one is silent.

        :param known: hosts that have a service.
        """
        moving_s = 0.75 * policy.suspect_heartbeats * policy.report_interval_s
        found = (name for name, row in sorted(rows.items())
                 if row.state is H.UP and name in known and
                 self._memory.silent_s(name, row.cell_uuid) < moving_s)
        return list(itertools.islice(found, REFERENCES))

    def probe(self, rows: dict[str, records.Host],
              policy: policy_model.Policy, references: list[str],
              cells: list[observations.Cell]) -> None:
        """Send the witnesses out to whoever is silent or in trouble, and
        those of the machine itself to the references, too; and to some who
        are well, in turn."""
        self._cells = cells
        suspect_s = policy.suspect_heartbeats * policy.report_interval_s
        quick = tuple(detector for detector in self.detectors
                      if not detector.is_slow)
        of_machine = tuple(detector for detector in quick
                           if detector.path is states.WitnessPath.HOST)
        watched: list[records.Host] = []
        calm = CALM_AT_ONCE
        for name, row in sorted(rows.items()):
            silent_s = self._memory.silent_s(name, row.cell_uuid)
            if row.state in _WATCHED or silent_s >= 0.75 * suspect_s:
                watched.append(row)
                self._send_out(row, quick)
            elif name in references:
                self._send_out(row, of_machine)
            elif row.state is H.UP and calm > 0:
                calm -= self._send_in_calm(row, tuple(
                    detector for detector in of_machine
                    if detector.looks_in_calm))
        for detector in self.detectors:
            if detector.is_slow:
                self._send_slow(detector, watched)

    def _send_out(self, row: records.Host,
                  detectors: tuple[detectors_base.Detector, ...]) -> None:
        now = self._clock.monotonic()
        target = detectors_base.Target(
            row.host, row.cell_uuid, self._address(row.host))
        for detector in detectors:
            key = ('probe', (row.host, detector.name))
            if self._memory.is_quiet(key, now):
                continue
            self._memory.quiet(key, now + PROBE_EVERY_S)
            self._workers.submit(key, self._look(detector, target))

    def _send_in_calm(self, row: records.Host,
                      detectors: tuple[detectors_base.Detector, ...]) -> int:
        """Return 1 where it was its turn."""
        now = self._clock.monotonic()
        key = ('calm', row.host)
        if not detectors or self._memory.is_quiet(key, now):
            return 0
        self._memory.quiet(key, now + CALM_EVERY_S)
        target = detectors_base.Target(
            row.host, row.cell_uuid, self._address(row.host))
        for detector in detectors:
            self._workers.submit(
                ('calm', (row.host, detector.name)),
                lambda detector=detector: self._memory.saw_in_calm(
                    row.host, detector, detector.look(target)))
        return 1

    def _send_slow(self, detector: detectors_base.Detector,
                   watched: list[records.Host]) -> None:
        """Ask about the hosts that wait for the longest time, few at once."""
        now = self._clock.monotonic()
        due = [row for row in watched
               if not self._memory.is_quiet((detector.name, row.host), now)]
        due.sort(key=lambda row: self._slow_at.get(
            (detector.name, row.host), -math.inf))
        busy = {key for kind, key in self._workers.busy() if kind == 'slow'}
        free = max(SLOW_AT_ONCE - len(busy), 0)
        due = [row for row in due if (row.host, detector.name) not in busy]
        for row in due[:free]:
            every_s = SLOW_EVERY_S if row.state in _JUDGED else SLOW_WATCH_S
            self._memory.quiet((detector.name, row.host), now + every_s)
            self._slow_at[detector.name, row.host] = now
            target = detectors_base.Target(
                row.host, row.cell_uuid, self._address(row.host))
            self._workers.submit(('slow', (row.host, detector.name)),
                                 self._look(detector, target))

    def refresh(self) -> None:
        """Have witnesses read what they must know before trouble begins."""
        now = self._clock.monotonic()
        for detector in self.detectors:
            key = ('refresh', detector.name)
            if detector.refresh_s is None or self._memory.is_quiet(key, now):
                continue
            self._memory.quiet(key, now + detector.refresh_s)
            self._workers.submit(key, detector.refresh)

    def problems(self) -> list[str]:
        """Return what keeps witnesses from seeing anything, in sentences."""
        found = [(detector.name, detector.problem())
                 for detector in self.detectors]
        return [f'witness {name}: {problem}' for name, problem in found
                if problem]

    def why_blind(self, references: list[str],
                  policy: policy_model.Policy) -> str:
        now = self._clock.monotonic()
        return safety.why_blind(
            {name: self._memory.evidence(name, now) for name in references},
            policy)

    def _look(self, detector: detectors_base.Detector,
              target: detectors_base.Target
              ) -> collections.abc.Callable[[], None]:
        def call() -> None:
            started = self._clock.monotonic()
            self._memory.heard(target.host, detector, detector.look(target),
                               started)
        return call

    def _address(self, host: str) -> str | None:
        now = self._clock.monotonic()
        if now >= self._addresses_due or (
                host not in self._addresses and now >= self._missing_due):
            self._read_addresses(now)
        return self._addresses.get(host)

    def _read_addresses(self, now: float) -> None:
        self._addresses_due = now + ADDRESSES_EVERY_S
        self._missing_due = now + ADDRESS_AGAIN_S
        for cell in self._cells:
            try:
                self._addresses.update(self._door.host_addresses(cell.uuid))
            except exception.NovaUnavailable as error:
                LOG.warning('cell %s: %s', cell.name, error)
                self._missing_due = now + PROBE_EVERY_S
