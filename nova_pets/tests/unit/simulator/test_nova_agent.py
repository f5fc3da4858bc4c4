# SPDX-License-Identifier: Apache-2.0
"""What a false nova-compute does by itself: its start, its periodics."""

import dataclasses

import pytest

from nova_pets.simulator import world as world_module
from nova_pets.tests.unit.simulator import false_nova

G = world_module.GuestState


@pytest.fixture
def scene():
    return false_nova.Scene()


def reboot(scene, host='host1'):
    scene.world.power_off(host)
    scene.world.hosts[host].autostart = True
    scene.world.power_on(host)
    scene.run(world_module.BOOT_S + 5)


@pytest.mark.parametrize('resumes', [True, False])
def test_guests_of_a_returned_host(resumes):
    scene = false_nova.Scene(resume_guests=resumes)
    scene.nova.api_boot('db1', 'host1')
    scene.nova.api_boot('db2', 'host1', vm_state='stopped')
    reboot(scene)
    assert scene.world.running('db1') == (['host1'] if resumes else [])
    assert scene.world.running('db2') == []
    scene.run(scene.nova.settings.fuzz_s)
    assert scene.row('db1').vm_state == ('active' if resumes else 'stopped')


def test_a_guest_that_should_be_stopped_is_stopped(scene):
    scene.nova.api_boot('db1', 'host1')
    scene.nova.api_reset_state('db1', 'stopped')
    scene.run(scene.nova.settings.sync_power_s + 1)
    assert scene.world.running('db1') == []
    assert scene.row('db1').power_state == 4


def test_what_nova_has_elsewhere_is_left_alone(scene):
    """F9: no periodic notices a guest that was evacuated."""
    scene.nova.api_boot('db1', 'host1')
    scene.nova.api_force_down('host1', True)
    scene.nova.api_evacuate('db1')
    scene.run(3 * scene.nova.settings.sync_power_s)
    assert len(scene.world.running('db1')) == 2


def test_a_record_of_an_older_claim_becomes_an_error(scene):
    """The resource audit of its destination, while another attempt runs."""
    scene.nova.api_boot('db1', 'host1')
    stale = scene.database.add_migration(
        'db1', 'pre-migrating', 'host1', 'host2')
    newer = scene.database.add_migration('db1', 'accepted', 'host1', None)
    scene.database.change('db1', {
        'task_state': 'rebuilding', 'migration_context': newer.id})
    scene.run(scene.nova.settings.audit_s + 1)
    assert scene.database.migrations[stale.id].status == 'error'
    assert scene.database.migrations[newer.id].status == 'accepted'


def test_a_guest_of_a_deleted_instance_is_reaped(scene):
    """Deleted while its destination was spawning it."""
    scene.nova.api_boot('db1', 'host1')
    scene.lose('host1')
    scene.nova.api_evacuate('db1')
    while scene.row('db1').task_state != 'rebuild_spawning':
        scene.run(0.02)
    scene.nova.api_delete('db1')
    scene.run(20)
    assert scene.row('db1').deleted
    assert scene.records('db1') == [('failed', 'host1', 'host2')]
    assert scene.world.running('db1') == ['host2']
    scene.run(scene.nova.settings.reap_s)
    assert scene.world.running('db1') == []


def test_the_start_waits_for_a_conductor(scene):
    for name in scene.nova.conductors:
        scene.nova.kill_conductor(name)
    reboot(scene)
    assert not scene.nova.agents['host1'].is_consuming
    scene.nova.start_conductor('conductor1')
    scene.run(10)
    assert scene.nova.agents['host1'].is_consuming


def test_a_host_that_is_cut_off_takes_no_message(scene):
    scene.nova.api_boot('db1', 'host1')
    scene.lose('host1')
    for host in ('host3', 'host4'):
        scene.nova.api_disable(host, True)
    scene.world.hosts['host2'].is_cut_off = True
    scene.nova.api_evacuate('db1')
    scene.run(30)
    assert scene.records('db1') == [('accepted', 'host1', None)]
    scene.world.hosts['host2'].is_cut_off = False
    scene.run(30)
    assert scene.records('db1') == [('done', 'host1', 'host2')]


def test_a_guest_is_there_before_it_runs(scene):
    scene.nova.api_boot('db1', 'host1')
    scene.lose('host1')
    scene.nova.api_evacuate('db1')
    guests = scene.world.hosts['host2'].guests
    while 'db1' not in guests:
        scene.run(0.02)
    assert guests['db1'] is G.PAUSED
    assert scene.world.running('db1') == ['host2']
    scene.world.kill_compute('host2')
    scene.run(20)
    assert guests['db1'] is G.PAUSED


def test_a_frozen_destination_goes_on_where_it_was(scene):
    scene.nova.api_boot('db1', 'host1')
    scene.lose('host1')
    scene.nova.api_evacuate('db1')
    while scene.row('db1').task_state != 'rebuild_spawning':
        scene.run(0.02)
    scene.world.freeze('host2')
    scene.run(600)
    assert scene.row('db1').task_state == 'rebuild_spawning'
    scene.world.thaw('host2')
    scene.run(20)
    assert scene.state('db1') == ('active', None, 'host2')


def test_a_broker_that_is_away_only_delays_conductor(scene):
    """Its cast to the destination waits as long as it takes."""
    scene.nova.api_boot('db1', 'host1')
    scene.lose('host1')
    scene.nova.at_step = lambda step, uuid, where: (
        setattr(scene.world.broker, 'is_up', False)
        if step == 'casts to destination' else None)
    scene.nova.api_evacuate('db1')
    scene.run(3600)
    assert scene.records('db1') == [('accepted', 'host1', None)]
    scene.nova.at_step = lambda step, uuid, where: None
    scene.world.broker.is_up = True
    scene.run(30)
    assert scene.records('db1') == [('done', 'host1', 'host2')]


def test_a_failover_loses_the_newest_commits(scene):
    """The destination saves on; what it finds gone, it does not make anew.
    """
    scene.nova.api_boot('db1', 'host1')
    scene.run(5)
    scene.lose('host1')
    before = scene.kernel.now
    scene.run(1)
    scene.nova.api_evacuate('db1')
    while scene.row('db1').task_state != 'rebuild_spawning':
        scene.run(0.02)
    scene.cell.lose_since(before)
    assert scene.records('db1') == []
    assert dataclasses.astuple(scene.row('db1'))[:2] == ('db1', 'cell1')
    scene.run(30)
    assert scene.state('db1') == ('error', None, 'host1')
    assert len(scene.world.running('db1')) == 1


@pytest.mark.parametrize('verb, running, state', [
    ('start', ['host1', 'host2'], ('active', None, 'host2')),
    ('reboot', ['host2'], ('active', None, 'host2')),
    ('stop', ['host2'], ('stopped', None, 'host2'))])
def test_an_order_that_waited_for_a_dead_host(scene, verb, running, state):
    """libvirt defines the domain anew; only a reboot looks at the row
    first, and a stop of what is not there is well."""
    scene.nova.api_boot('db1', 'host1')
    scene.lose('host1')
    if verb == 'start':
        scene.nova.api_reset_state('db1', 'stopped')
    getattr(scene.nova, f'api_{verb}')('db1')
    scene.nova.api_reset_state('db1', 'active')
    scene.nova.api_evacuate('db1')
    scene.run(20)
    reboot(scene)
    assert scene.world.running('db1') == running
    assert scene.state('db1') == state


def test_a_live_migration_is_ended_by_a_new_agent(scene):
    scene.nova.api_boot('db1', 'host1')
    scene.nova.api_live_migrate('db1', 'host3')
    scene.run(0.1)
    scene.nova.start_compute('host1')
    scene.run(60)
    assert scene.state('db1') == ('active', None, 'host1')
    assert scene.world.running('db1') == ['host1']


def test_hypervisors_move_a_guest_without_an_agent(scene):
    scene.nova.api_boot('db1', 'host1')
    scene.nova.api_live_migrate('db1', 'host3')
    scene.run(0.1)
    scene.world.kill_compute('host1')
    scene.run(60)
    assert scene.state('db1') == ('active', 'migrating', 'host1')
    assert scene.world.running('db1') == ['host3']
