# SPDX-License-Identifier: Apache-2.0
"""pets_hosts: one row per compute host with its present failure epoch."""

import collections.abc
import dataclasses

import sqlalchemy as sa

from nova_pets.db import claims
from nova_pets.db import history
from nova_pets.db import models
from nova_pets.db import rows
from nova_pets.db import session
from nova_pets.model import records

HOSTS = models.HOSTS


class HostRows:
    """Part of store.SqlStore."""

    _run: session.Runner
    _actor: str

    def ensure_hosts(self, hosts: collections.abc.Iterable[
            tuple[str, str]]) -> int:
        wanted = dict(hosts)
        if not wanted:
            return 0

        def work(write: session.Write) -> int:
            known = set(write.connection.execute(
                sa.select(HOSTS.c.host)).scalars())
            new = [rows.HOST.values(records.Host(host, wanted[host])) | {
                'since_at': models.utc_now(),
                'updated_at': models.utc_now()}
                for host in sorted(wanted.keys() - known)]
            session.insert_many(write.connection, HOSTS, new)
            return len(new)

        return self._run.write('hosts', work, is_recognisable=True,
                               again_on_duplicate=True)

    def host(self, host: str) -> records.Host | None:
        statement = sa.select(*rows.HOST.columns).where(HOSTS.c.host == host)
        return self._run.read(f'host {host}', lambda conn: rows.HOST.read_one(
            conn.execute(statement)))

    def claim_host(self, host: str, generation: int, me: str) -> int | None:
        return claims.claim(self._run, HOSTS, HOSTS.c.host, host, generation,
                            me)

    def advance_host(self, new: records.Host, generation: int, me: str,
                     event: records.Event | None) -> records.Host:
        claims.check_owner(new.owner, me)
        stamp = claims.new_stamp()
        values = rows.HOST.values(
            new, without=('host', 'generation', 'since_at'))
        values['updated_at'] = models.utc_now()

        def work(write: session.Write) -> None:
            is_new = claims.advance(write, HOSTS, HOSTS.c.host, new.host,
                                    generation, me, values, stamp)
            if is_new and event is not None:
                history.append(write.connection, dataclasses.replace(
                    event, host=event.host or new.host), self._actor)

        self._run.write(f'host {new.host}', work, is_recognisable=True)
        return dataclasses.replace(new, generation=generation + 1)
