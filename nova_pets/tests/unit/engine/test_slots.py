# SPDX-License-Identifier: Apache-2.0
"""Many workers, few of them at work: what the others cost, and when they
step in."""

import collections

import pytest

from nova_pets import exception
from nova_pets.engine import host_rows
from nova_pets.engine import recovery_rows
from nova_pets.engine import standing
from nova_pets.tests.db import samples as row_samples
from nova_pets.tests.unit.engine import world as world_module

TTL_S = 15.0
WORKERS = 5
SCHEDULERS = ('a', 'b', 'c')


class Cloud:
    """Engines that take their turns when they are due, each at its own
    pace, on one virtual clock."""

    def __init__(self, tmp_path):
        # Slow heartbeats: those at work take few turns.
        self.world = world_module.World(tmp_path, report_interval_s=60.0)
        self.due = {}
        self.turns = collections.Counter()
        for name in SCHEDULERS * WORKERS:
            self.start(name)
            self.run(0.3)

    def start(self, name):
        engine = self.world.engine(name, claim_ttl_s=TTL_S, engines=2,
                                   idle_interval_s=6.0)
        self.due[engine] = self.world.clock.now
        return engine

    def run(self, seconds):
        until = self.world.clock.now + seconds
        while True:
            for engine, due in list(self.due.items()):
                if due <= self.world.clock.now:
                    self.due[engine] = self.world.clock.now + engine.cycle()
                    self.turns[engine] += 1
            soonest = min([until, *self.due.values()])
            if soonest >= until:
                break
            self.world.tick(max(soonest - self.world.clock.now, 0.01))
        self.world.tick(max(until - self.world.clock.now, 0))

    @property
    def at_work(self):
        return [engine for engine in self.due if engine.standing.has_slot]

    def ids(self):
        return {one.id for one in self.world.store().engines()}


@pytest.fixture
def cloud(tmp_path):
    result = Cloud(tmp_path)
    # Past the first look of all, which the newest of its host may take.
    result.run(2 * TTL_S)
    return result


def test_idle_workers_cost_little(cloud):
    cloud.turns.clear()
    cloud.run(16 * TTL_S)
    idle = sum(count for engine, count in cloud.turns.items()
               if not engine.standing.has_slot)
    reserves = len(SCHEDULERS)
    resting = WORKERS * len(SCHEDULERS) - len(cloud.at_work) - reserves
    assert len(cloud.at_work) == 2
    assert idle <= reserves * 17 + resting * (16 / standing.REST_TTLS + 1)


def test_a_worker_that_rests_is_not_taken_for_dead(cloud):
    before = cloud.ids()
    cloud.run(1.5 * standing.IDLE_TTLS * TTL_S)
    assert cloud.ids() == before
    assert len(before) == WORKERS * len(SCHEDULERS)


def test_reserves_replace_both_engines_at_once(cloud):
    for engine in cloud.at_work:
        del cloud.due[engine]
    cloud.run(3 * TTL_S)
    assert len(cloud.at_work) == 2


def test_a_scheduler_that_starts_again_has_a_reserve(cloud):
    """All its old workers are still in the table, and two other schedulers
    go away: nobody else steps in."""
    old = [engine for engine in cloud.due
           if engine.standing.engine.host == 'scheduler-a']
    for engine in old:
        del cloud.due[engine]
    new = [cloud.start('a') for _ in range(WORKERS)]
    cloud.run(2 * TTL_S)
    for engine in set(cloud.due) - set(new):
        del cloud.due[engine]
    cloud.run(4 * TTL_S)
    assert cloud.at_work and set(cloud.at_work) <= set(new)


def test_dead_workers_leave_the_table(cloud):
    gone = [engine for engine in cloud.due
            if not engine.standing.has_slot][:5]
    for engine in gone:
        del cloud.due[engine]
    cloud.run((standing.IDLE_TTLS + 2 * standing.REST_TTLS) * TTL_S)
    assert not cloud.ids() & {engine.standing.id for engine in gone}


def test_who_lives_again_without_a_slot_claims_nothing(cloud):
    """A thread that slept through a deposition would claim a host for an
    engine that lives, and that looks at nothing (seed 20003042)."""
    engine = cloud.at_work[0]
    host = cloud.world.store().snapshot().hosts[0]
    cloud.world.store().depose_engine(engine.standing.id,
                                      engine.standing.engine.renewals)
    assert not engine.standing.renew(None, engine.standing.engine.mode)
    store = cloud.world.store()
    recovery = row_samples.recovery(id=1)
    for rows, row in (
            (host_rows.HostRows(store, engine.standing), host),
            (recovery_rows.RecoveryRows(store, engine.standing), recovery)):
        with pytest.raises(exception.ClaimsLost, match='has no slot'):
            rows.claim(row)
    assert cloud.world.store().snapshot().hosts[0].owner is None
