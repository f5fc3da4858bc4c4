# SPDX-License-Identifier: Apache-2.0
"""What the scheduler's filters ask and tell; every question one statement.

Decides nothing: planning/gating.py does. An unknown state of a host (a row of
another version) is reported as quarantined, the state in which nothing goes
there or leaves; an unreadable open recovery or attempt raises, so that the
gate refuses instead of taking the instance for untouched.
"""

import collections.abc
import typing

import sqlalchemy as sa

from nova_pets import exception
from nova_pets.db import claims
from nova_pets.db import history
from nova_pets.db import models
from nova_pets.db import rows
from nova_pets.db import session
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states

ATTEMPTS = models.ATTEMPTS
HOSTS = models.HOSTS
PETS = models.INSTANCES
RECOVERIES = models.RECOVERIES

_OPEN = states.Outcome.OPEN.value
_SUCCEEDED = states.Outcome.SUCCEEDED.value
_UNSETTLED = states.Outcome.UNSETTLED.value
_STARTABLE = (states.RecoveryState.READY.value,
              states.RecoveryState.WAITING.value)
# Where no attempt is under way. Writing to the others would only make the
# engine that drives them lose its place; there is nothing to hasten there.
_CAN_HURRY = (*_STARTABLE, states.RecoveryState.PENDING.value)


class GateRows:
    """Part of store.SqlStore."""

    _run: session.Runner
    _actor: str

    def gate_view(self, instance_uuid: str,
                  hosts: collections.abc.Collection[str]) -> snapshot.GateView:
        # One row to join everything to, as each part may be missing. The
        # hosts come first: SQLAlchemy's MySQL compiler would warn of a
        # cartesian product, as their condition names no other table.
        asked = sa.or_(HOSTS.c.host.in_(sorted(hosts) or ['']),
                       HOSTS.c.state != states.HostState.UP.value)
        one = sa.select(sa.literal(instance_uuid).label('uuid')).subquery()
        statement = (
            sa.select(sa.exists().where(PETS.c.instance_uuid
                                        == instance_uuid).label('is_pet'),
                      HOSTS.c.host.label('host'),
                      HOSTS.c.state.label('host_state'),
                      *rows.RECOVERY.labelled('r'),
                      *rows.ATTEMPT.labelled('a'))
            .select_from(one)
            .join(HOSTS, asked, isouter=True)
            .join(RECOVERIES, RECOVERIES.c.open_instance == one.c.uuid,
                  isouter=True)
            .join(ATTEMPTS, sa.and_(
                ATTEMPTS.c.recovery_id == RECOVERIES.c.id,
                ATTEMPTS.c.outcome == _OPEN), isouter=True))
        found = self._run.read(f'the gate of {instance_uuid}',
                               lambda conn: conn.execute(statement).all())
        return _view(found)

    def consume_gate(self, attempt_id: int, request_id: str) -> bool:
        stamp = claims.new_stamp()
        statement = (
            sa.update(ATTEMPTS)
            .where(ATTEMPTS.c.id == attempt_id,
                   ATTEMPTS.c.request_id == request_id,
                   ATTEMPTS.c.gate == states.Gate.ARMED.value,
                   ATTEMPTS.c.outcome == _OPEN)
            .values(gate=states.Gate.CONSUMED.value, gate_stamp=stamp))

        def work(write: session.Write) -> bool:
            conn = write.connection
            if conn.execute(statement).rowcount == 1:
                return True
            # Another delivery of the same request has another stamp.
            return write.repeated and conn.execute(
                sa.select(ATTEMPTS.c.gate_stamp).where(
                    ATTEMPTS.c.id == attempt_id)).scalar() == stamp

        return self._run.write(f'gate of attempt {attempt_id}', work,
                               is_recognisable=True)

    def record_refusal(self, instance_uuid: str, request_id: str,
                       text: str) -> None:
        """Write the history line; a recovery that waits becomes urgent.

        The UPDATE depends on nothing that was read, so it names the states
        and no generation.
        """
        hurry = (
            sa.update(RECOVERIES)
            .where(RECOVERIES.c.open_instance == instance_uuid,
                   RECOVERIES.c.state.in_(_CAN_HURRY),
                   RECOVERIES.c.urgent == sa.false())
            .values(urgent=True, generation=RECOVERIES.c.generation + 1,
                    stamp=None))

        def work(write: session.Write) -> None:
            write.connection.execute(hurry)
            history.append(write.connection, records.Event(
                code='foreign_refused', text=text,
                instance_uuid=instance_uuid,
                evidence={'request_id': request_id}), self._actor)

        self._run.write(f'refusal of {request_id}', work)

    def take_over(self, recovery: records.Recovery, request_id: str) -> bool:
        stamp = claims.new_stamp()
        number = recovery.attempts + 1
        in_flight = sa.exists().where(
            ATTEMPTS.c.recovery_id == recovery.id,
            ATTEMPTS.c.outcome == _OPEN)
        statement = (
            sa.update(RECOVERIES)
            .where(RECOVERIES.c.id == recovery.id,
                   RECOVERIES.c.generation == recovery.generation,
                   RECOVERIES.c.state.in_(_STARTABLE), ~in_flight)
            .values(state=states.RecoveryState.SCHEDULING.value,
                    reason='taken_over', detail='', attempts=number,
                    urgent=False, wait_s=0.0, owner=None, stamp=stamp,
                    since_at=models.utc_now(),
                    generation=recovery.generation + 1))

        def work(write: session.Write) -> bool:
            conn = write.connection
            if conn.execute(statement).rowcount != 1:
                return write.repeated and claims.is_stamped(
                    conn, RECOVERIES, RECOVERIES.c.id, recovery.id, stamp)
            attempt_id = _insert_foreign(conn, recovery, request_id, number)
            history.append(conn, records.Event(
                code='taken_over', instance_uuid=recovery.instance_uuid,
                recovery_id=recovery.id, attempt_id=attempt_id,
                host=recovery.source, from_state=recovery.state.value,
                to_state=states.RecoveryState.SCHEDULING.value,
                evidence={'request_id': request_id}), self._actor)
            return True

        try:
            return self._run.write(f'recovery {recovery.id}', work,
                                   is_recognisable=True)
        except session.DuplicateKey:
            # This request is an attempt already: it went through once.
            return False

    def unsafe_hosts(self) -> dict[str, states.HostState]:
        statement = sa.select(HOSTS.c.host, HOSTS.c.state).where(
            HOSTS.c.state != states.HostState.UP.value)
        found = self._run.read('hosts',
                               lambda conn: conn.execute(statement).all())
        return {host: host_state(state) for host, state in found}

    def tombstoned(self, instance_uuid: str) -> list[str]:
        """Return the hosts that may still hold a guest of the instance.

        Those that a request ever left or reached and that have not returned
        through a clean start to ``up`` since (only ``returning`` leads there
        from a proven-off host), or that an unsettled attempt may have
        reached. A host without a row is not known to be clean.
        """
        source, destination = HOSTS.alias(), HOSTS.alias()
        statement = (
            sa.select(ATTEMPTS.c.source, source.c.state,
                      ATTEMPTS.c.destination, destination.c.state,
                      ATTEMPTS.c.outcome)
            .select_from(ATTEMPTS)
            .join(source, source.c.host == ATTEMPTS.c.source, isouter=True)
            .join(destination, destination.c.host == ATTEMPTS.c.destination,
                  isouter=True)
            .where(ATTEMPTS.c.instance_uuid == instance_uuid))
        unclean = set()
        for left, left_state, reached, reached_state, outcome in (
                self._run.read('attempts', lambda conn: conn.execute(
                    statement).all())):
            if left_state != states.HostState.UP:
                unclean.add(left)
            if reached is not None and (
                    reached_state != states.HostState.UP
                    or outcome in (_OPEN, _UNSETTLED)):
                unclean.add(reached)
        return sorted(unclean)

    def in_flight(self) -> list[tuple[str, str | None]]:
        columns = (ATTEMPTS.c.id, ATTEMPTS.c.request_id,
                   ATTEMPTS.c.destination)
        belongs = RECOVERIES.c.id == ATTEMPTS.c.recovery_id
        waves = sa.select(RECOVERIES.c.source, RECOVERIES.c.epoch).distinct(
        ).where(belongs, ATTEMPTS.c.outcome == _OPEN).subquery()
        statement = sa.union_all(
            sa.select(*columns).where(ATTEMPTS.c.outcome == _OPEN),
            sa.select(*columns).where(
                belongs, ATTEMPTS.c.outcome == _SUCCEEDED,
                RECOVERIES.c.source == waves.c.source,
                RECOVERIES.c.epoch == waves.c.epoch)).order_by('id')
        found = self._run.read('attempts',
                               lambda conn: conn.execute(statement).all())
        return [(request_id, host) for _, request_id, host in found]


def host_state(value: str) -> states.HostState:
    try:
        return states.HostState(value)
    except ValueError:
        return states.HostState.QUARANTINED


def _view(found: collections.abc.Sequence[typing.Any]) -> snapshot.GateView:
    first = 3
    second = first + rows.RECOVERY.width
    recovery: records.Recovery | None = None
    attempts: dict[int, records.Attempt] = {}
    is_pet = False
    host_states = {}
    try:
        for row in found:
            is_pet = is_pet or bool(row[0])
            if row[1] is not None:
                host_states[row[1]] = host_state(row[2])
            if recovery is None and row[first] is not None:
                recovery = rows.RECOVERY.read(row[first:second])
            if row[second] is not None and row[second] not in attempts:
                attempts[row[second]] = rows.ATTEMPT.read(row[second:])
    except rows.UnreadableRow as error:
        raise exception.StoreUnavailable(
            what='read the gate', found=str(error)) from error
    # With a foreign one beside it, the gate is about our own.
    in_order = sorted(attempts.items(), key=lambda pair: (
        pair[1].kind is not states.AttemptKind.OWN, pair[0]))
    return snapshot.GateView(
        is_pet=is_pet or recovery is not None, host_states=host_states,
        recovery=recovery, attempt=in_order[0][1] if in_order else None)


def _insert_foreign(conn: sa.Connection, recovery: records.Recovery,
                    request_id: str, number: int) -> int:
    # Its migration is above every one that an attempt before it is known
    # to have met.
    floor = conn.execute(
        sa.select(sa.func.max(ATTEMPTS.c.migration_floor),
                  sa.func.max(ATTEMPTS.c.migration_id))
        .where(ATTEMPTS.c.instance_uuid == recovery.instance_uuid)).one()
    attempt = records.Attempt(
        id=None, recovery_id=typing.cast(int, recovery.id),
        instance_uuid=recovery.instance_uuid, number=number,
        kind=states.AttemptKind.FOREIGN, request_id=request_id,
        source=recovery.source, gate=states.Gate.CONSUMED,
        migration_floor=max(floor[0] or 0, floor[1] or 0),
        reason='taken_over')
    done = conn.execute(sa.insert(ATTEMPTS).values(
        rows.ATTEMPT.values(attempt, without=('id',))
        | {'started_at': models.utc_now()}))
    return session.new_id(done)
