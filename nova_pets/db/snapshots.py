# SPDX-License-Identifier: Apache-2.0
"""One read of everything that an engine's cycle plans with.

While nothing is wrong nothing changes but the renewals of the engines. So one
statement reads the engines and, beside them, what tells whether the rest is
as it was; only then, or after CALM_READS of them, the rest is read again.
"""

import dataclasses

import sqlalchemy as sa

from nova_pets import exception
from nova_pets.db import models
from nova_pets.db import rows
from nova_pets.db import session
from nova_pets.model import records
from nova_pets.model import snapshot as snapshot_model
from nova_pets.model import states

CALM_READS = 15
"""A failover of the database may lose commits, and later ones may lead to
the same sum: so what was kept is not believed for ever."""

_UP = states.HostState.UP.value


@dataclasses.dataclass(frozen=True, slots=True)
class _Mark:
    """What cannot stay the same when a calm cloud changes.

    No row of a host is ever deleted and its generation only grows: the same
    number of hosts with the same sum of generations are the same rows.
    """

    hosts: int
    generations: int
    recoveries: int
    controls: int

    @property
    def is_calm(self) -> bool:
        return self.recoveries == 0 and self.controls == 0


@dataclasses.dataclass(frozen=True, slots=True)
class _Calm:
    mark: _Mark
    hosts: tuple[records.Host, ...]
    reads_left: int


class SnapshotRows:
    """Part of store.SqlStore."""

    _run: session.Runner
    _calm: _Calm | None
    """The hosts as last read, all of them up. Replaced as a whole."""

    def snapshot(self) -> snapshot_model.StoreSnapshot:
        """Read everything: in one statement when nothing is wrong and
        nothing has changed, in four when that is not sure, in up to seven
        otherwise.

        A row of another version that this one cannot read is left out and
        named in ``problems``; a recovery is left out as well when one of its
        attempts is.
        """
        try:
            return self._run.read('everything', self._snapshot)
        except exception.StoreUnavailable:
            # It may be another database that answers next.
            self._calm = None
            raise

    def _snapshot(self, conn: sa.Connection) -> snapshot_model.StoreSnapshot:
        problems: list[str] = []
        found_engines, mark = _engines(conn, problems)
        kept = self._calm
        if kept is not None and mark == kept.mark and kept.reads_left:
            self._calm = dataclasses.replace(
                kept, reads_left=kept.reads_left - 1)
            return snapshot_model.StoreSnapshot(
                engines=found_engines, hosts=kept.hosts, recoveries=(),
                attempts=(), controls=(), pets_by_host={},
                problems=tuple(problems))
        known = len(problems)
        host_rows = conn.execute(sa.select(*rows.HOST.columns).order_by(
            models.HOSTS.c.host)).all()
        found_hosts = tuple(rows.HOST.read_some(host_rows, problems))
        is_up = all(row.state == _UP for row in host_rows)
        recoveries, attempts = _recoveries(conn, problems)
        controls = rows.CONTROL.read_some(conn.execute(
            sa.select(*rows.CONTROL.columns)
            .where(models.CONTROLS.c.active == sa.true())
            .order_by(models.CONTROLS.c.id)), problems)
        # Rows of later commits than the mark's only make the next mark
        # differ; problems are to be named in every cycle.
        self._calm = _Calm(mark, found_hosts, CALM_READS) if (
            mark is not None and mark.is_calm and is_up
            and len(problems) == known) else None
        return snapshot_model.StoreSnapshot(
            engines=found_engines, hosts=found_hosts,
            recoveries=tuple(recoveries), attempts=tuple(attempts),
            controls=tuple(controls),
            fenced_today=frozenset() if is_up else _fenced_today(
                conn, found_engines),
            pets_by_host={} if is_up else _pets_by_host(conn),
            problems=tuple(problems))


def _engines(conn: sa.Connection, problems: list[str]
             ) -> tuple[tuple[records.Engine, ...], _Mark | None]:
    """Return the engines and the mark, which each of their rows carries;
    None without any engine."""
    engine, host = models.ENGINES, models.HOSTS
    count, total = sa.func.count, sa.func.sum
    statement = (
        sa.select(
            *rows.ENGINE.columns,
            sa.select(count()).select_from(host).scalar_subquery(),
            sa.select(total(host.c.generation)).scalar_subquery(),
            sa.select(count()).select_from(models.RECOVERIES).where(
                models.RECOVERIES.c.open_instance.is_not(None))
            .scalar_subquery(),
            sa.select(count()).select_from(models.CONTROLS)
            .where(models.CONTROLS.c.active == sa.true()).scalar_subquery())
        .where(engine.c.deposed == sa.false())
        .order_by(engine.c.started_at, engine.c.id))
    width = rows.ENGINE.width
    found = conn.execute(statement).all()
    engines = rows.ENGINE.read_some((row[:width] for row in found), problems)
    mark = _Mark(*(int(value or 0) for value in found[0][width:])
                 ) if found else None
    return tuple(engines), mark


def _recoveries(conn: sa.Connection, problems: list[str]
                ) -> tuple[list[records.Recovery], list[records.Attempt]]:
    recovery, attempt = models.RECOVERIES, models.ATTEMPTS
    found_rows = conn.execute(
        sa.select(*rows.RECOVERY.columns)
        .where(recovery.c.open_instance.is_not(None))
        .order_by(recovery.c.id)).all()
    found = rows.RECOVERY.read_some(found_rows, problems)
    if not found_rows:
        return found, []
    attempts = []
    doubtful = set()
    for row in conn.execute(
            sa.select(*rows.ATTEMPT.columns)
            .join(recovery, recovery.c.id == attempt.c.recovery_id)
            .where(recovery.c.open_instance.is_not(None))
            .order_by(attempt.c.id)):
        try:
            attempts.append(rows.ATTEMPT.read(row))
        except rows.UnreadableRow as error:
            problems.append(str(error))
            doubtful.add(row.recovery_id)
    return [one for one in found if one.id not in doubtful], attempts


def _fenced_today(conn: sa.Connection,
                  engines: tuple[records.Engine, ...]) -> frozenset[str]:
    """Return whom engines began to power off by themselves within a day.

    The day ends when an engine last renewed its claims. All times are the
    database's; a step of its clock moves the window.
    """
    event = models.EVENTS
    now = max((engine.renewed_at for engine in engines
               if engine.renewed_at is not None), default=None)
    if now is None:
        return frozenset()
    began = now - snapshot_model.DAY
    return frozenset(conn.execute(
        sa.select(event.c.host).distinct()
        .where(event.c.code.in_(snapshot_model.OWN_FENCES))
        .where(event.c.at >= began)
        .where(event.c.host.is_not(None))).scalars())


def _pets_by_host(conn: sa.Connection) -> dict[str, int]:
    pet = models.INSTANCES
    return {host: count for host, count in conn.execute(
        sa.select(pet.c.host, sa.func.count())
        .where(pet.c.host.is_not(None)).group_by(pet.c.host))}
