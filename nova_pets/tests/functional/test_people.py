# SPDX-License-Identifier: Apache-2.0
"""People act at the worst moment; every pet still ends up exactly once."""

import pytest

from nova_pets.tests.functional import windows

STOPPED = {'stopped'}
GONE = {'deleted', 'untagged', 'tag_false', 'deleted_in_spawn'}
NAMES = ('before', 'volume', 'stopped', 'rebooted', 'deleted', 'untagged',
         'tag_false', 'in_scheduling', 'in_spawn', 'untagged_in_spawn',
         'deleted_in_spawn', 'plain')


def _cloud(make_cloud):
    from nova_pets.tests.cloud import pets as pets_cloud
    return make_cloud(cloud_class=pets_cloud.PetsCloud, hosts=4,
                      report_interval_s=2, pets=windows.QUICK)


def _refused(cloud, uuid):
    return [event for event in cloud.store.history(instance_uuid=uuid)
            if event.code == 'foreign_refused']


def _end(cloud, order):
    assert cloud.store.end_control(order, 'user test', 'end')


def test_people_act_before_during_and_after(make_cloud):
    """One dead host, one story for each pet; see the comments."""
    cloud = _cloud(make_cloud)
    pets = cloud.boot_many({
        name: {'host': 'host1', 'bfv': name == 'volume',
               'metadata': windows.PET} for name in NAMES})
    cloud.wait_tracked(pets.values())
    paused = cloud.order('pause', 'host', 'host1')
    waiting = {name: cloud.order('pause', 'instance', pets[name])
               for name in ('volume', 'stopped', 'rebooted', 'deleted',
                            'untagged', 'tag_false')}
    spawns = {name: cloud.hold(None, 'spawn', instance=pets[name])
              for name in ('in_spawn', 'untagged_in_spawn',
                           'deleted_in_spawn')}
    scheduling = cloud.hold(None, 'receive:scheduler.select_destinations',
                            instance=pets['in_scheduling'])
    with windows.Watch(cloud, pets.values()) as watch:
        cloud.crash('host1')
        cloud.force_down('host1')
        cloud.wait_host('host1', 'down')
        _before(cloud, pets['before'])
        _end(cloud, paused)
        cloud.wait_host('host1', 'fenced')
        _on_the_dead_host(cloud, pets)
        for order in waiting.values():
            _end(cloud, order)
        _during(cloud, pets, scheduling, spawns)
        for name in NAMES:
            if name in GONE:
                cloud.wait_recovery(pets[name], 'abandoned', 90)
            else:
                windows.judge(cloud, pets[name], name in STOPPED)
    assert not watch.doubles
    _after(cloud, pets['plain'])
    for name in ('untagged', 'tag_false', 'deleted'):
        assert cloud.running(pets[name]) == []
        assert pets[name] not in [uuid for uuid, _ in cloud.evacuate_casts]


def _before(cloud, uuid):
    """The host is down for Nova, and not proven off: refused, not ERROR."""
    cloud.evacuate(uuid)
    cloud.wait_for('the refusal', lambda: _refused(cloud, uuid))
    assert cloud.server(uuid)['OS-EXT-STS:vm_state'] == 'active'
    assert cloud.running(uuid) == []


def _on_the_dead_host(cloud, pets):
    """Proven off, and no attempt yet."""
    for name in ('volume', 'stopped', 'rebooted', 'untagged', 'tag_false'):
        cloud.wait_recovery(pets[name], 'ready')
    cloud.stop(pets['stopped'])
    cloud.reboot(pets['rebooted'])
    cloud.delete(pets['deleted'])
    cloud.delete_metadata(pets['untagged'], 'ha')
    cloud.set_metadata(pets['tag_false'], ha='false')
    # A boot from volume cannot lose its disk: taken over as the attempt.
    cloud.evacuate(pets['volume'])
    cloud.wait_for('the take-over', lambda: [
        attempt for attempt in cloud.attempts(pets['volume'])
        if attempt.kind == 'foreign'])


def _during(cloud, pets, scheduling, spawns):
    scheduling.wait()
    cloud.evacuate(pets['in_scheduling'])
    scheduling.release()
    cloud.wait_for('the refusal', lambda: _refused(
        cloud, pets['in_scheduling']))
    for hold in spawns.values():
        hold.wait()
    # Nova writes 'rebuilding' over 'rebuild_spawning' before it asks the
    # scheduler: the attempt fails with its guest running (W14).
    cloud.evacuate(pets['in_spawn'])
    cloud.wait_for('the refusal', lambda: _refused(cloud, pets['in_spawn']))
    cloud.delete_metadata(pets['untagged_in_spawn'], 'ha')
    cloud.delete(pets['deleted_in_spawn'])
    for hold in spawns.values():
        hold.release()


def _after(cloud, uuid):
    with pytest.raises(Exception, match='(?i)still in use|is up|409|400'):
        cloud.evacuate(uuid)
    windows.judge(cloud, uuid)


def test_somebody_else_has_built_a_guest_already(make_cloud):
    """F3: the row says ACTIVE on the dead host, the guest runs elsewhere.

    One destination lives on and finishes; the other one dies.
    """
    cloud = _cloud(make_cloud)
    uuids = cloud.boot_many({
        name: {'host': 'host1', 'metadata': windows.PET}
        for name in ('finishes', 'dies')})
    finishes, dies = uuids['finishes'], uuids['dies']
    cloud.wait_tracked(uuids.values())
    paused = cloud.order('pause', 'host', 'host1')
    with windows.Watch(cloud, uuids.values()) as watch:
        cloud.crash('host1')
        cloud.force_down('host1')
        cloud.wait_host('host1', 'down')
        # A forced host bypasses scheduling, and so every gate.
        holds = {}
        for uuid, host in ((finishes, 'host2'), (dies, 'host3')):
            holds[uuid] = cloud.hold(host, 'before_finish', instance=uuid)
            cloud.evacuate(uuid, host=host, force=True, microversion='2.30')
        for uuid, hold in holds.items():
            hold.wait()
            server = cloud.server(uuid)
            assert server['OS-EXT-SRV-ATTR:host'] == 'host1'
            assert server['OS-EXT-STS:task_state'] is None
            assert len(cloud.running(uuid)) == 1
        _end(cloud, paused)
        for uuid in uuids.values():
            cloud.wait_recovery(uuid, 'settling')
        cloud.crash('host3')
        holds[finishes].release()
        assert windows.judge(cloud, finishes) == 'host2'
        assert windows.judge(cloud, dies) in ('host2', 'host4')
    assert not watch.doubles
    assert cloud.starts(finishes) == {'host1': 1, 'host2': 1}
    cloud.restart('host3')
    cloud.wait_for('host3 to clean up', lambda: dies not in
                   cloud.guests()['host3'])
