# SPDX-License-Identifier: Apache-2.0
"""A destination dies with pets on their way to it, and comes back later.

Windows W7 to W10b, all on one destination: each pet is at another point of
its evacuation to host2 when that host is cut off. Its guests run on until it
is proven off; then every pet goes on elsewhere, and when host2 returns it
finds its stray copies and late messages and does no harm with them.
"""

import dataclasses

import pytest

from nova_pets.tests.functional import windows

QUEUE = 'compute.rebuild_instance'


@dataclasses.dataclass(frozen=True)
class Window:
    point: str
    """Where the pet is held when its destination dies."""
    has_guest: bool
    """A guest of it runs on the dying destination."""
    is_stopped: bool = False


WINDOWS = {
    'in_its_queue': Window(QUEUE, False),
    'before_claim': Window('before_claim', False),
    'after_claim': Window('glance', False),
    'before_spawn': Window('spawn', False),
    'after_spawn': Window('after_spawn', True),
    'before_finish': Window('before_finish', True),
    'stopped_in_its_queue': Window(QUEUE, False, True),
    'stopped_after_spawn': Window('after_spawn', True, True),
    'stopped_before_power_off': Window('power_off', True, True),
}


@dataclasses.dataclass
class Scene:
    cloud: object
    pets: dict
    late: list
    watch: object


def boot(cloud):
    """Return the pets by window, stopped where they should be."""
    found = cloud.boot_many({
        name.replace('_', '-'): {'host': 'host1', 'metadata': windows.PET}
        for name in WINDOWS})
    pets = {name.replace('-', '_'): uuid for name, uuid in found.items()}
    stopped = [pets[name] for name, window in WINDOWS.items()
               if window.is_stopped]
    for uuid in stopped:
        cloud.stop(uuid)
    for uuid in stopped:
        cloud.wait_server(uuid, status='SHUTOFF', task_state=None)
    cloud.wait_tracked(pets.values())
    return pets


def hold(cloud, pets):
    """Hold each pet at its point; return what keeps messages back."""
    late = []
    for name, window in WINDOWS.items():
        if window.point == QUEUE:
            late.append(cloud.defer(QUEUE, instance=pets[name], times=1))
        else:
            cloud.hold('host2', window.point, instance=pets[name])
    return late


def wait_held(cloud, pets, late):
    for name, window in WINDOWS.items():
        if window.point != QUEUE:
            cloud.wait_held(window.point, pets[name], windows.PATIENCE_S)
    for deferral in late:
        deferral.wait(windows.PATIENCE_S)


@pytest.fixture(scope='module')
def scene():
    """The cloud after host1 and then host2 died."""
    from nova_pets.tests.cloud import pets as pets_cloud
    patient = {'pets': {**windows.QUICK['pets'], 'scheduling_timeout': 60}}
    with pets_cloud.PetsCloud(hosts=4, report_interval_s=2,
                              pets=patient) as cloud:
        pets = boot(cloud)
        for host in ('host3', 'host4'):
            cloud.update_service(host, status='disabled')
        late = hold(cloud, pets)
        with windows.Watch(cloud, pets.values()) as watch:
            cloud.crash('host1')
            wait_held(cloud, pets, late)
            for name, window in WINDOWS.items():
                assert bool(cloud.running(pets[name])) == window.has_guest
            cloud.partition('host2')
            for host in ('host3', 'host4'):
                cloud.update_service(host, status='enabled')
            yield Scene(cloud, pets, late, watch)


@pytest.mark.parametrize('name', WINDOWS)
def test_the_pet_goes_on_elsewhere(scene, name):
    cloud, uuid = scene.cloud, scene.pets[name]
    host = windows.judge(cloud, uuid, WINDOWS[name].is_stopped)
    story = cloud.story(uuid)
    assert host in ('host3', 'host4'), story
    assert 'destination_down' in windows.codes(cloud, uuid), story
    assert not scene.watch.doubles
    assert cloud.power()['host2'] == 'off'


def test_the_destination_returns_and_harms_nobody(scene):
    cloud, pets = scene.cloud, scene.pets
    hosts = {name: windows.judge(cloud, uuid, WINDOWS[name].is_stopped)
             for name, uuid in pets.items()}
    cloud.wait_host('host2', 'vacated')
    cloud.board.release_all()
    cloud.restart('host2')
    cloud.wait_host('host2', 'up', timeout_s=90)
    cloud.wait_for('the removal of stray copies', lambda: not set(
        cloud.guests()['host2']) & set(pets.values()))
    for name, uuid in pets.items():
        window = WINDOWS[name]
        if window.point == QUEUE:
            cloud.wait_for('what a late cast wrote being mended', lambda
                           uuid=uuid: 'late_cast_mended' in
                           windows.codes(cloud, uuid))
        assert windows.judge(cloud, uuid, window.is_stopped) == hosts[name]
        assert 'host2' not in cloud.allocations(uuid)
    assert not scene.watch.doubles
