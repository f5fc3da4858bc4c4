# SPDX-License-Identifier: Apache-2.0
"""What an audit finds, what it offers to mend, and what it leaves alone."""

import dataclasses
import datetime

import pytest

from nova_pets.model import audit as audit_model
from nova_pets.model import reasons
from nova_pets.model import states
from nova_pets.planning import audit
from nova_pets.planning import settling
from nova_pets.tests.unit.planning import samples

G = states.GuestAnswer
H = states.HostState
OUTCOME = states.Outcome

UP = audit_model.Place(H.UP, False)
FORCED = audit_model.Place(H.UP, True)
DOWN = audit_model.Place(H.DOWN, True)
OFF = audit_model.Place(H.FENCED, True)
PLACES = {'host1': UP, 'host2': UP, 'host3': UP}
LATER = samples.NOON + datetime.timedelta(hours=1)

CONDUCTED = samples.event('rebuild_server', result='Success')
REFUSED = samples.event('rebuild_server', result='Error')
BUILDING = samples.event('compute_rebuild_instance', host='host2')
FAILED = samples.event('compute_rebuild_instance', host='host2',
                       result='Error')


def facts(*records, events=(), moves=(), held=None, guests=None,
          attempts=(), last_action=None, is_ours=True,
          has_open_recovery=False, **instance):
    """An instance that lives on host1, unless said otherwise."""
    return audit_model.Facts(
        uuid='i1', cell_uuid=samples.CELL, name='db1',
        trace=samples.trace(*records, events=events, **instance),
        is_ours=is_ours, has_open_recovery=has_open_recovery,
        attempts=tuple(attempts), moves=tuple(moves), held=held,
        last_action=last_action, guests=guests or {})


def judge(known, **places):
    return audit.judge(known, {**PLACES, **places})


def only(known, **places):
    found, = judge(known, **places)
    return found


def record(status, source='host1', destination=None, **values):
    return samples.migration(5, status, source, destination, **values)


def held(*hosts, generation=7):
    return audit_model.Held(frozenset(hosts), generation)


def action(name, is_over=True):
    return audit_model.Action(name, is_over)


def test_nothing_is_found_where_nothing_is_wrong():
    assert judge(facts(held=held('host1'))) == []


# -- F8: the record names the host where it lives -----------------------------


@pytest.mark.parametrize('known, mend', [
    (facts(record('accepted')), settling.DeleteAccepted(5)),
    (facts(record('accepted'), task_state='rebuilding', events=[CONDUCTED]),
     settling.DeleteAccepted(5)),
    (facts(record('done', destination='host2')), audit.Withdraw(5, 'host1')),
    (facts(record('pre-migrating', destination='host2'), events=[FAILED],
           guests={'host2': G.NOT_RUNNING, 'host1': G.RUNNING}),
     settling.CloseMigration(5, ('pre-migrating',), 'error')),
], ids=['accepted', 'accepted_in_flight', 'done', 'pre_migrating'])
def test_a_record_of_its_own_host_is_mended(known, mend):
    found = only(known)
    assert (found.code, found.host) == ('record_of_its_host', 'host1')
    assert found.mend == mend


@pytest.mark.parametrize('events, place, is_mended', [
    ([REFUSED], FORCED, True), ([REFUSED], DOWN, False),
    ([REFUSED], None, False), ([CONDUCTED], FORCED, False),
    ([CONDUCTED, dataclasses.replace(FAILED, id=9)], FORCED, True),
], ids=['refused', 'refused_and_down', 'unknown_host', 'sent_on', 'failed'])
def test_what_the_gate_refused_goes_though_its_host_is_forced_down(
        events, place, is_mended):
    """nova-compute, started there again, would destroy the guest by it."""
    known = facts(record('accepted'), events=events)
    places = {**PLACES, 'host1': place} if place else {}
    assert (settling.DeleteAccepted(5) in mends(known, places)) is is_mended


@pytest.mark.parametrize('other', [
    (), (CONDUCTED,), (samples.event('rebuild_server'),),
    (samples.event('compute_rebuild_instance', host='host2'),)],
    ids=['not_heard_of', 'sent_on', 'in_conductor', 'building'])
def test_what_another_request_may_use_stays(other):
    known = facts(record('accepted'), events=[REFUSED])
    trace = dataclasses.replace(
        known.trace, actions=(*known.trace.actions, 'req-2'),
        events={**known.trace.events, 'req-2': other})
    assert mends(dataclasses.replace(known, trace=trace),
                 {**PLACES, 'host1': FORCED}) in ([], [None])


def mends(known, places):
    return [one.mend for one in audit.judge(known, places)]


@pytest.mark.parametrize('known, places, said', [
    (facts(record('accepted'), events=[REFUSED]), {'host1': DOWN}, 'is down'),
    (facts(record('done')), {'host1': DOWN}, 'is down'),
    (facts(record('done'), task_state='migrating'), {}, 'being worked on'),
    (facts(record('done'), moves=[audit_model.Move('resize', 'finished')]),
     {}, 'being worked on'),
    (facts(record('pre-migrating', destination='host2'), events=[BUILDING],
           guests={'host2': G.NOT_RUNNING, 'host1': G.RUNNING}), {},
     'may still be at work'),
    (facts(record('pre-migrating', destination='host2'),
           guests={'host2': G.NOT_RUNNING, 'host1': G.RUNNING}), {},
     'may still be at work'),
    (facts(record('pre-migrating', destination='host2'), events=[FAILED],
           guests={'host1': G.RUNNING}), {}, 'not asked'),
    (facts(record('pre-migrating', destination='host2'), events=[FAILED],
           guests={'host2': G.UNREACHABLE, 'host1': G.RUNNING}), {},
     'no answer'),
    (facts(record('pre-migrating', destination='host2'), events=[FAILED],
           guests={'host2': G.NOT_RUNNING, 'host1': G.NOT_RUNNING}), {},
     'no guest was seen on host1'),
    (facts(record('pre-migrating', destination='host2'), events=[FAILED],
           guests={'host2': G.NOT_RUNNING}), {}, 'no guest was seen'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_a_record_of_its_own_host_is_left_where_it_is_not_safe(
        known, places, said):
    found = [one for one in judge(known, **places)
             if one.code == 'record_of_its_host']
    assert [one.mend for one in found] == [None]
    assert said in found[0].why_not


@pytest.mark.parametrize('events', [(), (CONDUCTED,), (BUILDING,), (
    samples.event('rebuild_server'),)], ids=str)
@pytest.mark.parametrize('place', [FORCED, DOWN, OFF], ids=str)
def test_an_evacuation_under_way_is_no_finding(events, place):
    known = facts(record('accepted'), events=events,
                  task_state='rebuilding')
    if not events:
        known = dataclasses.replace(known, trace=dataclasses.replace(
            known.trace, actions=('req-1',)))
    assert judge(known, host1=place) == []


# -- records from elsewhere ---------------------------------------------------


@pytest.mark.parametrize('known, mend', [
    (facts(record('accepted', 'host2')), settling.DeleteAccepted(5)),
    (facts(record('pre-migrating', 'host2', 'host1')),
     settling.CloseMigration(5, ('pre-migrating',), 'done')),
    (facts(record('pre-migrating', 'host2', 'host3'), events=[
        samples.event('compute_rebuild_instance', 'host3', 'Error')],
        guests={'host2': G.NOT_RUNNING, 'host3': G.NOT_RUNNING}),
     settling.CloseMigration(5, ('pre-migrating',), 'error')),
], ids=['accepted', 'finished', 'failed'])
def test_a_stale_record_is_mended(known, mend):
    found = only(known)
    assert (found.code, found.host) == ('stale_record', 'host2')
    assert found.mend == mend


@pytest.mark.parametrize('known, said', [
    (facts(record('accepted', 'host2'), host=None), 'no host'),
    (facts(record('pre-migrating', 'host2', 'host3')), 'still be at work'),
    (facts(record('pre-migrating', 'host2', 'host3'), events=[
        samples.event('compute_rebuild_instance', 'host3', 'Error')]),
     'not asked'),
    (facts(record('pre-migrating', 'host2', 'host3'), events=[
        samples.event('compute_rebuild_instance', 'host3', 'Error')],
        guests={'host3': G.RUNNING}), 'it runs there'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_a_stale_record_is_left_where_it_is_not_safe(known, said):
    found = [one for one in judge(known) if one.code == 'stale_record']
    assert [one.mend for one in found] == [None]
    assert said in found[0].why_not


def test_a_record_that_is_just_being_finished_is_no_finding():
    assert judge(facts(record('pre-migrating', 'host2', 'host1'),
                       task_state='rebuild_spawning')) == []


def test_a_source_that_has_not_cleaned_up_is_for_a_person():
    found = only(facts(record('done', 'host2', 'host1')))
    assert (found.code, found.host, found.mend) == (
        'uncleaned_source', 'host2', None)


@pytest.mark.parametrize('place', [DOWN, OFF, FORCED], ids=str)
def test_a_source_that_is_down_cleans_up_when_it_returns(place):
    assert judge(facts(record('done', 'host2', 'host1')),
                 host2=place) == []


# -- task_state ---------------------------------------------------------------


@pytest.mark.parametrize('event', [
    REFUSED, samples.event('rebuild_server')],
    ids=['refused', 'the cell was away when conductor ended'])
@pytest.mark.parametrize('task', ['rebuilding',
                                  'rebuild_block_device_mapping'])
def test_a_stuck_rebuild_is_cleared_before_any_spawn(task, event):
    found = only(facts(task_state=task, vm_state='stopped',
                       last_action=action('evacuate'), events=[event]))
    assert found.code == 'stuck_rebuilding'
    assert found.mend == settling.Restore(
        {'host': 'host1', 'vm_state': 'stopped', 'task_state': task},
        {'task_state': None})


@pytest.mark.parametrize('known, places, said', [
    (facts(task_state='rebuild_spawning', last_action=action('evacuate')),
     {}, 'a guest may be elsewhere'),
    (facts(task_state='rebuilding', last_action=action('evacuate')),
     {'host1': DOWN}, 'host1 is down'),
    (facts(task_state='rebuilding', last_action=action('evacuate')),
     {'host1': FORCED}, 'forced down'),
    (facts(task_state='rebuilding', last_action=action('evacuate'),
           events=[BUILDING]), {}, 'may still be at work'),
    (facts(task_state='rebuilding', last_action=action('rebuild')), {},
     'not ours'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_a_stuck_rebuild_is_left_where_it_is_not_safe(known, places, said):
    found = only(known, **places)
    assert (found.code, found.mend) == ('stuck_rebuilding', None)
    assert said in found.why_not


@pytest.mark.parametrize('known', [
    facts(task_state='rebuilding', last_action=action('rebuild', False)),
    facts(task_state='rebuilding', last_action=None),
    facts(task_state='powering-off', last_action=action('stop', False)),
], ids=['its_owner_rebuilds_it', 'not_read', 'another_task'])
def test_work_of_others_is_no_finding(known):
    assert judge(known) == []


def test_the_record_goes_before_the_task():
    known = facts(record('accepted'), task_state='rebuilding',
                  last_action=action('evacuate'), events=[REFUSED])
    assert [one.code for one in judge(known)] == ['record_of_its_host']


# -- allocations --------------------------------------------------------------


def test_leaked_room_is_removed_by_the_generation_that_was_read():
    found = only(facts(held=held('host1', 'host2'),
                       guests={'host2': G.NOT_RUNNING}))
    assert (found.code, found.host) == ('leaked_allocation', 'host2')
    assert found.mend == audit.RemoveLeak('host2', 7)


@pytest.mark.parametrize('known', [
    facts(held=held('host1', 'host2'), task_state='migrating'),
    facts(held=held('host1', 'host2'), moves=[
        audit_model.Move('live-migration', 'running')]),
    facts(held=held('host1', 'host2'), moves=[
        audit_model.Move('resize', 'finished')], vm_state='resized'),
    facts(held=held('host1', 'host2'), vm_state='resized'),
    facts(held=held('host1', 'host2'), vm_state='building'),
    facts(held=held('host2'), host=None, vm_state='shelved_offloaded'),
    facts(record('done', 'host2', 'host1'), held=held('host1', 'host2')),
    facts(held=None),
], ids=['task', 'live_migration', 'resize', 'resized', 'building',
        'no_host', 'source_not_cleaned', 'not_read'])
def test_room_on_two_hosts_may_be_right(known):
    assert not [one for one in judge(known, host2=OFF)
                if one.code == 'leaked_allocation']


@pytest.mark.parametrize('known, places, said', [
    (facts(held=held('host1', 'host2')), {'host1': DOWN}, 'host1 is down'),
    (facts(held=held('host1', 'host2', generation=None)), {}, 'generation'),
    (facts(held=held('host2')), {}, 'all that it has'),
    (facts(held=held('host1', 'host2')), {}, 'not asked'),
    (facts(held=held('host1', 'host2')), {'host2': DOWN}, 'not asked'),
    (facts(held=held('host1', 'host2'), guests={'host2': G.UNREACHABLE}),
     {}, 'a guest may be there'),
    (facts(record('failed', 'host1', 'host2', created_at=LATER),
           held=held('host1', 'host2')), {}, 'not asked'),
    (facts(record('failed', 'host1', 'host2', created_at=LATER),
           held=held('host1', 'host2'), guests={'host2': G.RUNNING}), {},
     'it runs there'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_leaked_room_is_left_where_it_is_not_safe(known, places, said):
    found = [one for one in judge(known, **places)
             if one.code == 'leaked_allocation']
    assert [one.mend for one in found] == [None]
    assert said in found[0].why_not


def test_room_may_go_where_the_host_says_that_no_guest_is():
    known = facts(record('failed', 'host1', 'host2', created_at=LATER),
                  held=held('host1', 'host2'),
                  guests={'host2': G.NOT_RUNNING})
    assert only(known).mend == audit.RemoveLeak('host2', 7)


def test_room_on_a_host_that_is_off_may_go_unasked():
    found, = [one for one in judge(facts(held=held('host1', 'host2')),
                                   host2=OFF)
              if one.code == 'leaked_allocation']
    assert found.mend == audit.RemoveLeak('host2', 7)


def test_a_guest_where_it_holds_room_is_told_of():
    """A migration had arrived, and its cell was away: the room that it had
    was taken from it (30008754)."""
    known = facts(held=held('host1', 'host2'))
    assert audit.to_ask(known, PLACES, is_all=False) == ['host2']
    known = facts(held=held('host1', 'host2'), guests={'host2': G.RUNNING})
    assert {one.code: one.mend for one in judge(known)} == {
        'leaked_allocation': None, 'orphan_guest': None}


def test_who_holds_no_room_is_asked_only_by_a_person():
    known = facts(LEFT)
    assert audit.to_ask(known, PLACES) == ['host2']
    assert audit.to_ask(known, PLACES, is_all=False) == []


def test_no_room_where_it_lives_is_for_a_command_of_nova():
    found = only(facts(held=held()))
    assert (found.code, found.host, found.mend) == (
        'no_allocation', 'host1', None)
    assert 'heal_allocations' in reasons.next_commands(found.code)[0]


# -- guests -------------------------------------------------------------------


LEFT = record('failed', 'host1', 'host2', created_at=LATER)


@pytest.mark.parametrize('known, expected', [
    (facts(LEFT), ['host2']),
    (facts(record('error', 'host1', 'host2', created_at=LATER)), ['host2']),
    (facts(record('failed', 'host1', 'host2'),
           launched_at=LATER), []),
    (facts(record('failed', 'host1', 'host2', created_at=None)), ['host2']),
    (facts(LEFT, attempts=[samples.attempt(migration_id=5,
                                           outcome=OUTCOME.FAILED)]), []),
    (facts(LEFT, attempts=[samples.attempt(migration_id=5,
                                           outcome=OUTCOME.UNSETTLED)]),
     ['host2']),
    (facts(attempts=[samples.attempt(destination='host3',
                                     outcome=OUTCOME.UNSETTLED)]), ['host3']),
    (facts(record('pre-migrating', 'host1', 'host2')), ['host2']),
    (facts(record('done', 'host3', 'host1')), ['host3']),
    (facts(record('done', 'host1', 'host2')), []),
    (facts(record('completed', 'host3', 'host1')), []),
    (facts(record('failed', 'host2', 'host1', created_at=LATER)), []),
    (facts(record('failed', 'host1', None, created_at=LATER)), []),
], ids=['failed', 'error', 'launched_since', 'no_times', 'settled',
        'unsettled', 'unsettled_without_record', 'claimed', 'uncleaned',
        'at_home', 'cleaned', 'adopted', 'never_claimed'])
def test_where_a_guest_may_be(known, expected):
    assert audit.suspects(known, PLACES) == expected


@pytest.mark.parametrize('own, code', [
    (G.RUNNING, 'two_guests'), (G.NOT_RUNNING, 'orphan_guest'),
    (G.UNREACHABLE, 'orphan_guest'), (None, 'orphan_guest')], ids=str)
def test_a_guest_that_nova_does_not_know_of(own, code):
    answers = {'host2': G.RUNNING} | ({'host1': own} if own else {})
    found = only(facts(LEFT, guests=answers))
    assert (found.code, found.host, found.mend) == (code, 'host2', None)
    assert found.why_not and not found.is_unknown


@pytest.mark.parametrize('known, places', [
    (facts(LEFT), {'host2': DOWN}),
    (facts(LEFT), {'host2': FORCED}),
    (facts(record('failed', 'host1', 'host9', created_at=LATER)), {}),
    (facts(LEFT, guests={'host2': G.UNREACHABLE}), {}),
], ids=['down', 'forced', 'no_such_host', 'no_answer'])
def test_who_cannot_be_asked_is_unknown_and_not_well(known, places):
    found = only(known, **places)
    assert found.code == 'guest_unknown' and found.is_unknown
    assert found.mend is None


@pytest.mark.parametrize('known, places', [
    (facts(LEFT, guests={'host2': G.NOT_RUNNING}), {}),
    (facts(LEFT), {}),
    (facts(LEFT, samples.migration(6, 'done', 'host2', 'host1')),
     {'host2': OFF}),
    (facts(LEFT, is_ours=False), {'host2': DOWN}),
], ids=['none_there', 'not_asked_by_choice', 'tombstone', 'no_pet'])
def test_no_finding_on_guests(known, places):
    assert judge(known, **places) == []


def test_who_is_asked_in_which_order():
    asked = facts(LEFT)
    assert audit.to_ask(asked, PLACES) == ['host2']
    assert audit.to_ask(asked, {**PLACES, 'host2': DOWN}) == []
    for answer, then in ((G.RUNNING, ['host1']), (G.NOT_RUNNING, []),
                         (G.UNREACHABLE, [])):
        known = dataclasses.replace(asked, guests={'host2': answer})
        assert audit.to_ask(known, PLACES) == then
    both = dataclasses.replace(asked, guests={'host2': G.RUNNING,
                                              'host1': G.RUNNING})
    assert audit.to_ask(both, PLACES) == []
    claimed = facts(record('pre-migrating', 'host1', 'host2'),
                    guests={'host2': G.NOT_RUNNING})
    assert audit.to_ask(claimed, PLACES) == ['host1']
    assert audit.to_ask(claimed, {**PLACES, 'host1': DOWN}) == []


# -- what is left alone -------------------------------------------------------


EVERY_KIND = [
    facts(record('accepted')), facts(record('done')),
    facts(record('accepted', 'host2')),
    facts(record('pre-migrating', 'host2', 'host1')),
    facts(held=held('host1', 'host2'), guests={'host2': G.NOT_RUNNING}),
    facts(task_state='rebuilding', last_action=action('evacuate')),
]


@pytest.mark.parametrize('known', EVERY_KIND)
def test_what_is_no_pet_is_found_and_not_mended(known):
    assert all(one.mend for one in judge(known))
    found = judge(dataclasses.replace(known, is_ours=False))
    assert found and not any(one.mend for one in found)
    assert all('no pet' in one.why_not for one in found)


@pytest.mark.parametrize('known', EVERY_KIND)
def test_a_recovery_knows_better(known):
    assert judge(dataclasses.replace(known, has_open_recovery=True)) == []


@pytest.mark.parametrize('gone', [{'deleted': True},
                                  {'vm_state': 'soft-delete'}], ids=str)
def test_what_is_gone_has_no_findings(gone):
    assert judge(facts(record('accepted'), **gone)) == []


@pytest.mark.parametrize('known', EVERY_KIND)
def test_every_mend_has_words_and_every_finding_its_reason(known):
    for one in judge(known):
        assert one.code in reasons.REASONS
        assert audit.in_words(one.mend)


@pytest.mark.parametrize('status, source, destination, here, expected', [
    ('accepted', 'host2', None, 'host1', True),
    ('pre-migrating', 'host2', 'host1', 'host1', True),
    ('done', 'host1', 'host2', 'host1', True),
    ('done', 'host2', 'host1', 'host1', True),
    ('done', 'host9', 'host1', 'host1', False),
    ('failed', 'host2', 'host3', 'host1', True),
    ('failed', 'host2', 'host1', 'host1', False),
    ('failed', 'host2', None, 'host1', False),
    ('error', 'host1', 'host3', 'host1', True),
    ('completed', 'host1', 'host3', 'host1', False),
], ids=str)
def test_which_records_are_worth_a_closer_look(status, source, destination,
                                               here, expected):
    named = audit_model.Named('i1', here, record(status, source,
                                                 destination))
    assert audit.is_suspicious(named, PLACES) is expected


@pytest.mark.parametrize('kind, mend', [('pet', audit.Forget()),
                                        ('recovery', None)])
def test_rows_of_ours_without_an_instance(kind, mend):
    found = audit.missing(kind, 'i1', samples.CELL, 'db1', None)
    assert found.code == f'{kind}_without_instance'
    assert found.mend == mend
    assert found.code in reasons.REASONS
