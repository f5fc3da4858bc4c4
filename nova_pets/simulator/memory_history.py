# SPDX-License-Identifier: Apache-2.0
"""Orders, history and the end of old rows in memory: as db/controls.py and
db/history.py have it."""

import collections.abc
import dataclasses
import datetime

from nova_pets.model import records
from nova_pets.model import states
from nova_pets.simulator import memory_database
from nova_pets.simulator import tables

CONTROLS = memory_database.CONTROLS


class ControlRows:
    """Part of memory_store.MemoryStore."""

    _database: memory_database.MemoryDatabase
    _actor: str

    def add_control(self, control: records.Control) -> records.Control:
        with self._database.write() as database:
            key = database.insert(CONTROLS, dataclasses.replace(
                control, actor=control.actor or self._actor, active=True,
                generation=0, ended_at=None, created_at=database.now()))
            database.append(_event(control, 'control_set', control.reason,
                                   control.actor), self._actor)
            return database.controls[key]

    def end_control(self, control: records.Control, actor: str,
                    text: str) -> bool:
        with self._database.write() as database:
            found = database.tables.get(CONTROLS, control.id)
            if (found is None or found.generation != control.generation
                    or not found.active):
                return False
            database.put(CONTROLS, control.id, dataclasses.replace(
                found, active=False, ended_at=database.now(),
                generation=found.generation + 1))
            database.append(_event(control, 'control_ended', text, actor),
                            self._actor)
            return True

    def controls(self, only_active: bool = True) -> list[records.Control]:
        return [one for _, one in sorted(
            self._database.controls.items())
            if one.active or not only_active]


def _event(control: records.Control, code: str, text: str, actor: str
           ) -> records.Event:
    about = ' '.join(filter(None, (control.kind.value, control.scope,
                                   control.target)))
    return records.Event(
        code=code, actor=actor, text=f'{about}: {text}' if text else about,
        host=control.target if control.scope == 'host' else None,
        instance_uuid=control.target if control.scope == 'instance'
        else None)


class HistoryRows:
    """Part of memory_store.MemoryStore."""

    _database: memory_database.MemoryDatabase
    _actor: str

    def record(self, event: records.Event) -> None:
        with self._database.write() as database:
            database.append(event, self._actor)

    def history(self, instance_uuid: str | None = None,
                host: str | None = None,
                since: datetime.datetime | None = None,
                recovery_id: int | None = None,
                limit: int = 1000) -> list[records.Event]:
        newest_first = [
            line for _, line in sorted(
                self._database.events.items(), reverse=True)
            if (instance_uuid is None or line.instance_uuid == instance_uuid)
            and (host is None or line.host == host)
            and (since is None or not _is_before(line.at, since))
            and (recovery_id is None or line.recovery_id == recovery_id)]
        return newest_first[:limit][::-1]

    def purge(self, before: datetime.datetime) -> dict[str, int]:
        with self._database.write() as database:
            living = set(database.open_recovery.values())
            closed = {
                key for key, one in database.recoveries.items()
                if one.state in states.TERMINAL
                and _is_before(one.finished_at, before)}
            return {
                memory_database.ATTEMPTS: _drop(
                    database, memory_database.ATTEMPTS,
                    [key for key, one in database.attempts.items()
                     if one.recovery_id in closed]),
                memory_database.RECOVERIES: _drop(
                    database, memory_database.RECOVERIES, sorted(closed)),
                # A living recovery keeps the whole of its history.
                memory_database.EVENTS: _drop(
                    database, memory_database.EVENTS,
                    [key for key, one in database.events.items()
                     if _is_before(one.at, before)
                     and one.recovery_id not in living]),
                CONTROLS: _drop(
                    database, CONTROLS,
                    [key for key, one in database.controls.items()
                     if not one.active
                     and _is_before(one.ended_at, before)]),
                memory_database.ENGINES: _drop(
                    database, memory_database.ENGINES,
                    [key for key, one in database.engines.items()
                     if one.deposed and _is_before(one.renewed_at, before)])}


def _is_before(at: datetime.datetime | None, then: datetime.datetime
               ) -> bool:
    return at is not None and at < then


def _drop(database: memory_database.MemoryDatabase, table: str,
          keys: collections.abc.Sequence[tables.Key]) -> int:
    for key in keys:
        database.tables.drop(table, key)
    return len(keys)
