# SPDX-License-Identifier: Apache-2.0
"""Reads the side tables for a verb; writes nothing and judges nothing.

All that a screen shows of one kind of row comes from here, by the store
contract alone (db/base.py).
"""

import collections
import dataclasses

from nova_pets import exception
from nova_pets.cmd import liveness
from nova_pets.cmd import questions
from nova_pets.db import base
from nova_pets.model import records
from nova_pets.model import states

_PAGE = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What this command's nova.conf says, as far as a screen needs it."""

    mode: states.Mode = states.Mode.ACT
    mode_reason: str = ''
    has_fake_fencing: bool = False
    pace_s: float = 2.0
    """The slowest interval in which a working engine renews."""


def facts(store: base.Store, settings: Settings,
          is_watching: bool = True) -> questions.Facts:
    """Return all that a status needs.

    :param is_watching: look for a living engine too (up to 3 s).
    """
    alive = (liveness.watch(store.engines, settings.pace_s) if is_watching
             else liveness.Liveness(liveness.Answer.UNKNOWN))
    snapshot = store.snapshot()
    return questions.Facts(
        now=store.now(), engines=snapshot.engines, liveness=alive,
        hosts=tuple(sorted(snapshot.hosts, key=lambda row: row.host)),
        pets=tuple(all_pets(store)),
        recoveries=tuple(sorted(snapshot.recoveries, key=_urgency)),
        attempts=snapshot.attempts, orders=snapshot.controls,
        mode=settings.mode, mode_reason=settings.mode_reason,
        has_fake_fencing=settings.has_fake_fencing,
        problems=tuple(snapshot.problems))


def all_pets(store: base.Store, host: str | None = None,
             project: str | None = None) -> list[records.Pet]:
    """Return every pet, read page by page."""
    found: list[records.Pet] = []
    after = None
    while True:
        page = store.pets(host=host, project=project, after=after,
                          limit=_PAGE)
        found += page
        if len(page) < _PAGE:
            return found
        after = page[-1].instance_uuid


def pets_by_host(pets: list[records.Pet]) -> dict[str, int]:
    return dict(collections.Counter(pet.host for pet in pets if pet.host))


def open_recoveries(store: base.Store, host: str | None = None
                    ) -> list[records.Recovery]:
    return sorted(store.recoveries(host=host, only_open=True),
                  key=_urgency)


def find_instances(store: base.Store, asked: list[str]) -> list[str]:
    """Return the uuids that the words mean, in their order.

    Tagged instances, and those whose recovery is on record although their
    tag or the instance itself is gone.

    :raises OperatorError: a word means none, or more than one.
    """
    known = {pet.instance_uuid: questions.Named(
        pet.instance_uuid, pet.name, pet.project_id)
        for pet in all_pets(store)}
    _add(known, store.recoveries(only_open=True))
    try:
        return _resolved(asked, known)
    except exception.OperatorError:
        # Only now the closed ones: a deleted namesake must not make the
        # name of a living instance ambiguous.
        if _add(known, store.recoveries()):
            return _resolved(asked, known)
        raise


def _add(known: dict[str, questions.Named],
         recoveries: list[records.Recovery]) -> bool:
    before = len(known)
    for row in recoveries:
        known.setdefault(row.instance_uuid, questions.Named(
            row.instance_uuid, row.name, row.project_id))
    return len(known) > before


def _resolved(asked: list[str], known: dict[str, questions.Named]
              ) -> list[str]:
    return list(dict.fromkeys(questions.resolve(word, known.values())
                              for word in asked))


def find_host(store: base.Store, word: str) -> records.Host:
    """:raises OperatorError: no such host."""
    row = store.host(word)
    if row is None:
        row = questions.find_host(word, store.snapshot().hosts)
    return row


def latest_recovery(store: base.Store, uuid: str
                    ) -> records.Recovery | None:
    rows = store.recoveries(instance_uuid=uuid, limit=1)
    return rows[0] if rows else None


def latest_recoveries(store: base.Store, uuids: list[str]
                      ) -> list[records.Recovery]:
    """Return the latest recovery of each instance.

    :raises OperatorError: one never had any.
    """
    found = []
    for uuid in uuids:
        row = latest_recovery(store, uuid)
        if row is None:
            raise exception.OperatorError(problem=(
                f'cannot find a recovery of {uuid}: expected one under way, '
                f'it never had any. "nova-manage pets recover" begins one '
                f'when its host is down.'))
        found.append(row)
    return found


def names(store: base.Store, events: list[records.Event]
          ) -> dict[str, str]:
    """Return {instance uuid: name} of those that events are about."""
    uuids = {event.instance_uuid for event in events
             if event.instance_uuid}
    found = {pet.instance_uuid: pet.name for pet in all_pets(store)
             if pet.instance_uuid in uuids}
    if uuids - set(found):
        for row in store.recoveries():
            if row.instance_uuid in uuids:
                found.setdefault(row.instance_uuid, row.name)
    return found


def one_pet(store: base.Store, uuid: str) -> records.Pet | None:
    rows = store.pets(uuids=[uuid])
    return rows[0] if rows else None


def find_cell(store: base.Store, word: str) -> str:
    """Return the uuid of the cell.

    :raises OperatorError: no known host is in such a cell.
    """
    known = sorted({host.cell_uuid for host in store.snapshot().hosts})
    fits = [uuid for uuid in known
            if len(word) >= questions.SHORTEST_PREFIX and
            uuid.startswith(word.lower())]
    if len(fits) == 1:
        return fits[0]
    raise exception.OperatorError(problem=(
        f'cannot find cell {word!r}: expected the uuid of a cell that has '
        f'compute hosts, or its first characters; known are '
        f'{", ".join(known) or "none"}. '
        f'"nova-manage cell_v2 list_cells" shows their names.'))


def _urgency(row: records.Recovery) -> tuple[bool, int, str]:
    """Those that need a person first, then by priority."""
    return (row.state is not states.RecoveryState.NEEDS_OPERATOR,
            -row.priority, row.name)
