# SPDX-License-Identifier: Apache-2.0
"""The source comes back while its pets are on their way (W16 to W19, W22).

host1 dies; each pet is at another point of its recovery when somebody powers
host1 on again. Nova's start-up there destroys some guests, resumes others and
writes ERROR over one. From then on nothing may be evacuated, until a person
either powers the host off or lets it come back.
"""

import dataclasses

import pytest

from nova_pets.tests.functional import windows

CONFIG = {
    # Nova asks a host that does not listen yet whether disks are shared.
    'rpc_response_timeout': 5,
    # The worst case of W16: the guest runs again as soon as its host does.
    'resume_guests_state_on_host_boot': True}

POLICY = {'pets': {**windows.QUICK['pets'], 'scheduling_timeout': 20}}


@dataclasses.dataclass(frozen=True)
class Window:
    at_home: str
    """What is left of its guest on the returned host, if that resumes
    guests: running, shutdown, or absent."""
    finishes: bool = False
    """Its destination finishes in spite of the return."""


WINDOWS = {
    'not_requested': Window('running'),                         # W16
    'stopped_not_requested': Window('shutdown'),
    'cast_lost': Window('absent'),                              # W17
    'stopped_cast_lost': Window('absent'),
    'spawning': Window('absent', finishes=True),                # W18
    'spawning_in_vain': Window('absent'),                       # W19
    'without_record': Window('shutdown'),                       # W22
}


@dataclasses.dataclass
class Scene:
    cloud: object
    pets: dict
    watch: object


@pytest.fixture(scope='module', params=['power_off', 'release'])
def scene(request):
    """The cloud after host1 came back too early and a person decided.

    What is to be released does not resume guests: that is our affair then.
    """
    from nova_pets.tests.cloud import pets as pets_cloud
    resumes = request.param == 'power_off'
    config = {'DEFAULT': {
        **CONFIG, 'resume_guests_state_on_host_boot': resumes}}
    with pets_cloud.PetsCloud(hosts=3, report_interval_s=2, config=config,
                              pets=POLICY) as cloud:
        pets = windows.boot(cloud, WINDOWS)
        with windows.Watch(cloud, pets.values()) as watch:
            holds, paused = _die(cloud, pets)
            _come_back(cloud, pets, resumes)
            cast = len(cloud.evacuate_casts)
            for hold in holds:
                hold.release()
            _stand_still(cloud, pets)
            assert len(cloud.evacuate_casts) == cast
            for order in paused:
                assert cloud.store.end_control(order, 'user test', 'end')
            _decide(cloud, pets, request.param)
            yield request.param, Scene(cloud, pets, watch)


def _die(cloud, pets):
    """Let host1 die; return when each pet is at its point."""
    from nova import exception
    paused = [cloud.order('pause', 'instance', pets[name])
              for name in ('not_requested', 'stopped_not_requested')]
    # Until host1 is back: one that is tried again is lost again.
    holds = [cloud.lose('conductor.rebuild_instance', instance=pets[name])
             for name in ('cast_lost', 'stopped_cast_lost')]
    holds += [cloud.hold(None, 'spawn', instance=pets['spawning']),
              cloud.hold('compute', 'glance',
                         instance=pets['spawning_in_vain']),
              cloud.hold('scheduler', 'neutron',
                         instance=pets['without_record'])]
    cloud.fail(None, 'spawn', exception.NovaException('as ordered'),
               times=1, instance=pets['spawning_in_vain'])
    cloud.crash('host1')
    for hold in holds[2:]:
        hold.wait(timeout_s=windows.PATIENCE_S)
    for name in ('cast_lost', 'stopped_cast_lost'):
        cloud.wait_recovery(pets[name], 'scheduling', windows.PATIENCE_S)
    return holds, paused


def _come_back(cloud, pets, resumes):
    cloud.restart('host1')
    cloud.wait_host('host1', 'quarantined', windows.PATIENCE_S)
    expected = {name: window.at_home for name, window in WINDOWS.items()}
    if not resumes:
        expected['not_requested'] = 'shutdown'
    cloud.wait_for('the clean-up of host1', lambda: {
        name: cloud.guests()['host1'].get(uuid, 'absent')
        for name, uuid in pets.items()} == expected, windows.PATIENCE_S)
    server = cloud.server(pets['without_record'])
    assert server['OS-EXT-STS:vm_state'] == 'error'


def _stand_still(cloud, pets):
    """Each waits for a proof that is gone, and its history says so."""
    for name, window in WINDOWS.items():
        cloud.wait_recovery(
            pets[name], 'recovered' if window.finishes else 'pending',
            windows.PATIENCE_S)
        if not window.finishes:
            assert 'source_down' in windows.codes(cloud, pets[name])
    row = cloud.store.host('host1')
    assert row.state == 'quarantined'
    assert row.reason in ('life_after_proof', 'power_not_off')
    assert cloud.compute_services()['host1']['forced_down']


def _decide(cloud, pets, decision):
    """A person pulls the plug, or lets it come back: then its nova-compute
    has to clean up what a destination has finished since."""
    if decision == 'power_off':
        _cannot_be_fenced(cloud)
        cloud.power_off('host1')
        return
    # Nova stops what it finds shut down; nobody has asked it to.
    asleep = pets['not_requested']
    cloud.wait_server(asleep, windows.PATIENCE_S, vm_state='stopped')
    cloud.order('release', 'host', 'host1')
    cloud.wait_host('host1', 'returning', windows.PATIENCE_S)
    cloud.silence_service('host1')
    cloud.restart('host1')


def _cannot_be_fenced(cloud):
    """I4: by nobody's order, as long as it reports to nova."""
    order = cloud.order('fence', 'host', 'host1')
    cloud.wait_for('the refusal', lambda: order.id not in [
        control.id for control in cloud.store.controls()])
    assert cloud.store.host('host1').state == 'quarantined'
    assert cloud.power()['host1'] == 'on'


@pytest.mark.parametrize('name', WINDOWS)
def test_the_pet_runs_once_after_a_person_has_decided(scene, name):
    decision, scene = scene
    cloud, uuid = scene.cloud, scene.pets[name]
    is_stopped = name.startswith('stopped')
    if decision == 'power_off' or WINDOWS[name].finishes:
        host = windows.judge(cloud, uuid, is_stopped)
        assert host in ('host2', 'host3')
    else:
        assert windows.judge_at_home(cloud, uuid, is_stopped) == 'host1'
    assert not scene.watch.doubles


def test_the_host_ends_where_the_person_wanted_it(scene):
    decision, scene = scene
    cloud = scene.cloud
    if decision == 'power_off':
        cloud.wait_host('host1', 'vacated', windows.PATIENCE_S)
        assert cloud.power()['host1'] == 'off'
        cloud.restart('host1')
    cloud.wait_host('host1', 'up', windows.PATIENCE_S)
    assert not cloud.compute_services()['host1']['forced_down']
    for name, uuid in scene.pets.items():
        is_home = decision == 'release' and not WINDOWS[name].finishes
        # Nobody starts what is stopped, so its domain stays away.
        has_guest = is_home and name != 'stopped_cast_lost'
        assert (uuid in cloud.guests()['host1']) == has_guest, name
        assert ('host1' in cloud.allocations(uuid)) == is_home, name
    assert not scene.watch.doubles
