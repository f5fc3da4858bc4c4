# SPDX-License-Identifier: Apache-2.0
"""The scheduler and the conductor are killed with requests in their hands.

Windows W1 to W3 and W5: each pet is at another point of one request when the
processes that hold it die at once; who comes after them finds only rows.
"""

import pytest

from nova_pets.tests.functional import windows

POINTS = {
    'before_any_record': ('scheduler', 'neutron'),
    'before_the_cast': ('scheduler', 'publish:conductor.rebuild_instance'),
    'before_the_first_event': (
        'conductor', 'receive:conductor.rebuild_instance'),
    'while_scheduling': (
        'scheduler', 'receive:scheduler.select_destinations'),
}


@pytest.fixture(scope='module')
def scene():
    from nova_pets.tests.cloud import pets as pets_cloud
    with pets_cloud.PetsCloud(hosts=3, report_interval_s=2,
                              pets=windows.QUICK) as cloud:
        names = [prefix + name for name in POINTS
                 for prefix in ('', 'stopped_')]
        pets = windows.boot(cloud, names)
        holds = {
            name: cloud.hold(*POINTS[name.removeprefix('stopped_')],
                             instance=pets[name]) for name in names}
        with windows.Watch(cloud, pets.values()) as watch:
            cloud.crash('host1')
            for hold in holds.values():
                hold.wait(timeout_s=windows.PATIENCE_S)
            cloud.restart('conductor')
            cloud.restart('scheduler')
            for hold in holds.values():
                hold.release()
            yield cloud, pets, watch


@pytest.mark.parametrize('prefix', ['', 'stopped_'])
@pytest.mark.parametrize('point', POINTS)
def test_others_go_on_with_what_the_dead_had_begun(scene, point, prefix):
    cloud, pets, watch = scene
    uuid = pets[prefix + point]
    windows.judge(cloud, uuid, bool(prefix))
    attempts = cloud.attempts(uuid)
    assert len(attempts) > 1, cloud.story(uuid)
    outcomes = [attempt.outcome for attempt in attempts]
    assert 'failed' in outcomes, cloud.story(uuid)
    assert outcomes[-1] == 'succeeded', cloud.story(uuid)
    assert {'owner_lost', 'scheduling_lost'} & windows.codes(cloud, uuid)
    assert sum(cloud.starts(uuid).values()) == 2
    assert not watch.doubles
