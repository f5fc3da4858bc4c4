# SPDX-License-Identifier: Apache-2.0
"""The side tables of a false database, what is derived from them, and the
compare-and-swap on owned rows.

Shared by the stores of all engines. Everything derived is kept by watching
the tables, so it is right after a rollback and after a failover that lost
commits. The rules of claims are those of db/claims.py.
"""

import collections
import collections.abc
import contextlib
import dataclasses
import datetime
import typing

from nova_pets import exception
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.simulator import memory_rows
from nova_pets.simulator import tables as tables_

ENGINES = 'pets_engines'
INSTANCES = 'pets_instances'
HOSTS = 'pets_hosts'
RECOVERIES = 'pets_recoveries'
ATTEMPTS = 'pets_attempts'
EVENTS = 'pets_events'
CONTROLS = 'pets_controls'

Answer = typing.TypeVar('Answer')

EPOCH = datetime.datetime(2026, 1, 1, 11, 43, 20)
"""The database's time at virtual second zero: the schedulers' clocks that are
right (engines.NOON) tell the same."""


class MemoryDatabase:
    """
    :param tables: may hold other tables too.
    :param epoch: the database's time at second zero of ``tables.now``.
    """

    def __init__(self, tables: tables_.Tables,
                 epoch: datetime.datetime = EPOCH):
        self.tables = tables
        self._epoch = epoch
        self.engines: dict[str, records.Engine] = tables.table(ENGINES)
        self.pets: dict[str, records.Pet] = tables.table(INSTANCES)
        self.hosts: dict[str, records.Host] = tables.table(HOSTS)
        self.recoveries: dict[int, records.Recovery] = tables.table(
            RECOVERIES)
        self.attempts: dict[int, records.Attempt] = tables.table(ATTEMPTS)
        self.events: dict[int, records.Event] = tables.table(EVENTS)
        self.controls: dict[int, records.Control] = tables.table(CONTROLS)
        self.open_recovery: dict[str, int] = {}
        """{instance uuid: id of its open recovery}"""
        self.attempts_of: dict[int, set[int]] = collections.defaultdict(set)
        """{recovery id: ids of its attempts}"""
        self.request: dict[str, int] = {}
        """{request id: id of its attempt}"""
        self.own_fences: dict[int, records.Event] = {}
        """{id: line of history}: the power-offs that no person asked for."""
        self._derived: dict[str, dict[typing.Any, typing.Any]] = {}
        """{table: {by whom: what was made of its rows}}: gone when one
        changes."""
        for name in (ENGINES, INSTANCES, HOSTS, RECOVERIES, ATTEMPTS,
                     CONTROLS):
            tables.watch(name, self._forget_derived(name))
        self._follow(RECOVERIES, self._see_recovery)
        self._follow(ATTEMPTS, self._see_attempt)
        self._follow(EVENTS, self._see_event)

    def now(self) -> datetime.datetime:
        return self._epoch + datetime.timedelta(seconds=self.tables.now())

    @contextlib.contextmanager
    def write(self) -> collections.abc.Iterator['MemoryDatabase']:
        """One transaction."""
        with self.tables.commit():
            yield self

    def is_living(self, engine_id: str | None) -> bool:
        engine = self.engines.get(typing.cast(str, engine_id))
        return engine is not None and not engine.deposed

    def put(self, table: str, key: tables_.Key, row: typing.Any) -> None:
        self.tables.put(table, key, memory_rows.as_stored(
            row, self.tables.get(table, key)))

    def insert(self, table: str, row: typing.Any) -> int:
        """Store a row under a new id; return the id."""
        key = self.tables.next_id(table)
        self.put(table, key, dataclasses.replace(row, id=key))
        return key

    def append(self, event: records.Event, actor: str) -> None:
        """Write a history line, in the transaction that is open."""
        self.insert(EVENTS, dataclasses.replace(
            event, actor=event.actor or actor, at=self.now()))

    def derive(self, table: str, make: collections.abc.Callable[
            ['MemoryDatabase'], Answer]) -> Answer:
        """Return ``make(self)``, made anew when a row of the table changed
        (of ATTEMPTS: or a recovery)."""
        made = self._derived.setdefault(table, {})
        if make not in made:
            made[make] = make(self)
        return typing.cast(Answer, made[make])

    def claim(self, table: str, key: tables_.Key, generation: int, me: str
              ) -> int | None:
        """Make ``me`` the owner of a row; return its new generation."""
        row = self.tables.get(table, key)
        if (row is None or row.generation != generation
                or not self.is_living(me)
                or row.owner != me and self.is_living(row.owner)):
            return None
        self.tables.put(table, key, dataclasses.replace(
            row, owner=me, generation=generation + 1))
        return generation + 1

    def owned(self, table: str, key: tables_.Key, generation: int, me: str
              ) -> typing.Any:
        """Return a row that ``me`` may write.

        :raises RowConflict: another generation or owner, or ``me`` is
            deposed.
        """
        row = self.tables.get(table, key)
        if (row is None or row.generation != generation or row.owner != me
                or not self.is_living(me)):
            raise exception.RowConflict(kind=table, key=key,
                                        expected=generation, owner=me)
        return row

    def _follow(self, table: str, watcher: tables_.Watcher) -> None:
        """Have the watcher see the rows that are there, and all changes."""
        for key, row in self.tables.table(table).items():
            watcher(key, None, row)
        self.tables.watch(table, watcher)

    def _forget_derived(self, table: str) -> tables_.Watcher:
        def forget(key: tables_.Key, old: typing.Any, new: typing.Any
                   ) -> None:
            self._derived.pop(table, None)
        return forget

    def _see_recovery(self, key: typing.Any, old: records.Recovery | None,
                      new: records.Recovery | None) -> None:
        if old is not None and old.state in states.OPEN:
            del self.open_recovery[old.instance_uuid]
        if new is not None and new.state in states.OPEN:
            self.open_recovery[new.instance_uuid] = key
        # The attempts shown are those of the open recoveries.
        self._derived.pop(ATTEMPTS, None)

    def _see_event(self, key: typing.Any, old: records.Event | None,
                   new: records.Event | None) -> None:
        self.own_fences.pop(key, None)
        if new is not None and new.code in snapshot.OWN_FENCES:
            self.own_fences[key] = new

    def _see_attempt(self, key: typing.Any, old: records.Attempt | None,
                     new: records.Attempt | None) -> None:
        if old is not None:
            self.attempts_of[old.recovery_id].discard(key)
            del self.request[old.request_id]
        if new is not None:
            self.attempts_of[new.recovery_id].add(key)
            self.request[new.request_id] = key


def check_owner(owner: str | None, me: str) -> None:
    """Refuse to hand a row to anybody else: claims are taken, not given."""
    if owner not in (None, me):
        raise ValueError(f'expected owner None or {me}, found {owner}')
