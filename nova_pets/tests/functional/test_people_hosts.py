# SPDX-License-Identifier: Apache-2.0
"""People force hosts down and up at the wrong moment."""

import pytest

from nova_pets.tests.functional import windows


def _cloud(make_cloud):
    from nova_pets.tests.cloud import pets as pets_cloud
    return make_cloud(cloud_class=pets_cloud.PetsCloud, hosts=4,
                      report_interval_s=2, pets=windows.QUICK)


def test_a_living_host_is_forced_down_and_its_pet_evacuated(make_cloud):
    """W20: with the gate no second copy is built; nothing is fenced. What
    the refused requests left would destroy the guests at the next start of
    nova-compute (F8): the engine clears it away at once, while its host is
    still forced down, and the rest when it is not."""
    cloud = _cloud(make_cloud)
    pets = windows.boot(cloud, ['evacuated', 'stopped_evacuated'])
    with windows.Watch(cloud, pets.values()) as watch:
        cloud.force_down('host1')
        for uuid in pets.values():
            cloud.evacuate(uuid)
        for name, uuid in pets.items():
            cloud.wait_for('the refusal', lambda uuid=uuid: (
                'foreign_refused' in windows.codes(cloud, uuid)))
            assert cloud.running(uuid) == (
                [] if name.startswith('stopped') else ['host1'])
            assert cloud.starts(uuid) == {'host1': 1}
        for uuid in pets.values():
            cloud.wait_for('the audit', lambda uuid=uuid: not windows.dangers(
                cloud, uuid, 'host1'), windows.PATIENCE_S)
        cloud.force_down('host1', False)
        for name, uuid in pets.items():
            cloud.wait_server(
                uuid, windows.PATIENCE_S, task_state=None,
                status='SHUTOFF' if name.startswith('stopped') else 'ACTIVE')
        cloud.silence_service('host1')
        cloud.restart('host1')
        for name, uuid in pets.items():
            assert cloud.guests()['host1'][uuid] == (
                'shutdown' if name.startswith('stopped') else 'running')
            assert set(cloud.allocations(uuid)) == {'host1'}
    assert not watch.doubles
    assert cloud.store.host('host1').state == 'up'
    assert cloud.power()['host1'] == 'on'
    story = cloud.story(pets['evacuated'])
    assert 'host1 is not proven off' in story, story


def test_a_dead_host_is_forced_down_and_up_again_and_again(make_cloud):
    """Before it is seen, twice while pets build, and after the recovery."""
    cloud = _cloud(make_cloud)
    pets = windows.boot(cloud, ['ready', 'building', 'stopped_building'])
    waiting = cloud.order('pause', 'instance', pets['ready'])
    holds = [cloud.hold('compute', 'spawn', instance=pets[name])
             for name in ('building', 'stopped_building')]
    with windows.Watch(cloud, pets.values()) as watch:
        cloud.crash('host1')
        cloud.force_down('host1')
        cloud.wait_host('host1', 'fenced', windows.PATIENCE_S)
        for hold in holds:
            hold.wait(timeout_s=windows.PATIENCE_S)
        _force_up(cloud, times=1)
        _force_up(cloud, times=2)
        # From the first one that is done Nova refuses it.
        for hold in holds:
            hold.release()
        assert cloud.store.end_control(waiting, 'user test', 'end')
        for name, uuid in pets.items():
            windows.judge(cloud, uuid, name.startswith('stopped'))
        cloud.wait_host('host1', 'vacated', windows.PATIENCE_S)
        # Nova itself refuses it as long as evacuated guests may be there.
        with pytest.raises(Exception, match='migration records'):
            cloud.force_down('host1', False)
        for name, uuid in pets.items():
            windows.judge(cloud, uuid, name.startswith('stopped'))
    assert not watch.doubles
    downs = [event for event in cloud.store.history(host='host1')
             if event.to_state == 'down']
    assert 'forced_down' in str(downs[0].evidence), downs


def _force_up(cloud, times):
    """Take forced_down away; it is set again, and the history says why."""
    def told():
        return [event for event in cloud.store.history(host='host1')
                if event.code == 'forced_up_by_others']
    cloud.force_down('host1', False)
    cloud.wait_for('being forced down again', lambda: (
        len(told()) == times and
        cloud.compute_services()['host1']['forced_down']),
        windows.PATIENCE_S)
