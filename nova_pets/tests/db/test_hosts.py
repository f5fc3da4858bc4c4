# SPDX-License-Identifier: Apache-2.0
"""Hosts: creation, and the claim and advance shared with recoveries."""

import dataclasses

import pytest

from nova_pets import exception
from nova_pets.db import models
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.tests.db import samples


@pytest.fixture
def me(store):
    return samples.registered(store)


@pytest.fixture
def other(store):
    return samples.registered(store)


def test_missing_hosts_are_created_up_and_others_left_alone(store, me):
    store.ensure_hosts([('host1', samples.CELL)])
    store.claim_host('host1', 0, me)
    assert store.ensure_hosts([('host1', 'x'), ('host2', samples.CELL)]) == 1
    one, two = store.host('host1'), store.host('host2')
    assert (one.generation, one.cell_uuid) == (1, samples.CELL)
    assert (two.state, two.epoch, two.generation, two.owner) == (
        states.HostState.UP, 0, 0, None)
    assert store.ensure_hosts([]) == 0


def test_hosts_that_differ_in_case_are_two(store):
    assert store.ensure_hosts([('Host1', 'c'), ('host1', 'c')]) == 2
    assert store.ensure_hosts([('Host1', 'c'), ('HOST1', 'c')]) == 1
    assert store.host('Host1').host == 'Host1'


def test_unknown_host_is_none(store):
    assert store.host('host9') is None


def test_free_row_is_claimed_once_per_generation(store, me, other):
    samples.host(store)
    assert store.claim_host('host1', 0, me) == 1
    assert store.claim_host('host1', 0, other) is None
    found = store.host('host1')
    assert (found.owner, found.generation) == (me, 1)


def test_claim_touches_only_its_row(store, me):
    samples.host(store)
    samples.host(store, 'host2')
    store.claim_host('host1', 0, me)
    assert store.host('host2').owner is None


def test_free_row_of_another_generation_is_not_claimed(store, me):
    samples.host(store)
    assert store.claim_host('host1', 1, me) is None


def test_row_of_a_living_engine_is_not_claimed(store, me, other):
    samples.host(store, me=other)
    assert store.claim_host('host1', 1, me) is None


def test_own_row_is_claimed_again(store, me):
    samples.host(store, me=me)
    assert store.claim_host('host1', 1, me) == 2


def test_row_of_a_deposed_engine_is_claimed(store, me, other):
    samples.host(store, me=other)
    store.depose_engine(other, 0)
    assert store.claim_host('host1', 1, me) == 2
    assert store.host('host1').owner == me


def test_row_of_a_missing_engine_is_claimed(store, me, other):
    samples.host(store, me=other)
    store.depose_engine(other, 0)
    store.purge(store.now().replace(year=2100))
    assert [one.id for one in store.engines(True)] == [me]
    assert store.claim_host('host1', 1, me) == 2


@pytest.mark.parametrize('is_known', [True, False],
                         ids=['deposed', 'unknown'])
def test_engine_that_does_not_live_claims_nothing(store, me, is_known):
    samples.host(store)
    if is_known:
        store.depose_engine(me, 0)
    assert store.claim_host(
        'host1', 0, me if is_known else samples.new_uuid()) is None
    assert store.host('host1').owner is None


def test_advance_writes_every_column_and_the_history(store, me):
    row = samples.host(store, me=me)
    new = dataclasses.replace(
        row, state=states.HostState.FENCED, epoch=4, reason='proven_off',
        evidence={'tcp': 'silent', 'n': 1},
        proof=states.ProofKind.POWER_OFF, proof_count=12, fence_attempts=2,
        forced_down=True, fence_ready=False, fence_detail='seen off')
    written = store.advance_host(new, 1, me, samples.event(
        'proven_off', text='34 s', from_state='fencing', to_state='fenced',
        evidence={'power': 'off'}))
    found = store.host('host1')
    assert written.generation == found.generation == 2
    assert dataclasses.replace(found, since_at=None, updated_at=None) == (
        dataclasses.replace(written, since_at=None, updated_at=None))
    (line,) = store.history(host='host1')
    assert (line.code, line.text, line.actor, line.from_state,
            line.to_state, line.evidence) == (
        'proven_off', '34 s', 'engine test/1', 'fencing', 'fenced',
        {'power': 'off'})


def test_advance_may_give_the_claim_up(store, me, other):
    row = samples.host(store, me=me)
    store.advance_host(dataclasses.replace(row, owner=None), 1, me, None)
    assert store.history() == []
    assert store.claim_host('host1', 2, other) == 3


def test_advance_never_hands_a_row_to_somebody_else(store, me, other):
    row = samples.host(store, me=me)
    with pytest.raises(ValueError):
        store.advance_host(dataclasses.replace(row, owner=other), 1, me,
                           None)


def _row_of_another_generation(store, me, other):
    return samples.host(store, me=me), 0


def _row_of_nobody(store, me, other):
    return samples.host(store), 0


def _row_of_another_engine(store, me, other):
    return samples.host(store, me=other), 1


def _row_of_mine_but_i_am_deposed(store, me, other):
    row = samples.host(store, me=me)
    store.depose_engine(me, 0)
    return row, 1


def _row_that_is_missing(store, me, other):
    return records.Host('host9', samples.CELL), 0


@pytest.mark.parametrize('given', [
    _row_of_another_generation, _row_of_nobody, _row_of_another_engine,
    _row_of_mine_but_i_am_deposed, _row_that_is_missing],
    ids=lambda given: given.__name__.strip('_'))
def test_conflicting_advance_writes_nothing(store, me, other, given):
    row, generation = given(store, me, other)
    before = store.host('host1')
    with pytest.raises(exception.RowConflict):
        store.advance_host(
            dataclasses.replace(row, state=states.HostState.DOWN,
                                owner=None),
            generation, me, samples.event())
    assert store.host('host1') == before
    assert store.history() == []


def test_advance_touches_only_its_row(store, me):
    row = samples.host(store, me=me)
    samples.host(store, 'host2', me=me)
    store.advance_host(dataclasses.replace(
        row, state=states.HostState.DOWN), 1, me, None)
    assert store.host('host2').state is states.HostState.UP


def test_since_at_moves_with_the_state_only(db, store, me):
    row = samples.host(store, me=me)
    long_ago = row.since_at.replace(year=2001)
    db.set(models.HOSTS, since_at=long_ago)
    held = store.advance_host(dataclasses.replace(row, reason='storm'), 1,
                              me, None)
    assert store.host('host1').since_at == long_ago
    store.advance_host(dataclasses.replace(
        held, state=states.HostState.DOWN), 2, me, None)
    assert store.host('host1').since_at > long_ago
