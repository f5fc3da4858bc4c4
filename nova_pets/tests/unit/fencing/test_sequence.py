# SPDX-License-Identifier: Apache-2.0
"""The sequence: what is asked in which order, and what counts as proof."""

import pytest

from nova_pets import exception
from nova_pets.fencing import base
from nova_pets.fencing import manual
from nova_pets.fencing import sequence
from nova_pets.model import states

P = states.PowerState
SWITCH = base.Characteristics(True, True, True)


class Scripted(base.FencingDriver):
    """Answers from a list (the last one stays), and writes a log."""

    characteristics = SWITCH

    def __init__(self, name, answers, log, on_off=None, on_on=None):
        self._on_on = on_on
        self.name = name
        self._answers = list(answers)
        self._log = log
        self._on_off = on_off

    def validate(self):
        pass

    def power_state(self, timeout_s):
        self._log.append(f'{self.name} read')
        answer = self._answers[0]
        if len(self._answers) > 1:
            self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def power_off(self, timeout_s):
        self._log.append(f'{self.name} off')
        if self._on_off is not None:
            raise self._on_off

    def power_on(self, timeout_s):
        self._log.append(f'{self.name} on')
        if self._on_on is not None:
            raise self._on_on


def failure(found='no answer', **more):
    return exception.FencingError(what='ask', host='h', device='d',
                                  found=found, **more)


def fence(levels, clock, deadline_s=90.0, may_act=lambda: None):
    return sequence.fence(levels, clock, deadline_s, may_act, 10.0)


@pytest.mark.parametrize('answer', [
    *(state for state in P if state is not P.OFF),
    failure(), ValueError('bug'), None, 'off', False], ids=str)
def test_only_off_proves(clock, answer):
    stuck = Scripted('bmc', [answer], [])

    result = fence([[stuck]], clock)

    assert not result.is_proven
    assert result.level is None
    assert 90 <= result.took_s < 93
    assert not sequence.read_power([[stuck]], 1.0).is_off


def test_a_host_that_goes_off_is_proven(clock, device):
    result = fence([[device(slow=5)]], clock)

    assert result.is_proven and result.level == 1
    assert result.power == {'1.1 fake': P.OFF}
    assert result.requested == ('1.1 fake',)
    assert 5 <= result.took_s < 8


def test_a_stalling_device_is_not_proven(clock, device):
    result = fence([[device(stall=True)]], clock)

    assert not result.is_proven
    assert '1.1 fake: turning_off' in result.detail


def test_off_is_never_believed_without_a_reading(clock):
    log = []
    bmc = Scripted('bmc', [P.ON, P.ON, P.OFF], log)

    assert fence([[bmc]], clock).is_proven
    assert log == ['bmc read', 'bmc off', 'bmc read', 'bmc read',
                   'bmc read']


@pytest.mark.parametrize('first', [P.ON, P.OFF])
def test_off_and_on_by_turns_is_not_off(clock, first):
    other = P.OFF if first is P.ON else P.ON

    result = fence([[Scripted('bmc', [first, other] * 200, [])]], clock)

    assert not result.is_proven


def test_already_off_is_read_twice_and_not_told(clock):
    log = []

    result = fence([[Scripted('bmc', [P.OFF], log)]], clock)

    assert result.is_proven and result.requested == ()
    assert log == ['bmc read', 'bmc read']


def test_a_machine_in_a_power_cycle_is_not_off(clock):
    log = []
    cycling = Scripted('bmc', [P.OFF, P.ON, P.ON, P.OFF], log)

    assert fence([[cycling]], clock).is_proven
    assert log[:3] == ['bmc read', 'bmc read', 'bmc off']


def test_a_lost_reply_is_polled(clock, device):
    result = fence([[device(drop=True)]], clock)

    assert result.is_proven
    assert result.requested == ('1.1 fake',)


def test_a_lost_reply_is_told_once(clock):
    log = []
    bmc = Scripted('bmc', [P.ON], log, failure('the reply was lost'))

    result = fence([[bmc]], clock)

    assert log.count('bmc off') == 1
    assert 'the reply was lost' in result.detail


def test_a_refusal_goes_on_with_the_next_level_at_once(clock):
    log = []
    bmc = Scripted('bmc', [P.ON], log, failure('no', is_refused=True))
    outlet = Scripted('outlet', [P.ON, P.OFF], log)

    result = fence([[bmc], [outlet]], clock)

    assert result.is_proven and result.level == 2
    assert result.took_s < 1
    assert log == ['bmc read', 'bmc off', 'outlet read', 'outlet off',
                   'outlet read', 'outlet read']


def test_a_level_that_cannot_finish_leaves_time_for_the_next(clock):
    log = []
    bmc = Scripted('bmc', [P.TURNING_OFF], log)
    outlet = Scripted('outlet', [P.ON, P.OFF], log)

    result = fence([[bmc], [outlet]], clock)

    assert result.is_proven and result.level == 2
    assert 45 <= result.took_s < 48
    assert 'turning_off' in result.detail


def test_every_device_of_a_level_has_to_be_off(clock):
    log = []
    left = Scripted('left', [P.ON, P.OFF], log)
    right = Scripted('right', [P.ON], log)

    result = fence([[left, right]], clock)

    assert not result.is_proven
    assert result.power == {'1.1 left': P.OFF, '1.2 right': P.ON}


def test_all_devices_of_a_level_are_told_before_any_is_awaited(clock):
    log = []
    fence([[Scripted('left', [P.ON, P.OFF], log),
            Scripted('right', [P.ON, P.OFF], log)]], clock)

    assert log[:4] == ['left read', 'right read', 'left off', 'right off']


def test_off_in_different_rounds_is_not_off(clock):
    left = Scripted('left', [P.ON] + [P.OFF, P.ON] * 200, [])
    right = Scripted('right', [P.ON] + [P.ON, P.OFF] * 200, [])

    assert not fence([[left, right]], clock, deadline_s=60).is_proven


def test_the_next_level_is_not_touched_when_the_first_proves(clock):
    log = []
    fence([[Scripted('bmc', [P.ON, P.OFF], log)],
           [Scripted('outlet', [P.ON], log)]], clock)

    assert 'outlet off' not in log


def test_no_request_without_leave(clock):
    log = []

    result = fence([[Scripted('bmc', [P.ON], log)]], clock,
                   may_act=lambda: 'it answers again')

    assert not result.is_proven and result.is_stopped
    assert result.detail == 'stopped: it answers again'
    assert log == ['bmc read']


def test_leave_is_asked_before_every_request(clock):
    log = []
    leave = iter([None, 'claims lost'])
    left = Scripted('left', [P.ON], log)
    right = Scripted('right', [P.ON], log)

    result = fence([[left, right]], clock, may_act=lambda: next(leave))

    assert result.is_stopped and result.requested == ('1.1 left',)
    assert 'right off' not in log


def test_a_proof_needs_no_leave(clock):
    result = fence([[Scripted('bmc', [P.OFF], [])]], clock,
                   may_act=lambda: 'claims lost')

    assert result.is_proven


def test_a_request_that_a_driver_bug_ended_is_polled(clock):
    bmc = Scripted('bmc', [P.ON, P.OFF], [], KeyError('s3cret'))

    result = fence([[bmc]], clock)

    assert result.is_proven
    assert 's3cret' not in result.detail


@pytest.mark.parametrize('levels', [
    [], [[]], [[manual.ManualFencing('h', {})]]], ids=[
        'no level', 'no device', 'manual'])
def test_without_a_device_that_can_an_operator_is_asked(clock, levels):
    result = fence(levels, clock)

    assert not result.is_proven and result.took_s == 0
    assert 'operator' in result.detail
    assert not sequence.read_power(levels, 1.0).is_off


def test_a_level_that_a_person_has_to_finish_is_not_begun(clock):
    log = []
    bmc = Scripted('bmc', [P.ON, P.OFF], log)

    result = fence([[bmc, manual.ManualFencing('h', {})]], clock)

    assert not result.is_proven and log == []


def test_reading_asks_all_and_switches_nothing(device):
    reading = sequence.read_power(
        [[device('a')], [device('b', power='off')]], 1.0)

    assert reading.is_off and reading.is_working
    assert reading.detail == '1.1 fake: on, 2.1 fake: off'


@pytest.mark.parametrize('answers, is_working', [
    ([P.ON], True), ([P.OFF], True), ([P.UNKNOWN], False),
    ([failure('wrong password')], False)], ids=str)
def test_a_fence_works_when_its_devices_answer(answers, is_working):
    reading = sequence.read_power([[Scripted('bmc', answers, [])]], 1.0)

    assert reading.is_working is is_working
    if answers != [P.UNKNOWN] and not is_working:
        assert 'wrong password' in reading.detail


def test_evidence_is_plain_data(clock, device):
    assert fence([[device()]], clock).evidence == {
        'level': 1, 'requested': ['1.1 fake'], 'power': {'1.1 fake': 'off'},
        'took_s': 0.0, 'detail': 'off after 0.0 s (1.1 fake: off)'}
