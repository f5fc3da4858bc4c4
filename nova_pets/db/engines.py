# SPDX-License-Identifier: Apache-2.0
"""pets_engines: registration, renewal, deposition and slots.

Decides nothing about when to depose: the caller saw the counter stand still
by its own monotonic clock.
"""

import sqlalchemy as sa

from nova_pets import exception
from nova_pets.db import models
from nova_pets.db import rows
from nova_pets.db import session
from nova_pets.model import records
from nova_pets.model import states

ENGINES = models.ENGINES


class EngineRows:
    """Part of store.SqlStore."""

    _run: session.Runner
    _unseen: dict[str, int]
    """{engine id: renewals that may have been committed unseen}"""

    def register_engine(self, engine: records.Engine) -> None:
        values = rows.ENGINE.values(engine) | {
            'slot': None, 'renewals': 0, 'deposed': False,
            'started_at': models.utc_now(), 'renewed_at': models.utc_now()}

        def work(write: session.Write) -> None:
            known = sa.select(ENGINES.c.id).where(ENGINES.c.id == engine.id)
            # An id is a fresh uuid, so after a lost connection it is ours.
            if not (write.repeated
                    and write.connection.execute(known).first()):
                write.connection.execute(sa.insert(ENGINES).values(values))

        self._run.write('engine', work, is_recognisable=True)

    def renew_engine(self, engine_id: str, renewals: int,
                     report: records.Json | None = None,
                     mode: states.Mode | None = None) -> int:
        """Count up by one, or by more after a lost connection.

        Only the engine itself renews its id. So a counter that is ahead by
        no more than the renewals of this store whose COMMIT was not
        acknowledged is our own; it is moved once more, as peers measure from
        when it moves. Anything else is not ours.
        """
        unseen = self._unseen.get(engine_id, 0)
        runs = 0
        values: rows.Values = {'renewals': ENGINES.c.renewals + 1,
                               'renewed_at': models.utc_now()}
        if report is not None:
            values['report'] = rows.to_json(report)
        if mode is not None:
            values['mode'] = mode.value
        living = sa.and_(ENGINES.c.id == engine_id,
                         ENGINES.c.deposed == sa.false())

        def work(write: session.Write) -> int | None:
            nonlocal runs
            runs += 1
            conn = write.connection
            ahead = unseen + write.lost
            done = conn.execute(
                sa.update(ENGINES)
                .where(living, ENGINES.c.renewals.between(
                    renewals, renewals + ahead)).values(values))
            if done.rowcount != 1:
                return None
            return conn.execute(sa.select(ENGINES.c.renewals).where(
                ENGINES.c.id == engine_id)).scalar_one() if ahead else (
                    renewals + 1)

        try:
            found = self._run.write('renewal', work, is_recognisable=True)
        except exception.StoreUnavailable:
            self._unseen[engine_id] = unseen + runs
            raise
        self._unseen.pop(engine_id, None)
        if found is None:
            raise exception.EngineDeposed(engine=engine_id,
                                          expected=renewals)
        return found

    def depose_engine(self, engine_id: str, renewals: int) -> bool:
        statement = (
            sa.update(ENGINES)
            .where(ENGINES.c.id == engine_id, ENGINES.c.renewals == renewals,
                   ENGINES.c.deposed == sa.false())
            .values(deposed=True, slot=None))

        def work(write: session.Write) -> bool:
            return write.connection.execute(statement).rowcount == 1

        return self._run.write('deposition', work)

    def take_slot(self, engine_id: str, slot: int) -> bool:
        statement = (
            sa.update(ENGINES)
            .where(ENGINES.c.id == engine_id, ENGINES.c.deposed == sa.false(),
                   sa.or_(ENGINES.c.slot.is_(None), ENGINES.c.slot == slot))
            .values(slot=slot))

        def work(write: session.Write) -> bool:
            return write.connection.execute(statement).rowcount == 1

        try:
            # Setting the same slot again changes nothing: safe to repeat.
            return self._run.write('slot', work, is_recognisable=True)
        except session.DuplicateKey:
            return False

    def engines(self, with_deposed: bool = False) -> list[records.Engine]:
        statement = sa.select(*rows.ENGINE.columns).order_by(
            ENGINES.c.started_at, ENGINES.c.id)
        if not with_deposed:
            statement = statement.where(ENGINES.c.deposed == sa.false())
        return self._run.read('engines', lambda conn: rows.ENGINE.read_known(
            conn.execute(statement)))
