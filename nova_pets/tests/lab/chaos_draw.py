# SPDX-License-Identifier: Apache-2.0
"""Which faults a round of chaos has, drawn from a seed. Pure.

The same seed and the same lab give the same faults, round for round: kinds,
targets, times, lengths. What cannot be known beforehand is drawn as a role
(the destination of whatever recovery is first to be built) and found when
the fault strikes.
"""

import collections.abc
import dataclasses
import random

WINDOW_S = 40.0
"""Faults of a round begin within this time."""
LONGEST_S = 55.0
"""When all faults of a round have ended."""
LEAST, MOST = 26, 34
"""Faults of a round."""
MOODS = ('mute', 'late', 'slow', 'lies', 'errors', 'flaky', 'garbage',
         'stuck', 'stale')
STEPS_S = (3600, -3600, 120, -120, 15, -15)
MACHINE = ('hang', 'power loss', 'returns', 'partition', 'freeze')
"""What ends the life of a whole machine."""


@dataclasses.dataclass(frozen=True)
class Fault:
    kind: str
    target: str = ''
    """A process, client, host or pet; with ``on`` a role."""
    at_s: float = 0.0
    """From the beginning of the round; with ``on``: not before."""
    lasts_s: float = 0.0
    """0: until it is mended after the round."""
    amount: str = ''
    """By kind: a mode, a mood, seconds."""
    on: str = ''
    """It waits for an engine to say of this that it is in this state:
    ``recovery STATE`` or ``host STATE``."""

    def __str__(self) -> str:
        when = 'when a {} is {}'.format(*self.on.split()) if self.on else ''
        return ' '.join(filter(None, (
            self.kind, self.target, self.amount, when,
            f'for {self.lasts_s:.0f} s' if self.lasts_s else '')))


@dataclasses.dataclass(frozen=True)
class Shape:
    """What there is to hit."""

    hosts: dict[str, tuple[str, ...]]
    """cell -> hosts."""
    schedulers: tuple[str, ...]
    conductors: tuple[str, ...]
    apis: tuple[str, ...]
    clients: dict[str, tuple[str, ...]]
    """database, broker -> clients with a way of their own."""
    pets: tuple[str, ...]

    @property
    def all_hosts(self) -> tuple[str, ...]:
        return tuple(host for cell in self.hosts.values() for host in cell)


@dataclasses.dataclass(frozen=True)
class Round:
    number: int
    faults: tuple[Fault, ...]
    spawn_s: float
    """What a spawn takes in this round."""


def rounds(seed: int, shape: Shape) -> collections.abc.Iterator[Round]:
    """Yield round after round, without end."""
    number = 0
    while True:
        number += 1
        yield _round(number, random.Random(f'{seed}/{number}'), shape)


def _round(number, chance, shape):
    faults = []
    for cell, hosts in shape.hosts.items():
        # One host of a cell has to be left when a receiver fails, too.
        most = min(2, len(hosts) - 2)
        count = chance.choice(range(most + 1))
        if count == 0 and cell == min(shape.hosts):
            count = 1
        for host in chance.sample(hosts, count):
            faults += _machine(chance, host)
    faults += _second(chance)
    people = list(shape.pets)
    chance.shuffle(people)
    size = chance.randint(LEAST, MOST)
    while len(faults) < size:
        kind = chance.choices(list(_KINDS), [
            weight for weight, _make in _KINDS.values()])[0]
        faults.append(_KINDS[kind][1](chance, shape, people))
    return Round(number, tuple(sorted(
        faults, key=lambda fault: (fault.at_s, str(fault)))),
        round(chance.uniform(0.3, 3.0), 1))


def _at(chance, latest=WINDOW_S):
    return round(chance.uniform(0, latest), 1)


def _lasts(chance, at_s, least, most):
    return round(min(chance.uniform(least, most), LONGEST_S - at_s), 1)


def _machine(chance, host):
    """A machine fails, early enough to be found down in the round; its BMC
    may misbehave meanwhile."""
    kind = chance.choices(MACHINE, (4, 2, 2, 2, 1))[0]
    at_s = _at(chance, 15)
    lasts_s = {'returns': _lasts(chance, at_s, 40, 45),
               'partition': _lasts(chance, at_s, 8, 40),
               'freeze': _lasts(chance, at_s, 8, 40)}.get(kind, 0.0)
    yield Fault(kind, host, at_s, lasts_s)
    if chance.random() < 0.5:
        yield Fault('bmc', host, max(0.0, at_s - 1),
                    _lasts(chance, at_s, 15, 40), chance.choice(MOODS))


def _second(chance):
    """What fails because a recovery is under way, in one of its states."""
    def when(state, weight, kind, target, lasts_s=0.0):
        return weight, Fault(kind, target, lasts_s=lasts_s,
                             on=f'recovery {state}')

    choices = [
        when('building', 2, 'hang', 'the receiver'),
        when('building', 1, 'power loss', 'the receiver'),
        when('verifying', 1, 'power loss', 'the receiver'),
        when('building', 2, 'kill', 'the receiver', 8),
        when('building', 1, 'pause', 'the receiver', 15),
        when('requesting', 2, 'kill', 'the engine', 6),
        when('requesting', 1, 'pause', 'the engine', 20),
        when('verifying', 1, 'kill', 'the engine', 6),
        when('scheduling', 2, 'kill', 'the conductor', 5),
        when('requesting', 1, 'kill', 'super', 5),
        when('scheduling', 1, 'cut', 'broker *', 8),
        when('requesting', 1, 'stall', 'database *', 8)]
    weights = [weight for weight, _fault in choices]
    found = dict.fromkeys(
        fault for _weight, fault in chance.choices(choices, weights, k=2))
    machines = [fault for fault in found if fault.kind in MACHINE]
    return [fault for fault in found if fault not in machines[1:]]


def _kill(chance, shape, people):
    name = chance.choice([*shape.schedulers, *shape.conductors,
                          *shape.apis, *shape.all_hosts])
    at_s = _at(chance)
    return Fault('kill', name, at_s, _lasts(chance, at_s, 1, 20))


def _pause(chance, shape, people):
    name = chance.choice([*shape.schedulers, *shape.conductors,
                          *shape.apis, *shape.all_hosts, 'wire'])
    at_s = _at(chance)
    return Fault('pause', name, at_s, _lasts(chance, at_s, 2, 25))


def _way(chance, shape, people):
    service = chance.choice(sorted(shape.clients))
    at_s = _at(chance)
    return Fault(
        chance.choice(('stall', 'cut')),
        f'{service} {chance.choice(shape.clients[service])}', at_s,
        _lasts(chance, at_s, 3, 25))


def _ways(chance, shape, people):
    at_s = _at(chance)
    return Fault(chance.choice(('stall', 'cut')),
                 f'{chance.choice(sorted(shape.clients))} *', at_s,
                 _lasts(chance, at_s, 3, 15))


def _clock(chance, shape, people):
    at_s = _at(chance, 30)
    return Fault('clock', chance.choice(shape.schedulers), at_s,
                 _lasts(chance, at_s, 12, 25), str(chance.choice(STEPS_S)))


def _bmc(chance, shape, people):
    at_s = _at(chance, 25)
    return Fault('bmc', chance.choice(shape.all_hosts), at_s,
                 _lasts(chance, at_s, 15, 30), chance.choice(MOODS))


def _heartbeats(chance, shape, people):
    at_s = _at(chance, 30)
    return Fault('lost heartbeats', '', at_s, _lasts(chance, at_s, 8, 20),
                 str(chance.choice((0.3, 0.6))))


def _person(chance, shape, people):
    what = chance.choices(
        ('stop', 'start', 'reboot', 'delete', 'evacuate', 'error', 'untag',
         'force down'), (3, 3, 2, 1, 3, 1, 1, 2))[0]
    if what == 'evacuate':
        return Fault(what, 'a pet there', on='host fencing')
    if not people:
        return _bmc(chance, shape, people)
    # Nobody does two things to one pet: then it is known what is wanted.
    pet = people.pop()
    at_s = _at(chance)
    lasts_s = _lasts(chance, at_s, 10, 25) if what == 'force down' else 0.0
    return Fault(what, pet, at_s, lasts_s)


def _order(chance, shape, people):
    at_s = _at(chance, 30)
    what = chance.choice(('pets pause', 'pets maintenance'))
    return Fault(what, '' if what == 'pets pause' else
                 chance.choice(shape.all_hosts), at_s,
                 _lasts(chance, at_s, 8, 20))


_KINDS = {
    'kill': (10, _kill), 'pause': (8, _pause), 'way': (8, _way),
    'ways': (1, _ways), 'clock': (4, _clock), 'bmc': (7, _bmc),
    'heartbeats': (1, _heartbeats), 'person': (12, _person),
    'order': (1, _order)}
