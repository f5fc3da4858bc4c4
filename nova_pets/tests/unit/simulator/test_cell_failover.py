# SPDX-License-Identifier: Apache-2.0
"""A cell's database that loses its last commits, and what an audit reads."""

import inspect

import pytest

from nova_pets import exception
from nova_pets.compute import base
from nova_pets.model import audit as audit_model
from nova_pets.simulator import audit_door
from nova_pets.simulator import cloud as cloud_module
from nova_pets.simulator import deeds
from nova_pets.simulator import door_reach
from nova_pets.simulator import faults
from nova_pets.tests.unit.simulator import false_nova

CELL = false_nova.CELL
KIND = 'cell database fails over'


@pytest.fixture
def cloud():
    shape = cloud_module.Shape(
        hosts=(cloud_module.HostShape('host1'),
               cloud_module.HostShape('host2', 'cell2')),
        instances=(cloud_module.InstanceShape('db1', 'host1'),), workers=())
    cloud = cloud_module.FalseCloud(1, shape)
    cloud.kernel.run(cloud.kernel.now + 30)
    return cloud


def strike(cloud, amount=1.0, cell='cell1'):
    injector = faults.Injector()
    injector.attach(cloud, [])
    fault = faults.Fault(KIND, cell, at_s=0.0, amount=amount)
    return deeds.KINDS[KIND].deed(injector, fault, 0)


@pytest.mark.parametrize('asked_s, fails_over', [
    (0.2, True), (0.8, False), (1.6, True)])
def test_no_request_is_forgotten_by_both_databases(cloud, asked_s,
                                                   fails_over):
    """The API database has lost what was committed from 2 to 0.5 seconds
    ago, and the cell's is about to lose the last second."""
    now = cloud.kernel.now
    cloud.lost_times.append(('api', now - 2.0, now - 0.5))
    cloud.checks.requested_at.append(now - asked_s)
    cloud.nova.cells['cell1'].change('db1', {'task_state': 'rebuilding'})
    if fails_over:
        strike(cloud)
    else:
        with pytest.raises(deeds.NothingToDo):
            strike(cloud)


def test_what_was_committed_lately_is_gone_and_ids_come_again(cloud):
    database = cloud.nova.cells['cell1']
    database.change('db1', {'task_state': 'rebuilding'})
    lost = database.add_migration('db1', 'accepted', 'host1', None)
    cloud.nova.api.allocate('db1', 'host2')
    seen = max(row.changed for row in database.instances.values())
    strike(cloud)
    assert database.instances['db1'].task_state is None
    assert not database.migrations
    # Placement is another database, and time does not go back.
    assert cloud.nova.api.allocations['db1'] == {'host1', 'host2'}
    assert database.change('db1', {'locked': True}).changed > seen
    assert database.add_migration(
        'db1', 'accepted', 'host1', None).id == lost.id


def test_heartbeats_alone_do_not_count(cloud):
    with pytest.raises(deeds.NothingToDo):
        strike(cloud, amount=20.0)


def test_a_lost_forced_down_counts(cloud):
    cloud.nova.api_force_down('host1', True)
    strike(cloud)
    assert not cloud.is_forced_down('host1')


def test_one_that_is_away_does_not_fail_over(cloud):
    cloud.nova.cells['cell1'].change('db1', {'locked': True})
    cloud.world.down_cells.add('cell1')
    with pytest.raises(deeds.NothingToDo):
        strike(cloud)
    assert cloud.nova.cells['cell1'].instances['db1'].locked


def test_a_tag_that_is_there_again_is_judged_again(cloud):
    cloud.nova.api_set_metadata('db1', {'ha': 'false'})
    cloud.checks.untagged_at['db1'] = cloud.kernel.now
    strike(cloud)
    assert not cloud.checks.untagged_at


# -- the audit's door ---------------------------------------------------------


@pytest.fixture
def scene():
    scene = false_nova.Scene()
    scene.nova.api_boot('db1', 'host1')
    scene.run(20)
    scene.has_link = True
    scene.audits = audit_door.AuditDoor(scene.nova, door_reach.Reach(
        scene.nova, lambda: scene.has_link))
    return scene


def test_every_call_of_the_audit_is_there_and_needs_a_link(scene):
    scene.has_link = False
    for name in base.AuditDoor.__abstractmethods__:
        call = getattr(scene.audits, name)
        given = [1 if key in ('generation', 'migration_id') else CELL
                 for key in inspect.signature(call).parameters]
        with pytest.raises(exception.NovaUnavailable):
            call(*given)


def test_records_that_may_mean_something(scene):
    for status, where in (('accepted', None), ('done', 'host2'),
                          ('failed', 'host3'), ('error', None),
                          ('completed', 'host2')):
        scene.database.add_migration('db1', status, 'host1', where)
    found = scene.audits.records(CELL, ['host1'])
    assert [named.record.status for named in found] == [
        'accepted', 'done', 'failed']
    assert not scene.audits.records(CELL, ['host2'])
    scene.database.change('db1', {'launched_at': scene.kernel.now + 1})
    assert [named.record.status for named in scene.audits.records(
        CELL, ['host1'])] == ['accepted', 'done']


def test_a_leak_goes_only_from_what_was_read(scene):
    scene.nova.api.allocate('db1', 'host2')
    held = scene.audits.held('db1')
    assert held.hosts == {'host1', 'host2'}
    scene.nova.api.allocate('db1', 'host3')
    assert not scene.audits.remove_leak(CELL, 'db1', 'host2',
                                        held.generation)
    held = scene.audits.held('db1')
    assert scene.audits.remove_leak(CELL, 'db1', 'host2', held.generation)
    assert scene.room('db1') == ['host1', 'host3']
    scene.nova.api.free('db1', 'host3')
    held = scene.audits.held('db1')
    assert not scene.audits.remove_leak(CELL, 'db1', 'host1',
                                        held.generation)
    assert scene.audits.room_of(CELL, 'host1') == {'db1'}


def test_a_record_is_withdrawn_only_where_the_instance_is(scene):
    record = scene.database.add_migration('db1', 'done', 'host1', 'host2')
    assert not scene.audits.withdraw(CELL, 'db1', 'host2', record.id)
    assert scene.audits.withdraw(CELL, 'db1', 'host1', record.id)
    assert not scene.audits.withdraw(CELL, 'db1', 'host1', record.id)
    assert scene.records('db1') == [('error', 'host1', 'host2')]


def test_what_is_under_way(scene):
    scene.nova.api_live_migrate('db1', 'host2')
    assert scene.audits.moves(CELL, ['db1']) == {
        'db1': (audit_model.Move('live-migration', 'running'),)}
    scene.run(60)
    assert scene.state('db1') == ('active', None, 'host2')
    assert not scene.audits.moves(CELL, ['db1'])
    scene.database.change('db1', {'task_state': 'rebuilding'})
    assert scene.audits.rebuilding(CELL) == ['db1']
    scene.database.add_action('db1', 'req-1', 'evacuate')
    assert scene.audits.last_actions(CELL, ['db1']) == {
        'db1': audit_model.Action('evacuate', False)}
    scene.database.start_event('db1', 'req-1', 'rebuild_server', 'c')
    scene.database.finish_event('db1', 'req-1', 'rebuild_server')
    assert scene.audits.last_actions(CELL, ['db1'])['db1'].is_over
    assert scene.audits.existing(CELL, ['db1', 'x']) == {'db1'}
    assert scene.audits.cells_of(['db1', 'x']) == {'db1': CELL}
