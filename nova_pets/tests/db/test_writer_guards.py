# SPDX-License-Identifier: Apache-2.0
"""Each condition of the door's writes to a cell, asked by itself.

What must not be written lies beside what is: another instance, another
record, one that has moved on meanwhile. On SQLite alone; what servers do with
two writers at once is in test_door_rows.py.
"""

import types
from unittest import mock

from nova import objects
from nova.db.main import models
import pytest
import sqlalchemy as sa

from nova_pets import exception
from nova_pets.compute import evacuation
from nova_pets.compute import writer
from nova_pets.tests.db import cell_rows

INSTANCE, MIGRATION = models.Instance, models.Migration


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    with cell_rows.on_sqlite(tmp_path_factory.mktemp('writer')) as cell:
        yield cell


@pytest.fixture
def cell(made):
    made.empty()
    return made


def statuses(cell):
    """Return {id: status} of all records but the inert ones of SQLite."""
    with cell.engine.connect() as conn:
        return dict(conn.execute(sa.select(
            MIGRATION.id, MIGRATION.status).where(
                MIGRATION.hidden.is_not(True))).all())


# -- what an instance is expected to be ---------------------------------------


@pytest.mark.parametrize('expected, hosts', [
    ({}, {'S', 'D', None}), ({'host': 'S'}, {'S'}), ({'host': None}, {None}),
    ({'host': ['S', 'D']}, {'S', 'D'}), ({'host': ('S', None)}, {'S', None}),
    ({'host': {'D'}}, {'D'}), ({'host': frozenset({None})}, {None}),
    ({'host': []}, set()), ({'host': 'S', 'task_state': 'x'}, set())],
    ids=['nothing', 'S', 'None', 'list', 'tuple_with_None', 'set',
         'frozenset_of_None', 'empty', 'two_columns'])
def test_only_rows_that_fit_are_meant(cell, expected, hosts):
    for host in ('S', 'D', None):
        cell.add_instance(host=host)
    with cell.engine.connect() as conn:
        found = conn.execute(sa.select(INSTANCE.host).where(
            *writer.matches(expected))).scalars()
        assert set(found) == hosts


# -- records ------------------------------------------------------------------


@pytest.mark.parametrize('record, goes', [
    ({}, True), ({'status': 'pre-migrating'}, False),
    ({'status': 'done'}, False), ({'migration_type': 'resize'}, False)],
    ids=str)
def test_only_an_evacuation_that_nobody_took_is_deleted(cell, record, goes):
    uuid = cell.add_instance()
    other = cell.add_migration(uuid)
    number = cell.add_migration(uuid, **record)
    before = statuses(cell)
    assert writer.delete_accepted(cell.context(), number) is goes
    if goes:
        del before[number]
    assert statuses(cell) == before
    assert other in before
    assert not writer.delete_accepted(cell.context(), number + 1000)


@pytest.mark.parametrize('number', [1, 2], ids=['older', 'newest'])
def test_the_id_of_a_deleted_record_is_taken(cell, number):
    """SQLite alone would give it again; an older one's is not at stake, and
    what was not deleted needs nothing."""
    uuid, others = cell.add_instance(), cell.add_instance()
    numbers = [cell.add_migration(uuid, source_compute='S'),
               cell.add_migration(others, source_compute='T')]
    claimed = cell.add_migration(uuid, 'pre-migrating')
    writer.delete_accepted(cell.context(), claimed)
    assert len(statuses(cell)) == 3
    with cell.engine.connect() as conn:
        assert conn.execute(sa.select(sa.func.count(MIGRATION.id))
                            ).scalar_one() == 3, 'more than it deletes'
    writer.delete_accepted(cell.context(), numbers[number - 1])
    with cell.engine.connect() as conn:
        inert = conn.execute(sa.select(
            MIGRATION.instance_uuid, MIGRATION.source_compute,
            MIGRATION.status, MIGRATION.migration_type
        ).where(MIGRATION.hidden.is_(True))).all()
    assert [tuple(row) for row in inert] == [
        ((uuid, 'S') if number == 1 else (others, 'T')) +
        ('error', 'migration')]
    assert cell.add_migration(uuid) > claimed


def test_without_a_record_nothing_takes_an_id(cell):
    assert not writer.delete_accepted(cell.context(), 7)
    with cell.engine.connect() as conn:
        assert conn.execute(sa.select(sa.func.count(MIGRATION.id))
                            ).scalar_one() == 0


@pytest.mark.parametrize('record, closes', [
    ({}, True), ({'status': 'done'}, False), ({'status': 'accepted'}, False),
    ({'migration_type': 'live-migration'}, False)], ids=str)
def test_a_record_is_closed_where_it_stands_as_read(cell, record, closes):
    uuid = cell.add_instance()
    cell.add_migration(uuid, 'pre-migrating')
    number = cell.add_migration(uuid, **{'status': 'pre-migrating',
                                         **record})
    before = statuses(cell)
    assert writer.close_migration(cell.context(), number,
                                  ('pre-migrating',), 'error') is closes
    assert statuses(cell) == before | ({number: 'error'} if closes else {})


@pytest.mark.parametrize('host, record, is_new', [
    ('S', None, True), (None, None, True),
    ('S', {}, False),
    ('S', {'status': 'completed'}, True), ('S', {'deleted': 1}, True),
    ('S', {'source_compute': 'E'}, True),
    ('S', {'migration_type': 'resize'}, True),
    ('S', {'instance_uuid': 'another'}, True)], ids=str)
def test_a_tombstone_is_there_afterwards(cell, host, record, is_new):
    """Written anew unless that very one stands."""
    cell.add_instance(host='D')
    uuid = cell.add_instance(host=host)
    if record is not None:
        cell.add_migration(uuid, **{'status': 'done', 'source_compute': 'D',
                                    **record})
    before = statuses(cell)
    assert writer.tombstone(cell.context(), uuid, 'D')
    assert len(statuses(cell)) == len(before) + is_new


def test_no_tombstone_where_it_lives_or_for_what_is_not_there(cell):
    cell.add_instance(host='S')
    uuid = cell.add_instance(host='D')
    assert not writer.tombstone(cell.context(), uuid, 'D')
    with pytest.raises(exception.InstanceGone):
        writer.tombstone(cell.context(), 'no such instance', 'D')
    assert statuses(cell) == {}


# -- adoption -----------------------------------------------------------------


def adopt(cell, uuid, record, expected=None):
    writer.adopt(cell.context(), uuid, record, 'S', 'D', 'active',
                 expected or {})


def test_adoption_writes_one_instance_and_one_record(cell):
    cell.add_node('D')
    uuid, other = cell.add_instance(), cell.add_instance()
    records = [cell.add_migration(uuid, 'pre-migrating') for _ in range(2)]
    adopt(cell, uuid, records[0])
    assert cell.column(INSTANCE.host, uuid=uuid) == 'D'
    assert cell.column(INSTANCE.host, uuid=other) == 'S'
    assert statuses(cell) == {records[0]: 'done',
                              records[1]: 'pre-migrating'}


@pytest.mark.parametrize('status', ['completed', 'failed', 'error', 'done'])
def test_a_completed_record_stays_so(cell, status):
    """Its source has cleaned up by it (W18)."""
    cell.add_node('D')
    uuid = cell.add_instance()
    record = cell.add_migration(uuid, status)
    adopt(cell, uuid, record)
    assert statuses(cell) == {
        record: 'completed' if status == 'completed' else 'done'}


def test_the_record_of_another_instance_is_not_touched(cell):
    cell.add_node('D')
    record = cell.add_migration(cell.add_instance(), 'pre-migrating')
    uuid = cell.add_instance()
    adopt(cell, uuid, record)
    assert statuses(cell) == {record: 'pre-migrating'}


@pytest.mark.parametrize('changes, expected, error', [
    ({'host': 'E'}, {}, exception.InstanceChanged),
    ({}, {'task_state': 'rebuilding'}, exception.InstanceChanged),
    ({'deleted': 1}, {}, exception.InstanceGone)], ids=str)
def test_what_has_moved_on_is_not_adopted(cell, changes, expected, error):
    """Another instance is as expected all the time."""
    cell.add_node('D')
    cell.add_instance(task_state='rebuilding')
    uuid = cell.add_instance(**changes)
    record = cell.add_migration(uuid, 'pre-migrating')
    with pytest.raises(error) as raised:
        adopt(cell, uuid, record, expected)
    assert statuses(cell) == {record: 'pre-migrating'}
    if changes.get('host'):
        assert "'E'" in str(raised.value)


@pytest.mark.parametrize('record, node', [
    ({'dest_compute': 'D', 'dest_node': 'n2', 'dest_compute_id': 77},
     ('n2', 77)),
    ({'dest_compute': 'E', 'dest_node': 'n2', 'dest_compute_id': 77}, None),
    ({'dest_compute': 'D', 'dest_node': None, 'dest_compute_id': 77}, None),
    ({'dest_compute': 'D', 'dest_node': 'n2', 'dest_compute_id': None},
     None), ({}, None)], ids=str)
def test_the_node_is_that_of_the_claim_or_the_only_one(cell, record, node):
    cell.add_node('gone', deleted=1)
    number = cell.add_node('D')
    cell.add_node('D', hypervisor_hostname='before', deleted=1)
    cell.add_node('other')
    uuid = cell.add_instance()
    cell.add_migration(uuid, dest_compute='D', dest_node='wrong',
                       dest_compute_id=1)
    found = writer._node_of(cell.context(), cell.add_migration(
        uuid, **record), 'D')
    assert found == (node or ('D', number))


def test_of_several_nodes_none_is_guessed(cell):
    for name in ('n1', 'n2'):
        cell.add_node('D', hypervisor_hostname=name)
    uuid = cell.add_instance()
    with pytest.raises(exception.NovaUnavailable):
        adopt(cell, uuid, cell.add_migration(uuid, 'pre-migrating'))


def test_nodes_of_a_host_that_are_gone_are_read_where_asked_for(cell):
    kept, gone = cell.add_node('D', uuid='a'), cell.add_node(
        'D', uuid='b', hypervisor_hostname='x', deleted=1)
    cell.add_node('E', uuid='c')
    context = cell.context()
    assert kept and gone
    assert writer.compute_node_uuids(context, 'D') == ['a', 'b']
    assert writer.compute_node_uuids(context, 'D', gone=False) == ['a']


@pytest.mark.parametrize('of_record, is_applied', [
    (1, True), (2, False), (None, False)])
def test_the_context_of_this_attempt_is_applied(cell, monkeypatch,
                                                of_record, is_applied):
    instance = mock.Mock()
    instance.migration_context = of_record and types.SimpleNamespace(
        migration_id=of_record)
    monkeypatch.setattr(objects.Instance, 'get_by_uuid',
                        lambda *args, **kwargs: instance)
    writer._apply_migration_context(cell.context(), 'u', 1)
    assert instance.apply_migration_context.called is is_applied
    assert instance.save.called is is_applied
    assert instance.drop_migration_context.called is (of_record is not None)


# -- what a call left ---------------------------------------------------------


def test_what_nova_recorded_for_a_request(cell):
    uuid, other = cell.add_instance(), cell.add_instance()
    cell.add_action(other, request_id='req-1')
    cell.add_action(uuid, request_id='req-2')
    floor = cell.add_migration(uuid)
    cell.add_migration(other)

    def recorded(request):
        return writer.recorded(cell.context(), uuid, request, floor)
    assert recorded('req-1') is None
    assert recorded('req-2') == 'the action is recorded'
    newer = cell.add_migration(uuid)
    assert recorded('req-1') == f'migration {newer} is recorded'
    assert writer.highest_migration(cell.context(), uuid) == newer
    assert writer.highest_migration(cell.context(), 'nobody') == 0


# -- the call itself ----------------------------------------------------------


class Api:
    """Stands for nova.compute.api.API: saves the instance, as evacuate()
    does first of all."""

    def __init__(self, before=None):
        self.asked = None
        self.is_called = False
        self._before = before

    def evacuate(self, cctxt, instance, **asked):
        self.is_called = True
        if self._before:
            self._before()
        instance.task_state = 'rebuilding'
        instance.save(expected_task_state=None)
        self.asked = asked


def evacuate(cell, uuid, api, target_stopped=False):
    calls = evacuation.Calls()
    calls._api = api
    calls.evacuate(cell.context(), uuid, True, target_stopped)


@pytest.fixture
def claimed(cell):
    uuid = cell.add_instance(task_state='rebuilding')
    cell.add(models.InstanceInfoCache, instance_uuid=uuid)
    return uuid


@pytest.mark.parametrize('stopped, state', [(True, 'stopped'),
                                            (False, None)])
def test_the_call_says_whether_it_is_to_be_stopped(cell, claimed, stopped,
                                                   state):
    api = Api()
    evacuate(cell, claimed, api, stopped)
    assert api.asked['target_state'] == state
    assert api.asked['on_shared_storage'] is True
    assert api.asked['host'] is None


@pytest.mark.parametrize('task_state', [None, 'deleting'])
def test_what_is_not_claimed_any_more_is_not_asked_for(cell, claimed,
                                                       task_state):
    writer.update_instance(cell.context(), claimed, {},
                           {'task_state': task_state})
    api = Api()
    with pytest.raises(exception.InstanceChanged) as raised:
        evacuate(cell, claimed, api)
    assert not api.is_called
    assert 'rebuilding' in str(raised.value), 'what was expected'


@pytest.mark.parametrize('change', [
    {'task_state': None}, {'host': 'D'}], ids=str)
def test_novas_own_save_insists_on_the_claim(cell, claimed, change):
    """It changes between our read and Nova's first write."""
    api = Api(lambda: writer.update_instance(cell.context(), claimed, {},
                                             change))
    with pytest.raises(exception.InstanceChanged):
        evacuate(cell, claimed, api)
    assert api.asked is None
    assert {name: cell.column(getattr(INSTANCE, name), uuid=claimed)
            for name in change} == change


@pytest.mark.parametrize('is_recorded, error', [
    (True, exception.EvacuateUncertain), (False, exception.EvacuateRefused)])
def test_a_failed_call_tells_whether_it_left_something(cell, claimed,
                                                       is_recorded, error):
    def fail():
        if is_recorded:
            cell.add_migration(claimed)
        raise ValueError('as ordered')
    with pytest.raises(error):
        evacuate(cell, claimed, Api(fail))


def test_the_api_of_nova_is_made_once(monkeypatch):
    made = []
    monkeypatch.setattr(evacuation.compute_api, 'API', lambda: made.append(
        mock.MagicMock()) or made[-1])
    monkeypatch.setattr(evacuation.Calls, 'compute_rpcapi', lambda self: None)
    calls = evacuation.Calls()
    assert calls.api is calls.api
    assert len(made) == 1
