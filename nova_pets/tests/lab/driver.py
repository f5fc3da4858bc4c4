# SPDX-License-Identifier: Apache-2.0
"""The virt driver of the lab: Nova's fake driver with guests in a file.

What machine.Truth says runs, whatever becomes of nova-compute: guests outlive
a restart, and a guest of a machine without power does not run. Two files may
be put beside the machines: ``spawn_delay`` (seconds that every spawn takes)
and ``lost_heartbeats`` (share of this host's service reports that get lost).

Named in nova.conf as compute_driver; [DEFAULT] state_path is the directory
of the host, and the directory of the truth is beside it.
"""

import collections.abc
import pathlib
import random
import time

from nova.compute import power_state
import nova.conf
from nova.servicegroup.drivers import db as servicegroup_db
from nova.virt import fake

from nova_pets.tests.lab import identities
from nova_pets.tests.lab import machine

CONF = nova.conf.CONF
_TO_NOVA = {machine.RUNNING: power_state.RUNNING,
            machine.PAUSED: power_state.PAUSED,
            machine.SUSPENDED: power_state.SUSPENDED,
            machine.SHUTDOWN: power_state.SHUTDOWN}
_FROM_NOVA = {value: key for key, value in _TO_NOVA.items()}


class _Guest:
    """One guest as the fake driver wants to see it."""

    def __init__(self, guests, key, facts):
        self._guests = guests
        self.uuid = key
        self.name = facts['name']
        self._state = facts['state']

    @property
    def state(self):
        return _TO_NOVA[self._state]

    @state.setter
    def state(self, value):
        self._guests.put(self.uuid, self.name, value)

    def __getitem__(self, key):
        return getattr(self, key)


class _Guests(collections.abc.MutableMapping):
    """The machine's guests in place of the fake driver's own dict."""

    def __init__(self, truth, host):
        self._truth = truth
        self._host = host

    def put(self, key, name, state):
        self._truth.set_guest(self._host, key, name, _FROM_NOVA.get(
            state, machine.SHUTDOWN))

    def _all(self):
        return self._truth.facts(self._host).guests

    def __getitem__(self, key):
        return _Guest(self, key, self._all()[key])

    def __setitem__(self, key, instance):
        self.put(key, instance.name, instance.state)

    def __delitem__(self, key):
        self._truth.remove_guest(self._host, key)

    def __iter__(self):
        return iter(self._all())

    def __len__(self):
        return len(self._all())


class LabDriver(fake.FakeDriver):
    """nova-compute's driver on one machine of the lab."""

    def __init__(self, virtapi, read_only=False):
        super().__init__(virtapi, read_only)
        self._directory = pathlib.Path(CONF.state_path).parent / 'truth'
        self.truth = machine.Truth(self._directory)
        self.instances = _Guests(self.truth, CONF.host)
        self._node_uuid = identities.node(CONF.host)
        _lose_heartbeats(self._directory / 'lost_heartbeats')

    def get_host_ip_addr(self):
        return CONF.my_ip

    def get_available_resource(self, nodename):
        resources = super().get_available_resource(nodename)
        if resources:
            resources['uuid'] = self._node_uuid
        return resources

    def get_nodenames_by_uuid(self, refresh=False):
        return {self._node_uuid: CONF.host}

    def spawn(self, context, instance, *args, **kwargs):
        time.sleep(_number(self._directory / 'spawn_delay'))
        if instance.image_ref:
            self.truth.make_disk(instance.uuid)
        return super().spawn(context, instance, *args, **kwargs)

    def power_on(self, context, instance, *args, **kwargs):
        """As libvirt: define the guest anew, whether it is there or not."""
        self.truth.set_guest(CONF.host, instance.uuid, instance.name,
                             machine.RUNNING)

    def resume_state_on_host_boot(self, context, instance, *args, **kwargs):
        self.power_on(context, instance)

    def destroy(self, context, instance, network_info,
                block_device_info=None, destroy_disks=True, *args, **kwargs):
        if destroy_disks:
            self.truth.remove_disk(instance.uuid)
        return super().destroy(context, instance, network_info,
                               block_device_info, destroy_disks,
                               *args, **kwargs)

    def instance_on_disk(self, instance):
        return self.truth.has_disk(instance.uuid)

    def check_instance_shared_storage_local(self, context, instance):
        return {'filename': 'shared'} if self.instance_on_disk(
            instance) else None

    def check_instance_shared_storage_remote(self, context, data):
        return data['filename'] == 'shared'

    def check_instance_shared_storage_cleanup(self, context, data):
        return None


def _number(path):
    try:
        return float(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0.0


def _lose_heartbeats(path):
    """Make this nova-compute's reports get lost as often as the file says."""
    report = servicegroup_db.DbDriver._report_state

    def sometimes(self, service):
        if random.random() >= _number(path):
            report(self, service)
            return
        with path.with_suffix('.count').open('a') as lost:
            lost.write('.')

    servicegroup_db.DbDriver._report_state = sometimes
