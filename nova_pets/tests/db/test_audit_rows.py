# SPDX-License-Identifier: Apache-2.0
"""What an audit reads of Nova's rows, and the record that it closes.

Each row that differs in one column from what is looked for is left out: a
good one would be mended otherwise.
"""

import datetime

from nova.db.api import models as api_models
from nova.db.main import models
import pytest

from nova_pets.compute import audit
from nova_pets.compute import cells
from nova_pets.tests.db import cell_rows

LATER = cell_rows.WHEN + datetime.timedelta(hours=1)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    with cell_rows.on_sqlite(tmp_path_factory.mktemp('audit')) as cell:
        yield cell


@pytest.fixture
def cell(made):
    made.empty()
    return made


def records(cell, hosts=('S',)):
    return [(named.instance_uuid, named.record.status)
            for named in audit._records(cell.context(), hosts)]


@pytest.mark.parametrize('status', ['accepted', 'pre-migrating', 'done'])
def test_a_record_by_which_its_source_cleans_up_is_found(cell, status):
    uuid = cell.add_instance()
    cell.add_migration(uuid, status)
    assert records(cell) == [(uuid, status)]


ENDED = {'status': 'failed', 'dest_compute': 'D',
         'created_at': cell_rows.WHEN, 'updated_at': cell_rows.WHEN}


@pytest.mark.parametrize('status', ['failed', 'error'])
@pytest.mark.parametrize('launched_at, changes', [
    (None, {}), (cell_rows.WHEN, {}), (LATER, {'updated_at': LATER}),
    (cell_rows.WHEN, {'updated_at': None})], ids=str)
def test_an_ended_one_that_had_a_destination_is_found(cell, status,
                                                      launched_at, changes):
    """Nothing was launched since, so a guest may have been left there."""
    uuid = cell.add_instance(launched_at=launched_at)
    cell.add_migration(uuid, **{**ENDED, 'status': status, **changes})
    assert records(cell) == [(uuid, status)]


@pytest.mark.parametrize('changes', [
    {'dest_compute': None}, {'status': 'completed'},
    {'status': 'done', 'source_compute': 'T'}, {'status': 'cancelled'}],
    ids=str)
def test_other_ended_ones_are_not(cell, changes):
    cell.add_migration(cell.add_instance(), **{**ENDED, **changes})
    assert records(cell) == []


@pytest.mark.parametrize('updated_at', [cell_rows.WHEN, None], ids=str)
def test_nor_what_was_launched_since(cell, updated_at):
    uuid = cell.add_instance(launched_at=LATER)
    cell.add_migration(uuid, **{**ENDED, 'updated_at': updated_at})
    assert records(cell) == []


@pytest.mark.parametrize('record', [
    {'deleted': 1}, {'source_compute': 'T'},
    {'migration_type': 'live-migration'}], ids=str)
def test_another_record_is_none_of_these(cell, record):
    cell.add_migration(cell.add_instance(), 'done', **record)
    assert records(cell) == []


@pytest.mark.parametrize('instance, is_found', [
    ({'deleted': 1}, False), ({'hidden': True}, False),
    ({'hidden': None}, True), ({}, True)], ids=str)
def test_only_records_of_living_instances_are_found(cell, instance,
                                                    is_found):
    cell.add_migration(cell.add_instance(**instance), 'done')
    assert bool(records(cell)) is is_found


def test_each_record_stands_beside_the_host_of_its_instance(cell):
    here, there = cell.add_instance(host='S'), cell.add_instance(host='E')
    cell.add_migration(here, 'done')
    cell.add_migration(there, 'done')
    found = audit._records(cell.context(), ['S'])
    assert [(named.instance_uuid, named.instance_host) for named in found
            ] == [(here, 'S'), (there, 'E')]


@pytest.mark.parametrize('task_state, changes, is_found', [
    *((task, {}, True) for task in audit.REBUILDING),
    (None, {}, False), ('deleting', {}, False),
    ('rebuilding', {'deleted': 1}, False),
    ('rebuilding', {'hidden': True}, False)], ids=str)
def test_instances_in_a_task_of_rebuilding(cell, task_state, changes,
                                           is_found):
    uuid = cell.add_instance(task_state=task_state, **changes)
    assert audit._rebuilding(cell.context()) == [uuid] * is_found


def test_which_instances_exist(cell):
    here, _ = cell.add_instance(), cell.add_instance()
    gone = cell.add_instance(deleted=1)
    assert audit._existing(cell.context(), [here, gone]) == {here}


def test_the_cell_that_an_instance_is_mapped_to(tmp_path, monkeypatch):
    api = cell_rows.Api(f'sqlite:///{tmp_path}/api.sqlite')
    monkeypatch.setattr(cells, 'reading_api', api.reading)
    numbers = [api.add(api_models.CellMapping, uuid=name)
               for name in ('cell1', 'cell2')]
    for uuid, number in (('a', numbers[1]), ('b', numbers[0]), ('c', None)):
        api.add(api_models.InstanceMapping, instance_uuid=uuid,
                cell_id=number, project_id='p')
    assert audit._cells_of(None, ['a', 'c', 'd']) == {
        'a': 'cell2', 'c': None}


@pytest.mark.parametrize('move, is_found', [
    ({'migration_type': 'migration', 'status': 'migrating'}, True),
    ({'migration_type': 'resize', 'status': 'finished'}, True),
    ({'migration_type': None, 'status': 'migrating'}, True),
    ({'migration_type': 'resize', 'status': None}, True),
    ({'migration_type': 'evacuation', 'status': 'accepted'}, False),
    ({'migration_type': 'resize', 'status': 'migrating', 'deleted': 1},
     False),
    *(({'migration_type': 'resize', 'status': status}, False)
      for status in audit.ENDED_MOVES)], ids=str)
def test_moves_that_still_claim_room(cell, move, is_found):
    """Nova may have written no type and no status."""
    uuid = cell.add_instance()
    cell.add_migration(uuid, **move)
    cell.add_migration(cell.add_instance(), migration_type='resize',
                       status='migrating')
    found = audit._moves(cell.context(), [uuid])
    assert list(found) == [uuid] * is_found


def test_the_newest_action_and_whether_it_is_over(cell):
    over, at_it, silent, other = (cell.add_instance() for _ in range(4))
    for uuid in (over, at_it, silent, other):
        cell.add_action(uuid, 'create', events=[('a', 'S', True)])
    cell.add_action(over, 'evacuate', events=[('a', 'S', True),
                                              ('b', 'D', True)])
    cell.add_action(at_it, 'rebuild', events=[('a', 'S', True),
                                              ('b', 'D', False)])
    cell.add_action(silent, 'evacuate')
    cell.add_action(other, 'evacuate', events=[('a', 'S', False)])
    found = audit._last_actions(cell.context(), [over, at_it, silent])
    assert {uuid: (action.name, action.is_over)
            for uuid, action in found.items()} == {
        over: ('evacuate', True), at_it: ('rebuild', False),
        silent: ('evacuate', False)}


# -- the one write ------------------------------------------------------------


def withdraw(cell, uuid, record, host='S'):
    is_done = audit._withdraw(cell.context(), uuid, host, record)
    status = cell.column(models.Migration.status, id=record)
    assert is_done is (status == 'error')
    return is_done


def test_a_record_is_withdrawn_where_its_instance_lives(cell):
    uuid = cell.add_instance()
    record, other = (cell.add_migration(uuid, 'done') for _ in range(2))
    assert withdraw(cell, uuid, record)
    assert cell.column(models.Migration.status, id=other) == 'done'


@pytest.mark.parametrize('instance, record', [
    ({'host': 'D'}, {}), ({'deleted': 1}, {}),
    ({}, {'status': 'pre-migrating'}), ({}, {'source_compute': 'T'}),
    ({}, {'migration_type': 'migration'})], ids=str)
def test_nothing_else_is_withdrawn(cell, instance, record):
    """Another instance lives on the host all the time."""
    cell.add_instance()
    uuid = cell.add_instance(**instance)
    number = cell.add_migration(uuid, **{'status': 'done', **record})
    assert not withdraw(cell, uuid, number)


def test_nor_the_record_of_another_instance(cell):
    number = cell.add_migration(cell.add_instance(), 'done')
    assert not withdraw(cell, cell.add_instance(), number)
