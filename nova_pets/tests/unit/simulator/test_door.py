# SPDX-License-Identifier: Apache-2.0
"""The door to the false Nova keeps the contract of compute/base.py."""

import inspect

import pytest

from nova_pets import exception
from nova_pets.compute import base
from nova_pets.model import states
from nova_pets.simulator import door as door_module
from nova_pets.simulator import nova_errors as errors
from nova_pets.simulator import world as world_module
from nova_pets.tests.unit.simulator import false_nova

CELL = false_nova.CELL
GUEST = states.GuestAnswer


@pytest.fixture
def scene():
    scene = false_nova.Scene()
    scene.nova.api_boot('db1', 'host1', metadata={'ha': 'true', 'x': 'y'})
    scene.run(20)
    scene.has_link = True
    scene.door = door_module.Door(scene.nova, lambda: scene.has_link)
    return scene


def claim(scene, uuid='db1'):
    scene.lose('host1')
    scene.door.update_instance(
        CELL, uuid, {'task_state': None, 'host': 'host1'},
        {'task_state': 'rebuilding'})


def evacuate(scene, request_id='req-1'):
    scene.in_task(lambda: scene.door.evacuate(CELL, 'db1', request_id, True,
                                              False))


# -- eyes ----------------------------------------------------------------


def test_tags_come_from_four_places_by_their_prefix(scene):
    scene.nova.api_boot(
        'db2', 'host2', flavor={'pets:ha': 'true', 'hw:x': '1'},
        image={'pets_ha': 'false', 'os': 'x'})
    scene.nova.api.put('aggregates', 'host2', {'pets:ha': '1', 'az': 'a'})
    found = scene.door.instances(CELL, ['db1', 'db2', 'none'])
    assert sorted(found) == ['db1', 'db2']
    assert found['db1'].metadata == {'ha': 'true'}
    assert (found['db2'].flavor, found['db2'].image,
            found['db2'].aggregate) == (
                {'pets:ha': 'true'}, {'pets_ha': 'false'}, {'pets:ha': '1'})


def test_changes_come_once(scene):
    scene.nova.api_boot('plain', 'host2')
    found, mark = scene.door.changed_instances(CELL, None)
    assert found == ['db1']
    scene.nova.api_set_metadata('plain', {'ha': 'true'})
    scene.nova.api_boot('new', 'host3')
    found, mark = scene.door.changed_instances(CELL, mark)
    assert found == ['new', 'plain']
    assert scene.door.changed_instances(CELL, mark)[0] == []


def test_a_trace_tells_the_whole_evacuation(scene):
    claim(scene)
    evacuate(scene)
    trace = scene.door.traces(CELL, ['db1'])['db1']
    assert trace.actions == ('req-1',)
    assert [(event.name, event.result) for event in
            trace.events['req-1']] == [
                ('rebuild_server', 'Success'),
                ('compute_rebuild_instance', 'Success')]
    (record,) = trace.migrations
    assert (record.status, record.source, record.destination) == (
        'done', 'host1', 'host2')
    assert trace.instance.launched_at > record.created_at
    assert scene.door.uncleaned_sources(CELL, 'host1') == 1
    assert scene.door.allocated_hosts('db1') == {'host1', 'host2'}


def test_a_guest_is_asked_for_where_nova_compute_answers(scene):
    def ask(host='host1'):
        return scene.in_task(lambda: scene.door.guest(CELL, 'db1', host, 2))

    assert ask() is GUEST.RUNNING
    assert ask('host2') is GUEST.NOT_RUNNING
    scene.world.hosts['host1'].guests['db1'] = world_module.GuestState.PAUSED
    assert ask() is GUEST.NOT_RUNNING
    scene.world.hosts['host1'].is_cut_off = True
    assert ask() is GUEST.UNREACHABLE
    scene.world.kill_compute('host2')
    assert ask('host2') is GUEST.UNREACHABLE
    scene.world.freeze('host3')
    assert ask('host3') is GUEST.UNREACHABLE
    scene.world.broker.is_up = False
    with pytest.raises(exception.NovaUnavailable):
        ask()


def test_whom_a_ping_reaches(scene):
    assert scene.in_task(lambda: scene.door.ping('host2', 2))
    scene.world.crash_system('host2')
    assert not scene.in_task(lambda: scene.door.ping('host2', 2))
    assert scene.in_task(lambda: scene.door.conductor_answers(2))
    for process in scene.nova.conductors.values():
        process.pause()
    assert not scene.in_task(lambda: scene.door.conductor_answers(2))


NEEDS = {
    'cell': {'services', 'conductors', 'host_addresses', 'changed_instances',
             'instances', 'instances_on', 'traces', 'uncleaned_sources',
             'allocated_hosts', 'guest', 'set_forced_down',
             'update_instance', 'evacuate', 'delete_accepted',
             'close_migration', 'adopt', 'tombstone', 'remove_allocations',
             'allocate', 'stop', 'start'},
    'api': {'changed_instances', 'instances', 'instances_on',
            'set_forced_down', 'evacuate', 'stop', 'start'},
    'broker': {'conductor_answers', 'guest', 'ping', 'evacuate', 'stop',
               'start', 'drain'},
    'placement': {'allocated_hosts', 'adopt', 'remove_allocations',
                  'allocate'},
    'link': {'conductor_answers', 'ping', 'drain'},
}
NEEDS['link'] |= NEEDS['cell']
ARGUMENTS = {
    'cell_uuid': CELL, 'uuid': 'db1', 'host': 'host1', 'timeout_s': 1,
    'mark': None, 'uuids': ['db1'], 'value': True,
    'expected': {'task_state': 'rebuilding'},
    'values': {'task_state': 'rebuilding'}, 'request_id': 'req-1',
    'on_shared_storage': True, 'target_stopped': False, 'migration_id': 1,
    'status': 'error', 'source': 'host1', 'destination': 'host2',
    'vm_state': 'active', 'tell': lambda message: None}


def _take_away(scene, what):
    if what == 'cell':
        scene.world.down_cells.add(CELL)
    elif what == 'api':
        scene.world.is_api_db_up = False
    elif what == 'broker':
        scene.world.broker.is_up = False
    elif what == 'placement':
        scene.world.is_placement_up = False
    else:
        scene.has_link = False


def _call(scene, name):
    method = getattr(scene.door, name)
    arguments = {
        parameter: ARGUMENTS[parameter]
        for parameter in inspect.signature(method).parameters}
    if name == 'close_migration':
        arguments['expected'] = ['accepted']
    if name in ('stop', 'start'):
        scene.nova.api_reset_state(
            'db1', 'active' if name == 'stop' else 'stopped')
    return lambda: method(**arguments)


@pytest.mark.parametrize('what, name', [
    (what, name) for what in NEEDS
    for name in sorted(base.ComputeDoor.__abstractmethods__)])
def test_what_a_call_needs(scene, what, name):
    claim(scene)
    call = _call(scene, name)
    _take_away(scene, what)
    if name not in NEEDS[what]:
        scene.in_task(call)
        return
    # An evacuate that recorded nothing was refused; nothing is known of
    # one that could not be read back.
    with pytest.raises((exception.NovaUnavailable,
                        exception.EvacuateRefused)):
        scene.in_task(call)


# -- hands ---------------------------------------------------------------


def test_a_write_is_a_compare_and_swap(scene):
    update = scene.door.update_instance
    with pytest.raises(exception.InstanceChanged):
        update(CELL, 'db1', {'host': 'host2'}, {'task_state': 'rebuilding'})
    assert scene.row('db1').task_state is None
    update(CELL, 'db1', {'host': 'host1', 'task_state': (None, 'rebuilding')},
           {'task_state': 'rebuilding'})
    assert scene.row('db1').task_state == 'rebuilding'
    scene.nova.api_delete('db1')
    scene.run(1)
    with pytest.raises(exception.InstanceGone):
        update(CELL, 'db1', {}, {'task_state': None})


def test_evacuate_insists_on_the_claim(scene):
    scene.lose('host1')
    with pytest.raises(exception.InstanceChanged):
        evacuate(scene)
    assert scene.records('db1') == []


def test_a_claim_that_is_lost_in_the_call_leaves_no_record(scene):
    claim(scene)
    scene.door.between = lambda label: (
        scene.nova.api_reset_state('db1', 'active')
        if label == 'task_state' else None)
    with pytest.raises(exception.InstanceChanged):
        evacuate(scene)
    assert scene.records('db1') == []
    assert scene.door.traces(CELL, ['db1'])['db1'].actions == ()


def test_evacuate_is_refused_where_nothing_is_recorded(scene):
    claim(scene)
    scene.nova.api_force_down('host1', False)
    with pytest.raises(exception.EvacuateRefused):
        evacuate(scene)
    for name in scene.nova.conductors:
        scene.nova.kill_conductor(name)
    scene.nova.api_force_down('host1', True)
    with pytest.raises(exception.EvacuateRefused):
        evacuate(scene)
    assert scene.records('db1') == []


@pytest.mark.parametrize('label, actions, records', [
    ('action', 0, 0), ('migration', 1, 0), ('cast', 1, 1)])
def test_what_an_evacuate_left_is_told(scene, label, actions, records):
    """The database or the broker goes away between two commits."""
    claim(scene)

    def go_away(what):
        if what == label:
            scene.world.broker.is_up = False
            scene.world.down_cells.add(CELL)
    scene.door.between = go_away
    with pytest.raises(exception.EvacuateUncertain):
        evacuate(scene)
    assert len(scene.records('db1')) == records
    assert len(scene.database.actions) == actions


def test_a_broker_that_dies_before_the_cast_leaves_the_record(scene):
    claim(scene)
    scene.door.between = lambda label: setattr(
        scene.world.broker, 'is_up', label != 'cast')
    with pytest.raises(exception.EvacuateUncertain):
        evacuate(scene)
    scene.world.broker.is_up = True
    scene.run(60)
    assert scene.records('db1') == [('accepted', 'host1', None)]


@pytest.mark.parametrize('label, actions, records', [
    ('task_state', 0, 0), ('action', 0, 0), ('migration', 1, 0),
    ('cast', 1, 1)])
def test_a_caller_can_die_between_any_two_commits(scene, label, actions,
                                                  records):
    """W2"""
    claim(scene)
    scene.door.between = lambda what: (
        scene.kernel.die_here() if what == label else None)
    scene.kernel.process('engine').spawn(lambda: scene.door.evacuate(
        CELL, 'db1', 'req-1', True, False))
    scene.run(60)
    assert scene.state('db1') == ('active', 'rebuilding', 'host1')
    assert len(scene.database.actions) == actions
    assert scene.records('db1') == records * [('accepted', 'host1', None)]


def test_only_an_accepted_record_is_deleted(scene):
    accepted = scene.database.add_migration('db1', 'accepted', 'host1', None)
    begun = scene.database.add_migration('db1', 'pre-migrating', 'host1', 'x')
    assert scene.door.delete_accepted(CELL, accepted.id)
    assert not scene.door.delete_accepted(CELL, accepted.id)
    assert not scene.door.delete_accepted(CELL, begun.id)
    newer = scene.database.add_migration('db1', 'accepted', 'host1', None)
    assert newer.id > begun.id
    assert scene.door.close_migration(CELL, begun.id, ['pre-migrating'],
                                      'error')
    assert not scene.door.close_migration(CELL, begun.id,
                                          ['pre-migrating'], 'error')


def test_adopt_finishes_what_a_dead_destination_did_not(scene):
    """W10, and what both hosts do when they return."""
    claim(scene)
    scene.nova.at_step = lambda step, uuid, where: (
        scene.world.kill_compute('host2') if step == 'finish' else None)
    evacuate(scene)
    assert scene.state('db1') == ('active', None, 'host1')
    (record,) = scene.database.evacuations('db1')
    with pytest.raises(exception.InstanceChanged):
        scene.door.adopt(CELL, 'db1', record.id, 'host3', 'host2', 'active',
                         {})
    scene.door.adopt(CELL, 'db1', record.id, 'host1', 'host2', 'active',
                     {'task_state': None})
    assert scene.state('db1') == ('active', None, 'host2')
    assert scene.records('db1') == [('done', 'host1', 'host2')]
    assert scene.row('db1').migration_context is None
    scene.nova.start_compute('host2')
    scene.run(10)
    assert scene.world.running('db1') == ['host2']


def test_a_tombstone_makes_a_host_remove_its_copy(scene):
    assert not scene.door.tombstone(CELL, 'db1', 'host1')
    scene.world.start_guest('host3', 'db1')
    scene.nova.api.allocate('db1', 'host3')
    assert scene.door.tombstone(CELL, 'db1', 'host3')
    assert scene.door.tombstone(CELL, 'db1', 'host3')
    assert scene.records('db1') == [('done', 'host3', None)]
    scene.nova.start_compute('host3')
    scene.run(10)
    assert scene.world.running('db1') == ['host1']
    assert scene.room('db1') == ['host1']
    with pytest.raises(exception.InstanceGone):
        scene.door.tombstone(CELL, 'none', 'host3')


def test_room_is_taken_once_and_only_where_there_is_some():
    scene = false_nova.Scene()
    scene.door = door_module.Door(scene.nova)
    scene.nova.api_boot('db1', 'host1')
    for number in range(scene.world.hosts['host2'].capacity):
        scene.nova.api_boot(f'other{number}', 'host2')
    scene.door.allocate(CELL, 'db1', 'host2')
    assert scene.room('db1') == ['host1']
    scene.door.remove_allocations(CELL, 'db1', 'host1')
    scene.door.remove_allocations(CELL, 'db1', 'host1')
    assert scene.room('db1') == []
    scene.door.allocate(CELL, 'db1', 'host3')
    assert scene.room('db1') == ['host3']


def test_stop_and_start(scene):
    scene.in_task(lambda: scene.door.stop(CELL, 'db1'))
    assert scene.state('db1') == ('stopped', None, 'host1')
    with pytest.raises(exception.InstanceChanged):
        scene.in_task(lambda: scene.door.stop(CELL, 'db1'))
    scene.in_task(lambda: scene.door.start(CELL, 'db1'))
    assert scene.world.running('db1') == ['host1']


def test_people_cannot_force_up_what_is_not_cleaned(scene):
    claim(scene)
    evacuate(scene)
    with pytest.raises(errors.ForcedUpRefused):
        scene.nova.api_force_down('host1', False)
    scene.door.set_forced_down(CELL, 'host1', False)
