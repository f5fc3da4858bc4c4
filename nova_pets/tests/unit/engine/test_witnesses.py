# SPDX-License-Identifier: Apache-2.0
"""Who is asked when: slow devices keep nobody waiting."""

import pytest

from nova_pets import exception
from nova_pets.detectors import base
from nova_pets.engine import memory as memory_module
from nova_pets.engine import witnesses
from nova_pets.model import observations
from nova_pets.model import policy
from nova_pets.model import states
from nova_pets.tests.unit.engine import world as world_module
from nova_pets.tests.unit.planning import samples

H = states.HostState
S = states.Sign


class Witness(base.Detector):
    path = states.WitnessPath.POWER

    def __init__(self, name='slow', is_slow=True, refresh_s=None,
                 problem=None, path=None):
        self.name, self.is_slow, self.refresh_s = name, is_slow, refresh_s
        self.path = path or self.path
        self._problem = problem
        self.refreshed = 0

    def look(self, target):
        return base.Look(S.SILENT, '')

    def refresh(self):
        self.refreshed += 1

    def problem(self):
        return self._problem


class Pending:
    """Workers that begin nothing before they are told."""

    def __init__(self):
        self.calls = {}

    def submit(self, key, call):
        if key in self.calls:
            return False
        self.calls[key] = call
        return True

    def busy(self):
        return frozenset(self.calls)

    def finish(self, *keys):
        for key in keys or tuple(self.calls):
            self.calls.pop(key)()

    def hosts(self, kind='slow'):
        return [key[0] for found, key in self.calls if found == kind]


class Field:
    def __init__(self, *detectors, door=None):
        self.clock = world_module.Clock()
        self.memory = memory_module.Memory()
        self.workers = Pending()
        self.witnesses = witnesses.Witnesses(
            door, detectors, self.clock, self.memory, self.workers)

    def probe(self, number=1, state=H.SUSPECT, seconds=0.0, references=(),
              cells=()):
        self.clock.now += seconds
        self.witnesses.probe(
            {f'host{index:02}': samples.host(f'host{index:02}', state)
             for index in range(number)}, policy.Policy(),
            list(references), list(cells))
        return self.workers.hosts()


def test_a_slow_witness_is_asked_about_few_hosts_at_once():
    field = Field(Witness(), Witness('quick', is_slow=False))
    assert len(field.probe(30)) == witnesses.SLOW_AT_ONCE
    assert len(field.workers.hosts('probe')) == 30
    assert len(field.probe(30, seconds=60.0)) == witnesses.SLOW_AT_ONCE


def test_who_waits_for_the_longest_time_is_asked_next():
    """Dead devices of some hosts do not keep the others from being read."""
    field = Field(Witness())
    first = field.probe(20)
    field.workers.finish(*[('slow', (host, 'slow')) for host in first])
    second = field.probe(20, seconds=60.0)
    assert set(second).isdisjoint(first)
    field.workers.finish()
    third = field.probe(20, seconds=60.0)
    assert {f'host{number:02}' for number in range(16, 20)} <= set(third)


def test_the_answer_of_one_is_not_waited_for_by_the_others():
    field = Field(Witness())
    field.probe(8)
    field.workers.finish(('slow', ('host03', 'slow')))
    assert field.memory.evidence('host03', field.clock.now)
    assert 'host03' in field.probe(8, seconds=3.0)


def test_who_is_being_asked_does_not_take_the_place_of_another():
    field = Field(Witness())
    field.probe(8)
    field.workers.finish(('slow', ('host07', 'slow')))
    assert 'host08' in field.probe(9, seconds=60.0)


@pytest.mark.parametrize('state, every_s', [
    (H.SUSPECT, 2.0), (H.DOWN, 2.0), (H.QUARANTINED, 2.0),
    (H.UNPROVEN, 10.0), (H.FENCED, 10.0), (H.RETURNING, 10.0)])
def test_how_often_a_device_is_asked(state, every_s):
    field = Field(Witness())
    field.probe(state=state)
    field.workers.finish()
    assert not field.probe(state=state, seconds=every_s - 0.1)
    assert field.probe(state=state, seconds=0.1)


def test_a_healthy_host_is_not_asked_about():
    field = Field(Witness())
    assert not field.probe(state=H.UP)
    assert not field.probe(state=H.UP, references=['host00'])
    assert not field.probe(state=H.VACATED)


def test_references_are_seen_by_witnesses_of_the_machine_only():
    field = Field(Witness('tcp', is_slow=False,
                          path=states.WitnessPath.HOST),
                  Witness('slow', path=states.WitnessPath.HOST),
                  Witness('other', is_slow=False))
    field.probe(state=H.UP, references=['host00'])
    assert list(field.workers.calls) == [('probe', ('host00', 'tcp'))]


class Addresses:
    """Nova, of which only the addresses are asked."""

    def __init__(self):
        self.asked = 0
        self.is_away = False

    def host_addresses(self, cell_uuid):
        self.asked += 1
        if self.is_away:
            raise exception.NovaUnavailable(what='read', found='nothing')
        return {'host00': '192.0.2.1'}


@pytest.mark.parametrize('hosts, is_away, again_s', [
    (1, False, witnesses.ADDRESSES_EVERY_S),
    (2, False, witnesses.ADDRESS_AGAIN_S),
    (1, True, witnesses.PROBE_EVERY_S)])
def test_addresses_are_read_seldom_where_one_has_none(
        hosts, is_away, again_s):
    """One that never gets an address costs no statement in each turn."""
    nova = Addresses()
    nova.is_away = is_away
    field = Field(Witness('tcp', is_slow=False,
                          path=states.WitnessPath.HOST), door=nova)
    cell = observations.Cell(uuid='cell', name='cell')
    for _ in range(3):
        field.probe(hosts, cells=[cell])
    assert nova.asked == 1
    field.workers.finish()
    field.probe(hosts, seconds=again_s - 0.01, cells=[cell])
    field.workers.finish()
    before = nova.asked
    field.probe(hosts, seconds=witnesses.PROBE_EVERY_S, cells=[cell])
    assert (before, nova.asked) == (1, 2)


def test_what_must_be_known_before_is_read_in_time():
    plain, eager = Witness('plain'), Witness('eager', refresh_s=5.0)
    field = Field(plain, eager)
    for _ in range(3):
        field.witnesses.refresh()
        field.workers.finish()
        field.clock.now += 2.5
    assert (plain.refreshed, eager.refreshed) == (0, 2)


def test_problems_name_their_witness():
    field = Field(Witness('a'), Witness('b', problem='port taken'))
    assert field.witnesses.problems() == ['witness b: port taken']


# -- memory


def service(count):
    return [observations.Service('host1', 'cell1', count, False, False)]


def remembering():
    memory = memory_module.Memory()
    assert memory.alive_at('host1') is None
    memory.saw_services(service(1), 'cell1', 10.0, 60.0)
    memory.saw_services(service(2), 'cell1', 20.0, 60.0)
    memory.saw_services(service(2), 'cell1', 30.0, 60.0)
    return memory


def test_when_a_host_was_last_seen_alive():
    memory = remembering()
    assert memory.alive_at('host1') == 20.0
    tcp = Witness('tcp', path=states.WitnessPath.HOST)
    memory.heard('host1', tcp, base.Look(S.LIFE, ''), 15.0)
    assert memory.alive_at('host1') == 20.0
    memory.heard('host1', tcp, base.Look(S.LIFE, ''), 40.0)
    memory.heard('host1', tcp, base.Look(S.SILENT, ''), 50.0)
    memory.heard('host1', tcp, base.Look(S.UNKNOWN, ''), 60.0)
    assert memory.alive_at('host1') == 40.0


def test_events_are_remembered_with_their_words():
    memory = remembering()
    memory.heard('host1', Witness(), base.Look(
        S.SILENT, 'off', observations.SWITCHED_OFF), 40.0)
    word, = memory.evidence('host1', 41.0)
    assert word.event == observations.SWITCHED_OFF


def test_a_dump_is_measured_from_its_first_message_in_a_silence():
    memory = remembering()
    assert memory.dumping_s('host1', 40.0) == 0.0
    assert memory.dumping_s('host1', 55.0) == 15.0
    memory.saw_services(service(3), 'cell1', 60.0, 60.0)
    assert memory.dumping_s('host1', 61.0) == 0.0
    assert memory.dumping_s('host1', 64.0) == 3.0
    assert memory.dumping_s('unknown', 70.0) == 0.0
    assert memory.dumping_s('unknown', 71.0) == 1.0


def test_failures_are_counted_within_a_window():
    memory = remembering()
    for epoch, now in ((1, 0.0), (1, 5.0), (2, 10.0), (3, 20.0)):
        memory.saw_down('host1', epoch, now)
    assert memory.downs('host1', 25.0, 60.0) == 3
    assert memory.downs('host2', 25.0, 60.0) == 0
    assert memory.downs('host1', 65.0, 60.0) == 2
    assert memory.downs('host1', 70.0, 60.0) == 1


# forced down by others

FORCED = {
    # (count, forced down) of each read; a look that saw life after the last
    'since its last heartbeat': ([(1, False), (2, False), (2, True)], None,
                                 False),
    'and its machine was silent': ([(1, False), (1, True)], S.SILENT, False),
    'and its machine answers': ([(1, False), (1, True)], S.LIFE, True),
    'not, and its machine answers': ([(1, False), (1, False)], S.LIFE,
                                     False),
    'no more, and its machine answers': ([(1, False), (1, True), (1, False)],
                                         S.LIFE, False),
}


@pytest.mark.parametrize('reads, sign, expected', FORCED.values(), ids=FORCED)
def test_a_machine_that_answers_was_not_fenced_by_who_forced_it_down(
        reads, sign, expected):
    memory = memory_module.Memory()
    for at, (count, is_forced) in enumerate(reads):
        memory.saw_services([observations.Service(
            'host1', 'cell', count, is_forced, False)], 'cell', float(at),
            60.0)
    if sign is not None:
        memory.heard('host1', Witness(), base.Look(sign, ''), 9.0)
    assert memory.was_forced_alive('host1') is expected


# a witness that sees nothing of a host that lives

TCP = Witness('tcp', is_slow=False, path=states.WitnessPath.HOST)
CALM = {
    # reads of report_count, and looks in calm between them
    'never in calm': ([1, 2], S.SILENT),
    'the host died at once': ([1, S.SILENT], S.SILENT),
    'a heartbeat was under way': ([1, S.SILENT, 2], S.SILENT),
    'it lived on': ([1, S.SILENT, 2, 3], S.UNKNOWN),
    'it lived on, looked at again': ([1, S.SILENT, 2, S.SILENT, 3],
                                     S.UNKNOWN),
    'it was seen again': ([1, S.SILENT, 2, S.LIFE, 3], S.SILENT),
    'the witness has no way there': ([1, S.SILENT, 2, S.UNKNOWN, 3],
                                     S.SILENT),
    'looked at before it was read': ([S.SILENT, 1, 2, 3], S.SILENT),
}


@pytest.mark.parametrize('story, sign', CALM.values(), ids=CALM)
def test_only_who_saw_a_host_alive_can_miss_it(story, sign):
    """A port that a firewall closes looks like a dead machine for ever: its
    silence must not cost a healthy host its power when nova-compute is
    restarted."""
    memory = memory_module.Memory()
    for at, step in enumerate(story):
        if isinstance(step, int):
            memory.saw_services(service(step), 'cell1', float(at), 60.0)
        else:
            memory.saw_in_calm('host1', TCP, base.Look(step, ''))
    memory.heard('host1', TCP, base.Look(S.SILENT, 'no answer'), 20.0)
    [word] = memory.evidence('host1', 21.0)
    assert word.sign is sign
    assert ('either' in word.detail) is (sign is S.UNKNOWN)


def test_who_sees_it_in_trouble_is_not_deaf_any_more():
    memory = memory_module.Memory()
    memory.saw_services(service(1), 'cell1', 1.0, 60.0)
    memory.saw_in_calm('host1', TCP, base.Look(S.SILENT, ''))
    memory.saw_services(service(9), 'cell1', 2.0, 60.0)
    memory.heard('host1', TCP, base.Look(S.LIFE, ''), 3.0)
    memory.heard('host1', TCP, base.Look(S.SILENT, ''), 4.0)
    assert memory.evidence('host1', 5.0)[0].sign is S.SILENT


def test_each_host_that_is_well_has_its_turn():
    field = Field(TCP, Witness('slow'), Witness('agent', is_slow=False))
    seen = []
    for _ in range(3):
        field.probe(10, H.UP, seconds=1.0)
        seen.append([key for key in field.workers.calls])
        field.workers.finish()
    assert [len(keys) for keys in seen] == [4, 4, 2]
    assert {key for keys in seen for key in keys} == {
        ('calm', (f'host{number:02}', 'tcp')) for number in range(10)}
    field.probe(10, H.UP, seconds=witnesses.CALM_EVERY_S - 2.1)
    assert not field.workers.calls
    field.probe(10, H.UP, seconds=0.2)
    assert len(field.workers.calls) == 4


DEAR = Witness('tcp', is_slow=False, path=states.WitnessPath.HOST)
DEAR.looks_in_calm = False


@pytest.mark.parametrize('state, detector', [
    (H.VACATED, TCP), (H.UP, Witness('agent', is_slow=False)),
    (H.UP, DEAR)])
def test_nobody_else_is_looked_at_in_calm(state, detector):
    field = Field(detector)
    field.probe(2, state)
    assert not field.workers.calls
    if state is H.UP:
        assert not field.memory.is_quiet(('calm', 'host00'),
                                         field.clock.now)
