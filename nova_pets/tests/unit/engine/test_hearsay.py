# SPDX-License-Identifier: Apache-2.0
"""One engine does not reach a machine that another one reaches."""

import dataclasses

import pytest

from nova_pets.detectors import base as detectors_base
from nova_pets.engine import hearsay
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.tests.unit.engine import world as world_module
from nova_pets.tests.unit.planning import samples

H = states.HostState
R = states.RecoveryState


class Blind(world_module.Tcp):
    """Its packets to one host are lost, from some time on."""

    lost_from = 0.0

    def look(self, target):
        is_lost = self._world.clock.now >= self.lost_from
        if target.host == 'host1' and is_lost:
            return detectors_base.Look(states.Sign.SILENT, 'no answer')
        return super().look(target)


class Two:
    """Engine a sees all hosts, engine b all but host1."""

    def __init__(self, directory, **numbers):
        self.world = world_module.World(directory)
        self.world.boot('db1')
        witness = Blind(self.world)
        witness.lost_from = self.world.clock.now + 10.0
        self.blind = self.world.engine(
            'b', detectors=lambda eyes, seen: (witness,), **numbers)
        self.engines = [self.world.engine('a', **numbers), self.blind]
        self.turn(10.0)

    @property
    def row(self):
        return self.world.store().host('host1')

    def turn(self, seconds):
        until = self.world.clock.now + seconds
        self.world.drive(self.engines,
                         lambda: self.world.clock.now >= until)

    def until(self, check):
        return self.world.drive(self.engines, check, limit_s=60.0)


def test_what_one_engine_reaches_no_other_one_powers_off(tmp_path):
    """Only nova-compute is dead; a network between b and host1, too."""
    two = Two(tmp_path)
    two.world.machines['host1'].agent_runs = False
    two.turn(60.0)
    assert 'fence' not in two.world.calls
    assert two.world.running('db1') == ['host1']
    assert (two.row.state, two.row.reason) == (H.DOWN, 'peer_sees_life')
    [hold] = [event for event in two.world.store().history(host='host1')
              if event.code == 'peer_sees_life']
    assert hold.text == 'scheduler-a/1 does'

    two.world.crash('host1')
    assert two.until(lambda: two.row.state is H.VACATED) <= 20.0
    assert two.world.running('db1') != ['host1']


def test_two_engines_that_see_it_differently_say_so_once(tmp_path):
    """One has no word of the machine, the other one sees it alive."""
    world = world_module.World(tmp_path)
    engines = [world.engine('a'), world.engine(
        'b', detectors=lambda eyes, seen: (Blind(world),))]
    until = world.clock.now + 20.0
    world.drive(engines, lambda: world.clock.now >= until)
    world.machines['host1'].agent_runs = False
    until = world.clock.now + 60.0
    world.drive(engines, lambda: world.clock.now >= until)
    assert world.store().host('host1').reason == 'host_alive'
    assert len(world.store().history(host='host1')) <= 4


def test_when_the_engine_that_sees_is_gone_the_other_one_decides(tmp_path):
    two = Two(tmp_path)
    two.world.machines['host1'].agent_runs = False
    two.turn(20.0)
    two.engines = [two.blind]
    two.until(lambda: 'fence' in two.world.calls)


def test_what_a_peer_sees_after_the_proof_voids_it(tmp_path):
    two = Two(tmp_path)
    two.world.schedule = False
    two.world.crash('host1')
    two.until(lambda: two.row.state is H.FENCED)
    machine = two.world.machines['host1']
    machine.power, machine.is_running = 'on', True
    machine.agent_runs = False
    two.engines[1]._fencer.read = lambda host: world_module.Reading(True)
    two.until(lambda: two.row.state is H.QUARANTINED)


def test_a_closed_port_is_no_death_when_only_nova_compute_is_gone(tmp_path):
    """A firewall drops what engines send to host1, always: they know, since
    they looked while it lived."""
    world = world_module.World(tmp_path)
    world.boot('db1')
    engine = world.engine(detectors=lambda eyes, seen: (Blind(world),))
    until = world.clock.now + 20.0
    world.drive([engine], lambda: world.clock.now >= until)
    world.machines['host1'].agent_runs = False
    until = world.clock.now + 60.0
    world.drive([engine], lambda: world.clock.now >= until)
    row = world.store().host('host1')
    assert (row.state, row.reason) == (H.SUSPECT, 'no_host_witness')
    assert world.calls == []


ROW = samples.host('host1', H.DOWN, epoch=4)
FENCED = samples.host('host1', H.FENCED, epoch=4)
PEER = records.Engine('peer', 's2', '7', '1', states.Mode.ACT, True, slot=1)
SEEN = {'alive': {'host1': [4, False]}}
AFTER = {'alive': {'host1': [4, True]}}

SAID = {
    'life': (PEER, SEEN, ROW, True),
    'life in another epoch': (PEER, {'alive': {'host1': [3, False]}}, ROW,
                              True),
    'nothing': (PEER, {}, ROW, False),
    'life of another': (PEER, {'alive': {'host2': [4, False]}}, ROW, False),
    'by me': (dataclasses.replace(PEER, id='me'), SEEN, ROW, False),
    'by one that looks no more': (dataclasses.replace(PEER, slot=None), SEEN,
                                  ROW, False),
    'by another version': (PEER, {'alive': ['host1']}, ROW, False),
    'from before the proof': (PEER, SEEN, FENCED, False),
    'after the proof': (PEER, AFTER, FENCED, True),
    'after an earlier proof': (PEER, {'alive': {'host1': [3, True]}}, FENCED,
                               False),
}


@pytest.mark.parametrize('peer, report, row, counts', SAID.values(),
                         ids=SAID)
def test_what_counts_of_what_peers_say(peer, report, row, counts):
    peer = dataclasses.replace(peer, report=report)
    stored = snapshot.StoreSnapshot(engines=(peer,))
    assert hearsay.who_sees_life(row, stored, 'me') == (
        's2/7' if counts else '')


LIVE, STATE_S = (samples.LIVE_TCP,), 60.0

TOLD = {
    'silent and alive': (H.SUSPECT, LIVE, STATE_S, True),
    'its agent answers': (H.DOWN, (samples.LIVE_PING,), STATE_S, True),
    'silent': (H.DOWN, (samples.SILENT_TCP,), STATE_S, False),
    'power is no life': (H.DOWN, (samples.BMC_ON,), STATE_S, False),
    'up': (H.UP, LIVE, STATE_S, False),
    'before the proof': (H.FENCED, LIVE, 0.1, False),
    'after the proof': (H.FENCED, LIVE, STATE_S, True),
    'just quarantined': (H.QUARANTINED, LIVE, 0.1, True),
}


@pytest.mark.parametrize('state, evidence, state_s, is_told', TOLD.values(),
                         ids=TOLD)
def test_what_is_told_to_peers(state, evidence, state_s, is_told):
    view = samples.host_view(state=state, evidence=evidence, state_s=state_s,
                             life_by_peer='s2/7')
    found = hearsay.alive(samples.snap(view), samples.POLICY)
    assert found == ({'host1': [1, state in states.PROVEN_OFF]}
                     if is_told else {})
