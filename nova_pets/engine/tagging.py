# SPDX-License-Identifier: Apache-2.0
"""Which instances are pets: keeps the pets table true, a little per turn.

Reads changed instances by index ranges, and the known pets page by page: a
tag that is changed in place leaves no other trace in Nova. So a turn costs
what changed plus one page. Writes pets_instances only.
"""

import logging
import typing

from nova_pets import exception
from nova_pets.compute import base as compute_base
from nova_pets.db import base as db_base
from nova_pets.model import observations
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.planning import instance_states
from nova_pets.planning import protection

LOG = logging.getLogger(__name__)

PAGE = 200
TAGS_FRESH_S = 2.0


class Tagging:
    def __init__(self, store: db_base.Store,
                 door: compute_base.ComputeDoor,
                 tenant_settings: frozenset[str]):
        self._store = store
        self._door = door
        self._tenant_settings = tenant_settings
        self._marks: dict[str, typing.Any] = {}
        self._page_after: str | None = None
        self._read: dict[str, tuple[bool | None, float]] = {}
        self.in_error: list[observations.Instance] = []
        """Pets that the last turn found in ERROR with nothing under way."""
        self.rebuilding: frozenset[str] = frozenset()
        """Pets that the last turn found in a task of rebuilding."""
        self._in_rebuild: dict[str, str] = {}
        """{pet in a task of rebuilding: its cell}; each is read in every turn
        until it is in none."""

    def tags(self, instance: observations.Instance) -> protection.Tags:
        return protection.read_tags(instance, self._tenant_settings)

    # -- one turn ------------------------------------------------------------

    def turn(self, cells: list[observations.Cell],
             fence_ready: dict[str, bool | None],
             policy: policy_model.Policy) -> int:
        """Take one turn; return the rows written.

        :param fence_ready: {host: its fence was seen to work}.
        """
        self.in_error = []
        page = self._store.pets(after=self._page_after, limit=PAGE)
        self._page_after = (page[-1].instance_uuid
                            if len(page) == PAGE else None)
        written = 0
        for cell in cells:
            of_cell = {pet.instance_uuid for pet in page
                       if pet.cell_uuid == cell.uuid}
            of_cell |= {uuid for uuid, where in self._in_rebuild.items()
                        if where == cell.uuid}
            try:
                changed, mark = self._door.changed_instances(
                    cell.uuid, self._marks.get(cell.uuid))
                uuids = sorted(of_cell | set(changed))
                written += self._take(cell.uuid, uuids, fence_ready, policy)
            except exception.NovaUnavailable as error:
                LOG.warning('cell %s: %s', cell.name, error)
                continue
            self._marks[cell.uuid] = mark
        self.rebuilding = frozenset(self._in_rebuild)
        return written

    def _take(self, cell_uuid: str, uuids: list[str],
              fence_ready: dict[str, bool | None],
              policy: policy_model.Policy) -> int:
        if not uuids:
            return 0
        found = self._door.instances(cell_uuid, uuids)
        pets = []
        kept = set()
        for uuid in uuids:
            instance = found.get(uuid)
            self._in_rebuild.pop(uuid, None)
            if instance is None or instance_states.is_gone(instance):
                continue
            tags = self.tags(instance)
            if tags.is_pet:
                kept.add(uuid)
                if instance.task_state in instance_states.REBUILD_TASKS:
                    self._in_rebuild[uuid] = cell_uuid
                if instance.vm_state == 'error' and not instance.task_state:
                    self.in_error.append(instance)
                pets.append(protection.pet_of(
                    instance, tags, fence_ready.get(instance.host or ''),
                    policy))
        written = self._store.upsert_pets(pets) if pets else 0
        others = set(uuids) - kept
        known = {pet.instance_uuid
                 for pet in self._store.pets(uuids=others)} if others \
            else set()
        gone = {uuid for uuid in known
                if uuid not in found or
                instance_states.is_gone(found[uuid])}
        untagged = known - gone
        if gone:
            written += self._store.forget_pets(sorted(gone), 'deleted')
        if untagged:
            written += self._store.forget_pets(sorted(untagged), 'untagged')
        return written

    # -- at the moment of a failure ------------------------------------------

    def pets_on(self, row: records.Host, policy: policy_model.Policy
                ) -> list[tuple[observations.Instance, records.Pet]]:
        """Return the pets of a host, read afresh from its cell, and bring
        their rows up to date.

        :raises NovaUnavailable: the cell could not be read.
        """
        found = []
        for instance in self._door.instances_on(row.cell_uuid, row.host):
            if instance_states.is_gone(instance):
                continue
            tags = self.tags(instance)
            if tags.is_pet:
                found.append((instance, protection.pet_of(
                    instance, tags, row.fence_ready, policy)))
        if found:
            self._store.upsert_pets([pet for _, pet in found])
        return found

    # -- during a recovery ---------------------------------------------------

    def is_tagged(self, row: records.Recovery,
                  trace: observations.Trace | None, now: float
                  ) -> bool | None:
        """Return whether the instance still is a pet, None: not known.

        Instance metadata is in the trace; only where it says nothing are the
        other sources read, at most every TAGS_FRESH_S.
        """
        if trace is None or trace.instance is None:
            return None
        if 'ha' in trace.instance.metadata:
            return self.tags(trace.instance).is_pet
        known = self._read.get(row.instance_uuid)
        if known is not None and now - known[1] < TAGS_FRESH_S:
            return known[0]
        try:
            found = self._door.instances(row.cell_uuid,
                                         [row.instance_uuid])
        except exception.NovaUnavailable:
            return None
        instance = found.get(row.instance_uuid)
        is_pet = None if instance is None else self.tags(instance).is_pet
        self._read[row.instance_uuid] = (is_pet, now)
        return is_pet


def fence_ready(stored: snapshot.StoreSnapshot) -> dict[str, bool | None]:
    return {row.host: row.fence_ready for row in stored.hosts}
