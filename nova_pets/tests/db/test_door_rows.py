# SPDX-License-Identifier: Apache-2.0
"""The door's reads and compare-and-swap writes on real database servers."""

import collections
import datetime
import threading
import uuid as uuid_module

from nova import objects
from nova.db.main import models
import pytest
import sqlalchemy as sa

from nova_pets import exception
from nova_pets.compute import changes
from nova_pets.compute import reader
from nova_pets.compute import tags
from nova_pets.compute import writer
from nova_pets.tests.db import cell_rows
from nova_pets.tests.db import databases

CELL = cell_rows.CELL
DEADLINE_S = 30


@pytest.fixture(params=databases.BACKENDS, scope='module')
def cell(request, tmp_path_factory):
    objects.register_all()
    with databases.database(request.param,
                            tmp_path_factory.mktemp('door')) as url:
        cell = cell_rows.Cell(url)
        yield cell
        cell.engine.dispose()


@pytest.fixture(autouse=True)
def no_aggregates(monkeypatch):
    """There is no API database here."""
    monkeypatch.setattr(tags, 'aggregate_tags', lambda *args: {})
    monkeypatch.setattr(tags, '_group_policies', lambda *args: {})


on_servers = pytest.mark.parametrize('cell', databases.SERVERS,
                                     indirect=True)
"""For what SQLite, which has one writer at a time, cannot show."""

EXPECTED = {'host': 'S', 'node': ['S', 'T'], 'task_state': None,
            'vm_state': ('active', 'stopped')}


@pytest.mark.parametrize('found', [
    {'host': 'D'}, {'host': None}, {'task_state': 'rebuilding'},
    {'task_state': 'deleting'}, {'vm_state': 'error'}, {'vm_state': None}],
    ids=str)
def test_any_other_value_stops_the_write(cell, found):
    uuid = cell.add_instance()
    writer.update_instance(cell.context(), uuid, EXPECTED, dict(found))
    with pytest.raises(exception.InstanceChanged):
        writer.update_instance(cell.context(), uuid, EXPECTED,
                               {'task_state': 'rebuilding', 'host': 'x'})
    instance = cell.trace(uuid).instance
    assert {name: getattr(instance, name) for name in found} == found


def test_a_write_of_the_same_value_still_counts(cell):
    """Servers that count changed rows only would report a conflict."""
    uuid = cell.add_instance(task_state='rebuilding')
    for _ in range(3):
        writer.update_instance(cell.context(), uuid,
                               {'task_state': [None, 'rebuilding']},
                               {'task_state': 'rebuilding'})


def test_deleted_and_missing_instances_are_gone(cell):
    uuid = cell.add_instance(deleted=7)
    for missing in (uuid, str(uuid_module.uuid4())):
        with pytest.raises(exception.InstanceGone):
            writer.update_instance(cell.context(), missing, {},
                                   {'task_state': None})


def in_threads(count, call):
    """Run call() side by side; return what each returned or raised."""
    barrier, results = threading.Barrier(count), []

    def run():
        barrier.wait(DEADLINE_S)
        try:
            results.append(call())
        except Exception as error:  # judged by the test
            results.append(error)
    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert len(results) == count
    return results


@on_servers
@pytest.mark.parametrize('turn', range(5))
def test_one_of_many_contenders_wins(cell, turn):
    uuid = cell.add_instance()
    results = in_threads(4, lambda: writer.update_instance(
        cell.context(), uuid, {'task_state': None, 'host': 'S'},
        {'task_state': 'rebuilding'}))
    kinds = collections.Counter(type(result) for result in results)
    assert kinds[type(None)] == 1
    assert kinds[exception.InstanceChanged] == 3


@on_servers
def test_one_of_two_gets_an_accepted_record(cell):
    """We delete it, or a destination makes it its own."""
    uuid = cell.add_instance()
    for _ in range(5):
        record = cell.add_migration(uuid)
        results = in_threads(2, lambda: writer.delete_accepted(
            cell.context(), record))  # noqa: B023
        assert sorted(results) == [False, True]
        record = cell.add_migration(uuid, status='pre-migrating')
        assert not writer.delete_accepted(cell.context(), record)


def test_a_deleted_record_gives_its_id_to_nobody(cell):
    uuid = cell.add_instance()
    record = cell.add_migration(uuid)
    assert writer.delete_accepted(cell.context(), record)
    assert cell.trace(uuid).migrations == ()
    assert cell.add_migration(uuid) > record


def test_adopt_is_all_or_nothing(cell):
    uuid = cell.add_instance(task_state='rebuild_spawning')
    record = cell.add_migration(uuid, status='pre-migrating')
    node = cell.add_node('D')
    for expected in ({'task_state': None}, {'vm_state': 'stopped'}):
        with pytest.raises(exception.InstanceChanged):
            writer.adopt(cell.context(), uuid, record, 'S', 'D', 'active',
                         expected)
    with pytest.raises(exception.InstanceChanged):
        writer.adopt(cell.context(), uuid, record, 'T', 'D', 'active', {})
    trace = cell.trace(uuid)
    assert trace.instance.host == 'S'
    assert trace.migrations[0].status == 'pre-migrating'
    with pytest.raises(exception.NovaUnavailable):
        writer.adopt(cell.context(), uuid, record, 'S', 'nowhere', 'active',
                     {})
    writer.adopt(cell.context(), uuid, record, 'S', 'D', 'stopped', {
        'task_state': [None, 'rebuild_spawning']})
    trace = cell.trace(uuid)
    assert (trace.instance.host, trace.instance.node,
            trace.instance.task_state, trace.instance.vm_state) == (
        'D', 'D', None, 'stopped')
    assert (trace.migrations[0].status, trace.migrations[0].destination) == (
        'done', 'D')
    with cell.engine.connect() as conn:
        assert conn.execute(sa.select(models.Instance.compute_id).where(
            models.Instance.uuid == uuid)).scalar_one() == node


@on_servers
def test_a_tombstone_waits_for_an_instance_on_its_way(cell):
    """Another transaction is about to bring the instance to D."""
    uuid = cell.add_instance()
    answers = []
    with cell.engine.begin() as conn:
        conn.execute(sa.update(models.Instance).where(
            models.Instance.uuid == uuid).values(host='D'))
        thread = threading.Thread(target=lambda: answers.append(
            writer.tombstone(cell.context(), uuid, 'D')))
        thread.start()
        thread.join(0.5)
        assert answers == [], 'the tombstone did not wait'
    thread.join(DEADLINE_S)
    assert answers == [False]
    assert cell.trace(uuid).migrations == ()


def test_tombstones_are_written_once(cell):
    uuid = cell.add_instance()
    for _ in range(2):
        assert writer.tombstone(cell.context(), uuid, 'D')
    assert not writer.tombstone(cell.context(), uuid, 'S')
    (record,) = cell.trace(uuid).migrations
    assert (record.source, record.destination, record.status) == (
        'D', None, 'done')
    assert reader.uncleaned_sources(cell.context(), 'D') == 1


def test_instances_and_their_tags_are_read(cell):
    uuid = cell.add_instance(host='tags', image_ref='image')
    for key in ('ha', 'ha:priority', 'HA', 'hat'):
        cell.add(models.InstanceMetadata, instance_uuid=uuid, key=key,
                 value='v')
    cell.add(models.InstanceMetadata, instance_uuid=uuid, key='ha:disk',
             value='v', deleted=1)
    for key in ('image_pets_ha', 'image_hw_tpm_version', 'image_petsxha'):
        cell.add(models.InstanceSystemMetadata, instance_uuid=uuid, key=key,
                 value='v')
    (found,) = tags.instances_on(cell.context(), cell.context(), CELL,
                                 'tags')
    assert found.metadata == {'ha': 'v', 'ha:priority': 'v'}
    assert found.image == {'pets_ha': 'v'}
    assert found.has_vtpm and not found.is_bfv
    assert cell.trace(uuid).instance.metadata == found.metadata
    assert not found.has_ephemeral


@pytest.mark.parametrize('orders, expected', [
    ([], False), ([('stop', None)], True), ([('stop', 'user')], False),
    ([('stop', None), ('stop', 'user')], False),
    ([('stop', 'user'), ('stop', None), ('start', 'user')], True)])
def test_whether_nova_itself_stopped_it(cell, orders, expected):
    """Its periodic tasks act for nobody."""
    uuid, other = cell.add_instance(), cell.add_instance()
    for action, user in [*orders, ('reboot', None)]:
        cell.add(models.InstanceAction, instance_uuid=uuid, action=action,
                 user_id=user)
    cell.add(models.InstanceAction, instance_uuid=other, action='stop',
             user_id=None if orders else 'user')
    assert cell.trace(uuid).stopped_by_nova is expected
    traces = reader.traces(cell.context(), CELL, [uuid, other])
    assert traces[other].stopped_by_nova is bool(orders)


def test_an_ephemeral_disk_is_seen(cell):
    cell.add_instance(host='spare', ephemeral_gb=1)
    (found,) = tags.instances_on(cell.context(), cell.context(), CELL,
                                 'spare')
    assert found.is_bfv and found.has_ephemeral


# -- changes ------------------------------------------------------------------


def look(cell, mark, now_s=0.0):
    return changes.changed(cell.context(), cell.context(), mark, now_s)


def test_changes_come_until_they_have_settled(cell):
    _, mark = look(cell, None)
    uuid = cell.add_instance()
    found, mark = look(cell, mark)
    assert uuid in found
    with cell.engine.begin() as conn:
        conn.execute(sa.update(models.Instance).where(
            models.Instance.uuid == uuid).values(
                updated_at=datetime.datetime(2126, 1, 1)))
    for now_s, comes in ((1, True), (10, True), (11, False), (99, False)):
        found, mark = look(cell, mark, now_s)
        assert (uuid in found) is comes, now_s
    assert mark.updated_at < datetime.datetime(2100, 1, 1)
    cell.add(models.InstanceMetadata, instance_uuid=uuid, key='ha',
             value='true')
    for comes in (True, False):
        found, mark = look(cell, mark, 100)
        assert (uuid in found) is comes


@on_servers
def test_an_id_that_is_committed_late_is_not_missed(cell):
    late, early = cell.add_instance(), cell.add_instance()
    _, mark = look(cell, None)
    with cell.engine.begin() as conn:
        conn.execute(sa.insert(models.InstanceMetadata).values(
            instance_uuid=late, key='ha', value='true'))
        cell.add(models.InstanceMetadata, instance_uuid=early, key='ha',
                 value='true')
        found, mark = look(cell, mark)
        assert early in found and late not in found
    found, mark = look(cell, mark)
    assert late in found


@on_servers
def test_a_look_reads_index_ranges_only(cell):
    old = datetime.datetime(2020, 1, 1)
    rows = [{'uuid': str(uuid_module.uuid4()), 'host': 'S', 'hidden': False,
             'updated_at': old + datetime.timedelta(minutes=n)}
            for n in range(5000)]
    with cell.engine.begin() as conn:
        conn.execute(sa.insert(models.Instance), rows)
        conn.execute(sa.insert(models.InstanceMetadata), [
            {'instance_uuid': row['uuid'], 'key': 'ha', 'value': 'true'}
            for row in rows])
    is_mysql = cell.engine.dialect.name == 'mysql'
    analyze = ('ANALYZE TABLE instances, instance_metadata' if is_mysql
               else 'ANALYZE instances, instance_metadata')
    with cell.engine.begin() as conn:
        conn.exec_driver_sql(analyze)
    _, mark = look(cell, None)
    text = str(changes._ranges(mark).compile(
        cell.engine, compile_kwargs={'literal_binds': True}))
    with cell.engine.connect() as conn:
        plan = conn.exec_driver_sql('EXPLAIN ' + text.replace(
            '%%', '%').replace('%', '%%')).all()
    if is_mysql:
        found = {row[3] for row in plan if row[2] and '<' not in row[2]}
        assert found <= {'range', 'ref', 'const'}, plan
    else:
        assert 'Seq Scan' not in str(plan), plan
