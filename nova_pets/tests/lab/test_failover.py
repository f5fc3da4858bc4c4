# SPDX-License-Identifier: Apache-2.0
"""A real failure, and storms that are none, on separate real processes.

The tests are one story on one lab, in this order: a host fails before the
storms and another after them. The first storm stands for what a cloud suffers
in a bad hour; NOVA_PETS_LAB_STORM_S makes them last longer.
"""

import os

import pytest

from nova_pets.tests import conftest as tiers
from nova_pets.tests.lab import checker
from nova_pets.tests.lab import deeds
from nova_pets.tests.lab import story as story_module

STORM_S = int(os.environ.get('NOVA_PETS_LAB_STORM_S', '20'))
PETS, CATTLE = 6, 2


@pytest.fixture(scope='module')
def inhabitants(lab):
    """Four pets and a cow on host1, the others on host2."""
    def boot(name, number, metadata):
        return [lab.cloud.boot(
            f'{name}{index}', metadata=metadata,
            host='host1' if index < 2 * number // 3 else 'host2')
            for index in range(number)]
    pets, cattle = boot('pet', PETS, {'ha': 'true'}), boot('cow', CATTLE, {})
    lab.cloud.wait_active(pets + cattle)
    return pets, cattle


@pytest.fixture
def story(lab, record_property):
    return story_module.Story(lab, record_property)


def test_pets_of_a_host_that_hangs_run_elsewhere_once(story, inhabitants):
    pets, cattle = inhabitants
    story.wait(lambda: 'all protected' in story.lab.pets('status')[1], 60,
               'the pets are protected')
    story.fail('host1', pets, cattle)
    story.take_back('host1')
    assert checker.wrong(story.lab.truth.journal(), pets) == []


def test_a_stalled_database_fences_nobody(story):
    story.storm(
        'database stalled',
        lambda: story.lab.partition('*', 'database', 'stall'), STORM_S,
        lambda: story.lab.partition('*', 'database', 'pass'))


def test_a_broker_that_is_cut_off_fences_nobody(story):
    story.storm(
        'broker cut off',
        lambda: story.lab.partition('*', 'broker', 'cut'), STORM_S,
        lambda: story.lab.partition('*', 'broker', 'pass'))


def test_dead_conductors_fence_nobody(story):
    known = story.lab.processes

    def kill():
        for name in ('super', 'conductor'):
            known.kill(name)

    def start():
        for name in ('super', 'conductor'):
            known.start(name)
    story.storm('all conductors dead', kill, STORM_S, start)


def test_all_computes_restarted_at_once_fence_nobody(story):
    hosts = story.lab.plan.hosts

    def restart():
        for host in hosts:
            story.lab.processes.kill(host)
            story.lab.start_late(host, STORM_S)
    story.storm('all nova-computes restarted, slow', restart, STORM_S,
                lambda: None)


def test_lost_heartbeats_fence_nobody(story):
    story.storm('60 % of heartbeats lost',
                lambda: story.lab.lose_heartbeats(0.6), 2 * STORM_S,
                lambda: story.lab.lose_heartbeats(0))


@pytest.mark.parametrize('seconds', [3600, -3600])
def test_a_stepped_clock_fences_nobody(story, seconds):
    name = story.lab.plan.scheduler_names[0]

    def step():
        story.lab.processes.kill(name)
        try:
            story.lab.start_with_own_clock(name)
        except FileNotFoundError as error:
            story.lab.processes.start(name)
            tiers.require('lab', f'{error} is not installed')
        story.wait(lambda: story.lab.pets('status')[0] == 0, 90,
                   'the engines are at work')
        story.lab.step_clock(name, seconds)
    story.storm(f'clock of a scheduler stepped by {seconds} s', step,
                STORM_S, lambda: story.lab.step_clock(name, 0))


def test_after_the_storms_a_real_failure_is_recovered(story, inhabitants):
    pets, cattle = inhabitants
    places = checker.running(story.lab.truth.journal())
    host = min(host for uuid in pets for host in places[uuid])
    story.fail(host, pets, cattle)


def test_faketime_is_where_it_is_looked_for():
    if not any(path.exists() for path in deeds.FAKETIME):
        tiers.require('lab', 'libfaketime (package faketime) is not '
                             'installed')
