# SPDX-License-Identifier: Apache-2.0
"""An embedded cloud that an operator has given nova-pets.

What the README tells an operator to do is done here: nova.conf names our
filters and weighers, the side tables are made, the bindings file says which
device fences which host. Nothing of the product is replaced.
"""

import os
import time

from nova_pets.tests.cloud import embedded

import fixtures
import nova.conf
from nova.db.api import api as nova_api_db

from nova_pets.conf import opts
from nova_pets.scheduler import extension
from nova_pets.scheduler import worker
from nova_pets.tests.cloud import processes
from nova_pets.tests import side_tables

CONF = nova.conf.CONF

FILTERS = (
    'FencedHostFilter', 'EvacuationGateFilter', 'ComputeFilter',
    'ComputeCapabilitiesFilter', 'ImagePropertiesFilter',
    'ServerGroupAntiAffinityFilter', 'ServerGroupAffinityFilter',
    'SharedStorageFilter')

BINDINGS = """\
hosts:
  - match: ["*"]
    levels:
      - devices:
          - driver: %(driver)s
            settings: {%(settings)s}
"""


class PetsCloud(embedded.EmbeddedCloud):
    """:param pets: {group: {option: value}} over the quick defaults below.
    :param fence: driver of every host: 'fake' (the cloud's BMC files),
        'manual', or None for no binding at all.
    """

    def __init__(self, hosts=5, pets=None, fence='fake', config=None,
                 **kwargs):
        super().__init__(hosts=hosts, config=config, **kwargs)
        self._fence = fence
        self._pets = pets or {}

    def _defaults(self):
        values = super()._defaults()
        heartbeat = self.report_interval_s
        values.setdefault('filter_scheduler', {}).update({
            'available_filters': [
                'nova.scheduler.filters.all_filters',
                'nova_pets.scheduler.filters.all_filters'],
            'enabled_filters': ','.join(FILTERS),
            'weight_classes': 'nova.scheduler.weights.all_weighers,'
                              'nova_pets.scheduler.weights.all_weighers'})
        values['pets'] = {
            'one_storage_domain': True, 'kill_switch_file': os.path.join(
                self.directory, 'observe'),
            'claim_ttl': 5, 'idle_interval': 0.25, 'active_interval': 0.1,
            'backoff_first': 0.5, 'backoff_max': 2, 'verify_watch': 0.5,
            'scheduling_timeout': 20, 'locate_after': 1}
        values['pets_detection'] = {
            'tcp_timeout': 0.5, 'ping_timeout': 0.5,
            'witness_silence': min(heartbeat, 1),
            # One more than by default: many clouds share two cores in CI,
            # and a late heartbeat keeps a host from taking instances.
            'suspect_heartbeats': 3, 'down_heartbeats': 4}
        values['pets_fencing'] = {
            'bindings_file': os.path.join(self.directory, 'fencing.yaml'),
            'allow_fake': True, 'fence_timeout': 10, 'fence_retry': 1,
            'query_timeout': 2, 'read_interval': 2,
            # It is always young.
            'startup_grace': 0,
            # Its databases and its broker are made to fail.
            'outage_calm': 0, 'flap_count': 0}
        values['pets_scheduler'] = {'periodic_spacing': 0.5}
        for group, options in self._pets.items():
            values.setdefault(group, {}).update(options)
        return values

    def _load_config(self):
        if self._fence is not None:
            settings = ('state_dir: %s' % self.bmc_directory
                        if self._fence == 'fake' else '')
            with open(os.path.join(self.directory, 'fencing.yaml'),
                      'w') as stream:
                stream.write(BINDINGS % {'driver': self._fence,
                                         'settings': settings})
        super()._load_config()

    def _start_controllers(self):
        side_tables.make(nova_api_db.get_engine())
        opts.register_opts(CONF)
        CONF.set_override('tcp_port', self.port, group='pets_detection')
        self._let_dead_schedulers_rest()
        super()._start_controllers()

    def _let_dead_schedulers_rest(self):
        """All schedulers of the cloud share one pid, and so one keeper: the
        periodic task of a dead one must not start an engine in it, which
        would stand still and pass for the engine of its successor."""
        ensure = worker.EngineKeeper.ensure

        def gated(keeper):
            processes.checkpoint()
            ensure(keeper)
        self._fixtures.useFixture(fixtures.MockPatchObject(
            worker.EngineKeeper, 'ensure', gated))

    def close(self):
        super().close()
        # The next cloud of this process may be one without nova-pets.
        extension.detach()

    # -- looking at the product, as its tables tell it -----------------------

    @property
    def store(self):
        from nova_pets import wiring
        return wiring.build_store('test')

    def recovery(self, instance):
        found = self.store.recoveries(instance_uuid=instance, limit=1)
        return found[0] if found else None

    def attempts(self, instance):
        return [attempt
                for recovery in reversed(self.store.recoveries(
                    instance_uuid=instance))
                for attempt in self.store.attempts(recovery.id)]

    def story(self, instance=None, host=None):
        """Return the history as lines, for a failing test's message."""
        return '\n'.join(
            '%s %s %s: %s -> %s %s (%s)' % (
                event.at, event.host, event.instance_uuid or '',
                event.from_state, event.to_state, event.code, event.text)
            for event in self.store.history(instance_uuid=instance,
                                            host=host))

    def wait_for(self, what, check, timeout_s=120):
        """Poll until ``check()`` is true; its last value is returned."""
        deadline = time.monotonic() + timeout_s
        while True:
            asked = time.monotonic()
            value = check()
            if value:
                return value
            now = time.monotonic()
            if now > deadline:
                raise AssertionError('waited %s s for %s; history:\n%s' % (
                    timeout_s, what, self.story()))
            time.sleep(processes.pause_s(now - asked, 0.05))

    def wait_recovery(self, instance, state, timeout_s=120):
        """Wait until the newest recovery of an instance is in ``state``."""
        def check():
            found = self.recovery(instance)
            return found if found and found.state == state else None
        return self.wait_for('%s of %s' % (state, instance), check,
                             timeout_s)

    def wait_host(self, host, state, timeout_s=120):
        return self.wait_for(
            '%s of %s' % (state, host),
            lambda: getattr(self.store.host(host), 'state', None) == state,
            timeout_s)

    def wait_tracked(self, instances, timeout_s=90):
        """Wait until each is known as a pet and its fence as working."""
        def check():
            pets = self.store.pets(uuids=list(instances))
            return len(pets) == len(set(instances)) and not any(
                'no_working_fence' in pet.unprotected for pet in pets)
        return self.wait_for('tracking', check, timeout_s)

    def order(self, kind, scope, target, **values):
        """Give one order as the command line does."""
        from nova_pets.model import records
        from nova_pets.model import states
        return self.store.add_control(records.Control(
            id=None, kind=states.ControlKind(kind), scope=scope,
            target=target, actor='user test', reason='test', **values))
