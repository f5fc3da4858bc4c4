# SPDX-License-Identifier: Apache-2.0
"""The gate, the filters and the weigher inside real scheduling requests.

No engine runs: the tests write the rows that one would have written, and
ask Nova as people and engines do.
"""

import concurrent.futures
import contextlib
import dataclasses
import uuid

import pytest
import sqlalchemy as sa

from nova_pets import exception
from nova_pets.db import models
from nova_pets.model import records
from nova_pets.model import states

H = states.HostState
R = states.RecoveryState
PET = {'ha': 'true'}


class Ground:
    """A cloud without an engine, and the rows of one host's failure."""

    def __init__(self, cloud):
        from nova_pets import wiring

        self.cloud = cloud
        self.store = cloud.store
        self.door = wiring.build_door()
        self.cell = self.door.cells()[0].uuid
        self.event = records.Event(code='opened', actor='test')
        self.store.register_engine(records.Engine(
            id='test', host='test', worker='test', version='test',
            mode=states.Mode.ACT, gate_loaded=True))

    def host(self, host, state, proof=None):
        """Write the host's state as if detection had found it."""
        from nova_pets.scheduler import unsafe_hosts

        self.store.ensure_hosts([(host, self.cell)])
        row = self.store.host(host)
        generation = self.store.claim_host(host, row.generation, 'test')
        self.store.advance_host(
            dataclasses.replace(row, state=state, epoch=1, proof=proof,
                                owner=None),
            generation, 'test', None)
        unsafe_hosts.forget()

    def pet(self, instance, **values):
        self.store.upsert_pets([records.Pet(
            instance_uuid=instance, cell_uuid=self.cell, project_id='p',
            name='db1', host='host1', vm_state='active', **values)])

    def recovery(self, instance, state=R.READY, **values):
        """Open a recovery in a state; return it."""
        self.store.open_recoveries([records.Recovery(
            id=None, instance_uuid=instance, cell_uuid=self.cell,
            project_id='p', name='db1', source='host1', epoch=1,
            state=state, **values)], self.event)
        return self.cloud.recovery(instance)

    def attempt(self, recovery):
        """Begin an attempt of ours; return its request_id."""
        request_id = f'req-{uuid.uuid4()}'
        generation = self.store.claim_recovery(
            recovery.id, recovery.generation, 'test')
        self.store.advance_recovery(
            dataclasses.replace(recovery, state=R.REQUESTING, owner=None,
                                attempts=recovery.attempts + 1),
            generation, 'test', None, records.Attempt(
                id=None, recovery_id=recovery.id,
                instance_uuid=recovery.instance_uuid,
                number=recovery.attempts + 1, kind=states.AttemptKind.OWN,
                request_id=request_id, source='host1'))
        return request_id

    def send(self, instance, request_id):
        """Claim the instance in Nova and evacuate it as an engine does."""
        self.door.update_instance(
            self.cell, instance,
            expected={'host': 'host1', 'task_state': (None, 'rebuilding')},
            values={'task_state': 'rebuilding'})
        self.door.evacuate(self.cell, instance, request_id,
                           on_shared_storage=None, target_stopped=False)

    def fail(self, *instances, **values):
        """host1 is dead and proven off; its pets wait for an attempt."""
        self.cloud.crash('host1')
        self.cloud.force_down('host1')
        self.host('host1', H.FENCED, states.ProofKind.POWER_OFF)
        for instance in instances:
            self.pet(instance, is_bfv=values.get('is_bfv', False))
        return [self.recovery(instance, **values) for instance in instances]

    def wait_moved(self, instance):
        """Wait until the instance runs elsewhere; the row says ACTIVE a
        moment before it says where."""
        self.cloud.wait_for('the end of the evacuation', lambda: (
            self.cloud.server(instance)['OS-EXT-SRV-ATTR:host'] != 'host1'))
        self.cloud.wait_server(instance, status='ACTIVE', task_state=None)

    def wait_refused(self, instance):
        """Wait until conductor has given up the last evacuation, and check
        that it has not touched the instance."""
        def ended():
            events = self.cloud.actions(instance)[-1]['events']
            return [event for event in events
                    if event['event'] == 'rebuild_server' and
                    event['result'] == 'Error']

        self.cloud.wait_for('the event rebuild_server = Error', ended)
        server = self.cloud.server(instance)
        assert server['OS-EXT-STS:vm_state'] == 'active'
        assert server['OS-EXT-STS:task_state'] == 'rebuilding'
        assert server['OS-EXT-SRV-ATTR:host'] == 'host1'
        assert self.cloud.migrations(instance)[-1]['status'] == 'accepted'


@pytest.fixture
def ground(make_cloud, monkeypatch):
    def make(**kwargs):
        from nova_pets.scheduler import worker
        from nova_pets.tests.cloud import pets

        monkeypatch.setattr(worker.KEEPER, 'ensure', lambda: None)
        return Ground(make_cloud(cloud_class=pets.PetsCloud, **kwargs))
    return make


def test_a_persons_evacuation_beside_an_attempt_touches_nothing(ground):
    g = ground(hosts=3)
    pet = g.cloud.boot('db1', host='host1', metadata=PET)
    (recovery,) = g.fail(pet)
    g.attempt(recovery)
    g.cloud.evacuate(pet)
    g.wait_refused(pet)
    assert 'foreign_refused' in g.cloud.story(pet)


@pytest.mark.parametrize('state', [H.SUSPECT, H.DOWN, H.FENCING, H.UNPROVEN,
                                   H.QUARANTINED, H.RETURNING], ids=str)
def test_no_pet_is_evacuated_from_a_host_that_is_not_proven_off(
        ground, state):
    g = ground(hosts=2)
    pet = g.cloud.boot('db1', host='host1', metadata=PET)
    g.fail(pet)
    g.host('host1', state)
    g.cloud.evacuate(pet)
    g.wait_refused(pet)


def test_nor_from_a_host_that_only_nova_holds_to_be_down(ground):
    g = ground(hosts=2)
    pet = g.cloud.boot('db1', host='host1', metadata=PET)
    g.pet(pet)
    g.cloud.silence_service('host1')
    g.cloud.force_down('host1')
    g.cloud.evacuate(pet)
    g.wait_refused(pet)
    assert g.cloud.running(pet) == ['host1']


def test_a_refusal_comes_before_nova_finds_no_host(ground):
    """With no candidate at all, and with placement down, conductor would
    write ERROR over the attempt in flight."""
    g = ground(hosts=1)
    pet = g.cloud.boot('db1', host='host1', metadata=PET)
    (recovery,) = g.fail(pet)
    g.attempt(recovery)
    g.cloud.evacuate(pet)
    g.wait_refused(pet)
    g.cloud.placement_down()
    g.cloud.evacuate(pet)
    g.wait_refused(pet)


def test_our_request_passes_once(ground):
    g = ground(hosts=3)
    pet = g.cloud.boot('db1', host='host1', metadata=PET)
    (recovery,) = g.fail(pet, storage_domain='cloud')
    request_id = g.attempt(recovery)
    g.send(pet, request_id)
    g.wait_moved(pet)
    (attempt,) = g.cloud.attempts(pet)
    assert attempt.gate is states.Gate.CONSUMED
    starts = g.cloud.starts(pet)
    # The same cast once more, as a broker may deliver it late.
    from nova import context
    from nova import objects
    from nova.scheduler import request_filter
    late = objects.RequestSpec(instance_uuid=pet, ignore_hosts=['host1'],
                               scheduler_hints={})
    with pytest.raises(exception.GateRefused, match='delivered before'):
        request_filter.process_reqspec(
            context.RequestContext('u', 'p', request_id=request_id), late)
    assert g.cloud.starts(pet) == starts


def test_a_persons_evacuation_from_volume_is_taken_over(ground):
    g = ground(hosts=3)
    pet = g.cloud.boot('db1', host='host1', metadata=PET, bfv=True)
    g.fail(pet, is_bfv=True)
    g.cloud.evacuate(pet)
    g.wait_moved(pet)
    (attempt,) = g.cloud.attempts(pet)
    assert attempt.kind is states.AttemptKind.FOREIGN
    assert attempt.gate is states.Gate.CONSUMED
    assert g.cloud.recovery(pet).state is R.SCHEDULING


def test_an_evacuation_is_not_taken_over_beside_one_that_built_a_guest(
        ground):
    """State F3: the row says ACTIVE on the source, the guest runs on D."""
    g = ground(hosts=3)
    pet = g.cloud.boot('db1', host='host1', metadata=PET, bfv=True)
    g.cloud.crash('host1')
    g.cloud.force_down('host1')
    hold = g.cloud.hold('host2', 'before_finish')
    g.cloud.evacuate(pet, host='host2')
    hold.wait()
    g.fail(pet, is_bfv=True)
    g.cloud.evacuate(pet)
    g.cloud.wait_for('the refusal',
                     lambda: 'not settled' in g.cloud.story(pet))
    assert g.cloud.running(pet) == ['host2']
    assert g.cloud.starts(pet) == {'host1': 1, 'host2': 1}
    hold.release()


def test_what_nova_pets_has_let_go_of_is_evacuated_by_a_person(ground):
    g = ground(hosts=2)
    pet = g.cloud.boot('db1', host='host1', metadata=PET)
    g.fail()
    g.pet(pet)
    g.cloud.evacuate(pet)
    g.cloud.wait_server(pet, status='ACTIVE', task_state=None, host='host2')


def test_cattle_are_evacuated_as_ever(ground):
    g = ground(hosts=2)
    web = g.cloud.boot('web1', host='host1')
    g.fail()
    g.cloud.evacuate(web)
    g.cloud.wait_server(web, status='ACTIVE', task_state=None, host='host2')


def test_a_pet_on_a_living_host_is_migrated_as_ever(ground):
    g = ground(hosts=2)
    pet = g.cloud.boot('db1', host='host1', metadata=PET)
    g.pet(pet)
    g.cloud.action(pet, {'migrate': None})
    g.cloud.wait_server(pet, status='VERIFY_RESIZE', host='host2')
    g.cloud.action(pet, {'confirmResize': None})
    g.cloud.wait_server(pet, status='ACTIVE', host='host2')
    g.cloud.action(pet, {'os-migrateLive': {
        'host': None, 'block_migration': 'auto'}})
    g.cloud.wait_server(pet, status='ACTIVE', host='host1')


def test_observe_refuses_only_beside_an_attempt(ground):
    g = ground(hosts=2, pets={'pets': {'mode': 'observe'}})
    pet, other = (g.cloud.boot(name, host='host1', metadata=PET)
                  for name in ('db1', 'db2'))
    recovery, _ = g.fail(pet, other)
    g.host('host1', H.DOWN)
    g.attempt(recovery)
    g.cloud.evacuate(pet)
    g.wait_refused(pet)
    g.cloud.evacuate(other)
    g.cloud.wait_server(other, status='ACTIVE', task_state=None,
                        host='host2')


def test_without_our_tables_only_pets_are_not_evacuated(ground):
    g = ground(hosts=2)
    pet = g.cloud.boot('db1', host='host1', metadata=PET)
    web = g.cloud.boot('web1', host='host1')
    g.cloud.crash('host1')
    g.cloud.force_down('host1')
    from nova.db.api import api
    models.METADATA.drop_all(api.get_engine())
    g.cloud.evacuate(pet)
    g.wait_refused(pet)
    g.cloud.evacuate(web)
    g.cloud.wait_server(web, status='ACTIVE', task_state=None, host='host2')
    g.cloud.boot('web2')


@contextlib.contextmanager
def statements():
    """Collect the statements on our tables that are sent meanwhile."""
    from nova.db.api import api

    sent = []

    def remember(conn, cursor, statement, *args):
        # Not the empty UPDATE by which the store takes SQLite's write lock.
        if 'pets_' in statement and '0 = 1' not in statement:
            sent.append(statement.split()[0])

    engine = api.get_engine()
    sa.event.listen(engine, 'before_cursor_execute', remember)
    try:
        yield sent
    finally:
        sa.event.remove(engine, 'before_cursor_execute', remember)


def test_what_a_request_costs(ground):
    """The numbers in specs/: statements on our tables, by request."""
    from nova_pets.scheduler import unsafe_hosts

    g = ground(hosts=3, pets={'pets_scheduler': {'cache_ttl': 60}})
    unsafe_hosts.forget()
    with statements() as sent:
        web = g.cloud.boot('web1', host='host1')
        assert sent == ['SELECT']
        sent.clear()
        g.cloud.boot('web2')
        assert sent == []
        g.cloud.action(web, {'migrate': None})
        g.cloud.wait_server(web, status='VERIFY_RESIZE')
        assert sent == ['SELECT']
        sent.clear()
        unsafe_hosts.forget()
        g.cloud.action(web, {'revertResize': None})
        g.cloud.wait_server(web, status='ACTIVE')
        g.cloud.action(web, {'migrate': None})
        g.cloud.wait_server(web, status='VERIFY_RESIZE')
        assert sent == ['SELECT']
        g.cloud.action(web, {'confirmResize': None})
        g.cloud.wait_server(web, status='ACTIVE')
        for forget in (unsafe_hosts.forget, lambda: None):
            g.cloud.action(web, {'shelve': None})
            g.cloud.wait_server(web, status='SHELVED_OFFLOADED',
                                task_state=None)
            forget()
            sent.clear()
            g.cloud.action(web, {'unshelve': None})
            g.cloud.wait_server(web, status='ACTIVE')
            assert sent == ['SELECT']
    pet = g.cloud.boot('db1', host='host1', metadata=PET)
    (recovery,) = g.fail(pet, storage_domain='cloud')
    request_id = g.attempt(recovery)
    unsafe_hosts.forget()
    with statements() as sent:
        g.send(pet, request_id)
        g.wait_moved(pet)
        assert sent.count('UPDATE') == 1
        assert sent.count('SELECT') == 4
        assert len(sent) == 5


def test_nothing_is_built_on_a_host_that_is_not_up(ground):
    g = ground(hosts=3)
    g.host('host1', H.SUSPECT)
    g.host('host3', H.VACATED, states.ProofKind.POWER_OFF)
    built = g.cloud.boot_many({f'web{n}': {} for n in range(4)})
    assert {g.cloud.server(uuid)['OS-EXT-SRV-ATTR:host']
            for uuid in built.values()} == {'host2'}


def test_an_evacuated_disk_stays_in_its_storage_domain(ground):
    g = ground(hosts=4, pets={'pets': {'one_storage_domain': False}})
    g.cloud.add_aggregate('a', ['host1', 'host4'], {'pets:storage': 'a'})
    g.cloud.add_aggregate('b', ['host2'], {'pets:storage': 'b'})
    pets = [g.cloud.boot(f'db{n}', host='host1', metadata=PET)
            for n in range(2)]
    for recovery in g.fail(*pets, storage_domain='a'):
        g.send(recovery.instance_uuid, g.attempt(recovery))
    for pet in pets:
        g.cloud.wait_server(pet, status='ACTIVE', task_state=None,
                            host='host4')


def test_a_wave_of_evacuations_is_spread(ground):
    g = ground(hosts=5, spawn_delay_s=1)
    pets = list(g.cloud.boot_many({
        f'db{n}': dict(host='host1', metadata=PET) for n in range(8)
    }).values())
    recoveries = g.fail(*pets, storage_domain='cloud')
    requests = [(recovery.instance_uuid, g.attempt(recovery))
                for recovery in recoveries]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda request: g.send(*request), requests))
    for pet in pets:
        g.wait_moved(pet)
    found = [g.cloud.server(pet)['OS-EXT-SRV-ATTR:host'] for pet in pets]
    assert {found.count(host) for host in found} == {2}, sorted(found)
