# SPDX-License-Identifier: Apache-2.0
"""Detector bmc: only OFF says something, and it is no proof."""

import dataclasses

import pytest

from nova_pets.detectors import base
from nova_pets.detectors import bmc
from nova_pets.detectors import context as detectors_context
from nova_pets.fencing import base as fencing_base
from nova_pets.fencing import fencer
from nova_pets.fencing import sequence
from nova_pets.model import states

S = states.Sign
P = states.PowerState
TARGET = base.Target('host1', 'cell1', '127.0.0.1')


class Device:
    """A device of which only the power matters."""

    name = 'fake'
    characteristics = fencing_base.Characteristics(
        can_power_off=True, can_power_on=True, reports_power=True)

    def __init__(self, power):
        self.power = power

    def power_state(self, timeout_s):
        if isinstance(self.power, Exception):
            raise self.power
        return self.power


@dataclasses.dataclass
class Bindings:
    levels_: tuple
    hosts: frozenset = frozenset({'host1'})

    def levels(self, host):
        return self.levels_

    def bound(self, hosts):
        return self.hosts & frozenset(hosts)


def look(*levels, hosts=('host1',)):
    power = fencer.Fencer(
        Bindings(tuple(tuple(map(Device, level)) for level in levels),
                 frozenset(hosts)), sequence.SystemClock(), 1.0, 10.0)
    return bmc.BmcDetector(detectors_context.Context(
        door=None, power=power)).look(TARGET)


@pytest.mark.parametrize('power', [
    *(power for power in P if power is not P.OFF), ValueError('garbage')],
    ids=str)
def test_only_off_is_silence(power):
    assert look((power,)).sign is S.UNKNOWN


def test_off_is_the_silence_of_the_machine():
    found = look((P.OFF,))

    assert found == base.Look(S.SILENT, 'power is off: 1.1 fake: off')
    assert bmc.BmcDetector.path is states.WitnessPath.POWER


def test_half_of_a_dual_supply_is_not_off():
    assert look((P.OFF, P.ON)).sign is S.UNKNOWN
    assert look((P.OFF, P.OFF)).sign is S.SILENT


def test_on_says_that_it_is_on():
    assert look((P.ON,)) == base.Look(S.UNKNOWN, '1.1 fake: on')


def test_a_host_without_a_device_is_not_known():
    assert look((P.OFF,), hosts=()).sign is S.UNKNOWN


def test_without_devices_there_is_a_problem():
    detector = bmc.BmcDetector(detectors_context.Context(door=None))

    assert detector.look(TARGET).sign is S.UNKNOWN
    assert detector.problem()
