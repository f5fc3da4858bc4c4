# SPDX-License-Identifier: Apache-2.0
"""Each condition about a host by itself: what would be done without it."""

import pytest

from nova_pets.model import actions
from nova_pets.model import observations
from nova_pets.model import states
from nova_pets.planning import safety
from nova_pets.tests.unit.planning import samples
from nova_pets.tests.unit.planning import test_hosts

H = states.HostState
C = states.ControlKind
OBSERVE = samples.policy_with(mode=states.Mode.OBSERVE)
plan, told = test_hosts.plan, test_hosts.told


def at(state, **values):
    return samples.host_view(state=state, **values)


# -- orders of people ---------------------------------------------------------


@pytest.mark.parametrize('state', [H.DOWN, H.UNPROVEN, H.RETURNING,
                                   H.QUARANTINED, H.SUSPECT], ids=str)
def test_a_fence_order_is_obeyed_whether_pets_need_it_or_not(state):
    order = samples.control(C.FENCE)
    assert told(plan(at(state), is_wanted=False, controls=(order,))) == [
        'FenceHost operator_fence', 'EndControl']


def test_a_fence_order_is_for_one_host():
    order = samples.control(C.FENCE, 'all', '')
    assert 'FenceHost operator_fence' not in told(
        plan(at(H.DOWN), controls=(order,)))


def test_a_fence_order_waits_while_the_view_is_not_trusted():
    order = samples.control(C.FENCE)
    assert told(plan(at(H.DOWN), controls=(order,), is_sane=False)) == [
        'Hold own_view']


def test_a_fence_order_without_a_device_is_refused():
    order = samples.control(C.FENCE)
    [ended] = plan(at(H.DOWN), controls=(order,), fence_bindings=frozenset())
    assert ended == actions.EndControl(order, 'refused: no_fence')


def test_a_persons_word_counts_where_the_engine_that_fenced_is_gone():
    word = samples.control(C.CONFIRM_FENCED, epoch=1)
    moved, ended = plan(at(H.FENCING), controls=(word,))
    assert moved.event == 'confirmed'
    assert ended == actions.EndControl(word, 'taken as proof')


def test_a_proof_keeps_the_count_that_the_heartbeat_had():
    word = samples.control(C.CONFIRM_FENCED, epoch=1)
    moved, _ = plan(at(H.DOWN), controls=(word,))
    assert (moved.proof, moved.proof_count) == (
        states.ProofKind.CONFIRMED, 100)


def test_an_order_that_has_ended_is_not_obeyed():
    order = samples.control(C.PAUSE, active=False)
    assert told(plan(at(H.DOWN), controls=(order,))) == ['FenceHost fence']


@pytest.mark.parametrize('scope', ['cell', 'instance', 'elsewhere'])
def test_an_order_is_about_what_its_scope_says(scope):
    """A host, a cell and an instance may share a name."""
    order = samples.control(C.PAUSE, scope, 'host1')
    found = safety.control_for((order,), C.PAUSE, host='host1',
                               cell_uuid='cell', instance='i1')
    assert found is None


@pytest.mark.parametrize('scope, names', [
    ('cell', {'instance': 'x', 'cell_uuid': 'c'}),
    ('instance', {'cell_uuid': 'x', 'instance': 'i1'}),
    ('host', {'instance': 'x', 'host': 'h'})])
def test_a_name_of_another_scope_does_not_count(scope, names):
    order = samples.control(C.PAUSE, scope, 'x')
    assert safety.control_for((order,), C.PAUSE, **names) is None


# -- fencing ------------------------------------------------------------------


def test_the_first_request_does_not_wait_for_the_pause_of_retries():
    assert told(plan(at(H.DOWN, state_s=0.0))) == ['FenceHost fence']


NEW_DEVICE = {'row': {'reason': 'no_fence'}}


def test_a_new_device_is_used_at_once():
    assert told(plan(at(H.UNPROVEN, **NEW_DEVICE))) == ['FenceHost fence']


@pytest.mark.parametrize('values', [
    {'fence_bindings': frozenset()}, {'is_wanted': False},
    {'is_sane': False}],
    ids=['not bound', 'not needed', 'own view not trusted'])
def test_a_new_device_is_not_used(values):
    assert not plan(at(H.UNPROVEN, **NEW_DEVICE), **values)


RETRY_S = samples.POLICY.fence_retry_s


@pytest.mark.parametrize('values, expected', [
    ({}, ['ReadPower']),
    ({'state_s': RETRY_S - 1}, []),
    ({'is_resting': True}, []),
    ({'power_off_s': 1.0}, ['FenceHost fence']),
    ({'power_off_s': 1.0, 'evidence': (samples.LIVE_TCP,)}, []),
    ({'power_off_s': samples.POLICY.fence_fresh_s + 1}, ['ReadPower']),
    ({'power_off_s': 4.0, 'state_s': 3.0 + RETRY_S}, ['FenceHost fence']),
    ({'power_off_s': 61.0}, ['ReadPower'])],
    ids=['is read', 'not at once', 'was read a moment ago, and is not off',
         'is off by now', 'off, but its port answers', 'was off a while ago',
         'is off since', 'was off before the attempt'])
def test_a_host_that_could_not_be_fenced_is_proven_once_it_is_off(
        values, expected):
    """What still runs is not fenced again: a person may be at work on it."""
    assert told(plan(at(H.UNPROVEN, row={'reason': 'fence_failed'},
                        **values))) == expected


def test_what_was_read_before_the_attempt_failed_is_not_taken_for_off():
    view = at(H.UNPROVEN, row={'reason': 'fence_failed'}, state_s=1.0,
              power_off_s=2.0)
    policy = samples.policy_with(fence_retry_s=0.0)
    assert told(plan(view, policy=policy)) == ['ReadPower']


@pytest.mark.parametrize('values', [
    {'fence_bindings': frozenset()}, {'is_wanted': False},
    {'is_sane': False}, {'policy': OBSERVE}],
    ids=['not bound', 'not needed', 'own view not trusted', 'observed'])
def test_a_host_that_could_not_be_fenced_is_not_read_where(values):
    assert not plan(at(H.UNPROVEN, row={'reason': 'fence_failed'}), **values)


@pytest.mark.parametrize('is_passed_on, engines, expected', [
    (True, {'me', 'peer'}, []), (True, {'me'}, ['FenceHost fence']),
    (False, {'me', 'peer'}, ['FenceHost fence'])],
    ids=['a peer tries first', 'there is no peer', 'it is its turn'])
def test_who_failed_leaves_the_next_attempt_to_its_peers(is_passed_on,
                                                         engines, expected):
    view = at(H.DOWN, row={'fence_attempts': 1}, is_passed_on=is_passed_on)
    assert told(plan(view, live_engines=frozenset(engines))) == expected


def test_who_failed_last_leaves_the_host_to_its_peers():
    """Who opens its records has it from then on."""
    view = at(H.UNPROVEN, is_opened=False, is_passed_on=True)
    assert told(plan(view)) == []
    assert told(plan(view, live_engines=frozenset({'me'}))) == [
        'OpenRecoveries']


def test_a_host_that_was_judged_by_an_untrusted_view_stays_quarantined():
    assert told(plan(at(H.QUARANTINED))) == ['MoveHost silent_again']
    assert not plan(at(H.QUARANTINED), is_sane=False)


WAIT_S = samples.POLICY.power_on_wait_s


@pytest.mark.parametrize('reason, values, expected', [
    ('power_not_off', {}, ['ReadPower']),
    ('power_not_off', {'is_resting': True}, []),
    ('power_not_off', {'state_s': WAIT_S}, ['MoveHost silent_again']),
    ('power_not_off', {'power_off_s': 2.0}, ['MoveHost silent_again']),
    ('power_not_off', {'power_off_s': WAIT_S}, ['ReadPower']),
    ('power_not_off', {'silent_s': 99.0}, ['MoveHost silent_again']),
    ('power_not_off', {'silent_s': 99.0, 'has_moved': False}, ['ReadPower']),
    ('life_after_proof', {}, ['MoveHost silent_again'])],
    ids=['boots', 'was read a moment ago', 'boots for too long',
         'off again', 'was off before', 'came up and fell silent',
         'not watched for longer', 'nobody switched it on'])
def test_who_was_switched_on_may_boot(reason, values, expected):
    """Seed 1011056: a person brought it up for want of room, and it was
    powered off again before it answered, over and over."""
    view = at(H.QUARANTINED, row={'reason': reason}, **{
        'state_s': WAIT_S - 1, 'power_off_s': None, 'silent_s': WAIT_S,
        **values})
    assert told(plan(view)) == expected


# -- while it is proven off ---------------------------------------------------


def test_observe_mode_forces_nothing_down():
    view = at(H.FENCED, row={'forced_down': False})
    assert told(plan(view)) == ['ForceDown']
    assert told(plan(view, policy=OBSERVE)) == ['Hold mode_observe']


def test_a_host_with_a_pet_that_needs_a_person_is_not_vacated():
    assert told(plan(at(H.FENCED), is_wanted=False)) == ['MoveHost vacated']
    assert not plan(at(H.FENCED, open_recoveries=1), is_wanted=False)


READS = {
    'soon, while pets are on their way': (3.0, True, {}, True),
    'now and then, while one waits for a person': (61.0, False, {}, True),
    'not yet, while one waits for a person': (59.0, False, {}, False),
    'never read': (None, False, {}, True),
    'not where a word is the proof': (
        99.0, True, {'proof': states.ProofKind.CONFIRMED}, False)}


@pytest.mark.parametrize('age_s, is_wanted, row, is_read', READS.values(),
                         ids=READS)
def test_power_is_read_until_the_last_pet_has_left(age_s, is_wanted, row,
                                                   is_read):
    view = at(H.FENCED, power_off_s=age_s, open_recoveries=1, row=row)
    assert told(plan(view, is_wanted)) == ['ReadPower'] * is_read


def test_a_vacated_host_is_opened_again_by_a_recovery():
    assert told(plan(at(H.VACATED, open_recoveries=1),
                     is_wanted=False)) == ['MoveHost reopened']


def test_a_vacated_host_that_shows_life_is_not_opened_again():
    view = at(H.VACATED, count_moved=True)
    assert told(plan(view)) == ['Hold life_after_proof']


def test_observe_mode_opens_nothing_on_a_vacated_host():
    view = at(H.VACATED, is_opened=False)
    assert told(plan(view, is_wanted=False)) == ['OpenRecoveries']
    assert not plan(view, is_wanted=False, policy=OBSERVE)


# -- forced down by others ----------------------------------------------------

TRUSTING = samples.policy_with(trust_forced_down=True)


@pytest.mark.parametrize('values', [
    {'svc': samples.service(forced_down=False)},
    {'svc': samples.service(forced_down=True), 'row': {'forced_down': True}},
    {'svc': samples.service(forced_down=True), 'was_forced_alive': True}],
    ids=['it is not', 'it was this project', 'it was so while it lived'])
def test_what_is_no_word_of_others_is_no_proof(values):
    view = at(H.UNPROVEN, **values)
    assert told(plan(view, policy=TRUSTING)) == ['ReadPower']


def test_a_word_of_others_does_not_end_a_quarantine():
    view = at(H.QUARANTINED, svc=samples.service(forced_down=True))
    assert told(plan(view, policy=TRUSTING)) == ['MoveHost silent_again']


# -- up again -----------------------------------------------------------------


@pytest.mark.parametrize('state', [H.DOWN, H.UNPROVEN], ids=str)
@pytest.mark.parametrize('forced_down, event', [
    (True, 'came_back'), (False, 'alive')])
def test_what_was_forced_down_comes_back_by_way_of_returning(
        state, forced_down, event):
    view = at(state, silent_s=1, row={'forced_down': forced_down})
    assert told(plan(view)) == [f'MoveHost {event}']


# -- right before the request -------------------------------------------------


def word(path=states.WitnessPath.HOST, sign=states.Sign.SILENT, age_s=0.5):
    return observations.Evidence('witness', path, sign, 'said so',
                                 age_s=age_s, silent_s=9.0)


LIFE = states.Sign.LIFE
POWER = states.WitnessPath.POWER
AGENT = states.WitnessPath.AGENT

LAST_LOOKS = {
    'silent': ((word(),), None),
    'no look at all': ((), 'no witness has looked at the machine lately'),
    'an old look': ((word(age_s=99.0),),
                    'no witness has looked at the machine lately'),
    'only the agent was asked': (
        (word(AGENT),), 'no witness has looked at the machine lately'),
    'the device was': ((word(POWER),), None),
    'life': ((word(sign=LIFE),), 'witness sees life: said so'),
    'the agent lives': ((word(), word(AGENT, LIFE)),
                        'witness sees life: said so'),
    'life long ago': ((word(), word(AGENT, LIFE, age_s=99.0)), None),
    'a device that says on': ((word(), word(POWER, LIFE)), None),
}


@pytest.mark.parametrize('words, expected', LAST_LOOKS.values(),
                         ids=LAST_LOOKS)
def test_a_power_off_needs_a_last_look(words, expected):
    assert safety.sign_of_life(words, samples.POLICY) == expected


VIEWS = {
    'nothing to look at': ({}, False),
    'it sees one of two': ({'a': (word(),), 'b': (word(sign=LIFE),)}, False),
    'it sees none': ({'a': (word(),), 'b': (word(),)}, True),
    'of the one that it sees it heard long ago': (
        {'a': (word(),), 'b': (word(sign=LIFE, age_s=99.0),)}, True),
    'only old words': ({'a': (word(age_s=99.0),)}, False),
    'only the agents are silent': ({'a': (word(AGENT),)}, False),
}


@pytest.mark.parametrize('references, is_blind', VIEWS.values(), ids=VIEWS)
def test_a_witness_that_sees_no_living_host_is_blind(references, is_blind):
    assert bool(safety.why_blind(references, samples.POLICY)) is is_blind
