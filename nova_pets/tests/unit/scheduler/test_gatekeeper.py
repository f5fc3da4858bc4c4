# SPDX-License-Identifier: Apache-2.0
"""The gate's own contract, as whoever is not Nova uses it."""

import pytest

from nova_pets import exception
from nova_pets.model import states
from nova_pets.scheduler import gatekeeper
from nova_pets.tests.unit.scheduler import fakes

H = states.HostState
R = states.RecoveryState


def request(request_id=fakes.OTHER, cell=fakes.CELL):
    return gatekeeper.Request(fakes.UUID, 'host1', request_id, cell)


def away():
    raise fakes.DatabaseAway('cannot be made')


def keeper(store, door=None, mode=states.Mode.ACT, **values):
    door = door or fakes.FakeDoor()
    return gatekeeper.Gatekeeper(
        lambda: store, lambda: door, lambda: mode, **values)


@pytest.fixture
def store():
    return fakes.FakeStore()


def ready(**values):
    return fakes.view(host=H.FENCED, recovery=fakes.recovery(
        R.READY, is_bfv=True, **values))


def begun(gate=states.Gate.CONSUMED):
    return fakes.view(host=H.FENCED, recovery=fakes.recovery(),
                      attempt=fakes.attempt(gate=gate))


def test_what_passes_brings_what_was_read(store):
    store.views = [begun()]
    assert keeper(store).check(request(fakes.OURS)) == gatekeeper.Passed(
        store.views[0], is_taken_over=False)


def test_a_take_over_is_told_and_brings_the_new_attempt(store):
    after = begun()
    store.views = [ready(), after]
    assert keeper(store).check(request()) == gatekeeper.Passed(
        after, is_taken_over=True)


def test_an_unknown_cell_is_looked_up_among_the_pets(store):
    store.views = [fakes.view()]
    with pytest.raises(exception.GateRefused, match='not proven off'):
        keeper(store).check(request(cell=None))
    assert 'pets' in store.calls


@pytest.mark.parametrize('is_pet', [True, False])
def test_the_states_of_hosts_are_told_whatever_becomes_of_it(store, is_pet):
    store.views = [fakes.view(is_pet=is_pet, host=H.DOWN)]
    told = []
    try:
        keeper(store, learn=told.append).check(request())
    except exception.GateRefused:
        assert is_pet
    assert told == [{'host1': H.DOWN}]


def test_a_store_that_cannot_be_made_is_one_that_cannot_be_read():
    door = fakes.FakeDoor()
    door.instance = fakes.instance(metadata={'ha': 'true'})
    guard = gatekeeper.Gatekeeper(away, lambda: door,
                                  lambda: states.Mode.ACT)
    with pytest.raises(exception.GateRefused, match='cannot be made'):
        guard.check(request())
    door.instance = fakes.instance()
    assert guard.check(request()).view is None


def test_a_door_that_cannot_be_made_refuses_a_pet_only_when_asked(store):
    guard = gatekeeper.Gatekeeper(lambda: store, away,
                                  lambda: states.Mode.ACT)
    store.views = [begun(states.Gate.ARMED)]
    guard.check(request(fakes.OURS))
    store.views = [fakes.view()]
    with pytest.raises(exception.GateRefused, match='cannot be made'):
        guard.check(request())


def test_an_attempt_goes_on_at_the_host_filter_until_it_ends(store):
    store.views = [begun()]
    guard = keeper(store)
    before = guard.check(request(fakes.OURS)).view
    assert guard.repeat(request(fakes.OURS), before).view == before
    store.views = [fakes.view(host=H.FENCED, recovery=fakes.recovery(
        R.SETTLING))]
    with pytest.raises(exception.GateRefused, match='has ended'):
        guard.repeat(request(fakes.OURS), before)
    assert store.refusals == ['its attempt has ended']


def test_the_host_filter_is_the_gate_for_what_was_let_through_unread(store):
    store.error = fakes.DatabaseAway()
    guard = keeper(store)
    unread = guard.check(request())
    assert unread.view is None
    store.error = None
    store.views = [begun()]
    with pytest.raises(exception.GateRefused, match='is open'):
        guard.repeat(request(), unread.view)


def test_a_pet_is_refused_at_the_host_filter_without_tables(store):
    store.views = [begun()]
    guard = keeper(store)
    before = guard.check(request(fakes.OURS)).view
    store.error = fakes.DatabaseAway('no such table')
    with pytest.raises(exception.GateRefused, match='no such table'):
        guard.repeat(request(fakes.OURS), before)
