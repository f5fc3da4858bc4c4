# SPDX-License-Identifier: Apache-2.0
"""What our filters and weigher add to one request at 1,000 hosts.

Both filter lists run interleaved in this process over the same host states,
each first in every other round; the request is a first boot, which concerns
no pet. Times are processor time of this thread, so that what else the machine
does matters little. Tables on SQLite. Placement and the making of host
states, which take most of a real request, are not part of it.
"""

import statistics
import tempfile
import time

from nova import objects
import nova.conf
from nova.scheduler import filters
from nova.scheduler import host_manager
from nova.scheduler import weights

from nova_pets.conf import opts
from nova_pets.db import schema
from nova_pets.db import session
from nova_pets.db import store
from nova_pets.model import states
from nova_pets.scheduler import access
from nova_pets.tests import cloud as cloud_package  # noqa: F401
from nova_pets.tests.cloud import pets

HOSTS = 1000
ROUNDS = 120


def _host_states():
    states_ = []
    for number in range(HOSTS):
        state = host_manager.HostState(
            f'host{number}', f'host{number}', 'cell')
        state.free_ram_mb = state.total_usable_ram_mb = 65536
        state.free_disk_mb = 10 ** 6
        state.vcpus_total = 64
        state.cpu_allocation_ratio = state.ram_allocation_ratio = 1.0
        state.disk_allocation_ratio = 1.0
        state.service = {'disabled': False, 'forced_down': False,
                         'host': f'host{number}',
                         'last_seen_up': None, 'updated_at': None,
                         'created_at': None, 'topic': 'compute',
                         'disabled_reason': None, 'binary': 'nova-compute'}
        states_.append(state)
    return states_


def _classes(handler, names):
    found = {cls.__name__: cls for cls in handler}
    return [found[name]() for name in names if name in found]


def _request():
    return objects.RequestSpec(
        instance_uuid='00000000-0000-4000-8000-000000000001',
        project_id='p', user_id='u', num_instances=1, ignore_hosts=None,
        force_hosts=None, force_nodes=None, retry=None, limits=None,
        instance_group=None, requested_destination=None,
        scheduler_hints={}, is_bfv=False, numa_topology=None,
        pci_requests=None, availability_zone=None,
        image=objects.ImageMeta(properties=objects.ImageMetaProps()),
        flavor=objects.Flavor(memory_mb=512, vcpus=1, root_gb=1,
                              ephemeral_gb=0, swap=0, extra_specs={}))


def main():
    conf = nova.conf.CONF
    if not conf.host:
        conf([], project='nova', default_config_files=[])
    opts.register_opts(conf)
    objects.register_all()
    with tempfile.TemporaryDirectory() as directory:
        facade = session.standalone(f'sqlite:///{directory}/pets.db')
        schema.sync(facade.writer.get_engine())
        memory = store.SqlStore(facade, 'bench')
        memory.ensure_hosts([(f'host{number}', 'cell')
                             for number in range(HOSTS)])
        real = access.store
        access.store = lambda: memory
        access.configure(states.Mode.ACT, None)
        try:
            _compare()
        finally:
            access.store = real


def _compare():
    from nova.scheduler.filters import all_filters as nova_filters
    from nova.scheduler.weights import all_weighers as nova_weighers

    from nova_pets.scheduler.filters import all_filters as our_filters
    from nova_pets.scheduler.weights import all_weighers as our_weighers

    ours = {cls.__name__ for cls in our_filters()}
    without_names = [name for name in pets.FILTERS
                     if name not in ours and name != 'ComputeFilter']
    with_names = [name for name in pets.FILTERS if name != 'ComputeFilter']
    known = nova_filters() + our_filters()
    chains = {'without': _classes(known, without_names),
              'with': _classes(known, with_names)}
    weighers = {'without': [cls() for cls in nova_weighers()],
                'with': [cls() for cls in nova_weighers() + our_weighers()]}
    handler = filters.HostFilterHandler()
    weight_handler = weights.HostWeightHandler()
    hosts = _host_states()
    spec = _request()
    spec._context = None
    took = {'without': [], 'with': []}
    for number in range(ROUNDS):
        for name in sorted(took, reverse=number % 2 == 0):
            began = time.thread_time()
            found = handler.get_filtered_objects(chains[name], hosts, spec)
            weight_handler.get_weighed_objects(weighers[name], found, spec)
            took[name].append(time.thread_time() - began)
            assert len(found) == HOSTS
    plain = statistics.median(took['without'])
    full = statistics.median(took['with'])
    added = sorted((more / less - 1) * 100 for less, more in zip(
        took['without'], took['with']))
    print(f'\nfiltering and weighing {HOSTS} hosts for a first boot, median '
          f'of {ROUNDS}, interleaved')
    print(f'without nova-pets  {plain * 1000:7.2f} ms')
    print(f'with nova-pets     {full * 1000:7.2f} ms   '
          f'{(full - plain) * 1000:+.2f} ms, '
          f'{(full / plain - 1) * 100:+.1f} %')
    print(f'added in one round: median {statistics.median(added):+.1f} %, '
          f'quartiles {added[ROUNDS // 4]:+.1f} to '
          f'{added[ROUNDS * 3 // 4]:+.1f} %')
