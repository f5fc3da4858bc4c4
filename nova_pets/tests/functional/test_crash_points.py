# SPDX-License-Identifier: Apache-2.0
"""The main recovery on real Nova, with an engine that dies at each point.

A host with a running and a stopped pet dies. One run without a death lists
the points; then hosts die one after the other, each time with an engine that
stands still for good at another point, and another engine that goes on.
"""

import contextlib
import os
import time

import pytest

from nova_pets.tests.functional import windows

IS_ALL = os.environ.get('NOVA_PETS_ALL_POINTS') == '1'
POINTS = int(os.environ.get('NOVA_PETS_POINTS', 4))
FAILURES = 7
"""Hosts that die in one cloud; the pets gather on two others."""
LAST = 'commit advance_host host vacated vacated'
HEARTBEAT_S = 2 if IS_ALL else 1
"""All points take so long that the machine is crowded at some time."""
SPARES = ('spare1', 'spare2')

QUICK = {
    'pets': {'claim_ttl': 2, 'active_interval': 0.2, 'verify_watch': 0.3,
             'locate_after': 0.5, 'scheduling_timeout': 10},
    'pets_fencing': {'storm_hosts': 100}}


class Stage:
    """A cloud with hosts to lose, and the engine that is at work."""

    def __init__(self, failures):
        from nova_pets.tests.cloud import mortal
        self.names_of, self.other = mortal.Names, mortal.OTHER
        self.victims = ['host%d' % (n + 1) for n in range(failures)]
        self.cloud = mortal.MortalCloud(
            hosts={host: 'cell1' for host in (*self.victims, *SPARES)},
            pets=QUICK, report_interval_s=HEARTBEAT_S)
        self.engines = 0
        self.life = None
        self.pets = {}
        self.lost = []

    def __enter__(self):
        self.cloud.__enter__()
        try:
            self._set()
        except BaseException:
            self.cloud.close()
            raise
        return self

    def __exit__(self, *exc_info):
        self.cloud.close()

    def _set(self):
        cloud = self.cloud
        self.next_life()
        uuids = cloud.boot_many({
            '%s-%s' % (host, name): {'host': host, 'metadata': windows.PET}
            for host in self.victims for name in ('active', 'stopped')})
        for host in self.victims:
            self.pets[host] = {name: uuids['%s-%s' % (host, name)]
                               for name in ('active', 'stopped')}
            cloud.stop(self.pets[host]['stopped'])
        for host in self.victims:
            cloud.wait_server(self.pets[host]['stopped'], status='SHUTOFF',
                              task_state=None)
            # Its time comes; until then nothing is to be evacuated to it.
            cloud.update_service(host, status='disabled')
        cloud.wait_tracked(uuids.values())
        # What is looked at first is written down now, not in a recovery.
        cloud.wait_for('the fences of all', lambda: all(
            cloud.store.host(host).fence_ready for host in cloud.hosts))

    def next_life(self):
        self.engines += 1
        self.life = self.cloud.begin_life('engine%d' % self.engines)
        return self.life

    def fail_next(self, die_at=None):
        """Lose a host, and the engine at a point; wait for a good end.

        :returns: the points that the first engine passed.
        """
        cloud, host = self.cloud, self.victims.pop(0)
        pets = self.pets[host]
        first = self.life
        cloud.update_service(host, status='enabled')
        first.arm(self._names(host), die_at)
        cloud.crash(host)
        if die_at is not None:
            assert first.died.wait(windows.PATIENCE_S), (
                'nobody died at %r; passed: %s' % (die_at, first.passed))
            self.next_life()
        with windows.Watch(cloud, pets.values()) as watch:
            for name, uuid in pets.items():
                windows.judge(cloud, uuid, is_stopped=name == 'stopped')
            cloud.wait_host(host, 'vacated')
        assert not watch.doubles
        self._judge_calls(pets)
        self.lost.append(host)
        return list(first.passed)

    def _names(self, host):
        known = {uuid: name for name, uuid in self.pets[host].items()}
        return self.names_of({host: 'host', **known}, self._instance)

    def _instance(self, recovery_id):
        return self.cloud.store.recovery(recovery_id).instance_uuid

    def _judge_calls(self, pets):
        cloud = self.cloud
        assert not cloud.ledger.by_the_dead
        for uuid in pets.values():
            story = cloud.story(uuid)
            casts = [cast for cast in cloud.evacuate_casts
                     if cast[0] == uuid]
            # Only where Nova found no room was there a second request; on
            # a crowded machine both others may be late with a heartbeat.
            refused = [attempt for attempt in cloud.attempts(uuid)
                       if attempt.reason == 'no_valid_host']
            assert len(casts) == 1 + len(refused), '%s: %s' % (casts, story)
            starts = {host: count for host, count
                      in cloud.starts(uuid).items() if host in SPARES}
            assert sum(starts.values()) == 1, story


    def give_up(self):
        """What comes after a bad end would not say anything."""
        self.victims.clear()
        self.lost.clear()

    def bring_back(self):
        """Let the lost hosts return: they heal or harm now, if ever."""
        cloud, lost = self.cloud, self.lost
        for host in lost:
            cloud.order('release', 'host', host)
        for host in lost:
            cloud.wait_host(host, 'returning')
            cloud.restart(host)
        for host in lost:
            cloud.wait_host(host, 'up', windows.PATIENCE_S)
        for host in lost:
            for name, uuid in self.pets[host].items():
                place = windows.judge(cloud, uuid,
                                      is_stopped=name == 'stopped')
                assert set(cloud.allocations(uuid)) == {place}
                assert place in SPARES


def _whole(points):
    """Return the points up to the last one of a recovery."""
    return points[:points.index(LAST) + 1]


def _listed(stage):
    """Return the points of a recovery without a death; none is missing.

    Those where something is done come first. A living host whose heartbeat
    was late belongs to another story.
    """
    first = stage.life
    points = _whole(stage.fail_next())
    stage.next_life()
    first.end()
    ledger = stage.cloud.ledger
    assert first.points == (ledger.commits[first.process] +
                            2 * ledger.calls[first.process])
    befores = [point for point in points if point.startswith('before ')]
    afters = [point for point in points if point.startswith('after ')]
    assert len(befores) == len(afters) > 0
    assert len(points) == sum(
        point.startswith('commit ') for point in points) + 2 * len(befores)
    return sorted((point for point in points
                   if stage.other not in point.split()), key=_only_renews)


def _only_renews(point):
    """Most commits are only for the engine's own row."""
    return 'renew_engine' in point


def _sample(points, number):
    """Return some, spread evenly over where something is done."""
    deeds = [point for point in points if not _only_renews(point)]
    number = min(number, len(deeds))
    return [deeds[int((place + 0.5) * len(deeds) / number)]
            for place in range(number)]


# Not tried in the green threads of nova 31.
@pytest.mark.nova('33', '34')
@pytest.mark.timeout(0 if IS_ALL or POINTS > 20 else 900)
def test_deaths_at_points_lead_to_the_same_end(our_options,
                                               record_property):
    began = time.monotonic()
    tried, failed = 0, []
    with contextlib.ExitStack() as stack:
        stage = stack.enter_context(Stage(
            FAILURES if IS_ALL else min(1 + POINTS, FAILURES)))
        points = _listed(stage)
        wanted = points if IS_ALL else _sample(points, POINTS)
        for point in wanted:
            if not stage.victims:
                stage.bring_back()
                stack.close()
                stage = stack.enter_context(Stage(FAILURES))
            tried += 1
            at = time.monotonic()
            try:
                stage.fail_next(point)
            except AssertionError as error:
                failed.append('%s: %s' % (point, error))
                # At once: a cloud that does not come up would hide it.
                print(failed[-1], flush=True)
                stage.give_up()
            print('%5.1f s  %s' % (time.monotonic() - at, point), flush=True)
        stage.bring_back()
    record_property('crash points', (tried, len(points),
                                     time.monotonic() - began))
    assert not failed, '\n'.join(failed)
