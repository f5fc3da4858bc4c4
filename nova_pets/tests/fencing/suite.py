# SPDX-License-Identifier: Apache-2.0
"""One suite for all drivers, each against the endpoint that it is made for.

Right, and in time, and never a false off: what the endpoint says when it is
asked past all that lies between is the judge. A file per endpoint derives
from Conformance, so that each has a worker of its own (loadfile); conftest.py
gives ending, staying, failing and secret the cases that the endpoint can
make.
"""

import time

import pytest

from nova_pets import exception
from nova_pets.fencing import sequence
from nova_pets.model import states
from nova_pets.tests.fencing import servers

P = states.PowerState

CASES = {
    'ending': ('works', 'slow', 'off_already', 'dropped'),
    'staying': ('lies', 'flapping', 'half_stuck'),
    'failing': ('wrong_credentials', 'refused', 'silent', 'untrusted',
                'garbage', 'unknown_system'),
    'secret': ('works', 'wrong_credentials', 'garbage'),
}
"""ending: the machine goes off, and that is proven. staying: it answers, and
does not go off. failing: it cannot be asked. secret: all that is said and
shown meanwhile is looked at."""

PATIENT_S, LONG_S = 15.0, 60.0
"""Query and fence where it ends well: a crowded machine may take long."""
QUERY_S, FENCE_S = 1.5, 2.5
MARGIN_S = 2.5
"""For starting threads and processes on a crowded machine."""


def fence(level, query_s, fence_s):
    return sequence.fence([level], sequence.SystemClock(), fence_s,
                          lambda: None, query_s)


class Conformance:

    endpoint = None

    @pytest.fixture
    def note(self, record_property):
        """note(seconds to proven off, or None)"""
        return lambda took_s: record_property(
            'fencing', (self.endpoint.name, took_s))

    def test_it_is_off_and_that_is_proven(self, ending, world, note):
        scene = self.endpoint(world).scene(ending)
        is_off_before = scene.is_off()
        result = fence(scene.level, PATIENT_S, LONG_S)
        note(result.took_s if ending != 'off_already' else None)

        assert result.is_proven, result.detail
        assert scene.is_off()
        assert is_off_before is (ending == 'off_already')
        assert bool(result.requested) is not is_off_before
        assert result.took_s < LONG_S

    def test_it_is_on_again_when_told_so(self, world, note):
        note(None)
        scene = self.endpoint(world).scene('works')
        [driver] = scene.level
        driver.validate()
        assert driver.power_state(PATIENT_S) is P.ON
        driver.power_off(PATIENT_S)
        wait_for(driver, P.OFF)

        driver.power_on(PATIENT_S)
        wait_for(driver, P.ON)
        assert not scene.is_off()

    def test_what_is_not_off_is_not_proven_off(self, staying, world, note):
        note(None)
        scene = self.endpoint(world).scene(staying)
        result = fence(scene.level, QUERY_S, FENCE_S)

        assert not result.is_proven, result.detail
        assert not scene.is_off()
        assert len(result.requested) == len(scene.level)
        # Each device of a level may take one query more, twice over.
        assert result.took_s < \
            FENCE_S + 2 * QUERY_S * len(scene.level) + MARGIN_S

    def test_what_cannot_be_asked_is_an_error_in_time(self, failing, world,
                                                      note):
        note(None)
        scene = self.endpoint(world).scene(failing)
        [driver] = scene.level

        for ask in (driver.power_state, driver.power_off):
            began = time.monotonic()
            try:
                found = ask(QUERY_S)
            except exception.FencingError as error:
                assert 'host1' in str(error)
                assert servers.PASSWORD not in str(error)
                assert len(str(error)) < 900
            else:
                assert found is P.UNKNOWN, 'it was taken for an answer'
            assert time.monotonic() - began < QUERY_S + MARGIN_S

        result = fence(scene.level, QUERY_S, FENCE_S)
        assert not result.is_proven
        assert result.took_s < FENCE_S + QUERY_S + MARGIN_S
        assert not scene.is_off()


def wait_for(driver, wanted):
    deadline = time.monotonic() + PATIENT_S
    while driver.power_state(PATIENT_S) is not wanted:
        assert time.monotonic() < deadline
        time.sleep(0.1)
