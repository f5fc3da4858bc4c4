# SPDX-License-Identifier: Apache-2.0
"""The source is up again: left alone, mended or restarted, never doubled."""

import dataclasses

import pytest

from nova_pets.model import states
from nova_pets.planning import recoveries
from nova_pets.planning import settling
from nova_pets.planning import verifying
from nova_pets.tests.unit.planning import samples
from nova_pets.tests.unit.planning import test_hosts

G = states.GuestAnswer
H = states.HostState
R = states.RecoveryState
RUNNING = states.DesiredPower.RUNNING
STOPPED = states.DesiredPower.STOPPED

HOME = {'allocations': frozenset({'host1'})}
RESTARTING = {'reason': 'restoring_power'}


def guest(answer):
    return {**HOME, 'guests': {'host1': answer}}


def step(found=None, state_s=5.0, recovery=None, migrations=(),
         policy=samples.POLICY, attempts=(), other=H.UP, **instance):
    findings = settling.Findings(samples.trace(*migrations, **instance),
                                 **(found or {}))
    row = samples.recovery(R.VERIFYING, **{
        'destination': 'host1', 'reason': 'source_returned',
        **(recovery or {})})
    snap = samples.snap(samples.host_view(state=H.UP),
                        samples.host_view('host2', state=other))
    return verifying.next_step(row, findings, snap, policy, state_s,
                               attempts=attempts)


@pytest.mark.parametrize('values, expected', [
    ({'deleted': True}, ('abandon', 'deleted')),
    ({'host': 'host2'}, ('abandon', 'moved_away')),
    ({'found': guest(G.RUNNING)}, ('abandon', 'source_returned')),
    ({'found': guest(G.RUNNING), 'recovery': RESTARTING},
     ('verified', 'restarted_at_home')),
    ({'found': HOME, 'vm_state': 'stopped'},
     ('needs_operator', 'stopped_at_home')),
    ({'found': HOME, 'vm_state': 'stopped',
      'recovery': {'original_vm_state': 'stopped',
                   'desired_power': STOPPED}},
     ('abandon', 'source_returned')),
    ({'found': HOME, 'vm_state': 'stopped',
      'recovery': {'original_vm_state': 'stopped'}},
     ('abandon', 'source_returned')),
    ({'found': HOME, 'vm_state': 'paused'}, ('abandon', 'source_returned')),
    ({'found': HOME, 'vm_state': 'error'}, ('abandon', 'source_returned')),
    ({'found': HOME, 'vm_state': 'stopped',
      'recovery': {**RESTARTING, 'desired_power': STOPPED}},
     ('verified', 'restarted_at_home')),
    ({'task_state': 'rebooting', 'state_s': 9999.0},
     ('needs_operator', 'verify_failed')),
    ({'found': guest(G.UNREACHABLE), 'state_s': 9999.0},
     ('needs_operator', 'verify_failed')),
])
def test_it_ends(values, expected):
    found = step(**values)
    assert (found.event, found.reason) == expected


@pytest.mark.parametrize('values, expected', [
    ({'migrations': (samples.migration(),)}, settling.DeleteAccepted(5)),
    ({'migrations': (samples.migration(status='pre-migrating',
                                       destination='host2'),)},
     settling.Wait('source_returned', 'migration 5 is pre-migrating')),
    ({'task_state': 'rebuilding'}, settling.Restore(
        {'host': 'host1', 'vm_state': 'active', 'task_state': 'rebuilding'},
        {'task_state': None})),
    ({'task_state': 'powering-off'}, settling.Wait(
        'source_returned', 'task_state powering-off')),
    ({'vm_state': 'error', 'recovery': {
        'attempts': 1, 'original_vm_state': 'stopped'}}, settling.Restore(
            {'host': 'host1', 'vm_state': 'error', 'task_state': None},
            {'vm_state': 'stopped'})),
    ({}, settling.ReadAllocations()),
    ({'found': {'allocations': frozenset()}}, settling.Allocate('host1')),
    ({'found': {'allocations': frozenset({'host1', 'host2'})},
      'recovery': {'attempts': 1}}, settling.Probe('host2')),
    ({'found': {'allocations': frozenset({'host1', 'host2'}),
                'guests': {'host2': G.NOT_RUNNING}},
      'recovery': {'attempts': 1}}, settling.RemoveAllocations('host2')),
    # A migration that a person began may hold room elsewhere, and may have
    # arrived there (30008755).
    ({'found': {'allocations': frozenset({'host1', 'host2'})}},
     settling.Probe('host2')),
    ({'found': {'allocations': frozenset({'host1', 'host2'}),
                'guests': {'host2': G.NOT_RUNNING}}},
     settling.Probe('host1')),
    ({'found': {'allocations': frozenset({'host1', 'host2'}),
                'guests': {'host2': G.RUNNING}}},
     settling.Adopt(0, 'host2', 'active', {
         'host': 'host1', 'vm_state': 'active', 'task_state': None})),
    ({'found': HOME}, settling.Probe('host1')),
    ({'found': HOME, 'recovery': {'desired_power': STOPPED}},
     settling.ChangePower(STOPPED)),
])
def test_the_row_is_mended_first(values, expected):
    assert step(**values) == expected


def went(outcome=states.Outcome.SUCCEEDED, destination='host2'):
    return samples.attempt(outcome=outcome, destination=destination)


NOT_THERE = settling.Probe('host1')
ELSEWHERE = {
    'it arrived there': ((went(),), {}, {}, settling.Probe('host2')),
    'it was adopted there': ((went(states.Outcome.ADOPTED),), {}, {},
                             settling.Probe('host2')),
    'and does not run there':
        ((went(),), {'host2': G.NOT_RUNNING}, {}, NOT_THERE),
    'and that is not known':
        ((went(),), {'host2': G.UNREACHABLE}, {},
         settling.Wait('probe_unreachable', 'on host2')),
    'and its host is down':
        ((went(),), {}, {'other': H.DOWN},
         settling.Wait('destination_down', 'host2 is down', 'host2')),
    'and its host is off':
        ((went(),), {}, {'other': H.FENCED}, settling.Tombstone('host2')),
    'it failed there': ((went(states.Outcome.FAILED),), {}, {}, NOT_THERE),
    'it went nowhere': ((went(destination=None),), {}, {}, NOT_THERE),
    'it came home': ((went(destination='host1'),), {}, {}, NOT_THERE),
}


@pytest.mark.parametrize('attempts, guests, values, expected',
                         ELSEWHERE.values(), ids=ELSEWHERE)
def test_who_may_run_it_is_asked_before_it_is_restarted(
        attempts, guests, values, expected):
    """Seed 10100206: the cell forgot that it had arrived, and its source
    came back: it was started there, too."""
    assert step({**HOME, 'guests': guests}, attempts=attempts,
                recovery={'attempts': 1}, **values) == expected


def test_what_runs_where_it_arrived_is_adopted_there():
    found = step({**HOME, 'guests': {'host2': G.RUNNING}},
                 attempts=(went(),), recovery={'attempts': 1})
    assert (found.destination, found.vm_state) == ('host2', 'active')


@pytest.mark.parametrize('reason, expected', [
    ('arrived', settling.Wait('destination_building', 'on host2')),
    ('said_to_be_over', settling.Probe('host2'))])
def test_a_person_knows_that_nobody_builds_it_elsewhere(reason, expected):
    """Nova said so for ever: its cell had lost the end (30010628)."""
    works = samples.event('compute_rebuild_instance', 'host2')
    arrived = dataclasses.replace(went(), reason=reason)
    assert step(HOME, attempts=(arrived,), recovery={'attempts': 1},
                events=(works,)) == expected


def test_what_arrived_and_is_forgotten_is_not_waited_for():
    """Nobody builds it any more: where no guest runs, its room may go."""
    assert step({'allocations': frozenset({'host1', 'host2'}),
                 'guests': {'host2': G.NOT_RUNNING}}, attempts=(went(),),
                recovery={'attempts': 1}
                ) == settling.RemoveAllocations('host2')


def test_a_restart_is_written_down_before_it_begins():
    """A crash after any step goes on with it."""
    missing = guest(G.NOT_RUNNING)
    intent = step(missing)
    assert (intent.reason, intent.detail) == (
        'restoring_power', 'no guest of it runs on host1')
    assert step(missing, recovery=RESTARTING) == settling.Restore(
        {'host': 'host1', 'vm_state': 'active', 'task_state': None},
        {'vm_state': 'stopped'})
    assert step(HOME, recovery=RESTARTING,
                vm_state='stopped') == settling.ChangePower(RUNNING)
    assert step(task_state='powering-on', recovery=RESTARTING
                ).reason == 'restoring_power'


def test_what_nova_stopped_is_started_again():
    """It did so because the guest was down after the reboot of its host."""
    stopped = {'vm_state': 'stopped', 'stopped_by_nova': True}
    intent = step(HOME, **stopped)
    assert (intent.reason, intent.detail) == (
        'restoring_power', 'nova found its guest shut down on host1')
    assert step(HOME, recovery=RESTARTING, **stopped
                ) == settling.ChangePower(RUNNING)
    assert step(HOME, recovery={'desired_power': STOPPED}, **stopped
                ).event == 'abandon'


def test_a_persons_retry_starts_what_a_user_stopped():
    assert step(HOME, recovery={'urgent': True},
                vm_state='stopped') == settling.ChangePower(RUNNING)


def test_nothing_is_started_in_observe_mode():
    found = step(guest(G.NOT_RUNNING), recovery=RESTARTING, vm_state='active',
                 policy=samples.policy_with(mode=states.Mode.OBSERVE))
    assert isinstance(found, settling.Wait)


def plan(state=R.PENDING, *migrations, policy=samples.POLICY, row=None):
    view = samples.recovery_view(
        state, found=samples.trace(*migrations), row=row)
    snap = samples.snap(samples.host_view(state=H.UP), recoveries=(view,))
    return recoveries.plan_recovery(view, snap, policy)


def test_a_pet_whose_host_is_up_again_is_looked_at():
    (action,) = plan()
    assert action.event == 'source_returned'
    assert action.changes == {'destination': 'host1'}


@pytest.mark.parametrize('status', ['pre-migrating', 'failed', 'error'])
def test_what_somebody_else_may_have_moved_is_left_alone(status):
    """A guest may be elsewhere: nothing is started at home."""
    record = samples.migration(status=status, destination='host2')
    assert test_hosts.told(plan(R.PENDING, record)) == [
        'MoveRecovery abandon']


def test_observe_mode_only_lets_go():
    policy = samples.policy_with(mode=states.Mode.OBSERVE)
    assert test_hosts.told(plan(policy=policy)) == ['MoveRecovery abandon']


@pytest.mark.parametrize('vm_state, expected', [
    ('stopped', []), ('active', ['MoveRecovery retry'])])
def test_what_was_stopped_at_home_waits_for_its_owner(vm_state, expected):
    view = samples.recovery_view(
        R.NEEDS_OPERATOR, found=samples.trace(vm_state=vm_state),
        row={'destination': 'host1', 'reason': 'stopped_at_home'})
    snap = samples.snap(samples.host_view(state=H.UP), recoveries=(view,))
    assert test_hosts.told(recoveries.plan_recovery(
        view, snap, samples.POLICY)) == expected


def test_what_could_not_be_mended_at_home_stays_with_the_operator():
    assert plan(R.NEEDS_OPERATOR, row={'destination': 'host1'}) == []
    assert test_hosts.told(plan(R.NEEDS_OPERATOR)) == [
        'MoveRecovery source_returned']
