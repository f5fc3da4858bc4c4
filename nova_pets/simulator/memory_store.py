# SPDX-License-Identifier: Apache-2.0
"""The store of a simulated engine: base.Store over tables in memory.

Answers as db/store.py does, by the same rules; tests/db runs the contract
against both, and random sequences of calls side by side. Reads return the
stored records themselves: they are frozen, and nobody changes a dict of
theirs. No call fails by itself: who stands before the store (engines.Port)
makes outages, and tells it when the answer to a renewal was lost.
"""

import collections
import datetime

from nova_pets.db import base
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.simulator import memory_database
from nova_pets.simulator import memory_fleet
from nova_pets.simulator import memory_gate
from nova_pets.simulator import memory_history
from nova_pets.simulator import memory_recoveries


class MemoryStore(memory_fleet.EngineRows, memory_fleet.HostRows,
                  memory_fleet.PetRows, memory_recoveries.RecoveryRows,
                  memory_gate.GateRows, memory_history.ControlRows,
                  memory_history.HistoryRows, base.Store):

    def __init__(self, database: memory_database.MemoryDatabase, actor: str):
        """
        :param database: shared by all stores of a world.
        :param actor: who writes, for the history: 'engine HOST/PID'.
        """
        self._database = database
        self._actor = actor
        self._unseen = {}

    def check_schema(self) -> None:
        """There is no schema."""

    def snapshot(self) -> snapshot.StoreSnapshot:
        database = self._database
        derive = database.derive
        by_host = {}
        fenced_today: frozenset[str] = frozenset()
        if derive(memory_database.HOSTS, _is_any_not_up):
            by_host = dict(derive(memory_database.INSTANCES, _by_host))
            fenced_today = _fenced_today(database)
        return snapshot.StoreSnapshot(
            engines=derive(memory_database.ENGINES,
                           memory_fleet.living_engines),
            hosts=derive(memory_database.HOSTS, _hosts),
            recoveries=derive(memory_database.RECOVERIES, _open_recoveries),
            attempts=derive(memory_database.ATTEMPTS, _attempts_of_open),
            controls=derive(memory_database.CONTROLS, _active_controls),
            pets_by_host=by_host, fenced_today=fenced_today)

    def now(self) -> datetime.datetime:
        return self._database.now()


def _is_any_not_up(database: memory_database.MemoryDatabase) -> bool:
    return any(row.state is not states.HostState.UP
               for row in database.hosts.values())


def _fenced_today(database: memory_database.MemoryDatabase
                  ) -> frozenset[str]:
    now = max((engine.renewed_at for engine in database.engines.values()
               if not engine.deposed and engine.renewed_at is not None),
              default=None)
    if now is None:
        return frozenset()
    began = now - snapshot.DAY
    return frozenset(
        event.host for event in database.own_fences.values()
        if event.host is not None and event.at is not None
        and event.at >= began)


def _hosts(database: memory_database.MemoryDatabase
           ) -> tuple[records.Host, ...]:
    return tuple(row for _, row in sorted(database.hosts.items()))


def _by_host(database: memory_database.MemoryDatabase) -> dict[str, int]:
    return collections.Counter(
        pet.host for pet in database.pets.values() if pet.host is not None)


def _open_recoveries(database: memory_database.MemoryDatabase
                     ) -> tuple[records.Recovery, ...]:
    return tuple(database.recoveries[key]
                 for key in sorted(database.open_recovery.values()))


def _attempts_of_open(database: memory_database.MemoryDatabase
                      ) -> tuple[records.Attempt, ...]:
    return tuple(database.attempts[key] for key in sorted(
        attempt_id for recovery_id in database.open_recovery.values()
        for attempt_id in database.attempts_of.get(recovery_id, ())))


def _active_controls(database: memory_database.MemoryDatabase
                     ) -> tuple[records.Control, ...]:
    return tuple(row for _, row in sorted(database.controls.items())
                 if row.active)
