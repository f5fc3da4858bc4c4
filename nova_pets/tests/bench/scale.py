# SPDX-License-Identifier: Apache-2.0
"""What idle engines cost in a big cloud whose rows a generator wrote.

``python -m nova_pets.tests.bench.scale``: hosts, instances and their tags in
Nova's tables, hosts and pets in ours, on SQLite; heartbeats move. Engines take
their turns on a virtual clock in one thread, so processor time is what that
thread used and does not depend on what else the machine does.
"""

import argparse
import collections
import dataclasses
import datetime
import resource
import sys
import time
import uuid

from nova_pets.tests import cloud as _  # noqa: F401 I001  native threads
from nova.db.main import models as nova_models
import sqlalchemy as sa

from nova_pets import wiring
from nova_pets.db import models
from nova_pets.model import policy
from nova_pets.tests import inline_workers
from nova_pets.tests.bench import idle
from nova_pets.tests.cloud import pets
from nova_pets.tests.cloud import processes

HEARTBEAT_S = 10
WARM_S = 30
MEASURED_S = 600
"""One round of the audit is in it (engine/audit_rounds)."""
APART = datetime.timedelta(seconds=60)
"""Between the last changes of two instances."""
NOON = datetime.datetime(2026, 11, 30, 12)


class Rows:
    """Writes a cloud's rows, and lets its heartbeats move."""

    def __init__(self, cell_uuid, api, cell):
        self._cell_uuid = cell_uuid
        self._api = api
        self._cell = cell
        self._moved_at = 0.0

    def write(self, hosts, pets_):
        names = [f'big{number}' for number in range(hosts)]
        services = nova_models.Service.__table__
        with self._cell.begin() as conn:
            conn.execute(services.insert(), [
                {'host': name, 'binary': 'nova-compute', 'topic': 'compute',
                 'report_count': 1, 'disabled': False, 'forced_down': False,
                 'deleted': 0, 'version': 70, 'uuid': str(uuid.uuid4()),
                 'created_at': NOON} for name in names])
            conn.execute(nova_models.ComputeNode.__table__.insert(), [
                {'host': name, 'hypervisor_hostname': name, 'vcpus': 64,
                 'memory_mb': 262144, 'local_gb': 1000, 'vcpus_used': 0,
                 'memory_mb_used': 0, 'local_gb_used': 0, 'cpu_info': '',
                 'hypervisor_type': 'fake', 'hypervisor_version': 1,
                 'mapped': 1, 'deleted': 0, 'host_ip': '127.0.0.1',
                 'uuid': str(uuid.uuid4())} for name in names])
        with self._api.begin() as conn:
            conn.execute(models.HOSTS.insert(), [
                {'host': name, 'cell_uuid': self._cell_uuid, 'state': 'up',
                 'epoch': 0, 'reason': '', 'evidence': '{}',
                 'fence_attempts': 0, 'forced_down': False,
                 'fence_ready': None, 'fence_detail': '', 'generation': 1,
                 'since_at': NOON, 'updated_at': NOON} for name in names])
        for start in range(0, pets_, 1000):
            self._write_pets(names, range(start, min(start + 1000, pets_)))

    def _write_pets(self, names, numbers):
        known = {number: (str(uuid.uuid4()), names[number % len(names)])
                 for number in numbers}
        with self._cell.begin() as conn:
            conn.execute(nova_models.Instance.__table__.insert(), [
                {'uuid': key, 'host': host, 'node': host, 'project_id': 'p',
                 'user_id': 'u', 'display_name': f'pet{number}',
                 'vm_state': 'active', 'power_state': 1, 'deleted': 0,
                 'image_ref': 'image', 'memory_mb': 512, 'vcpus': 1,
                 'root_gb': 1, 'ephemeral_gb': 0, 'hidden': False,
                 'created_at': NOON, 'updated_at': NOON - number * APART,
                 'launched_at': NOON, 'locked': False}
                for number, (key, host) in known.items()])
            conn.execute(nova_models.InstanceMetadata.__table__.insert(), [
                {'instance_uuid': key, 'key': 'ha', 'value': 'true',
                 'deleted': 0} for key, _ in known.values()])
            conn.execute(nova_models.InstanceExtra.__table__.insert(), [
                {'instance_uuid': key, 'deleted': 0, 'flavor':
                 '{"cur": {"nova_object.data": {"extra_specs": {}}}}'}
                for key, _ in known.values()])

    def settle(self):
        """Every fence was looked at, as after some minutes."""
        host = models.HOSTS
        with self._api.begin() as conn:
            seen = conn.execute(sa.select(host.c.fence_ready).where(
                host.c.host.like('big%'), host.c.generation > 1)
                .limit(1)).scalar()
            conn.execute(sa.update(host).values(
                fence_ready=seen, generation=host.c.generation + 1))

    def beat(self, now):
        """Every service reports, as often as nova-compute does."""
        if now - self._moved_at < HEARTBEAT_S:
            return
        self._moved_at = now
        service = nova_models.Service.__table__
        with self._cell.begin() as conn:
            conn.execute(sa.update(service).values(
                report_count=service.c.report_count + 1))


def measure(rows, schedulers, workers):
    clock = idle.VirtualClock()
    engines = []
    for number in range(schedulers * workers):
        built = wiring.build_engine(worker=f'bench{number}')
        for part in (built, built.standing, built.executor,
                     built.executor._driver, built._collector,
                     built._collector.witnesses):
            part._clock = clock
            if hasattr(part, '_workers'):
                part._workers = inline_workers.InlineWorkers()
        built.standing.engine = dataclasses.replace(
            built.standing.engine, host=f'bench{number % schedulers}')
        engines.append(built)
    due = dict.fromkeys(engines, 0.0)
    began = time.thread_time()
    _drive(engines, due, clock, rows, WARM_S)
    first_s = time.thread_time() - began
    rows.settle()
    with idle.Statements() as counted:
        used, turns = _drive(engines, due, clock, rows, MEASURED_S)
    observers = [one for one in engines if one.standing.has_slot]
    statements = sum(number for name, number in counted.count.items())
    share = [used[one] / MEASURED_S * 100 for one in observers]
    rest = sum(used[one] for one in engines if one not in observers)
    print(f'{len(observers)} of {len(engines)} engines observe; of a core: '
          + ', '.join(f'{one:.1f} %' for one in sorted(share))
          + f'; the {len(engines) - len(observers)} others together '
          f'{rest / MEASURED_S * 100:.2f} %')
    for one in observers:
        print(f'  {turns[one]} cycles, {used[one] / turns[one] * 1000:.1f} '
              'ms each')
    print(f'  statements: {statements / MEASURED_S:.2f}/s in all; the first '
          f'{WARM_S} s took {first_s:.1f} s of a core')
    for name, number in counted.count.most_common(12):
        print(f'    {number / MEASURED_S:5.2f}/s  {name}')
    for one in engines:
        one.standing.resign()


def _drive(engines, due, clock, rows, seconds):
    used, turns = collections.Counter(), collections.Counter()
    until = clock.now + seconds
    while clock.now < until:
        rows.beat(clock.now)
        for engine in engines:
            if due[engine] <= clock.now:
                began = time.thread_time()
                due[engine] = clock.now + max(engine.cycle(), 0.1)
                used[engine] += time.thread_time() - began
                turns[engine] += 1
        clock.now = min(min(due.values()), until)
    return used, turns


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--hosts', type=int, default=1000)
    parser.add_argument('--pets', type=int, default=10000)
    parser.add_argument('--schedulers', type=int, default=3)
    parser.add_argument('--workers', type=int, default=16)
    arguments = parser.parse_args(argv)
    numbers = policy.Policy()
    options = {'idle_interval': numbers.idle_interval_s,
               'claim_ttl': numbers.claim_ttl_s, 'one_storage_domain': True}
    with pets.PetsCloud(hosts=1, report_interval_s=HEARTBEAT_S,
                        # The one host that is real beats by another clock.
                        pets={'pets': options, 'pets_detection': {
                            'suspect_heartbeats': 100,
                            'down_heartbeats': 1000}},
                        start_scheduler=False):
        process = processes.Process('bench', 'scheduler',
                                    settings={'host': 'bench'}, cell='cell1')
        with processes.running_as(process):
            door = wiring.build_door()
            cell = door.cells()[0]
            from nova.db.api import api as api_db
            from nova.db.main import api as main_db
            rows = Rows(
                cell.uuid, api_db.context_manager.writer.get_engine(),
                main_db.get_context_manager(door._cells.context(
                    cell.uuid)).writer.get_engine())
            before = _memory_mb()
            rows.write(arguments.hosts, arguments.pets)
            print(f'{arguments.hosts} hosts, {arguments.pets} pets, '
                  f'{arguments.schedulers} schedulers of '
                  f'{arguments.workers} workers')
            measure(rows, arguments.schedulers, arguments.workers)
            print(f'  memory of this process: {before:.0f} MB before the '
                  f'rows, {_memory_mb():.0f} MB at most')
    return 0


def _memory_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == '__main__':
    sys.exit(main())
