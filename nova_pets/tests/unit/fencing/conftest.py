# SPDX-License-Identifier: Apache-2.0
"""What the fencing tests share: a fake device, a virtual clock."""

import pytest

from nova_pets.fencing import fake


class VirtualClock:
    """Time that passes only by sleeping."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    """The sequence's clock; the fake device lives by it too."""
    clock = VirtualClock()
    monkeypatch.setattr(fake.time, 'monotonic', clock.monotonic)
    return clock


@pytest.fixture
def device(tmp_path):
    """device(host, power, **behaviour) -> a fake device."""
    def device(host='host1', power='on', **behaviour):
        (tmp_path / host).write_text(power)
        return fake.FakeFencing(host, {'state_dir': str(tmp_path),
                                       'behaviour': behaviour})
    return device
