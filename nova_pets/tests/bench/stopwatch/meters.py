# SPDX-License-Identifier: Apache-2.0
"""What is measured: processor time by service, the journal, our history.

Reads /proc, the truth of the lab and the side tables; changes nothing.
"""

import collections
import os
import pathlib
import resource

import sqlalchemy as sa

from nova_pets.db import models
from nova_pets.model import states

TICKS = os.sysconf('SC_CLK_TCK')
SERVERS = {'mariadbd': 'database*', 'mysqld': 'database*',
           'postgres': 'database*', 'beam.smp': 'broker*'}
"""Shared with whoever uses the machine besides."""
R = states.RecoveryState
H = states.HostState


class Processor:
    """Seconds of processor time that the services of a lab have used."""

    def __init__(self, lab):
        self._lab = lab

    def read(self) -> collections.Counter:
        """Return service -> seconds; what has ended since counts no more,
        so the processes must live while they are measured."""
        services = {self._lab.processes.pid(name): _service(name, self._lab)
                    for name in self._lab.processes.specs}
        used: collections.Counter = collections.Counter()
        for entry in pathlib.Path('/proc').iterdir():
            if not entry.name.isdigit():
                continue
            try:
                head, _, text = (entry / 'stat').read_text().rpartition(')')
            except (FileNotFoundError, ProcessLookupError):
                continue
            fields = text.split()
            service = services.get(int(fields[2])) or SERVERS.get(
                head.partition('(')[2])
            if service:
                used[service] += (int(fields[11]) + int(fields[12])) / TICKS
        own = resource.getrusage(resource.RUSAGE_SELF)
        used['driver'] = own.ru_utime + own.ru_stime
        return used


def _service(name, lab):
    if name in lab.plan.hosts:
        return 'computes'
    if name in lab.plan.scheduler_names:
        return 'schedulers'
    if name.startswith(('link', 'wire', 'bmc')):
        return 'the lab'
    return 'cell conductor' if name.startswith('conductor') else name


def spent(before: collections.Counter, after: collections.Counter
          ) -> dict[str, float]:
    """Return service -> seconds used between two reads."""
    return {name: after[name] - before[name] for name in sorted(after)}


def total(used: dict[str, float]) -> float:
    """Return the seconds of everything but the shared servers."""
    return sum(value for name, value in used.items()
               if not name.endswith('*') and name != 'the lab')


def arrivals(journal: list[dict], source: str, uuids: set[str], since: float
             ) -> dict[str, tuple[float, str]]:
    """Return uuid -> (when, host) of its first running copy elsewhere."""
    found: dict[str, tuple[float, str]] = {}
    for line in journal:
        if (line.get('guest') in uuids and line['at'] >= since and
                line['host'] != source and line['state'] == 'running'):
            found.setdefault(line['guest'], (line['at'], line['host']))
    return found


class Tables:
    """The databases of the lab, by a way of the bench's own."""

    def __init__(self, plan):
        self._api = sa.create_engine(plan.database('api', None))
        self._cells = [sa.create_engine(plan.database(cell, None))
                       for cell in plan.cell_names]

    def is_at_rest(self) -> bool:
        """Whether Nova has finished with every instance."""
        for cell in self._cells:
            with cell.connect() as conn:
                if conn.execute(sa.text(
                        "SELECT (SELECT count(*) FROM instances WHERE "
                        "deleted = 0 AND task_state IS NOT NULL) + (SELECT "
                        "count(*) FROM migrations WHERE status IN "
                        "('accepted', 'pre-migrating'))")).scalar():
                    return False
        return True

    def open_recoveries(self) -> int:
        with self._api.connect() as conn:
            return conn.execute(sa.select(sa.func.count()).where(
                models.RECOVERIES.c.open_instance.is_not(None))).scalar()

    def describe(self, uuids: list[str]) -> list[str]:
        """Return what Nova says of each of these instances."""
        if not uuids:
            return []
        instance = ('SELECT uuid, host, vm_state, task_state FROM instances '
                    'WHERE uuid IN :uuids ORDER BY uuid')
        record = ('SELECT status, dest_compute FROM migrations WHERE '
                  'instance_uuid = :uuid ORDER BY id DESC LIMIT 1')
        found = []
        for cell in self._cells:
            with cell.connect() as conn:
                for row in conn.execute(sa.text(instance).bindparams(
                        sa.bindparam('uuids', uuids, expanding=True))).all():
                    last = conn.execute(sa.text(record),
                                        {'uuid': row.uuid}).first()
                    found.append(
                        f'{row.uuid} on {row.host}, {row.vm_state}, task '
                        f'{row.task_state}, record ' + (
                            f'{last.status} to {last.dest_compute}'
                            if last else 'none'))
        return found

    def places(self) -> dict[str, str]:
        """Return uuid -> host of all instances, as Nova says."""
        found = {}
        for cell in self._cells:
            with cell.connect() as conn:
                found.update(conn.execute(sa.text(
                    'SELECT uuid, host FROM instances WHERE deleted = 0'
                )).all())
        return found

    def hosts(self) -> dict[str, str]:
        with self._api.connect() as conn:
            return dict(conn.execute(sa.select(
                models.HOSTS.c.host, models.HOSTS.c.state)).all())

    def protected(self) -> int:
        """Return how many pets are known, on hosts whose fence works."""
        pets, hosts = models.INSTANCES.c, models.HOSTS.c
        with self._api.connect() as conn:
            return conn.execute(sa.select(sa.func.count()).where(
                pets.host == hosts.host, hosts.fence_ready == sa.true(),
                pets.unprotected.in_(('', '{}', '[]', 'null')))).scalar()

    def reports(self) -> list[str]:
        with self._api.connect() as conn:
            return list(conn.execute(sa.select(
                models.ENGINES.c.report).where(
                    models.ENGINES.c.slot.is_not(None))).scalars())

    def phases(self, source: str, crash_wall: float) -> dict[str, float]:
        """Return what the history says that each part took: of the host
        once, of the recoveries the median."""
        events = models.EVENTS.c
        since = _utc(crash_wall)
        with self._api.connect() as conn:
            rows = conn.execute(sa.select(
                events.at, events.recovery_id, events.from_state,
                events.to_state).where(
                    events.host == source, events.at >= since,
                    events.to_state.is_not(None)
                ).order_by(events.id)).all()
        return phases(rows, since)


def phases(rows, crash_at) -> dict[str, float]:
    """
    :param rows: (at, recovery_id, from_state, to_state) in their order.
    """
    found = {}
    at_host = {row.to_state: row.at for row in rows if not row.recovery_id}
    down, fenced = at_host[H.DOWN], at_host[H.FENCED]
    found['detection'] = (down - crash_at).total_seconds()
    found['fence'] = (fenced - down).total_seconds()
    entered: dict = collections.defaultdict(dict)
    for row in rows:
        if row.recovery_id:
            entered[row.recovery_id].setdefault(row.to_state, row.at)
    for name, first, last in (
            ('claim', R.REQUESTING, R.SCHEDULING),
            ('scheduling', R.SCHEDULING, R.BUILDING),
            ('rebuild', R.BUILDING, R.VERIFYING),
            ('verification', R.VERIFYING, R.RECOVERED)):
        took = sorted((states_[last] - states_[first]).total_seconds()
                      for states_ in entered.values()
                      if first in states_ and last in states_)
        if took:
            found[name] = took[len(took) // 2]
    queued = sorted((states_[R.REQUESTING] - fenced).total_seconds()
                    for states_ in entered.values()
                    if R.REQUESTING in states_)
    if queued:
        found['wait'] = queued[len(queued) // 2]
        found['last wait'] = queued[-1]
    return found


def _utc(wall):
    import datetime
    return datetime.datetime.fromtimestamp(wall, datetime.UTC).replace(
        tzinfo=None)
