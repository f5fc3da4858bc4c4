# SPDX-License-Identifier: Apache-2.0
"""Engines in processes of their own die by os._exit, one after the other.

One failure of a host, and a death at each of the steps of the attempt
protocol; the next process goes on with what the rows say. Which points there
are, and the death at each of them alone, is in test_crash_points.py.
"""

import pytest

from nova_pets.tests.functional import windows

SPARES = ('spare1', 'spare2')
QUICK = {'pets': {'claim_ttl': 2, 'verify_watch': 0.3, 'locate_after': 0.5,
                  'scheduling_timeout': 10}}

DEATHS = (
    'before power_off host',
    'after power_off host',
    'commit advance_recovery active requesting attempt_begun',
    'after update_instance active task rebuilding',
    'before evacuate active',
    'after evacuate active')


# Nova 31 runs in green threads, and a fork of these takes their hub along.
@pytest.mark.nova('33', '34')
def test_processes_die_and_the_recovery_goes_on(our_options):
    from nova_pets.tests.cloud import outpost as outpost_module
    cloud = outpost_module.SharedCloud(
        hosts={host: 'cell1' for host in ('host1', *SPARES)},
        pets=QUICK, report_interval_s=1)
    with cloud, outpost_module.Outpost(cloud) as outpost:
        uuids = cloud.boot_many({
            name: {'host': 'host1', 'metadata': windows.PET}
            for name in ('active', 'stopped')})
        cloud.stop(uuids['stopped'])
        cloud.wait_server(uuids['stopped'], status='SHUTOFF',
                          task_state=None)
        known = {'host1': 'host', uuids['active']: 'active',
                 uuids['stopped']: 'stopped'}
        workers = iter(range(1, 100))
        pid = outpost.begin('engine%d' % next(workers), known, DEATHS[0])
        cloud.wait_tracked(uuids.values())
        with windows.Watch(cloud, uuids.values()) as watch:
            cloud.crash('host1')
            for number, point in enumerate(DEATHS):
                assert outpost.wait(pid) == outpost.DEATH, (
                    '%s\n%s\n%s' % (point, cloud.story(), outpost.tail()))
                _look(cloud, point, uuids['active'])
                pid = outpost.begin(
                    'engine%d' % next(workers), known,
                    (*DEATHS, None)[number + 1])
            for name, uuid in uuids.items():
                windows.judge(cloud, uuid, is_stopped=name == 'stopped')
            cloud.wait_host('host1', 'vacated')
        assert not watch.doubles
        for uuid in uuids.values():
            casts = [cast for cast in cloud.evacuate_casts
                     if cast[0] == uuid]
            assert len(casts) == 1, cloud.story(uuid)
            assert sum(count for host, count in cloud.starts(uuid).items()
                       if host in SPARES) == 1, cloud.story(uuid)
        assert outpost.wait(pid, 0.1) is None


def _look(cloud, point, uuid):
    """See that it died there: what is done is done, and no more."""
    done = DEATHS.index(point)
    assert cloud.power()['host1'] == ('off' if done > 0 else 'on')
    if done < 3:
        assert cloud.server(uuid)['OS-EXT-STS:task_state'] is None
    casts = [cast for cast in cloud.evacuate_casts if cast[0] == uuid]
    assert not casts or done == 5
