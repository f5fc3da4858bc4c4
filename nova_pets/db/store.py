# SPDX-License-Identifier: Apache-2.0
"""The product's memory in SQL: base.Store over an oslo.db enginefacade.

Puts the parts together. Holds no connection, thread or lock; nothing is
touched before the first call, so it may be made before a fork. Every method
may raise StoreUnavailable.
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
from nova_pets.db import schema
from nova_pets.db import session
from nova_pets.db import snapshots


class SqlStore(engines.EngineRows, hosts.HostRows, pets.PetRows,
               recoveries.RecoveryRows, gate.GateRows, controls.ControlRows,
               history.HistoryRows, snapshots.SnapshotRows, base.Store):

    def __init__(self, facade: typing.Any, actor: str):
        """
        :param facade: an oslo.db transaction context manager, such as
            nova.db.api.api.context_manager or session.standalone(url).
        :param actor: who writes, for the history: 'engine HOST/PID'.
        """
        self._run = session.Runner(facade)
        self._actor = actor
        self._unseen = {}
        self._calm = None

    def check_schema(self) -> None:
        schema.check_version(self._run.read('the schema', schema.read))

    def now(self) -> datetime.datetime:
        found: datetime.datetime = self._run.read(
            'the time', lambda conn: conn.execute(
                sa.select(models.utc_now())).scalar_one())
        return found
