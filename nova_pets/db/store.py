# SPDX-License-Identifier: Apache-2.0
"""The product's memory in SQL: base.Store over an oslo.db enginefacade.

Puts the parts together and reads the snapshot of one cycle. Holds no
connection, thread or lock; nothing is touched before the first call, so it
may be made before a fork. Every method may raise StoreUnavailable.
"""

import datetime
import typing

import sqlalchemy as sa

from nova_pets.db import base
from nova_pets.db import controls
from nova_pets.db import engines
from nova_pets.db import gate
from nova_pets.db import history
from nova_pets.db import hosts
from nova_pets.db import models
from nova_pets.db import pets
from nova_pets.db import recoveries
from nova_pets.db import rows
from nova_pets.db import schema
from nova_pets.db import session
from nova_pets.model import snapshot
from nova_pets.model import states


class SqlStore(engines.EngineRows, hosts.HostRows, pets.PetRows,
               recoveries.RecoveryRows, gate.GateRows, controls.ControlRows,
               history.HistoryRows, base.Store):

    def __init__(self, facade: typing.Any, actor: str):
        """
        :param facade: an oslo.db transaction context manager, such as
            nova.db.api.api.context_manager or session.standalone(url).
        :param actor: who writes, for the history: 'engine HOST/PID'.
        """
        self._run = session.Runner(facade)
        self._actor = actor
        self._unseen = {}

    def check_schema(self) -> None:
        schema.check_version(self._run.read('the schema', schema.read))

    def snapshot(self) -> snapshot.StoreSnapshot:
        """Read everything in four statements when nothing is wrong, six
        otherwise.

        A row of another version that this one cannot read is left out and
        named in ``problems``; a recovery is left out as well when one of its
        attempts is.
        """
        return self._run.read('everything', _snapshot)

    def now(self) -> datetime.datetime:
        found: datetime.datetime = self._run.read(
            'the time', lambda conn: conn.execute(
                sa.select(models.utc_now())).scalar_one())
        return found


def _snapshot(conn: sa.Connection) -> snapshot.StoreSnapshot:
    problems: list[str] = []
    engine, recovery = models.ENGINES, models.RECOVERIES
    attempt, pet = models.ATTEMPTS, models.INSTANCES
    found_engines = rows.ENGINE.read_some(conn.execute(
        sa.select(*rows.ENGINE.columns)
        .where(engine.c.deposed == sa.false())
        .order_by(engine.c.started_at, engine.c.id)), problems)
    host_rows = conn.execute(sa.select(*rows.HOST.columns).order_by(
        models.HOSTS.c.host)).all()
    found_hosts = rows.HOST.read_some(host_rows, problems)
    recovery_rows = conn.execute(
        sa.select(*rows.RECOVERY.columns)
        .where(recovery.c.open_instance.is_not(None))
        .order_by(recovery.c.id)).all()
    found_recoveries = rows.RECOVERY.read_some(recovery_rows, problems)
    found_controls = rows.CONTROL.read_some(conn.execute(
        sa.select(*rows.CONTROL.columns)
        .where(models.CONTROLS.c.active == sa.true())
        .order_by(models.CONTROLS.c.id)), problems)
    found_attempts = []
    if recovery_rows:
        doubtful = set()
        for row in conn.execute(
                sa.select(*rows.ATTEMPT.columns)
                .join(recovery, recovery.c.id == attempt.c.recovery_id)
                .where(recovery.c.open_instance.is_not(None))
                .order_by(attempt.c.id)):
            try:
                found_attempts.append(rows.ATTEMPT.read(row))
            except rows.UnreadableRow as error:
                problems.append(str(error))
                doubtful.add(row.recovery_id)
        found_recoveries = [one for one in found_recoveries
                            if one.id not in doubtful]
    by_host: dict[str, int] = {}
    if any(row.state != states.HostState.UP for row in host_rows):
        by_host = {host: count for host, count in conn.execute(
            sa.select(pet.c.host, sa.func.count())
            .where(pet.c.host.is_not(None)).group_by(pet.c.host))}
    return snapshot.StoreSnapshot(
        engines=tuple(found_engines), hosts=tuple(found_hosts),
        recoveries=tuple(found_recoveries), attempts=tuple(found_attempts),
        controls=tuple(found_controls), pets_by_host=by_host,
        problems=tuple(problems))
