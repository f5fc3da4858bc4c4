# SPDX-License-Identifier: Apache-2.0
"""Eyes of an audit: reads Nova and the store, and has planning judge it.

Writes nothing (but that nova keeps a fault for a guest that was asked for
and not found). Instances that nothing speaks against cost nothing: only
suspicious ones are looked at, some hundreds per statement.
"""

import collections.abc
import dataclasses
import logging

from nova_pets import exception
from nova_pets.compute import base as compute_base
from nova_pets.db import base as db_base
from nova_pets.model import audit as audit_model
from nova_pets.model import observations
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import audit
from nova_pets.planning import instance_states

LOG = logging.getLogger(__name__)

PROBE_S = 5.0
MOST_PROBES = 50
"""Guests asked for in one survey; a dead answer takes PROBE_S."""
MOST_FAILURES = 3
"""Of placement, before the other hosts are left out."""
PAGE = 1000

Places = dict[str, audit_model.Place]


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
    """How far a survey goes."""

    is_whole: bool = True
    """Our rows without instances too, and room where pets live."""
    room_hosts: frozenset[str] | None = None
    """Hosts whose allocations are read; None: all."""
    asks_all: bool = True
    """Of all that may have one; else only of those that hold room for it."""
    most: int | None = None
    """Instances looked at closely; None: all."""
    only: frozenset[str] | None = None
    """Of those in a task of rebuilding these, and no others; None: all that
    is suspicious."""


EVERYTHING = Scope()


@dataclasses.dataclass(slots=True)
class Survey:
    """What one survey found, and how far it came."""

    findings: list[audit.Finding] = dataclasses.field(default_factory=list)
    unknown: list[str] = dataclasses.field(default_factory=list)
    """Sentences: what could not be read."""
    instances: int = 0
    """Looked at closely."""
    hosts: int = 0
    """Whose records were read."""
    guests: int = 0
    """Asked for."""
    left_out: int = 0
    """Instances and guests beyond a limit."""


class Surveyor:
    def __init__(self, store: db_base.Store,
                 door: compute_base.ComputeDoor,
                 audits: compute_base.AuditDoor):
        self._store = store
        self._door = door
        self._audits = audits

    def survey(self, scope: Scope = EVERYTHING) -> Survey:
        """
        :raises NovaUnavailable, StoreUnavailable: not even the cells or our
            own tables could be read.
        """
        done = Survey()
        stored = self._store.snapshot()
        for cell in self._door.cells():
            try:
                self._survey_cell(cell, stored, scope, done)
            except exception.NovaUnavailable as error:
                done.unknown.append(f'cell {cell.name}: {error}')
        return done

    def look(self, cell_uuid: str, uuid: str, scope: Scope,
             has_room: bool) -> list[audit.Finding]:
        """Judge one instance once more, from nothing but fresh reads."""
        stored = self._store.snapshot()
        places = self._places(cell_uuid, stored)
        facts = self._facts(cell_uuid, [uuid], {uuid} if has_room else set(),
                            stored)[uuid]
        if instance_states.is_gone(facts.trace.instance):
            return self._missing_pets(cell_uuid, self._store.pets(
                uuids=[uuid]))
        facts = self._ask(facts, places, Survey(), scope.asks_all)
        return audit.judge(facts, places)

    # -- one cell ------------------------------------------------------------

    def _survey_cell(self, cell: observations.Cell,
                     stored: snapshot.StoreSnapshot, scope: Scope,
                     done: Survey) -> None:
        places = self._places(cell.uuid, stored)
        done.hosts += len(places)
        found = set(self._audits.rebuilding(cell.uuid))
        if scope.only is not None:
            found &= scope.only
        else:
            found |= {named.instance_uuid for named in
                      self._audits.records(cell.uuid, sorted(places))
                      if audit.is_suspicious(named, places)}
        roomy = self._roomy(cell.uuid, places, scope, done)
        chosen = sorted(found | roomy)
        if scope.most is not None:
            done.left_out += max(0, len(chosen) - scope.most)
            chosen = chosen[:scope.most]
        facts = self._facts(cell.uuid, chosen, roomy, stored)
        done.instances += len(facts)
        done.unknown += [f'the allocations of {uuid} cannot be read'
                         for uuid in chosen
                         if uuid in roomy and facts[uuid].held is None]
        for uuid in chosen:
            known = facts[uuid]
            if not known.has_open_recovery:
                known = self._ask(known, places, done, scope.asks_all)
            done.findings += audit.judge(known, places)
        if scope.is_whole:
            done.findings += self._missing(cell.uuid, stored)

    def _places(self, cell_uuid: str, stored: snapshot.StoreSnapshot
                ) -> Places:
        forced = {service.host: service.forced_down
                  for service in self._door.services(cell_uuid)}
        return {row.host: audit_model.Place(row.state,
                                            forced.get(row.host, True))
                for row in stored.hosts if row.cell_uuid == cell_uuid}

    def _roomy(self, cell_uuid: str, places: Places, scope: Scope,
               done: Survey) -> set[str]:
        """Return pets with room where they do not live, or without any
        where they do, as far as our rows tell."""
        hosts = [host for host in sorted(places) if
                 scope.room_hosts is None or host in scope.room_hosts]
        found: set[str] = set()
        failures = 0
        for host in hosts:
            try:
                consumers = self._audits.room_of(cell_uuid, host)
            except exception.NovaUnavailable as error:
                done.unknown.append(str(error))
                failures += 1
                if failures >= MOST_FAILURES:
                    break
                continue
            found |= {pet.instance_uuid for pet in
                      self._store.pets(uuids=consumers) if pet.host != host}
            if scope.is_whole:
                found |= {pet.instance_uuid for pet in self._store.pets(
                    host=host)} - consumers
        return found

    def _facts(self, cell_uuid: str, uuids: list[str], roomy: set[str],
               stored: snapshot.StoreSnapshot
               ) -> dict[str, audit_model.Facts]:
        if not uuids:
            return {}
        # Allocations first: a move that begins after this read makes their
        # generation old, and one that began before is seen below.
        held = {uuid: self._held(uuid) for uuid in uuids if uuid in roomy}
        traces = self._door.traces(cell_uuid, uuids)
        moves = self._audits.moves(cell_uuid, uuids)
        actions = self._audits.last_actions(cell_uuid, [
            uuid for uuid in uuids if _is_rebuilding(traces[uuid])])
        pets = {pet.instance_uuid: pet
                for pet in self._store.pets(uuids=uuids)}
        being_recovered = {row.instance_uuid for row in stored.recoveries}
        found = {}
        for uuid in uuids:
            instance = traces[uuid].instance
            attempts, was_ours = self._past(uuid, traces[uuid], uuid in pets)
            found[uuid] = audit_model.Facts(
                uuid=uuid, cell_uuid=cell_uuid,
                name=instance.name if instance else uuid,
                trace=traces[uuid], is_ours=uuid in pets or was_ours,
                has_open_recovery=uuid in being_recovered,
                attempts=attempts, moves=moves.get(uuid, ()),
                last_action=actions.get(uuid), held=held.get(uuid))
        return found

    def _held(self, uuid: str) -> audit_model.Held | None:
        try:
            return self._audits.held(uuid)
        except exception.NovaUnavailable as error:
            LOG.debug('%s', error)
            return None

    def _past(self, uuid: str, trace: observations.Trace, is_pet: bool
              ) -> tuple[tuple[records.Attempt, ...], bool]:
        """Return (attempts, whether there is a recovery on record); read
        only where that can matter."""
        has_claimed = any(
            record.destination and record.status in (
                audit.CLAIMED, *audit.ENDED) for record in trace.migrations)
        if is_pet and not has_claimed:
            return (), True
        rows = self._store.recoveries(instance_uuid=uuid)
        attempts: list[records.Attempt] = []
        for row in rows:
            assert row.id is not None  # nosec: rows read have an id
            attempts += self._store.attempts(row.id)
        return tuple(attempts), bool(rows)

    # -- guests --------------------------------------------------------------

    def _ask(self, facts: audit_model.Facts, places: Places, done: Survey,
             is_all: bool) -> audit_model.Facts:
        while wanted := audit.to_ask(facts, places, is_all):
            if done.guests + len(wanted) > MOST_PROBES:
                done.left_out += len(wanted)
                break
            answers = dict(facts.guests)
            for host in wanted:
                answers[host] = self._answer(facts, host, done)
            facts = dataclasses.replace(facts, guests=answers)
        return facts

    def _answer(self, facts: audit_model.Facts, host: str, done: Survey
                ) -> states.GuestAnswer:
        done.guests += 1
        try:
            return self._door.guest(facts.cell_uuid, facts.uuid, host,
                                    PROBE_S)
        except (exception.NovaUnavailable, exception.InstanceGone) as error:
            LOG.debug('%s', error)
            return states.GuestAnswer.UNREACHABLE

    # -- rows of ours --------------------------------------------------------

    def _missing(self, cell_uuid: str, stored: snapshot.StoreSnapshot
                 ) -> list[audit.Finding]:
        found: list[audit.Finding] = []
        for page in self._pages():
            found += self._missing_pets(cell_uuid, page)
        known = [row for row in stored.recoveries
                 if row.cell_uuid == cell_uuid]
        there = self._existing(cell_uuid, [row.instance_uuid
                                           for row in known])
        return found + [
            audit.missing('recovery', row.instance_uuid, cell_uuid, row.name,
                          row.source)
            for row in known if row.instance_uuid not in there]

    def _pages(self) -> collections.abc.Iterator[list[records.Pet]]:
        after = None
        while True:
            page = self._store.pets(after=after, limit=PAGE)
            yield page
            if len(page) < PAGE:
                return
            after = page[-1].instance_uuid

    def _missing_pets(self, cell_uuid: str, pets: list[records.Pet]
                      ) -> list[audit.Finding]:
        here = [pet for pet in pets if pet.cell_uuid == cell_uuid]
        there = self._existing(cell_uuid, [pet.instance_uuid
                                           for pet in here])
        return [audit.missing('pet', pet.instance_uuid, cell_uuid, pet.name,
                              pet.host)
                for pet in here if pet.instance_uuid not in there]

    def _existing(self, cell_uuid: str, uuids: list[str]) -> set[str]:
        """Return those that are in the cell, or by Nova's mapping in
        another one (a cross-cell resize)."""
        if not uuids:
            return set()
        there = self._audits.existing(cell_uuid, uuids)
        absent = sorted(set(uuids) - there)
        if absent:
            there |= {uuid for uuid, cell in
                      self._audits.cells_of(absent).items()
                      if cell not in (None, cell_uuid)}
        return there


def _is_rebuilding(trace: observations.Trace) -> bool:
    return (trace.instance is not None and
            trace.instance.task_state in instance_states.REBUILD_TASKS)
