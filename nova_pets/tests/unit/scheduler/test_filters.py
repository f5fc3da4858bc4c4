# SPDX-License-Identifier: Apache-2.0
"""What each filter and the weigher do with hosts, and what they read."""

import os
import random
import threading
import time
import zlib

from nova import weights as weight_base
from nova.scheduler import weights as nova_weights
import pytest

from nova_pets import exception
from nova_pets.model import states
from nova_pets.scheduler import access
from nova_pets.scheduler import gate
from nova_pets.scheduler import picks
from nova_pets.scheduler import request
from nova_pets.scheduler import unsafe_hosts
from nova_pets.scheduler.filters import evacuation_gate
from nova_pets.scheduler.filters import fenced_host
from nova_pets.scheduler.filters import shared_storage
from nova_pets.scheduler.weights import evacuation_spread
from nova_pets.tests.unit.scheduler import fakes

H = states.HostState


def hosts(*names):
    return [fakes.host_state(name) for name in names]


def passing(filter_, spec, host_states):
    return [found.host for found in filter_.filter_all(host_states, spec)]


def evacuation(request_id=fakes.OURS, attempt_id=9, **recovery):
    """A request of an attempt, as the gate leaves it."""
    spec = fakes.spec(request_id=request_id)
    request.remember(spec, fakes.view(
        host=H.FENCED, recovery=fakes.recovery(**recovery),
        attempt=fakes.attempt(request_id, id=attempt_id,
                              gate=states.Gate.CONSUMED)), True)
    return spec


# FencedHostFilter

FIRST_BOOT = dict(ignore_hosts=(), cell=None)


@pytest.mark.parametrize('state', sorted(set(H) - {H.UP}), ids=str)
def test_nothing_goes_to_a_host_that_is_not_up(store, state):
    store.unsafe = {'host2': state}
    assert passing(fenced_host.FencedHostFilter(), fakes.spec(**FIRST_BOOT),
                   hosts('host1', 'host2')) == ['host1']


ALL_SILENT = {'host1': H.SUSPECT, 'host2': H.SUSPECT, 'host3': H.DOWN}
"""A broker or a database that stalls makes all hosts suspect at once."""


def test_where_every_host_is_suspect_the_cloud_goes_on(store):
    """Failed as no valid host for every request of the cloud, although
    Nova itself held all hosts to be up."""
    store.unsafe = ALL_SILENT
    assert passing(fenced_host.FencedHostFilter(), fakes.spec(**FIRST_BOOT),
                   hosts('host1', 'host2', 'host3')) == ['host1', 'host2']


def test_a_host_that_was_asked_for_may_be_suspect(store):
    store.unsafe = {'host2': H.SUSPECT}
    assert passing(fenced_host.FencedHostFilter(), fakes.spec(**FIRST_BOOT),
                   hosts('host2')) == ['host2']


@pytest.mark.parametrize('state', sorted(set(H) - {H.UP, H.SUSPECT}),
                         ids=str)
def test_what_is_more_than_suspect_takes_nothing_even_so(store, state):
    store.unsafe = {'host2': state}
    assert passing(fenced_host.FencedHostFilter(), fakes.spec(**FIRST_BOOT),
                   hosts('host2')) == []


def test_a_pet_is_not_evacuated_to_a_suspect_host(store):
    """Its recovery waits and asks again; Nova's other requests do not."""
    store.unsafe = {'host2': H.SUSPECT}
    spec = evacuation()
    assert passing(fenced_host.FencedHostFilter(), spec,
                   hosts('host2')) == []


def test_first_boots_share_one_read(store, option):
    option('pets_scheduler', 'cache_ttl', 60)
    filter_ = fenced_host.FencedHostFilter()
    for _ in range(5):
        passing(filter_, fakes.spec(**FIRST_BOOT), hosts('host1', 'host2'))
    assert store.calls == ['unsafe_hosts']


def test_a_move_of_what_is_no_pet_costs_one_read_in_all(store):
    store.views = [fakes.snapshot.GateView(
        False, {'host1': H.UP, 'host2': H.DOWN}, None, None)]
    spec = fakes.spec()
    gate.evacuation_gate(spec._context, spec)
    found = hosts('host1', 'host2', 'host3')
    for filter_ in (fenced_host.FencedHostFilter(),
                    evacuation_gate.EvacuationGateFilter(),
                    shared_storage.SharedStorageFilter()):
        found = filter_.filter_all(found, spec)
    found = list(found)
    assert [one.host for one in found] == ['host1', 'host3']
    weigh(spec, 'host3', 'host4')
    assert store.calls == ['gate_view']


def test_hosts_known_to_be_unsafe_stay_so_while_nothing_can_be_read(
        store, option):
    option('pets_scheduler', 'cache_ttl', 0)
    store.unsafe = {'host2': H.DOWN}
    filter_ = fenced_host.FencedHostFilter()
    spec = fakes.spec(**FIRST_BOOT)
    passing(filter_, spec, hosts('host1', 'host2'))
    store.error = fakes.DatabaseAway()
    assert passing(filter_, spec, hosts('host1', 'host2')) == ['host1']


def test_without_any_answer_every_host_passes(store):
    store.error = fakes.DatabaseAway()
    assert passing(fenced_host.FencedHostFilter(), fakes.spec(),
                   hosts('host1', 'host2')) == ['host1', 'host2']


def test_a_worker_does_not_trust_what_its_master_read(
        store, option, monkeypatch):
    option('pets_scheduler', 'cache_ttl', 60)
    unsafe_hosts.unsafe_hosts()
    store.unsafe = {'host2': H.DOWN}
    monkeypatch.setattr(os, 'getpid', lambda: -1)
    assert unsafe_hosts.unsafe_hosts() == {'host2': H.DOWN}


@pytest.mark.parametrize('mode', [states.Mode.OBSERVE, states.Mode.OFF],
                         ids=str)
def test_only_mode_act_takes_hosts_away(store, mode):
    access.configure(mode, None)
    store.unsafe = {'host2': H.DOWN}
    assert passing(fenced_host.FencedHostFilter(), fakes.spec(),
                   hosts('host1', 'host2')) == ['host1', 'host2']
    assert store.calls == []


def test_a_pet_stays_away_from_a_host_that_would_destroy_it(store):
    store.tombstones = ['host2']
    assert passing(fenced_host.FencedHostFilter(), evacuation(),
                   hosts('host2', 'host3')) == ['host3']


def test_an_unshelved_instance_stays_away_from_such_a_host_too(store):
    store.views = [fakes.view(is_pet=True)]
    store.tombstones = ['host2']
    assert passing(fenced_host.FencedHostFilter(),
                   fakes.spec(ignore_hosts=()),
                   hosts('host2', 'host3')) == ['host3']


@pytest.mark.parametrize('is_warm', [False, True], ids=['cold', 'warm'])
def test_an_unshelve_of_what_is_no_pet_costs_one_read(store, option, is_warm):
    option('pets_scheduler', 'cache_ttl', 60)
    if is_warm:
        unsafe_hosts.unsafe_hosts()
        store.calls.clear()
    store.views = [fakes.view(is_pet=False, host=H.DOWN)]
    spec = fakes.spec(ignore_hosts=())
    gate.evacuation_gate(spec._context, spec)
    found = hosts('host1', 'host2')
    for filter_ in (fenced_host.FencedHostFilter(),
                    evacuation_gate.EvacuationGateFilter(),
                    shared_storage.SharedStorageFilter()):
        found = list(filter_.filter_all(found, spec))
    assert [one.host for one in found] == ['host2']
    assert store.calls == ['gate_view']


def test_an_unshelve_goes_on_without_the_tables(store):
    store.error = fakes.DatabaseAway()
    assert passing(fenced_host.FencedHostFilter(),
                   fakes.spec(ignore_hosts=()), hosts('host1')) == ['host1']


def test_tombstones_are_not_read_for_what_is_no_pet(store):
    spec = fakes.spec()
    request.remember(spec, fakes.view(is_pet=False), True)
    passing(fenced_host.FencedHostFilter(), spec, hosts('host2'))
    assert store.calls == ['unsafe_hosts']


def test_a_rebuild_in_place_keeps_its_host(store):
    store.unsafe = {'host1': H.DOWN}
    spec = fakes.spec(**FIRST_BOOT)
    spec.scheduler_hints = {'_nova_check_type': ['rebuild']}
    assert passing(fenced_host.FencedHostFilter(), spec,
                   hosts('host1')) == ['host1']


# EvacuationGateFilter


def test_the_gate_filter_refuses_before_any_host_is_looked_at(store):
    store.views = [fakes.view(host=H.FENCED, recovery=fakes.recovery(),
                              attempt=fakes.attempt())]
    with pytest.raises(exception.GateRefused):
        evacuation_gate.EvacuationGateFilter().filter_all(
            hosts('host1'), fakes.spec())


def test_the_gate_filter_reads_nothing_at_a_first_boot(store):
    assert passing(evacuation_gate.EvacuationGateFilter(),
                   fakes.spec(**FIRST_BOOT), hosts('host1')) == ['host1']
    assert store.calls == []


def test_a_host_that_failed_the_last_attempt_is_left_out(store):
    store.views = [fakes.view(
        host=H.FENCED, recovery=fakes.recovery(excluded=('host2',)),
        attempt=fakes.attempt(gate=states.Gate.CONSUMED))]
    assert passing(evacuation_gate.EvacuationGateFilter(),
                   evacuation(excluded=('host2',)),
                   hosts('host2', 'host3')) == ['host3']


# SharedStorageFilter

A = {'pets__storage': 'a'}
B = {'pets__storage': 'b'}
DOMAINS = [
    ('same domain', {'storage_domain': 'a'}, A, False, True),
    ('other domain', {'storage_domain': 'a'}, B, False, False),
    ('host in none', {'storage_domain': 'a'}, {}, False, False),
    ('source in none', {}, A, False, False),
    ('both in none', {}, {}, False, False),
    ('one domain', {'storage_domain': 'cloud'}, {}, True, True),
    ('one domain beside another', {'storage_domain': 'cloud'}, A, True,
     False),
    ('from volume', {'is_bfv': True}, {}, False, True),
    ('its owner accepts the loss', {'disk': 'rebuild'}, {}, False, True),
]


@pytest.mark.parametrize(
    'recovery,metadata,one_domain,expected', [d[1:] for d in DOMAINS],
    ids=[d[0] for d in DOMAINS])
def test_an_evacuated_disk_stays_in_its_storage_domain(
        option, recovery, metadata, one_domain, expected):
    option('pets', 'one_storage_domain', one_domain)
    assert shared_storage.SharedStorageFilter().host_passes(
        fakes.host_state('host2', **metadata),
        evacuation(**recovery)) is expected


@pytest.mark.parametrize('fields', [FIRST_BOOT, {}],
                         ids=['first boot', 'a move'])
def test_other_requests_go_to_any_storage(store, fields):
    assert shared_storage.SharedStorageFilter().host_passes(
        fakes.host_state('host2'), fakes.spec(**fields))
    assert store.calls == []


# EvacuationSpreadWeigher


def weigh(spec, *names, totals=None):
    """Return the hosts as Nova orders them after this last weigher."""
    weighed = [nova_weights.WeighedHost(host, 0.0) for host in hosts(*names)]
    for one in weighed:
        one.weight = (totals or {}).get(one.obj.host, 0.0)
    weigher = evacuation_spread.EvacuationSpreadWeigher()
    own = weight_base.normalize(weigher.weigh_objects(weighed, spec),
                                minval=weigher.minval,
                                maxval=weigher.maxval)
    for one, weight in zip(weighed, own):
        one.weight += weigher.weight_multiplier(one.obj) * weight
    return [one.obj.host for one in
            sorted(weighed, key=lambda w: w.weight, reverse=True)]


def order_of(source, *names):
    """Return hosts as requests from this source count them."""
    return sorted(names, key=lambda host: zlib.crc32(
        f'{source} {host}'.encode()))


SOURCE = fakes.attempt().source
ONE, TWO, THREE = order_of(SOURCE, 'host1', 'host2', 'host3')
"""The hosts by whose turn it is."""


def waiting(count):
    """Attempts that no destination has yet."""
    return [(f'req-{number}', None) for number in range(count)]


def test_hosts_with_fewer_evacuations_in_flight_come_first(store):
    store.open_attempts = [('req-1', 'host1'), ('req-2', 'host2'),
                           ('req-3', 'host1')]
    assert weigh(evacuation(), 'host1', 'host2', 'host3') == [
        'host3', 'host2', 'host1']


def test_requests_at_once_see_each_others_choice(store):
    store.open_attempts = waiting(6)
    first = [weigh(evacuation(one), 'host1', 'host2', 'host3')[0]
             for one, _ in store.open_attempts]
    assert first == [ONE, TWO, THREE] * 2


def test_a_much_emptier_host_does_not_get_them_all(store):
    store.open_attempts = waiting(7)
    first = [weigh(evacuation(one), ONE, TWO, totals={ONE: 3.0})[0]
             for one, _ in store.open_attempts]
    assert first.count(TWO) == 2, first


def test_many_threads_choose_evenly(store, monkeypatch):
    """Each is interrupted between weighing and keeping its choice; what the
    tables say is not known, so nothing but those choices spreads them."""
    store.error = fakes.DatabaseAway()
    weigher = evacuation_spread.EvacuationSpreadWeigher
    multiplier = weigher.weight_multiplier

    def interrupted(self, host_state):
        time.sleep(0.0005)
        return multiplier(self, host_state)

    monkeypatch.setattr(weigher, 'weight_multiplier', interrupted)
    chosen = []

    def choose(number):
        chosen.append(weigh(evacuation(f'req-{number}'), 'host1', 'host2',
                            'host3', 'host4')[0])

    threads = [threading.Thread(target=choose, args=(n,))
               for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {chosen.count(host) for host in chosen} == {10}


@pytest.mark.parametrize('order', [
    range(8), (0, 4, 1, 5, 2, 6, 3, 7), (3, 7, 2, 6, 1, 5, 0, 4),
    (7, 6, 5, 4, 3, 2, 1, 0)], ids=str)
def test_requests_at_once_in_other_processes_do_not_herd(store, order):
    """Each is scheduled in a process of its own, in any order."""
    store.open_attempts = waiting(8)
    first = []
    for number in order:
        picks._by_process.clear()
        first.append(weigh(
            evacuation(f'req-{number}'), 'host1', 'host2', 'host3', 'host4',
            totals={'host1': 0.5})[0])
    assert {first.count(host) for host in first} == {2}, first


@pytest.mark.parametrize('seed', range(20))
def test_a_wave_is_spread_whenever_its_destinations_become_known(store, seed):
    """Twenty pets, eight at a time without a destination, six processes."""
    chance = random.Random(seed)
    names = [f'host{number}' for number in range(1, 10)]
    processes = [picks.Picks() for _ in range(6)]
    known, chosen = {}, {}
    while len(known) < 20:
        unknown = [one for one, _ in waiting(20) if one not in known][:8]
        one = chance.choice(unknown)
        if one in chosen:
            known[one] = chosen[one]
            continue
        store.open_attempts = [
            (two, known.get(two)) for two, _ in waiting(20)
            if two in known or two in unknown]
        picks._by_process[os.getpid()] = chance.choice(processes)
        chosen[one] = weigh(evacuation(one), *names)[0]
    counts = [list(known.values()).count(name) for name in names]
    assert max(counts) - min(counts) <= 1, counts


def test_what_is_known_comes_before_whose_turn_it_is(store):
    store.open_attempts = [('req-8', ONE), ('req-9', TWO), *waiting(4)]
    first = []
    for one, _ in waiting(4):
        picks._by_process.clear()
        first.append(weigh(evacuation(one), ONE, TWO, THREE)[0])
    assert first == [THREE, ONE, TWO, THREE]


def test_what_this_process_chose_it_need_not_guess(store):
    """The one before had to take another host, by its own filters."""
    store.open_attempts = waiting(2)
    assert weigh(evacuation('req-0'), TWO)[0] == TWO
    assert weigh(evacuation('req-1'), ONE, TWO)[0] == ONE


def test_a_choice_whose_destination_is_known_counts_once(store):
    store.open_attempts = waiting(1)
    assert weigh(evacuation('req-0'), ONE)[0] == ONE
    store.open_attempts = [('req-0', ONE), ('req-1', TWO), ('req-2', None)]
    assert weigh(evacuation('req-2'), ONE, TWO)[0] == ONE


def test_one_that_is_alone_goes_where_nova_has_it(store):
    for number in range(3):
        store.open_attempts = [(f'req-{number}', None)]
        picks._by_process.clear()
        assert weigh(evacuation(f'req-{number}'), ONE, TWO,
                     totals={TWO: 0.5})[0] == TWO


def test_other_failed_hosts_count_in_another_order(store):
    names = [f'host{number}' for number in range(9)]
    assert order_of('host7', *names) != order_of('host8', *names)


def test_a_negative_multiplier_stacks(store, option):
    option('pets_scheduler', 'evacuation_spread_weight_multiplier', -1.0)
    store.open_attempts = [('req-9', 'host2'), *waiting(3)]
    first = [weigh(evacuation(one), 'host1', 'host2')[0]
             for one, _ in waiting(3)]
    assert first == ['host2'] * 3


def test_an_aggregate_overrides_the_multiplier(store):
    weigher = evacuation_spread.EvacuationSpreadWeigher()
    host = fakes.host_state('host1',
                            evacuation_spread_weight_multiplier='2.5')
    assert weigher.weight_multiplier(host) == 2.5


def test_without_tables_own_choices_still_spread(store):
    store.error = fakes.DatabaseAway()
    first = [weigh(evacuation(f'req-{n}'), 'host1', 'host2')[0]
             for n in range(4)]
    assert first == ['host1', 'host2'] * 2


@pytest.mark.parametrize('fields', [FIRST_BOOT, {}],
                         ids=['first boot', 'a move'])
def test_other_requests_are_not_weighed_and_read_nothing(store, fields):
    assert weigh(fakes.spec(**fields), 'host1', 'host2') == [
        'host1', 'host2']
    assert store.calls == []


def test_a_request_beside_the_attempt_is_no_evacuation_of_ours(store):
    spec = fakes.spec(request_id=fakes.OTHER)
    request.remember(spec, fakes.view(recovery=fakes.recovery(),
                                      attempt=fakes.attempt()), True)
    assert request.evacuation(spec) is None


def test_choices_are_forgotten_after_a_while():
    now = [100.0]
    recent = picks.Picks(monotonic=lambda: now[0])
    recent.add('req-1', 'host1')
    recent.add('req-1', 'host2')
    assert (recent.count('host1'), recent.count('host2')) == (0, 1)
    assert recent.count('host2', but='req-1') == 0
    assert (recent.host('req-1'), recent.host('req-2')) == ('host2', None)
    now[0] += picks.KEPT_S
    recent.drop_old()
    assert recent.count('host2') == 0
