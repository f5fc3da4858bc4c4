# SPDX-License-Identifier: Apache-2.0
"""What the fake device does wrong when it is told to."""

import pytest

from nova_pets import exception
from nova_pets.fencing import fake
from nova_pets.model import states

P = states.PowerState


def test_the_file_holds_exactly_the_word(device, tmp_path):
    fenced = device()
    fenced.power_off(1.0)

    assert (tmp_path / 'host1').read_text() == 'off'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['host1']


@pytest.mark.parametrize('text', ['', 'OFF', 'of', 'offline', 'on off'])
def test_any_other_word_is_unknown(device, text):
    assert device(power=text).power_state(1.0) is P.UNKNOWN


def test_slow_turns_off_first(device, clock, tmp_path):
    slow = device(slow=3)
    slow.power_off(1.0)
    clock.sleep(2.9)
    assert slow.power_state(1.0) is P.TURNING_OFF
    assert (tmp_path / 'host1').read_text() == 'on'

    clock.sleep(0.2)
    assert slow.power_state(1.0) is P.OFF
    assert (tmp_path / 'host1').read_text() == 'off'


def test_a_second_request_does_not_begin_anew(device, clock):
    slow = device(slow=3)
    slow.power_off(1.0)
    clock.sleep(2)
    slow.power_off(1.0)
    clock.sleep(1.5)

    assert slow.power_state(1.0) is P.OFF


def test_stall_never_ends(device, clock, tmp_path):
    stalling = device(stall=True)
    stalling.power_off(1.0)
    clock.sleep(10_000)

    assert stalling.power_state(1.0) is P.TURNING_OFF
    assert (tmp_path / 'host1').read_text() == 'on'


def test_lie_says_off_and_stays_on(device, clock, tmp_path):
    lying = device(lie=True)
    assert lying.power_state(1.0) is P.ON
    lying.power_off(1.0)

    assert lying.power_state(1.0) is P.OFF
    assert (tmp_path / 'host1').read_text() == 'on'


def test_refuse_says_so(device, tmp_path):
    with pytest.raises(exception.FencingError) as caught:
        device(refuse=True).power_off(1.0)

    assert caught.value.fields['is_refused'] is True
    assert (tmp_path / 'host1').read_text() == 'on'


def test_drop_obeys_and_says_nothing(device, tmp_path):
    with pytest.raises(exception.FencingError) as caught:
        device(drop=True).power_off(1.0)

    assert not caught.value.fields['is_refused']
    assert (tmp_path / 'host1').read_text() == 'off'


def test_the_behaviour_file_counts_at_once(device, tmp_path):
    fenced = device(power='off')
    (tmp_path / 'host1.behaviour').write_text('unknown: true\n')
    assert fenced.power_state(1.0) is P.UNKNOWN

    (tmp_path / 'host1.behaviour').unlink()
    assert fenced.power_state(1.0) is P.OFF


@pytest.mark.parametrize('text', ['explode: true', '[', 'slow: yes'])
def test_a_broken_behaviour_file_is_no_answer(device, tmp_path, text):
    fenced = device(power='off')
    (tmp_path / 'host1.behaviour').write_text(text)

    with pytest.raises(exception.FencingError):
        fenced.power_state(1.0)


def test_a_request_that_somebody_else_finished_is_forgotten(
        device, clock, tmp_path):
    slow = device(slow=3)
    slow.power_off(1.0)
    (tmp_path / 'host1').write_text('off')
    assert slow.power_state(1.0) is P.OFF
    (tmp_path / 'host1').write_text('on')
    clock.sleep(10)

    assert slow.power_state(1.0) is P.ON


@pytest.mark.parametrize('host', ['', '..', 'a/b', '/etc/passwd'])
def test_a_host_that_is_no_file_name_is_refused(host):
    with pytest.raises(exception.BindingsInvalid):
        fake.FakeFencing(host, {'state_dir': '/x'})
