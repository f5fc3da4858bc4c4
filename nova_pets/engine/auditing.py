# SPDX-License-Identifier: Apache-2.0
"""Hands of an audit: mends what is safe, one instance and step at a time.

Right before each step the instance is read and judged anew, and my standing
and view are asked; each write is compare-and-swap, and has a line of history.
By itself an engine looks at a bounded part and asks no guests; a person's
order (``nova-manage pets audit --fix``) covers everything.
"""

import collections.abc
import dataclasses
import logging

from nova_pets import exception
from nova_pets.compute import base as compute_base
from nova_pets.db import base as db_base
from nova_pets.engine import standing as standing_module
from nova_pets.engine import survey as survey_module
from nova_pets.model import reasons
from nova_pets.model import records
from nova_pets.planning import audit
from nova_pets.planning import settling

LOG = logging.getLogger(__name__)

MENDED = 'audit_mended'
STEPS = 10
"""Mends of one instance in one audit; more would be a loop."""
MOST = 100
"""Instances that an unasked audit looks at closely."""
ROOM_HOSTS = 10
"""Hosts whose allocations an unasked audit reads; the next one goes on."""

WhyNot = collections.abc.Callable[[], str | None]
"""Why this engine may not mend now, None: it may."""


class Auditor:
    def __init__(self, store: db_base.Store,
                 door: compute_base.ComputeDoor,
                 audits: compute_base.AuditDoor,
                 standing: standing_module.Standing):
        self._store = store
        self._door = door
        self._audits = audits
        self._standing = standing
        self._surveyor = survey_module.Surveyor(store, door, audits)
        self._room_after = ''

    def turn(self, why_not: WhyNot, order: records.Control | None = None,
             only: frozenset[str] | None = None) -> None:
        """Take one turn; with an order, end it and say what was done.

        :param only: instances in a task of rebuilding: nothing but these.
        """
        me = self._standing.id
        if order is not None:
            scope = survey_module.EVERYTHING
        elif only is not None:
            scope = survey_module.Scope(
                is_whole=False, room_hosts=frozenset(), asks_all=False,
                most=MOST, only=only)
        else:
            scope = self._next_scope()
        found = self._surveyor.survey(scope)
        for text in found.unknown:
            LOG.debug('audit: %s', text)
        mended = 0
        for uuid in sorted({one.uuid for one in found.findings if one.mend}):
            known = [one for one in found.findings if one.uuid == uuid]
            try:
                mended += self._mend_all(known, scope, me, why_not, order)
            except (exception.NovaUnavailable,
                    exception.InstanceGone) as error:
                LOG.debug('audit: %s', error)
        if order is not None:
            self._store.end_control(
                order, self._standing.actor,
                f'{len(found.findings)} found, {mended} mended')

    def _next_scope(self) -> survey_module.Scope:
        """The next hosts in turn, so that all have their turn."""
        hosts = sorted(row.host for row in self._store.snapshot().hosts)
        later = [host for host in hosts if host > self._room_after]
        chosen = (later + hosts)[:min(ROOM_HOSTS, len(hosts))]
        self._room_after = chosen[-1] if chosen else ''
        return survey_module.Scope(
            is_whole=False, room_hosts=frozenset(chosen), asks_all=False,
            most=MOST)

    def _mend_all(self, known: list[audit.Finding],
                  scope: survey_module.Scope, me: str, why_not: WhyNot,
                  order: records.Control | None) -> int:
        """Mend one instance step by step; return the number of mends.

        :param known: what the survey found of it.
        :param me: who I was when the audit began.
        """
        cell_uuid, uuid = known[0].cell_uuid, known[0].uuid
        has_room = any(isinstance(one.mend, audit.RemoveLeak)
                       for one in known)
        tried: set[tuple[str, str, str]] = set()
        mended = 0
        for _ in range(STEPS):
            fresh = self._surveyor.look(cell_uuid, uuid, scope, has_room)
            step = next((one for one in fresh if one.mend is not None and
                         _key(one) not in tried), None)
            if step is None:
                break
            tried.add(_key(step))
            reason = why_not()
            if reason:
                raise exception.NovaUnavailable(
                    what=f'mend {uuid}', found=reason)
            self._standing.guard(me)
            if self._mend(step):
                mended += 1
                self._record(step, order)
        return mended

    def _mend(self, one: audit.Finding) -> bool:
        """Return whether it was written; False: somebody was faster."""
        cell, uuid = one.cell_uuid, one.uuid
        match one.mend:
            case settling.DeleteAccepted(migration_id):
                return self._door.delete_accepted(cell, migration_id)
            case settling.CloseMigration(migration_id, expected, status):
                return self._door.close_migration(cell, migration_id,
                                                  expected, status)
            case settling.Restore(expected, values):
                try:
                    self._door.update_instance(cell, uuid, expected, values)
                except exception.InstanceChanged as error:
                    LOG.debug('audit: %s', error)
                    return False
                return True
            case audit.Withdraw(migration_id, host):
                return self._audits.withdraw(cell, uuid, host, migration_id)
            case audit.RemoveLeak(host, generation):
                return self._audits.remove_leak(cell, uuid, host, generation)
            case audit.Forget():
                return bool(self._store.forget_pets([uuid], 'deleted'))
        return False

    def _record(self, one: audit.Finding, order: records.Control | None
                ) -> None:
        assert one.mend is not None  # nosec: it was mended
        done = audit.in_words(one.mend)
        LOG.info('audit: instance %s: %s; %s: %s', one.name or one.uuid,
                 reasons.text(one.code), one.detail, done)
        self._store.record(records.Event(
            code=MENDED, text=f'{reasons.text(one.code)} ({one.detail}): '
                              f'{done}',
            actor=self._standing.actor, host=one.host,
            instance_uuid=one.uuid,
            evidence={'audit': {
                'finding': one.code, 'order': order.id if order else None,
                'mend': dataclasses.asdict(one.mend)}}))


def _key(one: audit.Finding) -> tuple[str, str, str]:
    return one.code, one.host, one.detail
