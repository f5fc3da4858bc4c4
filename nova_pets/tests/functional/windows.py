# SPDX-License-Identifier: Apache-2.0
"""What every failure window is judged by, from the hypervisors' own lists.

Nothing here decides how a window comes about; the tests beside it do.
"""

import threading

PET = {'ha': 'true'}

QUICK = {'pets': {'scheduling_timeout': 5, 'parallel_per_host': 32,
                  'backoff_max': 1}}
"""Timeouts so short that a lost message costs seconds."""

OPEN_RECORDS = ('accepted', 'pre-migrating')


class Watch(threading.Thread):
    """Looks for an instance that runs twice, as long as it is watched."""

    def __init__(self, cloud, instances):
        super().__init__(daemon=True)
        self._cloud = cloud
        self._instances = list(instances)
        self._ended = threading.Event()
        self.doubles = set()

    def run(self):
        while not self._ended.wait(0.02):
            for uuid in self._instances:
                hosts = self._cloud.running(uuid)
                if len(hosts) > 1:
                    self.doubles.add((uuid, *hosts))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        self._ended.set()
        self.join()


def codes(cloud, instance):
    """Return the reasons in the history of an instance."""
    return {event.code for event in cloud.store.history(
        instance_uuid=instance)}


def texts(cloud, instance):
    return ' '.join(event.text for event in cloud.store.history(
        instance_uuid=instance))


def judge(cloud, instance, is_stopped=False, state='recovered',
          timeout_s=90):
    """Wait for the end of a recovery and check that it is a good one.

    One guest and no more, the disk of old, power and vm_state as its owner
    left them, nothing left over that could act later. Returns the host.
    """
    recovery = cloud.wait_recovery(instance, state, timeout_s)
    server = cloud.server(instance)
    host = server['OS-EXT-SRV-ATTR:host']
    story = cloud.story(instance)
    assert host == recovery.destination, story
    assert server['OS-EXT-STS:task_state'] is None, story
    powered = {name for name, power in cloud.power().items()
               if power == 'on'}
    guests = {name: found[instance] for name, found in
              cloud.guests().items()
              if instance in found and name in powered}
    vm_state, power = (('stopped', 'shutdown') if is_stopped
                       else ('active', 'running'))
    assert server['OS-EXT-STS:vm_state'] == vm_state, story
    assert guests == {host: power}, story
    assert cloud.storage.made.get(instance, 1) == 1, 'its disk was built anew'
    assert set(cloud.allocations(instance)) <= {host, recovery.source}
    assert host in cloud.allocations(instance)
    open_records = [record for record in cloud.migrations(instance)
                    if record['status'] in OPEN_RECORDS]
    assert not open_records, story
    return host
