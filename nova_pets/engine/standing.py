# SPDX-License-Identifier: Apache-2.0
"""Who this engine is, how long it may act, and which peers are gone.

Touches the engines table only. Renewal counters and my own monotonic clock
decide; no wall clock does (specs/0003-side-tables, "Claims").

Why it is safe: I stop acting MARGIN of claim_ttl after the *start* of my
last successful renewal. A peer deposes me only after it has seen my counter
unchanged for the whole claim_ttl between two reads, and its first such read
cannot be earlier than that renewal. The rest of claim_ttl absorbs clocks of
different rates.
"""

import dataclasses
import logging
import math

from nova_pets import exception
from nova_pets.db import base as db_base
from nova_pets.engine import ports
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import states

LOG = logging.getLogger(__name__)

MARGIN = 0.6
REST_TTLS = 16
"""Of the engines without a slot on one host, the newest is the reserve and
looks for a free one every claim_ttl; the others every so many of them, or
the idle cost would grow with the workers of the cloud."""
IDLE_TTLS = 40
"""An engine without a slot owns nothing: it is deposed, for tidiness only,
after this many claim_ttl. More than twice REST_TTLS."""


class Standing:
    def __init__(self, store: db_base.Store, clock: ports.Clock,
                 template: records.Engine, policy: policy_model.Policy,
                 new_id: ports.NewId):
        self._store = store
        self._clock = clock
        self._policy = policy
        self._new_id = new_id
        self.engine = template
        self._renewed_at: float | None = None
        self._peers: dict[str, tuple[int, float]] = {}
        """{engine id: (renewals, since when by my clock)}"""
        self._was_polite = False
        self._rests_until = 0.0
        self._cold_until = clock.monotonic() + policy.startup_grace_s

    @property
    def id(self) -> str:
        return self.engine.id

    @property
    def has_slot(self) -> bool:
        return self.engine.slot is not None

    def claimant(self) -> str:
        """Return my id, to claim a row with.

        :raises ClaimsLost: I have no slot. A thread that slept through a
            deposition would claim for an engine that lives, so that nobody
            takes the row from it, and that looks at nothing.
        """
        engine = self.engine
        if engine.slot is None:
            raise exception.ClaimsLost(
                reason='this engine has no slot, and drives nothing')
        return engine.id

    @property
    def actor(self) -> str:
        return f'engine {self.engine.host}/{self.engine.worker}'

    def register(self) -> None:
        """Begin anew under a fresh id; all earlier claims are void."""
        started = self._clock.monotonic()
        self.engine = dataclasses.replace(
            self.engine, id=self._new_id(), slot=None, renewals=0)
        self._store.register_engine(self.engine)
        self._renewed_at = started

    def grace_s(self) -> float:
        """Return the seconds left of the time after a start in which nothing
        is powered off; 0 once a peer was seen at work that has none left."""
        return max(self._cold_until - self._clock.monotonic(), 0.0)

    def renew(self, report: records.Json | None, mode: states.Mode) -> bool:
        """Renew all my claims at once.

        :returns: False when I had been deposed: a fresh identity, and
            everything that was remembered of claims is void.
        """
        if self._renewed_at is None:
            self.register()
            return False
        started = self._clock.monotonic()
        try:
            renewals = self._store.renew_engine(
                self.id, self.engine.renewals, report, mode)
        except exception.EngineDeposed as error:
            LOG.warning('%s; starting anew', error)
            self._renewed_at = None
            self.register()
            return False
        self.engine = dataclasses.replace(
            self.engine, renewals=renewals, mode=mode)
        self._renewed_at = started
        return True

    def why_not_act(self, claimed_by: str | None) -> str | None:
        """Return why a claim may not be mine any more, None: it is.

        :param claimed_by: the owner of the claimed row. A thread that slept
            through a deposition wakes up in an engine that lives again under
            another id: its claims are void all the same.
        """
        if self._renewed_at is None or claimed_by != self.id:
            return 'this engine was deposed and has begun anew'
        age_s = self._clock.monotonic() - self._renewed_at
        if age_s > MARGIN * self._policy.claim_ttl_s:
            return f'claims were last renewed {age_s:.1f} s ago'
        return None

    def guard(self, claimed_by: str | None) -> None:
        """Call right before anything outside is touched.

        :param claimed_by: the owner of the row that the act is for.
        :raises ClaimsLost: nothing may be done.
        """
        reason = self.why_not_act(claimed_by)
        if reason:
            raise exception.ClaimsLost(reason=reason)

    def watch_peers(self, engines: tuple[records.Engine, ...]) -> None:
        """Depose peers whose counter stood still for their whole time."""
        now = self._clock.monotonic()
        seen: dict[str, tuple[int, float]] = {}
        for peer in engines:
            if peer.id == self.id:
                self.engine = dataclasses.replace(self.engine,
                                                  slot=peer.slot)
                continue
            before = self._peers.get(peer.id)
            if before is None or before[0] != peer.renewals:
                seen[peer.id] = (peer.renewals, now)
                if before is not None and peer.report.get('is_warm'):
                    self._cold_until = -math.inf
                continue
            seen[peer.id] = before
            ttl_s = self._policy.claim_ttl_s
            if peer.slot is None:
                ttl_s *= IDLE_TTLS
            if now - before[1] < ttl_s:
                continue
            if self._store.depose_engine(peer.id, peer.renewals):
                LOG.info('deposed engine %s/%s: no renewal for %.0f s',
                         peer.host, peer.worker, now - before[1])
                seen.pop(peer.id, None)
        self._peers = seen

    def seek_slot(self, engines: tuple[records.Engine, ...]) -> bool:
        """Try for a free slot; let another host go first for one turn when
        mine has a slot already, so that one dead machine takes not all."""
        if self.has_slot:
            return True
        if self._clock.monotonic() < self._rests_until:
            return False
        taken = {peer.slot for peer in engines if peer.slot is not None}
        free = [slot for slot in range(self._policy.engines)
                if slot not in taken]
        if not free:
            self._was_polite = False
            return False
        is_doubled = any(peer.host == self.engine.host and
                         peer.slot is not None for peer in engines)
        if is_doubled and not self._was_polite:
            self._was_polite = True
            return False
        if not self._store.take_slot(self.id, free[0]):
            return False
        self.engine = dataclasses.replace(self.engine, slot=free[0])
        LOG.info('engine %s/%s observes in slot %d', self.engine.host,
                 self.engine.worker, free[0])
        return True

    def idle_pause_s(self, engines: tuple[records.Engine, ...]) -> float:
        """Return the time until my next look for a free slot.

        The newest is the likeliest to live: what a restart left behind is
        older. While it is gone the next look of the others is late, and the
        reserves of other hosts are not.

        :param engines: as just read, by the time of their start.
        """
        mine = [peer.id for peer in engines if peer.slot is None and
                peer.host == self.engine.host]
        is_reserve = not mine or mine[-1] == self.id
        return self._policy.claim_ttl_s * (1 if is_reserve else REST_TTLS)

    def step_back(self, seconds: float) -> None:
        """Give everything up and try for no slot for a while: a peer may
        see better."""
        self._rests_until = self._clock.monotonic() + seconds
        self.resign()

    def resign(self) -> None:
        """Give everything up, so that peers need not wait."""
        if self._renewed_at is None:
            return
        self._renewed_at = None
        self._store.depose_engine(self.id, self.engine.renewals)
