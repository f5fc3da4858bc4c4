# SPDX-License-Identifier: Apache-2.0
"""Each condition about a level by itself: what counts as off, and as a
fence that works."""

import pytest

from nova_pets.fencing import base
from nova_pets.fencing import sequence
from nova_pets.model import states
from nova_pets.tests.unit.fencing import test_sequence

P = states.PowerState
ONLY_A_WORD = base.Characteristics(False, False, False)
ONLY_READS = base.Characteristics(False, False, True)
ONLY_SWITCHES = base.Characteristics(True, False, False)


def device(answer, characteristics=test_sequence.SWITCH, log=None):
    found = test_sequence.Scripted('bmc', [answer],
                                   [] if log is None else log)
    found.characteristics = characteristics
    return found


def read(*levels):
    return sequence.read_power(levels, 1.0)


@pytest.mark.parametrize('first, second', [(P.OFF, P.ON), (P.ON, P.OFF)])
def test_one_level_that_is_off_is_enough(first, second):
    assert read([device(first)], [device(second)]).is_off


@pytest.mark.parametrize('first, second', [
    (P.ON, P.UNKNOWN), (P.UNKNOWN, P.ON)])
def test_one_level_that_answers_is_a_fence_that_works(first, second):
    assert read([device(first)], [device(second)]).is_working


@pytest.mark.parametrize('answer', [None, 'off', False])
def test_what_is_no_power_state_is_no_answer(answer):
    reading = read([device(answer)])
    assert not reading.is_working
    assert reading.power == {'1.1 bmc': P.UNKNOWN}


@pytest.mark.parametrize('kind, is_off', [
    (ONLY_A_WORD, False), (ONLY_SWITCHES, False), (ONLY_READS, True)],
    ids=['a word', 'it cannot read', 'it reads'])
def test_only_what_reads_power_says_off(kind, is_off):
    assert read([device(P.OFF, kind)]).is_off is is_off


@pytest.mark.parametrize('kind', [ONLY_A_WORD, ONLY_READS, ONLY_SWITCHES],
                         ids=['a word', 'it cannot switch',
                              'it cannot read'])
def test_what_cannot_fence_is_no_fence(clock, kind):
    log = []
    levels = [[device(P.ON), device(P.ON, kind, log)]]
    assert not read(*levels).is_working
    assert not test_sequence.fence(levels, clock).is_proven
    assert 'bmc off' not in log


def test_what_is_off_already_is_not_told_again(clock):
    off, on = [], []
    test_sequence.fence([[device(P.OFF, log=off), device(P.ON, log=on)]],
                        clock, deadline_s=5.0)
    assert 'bmc off' in on
    assert 'bmc off' not in off


BMC = base.Characteristics(True, True, True, sees_machine=True)


def of_bmc(*answers, log=None):
    found = test_sequence.Scripted('bmc', answers,
                                   [] if log is None else log)
    found.characteristics = BMC
    return found


@pytest.mark.parametrize('answer, is_off', [
    (P.ON, False), (P.TURNING_OFF, False), (P.TURNING_ON, False),
    (P.UNKNOWN, True), (P.OFF, True), (test_sequence.failure(), True)],
    ids=str)
def test_an_outlet_is_not_believed_against_a_bmc_that_says_on(
        clock, answer, is_off):
    """Its outlet is another machine's, or one of two."""
    for order in (1, -1):
        levels = [[of_bmc(answer)], [device(P.OFF)]][::order]
        assert read(*levels).is_off is is_off
        result = test_sequence.fence(levels, clock, deadline_s=5.0)
        assert result.is_proven is is_off
        if order == 1:
            assert ('the machine runs' in result.detail) is (not is_off)


@pytest.mark.parametrize('answers', [
    (P.OFF,), (P.ON, P.OFF)], ids=['already', 'told'])
def test_a_bmc_is_believed_though_the_outlet_is_on(clock, answers):
    log = []
    levels = [[of_bmc(*answers)], [device(P.ON, log=log)]]
    assert test_sequence.fence(levels, clock, deadline_s=5.0).is_proven
    assert log == []


def test_a_bmc_that_lost_its_power_is_not_asked_again(clock):
    """It says ON, refuses, and is silent as soon as the outlets are off."""
    log = []
    bmc = of_bmc(P.ON, P.ON, test_sequence.failure(), log=log)
    bmc._on_off = test_sequence.failure('refused', is_refused=True)
    outlet = test_sequence.Scripted('outlet', [P.ON, P.OFF], log)
    result = test_sequence.fence([[bmc], [outlet]], clock)
    assert result.is_proven and result.level == 2
    assert log == ['bmc read', 'bmc off', 'outlet read', 'outlet off',
                   'outlet read', 'outlet read', 'bmc read',
                   'outlet read', 'outlet read', 'bmc read']


def test_a_bmc_that_is_silent_keeps_no_outlet_waiting(clock):
    log = []
    bmc = of_bmc(test_sequence.failure(), log=log)
    bmc._on_off = test_sequence.failure('refused', is_refused=True)
    outlet = test_sequence.Scripted('outlet', [P.ON, P.OFF], log)
    assert test_sequence.fence([[bmc], [outlet]], clock).is_proven
    assert log.count('bmc read') == 1
