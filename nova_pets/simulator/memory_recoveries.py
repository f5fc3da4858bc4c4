# SPDX-License-Identifier: Apache-2.0
"""Recoveries and attempts in memory: as db/recoveries.py has it."""

import collections.abc
import dataclasses

from nova_pets import exception
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.simulator import memory_database

RECOVERIES = memory_database.RECOVERIES
ATTEMPTS = memory_database.ATTEMPTS


class RecoveryRows:
    """Part of memory_store.MemoryStore."""

    _database: memory_database.MemoryDatabase
    _actor: str

    def open_recoveries(self, new: collections.abc.Sequence[records.Recovery],
                        event: records.Event) -> int:
        wanted = {one.instance_uuid: one for one in new}
        for one in wanted.values():
            if one.state not in states.OPEN:
                raise ValueError(f'expected an open state, found {one.state}')
        if not wanted:
            return 0
        with self._database.write() as database:
            missing = [wanted[uuid] for uuid in sorted(
                wanted.keys() - database.open_recovery.keys())]
            now = database.now()
            for one in missing:
                recovery_id = database.insert(
                    RECOVERIES, dataclasses.replace(
                        one, owner=None, generation=0, finished_at=None,
                        created_at=now, since_at=now))
                database.append(dataclasses.replace(
                    event, instance_uuid=one.instance_uuid,
                    recovery_id=recovery_id,
                    host=event.host or one.source,
                    to_state=event.to_state or one.state), self._actor)
            return len(missing)

    def recovery(self, recovery_id: int) -> records.Recovery | None:
        return self._database.recoveries.get(recovery_id)

    def recoveries(self, instance_uuid: str | None = None,
                   host: str | None = None, project: str | None = None,
                   state: str | None = None, only_open: bool = False,
                   limit: int | None = None) -> list[records.Recovery]:
        found = self._database.recoveries
        return [
            one for _, one in sorted(found.items(), reverse=True)
            if (instance_uuid is None or one.instance_uuid == instance_uuid)
            and (host is None or host in (one.source, one.destination))
            and (project is None or one.project_id == project)
            and (state is None or one.state == state)
            and (not only_open or one.state in states.OPEN)][:limit]

    def attempts(self, recovery_id: int) -> list[records.Attempt]:
        return attempts_of(self._database, recovery_id)

    def claim_recovery(self, recovery_id: int, generation: int,
                       me: str) -> int | None:
        with self._database.write() as database:
            return database.claim(RECOVERIES, recovery_id, generation, me)

    def advance_recovery(self, new: records.Recovery, generation: int,
                         me: str, event: records.Event | None,
                         attempt: records.Attempt | None = None
                         ) -> tuple[records.Recovery, records.Attempt | None]:
        memory_database.check_owner(new.owner, me)
        if new.id is None or (
                attempt is not None and attempt.recovery_id != new.id):
            raise ValueError('expected a stored recovery and its own attempt')
        with self._database.write() as database:
            old = database.owned(RECOVERIES, new.id, generation, me)
            if old.state not in states.OPEN:
                raise exception.RowConflict(
                    kind=RECOVERIES, key=new.id, expected=generation,
                    owner=me)
            _write_recovery(database, old, new)
            written = attempt and _write_attempt(database, attempt, me)
            if event is not None:
                database.append(dataclasses.replace(
                    event, recovery_id=new.id,
                    instance_uuid=event.instance_uuid or new.instance_uuid,
                    attempt_id=event.attempt_id
                    or (written.id if written else None)), self._actor)
        return dataclasses.replace(new, generation=generation + 1), written


def attempts_of(database: memory_database.MemoryDatabase, recovery_id: int
                ) -> list[records.Attempt]:
    """Return the attempts of a recovery, oldest first."""
    return [database.attempts[key] for key in sorted(
        database.attempts_of.get(recovery_id, ()))]


def _write_recovery(database: memory_database.MemoryDatabase,
                    old: records.Recovery, new: records.Recovery) -> None:
    now = database.now()
    database.put(RECOVERIES, old.id, dataclasses.replace(
        new, instance_uuid=old.instance_uuid, cell_uuid=old.cell_uuid,
        project_id=old.project_id, original_vm_state=old.original_vm_state,
        generation=old.generation + 1, created_at=old.created_at,
        since_at=old.since_at if new.state == old.state else now,
        finished_at=now if new.state in states.TERMINAL
        else old.finished_at))


def _write_attempt(database: memory_database.MemoryDatabase,
                   attempt: records.Attempt, me: str) -> records.Attempt:
    if attempt.id is None:
        return _insert_attempt(database, attempt, me)
    is_open = attempt.outcome is states.Outcome.OPEN
    old = database.attempts.get(attempt.id)
    # What was settled is not opened again.
    if old is None or old.recovery_id != attempt.recovery_id or (
            is_open and old.outcome is not states.Outcome.OPEN):
        raise exception.RowConflict(
            kind=ATTEMPTS, key=attempt.id, expected=attempt.outcome,
            owner=attempt.recovery_id)
    database.put(ATTEMPTS, attempt.id, dataclasses.replace(
        attempt, instance_uuid=old.instance_uuid,
        request_id=old.request_id, number=old.number,
        gate=_forwards(old.gate, attempt.gate), started_at=old.started_at,
        ended_at=old.ended_at if is_open
        else old.ended_at or database.now()))
    found = database.request.get(attempt.request_id)
    if found is None:
        raise exception.StoreUnavailable(
            what=f'write recovery {attempt.recovery_id}',
            found=f'no attempt of {attempt.request_id}')
    return database.attempts[found]


def _insert_attempt(database: memory_database.MemoryDatabase,
                    attempt: records.Attempt, me: str) -> records.Attempt:
    if attempt.request_id in database.request:
        raise exception.RowConflict(
            kind=ATTEMPTS, key=attempt.request_id,
            expected='none of this request', owner=me)
    now = database.now()
    is_open = attempt.outcome is states.Outcome.OPEN
    return database.attempts[database.insert(ATTEMPTS, dataclasses.replace(
        attempt, started_at=now, ended_at=None if is_open else now))]


def _forwards(stored: states.Gate, asked: states.Gate) -> states.Gate:
    """Return the gate after a write that may have read an older one."""
    order = list(states.Gate)
    return max(stored, asked, key=order.index)
