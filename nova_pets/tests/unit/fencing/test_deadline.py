# SPDX-License-Identifier: Apache-2.0
"""Work with a deadline."""

import threading
import time

import pytest

from nova_pets.fencing import deadline


def test_the_result_and_the_error_are_passed_on():
    assert deadline.within(5, lambda: 7, pytest.fail) == 7
    with pytest.raises(KeyError, match='why'):
        deadline.within(5, lambda: {}['why'], pytest.fail)


def test_work_that_hangs_is_told_to_give_up_and_left():
    told = threading.Event()
    began = time.monotonic()

    with pytest.raises(deadline.Expired):
        deadline.within(0.1, lambda: told.wait(30), told.set)

    assert told.is_set() and time.monotonic() - began < 5


def test_an_expiry_of_the_works_own_is_not_taken_for_ours():
    def work():
        raise TimeoutError('its own')

    with pytest.raises(TimeoutError, match='its own'):
        deadline.within(5, work, pytest.fail)
