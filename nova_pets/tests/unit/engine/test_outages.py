# SPDX-License-Identifier: Apache-2.0
"""After an outage of its own view an engine keeps its hands still."""

import pytest

from nova_pets import exception
from nova_pets.engine import outages
from nova_pets.model import policy
from nova_pets.model import states
from nova_pets.tests.unit.engine import world as world_module

H = states.HostState
POLICY = policy.Policy(claim_ttl_s=15.0, outage_calm_s=40.0)


class Turns:
    def __init__(self):
        self.clock = world_module.Clock()
        self.outages = outages.Outages(self.clock, POLICY)

    def take(self, *turns):
        """Each turn: (seconds before it, how it went)."""
        for seconds, how in turns:
            self.clock.now += seconds
            if how == 'failed':
                self.outages.failed()
            else:
                self.outages.worked(observes=how == 'observed')
        return self.outages.calm_s()


@pytest.mark.parametrize('turns, calm_s', [
    ([(0, 'observed')], 0.0),
    ([(0, 'observed'), (14.9, 'observed')], 0.0),
    ([(0, 'observed'), (2, 'failed'), (12.9, 'failed'), (2, 'observed')],
     0.0),
    ([(0, 'observed'), (2, 'failed'), (13, 'failed'), (2, 'observed')],
     40.0),
    ([(0, 'observed'), (2, 'failed'), (2, 'observed'), (2, 'failed'),
      (12, 'observed')], 0.0),
    # A read that hung, or a process that stood still.
    ([(0, 'observed'), (15, 'observed')], 40.0),
    # Turns without a slot are far apart, and only fail by failing.
    ([(0, 'waited'), (120, 'waited'), (120, 'observed')], 0.0),
    ([(0, 'observed'), (1, 'waited'), (99, 'observed')], 0.0),
    ([(0, 'observed'), (99, 'waited')], 0.0),
    ([(0, 'failed'), (15, 'waited')], 40.0),
    ([(0, 'failed'), (15, 'observed'), (10, 'observed')], 30.0),
    ([(0, 'failed'), (99, 'observed'), (50, 'failed')], 0.0),
])
def test_what_an_outage_is(turns, calm_s):
    assert Turns().take(*turns) == pytest.approx(calm_s)


def test_a_power_off_waits_after_an_outage_of_the_database(tmp_path):
    """The very host that fails is not powered off at once, others are
    judged as before, and the hold ends by itself."""
    world = world_module.World(tmp_path)
    engine = world.engine()
    world.boot('db1')
    world.drive([engine], lambda: world.clock.now >= 1020.0)
    whole = engine._store.snapshot

    def away():
        raise exception.StoreUnavailable(what='read', found='away')
    engine._store.snapshot = away
    for _ in range(4):
        with pytest.raises(exception.StoreUnavailable):
            engine.cycle()
        world.tick(5.0)
    engine._store.snapshot = whole
    engine.cycle()
    began = world.clock.now
    world.crash('host1')

    world.drive([engine], lambda: world.store().host('host1').reason ==
                'recent_outage')
    assert world.store().host('host1').state == H.DOWN
    world.drive([engine], lambda: world.store().host('host1').state in (
        H.FENCED, H.VACATED))
    assert 40.0 <= world.clock.now - began <= 45.0
