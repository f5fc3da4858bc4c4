# SPDX-License-Identifier: Apache-2.0
"""The store contract: the product's memory, every write compare-and-swap.

db/store.py is the SQL one. Nothing here decides; ``advance_*`` are the only
writers of a state. Each method is one transaction of its own. A write that
finds another generation or owner raises exception.RowConflict, unless it
says that it returns a bool.

A claim: a row whose ``owner`` is an engine id belongs to that engine as long
as its row in pets_engines exists and is not deposed. ``owner`` None, my own
id, or an engine that is deposed or missing: may be claimed. Deposing is one
compare-and-swap on the renewal counter that the caller saw stand still for
claim_ttl by its own monotonic clock; it voids all claims at once
(specs/0003-side-tables).
"""

import abc
import collections.abc
import datetime

from nova_pets.model import records
from nova_pets.model import snapshot as snapshot_model
from nova_pets.model import states


class Store(abc.ABC):

    # -- schema --------------------------------------------------------------

    @abc.abstractmethod
    def check_schema(self) -> None:
        """:raises SchemaMismatch: neither mine nor one additive step newer.
        """

    # -- engines -------------------------------------------------------------

    @abc.abstractmethod
    def register_engine(self, engine: records.Engine) -> None:
        """Insert; renewals 0, slot None."""

    @abc.abstractmethod
    def renew_engine(self, engine_id: str, renewals: int,
                     report: records.Json | None = None,
                     mode: states.Mode | None = None) -> int:
        """Count renewals up where it is ``renewals`` (or ahead by what this
        very store lost sight of in an outage) and not deposed; return the
        new counter, mostly ``renewals + 1``. With ``report``: stored too.

        :raises EngineDeposed: zero rows.
        """

    @abc.abstractmethod
    def depose_engine(self, engine_id: str, renewals: int) -> bool:
        """Mark deposed (slot NULL) where renewals is still the counter seen
        to stand still; False: it moved, or was deposed already."""

    @abc.abstractmethod
    def take_slot(self, engine_id: str, slot: int) -> bool:
        """Give a free slot to a living engine; the unique index decides a
        race. False: not got."""

    @abc.abstractmethod
    def engines(self, with_deposed: bool = False) -> list[records.Engine]:
        ...

    # -- one read ------------------------------------------------------------

    @abc.abstractmethod
    def snapshot(self) -> snapshot_model.StoreSnapshot:
        ...

    # -- hosts ---------------------------------------------------------------

    @abc.abstractmethod
    def ensure_hosts(self, hosts: collections.abc.Iterable[
            tuple[str, str]]) -> int:
        """Insert missing (host, cell_uuid) rows as up; return how many."""

    @abc.abstractmethod
    def host(self, host: str) -> records.Host | None:
        ...

    @abc.abstractmethod
    def claim_host(self, host: str, generation: int, me: str) -> int | None:
        """Become owner; return the new generation, None: not got."""

    @abc.abstractmethod
    def advance_host(self, new: records.Host, generation: int, me: str,
                     event: records.Event | None) -> records.Host:
        """Write every column of ``new`` where generation and owner (me)
        match, and the history line, in one transaction. ``new.owner`` may
        be None to give the claim up. Returns new with generation + 1."""

    # -- pets ----------------------------------------------------------------

    @abc.abstractmethod
    def upsert_pets(self, pets: collections.abc.Iterable[records.Pet]) -> int:
        """Insert or update by instance_uuid, only what differs; return the
        rows written. A handful of statements, not one per pet."""

    @abc.abstractmethod
    def forget_pets(self, uuids: collections.abc.Iterable[str],
                    reason: str) -> int:
        """Remove rows of instances that are gone or no longer tagged (a
        history line each)."""

    @abc.abstractmethod
    def pets(self, host: str | None = None, project: str | None = None,
             uuids: collections.abc.Collection[str] | None = None,
             after: str | None = None, limit: int | None = None
             ) -> list[records.Pet]:
        """Ordered by instance_uuid; ``after``/``limit`` page."""

    # -- recoveries and attempts ---------------------------------------------

    @abc.abstractmethod
    def open_recoveries(self, new: collections.abc.Sequence[records.Recovery],
                        event: records.Event) -> int:
        """Set-based insert; an instance that has an open recovery already
        keeps it. One history line each; return how many were created."""

    @abc.abstractmethod
    def recovery(self, recovery_id: int) -> records.Recovery | None:
        ...

    @abc.abstractmethod
    def recoveries(self, instance_uuid: str | None = None,
                   host: str | None = None, project: str | None = None,
                   state: str | None = None, only_open: bool = False,
                   limit: int | None = None) -> list[records.Recovery]:
        """Newest first."""

    @abc.abstractmethod
    def attempts(self, recovery_id: int) -> list[records.Attempt]:
        ...

    @abc.abstractmethod
    def claim_recovery(self, recovery_id: int, generation: int,
                       me: str) -> int | None:
        ...

    @abc.abstractmethod
    def advance_recovery(self, new: records.Recovery, generation: int,
                         me: str, event: records.Event | None,
                         attempt: records.Attempt | None = None
                         ) -> tuple[records.Recovery, records.Attempt | None]:
        """Write ``new`` where generation and owner match; in the same
        transaction the history line and ``attempt``: inserted when its id
        is None, else updated. Terminal states set finished_at and free the
        instance's open slot."""

    # -- the gate (scheduler side) -------------------------------------------

    @abc.abstractmethod
    def gate_view(self, instance_uuid: str,
                  hosts: collections.abc.Collection[str]
                  ) -> snapshot_model.GateView:
        """One statement: what the gate needs about one instance and the
        hosts that its request excludes."""

    @abc.abstractmethod
    def consume_gate(self, attempt_id: int, request_id: str) -> bool:
        """armed -> consumed where outcome is open and the request_id fits;
        False: already consumed, closed or settled."""

    @abc.abstractmethod
    def record_refusal(self, instance_uuid: str, request_id: str,
                       text: str) -> None:
        """History line, and the open recovery becomes urgent."""

    @abc.abstractmethod
    def take_over(self, recovery: records.Recovery, request_id: str) -> bool:
        """Insert a foreign attempt, gate consumed, and move READY or WAITING
        to SCHEDULING by compare-and-swap on generation (owner None or as
        read). False: lost the race."""

    @abc.abstractmethod
    def unsafe_hosts(self) -> dict[str, states.HostState]:
        """Hosts whose state is not up."""

    @abc.abstractmethod
    def tombstoned(self, instance_uuid: str) -> list[str]:
        """Hosts that attempts of this instance ever had as destination or
        source while not known to be clean (FencedHostFilter)."""

    @abc.abstractmethod
    def in_flight(self) -> list[tuple[str, str | None]]:
        """[(request id, destination)], as they were begun, of all open
        attempts and of those that have succeeded since the same hosts
        failed; None: not known yet (spread weigher)."""

    # -- controls ------------------------------------------------------------

    @abc.abstractmethod
    def add_control(self, control: records.Control) -> records.Control:
        """Insert with a history line."""

    @abc.abstractmethod
    def end_control(self, control: records.Control, actor: str,
                    text: str) -> bool:
        """active -> ended by compare-and-swap, with a history line."""

    @abc.abstractmethod
    def controls(self, only_active: bool = True) -> list[records.Control]:
        ...

    # -- history -------------------------------------------------------------

    @abc.abstractmethod
    def record(self, event: records.Event) -> None:
        ...

    @abc.abstractmethod
    def history(self, instance_uuid: str | None = None,
                host: str | None = None,
                since: datetime.datetime | None = None,
                recovery_id: int | None = None,
                limit: int = 1000) -> list[records.Event]:
        """Oldest first, the newest ``limit`` of them."""

    @abc.abstractmethod
    def purge(self, before: datetime.datetime) -> dict[str, int]:
        """Delete closed recoveries with their attempts, events, ended
        controls and deposed engines older than ``before``; return counts
        per table. Open rows are never touched."""

    @abc.abstractmethod
    def now(self) -> datetime.datetime:
        """The database's time, for display."""
