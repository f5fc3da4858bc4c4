# SPDX-License-Identifier: Apache-2.0
"""A host that dumps its memory keeps its power, whoever hears of it."""

import dataclasses

import pytest

from nova_pets.detectors import base
from nova_pets.engine import collector
from nova_pets.model import observations
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.tests.unit.engine import world as world_module

H = states.HostState


class Ear(base.Detector):
    """A witness that hears host1 dump its memory while it is told to."""

    name = 'kdump'
    path = states.WitnessPath.EXTERNAL

    def __init__(self):
        self.hears = False

    def look(self, target):
        heard = self.hears and target.host == 'host1'
        return base.Look(states.Sign.UNKNOWN, '',
                         observations.DUMPING if heard else '')


class Crash:
    """Two engines, of which the first hears host1 dump; then it dies."""

    def __init__(self, directory, **numbers):
        self.world = world_module.World(directory)
        self.ear = Ear()
        self.engines = [
            self.world.engine(name, detectors=lambda eyes, seen, ear=ear: (
                world_module.Tcp(self.world), ear), **numbers)
            for name, ear in (('a', self.ear), ('b', Ear()))]
        self.world.boot('db1')
        self.turn(20.0)
        self.ear.hears = True
        self.world.crash('host1')

    def turn(self, seconds):
        until = self.world.clock.now + seconds
        self.until(lambda: self.world.clock.now >= until)

    def until(self, is_so):
        return self.world.drive(self.engines, is_so)

    @property
    def row(self):
        return self.world.store().host('host1')

    def is_fenced(self):
        return self.row.state in (H.FENCED, H.VACATED)


def test_no_engine_powers_off_what_one_hears_dump(tmp_path):
    crash = Crash(tmp_path)
    crash.turn(40.0)
    assert (crash.row.state, crash.row.reason) == (H.DOWN, 'kdump')
    assert crash.world.machines['host1'].power == 'on'
    told = [event.text for event in crash.world.store().history(
        host='host1') if event.code == 'kdump']
    assert told and all('at most 600 s' in text for text in told)

    crash.ear.hears = False
    assert crash.until(crash.is_fenced) <= 10.0


def test_a_dump_without_end_is_ended(tmp_path):
    """The messages may be forged."""
    crash = Crash(tmp_path, kdump_limit_s=20.0)
    assert 20.0 <= crash.until(crash.is_fenced) <= 40.0


def test_only_what_an_engine_itself_hears_is_passed_on(tmp_path):
    """Hearsay of hearsay would never end."""
    crash = Crash(tmp_path)
    crash.turn(30.0)
    said = {engine.host: engine.report.get('dumping')
            for engine in crash.world.store().engines()}
    assert said == {'scheduler-a': ['host1'], 'scheduler-b': None}


@pytest.mark.parametrize('report, found', [
    ({'dumping': ['host1', 'host2']}, {'host1', 'host2'}),
    ({'dumping': ['host1', 7]}, {'host1'}), ({'dumping': 'host1'}, set()),
    ({'dumping': None}, set()), ({}, set())])
def test_what_peers_say(report, found):
    """Even those of another version."""
    peer = records.Engine('peer', 's', '1', '1', states.Mode.ACT, True,
                          report=report)
    mine = dataclasses.replace(peer, id='me')
    assert collector._dumping_by_peers(
        snapshot.StoreSnapshot(engines=(peer,)), 'me') == found
    assert not collector._dumping_by_peers(
        snapshot.StoreSnapshot(engines=(mine,)), 'me')
