# SPDX-License-Identifier: Apache-2.0
"""What every failure window is judged by, from the hypervisors' own lists.

Nothing here decides how a window comes about; the tests beside it do.
"""

import os
import threading

PET = {'ha': 'true'}

QUICK = {'pets': {'scheduling_timeout': 5, 'parallel_per_host': 32,
                  'backoff_max': 1}}
"""Timeouts so short that a lost message costs seconds."""

PATIENCE_S = float(os.environ.get('NOVA_PETS_PATIENCE', 150))
"""Nothing here takes a tenth of it, unless the machine is crowded."""

OPEN_RECORDS = ('accepted', 'pre-migrating')


_ONCE = 'test_windows_request.py::test_the_pet_comes_back_once[%s]'
_CALLER = ('test_windows_caller.py::'
           'test_others_go_on_with_what_the_dead_had_begun[%s-]')
_ON = 'test_windows_destination.py::test_the_pet_goes_on_elsewhere[%s]'
_BACK = ('test_windows_source.py::'
         'test_the_pet_runs_once_after_a_person_has_decided[%s]')
_CHAIN = 'test_windows_chain.py::test_%s'


def _named(form, *names):
    return tuple(form % name for name in names)


def _decided(name):
    return _named(_BACK, 'power_off-' + name, 'release-' + name)


WINDOWS = {
    'W1': _named(_ONCE, 'caller_misses_neutron') + _named(
        _CALLER, 'before_any_record'),
    'W2': _named(_ONCE, 'broker_away', 'broker_away_three_times') + _named(
        _CALLER, 'before_the_cast'),
    'W3': _named(_ONCE, 'cast_lost', 'cast_late') + _named(
        _CALLER, 'before_the_first_event'),
    'W4': _named(_CHAIN, 'two_hosts_at_once_and_the_conductor_is_killed'),
    'W5': _named(_ONCE, 'scheduler_fails', 'conductor_misses_neutron',
                 'scheduling_lost', 'scheduling_late') + _named(
                     _CALLER, 'while_scheduling'),
    'W6': _named(_CHAIN, 'placement_is_away[running]',
                 'placement_is_away[stopped]') + _named(
                     _ONCE, 'no_capacity', 'stopped_no_capacity'),
    'W6b': _named(_ONCE, 'claim_gets_bad_gateway'),
    'W7': _named(_ON, 'in_its_queue', 'before_claim'),
    'W8': _named(_ON, 'after_claim'),
    'W9': _named(_ON, 'before_spawn', 'after_spawn'),
    'W10': _named(_ON, 'before_finish'),
    'W10b': _named(_ON, 'stopped_before_power_off'),
    'W11': _named(_CHAIN, 'the_database_is_away_behind_spawn'),
    'W12': _named(_ONCE, 'claim_fails', 'group_violated'),
    'W13': _named(_ONCE, 'spawn_fails', 'disk_not_seen',
                  'destination_misses_neutron', 'destination_misses_cinder',
                  'destination_misses_glance'),
    'W14': _named(_ONCE, 'fails_after_spawn', 'stopped_fails_to_stop'),
    'W15': _named(_CHAIN, 'pets_go_on_when_their_destinations_die_in_turn'),
    'W16': _decided('not_requested'),
    'W17': _decided('cast_lost'),
    'W18': _decided('spawning'),
    'W19': _decided('spawning_in_vain'),
    'W20': ('test_people_hosts.py::'
            'test_a_living_host_is_forced_down_and_its_pet_evacuated',
            'test_engines.py::test_a_bmc_that_lies_holds_everything'),
    'W21': ('test_windows_destination.py::'
            'test_the_destination_returns_and_harms_nobody',),
    'W22': _decided('without_record'),
    'W23': ('test_windows_outage.py::test_an_outage_kills_nobody',),
}
"""Window of specs/0007-windows -> tests that produce it and recover."""


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
            guests = self._cloud.guests()
            for uuid in self._instances:
                hosts = sorted(host for host, known in guests.items()
                               if known.get(uuid) == 'running')
                if len(hosts) > 1:
                    self.doubles.add((uuid, *hosts))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        self._ended.set()
        self.join()


def boot(cloud, names, host='host1', **kwargs):
    """Boot pets; those whose name begins with 'stopped' are stopped.

    :returns: dict of name -> uuid; each is known as a protected pet.
    """
    found = cloud.boot_many({
        name.replace('_', '-'): {'host': host, 'metadata': PET, **kwargs}
        for name in names}, max(120, PATIENCE_S))
    pets = {name: found[name.replace('_', '-')] for name in names}
    stopped = [uuid for name, uuid in pets.items()
               if name.startswith('stopped')]
    for uuid in stopped:
        cloud.stop(uuid)
    for uuid in stopped:
        cloud.wait_server(uuid, status='SHUTOFF', task_state=None)
    cloud.wait_tracked(pets.values())
    return pets


def codes(cloud, instance):
    """Return the reasons in the history of an instance."""
    return {event.code for event in cloud.store.history(
        instance_uuid=instance)}


def texts(cloud, instance):
    return ' '.join(event.text for event in cloud.store.history(
        instance_uuid=instance))


def judge(cloud, instance, is_stopped=False, state='recovered',
          timeout_s=PATIENCE_S):
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
    assert not dangers(cloud, instance, host), story
    return host


def judge_at_home(cloud, instance, is_stopped=False):
    """As judge(), for what lives where it did when its host came back."""
    def has_ended():
        found = cloud.recovery(instance)
        return found if found.state in ('abandoned', 'recovered') else None
    recovery = cloud.wait_for('its end at home', has_ended, PATIENCE_S)
    story = cloud.story(instance)
    host = recovery.source
    server = cloud.server(instance)
    assert recovery.reason in ('source_returned', 'restarted_at_home'), story
    assert server['OS-EXT-SRV-ATTR:host'] == host, story
    assert server['OS-EXT-STS:task_state'] is None, story
    vm_state, powers = (('stopped', [[], ['shutdown']]) if is_stopped
                        else ('active', [['running']]))
    assert server['OS-EXT-STS:vm_state'] == vm_state, story
    guests = [found[instance] for found in cloud.guests().values()
              if instance in found]
    assert guests in powers, story
    assert cloud.storage.made.get(instance, 1) == 1, 'its disk was built anew'
    assert set(cloud.allocations(instance)) == {host}, story
    assert not dangers(cloud, instance, host), story
    return host


def dangers(cloud, instance, host):
    """Return the evacuation records that a late message, or a restart of
    nova-compute where the instance lives, would act upon (F5, F8)."""
    return [record for record in cloud.migrations(instance)
            if record['migration_type'] == 'evacuation' and (
                record['status'] in OPEN_RECORDS or (
                    record['status'] == 'done' and
                    record['source_compute'] == host))]
