# SPDX-License-Identifier: Apache-2.0
"""What an engine may believe of its peers, of hosts and of itself: each
condition by itself."""

import dataclasses
import math

import pytest

from nova_pets import exception
from nova_pets.detectors import base as detectors_base
from nova_pets.engine import collector as collector_module
from nova_pets.engine import memory as memory_module
from nova_pets.engine import standing as standing_module
from nova_pets.model import observations
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.tests.unit.engine import one_pet
from nova_pets.tests.unit.planning import samples

H = states.HostState
R = states.RecoveryState
CELL = one_pet.CELL
TTL_S = samples.POLICY.claim_ttl_s


def engine(name, host='s2', slot=None, renewals=0, report=None):
    return records.Engine(
        id=name, host=host, worker='1', version='1', mode=states.Mode.ACT,
        gate_loaded=True, slot=slot, renewals=renewals, report=report or {})


# -- my own claims ------------------------------------------------------------


@pytest.fixture
def bench():
    return one_pet.Bench()


def test_claims_last_shorter_than_peers_wait(bench):
    bench.clock.now += 0.5 * TTL_S
    bench.standing.guard(bench.standing.id)
    bench.clock.now += 0.2 * TTL_S
    with pytest.raises(exception.ClaimsLost):
        bench.standing.guard(bench.standing.id)


def test_the_claims_of_an_earlier_life_are_void(bench):
    before = bench.standing.id
    bench.be_deposed()
    bench.standing.guard(bench.standing.id)
    with pytest.raises(exception.ClaimsLost):
        bench.standing.guard(before)


def test_who_has_resigned_may_do_nothing(bench):
    bench.standing.resign()
    with pytest.raises(exception.ClaimsLost):
        bench.standing.guard(bench.standing.id)


def test_resigning_twice_deposes_nobody(bench):
    bench.standing.resign()
    told = []
    bench.store.depose_engine = lambda *args: told.append(args)
    bench.standing.resign()
    assert told == []


def test_who_has_resigned_begins_anew(bench):
    before = bench.standing.id
    bench.standing.resign()
    assert bench.standing.renew(None, states.Mode.ACT) is False
    assert bench.standing.id != before
    bench.standing.guard(bench.standing.id)


def test_a_renewal_makes_claims_young_again(bench):
    bench.clock.now += 0.5 * TTL_S
    assert bench.standing.renew(None, states.Mode.ACT) is True
    bench.clock.now += 0.5 * TTL_S
    bench.standing.guard(bench.standing.id)


# -- peers --------------------------------------------------------------------


def watch(bench, *engines):
    bench.standing.watch_peers(tuple(engines))


def is_living(bench, name):
    return name in [one.id for one in bench.store.engines()]


@pytest.mark.parametrize('slot, waits_s, is_deposed', [
    (0, TTL_S - 1, False), (0, TTL_S + 1, True),
    (None, TTL_S + 1, False),
    (None, standing_module.IDLE_TTLS * TTL_S + 1, True)])
def test_a_peer_that_stands_still_is_deposed_after_its_time(
        bench, slot, waits_s, is_deposed):
    bench.store.register_engine(engine('peer'))
    watch(bench, engine('peer', slot=slot))
    bench.clock.now += waits_s
    watch(bench, engine('peer', slot=slot))
    assert is_living(bench, 'peer') is not is_deposed


def test_a_peer_that_renews_lives(bench):
    bench.store.register_engine(engine('peer'))
    for renewals in (0, 1, 2):
        watch(bench, engine('peer', slot=0, renewals=renewals))
        bench.clock.now += TTL_S - 1
    watch(bench, engine('peer', slot=0, renewals=2))
    assert is_living(bench, 'peer')


GRACE_S = samples.POLICY.startup_grace_s


def test_a_grace_ends_by_itself(bench):
    assert bench.standing.grace_s() == GRACE_S
    bench.clock.now += GRACE_S - 1
    assert bench.standing.grace_s() == 1
    bench.clock.now += 2
    assert bench.standing.grace_s() == 0
    bench.be_deposed()
    assert bench.standing.grace_s() == 0


PEERS = {
    'it is at work': ((0, 1), {'is_warm': True}, 0.0),
    'it has begun as I have': ((0, 1), {'is_warm': False}, GRACE_S - 1),
    'it has said nothing yet': ((0, 1), {}, GRACE_S - 1),
    'its row is only left behind': ((7, 7), {'is_warm': True}, GRACE_S - 1),
}


@pytest.mark.parametrize('renewals, report, left_s', PEERS.values(),
                         ids=PEERS)
def test_a_peer_at_work_ends_my_grace(bench, renewals, report, left_s):
    for counter in renewals:
        watch(bench, engine('peer', 's2', 0, counter, report))
        bench.clock.now += 0.5
    assert bench.standing.grace_s() == left_s


def test_a_peer_that_is_seen_once_ends_nothing(bench):
    watch(bench, engine('peer', 's2', 0, 9, {'is_warm': True}))
    assert bench.standing.grace_s() == GRACE_S


def test_a_peer_that_moved_at_the_last_moment_is_watched_again(bench):
    """Its counter is further than was seen: nobody deposes it."""
    bench.store.register_engine(engine('peer'))
    watch(bench, engine('peer', slot=0))
    bench.clock.now += TTL_S + 1
    bench.store.renew_engine('peer', 0, None, states.Mode.ACT)
    watch(bench, engine('peer', slot=0))
    assert is_living(bench, 'peer')
    told = []
    bench.store.depose_engine = lambda *args: told.append(args)
    watch(bench, engine('peer', slot=0))
    assert told == [('peer', 0)]


def test_i_do_not_depose_myself(bench):
    me = dataclasses.replace(bench.standing.engine, slot=1)
    watch(bench, me)
    bench.clock.now += 99 * TTL_S
    watch(bench, me)
    assert is_living(bench, bench.standing.id)
    assert bench.standing.has_slot


# -- slots --------------------------------------------------------------------

SEEKS = {
    'all are free': ([], True),
    'one is taken, elsewhere': ([engine('a', slot=0)], True),
    'all are taken': ([engine('a', slot=0), engine('b', slot=1)], False),
    'one is taken here': ([engine('a', 's', slot=0)], False),
    'one rests here': ([engine('a', 's')], True),
}


def without_slot(engines):
    """A bench whose engine has just begun anew."""
    bench = one_pet.Bench(policy={'engines': engines})
    bench.be_deposed()
    return bench


@pytest.mark.parametrize('peers, has_one', SEEKS.values(), ids=SEEKS)
def test_a_slot_is_taken_where_one_is_free(peers, has_one):
    bench = without_slot(2)
    assert bench.standing.seek_slot(tuple(peers)) is has_one
    assert bench.standing.has_slot is has_one


def test_a_second_slot_on_one_host_is_taken_at_the_second_look():
    bench = without_slot(2)
    here = (engine('a', 's', slot=0),)
    assert [bench.standing.seek_slot(here) for _ in range(2)] == [
        False, True]


def test_politeness_begins_anew_when_all_were_taken():
    bench = without_slot(2)
    here = (engine('a', 's', slot=0),)
    full = (*here, engine('b', slot=1))
    assert [bench.standing.seek_slot(peers) for peers in (
        here, full, here)] == [False, False, False]


def test_a_slot_that_another_took_meanwhile_is_not_mine():
    bench = without_slot(1)
    bench.store.register_engine(engine('fast'))
    assert bench.store.take_slot('fast', 0)
    assert bench.standing.seek_slot(()) is False
    assert not bench.standing.has_slot


def test_who_has_a_slot_takes_no_other():
    bench = one_pet.Bench(policy={'engines': 2})
    bench.standing.seek_slot(())
    slot = bench.standing.engine.slot
    assert bench.standing.seek_slot((engine('x', slot=slot),))
    assert bench.standing.engine.slot == slot


def test_who_steps_back_seeks_none_for_a_while():
    bench = one_pet.Bench(policy={'engines': 1})
    bench.standing.step_back(60.0)
    bench.standing.register()
    assert not bench.standing.seek_slot(())
    bench.clock.now += 61.0
    assert bench.standing.seek_slot(())


# -- what is remembered -------------------------------------------------------


def beat(memory, now, count, host='host1', gap_s=15.0):
    memory.saw_services([samples.service(host, report_count=count)], CELL,
                        now, gap_s)


def test_silence_is_what_was_watched():
    memory = memory_module.Memory()
    assert memory.silent_s('host1', CELL) == 0.0
    for now in (0.0, 10.0, 20.0):
        beat(memory, now, 5)
    assert memory.silent_s('host1', CELL) == 20.0
    beat(memory, 30.0, 6)
    assert memory.silent_s('host1', CELL) == 0.0


def test_a_gap_in_my_reads_is_no_silence():
    memory = memory_module.Memory()
    beat(memory, 0.0, 5)
    beat(memory, 99.0, 5)
    assert memory.silent_s('host1', CELL) == 0.0
    beat(memory, 109.0, 5)
    assert memory.silent_s('host1', CELL) == 10.0


MOVES = {
    'seen once': ([(0.0, 5)], False),
    'it stood still': ([(0.0, 5), (10.0, 5)], False),
    'it moved': ([(0.0, 5), (10.0, 6)], True),
    'it moved, and stands still': ([(0.0, 5), (10.0, 6), (20.0, 6)], True),
    'it moved while nobody looked': ([(0.0, 5), (99.0, 6)], False),
    'it moved before a gap': ([(0.0, 5), (10.0, 6), (99.0, 6)], False),
}


@pytest.mark.parametrize('beats, has_moved', MOVES.values(), ids=MOVES)
def test_progress_is_what_was_watched(beats, has_moved):
    memory = memory_module.Memory()
    for now, count in beats:
        beat(memory, now, count)
    assert memory.has_moved('host1') is has_moved
    assert not memory.has_moved('host2')


def test_a_host_that_is_new_has_not_moved():
    memory = memory_module.Memory()
    beat(memory, 0.0, 5)
    beat(memory, 10.0, 5, host='host2')
    assert not memory.has_moved('host2')


def hear(memory, sign, at, host='host1', name='tcp'):
    detector = one_pet.Told()
    detector.name, detector.path = name, states.WitnessPath.HOST
    memory.heard(host, detector, one_pet.observations.Evidence(
        name, detector.path, sign, ''), at)


def silence(memory, now, host='host1'):
    return [word.silent_s for word in memory.evidence(host, now)]


SILENT, LIFE = states.Sign.SILENT, states.Sign.LIFE

WORDS = {
    'one look': ([(SILENT, 10.0)], [0.0]),
    'two looks': ([(SILENT, 10.0), (SILENT, 14.0)], [4.0]),
    'life in between': ([(SILENT, 10.0), (LIFE, 12.0), (SILENT, 14.0)],
                        [0.0]),
    'life': ([(SILENT, 10.0), (LIFE, 12.0)], [0.0]),
}


@pytest.mark.parametrize('looks, expected', WORDS.values(), ids=WORDS)
def test_a_witness_is_silent_as_long_as_it_was_asked(looks, expected):
    memory = memory_module.Memory()
    for sign, at in looks:
        hear(memory, sign, at)
    assert silence(memory, 20.0) == expected
    assert silence(memory, 20.0, 'host2') == []


def test_only_off_is_kept_of_power():
    memory = memory_module.Memory()
    assert memory.power_off_s('host1', 5.0) is None
    memory.saw_power('host1', True, 2.0)
    assert memory.power_off_s('host1', 5.0) == 3.0
    memory.saw_power('host1', False, 4.0)
    assert memory.power_off_s('host1', 5.0) is None


def test_how_old_a_read_is_and_how_long_a_value_lasts():
    memory = memory_module.Memory()
    assert memory.read_age_s(CELL, 5.0) is None
    beat(memory, 2.0, 5)
    assert memory.read_age_s(CELL, 5.0) == 3.0
    assert [memory.since_s('key', value, now) for value, now in (
        ('a', 0.0), ('a', 4.0), ('b', 5.0), ('b', 7.0))] == [
            0.0, 4.0, 0.0, 2.0]


def test_quiet_ends_at_its_time():
    memory = memory_module.Memory()
    key = ('probe', 'x')
    assert not memory.is_quiet(key, 0.0)
    memory.quiet(key, 5.0)
    assert [memory.is_quiet(key, now) for now in (4.9, 5.0)] == [True, False]


# -- what is collected --------------------------------------------------------


class Queue:
    """Workers that do nothing before they are let."""

    def __init__(self):
        self.waiting = {}
        self.told = []

    def submit(self, key, call, lane=None):
        self.waiting[key] = call
        self.told.append(key)
        return True

    def busy(self):
        return frozenset(self.waiting)

    def let(self):
        waiting, self.waiting = self.waiting, {}
        for call in waiting.values():
            call()


class Witness(detectors_base.Detector):
    def __init__(self, name, path, sign=SILENT):
        self.name, self.path, self.sign = name, path, sign

    def look(self, target):
        return one_pet.observations.Evidence(self.name, self.path, self.sign,
                                             '')


TCP = Witness('tcp', states.WitnessPath.HOST, LIFE)
PING = Witness('ping', states.WitnessPath.AGENT, LIFE)


class Sight:
    """A collector over what a test says is there."""

    def __init__(self, *hosts, conductors=None, bench=None):
        self.bench = bench or one_pet.Bench(host_state=H.DOWN)
        self.clock = self.bench.clock
        self.counts = dict.fromkeys(hosts or ('host1',), 1)
        self.conductors = conductors if conductors is not None else {
            'cond': 1}
        self.away = set()
        self.door = one_pet.Told(
            cells=lambda: [observations.Cell(CELL, 'cell1'),
                           observations.Cell('c2', 'cell2')],
            services=self._services,
            conductors=lambda: dict(self.conductors),
            conductor_answers=True, host_addresses=lambda cell: {},
            traces=lambda cell, uuids: {uuid: samples.trace()
                                        for uuid in uuids},
            uncleaned_sources=0)
        self.workers = Queue()
        self.tags = one_pet.Told(is_tagged=True)
        self.memory = memory_module.Memory()
        self.collector = collector_module.Collector(
            self.bench.store, self.door, (TCP, PING),
            one_pet.Told(bound=lambda names: frozenset(names)), self.clock,
            self.memory, self.workers, self.tags)

    def _services(self, cell):
        if cell in self.away:
            raise exception.NovaUnavailable(what='read', found='away')
        return [samples.service(name, cell_uuid=cell, report_count=count)
                for name, count in self.counts.items()
                if (name.startswith('far')) is (cell == 'c2')]

    def look(self, seconds=0.0, stored=None, **values):
        self.clock.now += seconds
        stored = stored or self.bench.store.snapshot()
        return self.collector.collect(
            self.bench.standing.id, dataclasses.replace(stored, **values),
            self.bench.policy)

    def settle(self):
        """Look until its own view is known to be sound."""
        self.look()
        self.workers.let()
        return self.look()


def host(name='host1', state=H.DOWN, **values):
    return samples.host(name, state, **values)


def test_a_sound_view():
    assert Sight().settle().is_sane


def test_hosts_of_a_cell_that_is_away_have_no_service():
    sight = Sight('host1', 'far1')
    sight.look()
    sight.away = {'c2'}
    seen = sight.look(hosts=(host('host1', H.UP), host('far1', H.UP)))
    assert seen.hosts['far1'].service is None
    assert seen.hosts['host1'].service is not None
    assert not sight.look(99.0).is_sane


def test_a_service_that_is_gone_is_forgotten():
    sight = Sight('host1', 'far1')
    sight.look()
    del sight.counts['far1']
    seen = sight.look(hosts=(host('far1', H.UP),))
    assert seen.hosts['far1'].service is None


def test_only_new_hosts_get_a_row():
    sight = Sight('host1', 'host2')
    told = []
    sight.bench.store.ensure_hosts = told.append
    sight.look()
    assert told == [[('host2', CELL)]]
    sight.look(hosts=(host(), host('host2')))
    assert len(told) == 1


@pytest.mark.parametrize('count, at_proof, has_moved', [
    (100, 100, False), (101, 100, True), (101, None, False)])
def test_a_heartbeat_beyond_the_proof(count, at_proof, has_moved):
    sight = Sight()
    sight.counts['host1'] = count
    row = host(state=H.FENCED, proof_count=at_proof)
    assert sight.look(hosts=(row,)).hosts['host1'].count_moved is has_moved


def test_a_host_without_a_service_is_seen_all_the_same():
    sight = Sight('host2')
    seen = sight.look(hosts=(host(state=H.UP),))
    assert seen.hosts['host1'].service is None


def test_evidence_is_told_of_what_is_not_up():
    sight = Sight()
    sight.look(hosts=(host(),))
    sight.workers.let()
    assert sight.look(hosts=(host(),)).hosts['host1'].evidence
    assert not sight.look(hosts=(host(state=H.UP),)).hosts['host1'].evidence


SILENCES = [(H.SUSPECT, math.inf), (H.DOWN, 3.0), (H.FENCING, 3.0),
            (H.FENCED, math.inf), (H.UP, math.inf)]


@pytest.mark.parametrize('state, ago_s', SILENCES)
def test_a_silence_is_remembered(state, ago_s):
    sight = Sight()
    sight.look(hosts=(host(state=state),))
    for later in (H.UP, H.RETURNING):
        seen = sight.look(1.5, hosts=(host(state=later),))
    assert seen.hosts['host1'].down_ago_s == ago_s


def test_recoveries_are_counted_by_their_source():
    sight = Sight()
    rows = (samples.recovery(id=1), samples.recovery(
        id=2, source='host2', instance_uuid='i2'))
    seen = sight.look(hosts=(host(), host('host2')), recoveries=rows)
    assert seen.hosts['host1'].open_recoveries == 1


CLEAN = {
    'nothing left': (0, H.RETURNING, True),
    'something left': (2, H.RETURNING, False),
    'it is not asked otherwise': (2, H.DOWN, True),
}


@pytest.mark.parametrize('left, state, is_clean', CLEAN.values(), ids=CLEAN)
def test_a_returning_host_is_clean_when_nova_has_no_record(left, state,
                                                           is_clean):
    sight = Sight()
    sight.door.answers['uncleaned_sources'] = left
    seen = sight.look(hosts=(host(state=state),))
    assert seen.hosts['host1'].settled_records is is_clean


def test_what_is_busy_and_bound_is_told():
    sight = Sight()
    sight.workers.waiting = {('host', 'host1'): None,
                             ('turn', 'tags'): None}
    seen = sight.look(hosts=(host(), host('host2', H.UP)))
    assert seen.busy_hosts == {'host1'}
    assert seen.fence_bindings == {'host1'}


# -- my own view --------------------------------------------------------------


def test_conductors_are_read_often_only_in_trouble():
    calm = Sight(bench=one_pet.Bench(host_state=H.UP))
    calm.look()
    calm.look(2.0)
    assert calm.door.names().count('conductors') == 1
    calm.look(9.0)
    assert calm.door.names().count('conductors') == 2
    troubled = Sight()
    troubled.look()
    troubled.look(2.0)
    assert troubled.door.names().count('conductors') == 2
    troubled.look(0.1)
    assert troubled.door.names().count('conductors') == 2


def test_a_conductor_is_asked_only_in_trouble_and_not_twice_at_once():
    calm = Sight(bench=one_pet.Bench(host_state=H.UP))
    calm.look()
    assert ('probe', 'conductor') not in calm.workers.told
    troubled = Sight()
    troubled.look()
    troubled.look(1.0)
    assert troubled.workers.told.count(('probe', 'conductor')) == 1


def test_calm_needs_no_conductor():
    sight = Sight(conductors={}, bench=one_pet.Bench(host_state=H.UP))
    assert sight.look().is_sane


DOUBTS = {
    'no conductor is known': lambda sight: sight.conductors.clear(),
    'no conductor answers': lambda sight: sight.door.answers.update(
        conductor_answers=False),
}


@pytest.mark.parametrize('reason', DOUBTS)
def test_an_engine_doubts_itself(reason):
    sight = Sight()
    DOUBTS[reason](sight)
    assert sight.settle().why_not_sane == reason


def test_an_engine_doubts_itself_until_a_conductor_was_asked():
    sight = Sight()
    assert sight.look().why_not_sane == 'no conductor was asked yet'


def test_an_old_answer_of_a_conductor_is_none():
    sight = Sight()
    sight.settle()
    for _ in range(5):
        sight.conductors['cond'] += 1
        seen = sight.look(5.0)
    assert seen.why_not_sane == 'no conductor was asked yet'


@pytest.mark.parametrize('is_late', [False, True])
def test_an_answer_from_before_the_trouble_proves_nothing(is_late):
    sight = Sight()
    if is_late:
        sight.look()
    else:
        sight.settle()
    sight.look(0.5, hosts=(host(state=H.UP),))
    if is_late:
        sight.workers.let()
    sight.door.answers.update(conductor_answers=False)
    assert sight.look(0.5).why_not_sane == 'no conductor was asked yet'
    sight.workers.let()
    assert sight.look().why_not_sane == 'no conductor answers'


def test_services_that_were_not_read_lately_say_nothing():
    sight = Sight(bench=one_pet.Bench(host_state=H.UP))
    sight.look()
    sight.away = {CELL, 'c2'}
    assert sight.look(5.0).is_sane
    assert not sight.look(6.0).is_sane


@pytest.mark.parametrize('paces_s, is_sane', [
    ([11.0], True), ([11.0, 11.0], False), ([11.0, 11.0, 9.0], True),
    ([11.0, 9.0, 11.0], True)], ids=str)
def test_who_always_looks_too_late_does_not_trust_its_eyes(paces_s, is_sane):
    sight = Sight(bench=one_pet.Bench(host_state=H.UP))
    sight.look()
    for pace_s in paces_s:
        seen = sight.look(pace_s)
    assert seen.is_sane is is_sane
    assert ('too seldom' in seen.why_not_sane) is not is_sane


def test_a_cell_that_was_never_read_says_nothing():
    sight = Sight(bench=one_pet.Bench(host_state=H.UP))
    sight.away = {CELL, 'c2'}
    assert not sight.look().is_sane


def silent_conductors(sight):
    for _ in range(8):
        seen = sight.look(5.0)
        sight.workers.let()
    return seen


def test_a_conductor_that_stands_still_is_silent():
    sight = Sight(conductors={'cond': 1, 'cond2': 1})
    sight.look()
    for _ in range(8):
        sight.conductors['cond2'] += 1
        seen = sight.look(5.0)
        sight.workers.let()
    assert seen.conductors_silent == {'cond'}
    assert seen.is_sane


def test_when_every_conductor_is_silent_an_engine_doubts_itself():
    sight = Sight()
    assert silent_conductors(sight).why_not_sane == (
        'every conductor is silent')


def test_before_the_first_read_no_conductor_is_silent():
    sight = Sight()

    def away():
        raise exception.NovaUnavailable(what='read', found='away')
    sight.door.answers['conductors'] = away
    assert sight.look().conductors_silent == frozenset()


# -- who is asked -------------------------------------------------------------


def probed(sight):
    return {key[1] for key in sight.workers.told
            if key[0] == 'probe' and key[1] != 'conductor'}


def test_only_a_host_in_trouble_is_probed_by_all():
    sight = Sight('host1', 'host2')
    sight.look(hosts=(host(), host('host2', H.UP)))
    assert {name for name, _ in probed(sight)} == {'host1', 'host2'}
    assert ('host1', 'ping') in probed(sight)
    assert ('host2', 'ping') not in probed(sight)


def test_in_calm_nobody_is_probed():
    sight = Sight(bench=one_pet.Bench(host_state=H.UP))
    sight.look()
    assert probed(sight) == set()


def test_a_silent_host_is_probed_before_it_is_suspect():
    sight = Sight(bench=one_pet.Bench(host_state=H.UP))
    sight.look()
    sight.look(10.0)
    assert probed(sight) == set()
    sight.look(6.0)
    assert ('host1', 'ping') in probed(sight)


def test_a_host_is_not_probed_again_at_once():
    sight = Sight()
    sight.look()
    sight.look(0.1)
    assert sight.workers.told.count(('probe', ('host1', 'tcp'))) == 1
    sight.look(1.0)
    assert sight.workers.told.count(('probe', ('host1', 'tcp'))) == 2


REFERENCES = {
    'up, and its heartbeat moves': (H.UP, True, True),
    'up, without a service': (H.UP, False, False),
}


@pytest.mark.parametrize('state, has_service, is_asked',
                         REFERENCES.values(), ids=REFERENCES)
def test_who_is_looked_at_to_test_ones_own_eyes(state, has_service,
                                                is_asked):
    sight = Sight('host1', *(['host2'] if has_service else []))
    sight.look(hosts=(host(), host('host2', state)))
    assert (('host2', 'tcp') in probed(sight)) is is_asked


def test_a_silent_host_tests_no_eyes():
    """It is probed for itself; what it says is not about my view."""
    sight = Sight('host1', 'host2')
    rows = (host(), host('host2', H.UP))
    TCP.sign = SILENT
    try:
        for _ in range(3):
            seen = sight.look(8.0, hosts=rows)
            sight.workers.let()
    finally:
        TCP.sign = LIFE
    assert 'sees no host' not in seen.why_not_sane


def test_a_host_in_trouble_tests_no_eyes():
    sight = Sight('host1')
    TCP.sign = SILENT
    try:
        sight.look()
        sight.workers.let()
        assert sight.look().is_sane
    finally:
        TCP.sign = LIFE


# -- orders and recoveries ----------------------------------------------------


def order(kind=states.ControlKind.RECOVER, **values):
    return samples.control(kind, **values)


def test_a_new_recover_order_has_its_host_read_anew_once():
    sight = Sight()
    sight.memory.opened('host1', 'mark', 0.0)
    assert sight.look(controls=(order(),)).has_orders_to_open
    assert not sight.memory.is_opened('host1', 'mark', 0.0)
    assert not sight.look(controls=(order(),)).has_orders_to_open


@pytest.mark.parametrize('host, mark, at_s, counts', [
    ('host1', 'mark', 0.0, True),
    ('host1', 'mark', memory_module.OPENED_S - 1, True),
    ('host1', 'mark', memory_module.OPENED_S, False),
    ('host1', 'another', 0.0, False), ('host2', 'mark', 0.0, False)])
def test_a_look_at_a_dead_host_counts_for_a_while(host, mark, at_s, counts):
    """An instance may come to live there in Nova's rows afterwards."""
    memory = memory_module.Memory()
    memory.opened('host1', 'mark', 100.0)
    assert memory.is_opened(host, mark, 100.0 + at_s) is counts


def test_other_orders_open_nothing():
    sight = Sight()
    retry = order(states.ControlKind.RETRY)
    assert not sight.look(controls=(retry,)).has_orders_to_open


@pytest.mark.parametrize('where, is_read_anew', [('host1', True),
                                                 (None, False)])
def test_an_order_for_an_instance_opens_its_host(where, is_read_anew):
    sight = Sight()
    sight.bench.store.upsert_pets([records.Pet(
        instance_uuid='i1', cell_uuid=CELL, project_id='p', name='db1',
        host=where, vm_state='active')])
    sight.memory.opened('host1', 'mark', 0.0)
    sight.memory.opened(None, 'mark', 0.0)
    sight.look(controls=(order(scope='instance', target='i1'),))
    assert sight.memory.is_opened('host1', 'mark', 0.0) is not is_read_anew
    assert sight.memory.is_opened(None, 'mark', 0.0)


OWNERS = {'nobody': (None, True), 'me': ('id-1', True),
          'a peer': ('peer', False), 'a dead peer': ('gone', True)}


@pytest.mark.parametrize('owner, is_read', OWNERS.values(), ids=OWNERS)
def test_nova_is_asked_about_what_i_may_own(owner, is_read):
    sight = Sight()
    stored = sight.bench.store.snapshot()
    seen = sight.look(
        recoveries=(samples.recovery(owner=owner),),
        engines=(*stored.engines, engine('peer')))
    [view] = seen.recoveries
    assert (view.trace is not None) is is_read


def test_what_needs_a_person_is_read_seldom():
    sight = Sight()
    row = samples.recovery(R.NEEDS_OPERATOR)

    def is_read(seconds):
        [view] = sight.look(seconds, recoveries=(row,)).recoveries
        return view.trace is not None
    assert [is_read(seconds) for seconds in (0.0, 1.0, 5.0)] == [
        True, False, True]


def test_all_others_are_read_each_time():
    sight = Sight()
    for _ in range(2):
        [view] = sight.look(recoveries=(samples.recovery(),)).recoveries
        assert view.trace is not None


def test_what_is_worked_on_or_rests_is_busy():
    sight = Sight()

    def is_busy():
        [view] = sight.look(recoveries=(samples.recovery(),)).recoveries
        return view.is_busy
    assert not is_busy()
    sight.workers.waiting = {('recovery', 1): None}
    assert is_busy()
    sight.workers.waiting = {}
    sight.memory.quiet(('recovery', 1), sight.clock.now + 5.0)
    assert is_busy()


def test_a_snapshot_is_what_was_stored():
    assert isinstance(Sight().look(), snapshot.Snapshot)


# -- forced down, and when ----------------------------------------------------

READS = {
    'set while it was silent': ((1, False), (2, False), (2, True), False),
    'set before it fell silent': ((1, False), (2, True), (2, True), True),
    'set before anybody watched': ((2, True), (2, True), (2, True), True),
    'taken back, and set again': ((1, True), (2, False), (2, True), False),
}


@pytest.mark.parametrize('first, second, third, expected', READS.values(),
                         ids=READS)
def test_whether_a_host_was_forced_down_before_it_fell_silent(
        first, second, third, expected):
    """Only then is it a word of others about this silence."""
    known = memory_module.Memory()
    assert known.was_forced_alive('host1')
    for now, (count, forced) in enumerate((first, second, third)):
        known.saw_services([samples.service(
            report_count=count, forced_down=forced)], CELL, now, 99.0)
    assert known.was_forced_alive('host1') is expected
