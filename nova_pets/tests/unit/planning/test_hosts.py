# SPDX-License-Identifier: Apache-2.0
"""One host's way from silence to proof and back, as a table of decisions."""

import dataclasses

import pytest

from nova_pets.model import actions
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.planning import hosts
from nova_pets.planning import planner
from nova_pets.planning import safety
from nova_pets.tests.unit.planning import samples

H = states.HostState
C = states.ControlKind
POWER = states.ProofKind.POWER_OFF


def plan(view, is_wanted=True, policy=samples.POLICY, others=(), **snap):
    snapped = samples.snap(view, *others, **snap)
    return hosts.plan_host(view, snapped, policy, is_wanted)


def told(planned):
    """Actions in short: their class, and event or reason."""
    short = []
    for action in planned:
        name = type(action).__name__
        detail = getattr(action, 'event', None) or getattr(
            action, 'reason', '')
        short.append(f'{name} {detail}'.strip())
    return short


@pytest.mark.parametrize('state, changes, expected', [
    (H.UP, {}, []),
    (H.UP, {'silent_s': 21}, ['MoveHost silent']),
    (H.SUSPECT, {'silent_s': 1}, ['MoveHost alive']),
    (H.SUSPECT, {}, ['MoveHost verdict_down']),
    (H.SUSPECT, {'evidence': (samples.LIVE_TCP,)}, ['Hold host_alive']),
    (H.SUSPECT, {'evidence': ()}, ['Hold no_host_witness']),
    (H.DOWN, {'silent_s': 1}, ['MoveHost alive']),
    (H.DOWN, {'is_opened': False}, ['OpenRecoveries']),
    (H.DOWN, {}, ['FenceHost fence']),
    (H.DOWN, {'evidence': (samples.LIVE_TCP,)}, ['Hold host_alive']),
    (H.DOWN, {'svc': None}, ['Hold own_view']),
    (H.DOWN, {'svc': samples.service(disabled=True)},
     ['Hold service_disabled']),
    (H.DOWN, {'row': {'fence_attempts': 1}, 'state_s': 1}, []),
    (H.DOWN, {'row': {'fence_attempts': 1}, 'state_s': 31},
     ['FenceHost fence']),
    (H.DOWN, {'row': {'fence_attempts': 1, 'reason': 'fence_owner_lost'},
              'state_s': 1}, ['FenceHost fence']),
    (H.FENCING, {}, ['MoveHost fence_retry']),
    (H.FENCED, {}, []),
    (H.FENCED, {'count_moved': True}, ['MoveHost life_seen']),
    (H.FENCED, {'evidence': (samples.LIVE_TCP,)}, ['MoveHost life_seen']),
    (H.FENCED, {'evidence': (samples.LIVE_TCP,), 'state_s': 0.2}, []),
    (H.FENCED, {'row': {'forced_down': False}}, ['ForceDown']),
    (H.FENCED, {'svc': samples.service()}, ['ForceDown']),
    (H.FENCED, {'is_opened': False}, ['OpenRecoveries']),
    (H.FENCED, {'power_off_s': 4.0}, ['ReadPower']),
    (H.FENCED, {'power_off_s': None}, ['ReadPower']),
    (H.VACATED, {}, ['MoveHost reopened']),
    (H.QUARANTINED, {}, ['MoveHost silent_again']),
    (H.QUARANTINED, {'state_s': 29.0}, []),
    (H.QUARANTINED, {'evidence': (samples.LIVE_TCP,)}, []),
    (H.UNPROVEN, {}, ['ReadPower']),
    (H.UNPROVEN, {'is_opened': False}, ['OpenRecoveries']),
    (H.UNPROVEN, {'row': {'reason': 'no_fence'}}, ['FenceHost fence']),
    (H.UNPROVEN, {'silent_s': 1}, ['MoveHost alive']),
    (H.RETURNING, {}, []),
    (H.RETURNING, {'silent_s': 1}, ['ForceUp']),
    (H.RETURNING, {'silent_s': 1, 'settled_records': False},
     ['Hold waiting_for_cleanup']),
])
def test_a_host_that_pets_need_off(state, changes, expected):
    assert told(plan(samples.host_view(state=state, **changes))) == expected


@pytest.mark.parametrize('state, expected', [
    (H.DOWN, ['Hold not_wanted']),
    (H.FENCED, ['MoveHost vacated']),
    (H.VACATED, ['DrainQueue']),
    (H.UNPROVEN, []),
])
def test_a_host_that_no_pet_needs_off(state, expected):
    assert told(plan(samples.host_view(state=state), is_wanted=False)) == \
        expected


def test_a_vacated_host_that_lives_is_returning():
    view = samples.host_view(state=H.VACATED, count_moved=True)
    assert told(plan(view, is_wanted=False)) == ['MoveHost life_seen']


def test_a_hold_is_written_once():
    view = samples.host_view(state=H.SUSPECT, evidence=(samples.LIVE_TCP,),
                             row={'reason': 'host_alive'})
    assert plan(view) == []


def test_without_a_device_the_host_is_unproven():
    assert told(plan(samples.host_view(state=H.DOWN),
                     fence_bindings=frozenset())) == ['MoveHost cannot_fence']


def test_nothing_is_judged_down_by_an_engine_that_doubts_itself():
    view = samples.host_view(state=H.SUSPECT)
    assert told(plan(view, is_sane=False)) == ['Hold own_view']
    view = samples.host_view(state=H.DOWN)
    assert told(plan(view, is_sane=False)) == ['Hold own_view']


def test_observe_mode_fences_nothing():
    policy = samples.policy_with(mode=states.Mode.OBSERVE)
    assert told(plan(samples.host_view(state=H.DOWN), policy=policy)) == [
        'Hold mode_observe']


@pytest.mark.parametrize('kind, scope, target', [
    (C.PAUSE, 'all', ''), (C.PAUSE, 'host', 'host1'),
    (C.PAUSE, 'cell', samples.CELL), (C.MAINTENANCE, 'host', 'host1')])
def test_orders_that_keep_a_host_from_being_fenced(kind, scope, target):
    view = samples.host_view(state=H.DOWN)
    order = samples.control(kind, scope, target)
    assert told(plan(view, controls=(order,))) == [f'Hold {_word(kind)}']


def _word(kind):
    return {C.PAUSE: 'paused', C.MAINTENANCE: 'maintenance'}[kind]


@pytest.mark.parametrize('scope, target', [
    ('host', 'host2'), ('cell', 'other'), ('instance', 'host1'),
    ('cell', '')])
def test_orders_for_others_do_not_count(scope, target):
    view = samples.host_view(state=H.DOWN)
    order = samples.control(C.PAUSE, scope, target)
    assert told(plan(view, controls=(order,))) == ['FenceHost fence']


def _silent_hosts(number):
    return [samples.host_view(name=f'other{index}', state=H.SUSPECT)
            for index in range(number)]


WELL = samples.host_view('host99')


def test_a_storm_stops_power_offs_and_an_approval_lets_one_pass():
    view = samples.host_view(state=H.DOWN)
    assert told(plan(view, others=(WELL, *_silent_hosts(2)))) == [
        'FenceHost fence']
    others = (WELL, *_silent_hosts(3))
    assert told(plan(view, others=others)) == ['Hold storm']
    order = samples.control(C.APPROVAL)
    assert told(plan(view, others=others, controls=(order,))) == [
        'FenceHost fence']


def test_a_hold_says_the_numbers_once():
    view = samples.host_view(state=H.DOWN)
    [held] = plan(view, others=(WELL, *_silent_hosts(3)))
    assert held.detail.startswith('4 of 5 hosts of its cell')
    view = samples.host_view(state=H.DOWN, row={'reason': 'storm'})
    assert plan(view, others=(WELL, *_silent_hosts(3))) == []
    view = samples.host_view(state=H.DOWN)
    [held] = plan(view, is_sane=False, why_not_sane='no conductor answers')
    assert (held.reason, held.detail) == ('own_view', 'no conductor answers')


def test_soon_after_all_engines_were_away_only_a_person_powers_off():
    view = samples.host_view(state=H.DOWN)
    [held] = plan(view, grace_s=7.0)
    assert (held.reason, held.detail) == ('starting', 'for another 7 s')
    order = samples.control(C.FENCE)
    assert 'FenceHost operator_fence' in told(
        plan(view, grace_s=7.0, controls=(order,)))


def test_an_approval_is_for_one_epoch():
    view = samples.host_view(state=H.DOWN)
    order = samples.control(C.APPROVAL, epoch=99)
    assert told(plan(view, others=_silent_hosts(3), controls=(order,))) == [
        'Hold storm']


@pytest.mark.parametrize('kind', [C.FENCE, C.RELEASE, C.APPROVAL,
                                  C.CONFIRM_FENCED])
@pytest.mark.parametrize('state, epoch, is_void', [
    (H.UP, 1, True), (H.SUSPECT, 0, True), (H.SUSPECT, 1, False),
    (H.QUARANTINED, 1, False)])
def test_an_order_does_not_outlive_its_reason(kind, state, epoch, is_void):
    order = samples.control(kind, epoch=epoch)
    snapped = samples.snap(
        samples.host_view(state=state, row={'owner': 'peer'}),
        controls=(order,))
    ended = [action for action in planner.plan(
        snapped, samples.POLICY).actions
        if isinstance(action, actions.EndControl)]
    assert bool(ended) is is_void


def test_a_share_of_a_large_cloud_is_no_storm():
    view = samples.host_view(state=H.DOWN)
    healthy = [samples.host_view(name=f'up{index}') for index in range(30)]
    assert told(plan(view, others=healthy + _silent_hosts(8))) == [
        'FenceHost fence']
    assert told(plan(view, others=healthy + _silent_hosts(30))) == [
        'Hold storm']


def test_hosts_proven_off_do_not_count_as_a_storm():
    view = samples.host_view(state=H.DOWN)
    fenced = [samples.host_view(name=f'off{index}', state=H.FENCED)
              for index in range(9)]
    assert told(plan(view, others=fenced)) == ['FenceHost fence']


@pytest.mark.parametrize('state', [H.DOWN, H.UNPROVEN, H.QUARANTINED])
def test_a_persons_word_counts_for_the_present_epoch_only(state):
    view = samples.host_view(state=state)
    word = samples.control(C.CONFIRM_FENCED, epoch=1)
    planned = plan(view, controls=(word,))
    assert told(planned)[0] == 'MoveHost confirmed'
    assert planned[0].proof is states.ProofKind.CONFIRMED
    stale = dataclasses.replace(word, epoch=2)
    assert 'MoveHost confirmed' not in told(plan(view, controls=(stale,)))


@pytest.mark.parametrize('changes', [
    {'evidence': (samples.LIVE_TCP,)}, {'silent_s': 1}, {'evidence': ()}])
def test_a_persons_word_does_not_count_against_a_witness(changes):
    view = samples.host_view(state=H.UNPROVEN, **changes)
    word = samples.control(C.CONFIRM_FENCED, epoch=1)
    assert 'MoveHost confirmed' not in told(plan(view, controls=(word,)))


def test_forced_down_by_others_is_a_proof_only_where_it_is_trusted():
    view = samples.host_view(state=H.UNPROVEN,
                             svc=samples.service(forced_down=True))
    assert told(plan(view)) == ['ReadPower']
    trusting = samples.policy_with(trust_forced_down=True)
    planned = plan(view, policy=trusting)
    assert told(planned) == ['MoveHost external_proof']
    ours = samples.host_view(state=H.UNPROVEN, row={'forced_down': True},
                             svc=samples.service(forced_down=True))
    assert told(plan(ours, policy=trusting)) == ['ReadPower']
    alive = samples.host_view(state=H.UNPROVEN, silent_s=999,
                              evidence=(samples.LIVE_TCP,),
                              svc=samples.service(forced_down=True))
    assert plan(alive, policy=trusting) == []


@pytest.mark.parametrize('state', [H.SUSPECT, H.UNPROVEN, H.QUARANTINED])
def test_a_person_may_fence_a_silent_agent_on_a_living_machine(state):
    view = samples.host_view(state=state, evidence=(samples.LIVE_TCP,))
    order = samples.control(C.FENCE)
    assert told(plan(view, controls=(order,)))[0] == \
        'FenceHost operator_fence'


def test_a_person_cannot_fence_against_a_moving_heartbeat():
    view = samples.host_view(state=H.QUARANTINED, silent_s=1)
    order = samples.control(C.FENCE)
    assert told(plan(view, controls=(order,))) == ['EndControl']


@pytest.mark.parametrize('state', [H.VACATED, H.QUARANTINED])
def test_release(state):
    order = samples.control(C.RELEASE)
    assert told(plan(samples.host_view(state=state),
                     controls=(order,)))[0] == 'MoveHost release'


def test_a_host_that_is_being_worked_on_is_left_alone():
    view = samples.host_view(state=H.DOWN)
    assert plan(view, busy_hosts=frozenset({'host1'})) == []


@pytest.mark.parametrize('changes, reason', [
    ({}, None),
    ({'row': {'state': H.DOWN}}, 'source_down'),
    ({'row': {'state': H.VACATED}}, 'source_down'),
    ({'row': {'proof': None}}, 'source_down'),
    ({'svc': None}, 'own_view'),
    ({'count_moved': True}, 'life_after_proof'),
    ({'evidence': (samples.LIVE_TCP,)}, 'life_after_proof'),
    ({'evidence': (samples.LIVE_PING,)}, 'life_after_proof'),
    # The machine answered a moment ago, before its power read off.
    ({'evidence': (samples.LIVE_TCP,), 'state_s': 0.1}, 'witness_due'),
    ({'evidence': (samples.LIVE_PING,), 'state_s': 0.1}, 'witness_due'),
    ({'power_off_s': None}, 'proof_stale'),
    ({'power_off_s': 5.1}, 'proof_stale'),
    ({'row': {'forced_down': False}}, 'not_forced_down'),
    ({'svc': samples.service()}, 'not_forced_down'),
    ({'row': {'proof': states.ProofKind.CONFIRMED},
      'power_off_s': None}, None),
    ({'row': {'proof': states.ProofKind.CONFIRMED}, 'evidence': ()},
     'life_after_proof'),
])
def test_why_not_evacuate(changes, reason):
    view = samples.host_view(state=H.FENCED, **changes)
    assert safety.why_not_evacuate(view, samples.POLICY) == reason


def test_nothing_is_evacuated_from_an_unknown_host_or_in_observe_mode():
    assert safety.why_not_evacuate(None, samples.POLICY) == 'source_down'
    policy = samples.policy_with(mode=states.Mode.OBSERVE)
    view = samples.host_view(state=H.FENCED)
    assert safety.why_not_evacuate(view, policy) == 'mode_observe'


def test_no_action_names_another_generation():
    for state in H:
        view = samples.host_view(state=state, row={'generation': 42})
        for action in plan(view):
            if not isinstance(action, actions.EndControl):
                assert action.generation == 42


# -- a device that read off while its host was up ----------------------------


def test_a_wrong_device_powers_nothing_off_by_itself():
    wrong = {'fence_ready': False, 'fence_detail': records.WRONG_DEVICE}
    view = samples.host_view(state=H.DOWN, row=wrong)
    assert told(plan(view)) == ['Hold wrong_device']
    order = samples.control(C.FENCE)
    assert told(plan(view, controls=(order,)))[0] == \
        'FenceHost operator_fence'
    mute = {'fence_ready': False, 'fence_detail': 'no answer'}
    view = samples.host_view(state=H.DOWN, row=mute)
    assert told(plan(view)) == ['FenceHost fence']


# -- what other engines see ---------------------------------------------------


def test_what_another_engine_sees_is_not_powered_off():
    view = samples.host_view(state=H.DOWN, life_by_peer='s2/7')
    [hold] = plan(view)
    assert (hold.reason, hold.detail) == ('peer_sees_life', 's2/7 does')
    order = samples.control(C.FENCE)
    assert told(plan(view, controls=(order,)))[0] == \
        'FenceHost operator_fence'


def test_nor_does_a_word_prove_it_off():
    view = samples.host_view(state=H.DOWN, life_by_peer='s2/7')
    word = samples.control(C.CONFIRM_FENCED, epoch=1)
    assert 'MoveHost confirmed' not in told(plan(view, controls=(word,)))


def test_a_ladder_knows_that_the_machine_answers():
    ladder = policy_model.Ladder(then_fence=True, fence_after_s=60.0)
    view = samples.host_view(
        state=H.DOWN, silent_s=999.0, evidence=(samples.LIVE_TCP,),
        life_by_peer='s2/7')
    assert told(plan(view, ladders={'host1': ladder})) == [
        'FenceHost fence']


@pytest.mark.parametrize('state', [H.FENCED, H.VACATED])
def test_what_another_engine_saw_since_the_proof_voids_it(state):
    view = samples.host_view(state=state, life_by_peer='s2/7')
    assert told(plan(view, is_wanted=state is H.FENCED)) == [
        'MoveHost life_seen']


SEEN = {
    'I see no machine, a peer does': ('host_alive', (), 's2/7', False),
    'I hear its agent, a peer sees its machine': (
        'host_alive', (samples.LIVE_PING,), 's2/7', False),
    'I see its machine, a peer hears its agent': (
        'agent_alive', (samples.LIVE_TCP,), 's2/7', True),
    'nobody sees it any more': ('host_alive', (), '', True),
    'a peer has not said so yet': ('heartbeat_silent', (), 's2/7', True),
}


@pytest.mark.parametrize('before, evidence, peer, is_told', SEEN.values(),
                         ids=SEEN)
def test_who_sees_most_of_a_suspect_says_why(before, evidence, peer,
                                             is_told):
    view = samples.host_view(state=H.SUSPECT, row={'reason': before},
                             evidence=evidence, life_by_peer=peer)
    assert bool(plan(view)) is is_told
