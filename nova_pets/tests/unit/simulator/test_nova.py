# SPDX-License-Identifier: Apache-2.0
"""The false Nova without failures, and what people ask of it."""

import pytest

from nova_pets.simulator import nova_errors as errors
from nova_pets.tests.unit.simulator import false_nova


@pytest.fixture
def scene():
    return false_nova.Scene()


@pytest.mark.parametrize('vm_state', ['active', 'stopped'])
def test_an_evacuation_moves_the_guest_and_doubles_the_room(scene, vm_state):
    scene.nova.api_boot('db1', 'host1', vm_state=vm_state)
    scene.run(30)
    scene.lose('host1')
    request_id = scene.nova.api_evacuate('db1')
    scene.run(10)
    assert scene.state('db1') == (vm_state, None, 'host2')
    assert scene.world.running('db1') == (
        ['host2'] if vm_state == 'active' else [])
    assert scene.records('db1') == [('done', 'host1', 'host2')]
    assert scene.room('db1') == ['host1', 'host2']
    assert [(event.request_id, event.name, event.result) for event in
            scene.database.events.values()] == [
                (request_id, 'rebuild_server', 'Success'),
                (request_id, 'compute_rebuild_instance', 'Success')] + (
                    [(request_id, 'compute_stop_instance', 'Success')]
                    if vm_state == 'stopped' else [])


def test_a_source_that_returns_removes_what_is_left(scene):
    scene.nova.api_boot('db1', 'host1')
    scene.lose('host1')
    scene.nova.api_evacuate('db1')
    scene.run(10)
    scene.world.power_off('host1')
    scene.world.hosts['host1'].autostart = True
    scene.world.power_on('host1')
    scene.run(60)
    assert scene.world.hosts['host1'].guests == {}
    assert scene.records('db1') == [('completed', 'host1', 'host2')]
    assert scene.room('db1') == ['host2']


def test_only_a_source_that_is_not_up_is_evacuated(scene):
    scene.nova.api_boot('db1', 'host1')
    with pytest.raises(errors.ComputeServiceInUse):
        scene.nova.api_evacuate('db1')
    scene.world.crash_system('host1')
    scene.run(scene.nova.settings.service_down_time_s + 1)
    scene.nova.api_evacuate('db1')
    scene.run(10)
    assert scene.state('db1') == ('active', None, 'host2')


def test_a_second_evacuation_is_not_refused(scene):
    """F1 and F2: three are accepted; the destination's compare-and-swap
    lets one of them spawn while none has got further."""
    scene.nova.api_boot('db1', 'host1')
    scene.lose('host1')
    for _ in range(3):
        scene.nova.api_evacuate('db1')
    assert scene.records('db1') == 3 * [('accepted', 'host1', None)]
    scene.run(10)
    assert len(scene.world.running('db1')) == 1


def test_another_epoch_makes_two_guests(scene):
    """F2 [run E17]"""
    scene.nova.api_boot('db1', 'host1')
    scene.lose('host1')
    scene.nova.api_evacuate('db1')
    while not scene.database.instances['db1'].task_state == (
            'rebuild_spawning'):
        scene.run(0.02)
    scene.nova.api_evacuate('db1')
    scene.run(20)
    assert len(scene.world.running('db1')) == 2


def test_heartbeats_need_everything_between_host_and_database(scene):
    def counts():
        return {host: row.report_count for (host, _), row in
                scene.database.services.items() if host.startswith('host')}

    world = scene.world
    scene.run(40)
    assert min(counts().values()) >= 4
    for away, back in (
            (lambda: setattr(world.broker, 'is_up', False),
             lambda: setattr(world.broker, 'is_up', True)),
            (lambda: world.down_cells.add(false_nova.CELL),
             world.down_cells.clear),
            (lambda: [process.pause() for process in
                      scene.nova.conductors.values()],
             lambda: [process.resume() for process in
                      scene.nova.conductors.values()])):
        away()
        before = counts()
        scene.run(40)
        assert counts() == before
        back()
        scene.run(40)
        assert all(counts()[host] > before[host] for host in before)
    world.hosts['host2'].is_cut_off = True
    world.freeze('host3')
    before = counts()
    scene.run(40)
    assert {host for host in before if counts()[host] == before[host]} == {
        'host2', 'host3'}


def test_stop_start_and_reboot(scene):
    scene.nova.api_boot('db1', 'host1')
    scene.nova.api_stop('db1')
    assert scene.row('db1').task_state == 'powering-off'
    scene.run(1)
    assert scene.state('db1') == ('stopped', None, 'host1')
    assert scene.world.running('db1') == []
    scene.nova.api_start('db1')
    scene.run(1)
    assert scene.state('db1') == ('active', None, 'host1')
    scene.nova.api_reboot('db1')
    scene.run(1)
    assert scene.world.running('db1') == ['host1']


def test_a_stop_waits_in_the_queue_of_a_host_that_is_down(scene):
    scene.nova.api_boot('db1', 'host1')
    scene.world.kill_compute('host1')
    scene.nova.api_stop('db1')
    scene.run(30)
    assert scene.state('db1') == ('active', 'powering-off', 'host1')
    scene.nova.start_compute('host1')
    scene.run(5)
    assert scene.state('db1') == ('stopped', None, 'host1')


@pytest.mark.parametrize('is_down', [False, True])
def test_delete(scene, is_down):
    scene.nova.api_boot('db1', 'host1')
    if is_down:
        scene.lose('host1')
    scene.nova.api_delete('db1')
    scene.run(1)
    assert scene.row('db1').deleted
    assert scene.room('db1') == []


def test_live_migration(scene):
    scene.nova.api_boot('db1', 'host1')
    scene.nova.api_live_migrate('db1', 'host3')
    assert scene.row('db1').task_state == 'migrating'
    scene.run(10)
    assert scene.state('db1') == ('active', None, 'host3')
    assert scene.world.running('db1') == ['host3']
    assert scene.room('db1') == ['host3']


def test_a_live_migration_sticks_when_its_source_dies(scene):
    scene.nova.api_boot('db1', 'host1')
    scene.nova.api_live_migrate('db1', 'host3')
    scene.run(0.1)
    scene.world.crash_system('host1')
    scene.run(60)
    assert scene.state('db1') == ('active', 'migrating', 'host1')
    assert scene.world.running('db1') == []


def test_the_same_seed_gives_the_same_trace():
    def lines(seed):
        scene = false_nova.Scene(seed=seed)
        for name in ('db1', 'db2', 'db3'):
            scene.nova.api_boot(name, 'host1')
        scene.lose('host1')
        for name in ('db1', 'db2', 'db3'):
            scene.nova.api_evacuate(name)
        scene.run(30)
        return scene.kernel.lines
    assert lines(7) == lines(7)
    assert lines(7) != lines(8)
