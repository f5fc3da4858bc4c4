# SPDX-License-Identifier: Apache-2.0
"""Driver ipmi, with an ipmitool that says what a test wants."""

import pytest

from nova_pets import exception
from nova_pets.fencing import child
from nova_pets.fencing import ipmi
from nova_pets.model import states

P = states.PowerState
SECRET = 'p 4$"word'


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """driver(shell) -> a driver whose ipmitool does that."""
    def driver(does):
        path = tmp_path / 'ipmitool'
        path.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/argv\n'
                        f'cat > {tmp_path}/stdin\n{does}\n')
        path.chmod(0o755)
        monkeypatch.setattr(child, 'find', lambda name: str(path))
        return ipmi.IpmiFencing('host1', {
            'address': 'bmc1', 'username': 'root', 'password': SECRET})
    return driver


@pytest.mark.parametrize('said, found', [
    ('Chassis Power is on', P.ON), ('Chassis Power is off', P.OFF),
    ('chassis power is off', P.UNKNOWN), ('Chassis Power is offline',
                                          P.UNKNOWN),
    ('Chassis Power is off\nChassis Power is on', P.UNKNOWN),
    ('', P.UNKNOWN), ('off', P.UNKNOWN)])
def test_only_the_whole_answer_counts(driver, said, found):
    assert driver(f"echo '{said}'").power_state(20) is found


def test_the_password_is_on_stdin_only(driver, tmp_path):
    driver('echo Chassis Power is on').power_state(20)

    assert (tmp_path / 'stdin').read_text() == f'{SECRET}\n'
    argv = (tmp_path / 'argv').read_text()
    assert SECRET not in argv and '-C 17' in argv
    assert argv.strip().endswith('-f /dev/stdin chassis power status')


@pytest.mark.parametrize('word', ['off', 'on'])
def test_only_off_and_on_are_sent(driver, tmp_path, word):
    built = driver('echo "Chassis Power Control: '
                   f'{"Down/Off" if word == "off" else "Up/On"}"')
    getattr(built, f'power_{word}')(20)

    assert (tmp_path / 'argv').read_text().strip().endswith(
        f'chassis power {word}')


@pytest.mark.parametrize('why, is_refused', [
    ('Insufficient privilege level', True),
    ('Command not supported in present state', False)])
def test_a_refusal_is_clear_unless_it_may_be_off(driver, why, is_refused):
    built = driver(f'echo "Set Chassis Power Control to Down/Off failed: '
                   f'{why}" >&2; exit 1')

    with pytest.raises(exception.FencingError, match=why) as caught:
        built.power_off(20)
    assert caught.value.fields['is_refused'] is is_refused


@pytest.mark.parametrize('does', [
    'exit 0', 'echo "Chassis Power Control: Reset"', 'exit 1',
    'echo "Chassis Power Control: Down/Off"; exit 1'])
def test_anything_else_is_unknown(driver, does):
    with pytest.raises(exception.FencingError) as caught:
        driver(does).power_off(20)
    assert not caught.value.fields['is_refused']


def test_no_session_says_what_to_look_at(driver):
    built = driver('echo "Error: Unable to establish IPMI v2 / RMCP+ '
                   'session" >&2; exit 1')

    with pytest.raises(exception.FencingError) as caught:
        built.power_state(20)
    for word in ('bmc1', '623', 'root', 'cipher suite 17'):
        assert word in str(caught.value)


def test_without_ipmitool_it_says_so(driver, monkeypatch):
    built = driver('')
    monkeypatch.setattr(child, 'find', lambda name: None)

    for ask in (built.validate, lambda: built.power_off(1)):
        with pytest.raises(exception.FencingError, match='install it'):
            ask()
