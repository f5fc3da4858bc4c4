# SPDX-License-Identifier: Apache-2.0
"""A real failure, and storms that are none, on separate real processes.

The tests are one story on one lab, in this order: a host fails before the
storms and another after them. NOVA_PETS_LAB_STORM_S makes storms longer or
shorter; the database is stalled for three minutes at least.
"""

import os

import pytest

from nova_pets.tests import conftest as tiers
from nova_pets.tests.lab import checker
from nova_pets.tests.lab import clock
from nova_pets.tests.lab import preload
from nova_pets.tests.lab import story as story_module

STORM_S = int(os.environ.get('NOVA_PETS_LAB_STORM_S', '20'))
STALL_S = max(STORM_S, 180)


@pytest.fixture(scope='module')
def inhabitants(lab):
    """Pets and a cow on a host of each cell, and some on another."""
    def boot(name, metadata, *hosts):
        return [lab.cloud.boot(f'{name}{number}', host, metadata)
                for number, host in enumerate(hosts)]
    first, other, far = 'host1', 'host2', lab.plan.hosts_of('cell2')[0]
    pets = boot('pet', {'ha': 'true'}, first, first, first, first, other,
                other, far, far)
    cattle = boot('cow', {}, first, other, far)
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
        lambda: story.lab.partition('*', 'database', 'stall'), STALL_S,
        lambda: story.lab.partition('*', 'database', 'pass'))


def test_a_broker_that_is_cut_off_fences_nobody(story):
    story.storm(
        'broker cut off',
        lambda: story.lab.partition('*', 'broker', 'cut'), STORM_S,
        lambda: story.lab.partition('*', 'broker', 'pass'))


def test_a_failure_in_another_cell_is_recovered_in_a_storm(
        story, inhabitants):
    """All of cell1 is silent but for its machines; cell2 loses a host.

    More hosts are silent in cell1 than [pets_fencing] storm_hosts: that cell
    is held back, and does not count for the other.
    """
    lab, (pets, cattle) = story.lab, inhabitants
    silent = [name for name, cell in lab.plan.conductors.items()
              if cell == 'cell1'] + lab.plan.hosts_of('cell1')
    failing = lab.plan.hosts_of('cell2')[0]
    for name in silent:
        lab.partition(name, 'broker', 'cut')
    story.wait(lambda: all(
        lab.cloud.computes()[host]['state'] == 'down'
        for host in lab.plan.hosts_of('cell1')), 120, 'cell1 is silent')
    try:
        story.fail(failing, pets, cattle)
    finally:
        for name in silent:
            lab.partition(name, 'broker', 'pass')
    story.take_back(failing)


def test_dead_conductors_fence_nobody(story):
    known = story.lab.processes

    def kill():
        for name in story.lab.plan.conductors:
            known.kill(name)

    def start():
        for name in story.lab.plan.conductors:
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


@pytest.fixture(scope='module')
def own_clocks(lab):
    """All nova-schedulers started again, with clocks that can be stepped."""
    try:
        clock.library(lab.plan.directory)
    except preload.NoCompiler as error:
        tiers.require('lab', str(error))
    for name in lab.plan.scheduler_names:
        lab.processes.kill(name)
        lab.start_with_own_clock(name)


@pytest.mark.parametrize('seconds', [3600, -3600])
def test_a_stepped_clock_fences_nobody(story, own_clocks, seconds):
    """Of a nova-scheduler whose engine is at work."""
    lab = story.lab
    story.wait(lambda: story.is_normal() and lab.observers(), 120,
               'engines are at work')
    name = lab.observers()[0]

    def step():
        lab.step_clock(name, seconds)
        story.wait(lambda: abs(lab.clock_ahead_s(name) - seconds) < 60, 60,
                   f'the clock of {name} is stepped')
    story.storm(f'clock of {name} stepped by {seconds} s', step, STORM_S,
                lambda: lab.step_clock(name, 0))


@pytest.fixture
def database(own_server):
    """The server of this lab, with a clock that can be stepped."""
    if own_server is None:
        pytest.skip('the database is shared: NOVA_PETS_LAB_DATABASE=own')
    yield own_server
    own_server.step(0)


@pytest.mark.parametrize('seconds', [3600, -3600])
def test_a_stepped_clock_of_the_database_fences_nobody(story, database,
                                                       seconds):
    def step():
        database.step(seconds)
        assert abs(database.ahead_s() - seconds) < 60
    story.storm(f'clock of the database stepped by {seconds} s', step,
                STORM_S, lambda: database.step(0))


def test_two_hosts_that_fail_while_the_database_is_an_hour_ahead(
        story, database, inhabitants):
    """At the same time, one of each cell: no storm, two real failures."""
    pets, cattle = inhabitants
    places = checker.running(story.lab.truth.journal())
    failing = [min(host for uuid in pets for host in places[uuid]
                   if host in story.lab.plan.hosts_of(cell))
               for cell in story.lab.plan.cell_names]
    database.step(3600)
    story.fail(failing, pets, cattle)
    database.step(0)
    story.take_back(*failing)


def test_after_the_storms_a_real_failure_is_recovered(story, inhabitants):
    pets, cattle = inhabitants
    places = checker.running(story.lab.truth.journal())
    host = min(host for uuid in pets for host in places[uuid])
    story.fail(host, pets, cattle)
