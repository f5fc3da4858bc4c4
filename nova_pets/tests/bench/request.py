# SPDX-License-Identifier: Apache-2.0
"""What nova-pets adds to a whole scheduling request in a big cloud.

``python -m nova_pets.tests.bench.request``: one nova-scheduler takes a first
boot, which concerns no pet, from the request filters to the claim: placement
answers with 1,000 candidates, host states are made, filtered and weighed, and
room is allocated. With and without our gate, filters and weigher in turn, each
first in every other round; processor time of the process, in which placement
runs too, on SQLite. bench/scheduling.py has the share of the filters alone.
"""

import argparse
import statistics
import sys
import time
import uuid

from nova_pets.tests import cloud as _  # noqa: F401 I001  native threads
from nova import objects
from nova import context as nova_context
from nova.db.api import models as api_models
from nova.db.main import models as nova_models
from nova.scheduler import request_filter
from oslo_utils import timeutils
from placement import db_api as placement_db
from placement.db.sqlalchemy import models as placement_models
import sqlalchemy as sa

from nova_pets import wiring
from nova_pets.scheduler import gate
from nova_pets.tests.cloud import pets
from nova_pets.tests.cloud import processes

ROOM = {'VCPU': (64, 16.0), 'MEMORY_MB': (262144, 1.0), 'DISK_GB': (4000, 1.0)}
WARM = 2


def _write(hosts, cell, api, cell_id):
    names = [f'big{number}' for number in range(hosts)]
    now = timeutils.utcnow()
    providers = {name: str(uuid.uuid4()) for name in names}
    with cell.begin() as conn:
        conn.execute(nova_models.Service.__table__.insert(), [
            {'host': name, 'binary': 'nova-compute', 'topic': 'compute',
             'report_count': 1, 'disabled': False, 'forced_down': False,
             'deleted': 0, 'version': 70, 'uuid': str(uuid.uuid4()),
             'created_at': now, 'last_seen_up': now} for name in names])
        conn.execute(nova_models.ComputeNode.__table__.insert(), [
            {'uuid': providers[name], 'host': name, 'deleted': 0,
             'hypervisor_hostname': name, 'hypervisor_type': 'fake',
             'hypervisor_version': 1, 'cpu_info': '{}', 'vcpus': 64,
             'vcpus_used': 0, 'memory_mb': 262144, 'memory_mb_used': 0,
             'local_gb': 4000, 'local_gb_used': 0, 'free_ram_mb': 262144,
             'free_disk_gb': 4000, 'disk_available_least': 4000,
             'current_workload': 0, 'running_vms': 0, 'mapped': 1,
             'supported_instances': '[["x86_64", "fake", "hvm"]]',
             'metrics': '[]', 'extra_resources': '{}', 'stats': '{}',
             'host_ip': '127.0.0.1',
             'pci_stats': None, 'numa_topology': None,
             'cpu_allocation_ratio': 16.0, 'ram_allocation_ratio': 1.0,
             'disk_allocation_ratio': 1.0, 'created_at': now,
             'updated_at': now} for name in names])
    with api.begin() as conn:
        conn.execute(api_models.HostMapping.__table__.insert(), [
            {'cell_id': cell_id, 'host': name} for name in names])
    _write_placement(providers)


def _write_placement(providers):
    provider = placement_models.ResourceProvider.__table__
    inventory = placement_models.Inventory.__table__
    classes = placement_models.ResourceClass.__table__
    engine = placement_db.placement_context_manager.writer.get_engine()
    with engine.begin() as conn:
        known = dict(conn.execute(sa.select(
            classes.c.name, classes.c.id)).all())
        first = (conn.execute(sa.select(
            sa.func.max(provider.c.id))).scalar() or 0) + 1
        conn.execute(provider.insert(), [
            {'id': number, 'uuid': key, 'name': name, 'generation': 1,
             'root_provider_id': number}
            for number, (name, key) in enumerate(providers.items(), first)])
        conn.execute(inventory.insert(), [
            {'resource_provider_id': number, 'resource_class_id': known[name],
             'total': total, 'reserved': 0, 'min_unit': 1, 'max_unit': total,
             'step_size': 1, 'allocation_ratio': ratio}
            for number, _ in enumerate(providers, first)
            for name, (total, ratio) in ROOM.items()])


def _spec(instance):
    return objects.RequestSpec(
        instance_uuid=instance, project_id='p', user_id='u',
        num_instances=1, ignore_hosts=None, force_hosts=None,
        force_nodes=None, retry=None, limits=objects.SchedulerLimits(),
        instance_group=None, requested_destination=None, scheduler_hints={},
        is_bfv=False, numa_topology=None, pci_requests=None,
        availability_zone=None, requested_resources=[],
        requested_networks=objects.NetworkRequestList(objects=[]),
        request_level_params=objects.RequestLevelParams(),
        image=objects.ImageMeta(properties=objects.ImageMetaProps()),
        flavor=objects.Flavor(memory_mb=512, vcpus=1, root_gb=1,
                              ephemeral_gb=0, swap=0, extra_specs={}))


class Schedulers:
    """One nova-scheduler, with what we gave it or without."""

    def __init__(self, manager):
        self._manager = manager
        host_manager = manager.host_manager
        self._filters = list(host_manager.enabled_filters)
        self._weighers = list(host_manager.weighers)
        self._requests = list(request_filter.ALL_REQUEST_FILTERS)
        if gate.evacuation_gate not in self._requests or not any(
                _is_ours(one) for one in self._filters):
            raise SystemExit('expected a nova-scheduler with nova-pets')

    def take(self, has_pets):
        """Schedule a new instance; return the seconds that it took."""
        def kept(known):
            return [one for one in known if has_pets or not _is_ours(one)]
        host_manager = self._manager.host_manager
        host_manager.enabled_filters = kept(self._filters)
        host_manager.weighers = kept(self._weighers)
        request_filter.ALL_REQUEST_FILTERS[:] = [
            one for one in self._requests
            if has_pets or one is not gate.evacuation_gate]
        instance = str(uuid.uuid4())
        context = nova_context.RequestContext('u', 'p', is_admin=True)
        began = time.process_time()
        chosen = self._manager.select_destinations(
            context, spec_obj=_spec(instance), instance_uuids=[instance],
            return_objects=True, return_alternates=True)
        took = time.process_time() - began
        if not chosen or not chosen[0]:
            raise SystemExit('expected a destination, found none')
        return took

    def restore(self):
        request_filter.ALL_REQUEST_FILTERS[:] = self._requests


def _is_ours(found):
    return type(found).__module__.startswith('nova_pets.')


def measure(schedulers, rounds):
    took = {True: [], False: []}
    for number in range(rounds + WARM):
        for has_pets in (True, False) if number % 2 else (False, True):
            seconds = schedulers.take(has_pets)
            if number >= WARM:
                took[has_pets].append(seconds)
    return took


def tell(hosts, took):
    plain, full = (statistics.median(took[key]) for key in (False, True))
    added = sorted((ours / less - 1) * 100
                   for less, ours in zip(took[False], took[True]))
    count = len(added)
    print(f'a first boot at {hosts} hosts, from the request filters to the '
          f'claim: processor time, median of {count}, in turn')
    print(f'without nova-pets  {plain * 1000:8.1f} ms')
    more = full - plain
    print(f'with nova-pets     {full * 1000:8.1f} ms   '
          f'{more * 1000:+.1f} ms, {more / plain * 100:+.2f} %')
    print(f'added in one round: median {statistics.median(added):+.2f} %, '
          f'quartiles {added[count // 4]:+.2f} to '
          f'{added[count * 3 // 4]:+.2f} %')


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--hosts', type=int, default=1000)
    parser.add_argument('--rounds', type=int, default=40)
    arguments = parser.parse_args(argv)
    with pets.PetsCloud(hosts=1, report_interval_s=10, down_time_s=86400,
                        start_scheduler=False):
        process = processes.Process('bench', 'scheduler',
                                    settings={'host': 'bench'}, cell='cell1')
        with processes.running_as(process):
            from nova.db.api import api as api_db
            from nova.db.main import api as main_db
            from nova.scheduler import manager as scheduler_manager
            door = wiring.build_door()
            found = door.cells()[0]
            api = api_db.context_manager.writer.get_engine()
            cell = main_db.get_context_manager(door._cells.context(
                found.uuid)).writer.get_engine()
            mapping = api_models.CellMapping.__table__
            with api.connect() as conn:
                cell_id = conn.execute(sa.select(mapping.c.id).where(
                    mapping.c.uuid == found.uuid)).scalar()
            _write(arguments.hosts, cell, api, cell_id)
            schedulers = Schedulers(scheduler_manager.SchedulerManager())
            try:
                took = measure(schedulers, arguments.rounds)
            finally:
                schedulers.restore()
            tell(arguments.hosts, took)
    return 0


if __name__ == '__main__':
    sys.exit(main())
