# SPDX-License-Identifier: Apache-2.0
"""The command and the engines together, on real Nova: what a person orders
is what happens."""

import json

import pytest

PET = {'ha': 'true'}


@pytest.fixture
def make_pets_cloud(make_cloud):
    def make(**kwargs):
        from nova_pets.tests.cloud import pets
        return make_cloud(cloud_class=pets.PetsCloud, **kwargs)
    return make


@pytest.fixture
def command(capsys):
    """Return a function that runs a verb; it returns (code, document)."""
    def run(verb, **given):
        import nova.conf
        from nova_pets.cmd import access
        from nova_pets.cmd import manage
        commands = manage.PetsCommands(access.Access(nova.conf.CONF))
        capsys.readouterr()
        code = getattr(commands, verb)(as_json=True, **given)
        return code, json.loads(capsys.readouterr().out)
    return run


def test_a_person_confirms_a_host_and_its_pets_come_back(
        make_pets_cloud, command):
    cloud = make_pets_cloud(hosts=3, fence='manual')
    uuid = cloud.boot('db1', host='host1', metadata=PET)
    cloud.wait_for('tracking', lambda: cloud.store.pets(uuids=[uuid]))
    assert command('status')[0] == 0
    cloud.crash('host1')
    cloud.wait_host('host1', 'unproven')

    code, status = command('status')
    assert code == 2
    assert any('confirm_fenced host1' in line for line in
               status['commands'])
    code, shown = command('show', instance='db1')
    assert code == 1 and shown['recovery']['state'] == 'pending'
    assert shown['source']['state'] == 'unproven'

    cloud.power_off('host1')
    epoch = shown['source']['epoch']
    code, order = command('confirm_fenced', host='host1', epoch=epoch,
                          reason='pulled the plug', is_sure=True)
    assert code == 0, order
    recovery = cloud.wait_recovery(uuid, 'recovered')
    assert cloud.running(uuid) == [recovery.destination]
    assert command('show', instance='db1')[0] == 0
    code, history = command('history', host='host1')
    assert any('pulled the plug' in row['text']
               for row in history['events'])

    cloud.wait_host('host1', 'vacated')
    code, order = command('release', host='host1', reason='repaired',
                          is_sure=True)
    assert code == 0 and 'rabbitmqctl purge_queue compute.host1' in \
        order['next']
    cloud.wait_host('host1', 'returning')
    cloud.restart('host1')
    cloud.wait_host('host1', 'up')
    assert cloud.running(uuid) == [recovery.destination]
    assert command('status')[0] == 0


def test_a_paused_cloud_waits_and_says_so(make_pets_cloud, command):
    cloud = make_pets_cloud(hosts=3)
    uuid = cloud.boot('db1', host='host1', metadata=PET)
    cloud.wait_tracked([uuid])
    assert command('pause', reason='broker upgrade')[0] == 0
    cloud.crash('host1')
    cloud.wait_host('host1', 'down')
    cloud.wait_for('the pause to hold it', lambda: cloud.store.host(
        'host1').reason == 'paused')
    code, status = command('status')
    assert code == 1
    assert status['hosts']['not_up'][0]['reason'] == 'paused'
    assert command('resume', reason='upgraded')[0] == 0
    recovery = cloud.wait_recovery(uuid, 'recovered')
    assert cloud.running(uuid) == [recovery.destination]
