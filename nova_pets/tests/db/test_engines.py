# SPDX-License-Identifier: Apache-2.0
"""Engines: registration, renewal counters, deposition, slots."""

import dataclasses

import pytest

from nova_pets import exception
from nova_pets.model import states
from nova_pets.tests.db import samples


def test_registered_engine_starts_idle_with_nothing_renewed(store):
    one = samples.engine(slot=3, renewals=9, deposed=True,
                         report={'waits': ['a']})
    store.register_engine(one)
    (found,) = store.engines()
    assert found.started_at is not None
    assert dataclasses.replace(found, started_at=None, renewed_at=None) == (
        dataclasses.replace(one, slot=None, renewals=0, deposed=False))


def test_registering_an_id_twice_is_refused(store):
    one = samples.engine()
    store.register_engine(one)
    with pytest.raises(exception.StoreUnavailable):
        store.register_engine(one)


def test_renewal_counts_up_and_keeps_the_report_unless_given(store):
    me = samples.registered(store)
    assert store.renew_engine(me, 0, {'waits': ['b']},
                              states.Mode.OBSERVE) == 1
    assert store.renew_engine(me, 1) == 2
    (found,) = store.engines()
    assert (found.renewals, found.report, found.mode) == (
        2, {'waits': ['b']}, states.Mode.OBSERVE)


@pytest.mark.parametrize('seen', [0, 2], ids=['older', 'newer'])
def test_renewal_from_another_counter_is_refused(store, seen):
    me = samples.registered(store)
    store.renew_engine(me, 0)
    with pytest.raises(exception.EngineDeposed):
        store.renew_engine(me, seen)


def test_renewal_moves_only_its_own_engine(store):
    me, other = samples.registered(store), samples.registered(store)
    store.renew_engine(me, 0)
    assert {one.id: one.renewals for one in store.engines()} == {
        me: 1, other: 0}


def test_deposed_engine_cannot_renew(store):
    me = samples.registered(store)
    assert store.depose_engine(me, 0)
    with pytest.raises(exception.EngineDeposed):
        store.renew_engine(me, 0)


def test_unknown_engine_cannot_renew(store):
    with pytest.raises(exception.EngineDeposed):
        store.renew_engine(samples.new_uuid(), 0)


def test_engine_that_renewed_meanwhile_is_not_deposed(store):
    me = samples.registered(store)
    store.renew_engine(me, 0)
    assert not store.depose_engine(me, 0)
    assert [one.id for one in store.engines()] == [me]


def test_deposition_happens_once_and_only_to_its_engine(store):
    me, other = samples.registered(store), samples.registered(store)
    assert store.depose_engine(me, 0)
    assert not store.depose_engine(me, 0)
    assert [one.id for one in store.engines()] == [other]
    assert {one.id: one.deposed for one in store.engines(True)} == {
        me: True, other: False}


def test_slot_has_one_holder_until_it_is_deposed(store):
    me, other = samples.registered(store), samples.registered(store)
    assert store.take_slot(me, 0)
    assert not store.take_slot(other, 0)
    assert store.take_slot(other, 1)
    assert store.depose_engine(me, 0)
    third = samples.registered(store)
    assert store.take_slot(third, 0)
    assert {one.id: one.slot for one in store.engines()} == {
        other: 1, third: 0}


def test_engine_keeps_the_slot_that_it_has(store):
    me = samples.registered(store)
    assert store.take_slot(me, 0)
    assert store.take_slot(me, 0)
    assert not store.take_slot(me, 1)
    assert store.engines()[0].slot == 0


def test_deposed_engine_gets_no_slot(store):
    me = samples.registered(store)
    store.depose_engine(me, 0)
    assert not store.take_slot(me, 0)


def test_many_idle_engines_share_no_slot(store):
    for _ in range(3):
        samples.registered(store)
    assert [one.slot for one in store.engines()] == [None] * 3
