# SPDX-License-Identifier: Apache-2.0
"""A question over RPC ends, whatever the broker does."""

import threading
import time

import pytest

from nova_pets import exception
from nova_pets.compute import messages


@pytest.fixture(autouse=True)
def short_grace(monkeypatch):
    monkeypatch.setattr(messages, 'GRACE_S', 0.05)


def test_answers_and_errors_come_through():
    assert messages.bounded(lambda: 7, 5) == 7
    with pytest.raises(ZeroDivisionError):
        messages.bounded(lambda: 1 / 0, 5)


def test_a_question_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(messages, '_waiting', threading.BoundedSemaphore(1))
    back = threading.Event()
    begun = time.monotonic()
    with pytest.raises(exception.NovaUnavailable, match='broker'):
        messages.bounded(back.wait, 0.05)
    assert time.monotonic() - begun < 5
    with pytest.raises(exception.NovaUnavailable, match='hang'):
        messages.bounded(lambda: 7, 5)
    back.set()
    deadline = time.monotonic() + 10
    while True:
        try:
            assert messages.bounded(lambda: 7, 5) == 7
            break
        except exception.NovaUnavailable:
            assert time.monotonic() < deadline
