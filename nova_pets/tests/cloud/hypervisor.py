# SPDX-License-Identifier: Apache-2.0
"""Nova's fake driver on a Machine: guests that outlive nova-compute.

The guests and disks are kept by ground.Machine and Storage, so that they
survive a restart of the service and can be judged without it. Every driver
call is a point: ``spawn`` before it, ``after_spawn`` behind it, and so on.
"""

import collections.abc
import functools
import threading
import time
import uuid

from nova.compute import power_state
from nova import objects
from nova.virt import fake

from nova_pets.tests.cloud import ground
from nova_pets.tests.cloud import processes

_TO_NOVA = {ground.GuestState.RUNNING: power_state.RUNNING,
            ground.GuestState.SHUTDOWN: power_state.SHUTDOWN}
_FROM_NOVA = {value: key for key, value in _TO_NOVA.items()}


class Storage:
    """Which host sees which instance disk.

    A storage domain is a name; hosts with the same name share their disks,
    None is local storage. Boot-from-volume instances have no disk here.
    """

    def __init__(self, hosts):
        self._lock = threading.Lock()
        self.domains = {host: 'shared' for host in hosts}
        self._disks = set()
        #: instance uuid -> how often a disk was made from the image; more
        #: than once means that the data of the first were lost.
        self.made = {}

    def domain(self, host):
        return self.domains[host] or 'local to ' + host

    def has_disk(self, host, instance_uuid):
        return (self.domain(host), instance_uuid) in self._disks

    def make_disk(self, host, instance_uuid):
        """Make the disk unless this host sees one already."""
        disk = (self.domain(host), instance_uuid)
        with self._lock:
            if disk not in self._disks:
                self._disks.add(disk)
                self.made[instance_uuid] = self.made.get(instance_uuid, 0) + 1

    def remove_disk(self, host, instance_uuid):
        with self._lock:
            self._disks.discard((self.domain(host), instance_uuid))


class _Domain:
    """One guest, as the fake driver wants to see it."""

    def __init__(self, machine, guest):
        self._machine = machine
        self._guest = guest
        self.name = guest.name
        self.uuid = guest.uuid

    @property
    def state(self):
        return _TO_NOVA[self._guest.state]

    @state.setter
    def state(self, value):
        self._machine.set_guest_state(self.uuid, _FROM_NOVA[value])

    def __getitem__(self, key):
        return getattr(self, key)


class _Domains(collections.abc.MutableMapping):
    """The machine's guests in place of the fake driver's own dict."""

    def __init__(self, machine):
        self._machine = machine

    def __getitem__(self, key):
        return _Domain(self._machine, self._machine.guests[key])

    def __setitem__(self, key, instance):
        self._machine.start_guest(
            key, instance.name, _FROM_NOVA[instance.state])

    def __delitem__(self, key):
        # Nova's driver looks first; what another thread removed meanwhile
        # is gone, as with a real hypervisor.
        self._machine.remove_guest(key)

    def __iter__(self):
        return iter(list(self._machine.guests))

    def __len__(self):
        return len(self._machine.guests)


class CloudDriver(fake.FakeDriver):
    """The fake driver of one incarnation of nova-compute on a Machine."""

    def __init__(self, virtapi, cloud, machine):
        super().__init__(virtapi)
        self.cloud = cloud
        self.machine = machine
        self.instances = _Domains(machine)
        self._node_uuid = str(
            uuid.uuid5(uuid.NAMESPACE_DNS, machine.name))

    def get_host_ip_addr(self):
        return self.machine.address

    def get_available_resource(self, nodename):
        resources = super().get_available_resource(nodename)
        if resources:
            resources['uuid'] = self._node_uuid
        return resources

    def get_nodenames_by_uuid(self, refresh=False):
        return {self._node_uuid: self.machine.name}

    def spawn(self, context, instance, *args, **kwargs):
        if self.cloud.spawn_delay_s:
            deadline = time.monotonic() + self.cloud.spawn_delay_s
            while time.monotonic() < deadline:
                processes.checkpoint()
                time.sleep(0.02)
        if instance.image_ref:
            self.cloud.storage.make_disk(self.machine.name, instance.uuid)
        return super().spawn(context, instance, *args, **kwargs)

    def resume_state_on_host_boot(self, context, instance, *args, **kwargs):
        """Nova's driver does nothing here; libvirt reboots it hard."""
        self.power_on(context, instance)

    def power_on(self, context, instance, *args, **kwargs):
        """As libvirt: define the domain anew, whether it is there or not.
        """
        if not self.machine.set_guest_state(
                instance.uuid, ground.GuestState.RUNNING):
            self.machine.start_guest(instance.uuid, instance.name)

    def destroy(self, context, instance, network_info,
                block_device_info=None, destroy_disks=True, *args, **kwargs):
        if destroy_disks:
            self.cloud.storage.remove_disk(self.machine.name, instance.uuid)
        return super().destroy(context, instance, network_info,
                               block_device_info, destroy_disks,
                               *args, **kwargs)

    def instance_on_disk(self, instance):
        return self.cloud.storage.has_disk(self.machine.name, instance.uuid)

    def check_instance_shared_storage_local(self, context, instance):
        if not self.instance_on_disk(instance):
            return None
        return {'filename': self.cloud.storage.domain(self.machine.name)}

    def check_instance_shared_storage_remote(self, context, data):
        return (data['filename'] ==
                self.cloud.storage.domain(self.machine.name))

    def check_instance_shared_storage_cleanup(self, context, data):
        return None


def _instance_uuid(args, kwargs):
    for value in list(args) + list(kwargs.values()):
        if isinstance(value, objects.Instance):
            return value.uuid
    return None


def _with_points(name, method):
    @functools.wraps(method)
    def wrapper(self, *args, **kwargs):
        instance = _instance_uuid(args, kwargs)
        self.cloud.board.reach(name, instance)
        result = method(self, *args, **kwargs)
        self.cloud.board.reach('after_' + name, instance)
        return result
    return wrapper


def _add_points(driver):
    for name in dir(driver):
        if not name.startswith('_') and callable(getattr(driver, name)):
            setattr(driver, name, _with_points(name, getattr(driver, name)))


_add_points(CloudDriver)
