# SPDX-License-Identifier: Apache-2.0
"""Each row of table 3 of specs/0002-states, on real Nova.

test_states.py lets people bring instances into their states; here are those
that no person can stop at, too. Of what nova-compute was at when its host
died only the row is left, and so it is written: after the host has died.
"""

import pytest

from nova_pets.planning import instance_states
from nova_pets.tests.functional import test_states
from nova_pets.tests.functional import windows

R = instance_states.Rule
TASKS = {task: rule for task, rule in instance_states.TASK_STATES.items()
         if task is not None}
ENDS = {R.RECOVER: test_states.RUNS, R.RUNNING: test_states.RUNS,
        R.STOPPED: test_states.STOPS}


def end_of(rule):
    if rule.rule is R.ABANDON:
        return test_states.left(rule.reason)
    return ENDS.get(rule.rule, test_states.operator(rule.reason))


def name_of(task):
    return 'in-' + task.replace('_', '-')


def write(uuid, **values):
    """Write columns of an instance's row, whatever it says."""
    from nova_pets.compute import nova as nova_door
    door = nova_door.NovaDoor()
    (cell,) = door.cells()
    door.update_instance(cell.uuid, uuid, {}, values)


@pytest.fixture
def make_story(make_cloud):
    def make(ends, **kwargs):
        from nova_pets.tests.cloud import pets as pets_cloud
        cloud = make_cloud(
            cloud_class=pets_cloud.PetsCloud, hosts=4, report_interval_s=3,
            **{'pets': windows.QUICK, **kwargs})
        return test_states.Story(cloud, ends)
    return make


def test_every_task_state_in_the_row_of_a_dead_host(make_story):
    story = make_story({name_of(task): end_of(rule)
                        for task, rule in TASKS.items()})
    cloud, ends = story.cloud, story.ends
    story.pets = cloud.boot_many({
        name: {'host': 'host1', 'metadata': windows.PET} for name in ends},
        timeout_s=250)
    cloud.wait_tracked(story.pets.values())
    with windows.Watch(cloud, story.pets.values()) as watch:
        cloud.crash('host1')
        for task in TASKS:
            write(story.pets[name_of(task)], task_state=task)
        story.wait_ends(ends)
        for name, end in ends.items():
            if end in (test_states.RUNS, test_states.STOPS):
                story.judge(name)
            else:
                assert cloud.running(story.pets[name]) == [], name
    assert not watch.doubles
