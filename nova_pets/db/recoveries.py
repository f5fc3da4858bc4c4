# SPDX-License-Identifier: Apache-2.0
"""pets_recoveries and pets_attempts: records, claims, advances.

The unique index on open_instance allows one open recovery per instance; a
closed one is never written again. An attempt is written only together with
its recovery, but for its gate, which a scheduler may consume at any time: so
an advance moves the gate only forwards (armed, consumed, closed), whatever
the engine read before.
"""

import collections.abc
import dataclasses

import sqlalchemy as sa

from nova_pets import exception
from nova_pets.db import claims
from nova_pets.db import history
from nova_pets.db import models
from nova_pets.db import rows
from nova_pets.db import session
from nova_pets.model import records
from nova_pets.model import states

RECOVERIES = models.RECOVERIES
ATTEMPTS = models.ATTEMPTS

_FIXED = ('id', 'instance_uuid', 'cell_uuid', 'project_id',
          'original_vm_state', 'generation', 'created_at', 'since_at',
          'finished_at')
_ATTEMPT_FIXED = ('id', 'recovery_id', 'instance_uuid', 'request_id',
                  'number', 'gate', 'started_at', 'ended_at')


class RecoveryRows:
    """Part of store.SqlStore."""

    _run: session.Runner
    _actor: str

    def open_recoveries(self, new: collections.abc.Sequence[records.Recovery],
                        event: records.Event) -> int:
        wanted = {one.instance_uuid: one for one in new}
        for one in wanted.values():
            if one.state not in states.OPEN:
                raise ValueError(f'expected an open state, found {one.state}')

        def work(write: session.Write) -> int:
            conn = write.connection
            known = _open_ids(conn, wanted)
            missing = [wanted[uuid] for uuid in sorted(
                wanted.keys() - known.keys())]
            session.insert_many(conn, RECOVERIES, [
                rows.RECOVERY.values(one, without=('id',)) | {
                    'open_instance': one.instance_uuid, 'owner': None,
                    'generation': 0, 'finished_at': None,
                    'created_at': models.utc_now(),
                    'since_at': models.utc_now()} for one in missing])
            ids = _open_ids(conn, [one.instance_uuid for one in missing])
            history.append_many(conn, [
                dataclasses.replace(
                    event, instance_uuid=one.instance_uuid,
                    recovery_id=ids[one.instance_uuid],
                    host=event.host or one.source,
                    to_state=event.to_state or one.state.value)
                for one in missing], self._actor)
            return len(missing)

        if not wanted:
            return 0
        # Two engines may open the same ones: the unique index refuses the
        # second, which then reads again and finds nothing missing.
        return self._run.write('recoveries', work, is_recognisable=True,
                               again_on_duplicate=True)

    def recovery(self, recovery_id: int) -> records.Recovery | None:
        statement = sa.select(*rows.RECOVERY.columns).where(
            RECOVERIES.c.id == recovery_id)
        return self._run.read(
            f'recovery {recovery_id}',
            lambda conn: rows.RECOVERY.read_one(conn.execute(statement)))

    def recoveries(self, instance_uuid: str | None = None,
                   host: str | None = None, project: str | None = None,
                   state: str | None = None, only_open: bool = False,
                   limit: int | None = None) -> list[records.Recovery]:
        """``host``: as source or as destination."""
        statement = sa.select(*rows.RECOVERY.columns).order_by(
            RECOVERIES.c.id.desc())
        if instance_uuid is not None:
            statement = statement.where(
                RECOVERIES.c.instance_uuid == instance_uuid)
        if host is not None:
            statement = statement.where(sa.or_(
                RECOVERIES.c.source == host,
                RECOVERIES.c.destination == host))
        if project is not None:
            statement = statement.where(RECOVERIES.c.project_id == project)
        if state is not None:
            statement = statement.where(RECOVERIES.c.state == str(state))
        if only_open:
            statement = statement.where(
                RECOVERIES.c.open_instance.is_not(None))
        if limit is not None:
            statement = statement.limit(limit)
        return self._run.read(
            'recoveries',
            lambda conn: rows.RECOVERY.read_known(conn.execute(statement)))

    def attempts(self, recovery_id: int) -> list[records.Attempt]:
        statement = sa.select(*rows.ATTEMPT.columns).where(
            ATTEMPTS.c.recovery_id == recovery_id).order_by(ATTEMPTS.c.id)
        return self._run.read(
            f'attempts of recovery {recovery_id}',
            lambda conn: rows.ATTEMPT.read_all(conn.execute(statement)))

    def claim_recovery(self, recovery_id: int, generation: int,
                       me: str) -> int | None:
        return claims.claim(self._run, RECOVERIES, RECOVERIES.c.id,
                            recovery_id, generation, me)

    def advance_recovery(self, new: records.Recovery, generation: int,
                         me: str, event: records.Event | None,
                         attempt: records.Attempt | None = None
                         ) -> tuple[records.Recovery, records.Attempt | None]:
        """Write the recovery, its attempt and the history line.

        Never written again: who the instance is, and original_vm_state. The
        attempt that is returned carries the gate as it really is.

        :raises RowConflict: the recovery has another generation or owner or
            is closed, ``me`` is deposed, the attempt was settled already, or
            its request_id is known already.
        """
        claims.check_owner(new.owner, me)
        if new.id is None or (
                attempt is not None and attempt.recovery_id != new.id):
            raise ValueError('expected a stored recovery and its own attempt')
        stamp = claims.new_stamp()
        values = rows.RECOVERY.values(new, without=_FIXED)
        if new.state in states.TERMINAL:
            values |= {'open_instance': None, 'finished_at': models.utc_now()}

        def work(write: session.Write) -> records.Attempt | None:
            conn = write.connection
            is_new = claims.advance(
                write, RECOVERIES, RECOVERIES.c.id, new.id, generation, me,
                values, stamp, RECOVERIES.c.open_instance.is_not(None))
            if not is_new:
                return attempt and _attempt_by_request(conn, attempt)
            written = attempt and _write_attempt(conn, attempt)
            if event is not None:
                history.append(conn, dataclasses.replace(
                    event, recovery_id=new.id,
                    instance_uuid=event.instance_uuid or new.instance_uuid,
                    attempt_id=event.attempt_id
                    or (written.id if written else None)), self._actor)
            return written

        try:
            written = self._run.write(f'recovery {new.id}', work,
                                      is_recognisable=True)
        except session.DuplicateKey as error:
            raise exception.RowConflict(
                kind=ATTEMPTS.name, key=attempt and attempt.request_id,
                expected='none of this request', owner=me) from error
        return dataclasses.replace(new, generation=generation + 1), written


def _open_ids(conn: sa.Connection,
              uuids: collections.abc.Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for chunk in session.chunks(sorted(uuids)):
        for uuid, recovery_id in conn.execute(
                sa.select(RECOVERIES.c.open_instance, RECOVERIES.c.id)
                .where(RECOVERIES.c.open_instance.in_(chunk))):
            found[uuid] = recovery_id
    return found


def _write_attempt(conn: sa.Connection, attempt: records.Attempt
                   ) -> records.Attempt:
    is_open = attempt.outcome is states.Outcome.OPEN
    if attempt.id is None:
        values = rows.ATTEMPT.values(attempt, without=('id',)) | {
            'started_at': models.utc_now(),
            'ended_at': None if is_open else models.utc_now()}
        conn.execute(sa.insert(ATTEMPTS).values(values))
        return _attempt_by_request(conn, attempt)
    values = rows.ATTEMPT.values(attempt, without=_ATTEMPT_FIXED)
    if attempt.gate is states.Gate.CLOSED:
        values['gate'] = states.Gate.CLOSED.value
    elif attempt.gate is states.Gate.CONSUMED:
        values['gate'] = sa.case(
            (ATTEMPTS.c.gate == states.Gate.ARMED.value,
             states.Gate.CONSUMED.value), else_=ATTEMPTS.c.gate)
    statement = sa.update(ATTEMPTS).where(
        ATTEMPTS.c.id == attempt.id,
        ATTEMPTS.c.recovery_id == attempt.recovery_id)
    if is_open:
        # What was settled is not opened again.
        statement = statement.where(
            ATTEMPTS.c.outcome == states.Outcome.OPEN.value)
    else:
        values['ended_at'] = sa.func.coalesce(ATTEMPTS.c.ended_at,
                                              models.utc_now())
    if conn.execute(statement.values(values)).rowcount != 1:
        raise exception.RowConflict(
            kind=ATTEMPTS.name, key=attempt.id, expected=attempt.outcome,
            owner=attempt.recovery_id)
    return _attempt_by_request(conn, attempt)


def _attempt_by_request(conn: sa.Connection, attempt: records.Attempt
                        ) -> records.Attempt:
    row = conn.execute(sa.select(*rows.ATTEMPT.columns).where(
        ATTEMPTS.c.request_id == attempt.request_id)).one()
    return rows.ATTEMPT.read(row)
