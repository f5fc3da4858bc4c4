# SPDX-License-Identifier: Apache-2.0
"""The seconds of the demo come from the history's own times."""

import datetime

from nova_pets.model import records
from nova_pets.tests.demo import timings

CRASH = datetime.datetime(2026, 11, 21, 3, 0)


def _event(seconds, to_state=None, code='', uuid=None, from_state=None):
    return records.Event(
        code=code, host='host1', instance_uuid=uuid, from_state=from_state,
        to_state=to_state, at=CRASH + datetime.timedelta(seconds=seconds))


def test_each_step_counts_from_the_crash():
    events = [
        _event(-5, 'suspect'), _event(-4, 'up'),
        _event(2.5, 'suspect'), _event(3.5, 'down'),
        _event(3.6, 'pending', uuid='u-db1'),
        _event(3.75, 'fencing'), _event(4, 'fenced'),
        _event(4.25, code='not_forced_down')]
    assert timings.host_steps('host1', CRASH, events, [8.5, 6.5]) == (
        timings.HostSteps('host1', 2.5, 3.5, 4.0, 4.2, 6.5, 8.5))


def test_a_step_that_never_came_is_not_counted():
    steps = timings.host_steps('host1', CRASH, [_event(1, 'suspect')], [])
    assert (steps.suspect_s, steps.down_s, steps.last_pet_s) == (
        1.0, None, None)


def test_the_first_of_equal_steps_counts():
    events = [_event(2, 'suspect'), _event(3, 'up'), _event(9, 'suspect')]
    assert timings.host_steps('host1', CRASH, events, []).suspect_s == 2


def test_a_pet_that_comes_by_twice_has_its_seconds_added():
    events = [_event(0, 'ready', uuid='u'), _event(1, 'building', uuid='u'),
              _event(2, 'ready', uuid='other'),
              _event(3, 'waiting', uuid='u'), _event(4, 'ready', uuid='u'),
              _event(6, 'building', uuid='u'),
              _event(7, 'recovered', uuid='u'),
              _event(20, 'pending', uuid='u'), _event(21, 'ready', uuid='u')]
    assert timings.state_seconds('u', events) == {
        'pending': 1.0, 'ready': 3.0, 'building': 3.0, 'waiting': 1.0}
