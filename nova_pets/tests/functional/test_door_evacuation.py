# SPDX-License-Identifier: Apache-2.0
"""The door to Nova on real Nova: evacuate, and what makes a retry safe."""

import uuid as uuid_module

# First of all: it chooses native threads for Nova.
from nova_pets.tests.cloud import processes

# isort: split
from nova import context as nova_context
from nova import objects
import pytest

from nova_pets import exception
from nova_pets.compute import evacuation
from nova_pets.compute import nova as nova_door
from nova_pets.model import states


@pytest.fixture
def door(cloud):
    return nova_door.NovaDoor()


@pytest.fixture
def cell(door):
    (cell,) = door.cells()
    return cell.uuid


def new_request():
    return f'req-{uuid_module.uuid4()}'


def fail_host(cloud, door, cell, host='host1'):
    cloud.crash(host)
    door.set_forced_down(cell, host, True)


def claim(door, cell, uuid, host='host1', task_state=None,
          vm_state='active'):
    door.update_instance(
        cell, uuid, {'host': host, 'task_state': task_state,
                     'vm_state': vm_state}, {'task_state': 'rebuilding'})


def evacuate(door, cell, uuid, request_id=None, stopped=False):
    request_id = request_id or new_request()
    door.evacuate(cell, uuid, request_id, True, stopped)
    return request_id


def trace_of(door, cell, uuid):
    return door.traces(cell, [uuid])[uuid]


def wait_for(door, cell, uuid, what, timeout_s=90):
    """Wait until what(trace) is true; return the trace."""
    def look():
        trace = trace_of(door, cell, uuid)
        return trace if what(trace) else None
    return processes.wait_until(look, timeout_s, 'the trace')


def row(trace):
    instance = trace.instance
    return instance.vm_state, instance.task_state, instance.host


def statuses(trace):
    return [migration.status for migration in trace.migrations]


# -- the call -----------------------------------------------------------------


def test_evacuate_is_traced_by_its_request_id(cloud, door, cell):
    uuid = cloud.boot('a', host='host1', metadata={'ha': 'true'})
    fail_host(cloud, door, cell)
    claim(door, cell, uuid)
    request = evacuate(door, cell, uuid)
    trace = wait_for(door, cell, uuid, lambda t: t.instance.host != 'host1'
                     and t.migrations[0].status == 'done')
    assert row(trace)[:2] == ('active', None)
    assert cloud.running(uuid) == [trace.instance.host]
    assert cloud.storage.made[uuid] == 1
    assert trace.actions == (request,)
    assert trace.instance.metadata == {'ha': 'true'}
    trace = wait_for(door, cell, uuid, lambda t: all(
        event.finished for event in t.events[request])
        and len(t.events[request]) == 2)
    assert {(event.name, event.result) for event in trace.events[request]
            } == {('rebuild_server', 'Success'),
                  ('compute_rebuild_instance', 'Success')}
    assert {event.host for event in trace.events[request]} > {
        trace.instance.host}
    (migration,) = trace.migrations
    assert (migration.source, migration.destination) == (
        'host1', trace.instance.host)
    assert door.allocated_hosts(uuid) == {'host1', trace.instance.host}
    door.remove_allocations(cell, uuid, 'host1')
    assert door.allocated_hosts(uuid) == {trace.instance.host}
    assert cloud.evacuate_casts == [(uuid, request)]


def test_a_stopped_target_stays_stopped(cloud, door, cell):
    uuid = cloud.boot('a', host='host1')
    fail_host(cloud, door, cell)
    claim(door, cell, uuid)
    evacuate(door, cell, uuid, stopped=True)
    trace = wait_for(door, cell, uuid, lambda t: t.instance.vm_state ==
                     'stopped' and t.instance.host != 'host1')
    assert cloud.running(uuid) == []
    assert trace.instance.uuid in cloud.guests()[trace.instance.host]


def test_a_late_engine_leaves_no_record(cloud, door, cell):
    """An engine that slept after its claim wakes when the row is settled
    and handed on."""
    uuid = cloud.boot('a', host='host1')
    fail_host(cloud, door, cell)
    claim(door, cell, uuid)
    door.update_instance(cell, uuid, {'task_state': 'rebuilding'},
                         {'task_state': None})
    with pytest.raises(exception.InstanceChanged):
        evacuate(door, cell, uuid)
    trace = trace_of(door, cell, uuid)
    assert (trace.actions, trace.migrations) == ((), ())
    assert row(trace) == ('active', None, 'host1')


@pytest.mark.parametrize('change', [
    {'task_state': None}, {'task_state': 'deleting'}, {'host': 'host2'}],
    ids=str)
def test_the_save_checks_the_claim_in_the_database(
        cloud, door, cell, monkeypatch, change):
    """The row changes between loading the Instance and Nova's save."""
    uuid = cloud.boot('a', host='host1')
    fail_host(cloud, door, cell)
    claim(door, cell, uuid)
    guard = evacuation.guard_save

    def slow(cctxt, instance):
        guard(cctxt, instance)
        door.update_instance(cell, uuid, {'task_state': 'rebuilding'},
                             change)
    monkeypatch.setattr(evacuation, 'guard_save', slow)
    with pytest.raises(exception.InstanceChanged):
        evacuate(door, cell, uuid)
    trace = trace_of(door, cell, uuid)
    assert (trace.actions, trace.migrations) == ((), ())
    assert cloud.evacuate_casts == []


def test_refusals_leave_no_record(cloud, door, cell):
    uuid = cloud.boot('a', host='host1')
    cloud.crash('host1')
    claim(door, cell, uuid)
    with pytest.raises(exception.EvacuateRefused, match='ComputeServiceIn'):
        evacuate(door, cell, uuid)
    door.set_forced_down(cell, 'host1', True)
    door.update_instance(cell, uuid, {}, {'vm_state': 'paused'})
    with pytest.raises(exception.EvacuateRefused, match='InvalidState'):
        evacuate(door, cell, uuid)
    door.update_instance(cell, uuid, {}, {'vm_state': 'active'})
    cloud.crash('conductor')
    quick = nova_door.NovaDoor(conductor_timeout_s=0.5)
    with pytest.raises(exception.EvacuateRefused, match='no conductor'):
        evacuate(quick, cell, uuid)
    trace = trace_of(door, cell, uuid)
    assert (trace.actions, trace.migrations) == ((), ())
    assert row(trace) == ('active', 'rebuilding', 'host1')
    with pytest.raises(exception.InstanceGone):
        cloud.restart('conductor')
        evacuate(door, cell, str(uuid_module.uuid4()))


def test_a_failed_cast_is_uncertain(cloud, door, cell, monkeypatch):
    uuid = cloud.boot('a', host='host1')
    fail_host(cloud, door, cell)
    claim(door, cell, uuid)
    api = door._calls.api.compute_task_api

    def lost(*args, **kwargs):
        raise OSError('broker away')
    monkeypatch.setattr(api, 'rebuild_instance', lost)
    with pytest.raises(exception.EvacuateUncertain, match='broker away'):
        evacuate(door, cell, uuid)
    trace = trace_of(door, cell, uuid)
    assert len(trace.actions) == 1 and statuses(trace) == ['accepted']


# -- the fencing token --------------------------------------------------------


def leave_a_late_cast(cloud, door, cell, uuid):
    """Let the cast to D wait in its queue, settle the attempt by deleting
    its record, exclude D; return the cast and its request id."""
    claim(door, cell, uuid)
    late = cloud.defer('compute.rebuild_instance', instance=uuid, times=1)
    first = evacuate(door, cell, uuid)
    late.wait()
    trace = wait_for(door, cell, uuid, lambda t: t.events[first]
                     and t.events[first][0].finished)
    (record,) = trace.migrations
    (destination,) = door.allocated_hosts(uuid) - {'host1'}
    door.update_instance(cell, uuid, {'host': 'host1', 'task_state': [
        'rebuilding', 'rebuild_block_device_mapping']}, {'task_state': None})
    assert door.delete_accepted(cell, record.id)
    door.remove_allocations(cell, uuid, destination)
    cloud.update_service(destination, status='disabled')
    return late, first


def wait_refused(door, cell, uuid, request):
    """Wait until D has failed on the late cast; return the trace.

    D finishes the event first and clears task_state afterwards.
    """
    trace = wait_for(door, cell, uuid, lambda t: any(
        event.name == 'compute_rebuild_instance' and event.finished
        for event in t.events[request]) and row(t)[:2] == ('error', None))
    (event,) = [event for event in trace.events[request]
                if event.name == 'compute_rebuild_instance']
    assert event.result == 'Error'
    assert 'could not be found' in event.details
    return trace


def test_without_its_record_a_late_cast_starts_no_guest(cloud, door, cell):
    """The instance has recovered on E when D gets the cast: its row says
    ERROR then and nothing else is touched; a write of ours mends it."""
    uuid = cloud.boot('a', host='host1')
    fail_host(cloud, door, cell)
    late, first = leave_a_late_cast(cloud, door, cell, uuid)
    claim(door, cell, uuid)
    second = evacuate(door, cell, uuid)
    trace = wait_for(door, cell, uuid,
                     lambda t: statuses(t) == ['done'])
    now_on = trace.instance.host
    late.release()
    trace = wait_refused(door, cell, uuid, first)
    assert cloud.running(uuid) == [now_on]
    assert cloud.starts(uuid) == {'host1': 1, now_on: 1}
    assert statuses(trace) == ['done']
    assert trace.actions == (first, second)
    assert row(trace) == ('error', None, now_on)
    assert trace.instance.power_state == 1
    assert door.allocated_hosts(uuid) == {'host1', now_on}
    door.update_instance(cell, uuid, {'host': now_on, 'task_state': None,
                                      'vm_state': 'error'},
                         {'vm_state': 'active'})
    cloud.stop(uuid)
    cloud.wait_server(uuid, status='SHUTOFF', task_state=None)


def test_a_late_cast_during_the_next_build_leaves_a_guest_to_adopt(
        cloud, door, cell):
    """E is inside spawn when D fails on the late cast: the row is no more
    what E expects, so E reports a failure with its guest running."""
    uuid = cloud.boot('a', host='host1')
    fail_host(cloud, door, cell)
    late, first = leave_a_late_cast(cloud, door, cell, uuid)
    claim(door, cell, uuid)
    spawn = cloud.hold(None, 'spawn', instance=uuid)
    second = evacuate(door, cell, uuid)
    spawn.wait()
    late.release()
    trace = wait_refused(door, cell, uuid, first)
    assert row(trace) == ('error', None, 'host1')
    spawn.release()
    trace = wait_for(door, cell, uuid, lambda t: any(
        event.name == 'compute_rebuild_instance' and event.finished
        for event in t.events[second]))
    (record,) = trace.migrations
    now_on = record.destination
    assert record.status == 'failed'
    assert trace.instance.host == 'host1'
    assert cloud.running(uuid) == [now_on]
    assert door.guest(cell, uuid, now_on,
                      5) is states.GuestAnswer.RUNNING
    door.adopt(cell, uuid, record.id, 'host1', now_on, 'active', {
        'task_state': trace.instance.task_state})
    trace = trace_of(door, cell, uuid)
    assert row(trace) == ('active', None, now_on)
    assert statuses(trace) == ['done']


# -- adopt and tombstone ------------------------------------------------------


def die_before_finish(cloud, door, cell, uuid):
    """Let D die in state F3; return D and the record."""
    fail_host(cloud, door, cell)
    claim(door, cell, uuid)
    held = cloud.hold(None, 'before_finish', instance=uuid)
    evacuate(door, cell, uuid)
    held.wait()
    trace = trace_of(door, cell, uuid)
    assert row(trace) == ('active', None, 'host1')
    (record,) = trace.migrations
    assert record.status == 'pre-migrating'
    fail_host(cloud, door, cell, record.destination)
    held.release()
    return record.destination, record


def come_back(cloud, door, cell, host):
    cloud.restart(host)
    processes.wait_until(
        lambda: door.uncleaned_sources(cell, host) == 0, 30, 'clean-up')


def test_an_adopted_guest_can_be_evacuated_on(cloud, door, cell):
    uuid = cloud.boot('a', host='host1')
    destination, record = die_before_finish(cloud, door, cell, uuid)
    with pytest.raises(exception.InstanceChanged):
        door.adopt(cell, uuid, record.id, 'host1', destination, 'active',
                   {'task_state': 'rebuilding'})
    assert row(trace_of(door, cell, uuid)) == ('active', None, 'host1')
    door.adopt(cell, uuid, record.id, 'host1', destination, 'active',
               {'task_state': [None, 'rebuild_spawning']})
    with pytest.raises(exception.InstanceChanged):
        door.adopt(cell, uuid, record.id, 'host1', destination, 'active',
                   {})
    trace = trace_of(door, cell, uuid)
    assert row(trace) == ('active', None, destination)
    assert statuses(trace) == ['done']
    instance = objects.Instance.get_by_uuid(
        nova_context.get_admin_context(), uuid,
        expected_attrs=['migration_context'])
    node = objects.ComputeNode.get_by_host_and_nodename(
        nova_context.get_admin_context(), destination, destination)
    assert instance.migration_context is None
    assert (instance.node, instance.compute_id) == (destination, node.id)
    claim(door, cell, uuid, destination)
    evacuate(door, cell, uuid)
    trace = wait_for(door, cell, uuid,
                     lambda t: statuses(t) == ['done', 'done'])
    now_on = trace.instance.host
    assert now_on not in ('host1', destination)
    assert door.uncleaned_sources(cell, destination) == 1
    # In this order: a host asks the one that its record names, and waits
    # for the RPC timeout when that one is down.
    for host in (destination, 'host1'):
        come_back(cloud, door, cell, host)
    assert cloud.running(uuid) == [now_on]
    assert [host for host, guests in cloud.guests().items()
            if uuid in guests] == [now_on]
    assert door.allocated_hosts(uuid) == {now_on}
    assert statuses(trace_of(door, cell, uuid)) == ['completed'] * 2


def test_a_tombstone_makes_a_returning_host_clean_up(cloud, door, cell):
    """D died with a guest; the instance recovers from S elsewhere."""
    uuid = cloud.boot('a', host='host1')
    fail_host(cloud, door, cell)
    claim(door, cell, uuid)
    held = cloud.hold(None, 'after_spawn', instance=uuid)
    evacuate(door, cell, uuid)
    held.wait()
    (record,) = trace_of(door, cell, uuid).migrations
    destination = record.destination
    fail_host(cloud, door, cell, destination)
    held.release()
    assert uuid in cloud.guests()[destination]
    assert door.close_migration(cell, record.id, ['pre-migrating'], 'error')
    door.update_instance(cell, uuid, {'task_state': 'rebuild_spawning'},
                         {'task_state': None})
    assert not door.tombstone(cell, uuid, 'host1')
    assert door.tombstone(cell, uuid, destination)
    assert door.tombstone(cell, uuid, destination)
    door.remove_allocations(cell, uuid, destination)
    trace = trace_of(door, cell, uuid)
    assert statuses(trace) == ['error', 'done']
    assert trace.migrations[1].source == destination
    claim(door, cell, uuid)
    evacuate(door, cell, uuid)
    trace = wait_for(door, cell, uuid,
                     lambda t: statuses(t) == ['error', 'done', 'done'])
    now_on = trace.instance.host
    assert now_on not in ('host1', destination)
    come_back(cloud, door, cell, destination)
    assert uuid not in cloud.guests()[destination]
    assert cloud.running(uuid) == [now_on]
    assert statuses(trace_of(door, cell, uuid)) == [
        'error', 'completed', 'done']
    with pytest.raises(exception.InstanceGone):
        door.tombstone(cell, str(uuid_module.uuid4()), 'host2')


# -- cells --------------------------------------------------------------------


def test_each_cell_has_its_own_rows_and_queues(make_cloud):
    cloud = make_cloud(cells=2, hosts={
        'host1': 'cell1', 'host2': 'cell2', 'host3': 'cell2',
        'host4': 'cell1'})
    door = nova_door.NovaDoor()
    cells = {cell.name: cell.uuid for cell in door.cells()}
    assert {name: sorted(service.host for service in door.services(uuid))
            for name, uuid in cells.items()} == {
                'cell1': ['host1', 'host4'], 'cell2': ['host2', 'host3']}
    assert nova_door.NovaDoor().ping('host3', 5)
    cell, other = cells['cell2'], cells['cell1']
    uuid = cloud.boot('a', host='host2', metadata={'ha': 'true'})
    assert door.instances(other, [uuid]) == {}
    assert door.changed_instances(other, None)[0] == []
    assert door.changed_instances(cell, None)[0] == [uuid]
    fail_host(cloud, door, cell, 'host2')
    claim(door, cell, uuid, 'host2')
    evacuate(door, cell, uuid)
    wait_for(door, cell, uuid, lambda t: statuses(t) == ['done'])
    assert cloud.running(uuid) == ['host3']
    assert door.guest(cell, uuid, 'host3',
                      5) is states.GuestAnswer.RUNNING
    assert door.allocated_hosts(uuid) == {'host2', 'host3'}
    door.remove_allocations(cell, uuid, 'host2')
    assert door.allocated_hosts(uuid) == {'host3'}
