# SPDX-License-Identifier: Apache-2.0
"""Who audits, when, how much; and that nothing is written without a right."""

import dataclasses
import itertools

import pytest

from nova_pets import exception
from nova_pets.compute import base as compute_base
from nova_pets.engine import audit_rounds
from nova_pets.engine import auditing
from nova_pets.engine import engine as engine_module
from nova_pets.engine import survey
from nova_pets.model import audit as audit_model
from nova_pets.model import observations
from nova_pets.model import policy
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.tests.unit.engine import world as world_module

C = states.ControlKind
CELL = world_module.CELL

TAGS_S = engine_module.TAG_INTERVALS * policy.Policy().idle_interval_s


class Audits(compute_base.AuditDoor):
    """What the false world knows, and what was asked."""

    def __init__(self, world):
        self._world = world
        self.room_asked = []
        self.surveys = 0
        self.withdrawn = []
        self.is_slower = False
        """Somebody else always writes first."""
        self.moving = set()

    def records(self, cell_uuid, hosts):
        self.surveys += 1
        return [audit_model.Named(row.uuid, row.host, observations.Migration(
            record['id'], record['status'], record['source'],
            record.get('dest'), world_module.NOON))
            for row in self._world.rows.values() for record in row.migrations]

    def rebuilding(self, cell_uuid):
        return [row.uuid for row in self._world.rows.values()
                if row.task_state == 'rebuilding']

    def existing(self, cell_uuid, uuids):
        return set(uuids) & set(self._world.rows)

    def cells_of(self, uuids):
        return {uuid: 'cell-2' for uuid in uuids if uuid in self.moving}

    def moves(self, cell_uuid, uuids):
        return {}

    def last_actions(self, cell_uuid, uuids):
        return {uuid: audit_model.Action('evacuate', True) for uuid in uuids}

    def room_of(self, cell_uuid, host):
        self.room_asked.append(host)
        return {row.uuid for row in self._world.rows.values()
                if host in row.allocations}

    def held(self, uuid):
        row = self._world.rows.get(uuid)
        return audit_model.Held(
            frozenset(row.allocations if row else ()), 1)

    def remove_leak(self, cell_uuid, uuid, host, generation):
        with self._world.call('remove_leak'):
            self._world.rows[uuid].allocations.discard(host)
            return not self.is_slower

    def withdraw(self, cell_uuid, uuid, host, migration_id):
        with self._world.call('withdraw'):
            self.withdrawn.append(migration_id)
            if self.is_slower:
                return False
            for record in self._world.rows[uuid].migrations:
                record['status'] = 'error'
            return True


@pytest.fixture
def world(tmp_path):
    return world_module.World(tmp_path)


@pytest.fixture
def audits(world):
    return Audits(world)


def add_record(world, uuid, status='done', source='host1', **more):
    world.rows[uuid].migrations.append({
        'id': next(world.migration_ids), 'status': status, 'source': source,
        'request_id': 'req-x', **more})


def drive(world, engines, seconds):
    until = world.clock.now + seconds
    world.drive(engines, lambda: world.clock.now >= until,
                limit_s=seconds + 60)


def order(world):
    return world.store().add_control(records.Control(
        id=None, kind=C.AUDIT, scope='all', actor='user alice',
        reason='looks odd'))


def mended(world, uuid=None):
    return [event for event in world.store().history(instance_uuid=uuid)
            if event.code == auditing.MENDED]


def ended(world):
    return [event.text for event in world.store().history()
            if event.code == 'control_ended']


@pytest.fixture
def quicker(monkeypatch):
    """Virtual minutes cost real seconds."""
    monkeypatch.setattr(audit_rounds, 'FIRST_S', 15.0)
    monkeypatch.setattr(audit_rounds, 'EVERY_S', 40.0)


def test_an_engine_audits_slowly_by_itself(world, audits, quicker):
    world.boot('db1')
    engine = world.engine(audits=audits)
    drive(world, [engine], audit_rounds.FIRST_S - 5)
    add_record(world, 'db1')
    assert audits.surveys == 0
    drive(world, [engine], 10)
    assert (audits.surveys, audits.withdrawn) == (1, [1])
    event, = mended(world, 'db1')
    assert event.actor == 'engine scheduler-a/1'
    assert event.evidence['audit']['finding'] == 'record_of_its_host'
    drive(world, [engine], audit_rounds.EVERY_S - 20)
    assert audits.surveys == 1
    drive(world, [engine], 30)
    assert audits.surveys == 2


def test_a_rebuild_outside_any_recovery_is_audited_at_once(world, audits):
    """Most likely refused by the gate; EVERY_S is ten minutes."""
    world.boot('db1')
    engine = world.engine(audits=audits)
    drive(world, [engine], 10)
    add_record(world, 'db1', 'accepted')
    drive(world, [engine], TAGS_S + 3)
    assert audits.surveys == 0
    world.rows['db1'].task_state = 'rebuilding'
    drive(world, [engine], TAGS_S + 3)
    assert world.rows['db1'].migrations == []
    assert world.rows['db1'].task_state is None
    assert audits.surveys == 0 and audits.room_asked == []


def test_a_rebuild_that_lasts_holds_up_no_other_audit(
        world, audits, quicker, monkeypatch):
    """Its owner rebuilds db1, and it is not done; db2 is looked after."""
    monkeypatch.setattr(audits, 'last_actions', lambda cell, uuids: {
        uuid: audit_model.Action('rebuild', False) for uuid in uuids})
    world.boot('db1')
    world.boot('db2')
    engine = world.engine(audits=audits)
    world.rows['db1'].task_state = 'rebuilding'
    drive(world, [engine], 10)
    add_record(world, 'db2')
    drive(world, [engine], audit_rounds.FIRST_S)
    assert (audits.surveys, audits.withdrawn) == (1, [1])
    drive(world, [engine], audit_rounds.EVERY_S)
    assert audits.surveys == 2


def test_one_engine_of_several_audits(world, audits, quicker):
    world.boot('db1')
    engines = [world.engine('a', audits=audits),
               world.engine('b', audits=audits)]
    drive(world, engines, audit_rounds.FIRST_S + 20)
    assert all(one.standing.has_slot for one in engines)
    assert audits.surveys == 1


def test_an_order_is_obeyed_at_once_and_ended(world, audits):
    world.boot('db1')
    engine = world.engine(audits=audits)
    drive(world, [engine], 10)
    add_record(world, 'db1')
    given = order(world)
    drive(world, [engine], 3)
    assert world.store().controls() == []
    assert ended(world) == ['audit all: 1 found, 1 mended']
    assert [event.evidence['audit']['order']
            for event in mended(world, 'db1')] == [given.id]


def test_observe_mode_mends_nothing_and_ends_the_order(
        world, audits, quicker):
    world.boot('db1')
    engine = world.engine(mode=states.Mode.OBSERVE, audits=audits)
    drive(world, [engine], audit_rounds.FIRST_S + 10)
    add_record(world, 'db1')
    order(world)
    drive(world, [engine], 3)
    assert audits.surveys == 0 and world.calls == []
    assert ended(world) == [
        'audit all: nothing was mended: mode is observe']


def test_an_order_waits_for_a_view_that_can_be_trusted(
        world, audits, monkeypatch):
    world.boot('db1')
    engine = world.engine(audits=audits)
    drive(world, [engine], 10)
    add_record(world, 'db1')

    def unread(self, cell_uuid):
        raise exception.NovaUnavailable(what='read', found='nothing')
    with monkeypatch.context() as patch:
        patch.setattr(world_module.Door, 'services', unread)
        drive(world, [engine], 10)
        order(world)
        drive(world, [engine], 10)
        assert audits.surveys == 0 and len(world.store().controls()) == 1
    drive(world, [engine], 10)
    assert audits.withdrawn == [1] and world.store().controls() == []


@pytest.fixture
def auditor(world, audits):
    """An auditor of an engine that has looked around."""
    engine = world.engine(audits=audits)
    world.boot('db1')
    drive(world, [engine], 10)
    return engine._audits.auditor, engine.standing


def test_a_deposed_engine_mends_nothing(world, audits, auditor):
    doer, standing = auditor
    add_record(world, 'db1')

    def depose():
        world.store().depose_engine(standing.id, standing.engine.renewals)
        standing.renew(None, states.Mode.ACT)
    with pytest.raises(exception.ClaimsLost):
        doer.turn(lambda: depose())
    assert audits.withdrawn == [] and mended(world) == []


def test_why_not_is_asked_before_each_step(world, audits, auditor):
    doer, _standing = auditor
    add_record(world, 'db1')
    doer.turn(lambda: 'mode is observe')
    assert audits.withdrawn == [] and mended(world) == []


def test_who_was_slower_says_nothing_and_does_not_insist(
        world, audits, auditor):
    doer, _standing = auditor
    add_record(world, 'db1')
    audits.is_slower = True
    doer.turn(lambda: None)
    assert audits.withdrawn == [1]
    assert mended(world) == []


def test_a_recovery_that_opened_meanwhile_stops_it(world, audits, auditor):
    doer, _standing = auditor
    add_record(world, 'db1')
    store = world.store()

    def open_recovery():
        store.open_recoveries([records.Recovery(
            id=None, instance_uuid='db1', cell_uuid=CELL, project_id='p',
            name='db1', source='host1', epoch=1,
            state=states.RecoveryState.PENDING)], records.Event(
                code='source_down'))
    original = audits.records

    def records_and_then(cell_uuid, hosts):
        found = original(cell_uuid, hosts)
        open_recovery()
        return found
    audits.records = records_and_then
    doer.turn(lambda: None)
    assert audits.withdrawn == [] and mended(world) == []


def test_one_step_uncovers_the_next(world, audits, auditor):
    """The record first, then the task that waited for it."""
    doer, _standing = auditor
    add_record(world, 'db1', 'accepted')
    world.rows['db1'].task_state = 'rebuilding'
    doer.turn(lambda: None)
    assert world.rows['db1'].migrations == []
    assert world.rows['db1'].task_state is None
    assert [event.evidence['audit']['finding'] for event in mended(
        world)] == ['record_of_its_host', 'stuck_rebuilding']


def test_leaked_room_is_removed(world, audits, auditor):
    doer, _standing = auditor
    world.rows['db1'].allocations.add('host3')
    doer.turn(lambda: None)
    assert world.rows['db1'].allocations == {'host1'}
    assert [event.host for event in mended(world)] == ['host3']


def test_a_row_without_an_instance_is_forgotten_on_order(
        world, audits, auditor):
    doer, _standing = auditor
    store = world.store()
    pet, = store.pets(uuids=['db1'])
    lost = [dataclasses.replace(pet, instance_uuid=uuid)
            for uuid in ('gone', 'elsewhere')]
    store.upsert_pets(lost)
    audits.moving = {'elsewhere'}
    doer.turn(lambda: None)
    assert len(store.pets()) == 3
    doer.turn(lambda: None, order(world))
    assert {one.instance_uuid for one in store.pets()} == {
        'db1', 'elsewhere'}


def test_an_unasked_audit_reads_few_rooms_and_all_in_turn(
        tmp_path, monkeypatch):
    monkeypatch.setattr(auditing, 'ROOM_HOSTS', 2)
    world = world_module.World(tmp_path, hosts=5)
    audits = Audits(world)
    engine = world.engine(audits=audits)
    drive(world, [engine], 10)
    for _ in range(3):
        engine._audits.auditor.turn(lambda: None)
    assert audits.room_asked == [
        'host1', 'host2', 'host3', 'host4', 'host1', 'host5']


def test_an_unasked_audit_looks_at_few_instances(world, audits, auditor):
    _doer, _standing = auditor
    for number in range(5):
        world.boot(f'x{number}')
        add_record(world, f'x{number}')
    looker = survey.Surveyor(world.store(), world_module.Door(world), audits)
    found = looker.survey(survey.Scope(is_whole=False, most=2))
    assert (found.instances, found.left_out) == (2, 3)


def test_guests_are_asked_only_so_often(world, audits, monkeypatch):
    monkeypatch.setattr(survey, 'MOST_PROBES', 2)
    engine = world.engine(audits=audits)
    for number in range(4):
        world.boot(f'x{number}')
        add_record(world, f'x{number}', 'failed', dest='host2')
    drive(world, [engine], 10)
    counter = itertools.count()

    class Counting(world_module.Door):
        def guest(self, *args):
            next(counter)
            return super().guest(*args)
    found = survey.Surveyor(world.store(), Counting(world), audits).survey()
    assert next(counter) == 2 and found.guests == 2 and found.left_out == 2
    assert found.findings == []


def test_a_guest_elsewhere_is_seen_and_left_to_people(world, audits):
    engine = world.engine(audits=audits)
    world.boot('db1')
    add_record(world, 'db1', 'failed', dest='host2')
    world.machines['host2'].guests.add('db1')
    drive(world, [engine], 10)
    looker = survey.Surveyor(world.store(), world_module.Door(world), audits)
    assert [one.code for one in looker.survey().findings] == ['two_guests']
    world.machines['host1'].guests.discard('db1')
    assert [one.code for one in looker.survey().findings] == ['orphan_guest']
    engine._audits.auditor.turn(lambda: None, order(world))
    assert world.running('db1') == ['host2'] and world.calls == []


def test_a_cell_that_cannot_be_read_is_said(world, audits):
    looker = survey.Surveyor(world.store(), world_module.Door(world), audits)

    def unread(cell_uuid, hosts):
        raise exception.NovaUnavailable(what='read it', found='a timeout')
    audits.records = unread
    assert looker.survey().unknown == ['cell cell1: cannot read it: a '
                                       'timeout']


def test_placement_that_is_away_is_said_and_not_asked_for_ever(
        tmp_path):
    world = world_module.World(tmp_path, hosts=9)
    audits = Audits(world)
    drive(world, [world.engine(audits=audits)], 10)
    asked = []

    def away(cell_uuid, host):
        asked.append(host)
        raise exception.NovaUnavailable(what='ask', found='it is away')
    audits.room_of = away
    found = survey.Surveyor(world.store(), world_module.Door(world),
                            audits).survey()
    assert len(asked) == len(found.unknown) == survey.MOST_FAILURES


def test_an_order_that_fails_is_tried_again_but_not_in_every_cycle(
        world, audits, monkeypatch):
    world.boot('db1')
    engine = world.engine(audits=audits)
    drive(world, [engine], 10)
    add_record(world, 'db1')
    tried = []

    def away(self, scope):
        tried.append(world.clock.now)
        raise exception.NovaUnavailable(what='read it', found='a timeout')
    with monkeypatch.context() as patch:
        patch.setattr(survey.Surveyor, 'survey', away)
        order(world)
        drive(world, [engine], 25)
    assert 2 <= len(tried) <= 3 and len(world.store().controls()) == 1
    drive(world, [engine], 12)
    assert audits.withdrawn == [1] and world.store().controls() == []
