# SPDX-License-Identifier: Apache-2.0
"""The audit on real Nova: what it finds, what an engine mends, what not.

What a failure would leave behind is put there by hand where producing it is
another test's story; one pet for each kind, one cloud.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading

# First of all: it chooses native threads for Nova.
from nova_pets.tests import cloud as cloud_package  # noqa: F401

# isort: split
from nova import context as nova_context
from nova import objects
from nova.db.main import api as main_db
from nova.db.main import models
import nova.conf
import pytest
import sqlalchemy as sa

from nova_pets.cmd import access
from nova_pets.cmd import manage
from nova_pets.compute import nova as nova_door
from nova_pets.engine import audit_rounds
from nova_pets.engine import survey
from nova_pets.engine import tagging
from nova_pets.tests.cloud import pets as pets_cloud
from nova_pets.tests.functional import windows

NAMES = ('withdrawn', 'requested', 'stale', 'finished', 'leak', 'moving',
         'double', 'orphan', 'rebuilt')
CATTLE = ('herd', 'doomed')


@pytest.fixture(scope='module')
def scene():
    # Nothing fails here: no late heartbeat of a crowded machine may look so.
    patient = {'pets_detection': {'suspect_heartbeats': 100,
                                  'down_heartbeats': 200},
               'pets': {'claim_ttl': 30}}
    with pytest.MonkeyPatch.context() as patch:
        # What an engine mends by itself is not to be gone before the looks.
        patch.setattr(audit_rounds, 'FIRST_S', 1e6)
        patch.setattr(tagging.Tagging, 'rebuilding', property(
            lambda self: frozenset(), lambda self, value: None),
            raising=False)
        with pets_cloud.PetsCloud(hosts=3, report_interval_s=2,
                                  down_time_s=600, pets=patient) as cloud:
            found = cloud.boot_many(
                {name: {'host': 'host1', 'metadata': windows.PET}
                 for name in NAMES} | {
                     name: {'host': 'host1'} for name in CATTLE})
            cloud.wait_tracked([found[name] for name in NAMES])
            yield cloud, found


@pytest.fixture
def command(capsys):
    def run(**given):
        commands = manage.PetsCommands(access.Access(nova.conf.CONF))
        capsys.readouterr()
        code = commands.audit(as_json=True, **given)
        document = json.loads(capsys.readouterr().out)
        assert 'error' not in document, document
        return code, document
    return run


@contextlib.contextmanager
def cell_session():
    context = nova_context.get_admin_context()
    mapping, = [cell for cell in objects.CellMappingList.get_all(context)
                if not cell.is_cell0()]
    with nova_context.target_cell(context, mapping) as cctxt:
        with main_db.get_context_manager(cctxt).writer.using(
                cctxt) as session:
            yield session


def put_record(uuid, status, source, destination=None, kind='evacuation'):
    """Write a migration record as Nova would have left it; return its id."""
    context = nova_context.get_admin_context()
    mapping = objects.InstanceMapping.get_by_instance_uuid(
        context, uuid).cell_mapping
    with nova_context.target_cell(context, mapping) as cctxt:
        migration = objects.Migration(
            cctxt, instance_uuid=uuid, migration_type=kind, status=status,
            source_compute=source, source_node=source,
            dest_compute=destination)
        migration.create()
    return migration.id


def status_of(migration_id):
    with cell_session() as session:
        return session.execute(sa.select(models.Migration.status).where(
            models.Migration.id == migration_id)).scalar()


def add_room(cloud, uuid, host):
    """Let an instance hold room on a further host, as W7 leaves it."""
    found = cloud.placement.get('/allocations/%s' % uuid,
                                version='1.28').body
    node = cloud.hypervisors()[host]['id']
    some = next(iter(found['allocations'].values()))['resources']
    kept = {provider: {'resources': entry['resources']}
            for provider, entry in found['allocations'].items()}
    done = cloud.placement.put('/allocations/%s' % uuid, {
        'allocations': {**kept, node: {'resources': some}},
        'project_id': found['project_id'], 'user_id': found['user_id'],
        'consumer_generation': found['consumer_generation']},
        version='1.28')
    assert done.status == 204, done.body


def count(call):
    """Return how many SELECTs this thread sends."""
    found, me = [], threading.get_ident()

    def note(conn, cursor, statement, *rest):
        if threading.get_ident() == me and statement.startswith('SELECT'):
            found.append(statement)
    sa.event.listen(sa.engine.Engine, 'before_cursor_execute', note)
    try:
        call()
    finally:
        sa.event.remove(sa.engine.Engine, 'before_cursor_execute', note)
    return len(found)


def about(document, uuid):
    return {row['reason']: row for row in document['findings']
            if row['uuid'] == uuid}


def test_an_audit_of_a_sound_cloud_finds_nothing(scene, command):
    code, document = command()
    assert (code, document['findings'], document['unknown']) == (0, [], [])
    assert document['result'] == 'well'
    assert document['looked'] == {'hosts': 3, 'instances': 0, 'guests': 0}


def test_an_unasked_look_at_a_sound_cloud_is_cheap(scene):
    """Five of the side tables (four where all hosts are up), the cells once
    a minute; services, records and rebuilds of the cell; two for each host
    whose room is read. Not one for each instance."""
    cloud, _pets = scene
    door = nova_door.NovaDoor()
    looker = survey.Surveyor(cloud.store, door, door.audits)
    scope = survey.Scope(is_whole=False, asks_all=False, most=100)
    looker.survey(scope)
    assert count(lambda: looker.survey(scope)) <= 5 + 1 + 3 + 2 * 3


def test_a_process_of_its_own_sees_the_cells(scene, tmp_path):
    """Without placement: said, and no reason to call the cloud well."""
    cloud, _pets = scene
    conf = tmp_path / 'nova.conf'
    with open(cloud.config_file) as stream:
        conf.write_text(stream.read().replace(
            '[api_database]\nconnection = sqlite://\n',
            f'[api_database]\nconnection = {cloud.databases.api_url}\n'))
    done = subprocess.run(
        [os.path.join(sys.prefix, 'bin', 'nova-pets-manage'),
         '--config-file', str(conf), 'audit', '--json'], text=True,
        capture_output=True, stdin=subprocess.DEVNULL, timeout=300)
    document = json.loads(done.stdout)
    assert (done.returncode, document['result']) == (3, 'unknown'), done
    assert document['findings'] == []
    assert document['looked'] == {'hosts': 3, 'instances': 0, 'guests': 0}
    assert len(document['unknown']) == 3
    assert all('cannot read the allocations on host' in text
               for text in document['unknown'])


def make_trouble(cloud, pets):
    """One kind of trouble for each; returns the ids of its records."""
    # A person's evacuate, whose message is lost, of a host that lives: W3.
    cloud.force_down('host1')
    lost = cloud.lose('conductor.rebuild_instance', times=1)
    cloud.evacuate(pets['requested'])
    cloud.wait_server(pets['requested'], task_state='rebuilding')
    cloud.force_down('host1', False)
    lost.release()
    records = {
        'withdrawn': put_record(pets['withdrawn'], 'done', 'host1', 'host2'),
        'stale': put_record(pets['stale'], 'accepted', 'host2'),
        'finished': put_record(pets['finished'], 'pre-migrating', 'host3',
                               'host1'),
        'moving': put_record(pets['moving'], 'running', 'host1', 'host2',
                             'live-migration'),
        'double': put_record(pets['double'], 'failed', 'host1', 'host2'),
        'orphan': put_record(pets['orphan'], 'error', 'host1', 'host3'),
        'herd': put_record(pets['herd'], 'done', 'host1', 'host2'),
    }
    for name in ('leak', 'moving'):
        add_room(cloud, pets[name], 'host3')
    for name, host in (('double', 'host2'), ('orphan', 'host3')):
        cloud.ground.machines[host].start_guest(pets[name], name)
    cloud.stop(pets['orphan'])
    cloud.wait_server(pets['orphan'], status='SHUTOFF', task_state=None)
    return records


EXPECTED = {
    'withdrawn': {'record_of_its_host': True},
    'requested': {'record_of_its_host': True},
    'stale': {'stale_record': True},
    'finished': {'stale_record': True},
    'leak': {'leaked_allocation': True},
    'moving': {}, 'rebuilt': {},
    'double': {'two_guests': False},
    'orphan': {'orphan_guest': False},
    'herd': {'record_of_its_host': False}, 'doomed': {},
}
"""finding -> whether it can be mended."""

AFTERWARDS = {
    'finished': {'uncleaned_source'}, 'double': {'two_guests'},
    'orphan': {'orphan_guest'}, 'herd': {'record_of_its_host'},
}


def test_what_is_wrong_is_found_and_what_is_safe_is_mended(scene, command):
    cloud, pets = scene
    rebuild = cloud.hold('host1', 'spawn', instance=pets['rebuilt'])
    cloud.action(pets['rebuilt'], {'rebuild': {
        'imageRef': '155d900f-4e14-4e4c-a73d-069cbf4541e6'}})
    rebuild.wait(pets['rebuilt'])
    records = make_trouble(cloud, pets)

    code, document = command()
    assert (code, document['result'], document['fix']) == (2, 'act', None)
    for name, kinds in EXPECTED.items():
        found = about(document, pets[name])
        assert {kind: row['mend'] is not None for kind, row
                in found.items()} == kinds, (name, found)
    assert 'no pet' in about(document, pets['herd'])[
        'record_of_its_host']['why_not']
    assert status_of(records['withdrawn']) == 'done'

    code, document = command(is_fixing=True)
    assert code == 2
    fix = document['fix']
    assert fix['is_done'] and fix['order'], fix
    for name in pets:
        assert set(about(document, pets[name])) == AFTERWARDS.get(
            name, set()), (name, document['findings'], fix)
    mended = {event['uuid'] for event in fix['mended']}
    assert mended == {pets[name] for name, kinds in EXPECTED.items()
                      if True in kinds.values()}
    assert status_of(records['withdrawn']) == 'error'
    assert status_of(records['stale']) is None
    assert status_of(records['finished']) == 'done'
    assert status_of(records['moving']) == 'running'
    assert set(cloud.allocations(pets['leak'])) == {'host1'}
    assert set(cloud.allocations(pets['moving'])) == {'host1', 'host3'}
    requested = cloud.server(pets['requested'])
    assert (requested['OS-EXT-STS:task_state'],
            requested['OS-EXT-STS:vm_state']) == (None, 'active')
    assert cloud.running(pets['requested']) == ['host1']
    rebuild.release()
    cloud.wait_server(pets['rebuilt'], task_state=None, vm_state='active')
    story = windows.codes(cloud, pets['leak'])
    assert 'audit_mended' in story


def test_in_observe_mode_nothing_is_mended(scene, command):
    cloud, pets = scene
    record = put_record(pets['leak'], 'accepted', 'host2')
    switch = nova.conf.CONF.pets.kill_switch_file
    with open(switch, 'w'):
        cloud.wait_for('observe mode', lambda: all(
            engine.mode == 'observe' for engine in cloud.store.engines()
            if engine.slot is not None))
        code, document = command(is_fixing=True)
    os.unlink(switch)
    assert code == 2 and document['fix']['mended'] == []
    assert 'mode is observe' in document['fix']['said']
    assert status_of(record) == 'accepted'
    cloud.wait_for('act mode', lambda: any(
        engine.mode == 'act' for engine in cloud.store.engines()))
    assert command(is_fixing=True)[1]['fix']['mended']
    assert status_of(record) is None


def test_a_withdrawn_record_saves_the_guest_from_a_restart(scene, command):
    """F8: nova-compute destroys what a record names, wherever it lives."""
    cloud, pets = scene
    put_record(pets['withdrawn'], 'done', 'host1', 'host2')
    put_record(pets['doomed'], 'done', 'host1', 'host2')
    command(is_fixing=True)
    order = cloud.order('maintenance', 'host', 'host1')
    cloud.silence_service('host1')
    cloud.restart('host1')
    cloud.wait_up('host1')
    cloud.store.end_control(order, 'user test', 'end')
    assert cloud.running(pets['doomed']) == []
    assert cloud.running(pets['withdrawn']) == ['host1']


def test_reads_do_not_grow_with_what_is_asked_for(scene):
    _cloud, pets = scene
    door = nova_door.NovaDoor()
    cell, = door.cells()
    many = sorted(pets.values())

    for read in (door.audits.moves, door.audits.last_actions,
                 door.audits.existing):
        assert count(lambda read=read: read(cell.uuid, many[:1])) == count(
            lambda read=read: read(cell.uuid, many))
    hosts = ['host1', 'host2', 'host3']
    assert count(lambda: door.audits.records(cell.uuid, hosts)) == count(
        lambda: door.audits.records(cell.uuid, hosts[:1]))
