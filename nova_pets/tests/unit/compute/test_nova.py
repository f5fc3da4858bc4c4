# SPDX-License-Identifier: Apache-2.0
"""Whether a conductor is there is asked once for many evacuations."""

import pytest

from nova_pets.compute import nova as nova_door


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(nova_door.time, 'monotonic', lambda: now[0])
    return now


@pytest.fixture
def door(monkeypatch):
    door = nova_door.NovaDoor()
    door.answers, door.asked = True, 0

    def asked(timeout_s):
        door.asked += 1
        return door.answers

    monkeypatch.setattr(door, 'conductor_answers', asked)
    return door


def test_an_answer_counts_for_a_moment(clock, door):
    assert door._has_conductor(clock[0]) and door._has_conductor(clock[0])
    assert door.asked == 1
    clock[0] += nova_door.CONDUCTOR_FRESH_S + 0.1
    door.answers = False
    assert not door._has_conductor(clock[0])


def test_silence_is_asked_again(clock, door):
    door.answers = False
    assert not door._has_conductor(clock[0])
    door.answers = True
    clock[0] += 0.1
    assert door._has_conductor(clock[0])


def test_who_waited_while_nobody_answered_does_not_wait_again(clock, door):
    door.answers = False
    called_at = clock[0] - 1.0
    assert not any(door._has_conductor(called_at) for _ in range(8))
    assert door.asked == 1
