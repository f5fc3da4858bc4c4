# SPDX-License-Identifier: Apache-2.0
"""People's orders: added, obeyed elsewhere, ended once."""

import dataclasses
import datetime

import pytest

from nova_pets.model import records
from nova_pets.model import states
from nova_pets.tests.db import samples

PAUSE = records.Control(id=None, kind=states.ControlKind.PAUSE, scope='all',
                        reason='network work', actor='user anna')


def test_control_holds_every_column(store):
    until = datetime.datetime(2030, 1, 2, 3, 4, 5)
    wanted = dataclasses.replace(
        PAUSE, kind=states.ControlKind.MAINTENANCE, scope='host',
        target='host1', epoch=4, until_at=until)
    added = store.add_control(wanted)
    assert added.created_at is not None
    assert dataclasses.replace(added, created_at=None) == (
        dataclasses.replace(wanted, id=added.id))
    assert store.controls() == [added]


@pytest.mark.parametrize('scope,target,host,instance', [
    ('all', '', None, None), ('cell', samples.CELL, None, None),
    ('host', 'host1', 'host1', None), ('instance', 'u-1', None, 'u-1')])
def test_orders_are_in_the_history_of_their_target(store, scope, target,
                                                   host, instance):
    control = store.add_control(dataclasses.replace(PAUSE, scope=scope,
                                                    target=target))
    assert store.end_control(control, 'engine a/1', 'done')
    begun, ended = store.history()
    assert (begun.code, ended.code) == ('control_set', 'control_ended')
    assert (begun.actor, ended.actor) == ('user anna', 'engine a/1')
    for line in (begun, ended):
        assert (line.host, line.instance_uuid) == (host, instance)
    assert 'network work' in begun.text and 'done' in ended.text


def test_control_ends_once(store):
    control, other = store.add_control(PAUSE), store.add_control(PAUSE)
    assert store.end_control(control, 'user bob', 'done')
    assert not store.end_control(control, 'user bob', 'done')
    assert store.controls() == [other]
    ended, _ = store.controls(only_active=False)
    assert not ended.active and ended.ended_at is not None
    assert not store.end_control(ended, 'user bob', 'again')
    assert len(store.history()) == 3


def test_control_read_before_a_change_is_not_ended(store):
    control = store.add_control(PAUSE)
    assert not store.end_control(dataclasses.replace(
        control, generation=1), 'user bob', 'done')
    assert store.controls() == [control]
