# SPDX-License-Identifier: Apache-2.0
"""The driver contract (fencing/base.py), held against every driver.

A new driver joins by a line in CASES: how to build it with a device that
works, and with one that cannot be asked. Drivers of real devices are here with
their settings only: tests/fencing has the endpoints that they are held
against.
"""

import dataclasses
import typing

import pytest

from nova_pets import exception
from nova_pets.fencing import base
from nova_pets.fencing import fake
from nova_pets.fencing import fence_agents
from nova_pets.fencing import ipmi
from nova_pets.fencing import manual
from nova_pets.fencing import redfish
from nova_pets.fencing import registry
from nova_pets.model import states


@dataclasses.dataclass(frozen=True)
class Case:
    driver: type[base.FencingDriver]
    good: typing.Callable[[typing.Any], dict[str, object]] | None
    """Settings of a device that works and is on; None: it needs one."""
    dead: typing.Callable[[typing.Any], dict[str, object]] | None
    """Settings of a device that cannot be asked; None: always can."""
    bad: tuple[dict[str, object], ...]
    """Settings that are no settings."""


def fake_on(tmp_path):
    (tmp_path / 'host1').write_text('on')
    return {'state_dir': str(tmp_path)}


def without(settings, *names, **changes):
    return {name: value for name, value in {**settings, **changes}.items()
            if name not in names}


REDFISH = {'address': 'https://bmc1', 'username': 'u', 'password': 'p'}
IPMI = {'address': 'bmc1', 'username': 'u', 'password': 'p'}


def agent(name='fence_apc', **options):
    return {'agent': name, 'options': options}


CASES = {
    'redfish': Case(redfish.RedfishFencing, None, None, (
        {}, *(without(REDFISH, name) for name in REDFISH),
        *(without(REDFISH, address=address) for address in (
            'http://bmc1', 'bmc1', 'https://', 'https://bmc1/redfish/v1',
            'https://u@bmc1', 'https://bmc1?x', 'https://bmc1:port', 7)),
        without(REDFISH, insecure='yes'), without(REDFISH, system=7),
        without(REDFISH, insecure=True, ca_file='/x'),
        without(REDFISH, username='a\nb'), without(REDFISH, verify=False))),
    'ipmi': Case(ipmi.IpmiFencing, None, None, (
        {}, *(without(IPMI, name) for name in IPMI),
        *(without(IPMI, address=address) for address in (
            '-z', 'bmc1 -x', 'https://bmc1', '', 7)),
        without(IPMI, port=0), without(IPMI, port='623'),
        without(IPMI, cipher_suite=0), without(IPMI, cipher_suite=18),
        without(IPMI, cipher_suite=True), without(IPMI, privilege='user'),
        without(IPMI, password='p' * 21), without(IPMI, password='p\nq'))),
    'fence_agents': Case(fence_agents.FenceAgentsFencing, None, None, (
        {}, {'agent': 'rm'}, {'agent': 'fence_apc; rm'}, {'agent': 7},
        {'agent': '../fence_apc'}, {'agent': 'fence_apc', 'options': []},
        *(agent(name) for name in (
            'fence_sbd', 'fence_scsi', 'fence_kdump', 'fence_ack_manual',
            'fence_brocade', 'fence_redfish', '/usr/sbin/fence_watchdog')),
        agent(action='reboot'), agent(method='cycle'), agent(option='off'),
        agent(delay=5), agent(retry_on=3), agent(verbose=1),
        agent(debug_file='/x'), agent(missing_as_off=1), agent(quiet=1),
        agent(password_script='/x'), agent(plug='1\naction=reboot'),
        agent(plug=' 1'), agent(plug='"1"'), agent(plug=['1', '2']),
        agent(**{'plug\n': 1}), agent(**{'#plug': 1}),
        agent(**{'a=b': 1}))),
    'fake': Case(
        fake.FakeFencing, fake_on,
        lambda tmp_path: {'state_file': str(tmp_path / 'missing')},
        ({}, {'state_dir': '/x', 'state_file': '/x/y'},
         {'state_dir': '/x', 'user': 'me'},
         {'state_dir': '/x', 'behaviour': {'explode': True}},
         {'state_dir': '/x', 'behaviour': {'slow': 'very'}},
         {'state_dir': '/x', 'behaviour': ['slow']})),
    'manual': Case(
        manual.ManualFencing, lambda tmp_path: {'note': 'rack 7'}, None,
        ({'address': '10.0.0.1'}, {'note': 7})),
}


def those(fits=lambda case: True):
    """Parametrise over the drivers that the clause concerns."""
    return pytest.mark.parametrize('case', [
        pytest.param(case, id=name) for name, case in sorted(CASES.items())
        if fits(case)])


def is_here(case):
    return case.good is not None


def can_power_off(case):
    return is_here(case) and case.driver.characteristics.can_power_off


def can_power_on(case):
    return is_here(case) and case.driver.characteristics.can_power_on


def only_reports(case):
    return not case.driver.characteristics.reports_power


def can_be_dead(case):
    return case.dead is not None


@pytest.fixture
def driver(case, tmp_path):
    return case.driver('host1', case.good(tmp_path))


def test_every_installed_driver_of_ours_is_held_against_the_contract():
    ours = {name for name, cls in registry.known_drivers().items()
            if cls.__module__.startswith('nova_pets.')}

    assert ours == set(CASES)


@those()
def test_it_has_the_name_of_its_entry_point(case):
    assert registry.known_drivers()[case.driver.name] is case.driver


@those(is_here)
def test_a_device_that_works_is_valid(case, driver):
    driver.validate()


@those(is_here)
def test_on_is_not_off(case, driver):
    assert driver.power_state(1.0) in (states.PowerState.ON,
                                       states.PowerState.UNKNOWN)


@those(can_power_off)
def test_off_is_read_back_by_a_separate_query(case, driver):
    assert driver.power_off(1.0) is None

    assert driver.power_state(1.0) is states.PowerState.OFF


@those(can_power_off)
def test_off_again_is_harmless(case, driver):
    driver.power_off(1.0)
    driver.power_off(1.0)

    assert driver.power_state(1.0) is states.PowerState.OFF


@those(can_power_on)
def test_on_after_off(case, driver):
    driver.power_off(1.0)
    driver.power_on(1.0)

    assert driver.power_state(1.0) is states.PowerState.ON


@those(is_here)
def test_what_it_cannot_do_it_refuses_clearly(case, driver):
    for can, call in (
            (driver.characteristics.can_power_off, driver.power_off),
            (driver.characteristics.can_power_on, driver.power_on)):
        if not can:
            with pytest.raises(exception.FencingError) as caught:
                call(1.0)
            assert caught.value.fields['is_refused'] is True
            assert 'host1' in str(caught.value)


@those(only_reports)
def test_a_driver_without_power_reports_never_says_off(case, driver):
    assert driver.power_state(1.0) is states.PowerState.UNKNOWN


@those(can_be_dead)
def test_a_device_that_cannot_be_asked_is_an_error(case, tmp_path):
    driver = case.driver('host1', case.dead(tmp_path))

    for call in (driver.validate, lambda: driver.power_state(1.0),
                 lambda: driver.power_off(1.0)):
        with pytest.raises(exception.FencingError) as caught:
            call()
        assert not caught.value.fields.get('is_refused')


@those()
def test_settings_that_are_none_are_refused_at_once(case):
    for settings in case.bad:
        with pytest.raises(exception.BindingsInvalid) as caught:
            case.driver('host1', settings)
        assert case.driver.name in str(caught.value)
