# SPDX-License-Identifier: Apache-2.0
"""True hosts with true guests fail; what runs is counted from outside.

The tests are one story on one lab, in this order. The last one is the
negative control: the same failure under a BMC that deceives, so that nothing
is fenced, must be seen as two running copies.
"""

import pytest

from nova_pets.tests.lab import bmc
from nova_pets.tests.lab import checker
from nova_pets.tests.truehosts import story as story_module


@pytest.fixture(scope='module')
def inhabitants(lab):
    """Pets and cattle on two hosts, all of them counting."""
    hosts = lab.plan.hosts
    pets = [lab.cloud.boot(f'pet{number}', host, {'ha': 'true'})
            for number, host in enumerate((hosts[0], hosts[0], hosts[1]))]
    cattle = [lab.cloud.boot(f'cow{number}', host)
              for number, host in enumerate(hosts[:2])]
    lab.cloud.wait_active(pets + cattle)
    return pets, cattle


@pytest.fixture
def story(lab, inhabitants, record_property):
    result = story_module.Story(lab, record_property)
    pets, cattle = inhabitants
    result.wait(lambda: 'all protected' in lab.pets('status')[1] and all(
        lab.beats(uuid) for uuid in pets + cattle), 60,
        'the pets are protected and count')
    return result


@pytest.fixture(scope='module')
def failed():
    """host -> pets that have left it."""
    return {}


def home(lab, uuid):
    [host] = checker.running(lab.truth.journal())[uuid]
    return host


def test_pets_of_a_host_that_is_killed_run_elsewhere_once(
        story, inhabitants, failed):
    lab, (pets, cattle) = story.lab, inhabitants
    host = home(lab, pets[0])
    failed[host] = pets[:2]
    assert story.lose(host, lab.fail_host, pets, cattle) == []
    # Nova has not been told to do anything to what is no pet.
    cow = lab.cloud.servers()[cattle[0]]
    assert cow['OS-EXT-SRV-ATTR:host'] == host
    assert not cow['OS-EXT-STS:task_state']
    story.mend(host)


def test_a_host_that_is_cut_off_is_off_before_its_pets_run_elsewhere(
        story, inhabitants, failed):
    """Its guests run on until it is fenced."""
    lab, (pets, cattle) = story.lab, inhabitants
    host = home(lab, pets[2])
    failed[host] = [uuid for uuid in pets if home(lab, uuid) == host]
    assert story.lose(host, lab.cut_off_host, pets, cattle) == []
    story.mend(host)


def test_hosts_that_come_back_run_nothing_that_left_them(
        story, inhabitants, failed):
    lab, (pets, _) = story.lab, inhabitants
    took = story.wait(story.is_normal, story_module.RECOVERED_S,
                      'all hosts are back')
    story.tell(f'{", ".join(failed)} are back and up {took:.1f} s later')
    places = checker.running(lab.truth.journal())
    beats = {uuid: lab.beats(uuid) for uuid in pets}
    for host, gone in failed.items():
        # Neither now nor when somebody starts what is left there.
        assert not [uuid for uuid in gone if host in places[uuid] or
                    uuid in story.defined(host)]
    assert checker.wrong(lab.truth.journal(), pets) == []
    assert {uuid: len(pids) for uuid, pids in lab.copies().items()
            if uuid in pets} == dict.fromkeys(pets, 1)
    # Nor did the clean-up on those hosts touch the disks.
    story.wait(lambda: all(lab.beats(uuid) > beats[uuid] for uuid in pets),
               story_module.BEAT_S, 'all pets count on')


def test_a_host_that_is_frozen_never_wakes_up_with_its_guests(
        story, inhabitants):
    lab, (pets, cattle) = story.lab, inhabitants
    host = home(lab, pets[0])
    assert story.lose(host, lab.freeze_host, pets, cattle) == []
    lab.thaw_host(host)
    assert checker.wrong(lab.truth.journal(), pets, not_on=[host]) == []
    assert all(len(lab.copies()[uuid]) == 1 for uuid in pets)


def test_without_a_fence_the_judge_sees_two_copies(story, inhabitants):
    """The negative control of all tests above."""
    lab, (pets, cattle) = story.lab, inhabitants
    assert checker.twice(lab.truth.journal()) == []
    assert story.is_judge_awake()
    host = home(lab, pets[0])
    moving = [uuid for uuid in pets if home(lab, uuid) == host]
    lab.set_bmc_mood(host, bmc.DECEIVES)
    found = story.lose(host, lab.cut_off_host, pets, cattle)
    story.tell(f'no fence: {len(moving)} pets, {len(found)} complaints of '
               'the judge')
    journal = lab.truth.journal()
    assert 'powered off: []' in found
    for uuid in moving:
        assert any(uuid in line for line in checker.twice(journal))
        assert any(f'({uuid}) runs on' in line for line in found)
        assert len(lab.copies()[uuid]) == 2
        assert any(f'{uuid} runs in the qemu' in line for line in found)
