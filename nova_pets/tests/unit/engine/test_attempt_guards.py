# SPDX-License-Identifier: Apache-2.0
"""Each check of an attempt by itself: without it, the act would be done."""

import dataclasses

import pytest

from nova_pets import exception
from nova_pets.detectors import base as detectors_base
from nova_pets.model import actions
from nova_pets.model import states
from nova_pets.planning import recoveries
from nova_pets.planning import safety
from nova_pets.simulator import memory_database
from nova_pets.tests.unit.engine import one_pet
from nova_pets.tests.unit.planning import samples

H = states.HostState
R = states.RecoveryState
G = states.GuestAnswer
RUNNING, STOPPED = (states.DesiredPower.RUNNING,
                    states.DesiredPower.STOPPED)


def begin(bench, desired=RUNNING, vm_state='active', task_state=None,
          others=()):
    bench.do(actions.BeginAttempt(
        bench.id, bench.recovery.generation, vm_state, task_state, desired,
        migration_floor=4), *others)
    return bench.door.names()


SENT = ['allocated_hosts', 'update_instance', 'evacuate']


def test_an_attempt_of_a_fenced_host_is_sent():
    bench = one_pet.Bench()
    assert begin(bench) == SENT
    assert bench.recovery.state is R.SCHEDULING


# -- the fence kept true ------------------------------------------------------


def test_an_engine_whose_claims_ran_out_touches_nothing():
    bench = one_pet.Bench()
    bench.lose_claims()
    assert begin(bench) == []
    assert bench.attempt.outcome is states.Outcome.NOT_SENT


AT = {
    'before room is given back': ('allocated_hosts', ['host1', 'host2'],
                                  ['allocated_hosts']),
    'before the row is claimed': ('allocated_hosts', ['host1'],
                                  ['allocated_hosts']),
    'before nova is asked': ('update_instance', None,
                             ['allocated_hosts', 'update_instance']),
}


@pytest.mark.parametrize('call, answer, expected', AT.values(), ids=AT)
def test_an_engine_that_slept_in_a_call_does_no_other(call, answer,
                                                      expected):
    bench = one_pet.Bench()

    def sleep(*args):
        bench.lose_claims()
        return set(answer) if answer else None
    bench.door.answers[call] = sleep
    other = samples.host_view('host2', state=H.FENCED)
    assert begin(bench, others=(other,)) == expected


def test_an_engine_that_slept_where_room_was_given_back_claims_no_row():
    bench = one_pet.Bench()
    bench.door.answers['allocated_hosts'] = lambda uuid: {'host1', 'host2'}
    bench.door.answers['remove_allocations'] = bench.lose_claims
    other = samples.host_view('host2', state=H.FENCED)
    assert begin(bench, others=(other,)) == ['allocated_hosts',
                                             'remove_allocations']


def test_room_on_a_host_that_may_run_it_is_not_given_back():
    bench = one_pet.Bench()
    bench.door.answers['allocated_hosts'] = lambda uuid: {'host1', 'host2'}
    assert begin(bench, others=(samples.host_view('host2'),)) == [
        'allocated_hosts']
    assert bench.recovery.state is R.SETTLING


@pytest.mark.parametrize('state, expected', [
    (H.UP, ['allocated_hosts']), (H.FENCED, SENT)])
def test_where_it_had_arrived_is_asked_first(state, expected):
    """It need not hold room there, and none is given back then."""
    bench = one_pet.Bench()
    bench.add_attempt(number=0, destination='host2', request_id='req-0',
                      outcome=states.Outcome.ADOPTED)
    assert begin(bench, others=(samples.host_view(
        'host2', state=state),)) == expected


def test_an_engine_that_slept_as_it_read_the_source_asks_for_nothing():
    """It had asked before it read (30008003)."""
    bench = one_pet.Bench()
    read = bench.store.host

    def slowly(name):
        if 'update_instance' in bench.door.names():
            bench.lose_claims()
        return read(name)
    bench.store.host = slowly
    assert 'evacuate' not in begin(bench)


def test_a_source_that_cannot_be_read_is_not_evacuated_from():
    """As a death there: the attempt stays open, and is settled next."""
    bench = one_pet.Bench()

    def lost(name):
        raise exception.StoreUnavailable(what='read', found='nothing')

    def claimed(*args):
        bench.store.host = lost
    bench.door.answers['update_instance'] = claimed
    with pytest.raises(exception.StoreUnavailable):
        begin(bench)
    assert 'evacuate' not in bench.door.names()
    assert bench.recovery.state is R.REQUESTING
    assert bench.attempt.outcome is states.Outcome.OPEN


HEARTBEATS = {
    'as it was': (100, one_pet.COUNT, True),
    'it moved': (101, one_pet.COUNT, False),
    'never read': (None, one_pet.COUNT, False),
    'not known at the proof': (101, None, True),
}


@pytest.mark.parametrize('count, at_proof, is_sent', HEARTBEATS.values(),
                         ids=HEARTBEATS)
def test_a_heartbeat_after_the_proof_stops_it(count, at_proof, is_sent):
    bench = one_pet.Bench(host={'proof_count': at_proof})
    bench.memory.__init__()
    bench.memory.saw_power('host1', True, bench.clock.now)
    if count is not None:
        bench.memory.saw_services([bench.service(count)], one_pet.CELL,
                                  bench.clock.now, 60.0)
    assert ('evacuate' in begin(bench)) is is_sent


def test_a_heartbeat_during_the_claim_gives_the_row_back():
    bench = one_pet.Bench()

    def moves(*args):
        bench.memory.saw_services([bench.service(101)], one_pet.CELL,
                                  bench.clock.now, 60.0)
    bench.door.answers['update_instance'] = moves
    assert begin(bench) == ['allocated_hosts', 'update_instance',
                            'update_instance']


NEWS = {
    'quarantined': {'state': H.QUARANTINED},
    'fenced again since': {'epoch': 8},
}


@pytest.mark.parametrize('news', NEWS.values(), ids=NEWS)
def test_what_was_written_of_the_source_during_the_claim_counts(news):
    """A view of some moments ago had it fenced (seed 30002705)."""
    bench = one_pet.Bench(host={'epoch': 7})

    def changes(*args):
        bench.door.answers['update_instance'] = None
        with bench.database.write() as database:
            database.put(memory_database.HOSTS, 'host1', dataclasses.replace(
                bench.host, **news))
    bench.door.answers['update_instance'] = changes
    assert begin(bench) == ['allocated_hosts', 'update_instance',
                            'update_instance']
    assert bench.attempt.outcome is states.Outcome.NOT_SENT
    assert 'was fenced and is' in bench.attempt.detail


POWER = {
    'read just now': (0.0, True, 0, True),
    'read long ago, off': (99.0, True, 1, True),
    'read long ago, on': (99.0, False, 1, False),
    'never read': (None, True, 1, True),
}


@pytest.mark.parametrize('age_s, is_off, reads, is_sent', POWER.values(),
                         ids=POWER)
def test_power_is_read_again_where_the_reading_is_old(age_s, is_off, reads,
                                                      is_sent):
    bench = one_pet.Bench()
    bench.fencer.answers['read'] = one_pet.Reading(is_off)
    if age_s is None:
        bench.memory.saw_power('host1', False, bench.clock.now)
    else:
        bench.memory.saw_power('host1', True, bench.clock.now - age_s)
    assert ('evacuate' in begin(bench)) is is_sent
    assert bench.fencer.names().count('read') == reads


def test_a_slow_device_does_not_outlive_the_claims():
    bench = one_pet.Bench()
    bench.memory.saw_power('host1', False, bench.clock.now)

    def slow(host):
        bench.lose_claims()
        return one_pet.Reading()
    bench.fencer.answers['read'] = slow
    assert begin(bench) == []


def test_an_engine_that_was_deposed_meanwhile_asks_nova_nothing():
    """No time has passed: the power was read just now."""
    bench = one_pet.Bench()
    bench.door.answers['update_instance'] = (
        lambda *args: bench.be_deposed())
    with pytest.raises(exception.RowConflict):
        bench.driver.execute(actions.BeginAttempt(
            bench.id, 0, 'active', None, RUNNING, 4), bench.snap(),
            bench.policy)
    assert 'evacuate' not in bench.door.names()


class Tcp:
    name, path = 'tcp', states.WitnessPath.HOST


WORDS = {'silent': (states.Sign.SILENT, 1.0, True),
         'alive': (states.Sign.LIFE, 1.0, False),
         'silent, long ago': (states.Sign.SILENT, 99.0, False),
         'never asked': (None, 0.0, False)}


@pytest.mark.parametrize('sign, age_s, is_sent', WORDS.values(), ids=WORDS)
def test_a_word_as_proof_counts_while_the_witnesses_are_silent(
        sign, age_s, is_sent):
    bench = one_pet.Bench(host={'proof': states.ProofKind.CONFIRMED})
    bench.memory.saw_power('host1', False, bench.clock.now)
    if sign is not None:
        bench.memory.heard('host1', Tcp, detectors_base.Look(sign, ''),
                           bench.clock.now - age_s)
    assert ('evacuate' in begin(bench)) is is_sent
    assert bench.fencer.names() == []


FRESH = {'unmoved': (100, True), 'moved': (101, False)}


@pytest.mark.parametrize('count, is_sent', FRESH.values(), ids=FRESH)
def test_a_heartbeat_that_was_read_long_ago_is_read_again(count, is_sent):
    """Whatever the cycle waits for, it does not vouch for this moment."""
    bench = one_pet.Bench()
    bench.clock.now += bench.policy.fence_fresh_s + 1
    bench.memory.saw_power('host1', True, bench.clock.now)
    bench.door.answers['services'] = lambda cell: [bench.service(count)]
    assert ('evacuate' in begin(bench)) is is_sent
    assert 'services' in bench.door.names()


def test_a_heartbeat_that_nobody_can_read_is_not_unmoved():
    bench = one_pet.Bench()
    bench.clock.now += bench.policy.fence_fresh_s + 1
    bench.memory.saw_power('host1', True, bench.clock.now)
    assert 'evacuate' not in begin(bench)

    bench = one_pet.Bench()
    bench.clock.now += bench.policy.fence_fresh_s + 1
    bench.memory.saw_power('host1', True, bench.clock.now)

    def away(cell):
        raise exception.NovaUnavailable(what='read', found='away')
    bench.door.answers['services'] = away
    assert 'evacuate' not in begin(bench)


def test_a_heartbeat_that_was_read_just_now_is_not_read_again():
    bench = one_pet.Bench()
    assert begin(bench) == SENT


# -- what nova is asked -------------------------------------------------------


def test_the_row_is_claimed_as_it_was_read():
    bench = one_pet.Bench(row={'original_vm_state': 'stopped'})
    begin(bench, vm_state='error', task_state='powering-off')
    _, named = bench.door.arguments('update_instance')
    assert named['expected'] == {'host': 'host1', 'vm_state': 'error',
                                 'task_state': 'powering-off'}
    assert named['values'] == {'vm_state': 'stopped',
                               'task_state': 'rebuilding'}


def refuse(error):
    def answer(*args):
        raise error
    return answer


def refused(bench):
    bench.door.answers['evacuate'] = refuse(exception.EvacuateRefused(
        uuid='i1', found='no'))
    begin(bench)


def test_the_claim_is_given_back_where_it_still_is_ours():
    bench = one_pet.Bench(row={'original_vm_state': 'stopped'})
    refused(bench)
    given_back = bench.door.calls[-1]
    assert given_back[2] == {
        'expected': {'host': 'host1', 'task_state': 'rebuilding',
                     'vm_state': 'stopped'},
        'values': {'task_state': None}}


def test_a_claim_that_ran_out_is_not_given_back():
    bench = one_pet.Bench()

    def answer(*args):
        bench.lose_claims()
        raise exception.EvacuateRefused(uuid='i1', found='no')
    bench.door.answers['evacuate'] = answer
    assert begin(bench)[-1] == 'evacuate'


DISKS = {
    'a volume': ({'is_bfv': True, 'disk': 'keep'}, None),
    'a volume, in a domain': ({'is_bfv': True, 'disk': 'keep',
                               'storage_domain': 'cloud'}, None),
    'an image': ({'disk': 'keep', 'storage_domain': None}, True),
    'an image, its loss accepted': (
        {'disk': 'rebuild', 'storage_domain': None}, None),
    'the same, in a domain': (
        {'disk': 'rebuild', 'storage_domain': 'cloud'}, True),
    'a volume, its loss accepted': (
        {'is_bfv': True, 'disk': 'rebuild', 'storage_domain': 'cloud'},
        None),
}


@pytest.mark.parametrize('row, is_shared', DISKS.values(), ids=DISKS)
def test_a_disk_is_rebuilt_only_where_its_loss_was_accepted(row, is_shared):
    bench = one_pet.Bench(row=row)
    begin(bench)
    assert bench.door.arguments('evacuate')[1]['on_shared_storage'] is (
        is_shared)


@pytest.mark.parametrize('desired, original, is_stopped', [
    (RUNNING, 'active', False), (STOPPED, 'active', True),
    (STOPPED, 'stopped', False), (RUNNING, 'stopped', False)])
def test_nova_is_asked_to_stop_what_it_would_not_stop_itself(
        desired, original, is_stopped):
    bench = one_pet.Bench(row={'original_vm_state': original})
    begin(bench, desired)
    assert bench.door.arguments('evacuate')[1]['target_stopped'] is (
        is_stopped)


# -- rows ---------------------------------------------------------------------


def test_what_another_living_engine_owns_is_left_to_it():
    bench = one_pet.Bench(row={'owner': None})
    other = one_pet.records.Engine(
        id='other', host='s2', worker='1', version='1',
        mode=states.Mode.ACT, gate_loaded=True)
    bench.store.register_engine(other)
    action = actions.Hold('recovery', bench.id, 0, 'queued')
    snap = bench.snap()
    bench.store.claim_recovery(bench.id, 0, 'other')
    bench.executor.execute(action, snap, bench.policy)
    assert bench.recovery.owner == 'other'
    assert bench.recovery.reason != 'queued'


def test_a_claim_is_written_once():
    bench = one_pet.Bench()
    bench.do(actions.Hold('recovery', bench.id, 0, 'queued'))
    assert bench.recovery.generation == 1


def test_a_free_row_is_claimed_first():
    bench = one_pet.Bench(row={'owner': None})
    bench.do(actions.Hold('recovery', bench.id, 0, 'queued'))
    assert (bench.recovery.generation, bench.recovery.owner) == (
        2, bench.standing.id)


@pytest.mark.parametrize('event, is_kept', [('needs_operator', False),
                                            ('source_unproven', True)])
def test_only_what_moves_on_by_itself_keeps_its_owner(event, is_kept):
    bench = one_pet.Bench()
    bench.do(actions.MoveRecovery(bench.id, 0, event, 'own_view'))
    assert bench.recovery.owner == (bench.standing.id if is_kept else None)


def test_a_move_changes_the_attempt_that_it_names():
    bench = one_pet.Bench(R.SCHEDULING)
    bench.add_attempt()
    bench.add_attempt(request_id='req-2', number=2, reason='old',
                      outcome=states.Outcome.FAILED)
    first, _ = bench.store.attempts(bench.id)
    bench.do(actions.MoveRecovery(
        bench.id, 0, 'failed', 'destination_failed', attempt_id=first.id,
        attempt_changes={'reason': 'new'}))
    assert [one.reason for one in bench.store.attempts(bench.id)] == [
        'new', 'old']


def test_a_move_without_an_attempt_changes_none():
    bench = one_pet.Bench(R.SCHEDULING)
    bench.add_attempt()
    bench.do(actions.MoveRecovery(bench.id, 0, 'failed', 'owner_lost'))
    assert bench.attempt.reason == ''


@pytest.mark.parametrize('reason, lines', [('queued', 1), ('', 0)])
def test_a_hold_is_in_the_history_when_its_reason_is_new(reason, lines):
    bench = one_pet.Bench()
    bench.do(actions.Hold('recovery', bench.id, 0, reason, 'more'))
    assert len(bench.codes()) == lines
    assert bench.recovery.detail == 'more'


def test_the_gate_of_a_sent_attempt_stays_as_the_scheduler_left_it():
    bench = one_pet.Bench()

    def consumes(*args, **kwargs):
        bench.store.consume_gate(bench.attempt.id, bench.attempt.request_id)
    bench.door.answers['evacuate'] = consumes
    begin(bench)
    assert bench.attempt.gate is states.Gate.CONSUMED


@pytest.mark.parametrize('error, outcome, state', [
    (exception.EvacuateRefused(uuid='i1', found='no'),
     states.Outcome.NOT_SENT, R.WAITING),
    (exception.EvacuateUncertain(uuid='i1', found='?'),
     states.Outcome.OPEN, R.SETTLING)], ids=['refused', 'uncertain'])
def test_what_was_not_sent_for_sure_has_its_gate_closed(error, outcome,
                                                        state):
    bench = one_pet.Bench()
    bench.door.answers['evacuate'] = refuse(error)
    begin(bench)
    assert (bench.attempt.gate, bench.attempt.outcome) == (
        states.Gate.CLOSED, outcome)
    assert bench.recovery.state is state


# -- where it went ------------------------------------------------------------


@pytest.mark.parametrize('hosts, state', [
    (['host2'], R.BUILDING), ([], R.SCHEDULING),
    (['host2', 'host3'], R.SCHEDULING)])
def test_only_room_on_one_host_says_where_it_went(hosts, state):
    bench = one_pet.Bench(R.SCHEDULING)
    bench.add_attempt()
    bench.door.answers['allocated_hosts'] = lambda uuid: {'host1', *hosts}
    bench.do(actions.LocateDestination(bench.id, 0, bench.attempt.id))
    assert bench.recovery.state is state


# -- settling -----------------------------------------------------------------


def settle(bench, *others, **values):
    bench.do(actions.SettleAttempt(bench.id, bench.recovery.generation,
                                   None), *others, **values)


def settling(attempt=None, row=None, **values):
    bench = one_pet.Bench(R.SETTLING, row={'attempts': 2, **(row or {})},
                          **values)
    if attempt is not None:
        bench.add_attempt(**attempt)
    bench.finds(samples.trace())
    return bench


def test_a_wait_is_shown_and_looked_at_later():
    bench = settling({'kind': states.AttemptKind.FOREIGN,
                      'migration_id': 5})
    bench.finds(samples.trace(samples.migration()))
    settle(bench)
    assert bench.recovery.reason == 'foreign_evacuation'
    assert bench.door.names() == ['traces']
    assert bench.memory.is_quiet(('recovery', bench.id), bench.clock.now)


CAUSES = {
    'the destination failed': ({'reason': 'destination_failed'}, {}, False),
    'a person wants it': ({'reason': 'destination_failed'},
                          {'urgent': True}, True),
    'the destination is down': ({'reason': 'destination_down'}, {}, True),
}


@pytest.mark.parametrize('attempt, row, is_at_once', CAUSES.values(),
                         ids=CAUSES)
def test_how_long_the_next_attempt_waits(attempt, row, is_at_once):
    bench = settling(attempt, row)
    settle(bench)
    assert bench.recovery.state is R.WAITING
    assert bench.attempt.gate is states.Gate.CLOSED
    assert (bench.recovery.wait_s == 0.0) is is_at_once


@pytest.mark.parametrize('reason, excluded', [
    ('destination_failed', ('host2',)), ('no_valid_host', ())])
def test_no_host_is_excluded_where_none_was_left(reason, excluded):
    bench = settling({'reason': reason, 'destination': 'host2'})
    bench.finds(samples.trace(samples.migration(
        status='cancelled', destination='host2')))
    settle(bench)
    assert bench.recovery.excluded == excluded


def test_what_arrived_is_where_nova_says():
    bench = settling({})
    bench.finds(samples.trace(host='host2'))
    settle(bench)
    assert bench.recovery.destination == 'host2'
    assert bench.attempt.outcome is states.Outcome.SUCCEEDED


@pytest.mark.parametrize('is_adopted, outcome', [
    (True, states.Outcome.ADOPTED), (False, states.Outcome.SUCCEEDED)])
def test_what_was_adopted_is_told_as_such(is_adopted, outcome):
    bench = settling({'migration_id': 5, 'destination': 'host2'})
    record = samples.migration(status='error', destination='host2')
    bench.finds(samples.trace(record))
    bench.door.answers['guest'] = G.RUNNING

    def arrives(*args):
        bench.finds(samples.trace(record, host='host2'))
    bench.door.answers['adopt'] = arrives
    if not is_adopted:
        bench.finds(samples.trace(record, host='host2'))
    settle(bench, samples.host_view('host2'))
    assert bench.attempt.outcome is outcome


def test_what_was_adopted_and_then_deleted_is_no_success():
    bench = settling({'migration_id': 5, 'destination': 'host2'})
    bench.finds(samples.trace(samples.migration(
        status='error', destination='host2')))
    bench.door.answers['guest'] = G.RUNNING
    bench.door.answers['adopt'] = lambda *args: bench.finds(one_pet.GONE)
    settle(bench, samples.host_view('host2'))
    assert bench.attempt.outcome is states.Outcome.UNSETTLED


@pytest.mark.parametrize('known, expected', [(None, 5), (3, 3)])
def test_an_ended_attempt_names_its_record(known, expected):
    bench = settling({'migration_id': known})
    found = samples.trace(samples.migration(status='error'))
    settle(bench, found=found)
    assert bench.attempt.migration_id == expected


def test_what_needs_a_person_stays_open():
    bench = settling({'migration_id': 5, 'destination': 'host2',
                      'reason': 'building_slow'})
    event = samples.event('compute_rebuild_instance', 'host2')
    bench.finds(samples.trace(samples.migration(
        status='pre-migrating', destination='host2'), events=(event,)))
    bench.door.answers['guest'] = G.NOT_RUNNING
    settle(bench, samples.host_view('host2'))
    assert bench.recovery.state is R.NEEDS_OPERATOR
    assert bench.attempt.outcome is states.Outcome.OPEN
    assert bench.attempt.gate is states.Gate.ARMED


def test_each_step_is_guarded():
    bench = settling({'migration_id': 5})
    bench.finds(samples.trace(samples.migration()))
    bench.door.answers['delete_accepted'] = bench.lose_claims
    with pytest.raises(exception.ClaimsLost):
        settle(bench)
    assert bench.door.names() == ['traces', 'delete_accepted', 'traces']


@pytest.mark.parametrize('is_written, times', [(True, 1), (False, 60)])
def test_a_tombstone_counts_when_it_was_written(is_written, times):
    bench = settling({'migration_id': 5, 'destination': 'host2'})
    bench.finds(samples.trace(samples.migration(
        status='error', destination='host2')))
    bench.door.answers['tombstone'] = is_written
    settle(bench, samples.host_view('host2', state=H.FENCED))
    assert bench.door.names().count('tombstone') == times


# -- verifying ----------------------------------------------------------------


def verify(bench, **values):
    bench.do(actions.VerifyInstance(bench.id, bench.recovery.generation,
                                    None), **values)


def verifying(**row):
    bench = one_pet.Bench(R.VERIFYING, row={'destination': 'host2', **row})
    bench.door.answers['allocated_hosts'] = lambda uuid: {'host1', 'host2'}
    return bench


@pytest.mark.parametrize('desired, vm_state, original, call', [
    (STOPPED, 'active', 'active', 'stop'),
    (RUNNING, 'stopped', 'stopped', 'start')])
def test_power_is_asked_for_once_in_a_look(desired, vm_state, original,
                                           call):
    bench = verifying(desired_power=desired, original_vm_state=original)
    bench.finds(samples.trace(host='host2', vm_state=vm_state))
    verify(bench)
    asked = [name for name in bench.door.names()
             if name in ('stop', 'start')]
    assert asked == [call]
    assert bench.recovery.reason == 'restoring_power'


def test_a_look_that_waits_comes_back_later():
    bench = verifying()
    bench.finds(samples.trace(host='host2'))
    verify(bench)
    assert bench.recovery.reason == 'arrived'
    assert bench.memory.is_quiet(('recovery', bench.id), bench.clock.now)


def test_what_is_well_is_recovered_where_it_is():
    bench = verifying(destination='host9')
    bench.finds(samples.trace(host='host2'))
    verify(bench, state_s=9999.0)
    assert bench.recovery.state is R.RECOVERED
    assert bench.recovery.destination == 'host2'


def test_what_has_left_again_keeps_what_is_known_of_it():
    bench = verifying()
    bench.finds(samples.trace(host='host1'))
    verify(bench)
    assert bench.recovery.state is R.PENDING
    assert bench.recovery.destination == 'host2'


def test_an_action_for_an_unknown_recovery_does_nothing():
    bench = one_pet.Bench()
    bench.do(actions.SettleAttempt(99, 0, None))
    assert bench.door.names() == []


@pytest.mark.parametrize('outcome, state, reason', [
    (states.Outcome.FAILED, R.READY, 'settled_before'),
    (states.Outcome.UNSETTLED, R.SETTLING, 'foreign_evacuation')])
def test_what_an_earlier_recovery_settled_is_not_settled_again(
        outcome, state, reason):
    """Its destination died at work, and its action says for ever that it is:
    it was waited for, for building_alarm, and then a person was asked."""
    bench = one_pet.Bench()
    found = samples.trace(
        samples.migration(status='error', destination='host2'),
        events=(samples.event('compute_rebuild_instance', 'host2'),))
    with bench.database.write() as database:
        earlier = database.insert(
            memory_database.RECOVERIES, samples.recovery(
                R.ABANDONED, instance_uuid='i1'))
        database.insert(memory_database.ATTEMPTS, samples.attempt(
            recovery_id=earlier, migration_id=5, destination='host2',
            outcome=outcome, gate=states.Gate.CLOSED))
    [action] = recoveries.plan_recovery(
        bench.view(found), bench.snap(found=found), bench.policy)
    bench.do(action, found=found)
    assert bench.recovery.state is state
    assert bench.attempt.reason == reason
    assert bench.codes()[0] == reason
    if state is R.READY:
        # It explains all of it here, too: nothing is strange any more.
        assert bench.attempt.outcome is states.Outcome.FAILED
        assert bench.attempt.action_id == 'req-1'
        assert recoveries.plan_recovery(
            bench.view(found), bench.snap(found=found), bench.policy) == []
        assert safety.foreign_hosts(
            bench.recovery, tuple(bench.store.attempts(bench.id)),
            found) == set()
