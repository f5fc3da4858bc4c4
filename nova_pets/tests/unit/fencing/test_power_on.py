# SPDX-License-Identifier: Apache-2.0
"""Powering on again: whatever reads off, both supplies, and no more."""

import pytest

from nova_pets.fencing import base
from nova_pets.fencing import sequence
from nova_pets.model import states
from nova_pets.tests.unit.fencing import test_sequence

P = states.PowerState
ONLY_OFF = base.Characteristics(True, False, True)
ONLY_A_WORD = base.Characteristics(True, True, False)


def devices(log, *levels, kind=test_sequence.SWITCH, **more):
    """Levels of answers -> levels of devices, named 1, 2, ..."""
    made = []
    for answers in levels:
        level = [test_sequence.Scripted(str(number), [answer], log, **more)
                 for number, answer in enumerate(answers, 1)]
        for device in level:
            device.characteristics = kind
        made.append(level)
    return made


def power_on(levels, may_act=lambda: None):
    return sequence.power_on(levels, may_act, 1.0)


def switched(log):
    return [line for line in log if line.endswith(' on')]


def test_both_supplies_of_the_level_that_is_off_are_told():
    log = []
    told = power_on(devices(log, [P.OFF, P.OFF]))
    assert told.is_done and switched(log) == ['1 on', '2 on']


def test_a_supply_that_was_left_off_is_told_alone():
    log = []
    levels = devices(log, [P.ON, P.OFF])
    assert sequence.read_power(levels, 1.0).is_partly_off
    assert power_on(levels).is_done and switched(log) == ['2 on']


@pytest.mark.parametrize('level, is_partly', [
    ([P.OFF, P.OFF], False), ([P.ON, P.ON], False), ([P.OFF, P.ON], True),
    ([P.OFF, P.UNKNOWN], True), ([P.UNKNOWN, P.UNKNOWN], False)])
def test_what_is_partly_off(level, is_partly):
    reading = sequence.read_power(devices([], level), 1.0)
    assert reading.is_partly_off is is_partly


def test_a_level_that_is_partly_off_is_seen_among_others():
    for levels in ([[P.OFF, P.ON], [P.ON]], [[P.ON], [P.OFF, P.ON]]):
        assert sequence.read_power(devices([], *levels), 1.0).is_partly_off


@pytest.mark.parametrize('answer', [
    *(state for state in P if state is not P.OFF),
    test_sequence.failure()], ids=str)
def test_what_does_not_read_off_is_told_nothing(answer):
    log = []
    told = power_on(devices(log, [answer]))
    assert not told.is_done and not switched(log)
    assert 'no device reads off' in told.detail


def test_a_level_that_is_on_is_left_alone():
    log = []
    assert power_on(devices(log, [P.ON], [P.OFF])).is_done
    assert switched(log) == ['1 on']


@pytest.mark.parametrize('kind', [ONLY_OFF, ONLY_A_WORD],
                         ids=['it cannot power on', 'it cannot read'])
def test_a_device_that_cannot_is_not_told(kind):
    log = []
    assert not power_on(devices(log, [P.OFF], kind=kind)).is_done
    assert not switched(log)


def test_a_level_with_one_that_cannot_is_not_half_switched():
    log = []
    [level] = devices(log, [P.OFF, P.OFF])
    level[1].characteristics = ONLY_OFF
    assert not power_on([level]).is_done and not switched(log)


def test_a_device_that_fails_does_not_keep_the_other_off():
    for error in (test_sequence.failure('refused'), ValueError('secret')):
        log = []
        [level] = devices(log, [P.OFF, P.OFF])
        level[0]._on_on = error
        told = power_on([level])
        assert not told.is_done and switched(log) == ['1 on', '2 on']
        assert 'secret' not in told.detail and '1.1' in told.detail
        assert '1.2' not in told.detail


def test_a_reason_ends_it_before_any_request():
    log, reasons = [], [None, 'deposed']
    told = power_on(devices(log, [P.OFF, P.OFF]), lambda: reasons.pop(0))
    assert switched(log) == ['1 on']
    assert not told.is_done and 'deposed' in told.detail


def test_no_device_is_no_success():
    assert not power_on([]).is_done
    assert not sequence.can_switch_on([])
