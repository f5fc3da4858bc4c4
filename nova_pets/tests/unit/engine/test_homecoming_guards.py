# SPDX-License-Identifier: Apache-2.0
"""Each check of a host's way back by itself, and of a restart there."""

import dataclasses
import logging

import pytest

from nova_pets import exception
from nova_pets.engine import homecoming as hands
from nova_pets.model import actions
from nova_pets.model import observations
from nova_pets.model import policy
from nova_pets.model import states
from nova_pets.planning import homecoming
from nova_pets.planning import ladder
from nova_pets.tests.unit.engine import one_pet
from nova_pets.tests.unit.engine import world as worlds

H = states.HostState
HOST = 'host1'



def bench(reason='powering_on', state=H.RETURNING, **row):
    made = one_pet.Bench(host_state=state, host={'reason': reason, **row})
    made.door.answers['drain'] = lambda *args: observations.Drained(
        True, 0, 'empty')
    made.fencer.answers['power_on'] = lambda host, may_act: worlds.Told(
        may_act() is None, 'told')
    return made


def test_power_that_cannot_be_read_is_not_switched():
    made = bench()
    made.fencer.answers['read'] = one_pet.Reading(False, False, 'silent')
    made.do(actions.PowerOn(HOST, 0))
    assert made.host.reason == 'power_unreadable'
    assert 'power_on' not in made.fencer.names()
    assert made.host.owner is None


def test_a_supply_that_was_left_off_is_told_without_draining():
    made = bench()
    made.fencer.answers['read'] = one_pet.Reading(
        False, True, 'half', is_partly_off=True)
    made.do(actions.PowerOn(HOST, 0))
    assert made.host.reason == 'powered_on'
    assert 'power_on' in made.fencer.names()
    assert 'drain' not in made.door.names()


def test_both_supplies_are_told_after_one_draining():
    made = bench()
    made.fencer.answers['power_on'] = lambda host, may_act: worlds.Told(
        (may_act(), may_act()) == (None, None), 'told')
    made.do(actions.PowerOn(HOST, 0))
    assert made.door.names().count('drain') == 1


def test_a_device_that_fails_is_told_again_after_a_rest():
    made = bench()
    made.fencer.answers['power_on'] = worlds.Told(False, 'refused')
    made.do(actions.PowerOn(HOST, 0))
    assert made.host.reason == 'power_on_failed'
    assert made.memory.is_quiet(('return', HOST), made.clock.now + 1)


def test_an_engine_without_its_claims_powers_nothing_on():
    made = bench()

    def power_on(host, may_act):
        made.lose_claims()
        assert may_act() is not None
        return worlds.Told(False, 'stopped')
    made.fencer.answers['power_on'] = power_on
    made.do(actions.PowerOn(HOST, 0))
    assert 'drain' not in made.door.names()


def test_an_engine_without_its_claims_drops_nothing():
    made = bench('vacated', H.VACATED)

    def drain(cell, host, timeout_s, tell):
        made.lose_claims()
        tell(observations.Dropped('start_instance'))
    made.door.answers['drain'] = drain
    with pytest.raises(exception.ClaimsLost):
        made.do(actions.DrainQueue(HOST, 0))
    assert 'message_dropped' not in made.codes()


# -- the queue of a host that is empty ----------------------------------------


def test_a_drained_queue_is_written_beside_the_proof():
    made = bench('vacated', H.VACATED, evidence={'tcp': 'silent'})
    made.do(actions.DrainQueue(HOST, 0))
    assert made.host.evidence == {'tcp': 'silent',
                                  homecoming.DRAINED: 'empty'}
    assert (made.host.state, made.host.reason) == (H.VACATED, 'vacated')
    assert made.host.proof is not None and made.host.owner is None


def test_a_queue_that_is_not_drained_is_said_once():
    made = bench('vacated', H.VACATED)
    made.door.answers['drain'] = lambda *args: observations.Drained(
        False, 0, 'a consumer')
    for _ in range(2):
        made.do(actions.DrainQueue(HOST, made.host.generation))
        assert made.host.owner is None
    assert homecoming.DRAINED not in made.host.evidence
    assert made.codes().count('not_drained') == 1
    assert made.memory.is_quiet(('return', HOST),
                                made.clock.now + hands.REST_S - 1)


def test_a_broker_that_does_not_answer_is_not_drained():
    made = bench('vacated', H.VACATED)

    def away(*args):
        raise exception.NovaUnavailable(what='ask', found='it is away')
    made.door.answers['drain'] = away
    made.do(actions.DrainQueue(HOST, 0))
    assert made.host.reason == 'not_drained'


def test_an_engine_without_its_claims_does_not_look_at_the_queue():
    made = bench('vacated', H.VACATED)
    made.lose_claims()
    with pytest.raises(exception.ClaimsLost):
        made.do(actions.DrainQueue(HOST, 0))
    assert 'drain' not in made.door.names()


def test_a_queue_that_is_not_drained_means_no_power():
    made = bench()
    made.door.answers['drain'] = lambda *args: observations.Drained(
        False, 0, 'a consumer')
    made.do(actions.PowerOn(HOST, 0))
    assert made.host.reason == 'not_drained'
    assert made.memory.is_quiet(('return', HOST), made.clock.now + 1)


def test_what_was_done_has_no_rest():
    made = bench()
    made.do(actions.PowerOn(HOST, 0))
    assert made.host.reason == 'powered_on'
    assert not made.memory.is_quiet(('return', HOST), made.clock.now)


def test_a_host_that_is_on_is_told_nothing():
    made = bench()
    made.fencer.answers['read'] = one_pet.Reading(False, True, 'on')
    made.do(actions.PowerOn(HOST, 0))
    assert made.host.reason == 'powered_on'
    assert 'power_on' not in made.fencer.names()


# -- nova-compute restarted ---------------------------------------------------


def restart(made, number=1):
    snap = dataclasses.replace(made.snap(), ladders={
        HOST: policy.Ladder(after_s=60.0)})
    made.executor.execute(
        actions.RestartService(HOST, made.host.generation, number, 2), snap,
        made.policy)


def suspect(told=True):
    made = one_pet.Bench(host_state=H.SUSPECT)
    made.memory.saw_services([made.service()], one_pet.CELL,
                             made.clock.now + 5.0, 60.0)

    def restart_service(host, may_act):
        made.seen = (may_act(), made.host)
        return worlds.Told(told, 'said')
    made.fencer.answers['restart_service'] = restart_service
    return made


def test_a_try_is_counted_before_it_is_made():
    made = suspect()
    restart(made, 2)
    why_not, before = made.seen
    assert why_not is None
    assert before.evidence[ladder.TRIES] == 2
    assert before.reason == 'service_restart'
    assert before.owner == made.standing.id


@pytest.mark.parametrize('told, reason', [
    (True, 'service_restarted'), (False, 'service_restart_failed')])
def test_what_came_of_it_is_told_and_the_next_one_waits(told, reason):
    made = suspect(told)
    restart(made)
    assert made.host.reason == reason and made.host.owner is None
    assert made.memory.is_quiet(('return', HOST), made.clock.now + 59.0)
    assert not made.memory.is_quiet(('return', HOST), made.clock.now + 61.0)


def test_a_heartbeat_that_moves_after_all_keeps_it_from_being_restarted():
    made = suspect()
    made.memory.__init__()
    made.memory.saw_services([made.service(101)], one_pet.CELL,
                             made.clock.now, 60.0)
    restart(made)
    assert 'heartbeat' in made.seen[0]


def test_only_what_moves_a_host_is_logged_as_a_move(caplog):
    caplog.set_level(logging.INFO, 'nova_pets')
    made = bench('vacated', H.VACATED)
    made.do(actions.DrainQueue(HOST, 0))
    assert ' -> ' not in caplog.text
