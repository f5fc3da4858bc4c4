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
