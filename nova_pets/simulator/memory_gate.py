# SPDX-License-Identifier: Apache-2.0
"""What the scheduler's filters ask and tell, in memory: as db/gate.py."""

import collections.abc
import dataclasses
import typing

from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.simulator import memory_database
from nova_pets.simulator import memory_recoveries

RECOVERIES = memory_database.RECOVERIES
ATTEMPTS = memory_database.ATTEMPTS

_STARTABLE = (states.RecoveryState.READY, states.RecoveryState.WAITING)
_CAN_HURRY = (*_STARTABLE, states.RecoveryState.PENDING)


class GateRows:
    """Part of memory_store.MemoryStore."""

    _database: memory_database.MemoryDatabase
    _actor: str

    def gate_view(self, instance_uuid: str,
                  hosts: collections.abc.Collection[str]
                  ) -> snapshot.GateView:
        database = self._database
        recovery_id = database.open_recovery.get(instance_uuid)
        recovery, attempt = None, None
        if recovery_id is not None:
            recovery = database.recoveries[recovery_id]
            # With a foreign one beside it, the gate is about our own.
            attempt = min(_open_attempts(database, recovery_id),
                          key=_own_first, default=None)
        return snapshot.GateView(
            is_pet=instance_uuid in database.pets or recovery is not None,
            host_states={
                name: row.state for name, row in database.hosts.items()
                if name in hosts or row.state is not states.HostState.UP},
            recovery=recovery, attempt=attempt)

    def consume_gate(self, attempt_id: int, request_id: str) -> bool:
        with self._database.write() as database:
            found = database.attempts.get(attempt_id)
            if (found is None or found.request_id != request_id
                    or found.gate is not states.Gate.ARMED
                    or found.outcome is not states.Outcome.OPEN):
                return False
            database.put(ATTEMPTS, attempt_id, dataclasses.replace(
                found, gate=states.Gate.CONSUMED))
            return True

    def record_refusal(self, instance_uuid: str, request_id: str,
                       text: str) -> None:
        with self._database.write() as database:
            recovery_id = database.open_recovery.get(instance_uuid)
            if recovery_id is not None:
                found = database.recoveries[recovery_id]
                if found.state in _CAN_HURRY and not found.urgent:
                    database.put(RECOVERIES, recovery_id,
                                 dataclasses.replace(
                                     found, urgent=True,
                                     generation=found.generation + 1))
            database.append(records.Event(
                code='foreign_refused', text=text,
                instance_uuid=instance_uuid,
                evidence={'request_id': request_id}), self._actor)

    def take_over(self, recovery: records.Recovery, request_id: str) -> bool:
        with self._database.write() as database:
            recovery_id = typing.cast(int, recovery.id)
            found = database.recoveries.get(recovery_id)
            if (found is None or found.generation != recovery.generation
                    or found.state not in _STARTABLE
                    or _open_attempts(database, recovery_id)
                    or request_id in database.request):
                return False
            number = recovery.attempts + 1
            database.put(RECOVERIES, recovery_id, dataclasses.replace(
                found, state=states.RecoveryState.SCHEDULING,
                reason='taken_over', detail='', attempts=number,
                urgent=False, wait_s=0.0, owner=None,
                since_at=database.now(), generation=found.generation + 1))
            attempt_id = _insert_foreign(database, recovery, request_id,
                                         number)
            database.append(records.Event(
                code='taken_over', instance_uuid=recovery.instance_uuid,
                recovery_id=recovery_id, attempt_id=attempt_id,
                host=recovery.source, from_state=recovery.state,
                to_state=states.RecoveryState.SCHEDULING,
                evidence={'request_id': request_id}), self._actor)
            return True

    def unsafe_hosts(self) -> dict[str, states.HostState]:
        return {name: row.state
                for name, row in self._database.hosts.items()
                if row.state is not states.HostState.UP}

    def tombstoned(self, instance_uuid: str) -> list[str]:
        database = self._database
        up = {name for name, row in database.hosts.items()
              if row.state is states.HostState.UP}
        unclean = set()
        for attempt in database.attempts.values():
            if attempt.instance_uuid != instance_uuid:
                continue
            if attempt.source not in up:
                unclean.add(attempt.source)
            if attempt.destination is not None and (
                    attempt.destination not in up
                    or attempt.outcome in (states.Outcome.OPEN,
                                           states.Outcome.UNSETTLED)):
                unclean.add(attempt.destination)
        return sorted(unclean)

    def in_flight(self) -> list[tuple[str, str | None]]:
        database = self._database

        def wave(attempt: records.Attempt) -> tuple[str, int]:
            recovery = database.recoveries[attempt.recovery_id]
            return recovery.source, recovery.epoch

        ordered = [one for _, one in sorted(database.attempts.items())]
        waves = {wave(one) for one in ordered
                 if one.outcome is states.Outcome.OPEN}
        return [(one.request_id, one.destination) for one in ordered
                if one.outcome is states.Outcome.OPEN or
                (one.outcome is states.Outcome.SUCCEEDED and
                 wave(one) in waves)]


def _open_attempts(database: memory_database.MemoryDatabase,
                   recovery_id: int) -> list[records.Attempt]:
    return [attempt for attempt in memory_recoveries.attempts_of(
        database, recovery_id) if attempt.outcome is states.Outcome.OPEN]


def _own_first(attempt: records.Attempt) -> tuple[bool, int | None]:
    return attempt.kind is not states.AttemptKind.OWN, attempt.id


def _insert_foreign(database: memory_database.MemoryDatabase,
                    recovery: records.Recovery, request_id: str, number: int
                    ) -> int:
    # Its migration is above every one that an attempt before it is known
    # to have met.
    floor = max((max(attempt.migration_floor, attempt.migration_id or 0)
                 for attempt in database.attempts.values()
                 if attempt.instance_uuid == recovery.instance_uuid),
                default=0)
    return database.insert(ATTEMPTS, records.Attempt(
        id=None, recovery_id=typing.cast(int, recovery.id),
        instance_uuid=recovery.instance_uuid, number=number,
        kind=states.AttemptKind.FOREIGN, request_id=request_id,
        source=recovery.source, gate=states.Gate.CONSUMED,
        migration_floor=floor, reason='taken_over',
        started_at=database.now()))
