# SPDX-License-Identifier: Apache-2.0
"""What the engine's hands do to one host: each check by itself."""

import pytest

from nova_pets import exception
from nova_pets.detectors import base as detectors_base
from nova_pets.engine import executor as executor_module
from nova_pets.engine import mending as mending_module
from nova_pets.model import actions
from nova_pets.model import observations
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.tests.unit.engine import one_pet
from nova_pets.tests.unit.planning import samples

H = states.HostState
R = states.RecoveryState


class Result:
    def __init__(self, is_proven, detail='as told', is_stopped=False):
        self.is_proven = is_proven
        self.is_stopped = is_stopped
        self.detail = detail
        self.evidence = {'detail': detail}


ON = one_pet.Reading(False, True)
OFF = one_pet.Reading(True, True)
MUTE = one_pet.Reading(False, False)


def silent(bench, seconds=60.0, word=samples.SILENT_TCP):
    """The host has been silent for so long, and a witness just said so."""
    bench.clock.now += seconds
    bench.standing.renew(None, states.Mode.ACT)
    bench.memory.saw_services([bench.service()], one_pet.CELL,
                              bench.clock.now, 999.0)
    if word is not None:
        hear(bench, word)


def hear(bench, word):
    detector = one_pet.Told()
    detector.name, detector.path = word.detector, word.path
    bench.memory.heard('host1', detector, detectors_base.Look(word.sign, ''),
                       bench.clock.now)


def down(**host):
    bench = one_pet.Bench(host_state=H.DOWN, host=host)
    bench.fencer.answers['fence'] = Result(True)
    silent(bench)
    return bench


def fence(bench, reason='fence_started', event='fence'):
    bench.do(actions.FenceHost('host1', bench.host.generation, event,
                               reason))


# -- the power-off ------------------------------------------------------------


def test_a_silent_host_is_fenced_and_forced_down():
    bench = down()
    fence(bench)
    assert bench.host.state is H.FENCED
    assert bench.host.forced_down
    assert bench.door.names()[-1] == 'set_forced_down'


def moves(bench):
    bench.memory.saw_services([bench.service(101)], one_pet.CELL,
                              bench.clock.now, 999.0)


def is_blind(bench):
    bench.memory._read_at.clear()


def moved_a_while_ago(bench):
    """One heartbeat, and the reads after it found no other one yet."""
    moves(bench)
    bench.clock.now += 1.0
    moves(bench)


def is_not_read(bench):
    """Its cell's database is away; ours, which has the claims, is not."""
    bench.clock.now += bench.policy.report_interval_s + 0.1
    bench.standing.renew(None, states.Mode.ACT)
    hear(bench, samples.SILENT_TCP)


LIFE = {
    'its heartbeat moves': moves,
    'its heartbeat moved a second ago': moved_a_while_ago,
    'its heartbeat is not read any more': is_not_read,
    'nothing was ever read': is_blind,
    'its port answers': lambda bench: hear(bench, samples.LIVE_TCP),
    'its agent answers': lambda bench: hear(bench, samples.LIVE_PING),
    'another engine sees life': lambda bench: bench.memory.heard_of_life(
        'host1', 's2/7'),
    'claims ran out': one_pet.Bench.lose_claims,
    'it was deposed': one_pet.Bench.be_deposed,
}


@pytest.mark.parametrize('happens', LIFE.values(), ids=LIFE)
def test_nothing_is_powered_off_where(happens):
    bench = down()
    advance = bench.store.advance_host

    def then(*args):
        written = advance(*args)
        happens(bench)
        return written
    bench.store.advance_host = then
    with pytest.raises(exception.ClaimsLost):
        fence(bench)
    assert bench.fencer.names() == []


@pytest.mark.parametrize('happens', LIFE.values(), ids=LIFE)
def test_no_device_is_told_any_more_where(happens):
    bench = down()
    said = []

    def power_off(host, may_act):
        said.append(may_act())
        happens(bench)
        said.append(may_act())
        return Result(False)
    bench.fencer.answers['fence'] = power_off
    try:
        fence(bench)
    except exception.PetsException:
        pass  # what it was told is all that counts here
    assert said[0] is None
    assert said[1] is not None


@pytest.mark.parametrize('reason', ['operator_fence', 'service_fence'])
def test_a_person_and_a_ladder_may_fence_a_machine_that_answers(reason):
    bench = down()
    hear(bench, samples.LIVE_TCP)
    bench.memory.heard_of_life('host1', 's2/7')
    bench.fencer.answers['fence'] = lambda host, may_act: Result(
        may_act() is None)
    fence(bench, reason, 'operator_fence' if reason == 'operator_fence'
          else 'fence')
    assert bench.host.state is H.FENCED


@pytest.mark.parametrize('happens', [moves, moved_a_while_ago, is_not_read])
def test_a_person_may_not_fence_against_a_heartbeat(happens):
    bench = down()
    happens(bench)
    with pytest.raises(exception.ClaimsLost):
        fence(bench, 'operator_fence', 'operator_fence')


ENDS = {
    'proven': (Result(True), 0, H.FENCED, 'not_forced_down'),
    'the first failure': (Result(False), 0, H.DOWN, 'fence_retry'),
    'the last failure': (Result(False), 2, H.UNPROVEN, 'fence_failed'),
    'own doubts': (Result(False, is_stopped=True), 2, H.DOWN, 'fence_retry'),
}


@pytest.mark.parametrize('result, before, state, code', ENDS.values(),
                         ids=ENDS)
def test_what_follows_a_power_off(result, before, state, code):
    bench = one_pet.Bench(host_state=H.DOWN, policy={'fence_attempts': 3},
                          host={'fence_attempts': before})
    bench.fencer.answers['fence'] = result
    silent(bench)
    fence(bench)
    assert bench.host.state is state
    assert bench.codes()[-1] == code


def test_what_one_engine_cannot_fence_is_left_to_the_others():
    """Its clock may be wrong, or its way to the device (chaos, seed 9001)."""
    bench = down()
    bench.fencer.answers['fence'] = Result(False)
    fence(bench)
    assert bench.host.owner is None
    pause_s = bench.policy.fence_retry_s + executor_module.PASSED_ON_S
    key = ('fence again', 'host1')
    assert bench.memory.is_quiet(key, bench.clock.now + pause_s - 0.1)
    assert not bench.memory.is_quiet(key, bench.clock.now + pause_s)


@pytest.mark.parametrize('services, expected', [
    ([samples.service('host9', report_count=5),
      samples.service(report_count=103)], 103), ([], one_pet.COUNT)],
    ids=['as read now', 'as read last'])
def test_the_proof_keeps_the_count_of_its_host(services, expected):
    bench = down()
    bench.door.answers['services'] = lambda cell: services
    fence(bench)
    assert bench.host.proof_count == expected


# -- forced_down --------------------------------------------------------------


@pytest.mark.parametrize('is_marked, lines', [(False, 1), (True, 0)])
def test_forced_down_is_marked_as_ours_once(is_marked, lines):
    bench = one_pet.Bench(host={'forced_down': is_marked})
    bench.do(actions.ForceDown('host1', 0, 1))
    assert bench.codes().count('not_forced_down') == lines
    assert bench.door.names() == ['set_forced_down']


@pytest.mark.parametrize('ours, novas, is_told', [
    (True, False, True), (True, True, False), (False, False, False)])
def test_who_forced_a_host_up_is_in_the_history(ours, novas, is_told):
    bench = one_pet.Bench(host={'forced_down': ours})
    bench.do(actions.ForceDown('host1', 0, 1),
             host={'svc': samples.service(forced_down=novas)})
    assert ('forced_up_by_others' in bench.codes()) is is_told


@pytest.mark.parametrize('action', [actions.ForceDown('host1', 0, 1),
                                    actions.ForceUp('host1', 0)],
                         ids=['down', 'up'])
def test_nova_is_not_told_by_an_engine_whose_claims_ran_out(action):
    bench = one_pet.Bench(host_state=H.RETURNING
                          if isinstance(action, actions.ForceUp)
                          else H.FENCED)
    bench.lose_claims()
    with pytest.raises(exception.ClaimsLost):
        bench.do(action)
    assert bench.door.names() == []


# -- power, read again --------------------------------------------------------

READINGS = {
    'off': (one_pet.Reading(True), '', H.FENCED, ''),
    'off again': (one_pet.Reading(True), 'power_unreadable', H.FENCED,
                  'proven_off'),
    'off, held for something else': (one_pet.Reading(True), 'storm',
                                     H.FENCED, 'storm'),
    'on': (one_pet.Reading(False, True), '', H.QUARANTINED,
           'power_not_off'),
    'unreadable': (one_pet.Reading(False, False), '', H.FENCED,
                   'power_unreadable'),
}


@pytest.mark.parametrize('reading, before, state, reason',
                         READINGS.values(), ids=READINGS)
def test_a_reading_keeps_the_proof_or_voids_it(reading, before, state,
                                               reason):
    bench = one_pet.Bench(host={'reason': before})
    bench.fencer.answers['read'] = reading
    bench.do(actions.ReadPower('host1', 0))
    assert (bench.host.state, bench.host.reason) == (state, reason)
    is_known = bench.memory.power_off_s('host1', bench.clock.now) is not None
    assert is_known is reading.is_off


def test_what_cannot_be_read_is_told_once():
    bench = one_pet.Bench(host={'reason': 'power_unreadable'})
    bench.fencer.answers['read'] = one_pet.Reading(False, False)
    bench.do(actions.ReadPower('host1', 0))
    assert bench.codes() == []


@pytest.mark.parametrize('reading', [
    one_pet.Reading(True), one_pet.Reading(False, True)], ids=['off', 'on'])
def test_of_a_host_that_boots_the_power_is_only_learnt(reading):
    bench = one_pet.Bench(host_state=H.QUARANTINED,
                          host={'reason': 'power_not_off'})
    bench.fencer.answers['read'] = reading
    bench.do(actions.ReadPower('host1', 0))
    assert (bench.host.state, bench.host.reason, bench.codes()) == (
        H.QUARANTINED, 'power_not_off', [])
    is_known = bench.memory.power_off_s('host1', bench.clock.now) is not None
    assert is_known is reading.is_off
    assert bench.memory.is_quiet(('return', 'host1'), bench.clock.now)


@pytest.mark.parametrize('reading', [
    one_pet.Reading(True), one_pet.Reading(False, True),
    one_pet.Reading(False, False)], ids=['off', 'on', 'unreadable'])
def test_of_an_unproven_host_the_power_is_only_learnt(reading):
    """Any engine may look, so none takes it for that."""
    bench = one_pet.Bench(host_state=H.UNPROVEN,
                          host={'reason': 'fence_failed', 'owner': None})
    bench.fencer.answers['read'] = reading
    bench.do(actions.ReadPower('host1', 0))
    assert (bench.host.state, bench.host.reason, bench.host.owner,
            bench.codes()) == (H.UNPROVEN, 'fence_failed', None, [])
    is_known = bench.memory.power_off_s('host1', bench.clock.now) is not None
    assert is_known is reading.is_off
    until = bench.clock.now + bench.policy.fence_retry_s
    key = ('return', 'host1')
    assert bench.memory.is_quiet(key, until - 0.1) is not reading.is_off
    assert not bench.memory.is_quiet(key, until)


@pytest.mark.parametrize('known, generation', [(True, 0), (None, 1),
                                               (False, 1)])
def test_a_working_fence_is_written_when_it_is_news(known, generation):
    bench = one_pet.Bench(host_state=H.UP, host={'fence_ready': known})
    bench.fencer.answers['read'] = ON
    bench.executor.check_fence(bench.host)
    assert bench.host.generation == generation
    assert bench.host.fence_ready is True


def looked_at(bench, reading, count):
    bench.memory.saw_services([bench.service(count)], one_pet.CELL,
                              bench.clock.now, 999.0)
    bench.fencer.answers['read'] = reading
    bench.executor.check_fence(bench.host)


def test_a_device_that_reads_off_while_its_host_lives_is_a_wrong_one():
    """It may be that of another machine, whose being off would prove this
    one off as soon as nobody reaches it."""
    bench = one_pet.Bench(host_state=H.UP, host={'fence_ready': True})
    looked_at(bench, OFF, 100)
    assert bench.host.generation == 0
    assert bench.memory.is_quiet(('fence', 'host1'), bench.clock.now + 29)
    assert not bench.memory.is_quiet(('fence', 'host1'),
                                     bench.clock.now + 30)
    looked_at(bench, OFF, 101)
    assert bench.host.fence_ready is False
    assert bench.host.fence_detail == records.WRONG_DEVICE
    generation = bench.host.generation
    looked_at(bench, OFF, 102)
    assert bench.host.generation == generation
    looked_at(bench, MUTE, 103)
    assert bench.host.fence_detail == 'as told'


def test_a_host_that_was_switched_off_a_moment_ago_has_its_own_device():
    bench = one_pet.Bench(host_state=H.UP, host={'fence_ready': True})
    looked_at(bench, OFF, 100)
    looked_at(bench, OFF, 100)
    looked_at(bench, ON, 100)
    looked_at(bench, OFF, 107)
    assert bench.host.generation == 0


def test_of_a_host_that_was_never_read_nothing_follows():
    bench = one_pet.Bench(host_state=H.UP, host={'fence_ready': True})
    bench.memory._counts.clear()
    bench.fencer.answers['read'] = OFF
    bench.executor.check_fence(bench.host)
    assert bench.host.generation == 0


# -- rows ---------------------------------------------------------------------


def another(bench, name='other'):
    bench.store.register_engine(records.Engine(
        id=name, host='s2', worker='1', version='1', mode=states.Mode.ACT,
        gate_loaded=True))


def test_a_host_that_a_living_engine_owns_is_left_to_it():
    bench = one_pet.Bench(host={'owner': 'other'})
    another(bench)
    bench.do(actions.Hold('host', 'host1', 0, 'storm'))
    assert (bench.host.owner, bench.host.reason) == ('other', '')


def test_a_free_host_is_claimed_before_it_is_written():
    bench = one_pet.Bench(host={'owner': None})
    bench.do(actions.Hold('host', 'host1', 0, 'storm'))
    assert (bench.host.owner, bench.host.generation) == (
        bench.standing.id, 2)


def test_a_host_that_is_mine_is_not_claimed_again():
    bench = one_pet.Bench()
    bench.do(actions.Hold('host', 'host1', 0, 'storm'))
    assert bench.host.generation == 1


@pytest.mark.parametrize('state, event, is_kept', [
    (H.SUSPECT, 'verdict_down', True), (H.UP, 'silent', False),
    (H.FENCED, 'life_seen', True), (H.FENCED, 'vacated', False)])
def test_only_a_host_in_trouble_keeps_its_owner(state, event, is_kept):
    bench = one_pet.Bench(host_state=state)
    bench.do(actions.MoveHost('host1', 0, event, 'all_silent'))
    assert bench.host.owner == (bench.standing.id if is_kept else None)


# -- opening records ----------------------------------------------------------


def pet_and_instance(**values):
    instance = samples.instance(uuid='i2', **values)
    return instance, records.Pet(
        instance_uuid='i2', cell_uuid=one_pet.CELL, project_id='p',
        name='db2', host='host1', vm_state=instance.vm_state)


def open_host(bench, found):
    bench.executor._tags.answers['pets_on'] = found
    bench.do(actions.OpenRecoveries('host1', bench.host.generation, 1))


def test_an_unprotected_state_is_left_alone_and_told_once():
    bench = one_pet.Bench()
    found = [pet_and_instance(vm_state='shelved_offloaded')]
    open_host(bench, found)
    lines = len(bench.codes())
    open_host(bench, found)
    assert len(bench.codes()) == lines
    assert len(bench.store.recoveries()) == 1


def left_alone_code(bench):
    open_host(bench, [pet_and_instance(vm_state='shelved_offloaded')])
    return bench.codes()[-1]


@pytest.mark.parametrize('code, epoch, lines', [
    (None, 1, 1), (None, 0, 2), ('another', 1, 2)],
    ids=['told', 'told in another epoch', 'another line of this epoch'])
def test_what_is_left_alone_is_told_once_in_an_epoch(code, epoch, lines):
    known = left_alone_code(one_pet.Bench())
    bench = one_pet.Bench()
    bench.store.record(records.Event(
        code=code or known, text='', host='host1', instance_uuid='i2',
        evidence={'epoch': epoch}))
    left_alone_code(bench)
    assert len(bench.codes()) == lines


def test_a_pet_of_a_down_host_gets_a_record():
    bench = one_pet.Bench()
    open_host(bench, [pet_and_instance()])
    assert {row.instance_uuid for row in bench.store.recoveries()} == {
        'i1', 'i2'}


@pytest.mark.parametrize('reason, epoch, opened', [
    ('operator_abandon', 1, 0), ('operator_abandon', 0, 1),
    ('untagged', 1, 1)],
    ids=['a person ended it', 'that was another failure', 'it had no tag'])
def test_what_a_person_ended_gets_no_other_record(reason, epoch, opened):
    bench = one_pet.Bench(state=R.ABANDONED, row={
        'instance_uuid': 'i2', 'reason': reason, 'epoch': epoch})
    open_host(bench, [pet_and_instance()])
    assert len(bench.store.recoveries()) == 1 + opened


# -- mending ------------------------------------------------------------------


def late_error(**values):
    return samples.instance(**{'host': 'host3', 'vm_state': 'error',
                               **values})


def mending(guest=states.GuestAnswer.RUNNING, destination='host3',
            now=None):
    bench = one_pet.Bench(R.RECOVERED, row={'destination': destination})
    with bench.database.write() as database:
        database.insert('pets_attempts', samples.attempt(
            recovery_id=bench.id, outcome=states.Outcome.FAILED))
    event = observations.ActionEvent('compute_rebuild_instance', 'host2',
                                     True, 'Error', id=9)
    bench.finds(observations.Trace(now or late_error(), (),
                                   {'req-1': (event,)}, ('req-1',)))
    bench.door.answers['guest'] = guest
    mender = mending_module.Mender(bench.store, bench.door, bench.standing)
    return bench, mender


def test_an_error_of_a_late_request_is_mended_once():
    bench, mender = mending()
    mender.turn([late_error()])
    args, _ = bench.door.arguments('update_instance')
    assert args[2:] == ({'host': 'host3', 'vm_state': 'error',
                         'task_state': None}, {'vm_state': 'active'})
    mender.turn([late_error()])
    assert bench.door.names().count('update_instance') == 1


def test_another_late_request_is_mended_too():
    bench, mender = mending()
    bench.store.record(records.Event(
        code='late_cast_mended', text='', instance_uuid='i1',
        evidence={'event': 8}))
    bench.store.record(records.Event(
        code='something_else', text='', instance_uuid='i1',
        evidence={'event': 9}))
    mender.turn([late_error()])
    assert 'update_instance' in bench.door.names()


NOT_MENDED = {
    'it lives elsewhere': {'destination': 'host4'},
    'another cause': {'now': late_error(task_state='rebuilding')},
    'nobody knows whether it runs': {
        'guest': states.GuestAnswer.UNREACHABLE},
}


@pytest.mark.parametrize('values', NOT_MENDED.values(), ids=NOT_MENDED)
def test_an_error_is_left_where(values):
    bench, mender = mending(**values)
    mender.turn([late_error()])
    assert 'update_instance' not in bench.door.names()


def test_nothing_is_read_of_what_lives_elsewhere():
    bench, mender = mending(destination='host4')
    mender.turn([late_error()])
    assert bench.door.names() == []


def test_what_was_never_recovered_is_not_mended():
    bench, mender = mending()
    mender.turn([late_error(uuid='i9')])
    assert bench.door.names() == []


def test_an_engine_whose_claims_ran_out_mends_nothing():
    bench, mender = mending()
    bench.lose_claims()
    mender.turn([late_error()])
    assert 'update_instance' not in bench.door.names()
