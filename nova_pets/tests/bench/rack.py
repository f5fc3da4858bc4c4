# SPDX-License-Identifier: Apache-2.0
"""What a plan costs when a big cloud loses a rack.

``python -m nova_pets.tests.bench.rack``: generated snapshots of so many hosts
and open recoveries; processor time of one plan, and of one read of the side
tables with the same rows on MariaDB and PostgreSQL.
"""

import argparse
import collections
import dataclasses
import pathlib
import statistics
import sys
import tempfile
import time

import sqlalchemy as sa

from nova_pets.db import models
from nova_pets.db import schema
from nova_pets.db import store as store_
from nova_pets.model import states
from nova_pets.planning import planner
from nova_pets.tests.db import databases
from nova_pets.tests.db import samples as row_samples
from nova_pets.tests.unit.planning import samples

H = states.HostState
R = states.RecoveryState
TURNS = 15


def _hosts(number, cells, lost, state):
    return [samples.host_view(
        f'host{one}', state=state if one < lost else H.UP,
        down_ago_s=1.0 if one < lost and state is not H.UP else float('inf'),
        row={'cell_uuid': f'cell{one * cells // number}'})
        for one in range(number)]


def _recoveries(lost, pets, in_flight, before=R.READY):
    found = []
    for one in range(lost * pets):
        key, source = f'i{one}', f'host{one // pets}'
        state = R.BUILDING if one < in_flight else before
        found.append(samples.recovery_view(
            state, row={'id': one + 1, 'instance_uuid': key,
                        'source': source},
            attempts=[samples.attempt(
                id=one + 1, recovery_id=one + 1, instance_uuid=key,
                request_id=f'req-{one}', source=source,
                destination='host9999')] if state is R.BUILDING else (),
            found=samples.trace(uuid=key, host=source)))
    return found


def measure(title, hosts, recoveries):
    snap = samples.snap(*hosts, recoveries=recoveries)
    times = []
    for _ in range(TURNS):
        began = time.thread_time()
        found = planner.plan(snap, samples.POLICY)
        times.append(time.thread_time() - began)
    kinds = collections.Counter(
        type(action).__name__ for action in found.actions)
    print(f'{title:56} {statistics.median(times) * 1000:7.1f} ms '
          f'({min(times) * 1000:.1f}-{max(times) * 1000:.1f}), '
          f'{dict(kinds) or "nothing"}')


def read(backend, given):
    """One read of everything that a cycle plans with."""
    with tempfile.TemporaryDirectory() as name, \
            databases.database(backend, pathlib.Path(name)) as url:
        facade = databases.facade(url)
        engine = facade.writer.get_engine()
        schema.sync(engine)
        store = store_.SqlStore(facade, 'bench')
        row_samples.registered(store)
        store.ensure_hosts([(f'host{one}', f'cell{one % given.cells}')
                            for one in range(given.hosts)])
        took = {'calm': _read(store)}
        with engine.begin() as conn:
            conn.execute(sa.update(models.HOSTS).where(
                models.HOSTS.c.host.in_(
                    [f'host{one}' for one in range(given.rack)])
            ).values(state='fenced', generation=9))
        store.open_recoveries(
            [dataclasses.replace(row_samples.recovery(
                instance_uuid=f'i{one}'), source=f'host{one // given.pets}')
             for one in range(given.rack * given.pets)],
            row_samples.event())
        took['the rack is lost'] = _read(store)
        size = sum(conn.execute(sa.select(sa.func.count()).select_from(
            table)).scalar() for table in (models.EVENTS, models.RECOVERIES)
            ) if (conn := engine.connect()) else 0
        conn.close()
        engine.dispose()
    for what, (used, wall) in took.items():
        print(f'{backend:11} {what:20} {used * 1000:7.1f} ms of processor '
              f'time, {wall * 1000:.1f} ms in all')
    print(f'{backend:11} rows of recoveries and history so far: {size}')


def _read(store):
    used, wall = [], []
    for _ in range(TURNS):
        began = time.thread_time(), time.monotonic()
        store.snapshot()
        used.append(time.thread_time() - began[0])
        wall.append(time.monotonic() - began[1])
    return statistics.median(used), statistics.median(wall)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--hosts', type=int, default=5000)
    parser.add_argument('--cells', type=int, default=20)
    parser.add_argument('--rack', type=int, default=40)
    parser.add_argument('--pets', type=int, default=20, help='of each host')
    given = parser.parse_args(argv)
    print(f'one plan; {given.hosts} hosts in {given.cells} cells, '
          f'{given.rack} of them lost with {given.pets} pets each')

    def cloud(state, lost=given.rack):
        return _hosts(given.hosts, given.cells, lost, state)

    measure('all is well', cloud(H.UP), [])
    measure('the rack is down', cloud(H.DOWN),
            _recoveries(given.rack, given.pets, 0, R.PENDING))
    measure('proven off, all recoveries ready', cloud(H.FENCED),
            _recoveries(given.rack, given.pets, 0))
    measure('128 of them in flight', cloud(H.FENCED),
            _recoveries(given.rack, given.pets, 128))
    print('one read of the side tables')
    for backend in databases.SERVERS:
        read(backend, given)
    return 0


if __name__ == '__main__':
    sys.exit(main())
