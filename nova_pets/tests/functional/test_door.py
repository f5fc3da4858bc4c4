# SPDX-License-Identifier: Apache-2.0
"""The door to Nova on real Nova: eyes, and writes to rows."""

import contextlib
import threading
import uuid as uuid_module

# First of all: it chooses native threads for Nova.
from nova_pets.tests import cloud as cloud_package
from nova_pets.tests.cloud import processes

# isort: split
from nova import context as nova_context
from nova import objects
from nova.db.api import api as api_db
from nova.db.api import models as api_models
from nova.db.main import api as main_db
from nova.db.main import models
import pytest
import sqlalchemy as sa

from nova_pets import exception
from nova_pets.compute import nova as nova_door
from nova_pets.model import states


@pytest.fixture(scope='module')
def shared_cloud(our_options):
    """One cloud for all tests here, which are short."""
    with cloud_package.EmbeddedCloud(hosts=3) as cloud:
        yield cloud


@pytest.fixture
def cloud(shared_cloud):
    yield shared_cloud
    context = nova_context.get_admin_context()
    with main_db.get_context_manager(context).writer.using(
            context) as session:
        session.execute(sa.update(models.Instance).where(
            models.Instance.deleted == 0).values(task_state=None))
    for uuid in shared_cloud.servers():
        shared_cloud.delete(uuid)
    processes.wait_until(lambda: not shared_cloud.servers(), 60, 'deletion')
    with api_db.context_manager.writer.using(context) as session:
        for table in (api_models.AggregateHost, api_models.AggregateMetadata,
                      api_models.Aggregate):
            session.execute(sa.delete(table))


@pytest.fixture
def crash(cloud):
    """Return a function that crashes a service until the test's end."""
    crashed = []

    def kill(name):
        crashed.append(name)
        cloud.crash(name)
    yield kill
    for name in crashed:
        cloud.restart(name)


@pytest.fixture
def door(cloud):
    return nova_door.NovaDoor()


@pytest.fixture
def cell(door):
    (cell,) = door.cells()
    return cell.uuid


@contextlib.contextmanager
def statements():
    """Collect the SELECTs of this thread."""
    found, me = [], threading.get_ident()

    def note(conn, cursor, statement, parameters, context, many):
        if threading.get_ident() == me and statement.startswith(
                ('SELECT', '(SELECT', 'WITH')):
            found.append(statement)
    sa.event.listen(sa.engine.Engine, 'before_cursor_execute', note)
    yield found
    sa.event.remove(sa.engine.Engine, 'before_cursor_execute', note)


def boot_many(cloud, count, **kwargs):
    names = {f'm{n}': dict(kwargs) for n in range(count)}
    return list(cloud.boot_many(names).values())


# -- services -----------------------------------------------------------------


def test_services_move_while_hosts_live(cloud, door, cell):
    def counts():
        return {service.host: service.report_count
                for service in door.services(cell)}
    first = counts()
    assert set(first) == {'host1', 'host2', 'host3'}
    processes.wait_until(
        lambda: all(counts()[host] > first[host] for host in first), 20,
        'heartbeats')
    assert all(not service.forced_down and not service.disabled
               and service.cell_uuid == cell
               for service in door.services(cell))


def test_services_and_addresses_cost_one_statement(cloud, door, cell):
    with statements() as found:
        door.services(cell)
    assert len(found) == 1
    with statements() as found:
        addresses = door.host_addresses(cell)
    assert len(found) == 1
    assert addresses == {host: cloud.address(host) for host in addresses}
    assert len(addresses) == 3


def test_conductors_are_seen_and_answer(cloud, crash, door):
    assert len(door.conductors()) == 1
    assert door.conductor_answers(5)
    crash('conductor')
    assert not door.conductor_answers(0.5)


def test_ping_tells_a_silent_nova_compute(crash, door):
    assert door.ping('host1', 5)
    crash('host1')
    assert not door.ping('host1', 0.5)
    assert door.ping('host2', 5)


def test_ping_of_an_unmapped_host_is_no_answer(door):
    with pytest.raises(exception.NovaUnavailable):
        door.ping('nowhere', 0.5)


def test_forced_down_is_set_and_cleared_again(cloud, door, cell):
    for value in (True, True, False):
        door.set_forced_down(cell, 'host1', value)
        assert {service.host: service.forced_down
                for service in door.services(cell)} == {
                    'host1': value, 'host2': False, 'host3': False}


def test_an_unknown_cell_or_host_is_unavailable(door, cell):
    with pytest.raises(exception.NovaUnavailable):
        door.services(str(uuid_module.uuid4()))
    with pytest.raises(exception.NovaUnavailable):
        door.set_forced_down(cell, 'nowhere', True)


# -- instances ----------------------------------------------------------------


def test_instance_shows_tags_of_all_four_places(cloud, door, cell):
    cloud.add_flavor('pet', {'pets:priority': '7', 'other': 'x'})
    cloud.add_aggregate('a', ['host1'], {'pets:storage': 'b',
                                         'pets:ha': 'true', 'x': 'y'})
    cloud.add_aggregate('b', ['host1'], {'pets:storage': 'a'})
    uuid = cloud.boot('db1', host='host1', flavor='pet', metadata={
        'ha': 'true', 'ha:disk': 'keep', 'happy': 'no'})
    context = nova_context.get_admin_context()
    instance = objects.Instance.get_by_uuid(context, uuid)
    instance.system_metadata['image_pets_ha'] = 'true'
    instance.save()
    found = door.instances(cell, [uuid])[uuid]
    assert found.metadata == {'ha': 'true', 'ha:disk': 'keep'}
    assert found.flavor == {'pets:priority': '7'}
    assert found.image == {'pets_ha': 'true'}
    assert found.aggregate == {'pets:storage': 'a', 'pets:ha': 'true'}
    assert len(found.problems) == 1 and 'pets:storage' in found.problems[0]
    assert (found.name, found.host, found.vm_state, found.task_state) == (
        'db1', 'host1', 'active', None)
    assert found.launched_at is not None
    assert not (found.deleted or found.is_bfv or found.has_vtpm
                or found.has_accelerators or found.has_shares)
    assert found.group_policy is None


def test_instance_shows_its_kind(cloud, door, cell):
    group = cloud.add_server_group('g', 'anti-affinity')
    volume = cloud.boot('v', bfv=True, group=group)
    cloud.lock(volume)
    found = door.instances(cell, [volume])[volume]
    assert found.is_bfv and found.is_locked
    assert found.group_policy == 'anti-affinity'
    context = nova_context.get_admin_context()
    instance = objects.Instance.get_by_uuid(context, volume,
                                            expected_attrs=['flavor'])
    instance.flavor.extra_specs = {'hw:tpm_version': '2.0',
                                   'accel:device_profile': 'p'}
    instance.save()
    found = door.instances(cell, [volume])[volume]
    assert found.has_vtpm and found.has_accelerators


def test_instances_statements_do_not_grow(cloud, door, cell):
    uuids = boot_many(cloud, 4, metadata={'ha': 'true'})
    counts = []
    for some in (uuids[:1], uuids):
        with statements() as found:
            assert len(door.instances(cell, some)) == len(some)
        counts.append(len(found))
    assert counts[0] == counts[1] <= 8


def test_deleted_instances_are_read_by_uuid_only(cloud, door, cell):
    uuid, other = boot_many(cloud, 2, host='host1')
    cloud.delete(uuid)
    processes.wait_until(
        lambda: door.instances(cell, [uuid])[uuid].deleted, 20, 'delete')
    assert [i.uuid for i in door.instances_on(cell, 'host1')] == [other]
    assert door.traces(cell, [uuid])[uuid].instance.deleted
    missing = str(uuid_module.uuid4())
    assert door.instances(cell, [missing]) == {}
    assert door.traces(cell, [missing])[missing].instance is None


def test_first_look_finds_what_may_be_tagged_anywhere(cloud, door, cell):
    cloud.add_flavor('tagged', {'pets:ha': 'true'})
    cloud.add_aggregate('a', ['host3'], {'pets:ha': 'true'})
    tagged = {cloud.boot('a', host='host1', metadata={'ha': 'true'}),
              cloud.boot('b', host='host1', flavor='tagged'),
              cloud.boot('c', host='host3')}
    image = cloud.boot('d', host='host1')
    context = nova_context.get_admin_context()
    instance = objects.Instance.get_by_uuid(context, image)
    instance.system_metadata['image_pets_ha'] = 'true'
    instance.save()
    cattle = cloud.boot('e', host='host1')
    uuids, mark = door.changed_instances(cell, None)
    assert tagged | {image} <= set(uuids)
    assert cattle not in uuids
    assert mark is not None


def _ago(uuid, seconds):
    """Let an instance's row look untouched for a while."""
    context = nova_context.get_admin_context()
    with main_db.get_context_manager(context).writer.using(
            context) as session:
        session.execute(sa.text(
            "UPDATE instances SET updated_at = datetime(updated_at, :ago) "
            "WHERE uuid = :uuid"), {'ago': f'-{seconds} seconds',
                                    'uuid': uuid})


def test_later_looks_find_changes_only(cloud, door, cell):
    old = cloud.boot('old', host='host1', metadata={'ha': 'true'})
    quiet = cloud.boot('quiet', host='host1')
    _ago(old, 3600)
    _ago(quiet, 7200)
    _, mark = door.changed_instances(cell, None)
    with statements() as found:
        uuids, mark = door.changed_instances(cell, mark)
    assert len(found) == 2, found
    assert quiet not in uuids
    new = cloud.boot('new', host='host1')
    uuids, mark = door.changed_instances(cell, mark)
    assert new in uuids and quiet not in uuids
    cloud.set_metadata(quiet, ha='true')
    uuids, mark = door.changed_instances(cell, mark)
    assert quiet in uuids
    _ago(quiet, 7200)
    uuids, mark = door.changed_instances(cell, mark)
    assert quiet not in uuids
    cloud.add_aggregate('a', ['host1'], {'pets:storage': 'x'})
    uuids, mark = door.changed_instances(cell, mark)
    assert {quiet, old, new} <= set(uuids)


def test_in_place_metadata_changes_touch_the_row(cloud, door, cell):
    uuid = cloud.boot('a', metadata={'ha': 'false'})
    _ago(uuid, 3600)
    _, mark = door.changed_instances(cell, None)
    _, mark = door.changed_instances(cell, mark)
    cloud.set_metadata(uuid, ha='true')
    uuids, _ = door.changed_instances(cell, mark)
    assert uuid in uuids


# -- rows ---------------------------------------------------------------------


def test_update_instance_is_compare_and_swap(cloud, door, cell):
    uuid = cloud.boot('a', host='host1')
    door.update_instance(
        cell, uuid, {'host': 'host1', 'task_state': (None, 'powering-off'),
                     'vm_state': ['active']}, {'task_state': 'rebuilding'})
    for expected in ({'host': 'host2'}, {'task_state': None},
                     {'task_state': [None, 'deleting']},
                     {'vm_state': 'stopped', 'host': 'host1'},
                     {'launched_at': None}):
        with pytest.raises(exception.InstanceChanged):
            door.update_instance(cell, uuid, expected,
                                 {'task_state': 'deleting'})
    found = door.instances(cell, [uuid])[uuid]
    assert found.task_state == 'rebuilding'
    with pytest.raises(exception.InstanceGone):
        door.update_instance(cell, str(uuid_module.uuid4()), {},
                             {'task_state': None})
    door.update_instance(cell, uuid, {'task_state': 'rebuilding'},
                         {'task_state': 'deleting'})
    with pytest.raises(exception.InstanceChanged):
        door.update_instance(cell, uuid, {'task_state': None}, {})


def test_one_of_many_claims_wins(cloud, door, cell):
    uuid = cloud.boot('a', host='host1')
    barrier, won = threading.Barrier(4), []

    def claim():
        barrier.wait()
        try:
            door.update_instance(cell, uuid, {'task_state': None},
                                 {'task_state': 'rebuilding'})
        except exception.InstanceChanged:
            return
        won.append(1)
    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(won) == 1


def test_migration_records_are_closed_by_status(cloud, door, cell):
    uuid = cloud.boot('a', host='host1')
    record = make_migration(uuid, 'accepted')
    assert not door.close_migration(cell, record, ['pre-migrating'], 'error')
    assert door.close_migration(cell, record, ['accepted'], 'error')
    assert not door.delete_accepted(cell, record)
    record = make_migration(uuid, 'accepted')
    assert door.uncleaned_sources(cell, 'host1') == 1
    assert door.delete_accepted(cell, record)
    assert not door.delete_accepted(cell, record)
    assert door.uncleaned_sources(cell, 'host1') == 0
    assert [m.status for m in door.traces(cell, [uuid])[uuid].migrations
            ] == ['error']


def make_migration(uuid, status, source='host1', destination=None):
    migration = objects.Migration(
        nova_context.get_admin_context(), instance_uuid=uuid, status=status,
        source_compute=source, source_node=source,
        migration_type='evacuation', dest_compute=destination)
    migration.create()
    return migration.id


# -- allocations and guests ---------------------------------------------------


def test_allocations_are_found_and_removed_by_host(cloud, door, cell):
    uuid = cloud.boot('a', host='host1')
    assert door.allocated_hosts(uuid) == {'host1'}
    assert door.allocated_hosts(str(uuid_module.uuid4())) == set()
    door.remove_allocations(cell, uuid, 'host2')
    assert door.allocated_hosts(uuid) == {'host1'}
    for _ in range(2):
        door.remove_allocations(cell, uuid, 'host1')
        assert door.allocated_hosts(uuid) == set()
    outage = cloud.placement_down()
    with pytest.raises(exception.NovaUnavailable):
        door.allocated_hosts(uuid)
    with pytest.raises(exception.NovaUnavailable):
        door.remove_allocations(cell, uuid, 'host1')
    outage.release()


def test_a_guest_is_asked_of_its_hypervisor(cloud, crash, door, cell):
    uuid = cloud.boot('a', host='host1')
    assert door.guest(cell, uuid, 'host1', 5) is states.GuestAnswer.RUNNING
    assert door.guest(cell, uuid, 'host2',
                      5) is states.GuestAnswer.NOT_RUNNING
    cloud.stop(uuid)
    cloud.wait_server(uuid, status='SHUTOFF', task_state=None)
    assert door.guest(cell, uuid, 'host1',
                      5) is states.GuestAnswer.NOT_RUNNING
    crash('host1')
    assert door.guest(cell, uuid, 'host1',
                      0.5) is states.GuestAnswer.UNREACHABLE


def test_stop_and_start_refuse_what_does_not_fit(cloud, door, cell):
    uuid = cloud.boot('a', host='host1')
    with pytest.raises(exception.InstanceChanged):
        door.start(cell, uuid)
    door.stop(cell, uuid)
    cloud.wait_server(uuid, status='SHUTOFF', task_state=None)
    assert cloud.running(uuid) == []
    door.start(cell, uuid)
    cloud.wait_server(uuid, status='ACTIVE', task_state=None)
    assert cloud.running(uuid) == ['host1']
