# SPDX-License-Identifier: Apache-2.0
"""W23: what everything needs is away; all hosts look down, and none is.

One cloud, three outages in turn. Nothing may be powered off in any of them.
What truly died meanwhile is recovered when the outage is over.
"""

import time

from nova_pets.tests.functional import windows

CONDUCTOR_SILENCE_S = 10.0
"""Twice what the quick policy needs, with a heartbeat of one second."""
POLICY = {**windows.QUICK, 'pets_fencing': {'storm_window': 5}}
"""A calm of five seconds ends a storm."""
HOSTS = ('host1', 'host2', 'host3', 'host4', 'host5')


def test_an_outage_kills_nobody(make_cloud):
    from nova_pets.tests.cloud import pets as pets_cloud
    cloud = make_cloud(cloud_class=pets_cloud.PetsCloud, hosts=5,
                       report_interval_s=1, pets=POLICY)
    pets = {}
    for host in HOSTS:
        pets.update(windows.boot(cloud, ['on_' + host], host=host))
    with windows.Watch(cloud, pets.values()) as watch:
        _computes_lose_their_database(cloud)
        _are_untouched(cloud, pets)
        _the_network_is_away(cloud)
        _are_untouched(cloud, pets)
        _conductor_is_away(cloud, pets['on_host1'])
        windows.judge(cloud, pets['on_host1'])
    assert not watch.doubles
    assert [host for host, power in cloud.power().items()
            if power == 'off'] == ['host1']


def _are_untouched(cloud, pets):
    for host in HOSTS:
        cloud.wait_host(host, 'up', windows.PATIENCE_S)
    assert set(cloud.power().values()) == {'on'}
    assert cloud.evacuate_casts == []
    for name, uuid in pets.items():
        assert cloud.running(uuid) == [name.removeprefix('on_')]
        server = cloud.wait_server(uuid, status='ACTIVE', task_state=None)
        assert server['OS-EXT-SRV-ATTR:host'] == name.removeprefix('on_')
        if cloud.recovery(uuid) is not None:
            cloud.wait_recovery(uuid, 'abandoned', windows.PATIENCE_S)
        assert cloud.migrations(uuid) == []
    for service in cloud.compute_services().values():
        assert not service['forced_down']


def _wait_all(cloud, what, state, reason):
    cloud.wait_for(what, lambda: {
        (row.state, row.reason) for row in map(cloud.store.host, HOSTS)
    } == {(state, reason)}, windows.PATIENCE_S)


def _computes_lose_their_database(cloud):
    """Every heartbeat stands still; the machines answer."""
    from oslo_db import exception as db_exc
    away = cloud.fail('compute', 'db', db_exc.DBConnectionError)
    _wait_all(cloud, 'an alarm for each', 'suspect', 'host_alive')
    away.release()


def _the_network_is_away(cloud):
    """No witness sees any of them; they are too many for a power-off."""
    for host in HOSTS:
        cloud.partition(host)
    _wait_all(cloud, 'the storm', 'down', 'storm')
    for host in HOSTS:
        cloud.heal(host)


def _conductor_is_away(cloud, uuid):
    """A host dies while my own view cannot be trusted."""
    cloud.suspend('conductor')
    # By then each engine has seen its heartbeat stand still for the length
    # that a silence takes; a shorter one is none.
    gone_at = time.monotonic()
    cloud.wait_for('the silence of the conductor', lambda: (
        time.monotonic() - gone_at > CONDUCTOR_SILENCE_S))
    cloud.crash('host1')
    cloud.wait_for('distrust of the own view', lambda: (
        cloud.store.host('host1').state,
        cloud.store.host('host1').reason) == ('suspect', 'own_view'))
    assert cloud.power()['host1'] == 'on'
    assert cloud.evacuate_casts == []
    cloud.resume('conductor')
