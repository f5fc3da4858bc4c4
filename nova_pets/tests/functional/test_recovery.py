# SPDX-License-Identifier: Apache-2.0
"""The main job on real Nova: a host dies, its pets come back once."""

import pytest

PET = {'ha': 'true'}


@pytest.fixture
def make_pets_cloud(make_cloud):
    def make(**kwargs):
        from nova_pets.tests.cloud import pets
        return make_cloud(cloud_class=pets.PetsCloud, **kwargs)
    return make


def _boot(cloud, names, host='host1', **kwargs):
    return cloud.boot_many({
        name: dict(host=host, metadata=PET, **kwargs) for name in names})


def test_pets_of_a_dead_host_run_elsewhere_once(make_pets_cloud):
    cloud = make_pets_cloud(hosts=4, report_interval_s=2)
    pets = _boot(cloud, ['db1', 'db2', 'db3'])
    volume = cloud.boot('vol', host='host1', metadata=PET, bfv=True)
    cattle = cloud.boot('web1', host='host1')
    uuids = [*pets.values(), volume]
    cloud.wait_tracked(uuids)
    cloud.crash('host1')
    for uuid in uuids:
        recovery = cloud.wait_recovery(uuid, 'recovered')
        assert cloud.running(uuid) == [recovery.destination]
        assert recovery.destination != 'host1'
        server = cloud.wait_server(uuid, status='ACTIVE', task_state=None)
        assert server['OS-EXT-SRV-ATTR:host'] == recovery.destination
    assert cloud.power()['host1'] == 'off'
    assert cloud.running(cattle) == []
    assert sorted(uuid for uuid, _ in cloud.evacuate_casts) == sorted(uuids)
    cloud.wait_host('host1', 'vacated')
    assert all(count == 1 for uuid in uuids
               for count in cloud.starts(uuid).values())
