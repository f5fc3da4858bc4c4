# SPDX-License-Identifier: Apache-2.0
"""Engines, hosts and pets in memory: as db/engines.py, db/hosts.py and
db/pets.py have it."""

import collections.abc
import dataclasses
import typing

from nova_pets import exception
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.simulator import memory_database
from nova_pets.simulator import memory_rows


class EngineRows:
    """Part of memory_store.MemoryStore."""

    _database: memory_database.MemoryDatabase
    _unseen: dict[str, int]
    """{engine id: renewals that were committed unseen}"""

    def register_engine(self, engine: records.Engine) -> None:
        with self._database.write() as database:
            if engine.id in database.engines:
                raise exception.StoreUnavailable(
                    what='write engine', found=f'{engine.id} is there')
            now = database.now()
            database.put(memory_database.ENGINES, engine.id,
                         dataclasses.replace(
                             engine, slot=None, renewals=0, deposed=False,
                             started_at=now, renewed_at=now))

    def renew_engine(self, engine_id: str, renewals: int,
                     report: records.Json | None = None,
                     mode: states.Mode | None = None) -> int:
        unseen = self._unseen.pop(engine_id, 0)
        with self._database.write() as database:
            found = database.engines.get(engine_id)
            if (found is None or found.deposed
                    or not 0 <= found.renewals - renewals <= unseen):
                raise exception.EngineDeposed(engine=engine_id,
                                              expected=renewals)
            database.put(
                memory_database.ENGINES, engine_id, dataclasses.replace(
                    found, renewals=found.renewals + 1,
                    renewed_at=database.now(),
                    report=found.report if report is None else report,
                    mode=found.mode if mode is None else mode))
            return found.renewals + 1

    def lose_renewal(self, engine_id: str, renewals: int) -> None:
        """Know that the answer to ``renew_engine(engine_id, renewals)``, the
        last call, did not reach the engine, which raises StoreUnavailable:
        the next renewal from that counter is its own, as in db/engines.py.
        """
        found = self._database.engines.get(engine_id)
        if found is not None:
            self._unseen[engine_id] = found.renewals - renewals

    def depose_engine(self, engine_id: str, renewals: int) -> bool:
        with self._database.write() as database:
            found = database.engines.get(engine_id)
            if (found is None or found.deposed
                    or found.renewals != renewals):
                return False
            database.put(memory_database.ENGINES, engine_id,
                         dataclasses.replace(found, deposed=True, slot=None))
            return True

    def take_slot(self, engine_id: str, slot: int) -> bool:
        with self._database.write() as database:
            found = database.engines.get(engine_id)
            if (found is None or found.deposed
                    or found.slot not in (None, slot)):
                return False
            if any(one.slot == slot and one.id != engine_id
                   for one in database.engines.values()):
                return False
            database.put(memory_database.ENGINES, engine_id,
                         dataclasses.replace(found, slot=slot))
            return True

    def engines(self, with_deposed: bool = False) -> list[records.Engine]:
        database = self._database
        if with_deposed:
            return sorted(database.engines.values(), key=_engine_order)
        return list(living_engines(database))


def living_engines(database: memory_database.MemoryDatabase
                   ) -> tuple[records.Engine, ...]:
    return tuple(sorted(
        (one for one in database.engines.values() if not one.deposed),
        key=_engine_order))


def _engine_order(engine: records.Engine) -> tuple[typing.Any, str]:
    return engine.started_at, engine.id


class HostRows:
    """Part of memory_store.MemoryStore."""

    _database: memory_database.MemoryDatabase
    _actor: str

    def ensure_hosts(self, hosts: collections.abc.Iterable[
            tuple[str, str]]) -> int:
        wanted = dict(hosts)
        if not wanted:
            return 0
        with self._database.write() as database:
            missing = sorted(wanted.keys() - database.hosts.keys())
            for host in missing:
                database.put(memory_database.HOSTS, host, records.Host(
                    host, wanted[host], since_at=database.now(),
                    updated_at=database.now()))
            return len(missing)

    def host(self, host: str) -> records.Host | None:
        return self._database.hosts.get(host)

    def claim_host(self, host: str, generation: int, me: str) -> int | None:
        with self._database.write() as database:
            return database.claim(memory_database.HOSTS, host, generation,
                                  me)

    def advance_host(self, new: records.Host, generation: int, me: str,
                     event: records.Event | None) -> records.Host:
        memory_database.check_owner(new.owner, me)
        with self._database.write() as database:
            old = database.owned(memory_database.HOSTS, new.host, generation,
                                 me)
            now = database.now()
            database.put(memory_database.HOSTS, new.host,
                         dataclasses.replace(
                             new, generation=generation + 1, updated_at=now,
                             since_at=old.since_at if new.state == old.state
                             else now))
            if event is not None:
                database.append(dataclasses.replace(
                    event, host=event.host or new.host), self._actor)
        return dataclasses.replace(new, generation=generation + 1)


class PetRows:
    """Part of memory_store.MemoryStore."""

    _database: memory_database.MemoryDatabase
    _actor: str

    def upsert_pets(self, pets: collections.abc.Iterable[records.Pet]) -> int:
        wanted = {pet.instance_uuid: pet for pet in pets}
        if not wanted:
            return 0
        written = 0
        with self._database.write() as database:
            for uuid in sorted(wanted):
                old = database.pets.get(uuid)
                new = memory_rows.as_stored(dataclasses.replace(
                    wanted[uuid], updated_at=old.updated_at if old else None,
                    generation=old.generation if old else 0), old)
                # As text too: True is 1 to Python, but not in JSON.
                if new == old and repr(new.settings) == repr(old.settings):
                    continue
                database.put(memory_database.INSTANCES, uuid,
                             dataclasses.replace(
                                 new, updated_at=database.now(),
                                 generation=old.generation + 1 if old else 0))
                written += 1
        return written

    def forget_pets(self, uuids: collections.abc.Iterable[str],
                    reason: str) -> int:
        wanted = set(uuids)
        if not wanted:
            return 0
        with self._database.write() as database:
            gone = [database.pets[uuid]
                    for uuid in sorted(wanted & database.pets.keys())]
            for pet in gone:
                database.tables.drop(memory_database.INSTANCES,
                                     pet.instance_uuid)
                database.append(records.Event(
                    code=reason, text=f'{pet.name} is not kept any more',
                    instance_uuid=pet.instance_uuid, host=pet.host),
                    self._actor)
            return len(gone)

    def pets(self, host: str | None = None, project: str | None = None,
             uuids: collections.abc.Collection[str] | None = None,
             after: str | None = None, limit: int | None = None
             ) -> list[records.Pet]:
        found = self._database.pets
        chosen = found if uuids is None else set(uuids) & found.keys()
        return [
            pet for pet in map(found.__getitem__, sorted(chosen))
            if (host is None or pet.host == host)
            and (project is None or pet.project_id == project)
            and (after is None or pet.instance_uuid > after)][:limit]
