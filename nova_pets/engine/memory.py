# SPDX-License-Identifier: Apache-2.0
"""What one engine remembers between cycles, by its own monotonic clock.

Lost at every restart, and that is safe: each duration then starts anew.
Shared by the cycle and the worker threads.
"""

import dataclasses
import math
import threading
import typing

from nova_pets.detectors import base as detectors_base
from nova_pets.model import observations
from nova_pets.model import states


@dataclasses.dataclass(slots=True)
class _Word:
    look: detectors_base.Look
    path: states.WitnessPath
    at: float
    silent_from: float | None


OPENED_S = 60.0
"""How long a look at the instances of a dead host counts. Nova may make one
live there afterwards, and a person make one a pet: a live migration writes
the name of its destination a minute after that died."""


class Memory:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, float]] = {}
        self._has_moved: set[str] = set()
        self._forced: set[str] = set()
        """Hosts that were forced down when last read."""
        self._forced_alive: set[str] = set()
        """Hosts that were forced down when they last showed progress, or
        life."""
        self._read_at: dict[str, float] = {}
        self._gaps: dict[str, int] = {}
        """{cell: how many of its last reads came too late, one by one}"""
        self._words: dict[str, dict[str, _Word]] = {}
        """{host: {witness: its last word}}"""
        self._unheard: dict[tuple[str, str], int] = {}
        """{(host, witness): report_count when it first saw nothing of the
        host in calm}"""
        self._life_at: dict[str, float] = {}
        self._life_by_peer: dict[str, str] = {}
        self._dumping: dict[str, tuple[float, float]] = {}
        """{host: (silent from, dumping from)}"""
        self._down_at: dict[str, float] = {}
        self._epochs: dict[str, dict[int, float]] = {}
        """{host: {epoch: when it was first seen down}}"""
        self._power_off_at: dict[str, float] = {}
        self._off_counts: dict[str, int] = {}
        """{host: its report_count when its power first read off in vain}"""
        self._since: dict[typing.Any, tuple[typing.Any, float]] = {}
        self._opened: dict[str, tuple[typing.Any, float]] = {}
        self._quiet_until: dict[tuple[str, typing.Any], float] = {}

    # -- heartbeats ----------------------------------------------------------

    def saw_services(self, services: list[observations.Service],
                     cell_uuid: str, now: float, max_gap_s: float) -> None:
        """Take one successful read of a cell's services.

        After a gap in my own reads, every silence starts anew: what was not
        watched was not silent.
        """
        with self._lock:
            before = self._read_at.get(cell_uuid)
            is_late = before is not None and now - before > max_gap_s
            was_blind = before is None or is_late
            self._read_at[cell_uuid] = now
            self._gaps[cell_uuid] = \
                self._gaps.get(cell_uuid, 0) + 1 if is_late else 0
            for service in services:
                if service.forced_down:
                    self._forced.add(service.host)
                else:
                    self._forced.discard(service.host)
                known = self._counts.get(service.host)
                is_other = known is None or known[0] != service.report_count
                if known is None or was_blind:
                    self._has_moved.discard(service.host)
                elif is_other:
                    self._has_moved.add(service.host)
                if was_blind or is_other:
                    self._counts[service.host] = (service.report_count, now)
                    if service.forced_down:
                        self._forced_alive.add(service.host)
                    else:
                        self._forced_alive.discard(service.host)

    def gaps(self, cell_uuid: str) -> int:
        """How many reads of a cell came too late in a row, the last one
        included: as long as they do, no silence is ever long enough."""
        with self._lock:
            return self._gaps.get(cell_uuid, 0)

    def silent_s(self, host: str, cell_uuid: str) -> float:
        """Seconds without progress, up to the last successful read."""
        with self._lock:
            known = self._counts.get(host)
            read_at = self._read_at.get(cell_uuid)
            if known is None or read_at is None:
                return 0.0
            return max(read_at - known[1], 0.0)

    def has_moved(self, host: str) -> bool:
        """Whether progress was seen since I began to watch: a silence that
        is short because I have not looked for longer is no life."""
        with self._lock:
            return host in self._has_moved

    def was_forced_alive(self, host: str) -> bool:
        """Whether it was forced down already when it last showed progress,
        or when I began to watch: that says nothing of its silence."""
        with self._lock:
            return host not in self._counts or host in self._forced_alive

    def alive_at(self, host: str) -> float | None:
        """When the host was last seen alive, by its heartbeat or by any
        witness; None: it was not read yet."""
        with self._lock:
            known = self._counts.get(host)
            if known is None:
                return None
            return max(known[1], self._life_at.get(host, known[1]))

    def count(self, host: str) -> int | None:
        with self._lock:
            known = self._counts.get(host)
            return known[0] if known else None

    def read_age_s(self, cell_uuid: str, now: float) -> float | None:
        with self._lock:
            read_at = self._read_at.get(cell_uuid)
            return None if read_at is None else now - read_at

    def saw_down(self, host: str, epoch: int, now: float) -> None:
        """The host answers on no path, and is not proven off."""
        with self._lock:
            self._down_at[host] = now
            self._epochs.setdefault(host, {}).setdefault(epoch, now)

    def downs(self, host: str, now: float, window_s: float) -> int:
        """How many failures of the host began within the window; older ones
        are forgotten."""
        with self._lock:
            known = {epoch: at for epoch, at in
                     self._epochs.get(host, {}).items()
                     if now - at < window_s}
            self._epochs[host] = known
            return len(known)

    def down_ago_s(self, host: str, now: float) -> float:
        """Seconds since ``saw_down``; inf: never."""
        with self._lock:
            return now - self._down_at.get(host, -math.inf)

    # -- witnesses -----------------------------------------------------------

    def heard(self, host: str, detector: detectors_base.Detector,
              look: detectors_base.Look, started: float) -> None:
        with self._lock:
            words = self._words.setdefault(host, {})
            before = words.get(detector.name)
            silent_from = None
            if look.sign is states.Sign.SILENT:
                silent_from = (before.silent_from
                               if before and before.silent_from is not None
                               else started)
            words[detector.name] = _Word(look, detector.path, started,
                                         silent_from)
            if look.sign is states.Sign.LIFE:
                self._unheard.pop((host, detector.name), None)
                self._life_at[host] = started
                if host in self._forced:
                    self._forced_alive.add(host)

    def saw_in_calm(self, host: str, detector: detectors_base.Detector,
                    look: detectors_base.Look) -> None:
        """Take a look at a host whose heartbeat moves: a witness that sees
        nothing of it then says nothing by its silence later."""
        key = (host, detector.name)
        with self._lock:
            if look.sign is not states.Sign.SILENT:
                self._unheard.pop(key, None)
            elif host in self._counts:
                self._unheard.setdefault(key, self._counts[host][0])

    def _is_deaf(self, host: str, name: str) -> bool:
        """Whether the host lived on after the witness had seen nothing of
        it. One heartbeat may have been under way when it died, not two."""
        since = self._unheard.get((host, name))
        return since is not None and self._counts[host][0] - since >= 2

    def evidence(self, host: str, now: float
                 ) -> tuple[observations.Evidence, ...]:
        with self._lock:
            return tuple(observations.Evidence(
                detector=name, path=word.path,
                sign=states.Sign.UNKNOWN if self._is_deaf(host, name)
                else word.look.sign,
                detail=word.look.detail + (
                    '; it saw nothing of it while it lived, either'
                    if self._is_deaf(host, name) else ''),
                age_s=now - word.at,
                silent_s=(word.at - word.silent_from
                          if word.silent_from is not None else 0.0),
                event=word.look.event)
                for name, word in sorted(self._words.get(host, {}).items()))

    def heard_of_life(self, host: str, peer: str) -> None:
        """:param peer: who sees it; '': nobody any more."""
        with self._lock:
            self._life_by_peer[host] = peer

    def life_by_peer(self, host: str) -> str:
        with self._lock:
            return self._life_by_peer.get(host, '')

    def dumping_s(self, host: str, now: float) -> float:
        """Seconds since it was first asked so in the present silence of the
        heartbeat: a pause of the messages does not begin it anew."""
        with self._lock:
            silent_from = self._counts[host][1] if host in self._counts \
                else -math.inf
            known = self._dumping.get(host)
            if known is None or known[0] != silent_from:
                known = self._dumping[host] = (silent_from, now)
            return now - known[1]

    def forget_words(self, host: str) -> None:
        with self._lock:
            self._words.pop(host, None)

    # -- power ---------------------------------------------------------------

    def saw_power(self, host: str, is_off: bool, at: float) -> None:
        with self._lock:
            if is_off:
                self._power_off_at[host] = at
            else:
                self._power_off_at.pop(host, None)

    def power_off_s(self, host: str, now: float) -> float | None:
        with self._lock:
            at = self._power_off_at.get(host)
            return None if at is None else now - at

    def saw_off(self, host: str) -> bool:
        """The power of a host that counts as up reads off: return whether its
        heartbeat moved since the first such reading."""
        with self._lock:
            known = self._counts.get(host)
            if known is None:
                return False
            return self._off_counts.setdefault(host, known[0]) != known[0]

    def saw_on(self, host: str) -> None:
        with self._lock:
            self._off_counts.pop(host, None)

    # -- durations -----------------------------------------------------------

    def since_s(self, key: typing.Any, value: typing.Any, now: float
                ) -> float:
        """Seconds since ``value`` was first seen under ``key``."""
        with self._lock:
            known = self._since.get(key)
            if known is None or known[0] != value:
                self._since[key] = (value, now)
                return 0.0
            return now - known[1]

    def restart(self, key: typing.Any) -> None:
        """Let ``since_s`` of this key count from its next call."""
        with self._lock:
            self._since.pop(key, None)

    def opened(self, host: str, mark: typing.Any, now: float) -> None:
        with self._lock:
            self._opened[host] = mark, now

    def is_opened(self, host: str, mark: typing.Any, now: float) -> bool:
        """Whether it was looked at, under this mark and not long ago, which
        instances the host has."""
        with self._lock:
            known = self._opened.get(host)
            return (known is not None and known[0] == mark and
                    now - known[1] < OPENED_S)

    def reopen(self, host: str) -> None:
        with self._lock:
            self._opened.pop(host, None)

    # -- pacing --------------------------------------------------------------

    def quiet(self, key: tuple[str, typing.Any], until: float) -> None:
        """Do not take ``key`` up again before ``until``."""
        with self._lock:
            self._quiet_until[key] = until

    def is_quiet(self, key: tuple[str, typing.Any], now: float) -> bool:
        with self._lock:
            until = self._quiet_until.get(key)
            if until is None:
                return False
            if until <= now:
                del self._quiet_until[key]
                return False
            return True
