# SPDX-License-Identifier: Apache-2.0
"""Each condition of the door's reads, asked by itself.

Beside every row that is looked for lie others that differ in one column.
On SQLite alone: what differs between servers is in test_door_rows.py.
"""

import datetime
import json

from nova.db.api import models as api_models
from nova.db.main import models
from nova import objects
import pytest
import sqlalchemy as sa

from nova_pets.compute import cells
from nova_pets.compute import changes
from nova_pets.compute import placement
from nova_pets.compute import reader
from nova_pets.compute import tags
from nova_pets.tests.db import cell_rows

CELL = cell_rows.CELL


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    objects.register_all()
    directory = tmp_path_factory.mktemp('reader')
    cell = cell_rows.Cell(f'sqlite:///{directory}/cell.sqlite',
                          by_migrations=False)
    api = cell_rows.Api(f'sqlite:///{directory}/api.sqlite')
    yield cell, api
    cell.engine.dispose()
    api.engine.dispose()


@pytest.fixture
def cell(made, monkeypatch):
    cell, api = made
    for one, base in ((cell, models.BASE), (api, api_models.BASE)):
        with one.engine.begin() as conn:
            for table in base.metadata.sorted_tables[::-1]:
                conn.execute(table.delete())
    monkeypatch.setattr(cells, 'reading_api', api.reading)
    return cell


@pytest.fixture
def api(cell, made):
    return made[1]


# -- services and nodes -------------------------------------------------------


def add_service(cell, host, binary='nova-compute', **values):
    cell.add(models.Service, host=host, binary=binary, report_count=7,
             **values)


def test_the_services_of_hosts_and_of_conductors(cell):
    add_service(cell, 'S')
    add_service(cell, 'gone', deleted=1)
    add_service(cell, 'C', 'nova-conductor')
    add_service(cell, 'gone', 'nova-conductor', deleted=1)
    add_service(cell, 'A', 'nova-scheduler')
    context = cell.context()
    assert [found.host for found in reader.services(context, CELL)] == ['S']
    assert reader.conductors(context) == {'C': 7}


def test_the_addresses_of_hosts(cell):
    cell.add_node('S', host_ip='192.0.2.1')
    cell.add_node('no-address')
    cell.add_node('gone', host_ip='192.0.2.2', deleted=1)
    cell.add_node(None, hypervisor_hostname='no host', host_ip='192.0.2.3')
    assert reader.host_addresses(cell.context()) == {'S': '192.0.2.1'}


def test_compute_nodes_of_providers(cell):
    kept, gone, other, nobodys = 'ABCD'
    cell.add_node('S', uuid=kept)
    cell.add_node('T', uuid=gone, deleted=1)
    cell.add_node('U', uuid=other)
    cell.add_node(None, hypervisor_hostname='no host', uuid=nobodys)
    found = placement._hosts_of([cell.context()], {kept, gone, nobodys, 'E'})
    assert found == ({'S', 'T'}, {kept, gone})


# -- what evacuations left ----------------------------------------------------


@pytest.mark.parametrize('status', reader.UNCLEANED)
def test_what_a_source_has_to_clean_up_is_counted(cell, status):
    cell.add_migration(cell.add_instance(), status)
    assert reader.uncleaned_sources(cell.context(), 'S') == 1


@pytest.mark.parametrize('instance, record', [
    ({}, {'deleted': 1}), ({}, {'source_compute': 'T'}),
    ({}, {'migration_type': 'migration'}), ({}, {'status': 'completed'}),
    ({'deleted': 1}, {})], ids=str)
def test_other_records_are_not(cell, instance, record):
    """Another instance lives all the time."""
    cell.add_instance()
    cell.add_migration(cell.add_instance(**instance),
                       **{'status': 'done', **record})
    assert reader.uncleaned_sources(cell.context(), 'S') == 0


def test_the_trace_of_one_instance_is_its_own(cell):
    uuid, other = cell.add_instance(), cell.add_instance()
    for name in (uuid, other):
        cell.add_action(name, request_id=f'of {name}',
                        events=[('rebuild_server', 'C', True)])
        cell.add_action(name, 'reboot', request_id=f'reboot of {name}',
                        events=[('compute_reboot_instance', 'S', True)])
        cell.add_migration(name)
        cell.add_migration(name, migration_type='migration')
        cell.add(models.InstanceMetadata, instance_uuid=name, key='ha',
                 value=name)
    found = reader.traces(cell.context(), CELL, [uuid])
    assert set(found) == {uuid}
    trace = found[uuid]
    assert trace.actions == (f'of {uuid}',)
    assert {request: [event.name for event in events] for request, events
            in trace.events.items()} == {f'of {uuid}': ['rebuild_server']}
    assert len(trace.migrations) == 1
    assert trace.instance.metadata == {'ha': uuid}


def test_only_what_belongs_to_the_chunk_is_read(cell):
    """What is read too much would be thrown away by the caller, but a cell
    has rows of years."""
    uuid = cell.add_instance()
    for name in (uuid, cell.add_instance()):
        cell.add_action(name, events=[('rebuild_server', 'C', True)])
        cell.add_action(name, 'reboot', 'req-2', [('reboot', 'S', True)])
        cell.add_migration(name)
    with cells.reading(cell.context()) as session:
        for found in (reader._events(session, [uuid]),
                      reader._actions(session, [uuid]),
                      reader._migrations(session, [uuid]),
                      reader._instances(session, CELL, [uuid])):
            assert list(found) == [uuid]
        assert list(reader._events(session, [uuid])[uuid]) == ['req-1']


@pytest.mark.parametrize('hidden, is_read', [
    (True, False), (False, True), (None, True)], ids=str)
def test_the_shadow_of_a_cross_cell_resize_is_not_read(cell, hidden,
                                                       is_read):
    uuid = cell.add_instance(hidden=hidden)
    assert (cell.trace(uuid).instance is not None) is is_read
    found = tags.instances_on(cell.context(), None, CELL, 'S')
    assert bool(found) is is_read


# -- tags and kinds -----------------------------------------------------------


def read(cell, uuid):
    return tags.instances(cell.context(), None, CELL, [uuid])[uuid]


def set_flavor(cell, uuid, **specs):
    with cell.engine.begin() as conn:
        conn.execute(sa.update(models.InstanceExtra).where(
            models.InstanceExtra.instance_uuid == uuid).values(
                flavor=json.dumps({'cur': {'nova_object.data': {
                    'extra_specs': specs}}})))


def test_deleted_instances_are_not_on_a_host(cell):
    uuid = cell.add_instance()
    cell.add_instance(deleted=1)
    assert [found.uuid for found in tags.instances_on(
        cell.context(), None, CELL, 'S')] == [uuid]


def test_tags_of_another_instance_are_not_its_own(cell):
    uuid, other = cell.add_instance(), cell.add_instance()
    set_flavor(cell, other, **{'pets:ha': 'true', 'hw:tpm_version': '2.0'})
    cell.add(models.InstanceMetadata, instance_uuid=other, key='ha',
             value='true')
    cell.add(models.InstanceSystemMetadata, instance_uuid=other,
             key='image_pets_ha', value='true')
    found = read(cell, uuid)
    assert (found.metadata, found.flavor, found.image) == ({}, {}, {})
    assert not found.has_vtpm
    found = read(cell, other)
    assert found.has_vtpm and found.flavor == {'pets:ha': 'true'}


def test_only_the_rows_of_the_chunk_are_read(cell):
    uuid = cell.add_instance()
    for name in (uuid, cell.add_instance()):
        cell.add(models.InstanceMetadata, instance_uuid=name, key='ha',
                 value='true')
        cell.add(models.InstanceMetadata, instance_uuid=name, key='x',
                 value='true')
        cell.add(models.InstanceSystemMetadata, instance_uuid=name,
                 key='image_pets_ha', value='true')
        cell.add(models.BlockDeviceMapping, instance_uuid=name,
                 uuid=f'bdm of {name}', boot_index=0,
                 destination_type='volume')
        cell.add(models.ShareMapping, instance_uuid=name, share_id='1',
                 uuid=f'share of {name}', status='active', tag='t',
                 export_location='x', share_proto='NFS')
        cell.add(models.InstanceInfoCache, instance_uuid=name,
                 network_info='[{"vnic_type": "accelerator-direct"}]')
    with cells.reading(cell.context()) as session:
        for found in (tags._metadata(session, [uuid]),
                      tags._image(session, [uuid]),
                      tags._root_is_volume(session, [uuid]),
                      tags._with_shares(session, [uuid]),
                      tags._with_accelerator_ports(session, [uuid])):
            assert list(found) == [uuid]


def test_a_deleted_image_property_is_none(cell):
    uuid = cell.add_instance()
    cell.add(models.InstanceSystemMetadata, instance_uuid=uuid,
             key='image_pets_ha', value='true', deleted=1)
    assert read(cell, uuid).image == {}


@pytest.mark.parametrize('device, is_bfv', [
    ({}, True), ({'boot_index': 1}, False), ({'deleted': 1}, False),
    ({'destination_type': 'local'}, False)], ids=str)
def test_the_root_disk_is_a_volume(cell, device, is_bfv):
    uuid = cell.add_instance(image_ref='image')
    cell.add(models.BlockDeviceMapping, **{
        'instance_uuid': uuid, 'uuid': 'bdm', 'boot_index': 0,
        'destination_type': 'volume', **device})
    assert read(cell, uuid).is_bfv is is_bfv


@pytest.mark.parametrize('vnic, deleted, has', [
    ('accelerator-direct', 0, True), ('accelerator-direct-physical', 0, True),
    ('accelerator-direct', 1, False), ('direct', 0, False)])
def test_a_port_with_an_accelerator(cell, vnic, deleted, has):
    uuid = cell.add_instance()
    cell.add(models.InstanceInfoCache, instance_uuid=uuid, deleted=deleted,
             network_info=json.dumps([{'vnic_type': vnic}]))
    assert read(cell, uuid).has_accelerators is has


def test_shares_and_an_accelerator_of_the_flavor(cell):
    uuid = cell.add_instance()
    set_flavor(cell, uuid, **{'accel:device_profile': 'fpga'})
    cell.add(models.ShareMapping, instance_uuid=uuid, share_id='1',
             uuid='share', status='active', tag='t', export_location='x',
             share_proto='NFS')
    found = read(cell, uuid)
    assert found.has_accelerators and found.has_shares


def test_the_policy_of_its_own_group(cell, api):
    uuid, other = cell.add_instance(), cell.add_instance()
    for name, policy in ((other, 'affinity'), (uuid, 'anti-affinity')):
        group = api.add(api_models.InstanceGroup, uuid=f'of {name}')
        api.add(api_models.InstanceGroupPolicy, group_id=group,
                policy=policy)
        api.add(api_models.InstanceGroupMember, group_id=group,
                instance_uuid=name)
    assert read(cell, uuid).group_policy == 'anti-affinity'
    assert read(cell, other).group_policy == 'affinity'
    assert tags._group_policies(None, [uuid]) == {uuid: 'anti-affinity'}


def test_tags_of_the_aggregates_of_its_host(cell, api):
    for host, key in (('S', 'pets:storage'), ('S', 'petsxha'),
                      ('T', 'pets:ha')):
        number = api.add(api_models.Aggregate, uuid=f'{host} {key}',
                         name=f'{host} {key}')
        api.add(api_models.AggregateHost, aggregate_id=number, host=host)
        api.add(api_models.AggregateMetadata, aggregate_id=number, key=key,
                value='v')
    assert read(cell, cell.add_instance()).aggregate == {'pets:storage': 'v'}
    assert tags.aggregate_tags(None, ['S']) == {'S': {'pets:storage': {'v'}}}
    assert set(tags.aggregate_tags(None)) == {'S', 'T'}


# -- changes ------------------------------------------------------------------

OLD = datetime.datetime(2020, 1, 1)
NEW = datetime.datetime(2026, 1, 1)


def test_the_first_look_finds_all_that_could_be_tagged(cell, api):
    def with_row(table, **values):
        uuid = cell.add_instance(host='elsewhere')
        cell.add(table, instance_uuid=uuid, **values)
        return uuid

    flavor = cell.add_instance(host='elsewhere')
    set_flavor(cell, flavor, **{'pets:ha': 'true'})
    plain = cell.add_instance(host='elsewhere')
    set_flavor(cell, plain, **{'hw:cpu_policy': 'dedicated'})
    image = {'key': 'image_pets_ha', 'value': 'true'}
    wanted = {
        flavor, with_row(models.InstanceMetadata, key='ha', value='true'),
        with_row(models.InstanceSystemMetadata, **image),
        cell.add_instance(host='S')}
    with_row(models.InstanceMetadata, key='hat', value='true')
    with_row(models.InstanceSystemMetadata, **image, deleted=1)
    with_row(models.InstanceSystemMetadata, key='image_os', value='true')
    cell.add_instance(host='S', deleted=1)
    deleted = cell.add_instance(host='elsewhere')
    set_flavor(cell, deleted, **{'pets:ha': 'true'})
    with cell.engine.begin() as conn:
        conn.execute(sa.update(models.InstanceExtra).where(
            models.InstanceExtra.instance_uuid == deleted).values(deleted=1))
    number = api.add(api_models.Aggregate, uuid='a', name='a')
    api.add(api_models.AggregateHost, aggregate_id=number, host='S')
    api.add(api_models.AggregateMetadata, aggregate_id=number,
            key='pets:ha', value='true')
    found, _ = changes.changed(cell.context(), None, None, 0.0)
    assert set(found) == wanted


@pytest.mark.parametrize('updated_at, comes', [
    (NEW - changes.OVERLAP, True), (NEW, True),
    (NEW - changes.OVERLAP - datetime.timedelta(seconds=1), False)],
    ids=str)
def test_rows_within_the_overlap_come_again(cell, updated_at, comes):
    newest = cell.add_instance(updated_at=NEW)
    uuid = cell.add_instance(updated_at=updated_at)
    _, mark = changes.changed(cell.context(), None, None, 0.0)
    assert mark.updated_at == NEW
    found, _ = changes.changed(cell.context(), None, mark, 1.0)
    assert set(found) == {newest} | ({uuid} if comes else set())


def test_of_metadata_only_new_tags_come(cell):
    uuid, other = (cell.add_instance(updated_at=OLD) for _ in range(2))
    cell.add_instance(updated_at=NEW)
    _, mark = changes.changed(cell.context(), None, None, 0.0)
    _, mark = changes.changed(cell.context(), None, mark, 0.0)
    cell.add(models.InstanceMetadata, instance_uuid=other, key='color',
             value='red')
    cell.add(models.InstanceMetadata, instance_uuid=uuid, key='ha',
             value='true')
    found, _ = changes.changed(cell.context(), None, mark,
                               2 * changes.SETTLED_S)
    assert found == [uuid]


def test_tags_far_behind_the_mark_are_not_read_again(cell, monkeypatch):
    monkeypatch.setattr(changes, 'OVERLAP_ROWS', 1)
    uuid, other = (cell.add_instance(updated_at=OLD) for _ in range(2))
    cell.add_instance(updated_at=NEW)
    for name in (uuid, other, other):
        cell.add(models.InstanceMetadata, instance_uuid=name, key='ha',
                 value='true')
    _, mark = changes.changed(cell.context(), None, None, 0.0)
    with cells.reading(cell.context()) as session:
        rows = session.execute(changes._ranges(mark)).all()
    assert uuid not in [row.uuid for row in rows
                        if row.kind == 'metadata']
