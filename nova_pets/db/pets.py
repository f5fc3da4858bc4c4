# SPDX-License-Identifier: Apache-2.0
"""pets_instances: what is known of every HA-tagged instance.

A cache of what Nova says: its rows are nobody's claim, and the last writer
wins; the generation only keeps two writers from mixing their columns.
"""

import collections.abc
import functools
import typing

import sqlalchemy as sa

from nova_pets.db import history
from nova_pets.db import models
from nova_pets.db import rows
from nova_pets.db import session
from nova_pets.model import records

PETS = models.INSTANCES
_NOT_COMPARED = ('generation', 'updated_at')


class PetRows:
    """Part of store.SqlStore."""

    _run: session.Runner
    _actor: str

    def upsert_pets(self, pets: collections.abc.Iterable[records.Pet]) -> int:
        wanted = {pet.instance_uuid: rows.PET.values(pet, _NOT_COMPARED)
                  for pet in pets}
        written = 0
        # In one order everywhere: two engines that write the same pets wait
        # for each other instead of deadlocking.
        for uuids in session.chunks(sorted(wanted)):
            chunk = {uuid: wanted[uuid] for uuid in uuids}
            written += self._run.write(
                'instances', functools.partial(_upsert, chunk),
                is_recognisable=True, again_on_duplicate=True)
        return written

    def forget_pets(self, uuids: collections.abc.Iterable[str],
                    reason: str) -> int:
        forgotten = 0
        for chunk in session.chunks(sorted(set(uuids))):
            forgotten += self._run.write(
                'instances', functools.partial(self._forget, chunk, reason),
                is_recognisable=True)
        return forgotten

    def _forget(self, uuids: collections.abc.Sequence[str], reason: str,
                write: session.Write) -> int:
        conn = write.connection
        # Locked, so that only one of two engines writes the history line.
        gone = conn.execute(
            sa.select(PETS.c.instance_uuid, PETS.c.name, PETS.c.host)
            .where(PETS.c.instance_uuid.in_(uuids))
            .order_by(PETS.c.instance_uuid).with_for_update()).all()
        if gone:
            conn.execute(sa.delete(PETS).where(
                PETS.c.instance_uuid.in_([row[0] for row in gone])))
            history.append_many(conn, [
                records.Event(code=reason, text=f'{name} is not kept any '
                              'more', instance_uuid=uuid, host=host)
                for uuid, name, host in gone], self._actor)
        return len(gone)

    def pets(self, host: str | None = None, project: str | None = None,
             uuids: collections.abc.Collection[str] | None = None,
             after: str | None = None, limit: int | None = None
             ) -> list[records.Pet]:
        statement = sa.select(*rows.PET.columns).order_by(
            PETS.c.instance_uuid)
        if host is not None:
            statement = statement.where(PETS.c.host == host)
        if project is not None:
            statement = statement.where(PETS.c.project_id == project)
        if after is not None:
            statement = statement.where(PETS.c.instance_uuid > after)
        if limit is not None:
            statement = statement.limit(limit)
        if uuids is None:
            return self._run.read('instances',
                                  functools.partial(_read, statement))
        found: list[records.Pet] = []
        for chunk in session.chunks(sorted(set(uuids))):
            part = statement.where(PETS.c.instance_uuid.in_(chunk))
            found += self._run.read('instances',
                                    functools.partial(_read, part))
        return found if limit is None else found[:limit]


def _read(statement: sa.Select[typing.Any], conn: sa.Connection
          ) -> list[records.Pet]:
    return rows.PET.read_known(conn.execute(statement))


def _upsert(wanted: dict[str, rows.Values], write: session.Write) -> int:
    conn = write.connection
    columns = [PETS.c[name] for name in next(iter(wanted.values()))]
    known = {row.instance_uuid: row for row in conn.execute(
        sa.select(*columns, PETS.c.generation)
        .where(PETS.c.instance_uuid.in_(wanted)))}
    new = [values | {'generation': 0, 'updated_at': models.utc_now()}
           for uuid, values in wanted.items() if uuid not in known]
    changed = [
        {f'new_{name}': value for name, value in values.items()}
        | {'old_generation': known[uuid].generation}
        for uuid, values in wanted.items()
        if uuid in known and values != {
            column.name: known[uuid]._mapping[column] for column in columns}]
    session.insert_many(conn, PETS, new)
    if changed:
        conn.execute(
            sa.update(PETS)
            .where(PETS.c.instance_uuid == sa.bindparam('new_instance_uuid'),
                   PETS.c.generation == sa.bindparam('old_generation'))
            .values({column.name: sa.bindparam(f'new_{column.name}')
                     for column in columns} | {
                         'generation': PETS.c.generation + 1,
                         'updated_at': models.utc_now()}), changed)
    return len(new) + len(changed)
