# SPDX-License-Identifier: Apache-2.0
"""The parts of chaos that decide what a run is worth.

A draw that leaves no host to go to, a fault that counts without effect or a
judge that is content too early would let any product pass.
"""

import collections
import datetime
import itertools
import json
import re

import pytest

pytest.importorskip('sushy_tools', reason='run "make tier-lab"')

import sqlalchemy as sa

from nova_pets.db import models
from nova_pets.model import reasons
from nova_pets.tests.lab import bmc
from nova_pets.tests.lab import chaos
from nova_pets.tests.lab import chaos_draw
from nova_pets.tests.lab import chaos_judge
from nova_pets.tests.lab import chaos_operator
from nova_pets.tests.lab import chaos_people
from nova_pets.tests.lab import chaos_story
from nova_pets.tests.lab import chaos_strike
from nova_pets.tests.lab import checker
from nova_pets.tests.lab import commands
from nova_pets.tests.lab import machine
from nova_pets.tests.lab import plan as plan_module

DB1 = 'aaaaaaaa-0000-4000-8000-000000000001'
SHAPE = chaos_draw.Shape(
    hosts={'cell1': ('host1', 'host2', 'host3', 'host4'),
           'cell2': ('host5', 'host6', 'host7')},
    schedulers=('scheduler1', 'scheduler2'), conductors=('super',),
    apis=('api', 'bmc'), clients={'database': ('api',), 'broker': ('host1',)},
    pets=tuple(f'pet{number}' for number in range(12)))


def many(seed=1, count=200):
    return list(itertools.islice(chaos_draw.rounds(seed, SHAPE), count))


class Story:
    def tell(self, *words):
        pass


# The draw

def test_the_same_seed_draws_the_same_faults():
    assert many(7, 20) == many(7, 20) != many(8, 20)


def test_every_kind_of_fault_is_drawn_and_every_drawn_one_has_a_deed():
    drawn = {fault.kind for one in many() for fault in one.faults}
    assert drawn == set(chaos_strike._DEEDS)
    assert {fault.amount for one in many() for fault in one.faults
            if fault.kind == 'bmc'} == set(bmc.MOODS)


@pytest.mark.parametrize('cell', SHAPE.hosts)
def test_a_cell_keeps_a_host_for_its_pets(cell):
    for one in many():
        hit = {fault.target for fault in one.faults
               if fault.kind in chaos_draw.MACHINE and
               fault.target in SHAPE.hosts[cell]}
        receivers = sum(fault.kind in chaos_draw.MACHINE and
                        fault.target == 'the receiver'
                        for fault in one.faults)
        assert len(hit) + receivers < len(SHAPE.hosts[cell])


def test_faults_overlap_and_end_with_their_round():
    for one in many():
        assert all(fault.at_s + fault.lasts_s <= chaos_draw.LONGEST_S
                   for fault in one.faults)
    assert all(len(one.faults) >= chaos_draw.LEAST for one in many())


def test_nobody_does_two_things_to_one_pet_in_a_round():
    for one in many():
        count = collections.Counter(
            fault.target for fault in one.faults
            if fault.target in SHAPE.pets)
        assert set(count.values()) <= {1}


# The judge

@pytest.fixture
def truth(tmp_path):
    result = machine.Truth(tmp_path / 'truth')
    result.make(['host1', 'host2'])
    return result


def seen(truth, status='ACTIVE', host='host1', task=None, **changes):
    facts = {
        'journal': truth.journal(),
        'hosts': {name: truth.facts(name) for name in truth.names},
        'processes': {'api': 'running'},
        'servers': {DB1: {'status': status, 'OS-EXT-STS:task_state': task,
                          'OS-EXT-SRV-ATTR:host': host}},
        'computes': {'host1': {'state': 'up', 'forced_down': False}},
        'status': (0, 'All is well.')}
    return chaos_judge.Seen(**{**facts, **changes})


def judged(what, wanted=chaos_judge.RUNNING):
    return chaos_judge.problems(what, {DB1: wanted}, {DB1: 'db1'})


def test_what_is_as_its_owner_has_it_is_well(truth):
    truth.set_guest('host1', DB1, 'db1', machine.RUNNING)
    assert judged(seen(truth)) == []
    truth.set_guest('host1', DB1, 'db1', machine.SHUTDOWN)
    assert judged(seen(truth, 'SHUTOFF'), chaos_judge.STOPPED) == []
    truth.remove_guest('host1', DB1)
    assert judged(seen(truth, servers={}), chaos_judge.GONE) == []


def test_a_lost_guest_is_found_whatever_nova_says(truth):
    assert judged(seen(truth)) == ['db1 runs on no host',
                                   'nova has db1 on host1']


def test_a_second_copy_is_found_though_it_is_gone(truth):
    truth.set_guest('host1', DB1, 'db1', machine.RUNNING)
    truth.set_guest('host2', DB1, 'db1', machine.RUNNING)
    truth.remove_guest('host2', DB1)
    assert 'runs on host1, host2' in judged(seen(truth))[0]


def test_a_guest_that_nobody_reaches_does_not_count(truth):
    truth.set_guest('host1', DB1, 'db1', machine.RUNNING)
    truth.cut_off('host1', True)
    assert judged(seen(truth)) == [
        'db1 runs on no host', 'host1 is cut off', 'nova has db1 on host1']


@pytest.mark.parametrize('wanted', [chaos_judge.STOPPED, chaos_judge.GONE])
def test_what_should_not_run_is_found(truth, wanted):
    truth.set_guest('host2', DB1, 'db1', machine.RUNNING)
    assert judged(seen(truth), wanted)[0] == (
        f'db1 should be {wanted} and runs on host2')


@pytest.mark.parametrize('change, found', [
    ({'status': 'ERROR'}, 'db1 should be running: ERROR, task None'),
    ({'task': 'rebuilding'},
     'db1 should be running: ACTIVE, task rebuilding'),
    ({'host': 'host2'}, 'nova has db1 on host2'),
    ({'servers': {}}, 'nova does not know db1'),
    ({'processes': {'api': 'paused'}}, 'api is paused'),
    ({'computes': {'host1': {'state': 'up', 'forced_down': True}}},
     'nova calls host1 up, forced down'),
    ({'status': (2, 'look')}, 'nova-manage pets status ends with 2: look'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_what_nova_or_we_say_has_to_agree(truth, change, found):
    truth.set_guest('host1', DB1, 'db1', machine.RUNNING)
    changes = dict(change)
    names = {key: changes.pop(key) for key in ('status', 'task', 'host')
             if isinstance(changes.get(key), str)}
    what = seen(truth, **names)
    what = chaos_judge.Seen(**{**what.__dict__, **changes})
    assert judged(what) == [found]


# BMCs

@pytest.mark.parametrize('mood', sorted(set(bmc.MOODS) - {'mute', 'late'}))
def test_no_bmc_says_off_of_a_machine_that_is_on(truth, mood, monkeypatch):
    (truth.directory / 'bmc_host1').write_text(mood)
    monkeypatch.setattr(bmc.fakedriver.FakeDriver, '_get',
                        lambda self, identity: {'name': identity})
    for name in ('get_power_state', 'set_power_state'):
        monkeypatch.setattr(bmc.fakedriver.FakeDriver, name, None)
    bmc.install(bmc.Machines(truth.directory.parent))
    driver = object.__new__(bmc.fakedriver.FakeDriver)
    said = []
    for _ in range(4):
        try:
            said.append(driver.get_power_state('host1'))
        except bmc.error.FishyError:
            said.append('error')
    assert 'Off' not in said
    if mood not in ('lies', 'slow'):
        lines = bmc.misbehaved(truth.directory).read_text().splitlines()
        assert {json.loads(line)['mood'] for line in lines} == {mood}


# The story

def test_the_story_reads_what_the_engines_say():
    move = chaos_story.Move('scheduler1', chaos_story._MOVE.match(
        'recovery db1: scheduling -> building (a destination builds it; '
        'on host2)'))
    assert (move.kind, move.name, move.state, move.destination) == (
        'recovery', 'db1', 'building', 'host2')
    move = chaos_story.Move('scheduler1', chaos_story._MOVE.match(
        'host host1: suspect -> down (it answers on no path)'))
    assert (move.kind, move.name, move.state, move.destination) == (
        'host', 'host1', 'down', '')
    assert chaos_story._MOVE.match('host host1: 4 recoveries opened') is None


def test_the_story_sees_a_second_copy(truth, tmp_path):
    told = []
    story = chaos_story.Story(tmp_path / 'story', told.append)

    class Plan:
        directory = tmp_path
        scheduler_names = ()
    tail = chaos_story.Tail(Plan, truth, story)
    tail._look()
    truth.set_guest('host1', DB1, 'db1', machine.RUNNING)
    tail._look()
    assert tail.twice == []
    tail.start()
    truth.set_guest('host2', DB1, 'db1', machine.RUNNING)
    tail.stop()
    assert tail.twice == [DB1]
    assert re.search(r'TWICE .* runs on host1, host2', told[-1])


NOON = datetime.datetime(2026, 11, 30, 12)


def test_what_is_lost_leaves_its_rows(tmp_path):
    database = sa.create_engine(f'sqlite:///{tmp_path}/api')
    models.METADATA.create_all(database)
    with database.begin() as conn:
        conn.execute(models.ENGINES.insert().values(
            id='e1', host='scheduler1', worker='7', version='1', mode='act',
            slot=0, renewals=3, deposed=False, gate_loaded=True,
            report='{}', bindings_digest='', started_at=NOON,
            renewed_at=NOON))
    told = chaos.rows(database)
    assert re.search("^pets_engines id='e1' .*slot=0 ", told, re.M)


# The people


@pytest.mark.parametrize('status, task, asked', [
    ('REBUILD', 'rebuilding', ['delete']),
    ('ACTIVE', 'deleting', ['os-resetState', 'delete'])])
def test_a_deletion_is_asked_for_again(monkeypatch, status, task, asked):
    """While it is recovered: one that Nova lost half-way has no disk any
    more; its recovery, which nobody ends, would fail for ever. When the
    request to its host is lost: Nova ignores a second one."""
    calls = []

    class Cloud:
        def delete(uuid):
            calls.append('delete')

        def act(uuid, action, body):
            calls.append(action)

    class Lab:
        cloud = Cloud
    people = chaos_people.People(Lab, Story(), None, ())
    people.pets['db1'] = chaos_people.Pet(
        'db1', DB1, wanted=chaos_judge.GONE, is_touched=True)
    seen = chaos_judge.Seen(
        journal=(), hosts={}, processes={}, computes={}, status=(0, ''),
        servers={DB1: {'status': status, 'OS-EXT-STS:task_state': task,
                       'OS-EXT-SRV-ATTR:host': 'host1'}})
    people.look(seen, {DB1}, set())
    assert calls == []
    monkeypatch.setattr(chaos_people, 'PATIENCE_S', 0)
    people.look(seen, {DB1}, set())
    assert calls == asked


def test_an_orphan_of_a_deleted_pet_is_destroyed(truth, monkeypatch):
    """Nova deletes in its tables alone what lives on a host that it holds
    for down, and reaps the guest half an hour later, if at all."""
    class Lab:
        pass
    lab = Lab()
    lab.truth = truth
    truth.set_guest('host1', DB1, 'db1', machine.RUNNING)
    people = chaos_people.People(lab, Story(), None, ())
    people.pets['db1'] = chaos_people.Pet(
        'db1', DB1, wanted=chaos_judge.GONE, is_touched=True)
    people.gone[DB1] = 'db1'
    now = [100.0]
    monkeypatch.setattr(chaos_people.time, 'monotonic', lambda: now[0])
    for _ in range(3):
        people.look(chaos_judge.Seen(
            journal=truth.journal(), hosts={'host1': truth.facts('host1')},
            processes={}, computes={}, status=(0, ''), servers={}),
            set(), {'host1'})
        now[0] += chaos_people.PATIENCE_S
    assert checker.running(truth.journal())[DB1] == set()


# The orders


def test_an_order_that_no_engine_hears_is_ended_too():
    """It ends with 2, and holds the host back until somebody ends it."""
    orders = []

    class Lab:
        def pets(self, *words):
            orders.append(words[:-3])
            what = 'ended' if '--off' in words else 'ordered'
            return 2, json.dumps({what: [{}], 'engines': 'silent'}) + '\na log'
    field = chaos_strike.Field(Lab(), None, None, None)
    deed = field._pets_order(chaos_draw.Fault(
        'pets maintenance', 'host2'), 'host2')
    assert next(deed) is None
    assert orders == [('maintenance', 'host2')]
    with pytest.raises(StopIteration) as ended:
        next(deed)
    assert orders[1:] == [('maintenance', 'host2', '--off')]
    assert ended.value.value == (
        'maintenance host2 was ordered, engines silent')


def test_the_operators_word_is_for_the_failure_on_the_screen(
        truth, monkeypatch):
    """Seed 9001: refused without it, 23 times."""
    now, orders = [0.0], []
    monkeypatch.setattr(chaos_operator.time, 'monotonic', lambda: now[0])
    truth.set_power('host2', machine.OFF)

    class Lab:
        def __init__(self):
            self.truth = truth

        def pets(self, *words):
            orders.append(words)
            return 0, ''
    operator = chaos_operator.Operator(Lab(), Story())
    screen = {'recoveries': {'rows': []}, 'orders': [], 'hosts': {'not_up': [{
        'host': 'host2', 'state': 'unproven', 'reason': 'fence_failed',
        'epoch': 3, 'commands': reasons.next_commands(
            'fence_failed', host='host2')}]}}
    operator.turn(screen)
    now[0] += chaos_operator.PATIENCE_S
    operator.turn(screen)
    (order,) = orders
    assert order[:2] == ('confirm_fenced', 'host2')
    assert order[order.index('--epoch') + 1] == '3'


# Once more


WELL = {'rounds': 3}
LATE = {'rounds': 1, 'problems': ['host1 is cut off']}
TWICE = {'rounds': 1, 'twice': [DB1]}
LOST = {'rounds': 1, 'problems': ['db1 runs on no host'], 'lost': ['db1']}


@pytest.mark.parametrize('words, runs, code, seeds', [
    (['--again'], [WELL], 0, [7]), (['--again'], [LATE, WELL], 0, [7, 8]),
    (['--again'], [LATE, LATE], 2, [7, 8]), ([], [LATE], 2, [7]),
    (['--again'], [TWICE], 2, [7]), (['--again'], [LOST], 2, [7]),
    (['--again'], [LATE, LOST], 2, [7, 8])],
    ids=['well', 'late_once', 'late_twice', 'not_asked', 'twice', 'lost',
         'then_lost'])
def test_only_who_is_late_is_asked_again(tmp_path, monkeypatch, words, runs,
                                         code, seeds):
    tried, left = [], list(runs)

    def strike(directory, arguments, seed):
        directory.mkdir()
        tried.append(seed)
        return chaos.Result(seed, **left.pop(0))
    monkeypatch.setattr(commands, '_strike', strike)
    assert commands.main(['--dir', str(tmp_path / 'lab'), 'chaos', '--seed',
                          '7', *words]) == code
    assert tried == seeds and left == []


# What a run that failed has left


def test_the_next_run_makes_room_in_what_one_has_left(tmp_path):
    (tmp_path / plan_module.ENDED).write_text('{}')
    (tmp_path / 'story').write_text('it failed')
    commands._make_room(tmp_path)
    assert not tmp_path.exists()


def test_nobody_elses_files_are_removed(tmp_path):
    (tmp_path / 'thesis').write_text('mine')
    with pytest.raises(commands.Wrong, match='holds no lab'):
        commands._make_room(tmp_path)
    commands.main(['--dir', str(tmp_path), 'down'])
    assert (tmp_path / 'thesis').exists()
