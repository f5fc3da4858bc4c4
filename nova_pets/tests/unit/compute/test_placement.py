# SPDX-License-Identifier: Apache-2.0
"""How placement is asked."""

import contextlib
import types

from keystoneauth1 import _fair_semaphore
from keystoneauth1 import adapter
from keystoneauth1 import session
import pytest

from nova_pets.compute import placement


class Session(session.Session):
    """Waits as the real one does, and asks nobody."""

    def request(self, url, method, rate_semaphore=None, **kwargs):
        with rate_semaphore or contextlib.nullcontext():
            return 'an answer'


@pytest.fixture
def slept(monkeypatch):
    """How long keystoneauth sleeps, on a wall clock that is stepped back by
    an hour when nova's client has been made."""
    client = adapter.Adapter(Session())
    monkeypatch.setattr(placement.report, 'report_client_singleton',
                        lambda: types.SimpleNamespace(_client=client))
    found = []
    now = _fair_semaphore.time.time()
    monkeypatch.setattr(_fair_semaphore, 'time', types.SimpleNamespace(
        time=lambda: now - 3600, sleep=found.append))
    return found


def test_a_clock_that_is_stepped_back_holds_no_request_back(slept):
    """Chaos, seed 2026: settling four pets would have taken an hour."""
    assert placement.client()._client.get('/allocations/x') == 'an answer'
    assert slept == []


def test_without_that_it_would(slept):
    """The test above can fail."""
    client = placement.report.report_client_singleton()
    client._client.get('/allocations/x')
    assert slept == [pytest.approx(3600, abs=60)]
