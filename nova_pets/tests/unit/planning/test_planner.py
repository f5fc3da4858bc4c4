# SPDX-License-Identifier: Apache-2.0
"""What one plan leaves out: what others own, what is busy, what is limited,
and orders that have outlived their reason."""

import pytest

from nova_pets.model import actions
from nova_pets.model import states
from nova_pets.planning import planner
from nova_pets.tests.unit.planning import samples

H = states.HostState
R = states.RecoveryState
C = states.ControlKind
POLICY = samples.POLICY


def plan(snap, **policy):
    return planner.plan(snap, samples.policy_with(**policy)).actions


def kinds(snap, **policy):
    return [type(action).__name__ for action in plan(snap, **policy)]


def silent(**values):
    return samples.host_view(silent_s=60.0, evidence=(samples.SILENT_TCP,),
                             **values)


def fenced(**values):
    return samples.host_view(state=H.FENCED, **values)


def ready(number=1, **values):
    row = {'id': number, 'instance_uuid': f'i{number}'}
    row.update(values.pop('row', {}))
    return samples.recovery_view(row=row, **values)


def test_mode_off_plans_nothing():
    snap = samples.snap(silent())
    assert plan(snap)
    assert not plan(snap, mode=states.Mode.OFF)


# -- whose it is --------------------------------------------------------------

OWNERS = {'nobody': (None, True), 'me': ('me', True),
          'a living peer': ('peer', False), 'a dead peer': ('gone', True)}


@pytest.mark.parametrize('owner, is_mine', OWNERS.values(), ids=OWNERS)
def test_a_host_is_left_to_the_living_engine_that_owns_it(owner, is_mine):
    snap = samples.snap(silent(row={'owner': owner}))
    assert bool(plan(snap)) is is_mine


@pytest.mark.parametrize('owner, is_mine', OWNERS.values(), ids=OWNERS)
def test_a_recovery_is_left_to_the_living_engine_that_owns_it(owner,
                                                              is_mine):
    snap = samples.snap(fenced(), recoveries=[ready(row={'owner': owner})])
    assert ('BeginAttempt' in kinds(snap)) is is_mine


@pytest.mark.parametrize('state', [R.PENDING, R.BUILDING, R.SETTLING],
                         ids=str)
def test_a_recovery_of_a_living_peer_is_not_moved(state):
    snap = samples.snap(fenced(), recoveries=[samples.recovery_view(
        state, row={'owner': 'peer'}, attempts=[samples.attempt()])])
    assert not plan(snap)


def test_what_is_mine_on_the_host_of_a_living_peer_is_given_up():
    host = fenced(row={'owner': 'peer'})
    snap = samples.snap(host, recoveries=[ready(row={'owner': 'me'})])
    assert kinds(snap) == ['GiveUp']


def test_what_is_busy_is_not_given_up_under_its_own_feet():
    host = fenced(row={'owner': 'peer'})
    snap = samples.snap(host, recoveries=[
        ready(row={'owner': 'me'}, is_busy=True)])
    assert not plan(snap)


def test_what_nobody_owns_on_the_host_of_a_living_peer_is_left_alone():
    host = fenced(row={'owner': 'peer'})
    assert not plan(samples.snap(host, recoveries=[ready()]))


# -- which attempts begin -----------------------------------------------------


@pytest.mark.parametrize('state', sorted(
    states.TRANSIENT - {R.READY}) + [R.NEEDS_OPERATOR], ids=str)
def test_only_what_is_ready_begins(state):
    snap = samples.snap(fenced(), recoveries=[
        samples.recovery_view(state, row={'wait_s': 99.0})])
    assert 'BeginAttempt' not in kinds(snap)


NOT_NOW = {
    'an action for it is under way': {'is_busy': True},
    'its traces were not read': {'found': None},
}


@pytest.mark.parametrize('values', NOT_NOW.values(), ids=NOT_NOW)
def test_nothing_is_said_or_begun_of_what_is_not_known_or_busy(values):
    assert not plan(samples.snap(fenced(), recoveries=[ready(**values)]))


def test_what_this_plan_moves_does_not_begin_besides():
    found = samples.trace(samples.migration())
    snap = samples.snap(fenced(), recoveries=[ready(found=found)])
    assert kinds(snap) == ['RecordForeign']


def test_an_open_attempt_is_settled_and_none_begins_besides():
    snap = samples.snap(fenced(), recoveries=[
        ready(attempts=[samples.attempt()])])
    assert [action.event for action in plan(snap)] == ['unsettled']


def test_a_stale_proof_is_no_news():
    """It is read again at once; a line for each would fill the history."""
    host = fenced(power_off_s=None)
    snap = samples.snap(host, recoveries=[ready()])
    assert kinds(snap) == ['ReadPower']


def test_a_full_host_queues_with_a_reason():
    snap = samples.snap(fenced(), recoveries=[
        ready(1, state_s=9.0), samples.recovery_view(
            R.BUILDING, row={'id': 2, 'instance_uuid': 'i2'}, found=None,
            attempts=[samples.attempt(recovery_id=2)])])
    [held] = plan(snap, parallel_per_host=1)
    assert (held.key, held.reason) == (1, 'queued')


def test_a_short_wait_for_a_place_is_not_told():
    """A line for each of many pets would delay the others."""
    snap = samples.snap(fenced(), recoveries=[ready(state_s=4.0)])
    assert not plan(snap, parallel=0)


def test_what_waits_for_a_person_takes_no_place():
    snap = samples.snap(fenced(), recoveries=[
        ready(1), samples.recovery_view(
            R.NEEDS_OPERATOR, row={'id': 2, 'instance_uuid': 'i2'})])
    assert 'BeginAttempt' in kinds(snap, parallel_per_host=1, parallel=1)


# -- which hosts have to be proven off ----------------------------------------


def down(name='host1', **values):
    return samples.host_view(name, state=H.DOWN, **values)


def is_fenced(snap, name):
    return name in [action.host for action in plan(snap)
                    if isinstance(action, actions.FenceHost)]


@pytest.mark.parametrize('state, is_wanted', [
    (R.PENDING, True), (R.WAITING, True), (R.NEEDS_OPERATOR, False)],
    ids=str)
def test_the_source_of_what_moves_on_is_wanted_off(state, is_wanted):
    snap = samples.snap(down(), recoveries=[
        samples.recovery_view(state, row={'wait_s': 99.0})])
    assert is_fenced(snap, 'host1') is is_wanted


@pytest.mark.parametrize('outcome, is_wanted', [
    (states.Outcome.OPEN, True), (states.Outcome.FAILED, False)], ids=str)
def test_the_destination_of_an_open_attempt_is_wanted_off(outcome,
                                                          is_wanted):
    attempt = samples.attempt(destination='host2', outcome=outcome)
    snap = samples.snap(fenced(), down('host2'), recoveries=[
        samples.recovery_view(R.WAITING, row={'wait_s': 99.0},
                              attempts=[attempt])])
    assert is_fenced(snap, 'host2') is is_wanted


@pytest.mark.parametrize('state, is_wanted', [
    (R.SETTLING, True), (R.WAITING, False)], ids=str)
def test_the_destination_that_is_settled_is_wanted_off(state, is_wanted):
    snap = samples.snap(fenced(), down('host2'), recoveries=[
        samples.recovery_view(state, row={'destination': 'host2',
                                          'wait_s': 99.0})])
    assert is_fenced(snap, 'host2') is is_wanted


# -- orders that have outlived their reason -----------------------------------


def ended(snap):
    return [action.control.kind for action in plan(snap)
            if isinstance(action, actions.EndControl)]


OF_AN_INSTANCE = {
    'its recovery is open': ([R.BUILDING], 'i1', False),
    'it has none': ([], 'i1', True),
    'only another has one': ([R.BUILDING], 'i2', True),
}


@pytest.mark.parametrize('open_, target, is_ended', OF_AN_INSTANCE.values(),
                         ids=OF_AN_INSTANCE)
def test_an_order_for_an_instance_ends_without_a_recovery(open_, target,
                                                          is_ended):
    order = samples.control(C.ABANDON, 'instance', target)
    snap = samples.snap(fenced(), controls=(order,), recoveries=[
        samples.recovery_view(state, found=None) for state in open_])
    assert (ended(snap) == [C.ABANDON]) is is_ended


OF_A_HOST = {
    'retry, one waits': (C.RETRY, R.WAITING, False),
    'retry, one needs a person': (C.RETRY, R.NEEDS_OPERATOR, False),
    'retry, all are under way': (C.RETRY, R.BUILDING, True),
    'recover, all are under way': (C.RECOVER, R.BUILDING, True),
    'abandon, one is under way': (C.ABANDON, R.BUILDING, False),
    'abandon, none is open': (C.ABANDON, None, True),
}


@pytest.mark.parametrize('kind, state, is_ended', OF_A_HOST.values(),
                         ids=OF_A_HOST)
def test_an_order_for_a_host_ends_when_none_is_left_to_obey(kind, state,
                                                            is_ended):
    recoveries = [] if state is None else [samples.recovery_view(
        state, found=None, row={'source': 'host1'},
        attempts=[samples.attempt()] if state is R.BUILDING else [])]
    snap = samples.snap(fenced(), recoveries=recoveries,
                        controls=(samples.control(kind),))
    assert (kind in ended(snap)) is is_ended


@pytest.mark.parametrize('kind, is_ended', [
    (C.RECOVER, False), (C.RETRY, True)], ids=str)
def test_a_recover_order_waits_for_its_records_to_be_opened(kind, is_ended):
    snap = samples.snap(fenced(), controls=(samples.control(kind),),
                        has_orders_to_open=True)
    assert (kind in ended(snap)) is is_ended


STANDING = {
    'maintenance of a host that is up': samples.control(C.MAINTENANCE),
    'a pause of a host that is up': samples.control(C.PAUSE),
    'an approval for all': samples.control(C.APPROVAL, 'all', ''),
}


@pytest.mark.parametrize('order', STANDING.values(), ids=STANDING)
def test_what_is_not_about_one_failure_stays(order):
    snap = samples.snap(samples.host_view(), controls=(order,))
    assert not ended(snap)


def test_an_order_without_an_epoch_stays_while_its_host_is_down():
    snap = samples.snap(down(), controls=(
        samples.control(C.APPROVAL, epoch=None),))
    assert not ended(snap)


def test_an_approval_for_a_cell_is_about_no_host_of_that_name():
    order = samples.control(C.APPROVAL, 'cell', 'host1')
    assert not ended(samples.snap(samples.host_view(), controls=(order,)))


def test_the_limit_hides_no_other_reason():
    snap = samples.snap(fenced(), recoveries=[ready()], controls=(
        samples.control(C.PAUSE, reason='sure'),))
    [held] = plan(snap, parallel=0)
    assert held.reason == 'paused'


@pytest.mark.parametrize('kind', [C.CONFIRM_FENCED, C.FENCE, C.RELEASE])
@pytest.mark.parametrize('state', [H.FENCED, H.VACATED, H.QUARANTINED])
def test_a_proof_makes_the_orders_void_that_wanted_it(kind, state):
    """Else one that our own fence came before would be obeyed when life is
    seen after all: a word from before that."""
    order = samples.control(kind, epoch=1)
    view = samples.host_view(state=state, evidence=(samples.LIVE_TCP,),
                             state_s=0.0)
    snap = samples.snap(view, controls=(order,), fence_bindings=frozenset())
    is_void = state in states.PROVEN_OFF and kind is not C.RELEASE
    assert any(isinstance(action, actions.EndControl) and
               action.detail == 'void: the host is proven off already'
               for action in plan(snap)) is is_void
