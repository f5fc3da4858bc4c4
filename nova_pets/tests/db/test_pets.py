# SPDX-License-Identifier: Apache-2.0
"""Tagged instances: only differences are written, in a few statements."""

import dataclasses

import pytest
import sqlalchemy as sa

from nova_pets.tests.db import samples


def sorted_pets(count, **changes):
    return sorted((samples.pet(**changes) for _ in range(count)),
                  key=lambda pet: pet.instance_uuid)


def test_pet_holds_every_column(store):
    pet = samples.pet(priority=9, disk='rebuild', is_bfv=True,
                      settings={'ha': {'value': 'true', 'source': 'flavor'}},
                      problems=('odd tag',), unprotected=('vtpm',),
                      storage_domain='ceph', host=None, vm_state=None)
    assert store.upsert_pets([pet]) == 1
    (found,) = store.pets()
    assert found.updated_at is not None
    assert dataclasses.replace(found, updated_at=None) == pet


def test_only_differences_are_written(store):
    one, two, three = sorted_pets(3)
    assert store.upsert_pets([one, two]) == 2
    moved = dataclasses.replace(two, host='host2')
    assert store.upsert_pets([one, moved, three]) == 2
    assert store.upsert_pets([one, moved, three]) == 0
    assert [(pet.generation, pet.host) for pet in store.pets()] == [
        (0, 'host1'), (1, 'host2'), (0, 'host1')]


def test_an_odd_name_is_not_written_for_ever(store):
    pet = samples.pet(name='fire \U0001f525')
    assert store.upsert_pets([pet]) == 1
    assert store.upsert_pets([pet]) == 0


def test_nothing_to_write_is_nothing(store):
    assert store.upsert_pets([]) == 0


@pytest.mark.sql('counts statements')
def test_statements_do_not_grow_with_the_pets(db, store):
    many = sorted_pets(450)
    with db.statements() as first:
        assert store.upsert_pets(many) == 450
    changed = [dataclasses.replace(pet, host='host2') for pet in many]
    with db.statements() as second:
        assert store.upsert_pets(changed) == 450
    with db.statements() as third:
        assert store.upsert_pets(changed) == 0
    assert max(len(first), len(second)) <= 3 and len(third) <= 2
    assert {pet.host for pet in store.pets()} == {'host2'}


def test_more_pets_than_one_statement_takes(store):
    assert store.upsert_pets(sorted_pets(1203)) == 1203
    uuids = [pet.instance_uuid for pet in store.pets()]
    assert len(store.pets(uuids=uuids)) == 1203
    assert store.forget_pets(uuids, 'untagged') == 1203


def test_pets_are_filtered_ordered_and_paged(store):
    one, two, three = sorted_pets(3)
    two = dataclasses.replace(two, host='host2')
    three = dataclasses.replace(three, project_id='p2')
    store.upsert_pets([three, one, two])
    uuids = [pet.instance_uuid for pet in (one, two, three)]

    def found(**filters):
        return [pet.instance_uuid for pet in store.pets(**filters)]

    assert found() == uuids
    assert found(host='host1') == [uuids[0], uuids[2]]
    assert found(project='p1') == uuids[:2]
    assert found(uuids=uuids[1:]) == uuids[1:]
    assert found(uuids=[]) == []
    assert found(after=uuids[0], limit=1) == [uuids[1]]
    assert found(uuids=uuids, limit=2) == uuids[:2]


def test_row_that_another_engine_writes_meanwhile_is_kept(server_db):
    """Between the read and the write of one upsert comes another one."""
    store = server_db.store()
    pet = samples.pet()
    store.upsert_pets([pet])
    inner = []

    def overtake(conn, cursor, statement, *args):
        if statement.startswith('UPDATE') and not inner:
            inner.append(statement)
            store.upsert_pets([dataclasses.replace(pet, host='host2')])

    sa.event.listen(server_db.engine, 'before_cursor_execute', overtake)
    try:
        store.upsert_pets([dataclasses.replace(pet, host='host3')])
    finally:
        sa.event.remove(server_db.engine, 'before_cursor_execute', overtake)
    (found,) = store.pets()
    assert (found.host, found.generation) == ('host2', 1)


def test_forgotten_pet_leaves_a_history_line(store):
    one, two = sorted_pets(2)
    store.upsert_pets([one, two])
    assert store.forget_pets([one.instance_uuid, samples.new_uuid()],
                             'untagged') == 1
    assert [pet.instance_uuid for pet in store.pets()] == [two.instance_uuid]
    (line,) = store.history()
    assert (line.code, line.instance_uuid, line.host) == (
        'untagged', one.instance_uuid, 'host1')
    assert store.forget_pets([one.instance_uuid], 'untagged') == 0
    assert len(store.history()) == 1
