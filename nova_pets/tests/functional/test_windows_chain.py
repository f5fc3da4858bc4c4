# SPDX-License-Identifier: Apache-2.0
"""One failure after the other, and Nova's own services failing meanwhile.

The first story follows three pets from host to host as each one dies; the
others take what Nova needs for an evacuation away while one is under way.
"""

import pytest

from nova_pets.tests.functional import windows

SCHEDULE = 'receive:scheduler.select_destinations'


@pytest.fixture
def make_pets_cloud(make_cloud):
    def make(**kwargs):
        from nova_pets.tests.cloud import pets
        return make_cloud(cloud_class=pets.PetsCloud, report_interval_s=2,
                          **kwargs)
    return make


def boot(cloud, host, *names, **kwargs):
    found = cloud.boot_many({
        name: dict(host=host, metadata=windows.PET, **kwargs)
        for name in names})
    return list(found.values())


def let_in(cloud, *hosts):
    """Let new instances be built on these hosts alone. The dead ones have
    to be among them: a disabled host is never fenced."""
    for host, service in cloud.compute_services().items():
        wanted = 'enabled' if host in hosts else 'disabled'
        if service['state'] == 'up' and service['status'] != wanted:
            cloud.update_service(host, status=wanted)


def test_pets_go_on_when_their_destinations_die_in_turn(make_pets_cloud):
    """S dies, D while it is verified, E after it was; then all return."""
    cloud = make_pets_cloud(hosts=4, pets={'pets': {'verify_watch': 15}})
    running, stopped = boot(cloud, 'host1', 'running', 'stopped')
    cloud.stop(stopped)
    cloud.wait_server(stopped, status='SHUTOFF', task_state=None)
    pets = {running: False, stopped: True}
    cloud.wait_tracked(pets)
    with windows.Watch(cloud, pets) as watch:
        let_in(cloud, 'host1', 'host2')
        cloud.crash('host1')
        for uuid in pets:
            cloud.wait_recovery(uuid, 'verifying')
        cloud.crash('host2')
        let_in(cloud, 'host1', 'host2', 'host3')
        for uuid, is_stopped in pets.items():
            assert windows.judge(cloud, uuid, is_stopped) == 'host3'
            assert 'rebased' in windows.codes(cloud, uuid)
        let_in(cloud, 'host1', 'host2', 'host3', 'host4')
        cloud.crash('host3')
        for uuid in pets:
            cloud.wait_for('the third recovery', lambda uuid=uuid:
                           cloud.recovery(uuid).source == 'host3')
        for uuid, is_stopped in pets.items():
            assert windows.judge(cloud, uuid, is_stopped) == 'host4'
        # The last one first: each asks the next whether disks are shared.
        for host in ('host3', 'host2', 'host1'):
            cloud.wait_host(host, 'vacated')
            cloud.restart(host)
        for host in ('host1', 'host2', 'host3'):
            cloud.wait_host(host, 'up')
            assert not set(cloud.guests()[host]) & set(pets)
        for uuid, is_stopped in pets.items():
            assert windows.judge(cloud, uuid, is_stopped) == 'host4'
            assert set(cloud.allocations(uuid)) == {'host4'}
            assert cloud.starts(uuid)['host4'] == 1
    assert not watch.doubles


def test_two_hosts_at_once_and_the_conductor_is_killed(make_pets_cloud):
    """W4: the scheduler's answer claims room for a conductor that is gone.
    """
    cloud = make_pets_cloud(hosts=4, pets=windows.QUICK)
    pets = boot(cloud, 'host1', 'a1', 'a2') + boot(cloud, 'host2', 'b1', 'b2')
    cloud.wait_tracked(pets)
    hold = cloud.hold('scheduler', SCHEDULE)
    with windows.Watch(cloud, pets) as watch:
        cloud.crash('host1')
        cloud.crash('host2')
        for uuid in pets:
            hold.wait(uuid, timeout_s=60)
        cloud.restart('conductor')
        hold.release()
        for uuid in pets:
            assert windows.judge(cloud, uuid) in ('host3', 'host4')
            assert len(cloud.attempts(uuid)) > 1, cloud.story(uuid)
            assert 'scheduling_lost' in windows.codes(cloud, uuid)
            assert sum(cloud.starts(uuid).values()) == 2
    assert not watch.doubles
    assert (cloud.power()['host1'], cloud.power()['host2']) == ('off', 'off')


@pytest.mark.parametrize('is_stopped', [False, True],
                         ids=['running', 'stopped'])
def test_placement_is_away(make_pets_cloud, is_stopped):
    """W6: Nova writes ERROR over what cannot be placed."""
    cloud = make_pets_cloud(hosts=3, pets=windows.QUICK)
    uuid, = boot(cloud, 'host1', 'db1')
    if is_stopped:
        cloud.stop(uuid)
        cloud.wait_server(uuid, status='SHUTOFF', task_state=None)
    cloud.wait_tracked([uuid])
    with windows.Watch(cloud, [uuid]) as watch:
        cloud.crash('host1')
        cloud.wait_host('host1', 'fenced')
        away = cloud.placement_down()
        cloud.wait_for('an attempt in vain', lambda: cloud.attempts(uuid))
        cloud.wait_for('its trace', lambda: (
            {'scheduling_lost', 'no_valid_host', 'request_uncertain'}
            & windows.codes(cloud, uuid)))
        away.release()
        windows.judge(cloud, uuid, is_stopped)
    assert not watch.doubles
    assert sum(cloud.starts(uuid).values()) == 2


def test_the_database_is_away_behind_spawn(make_pets_cloud):
    """W11: the guest runs on a living destination that cannot say so."""
    from oslo_db import exception as db_exc
    cloud = make_pets_cloud(hosts=3, pets=windows.QUICK)
    uuid, = boot(cloud, 'host1', 'db1')
    cloud.wait_tracked([uuid])
    hold = cloud.hold(None, 'after_spawn', instance=uuid)
    with windows.Watch(cloud, [uuid]) as watch:
        cloud.crash('host1')
        hold.wait(uuid, timeout_s=60)
        where, = cloud.running(uuid)
        cloud.fail(where, 'db', db_exc.DBConnectionError, times=3)
        hold.release()
        assert windows.judge(cloud, uuid) == where
    assert not watch.doubles
    assert cloud.starts(uuid)[where] == 1
    assert 'adopted' in windows.codes(cloud, uuid), cloud.story(uuid)


def test_a_living_destination_is_never_released_by_a_timeout(
        make_pets_cloud):
    """Its thread may be inside spawn for as long as it likes; a person is
    told, and nobody is needed when it ends after all."""
    cloud = make_pets_cloud(hosts=3, pets={'pets': {
        **windows.QUICK['pets'], 'building_alarm': 30}})
    uuid, = boot(cloud, 'host1', 'db1')
    cloud.wait_tracked([uuid])
    hold = cloud.hold(None, 'spawn', instance=uuid)
    long_s = 2 * windows.QUICK['pets']['scheduling_timeout']
    with windows.Watch(cloud, [uuid]) as watch:
        cloud.crash('host1')
        hold.wait(uuid, timeout_s=60)
        row = cloud.wait_recovery(uuid, 'building')
        cloud.wait_for('a long time in building', lambda: (
            cloud.store.now() - row.since_at).total_seconds() > long_s)
        assert cloud.recovery(uuid).state == 'building', cloud.story(uuid)
        told = cloud.wait_recovery(uuid, 'needs_operator')
        assert told.reason == 'building_slow', cloud.story(uuid)
        assert cloud.running(uuid) == []
        hold.release()
        windows.judge(cloud, uuid)
    assert not watch.doubles
    assert len(cloud.evacuate_casts) == 1
