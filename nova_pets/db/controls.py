# SPDX-License-Identifier: Apache-2.0
"""pets_controls: what people ordered; the engines obey and end it."""

import dataclasses

import sqlalchemy as sa

from nova_pets.db import claims
from nova_pets.db import history
from nova_pets.db import models
from nova_pets.db import rows
from nova_pets.db import session
from nova_pets.model import records

CONTROLS = models.CONTROLS


class ControlRows:
    """Part of store.SqlStore."""

    _run: session.Runner
    _actor: str

    def add_control(self, control: records.Control) -> records.Control:
        values = rows.CONTROL.values(control, without=('id',)) | {
            'actor': rows.fit(control.actor or self._actor, 255),
            'active': True, 'generation': 0, 'ended_at': None,
            'created_at': models.utc_now()}

        def work(write: session.Write) -> records.Control:
            conn = write.connection
            done = conn.execute(sa.insert(CONTROLS).values(values))
            history.append(conn, _event(
                control, 'control_set', control.reason,
                control.actor), self._actor)
            return rows.CONTROL.read(conn.execute(
                sa.select(*rows.CONTROL.columns).where(
                    CONTROLS.c.id == session.new_id(done))).one())

        return self._run.write('control', work)

    def end_control(self, control: records.Control, actor: str,
                    text: str) -> bool:
        stamp = claims.new_stamp()
        statement = (
            sa.update(CONTROLS)
            .where(CONTROLS.c.id == control.id,
                   CONTROLS.c.generation == control.generation,
                   CONTROLS.c.active == sa.true())
            .values(active=False, ended_at=models.utc_now(), stamp=stamp,
                    generation=control.generation + 1))

        def work(write: session.Write) -> bool:
            conn = write.connection
            if conn.execute(statement).rowcount != 1:
                return write.repeated and claims.is_stamped(
                    conn, CONTROLS, CONTROLS.c.id, control.id, stamp)
            history.append(conn, _event(control, 'control_ended', text,
                                        actor), self._actor)
            return True

        return self._run.write(f'control {control.id}', work,
                               is_recognisable=True)

    def controls(self, only_active: bool = True) -> list[records.Control]:
        statement = sa.select(*rows.CONTROL.columns).order_by(CONTROLS.c.id)
        if only_active:
            statement = statement.where(CONTROLS.c.active == sa.true())
        return self._run.read(
            'controls',
            lambda conn: rows.CONTROL.read_known(conn.execute(statement)))


def _event(control: records.Control, code: str, text: str, actor: str
           ) -> records.Event:
    about = ' '.join(filter(None, (control.kind.value, control.scope,
                                   control.target)))
    event = records.Event(code=code, actor=actor,
                          text=f'{about}: {text}' if text else about)
    if control.scope == 'host':
        return dataclasses.replace(event, host=control.target)
    if control.scope == 'instance':
        return dataclasses.replace(event, instance_uuid=control.target)
    return event
