# SPDX-License-Identifier: Apache-2.0
"""What a seed means: its cloud, and the faults that strike in it.

Kinds with a weight are drawn one after the other from one stream. Those with
a share are drawn apart, each from a stream of its own: a new one changes
nothing of what the others are to a seed.

Chance alone leaves some corners out for very long. Seeds from aiming.FROM
on take aim, too, each at another pair of a kind of fault and a moment; those
below keep what they always were.
"""

import dataclasses
import random
import typing

from nova_pets.model import states
from nova_pets.simulator import aiming
from nova_pets.simulator import cloud as cloud_module
from nova_pets.simulator import deeds
from nova_pets.simulator import deeds_nova
from nova_pets.simulator import faults as faults_module

FIRST_S = 8.0
GAP_S = (0.5, 14.0)
APART_S = (8.0, 90.0)
_MET = (*sorted(states.TRANSIENT), states.RecoveryState.REQUESTING,
        states.RecoveryState.NEEDS_OPERATOR, states.RecoveryState.RECOVERED)
"""States in which a fault is made to strike; one passes quickly."""


def draw_shape(chance: random.Random) -> cloud_module.Shape:
    """Return a cloud of the seed."""
    two_cells = chance.random() < 0.25
    number = chance.randint(6, 8) if two_cells else chance.randint(4, 7)
    hosts = tuple(cloud_module.HostShape(
        f'host{index}', 'cell2' if two_cells and index % 2 else 'cell1',
        chance.choice((8, 10, 12))) for index in range(1, number + 1))
    instances = []
    for index in range(1, chance.randint(3, 6) + 1):
        is_grouped = chance.random() < 0.15
        instances.append(cloud_module.InstanceShape(
            f'pet{index}', 'host1' if index < 3 else
            f'host{chance.randint(1, 2)}',
            vm_state='stopped' if chance.random() < 0.2 else 'active',
            priority=chance.choice((100, 500, 500, 900)),
            is_bfv=chance.random() < 0.3,
            group='group1' if is_grouped else None,
            group_policy='soft-anti-affinity' if is_grouped else None))
    instances.append(cloud_module.InstanceShape('web1', 'host1',
                                                is_pet=False))
    workers = [('sched1', 1), ('sched2', 1)]
    if chance.random() < 0.5:
        workers.append(('sched3', 1) if chance.random() < 0.5 else
                       ('sched1', 2))
    return cloud_module.Shape(
        hosts, tuple(instances), tuple(workers),
        resume_guests=chance.random() < 0.2)


POLICIES: tuple[tuple[float, dict[str, typing.Any]], ...] = (
    (0.15, {'power_on': states.PowerOn.AFTER_RECOVERY}),
    (0.15, {'flap_count': 2, 'flap_calm_s': 120.0}),
    (0.15, {'trust_forced_down': True}),
    (0.1, {'outage_calm_s': 20.0}),
    (0.1, {'startup_grace_s': 20.0}))
"""(share of the seeds, what an operator has set there): each drawn apart, as
those kinds of faults are."""


def draw_policy(shape: cloud_module.Shape, seed: int) -> cloud_module.Shape:
    """Return the cloud with what its operator has set."""
    numbers: dict[str, typing.Any] = {}
    for share, values in POLICIES:
        name = next(iter(values))
        chance = random.Random(f'{seed}/policy {name}')  # nosec B311
        if chance.random() < share:
            numbers |= values
    setup = aiming.setup_of(seed)
    if setup is not None:
        numbers |= aiming.POLICIES[setup]
    return dataclasses.replace(shape, policy=dataclasses.replace(
        shape.policy, **numbers)) if numbers else shape


class Drawn:
    """Draws one fault after the other from the seed's own stream."""

    def __init__(self, shape: cloud_module.Shape, chance: random.Random,
                 seed: int, draws_apart: bool = True):
        self._chance = chance
        self._shape = shape
        self._seed = seed
        self._draws_apart = draws_apart
        self._names = sorted(name for name, kind in deeds.KINDS.items()
                             if kind.share is None)
        self._weights = [deeds.KINDS[name].weight for name in self._names]
        self._targets = {
            'worker': [f'{machine}/{number}'
                       for machine, number in shape.workers],
            'machine': sorted({machine for machine, _ in shape.workers}),
            'host': [host.name for host in shape.hosts],
            'cell': sorted({host.cell for host in shape.hosts}),
            'conductor': ['conductor1', 'conductor2'],
            'pet': [one.name for one in shape.instances if one.is_pet],
            'stage': list(deeds_nova.STAGES), '': ['']}

    def first(self) -> list[faults_module.Fault]:
        """What the run is about: a host with pets fails."""
        chance = self._chance
        kind = chance.choice(('host crashes', 'host loses power',
                              'host cut off', 'host freezes',
                              'host crashes'))
        found = [self._of(kind, 'host1', at_s=round(
            FIRST_S + chance.random() * 4, 3))]
        for name in self._names:
            if deeds.KINDS[name].target == 'stage' and (
                    chance.random() < 0.5):
                found.append(self._of(name, at_s=1.0))
        for _ in range(chance.randint(1, 5)):
            found.append(self._on_a_line())
        if self._draws_apart:
            found += self._apart()
            if self._seed >= aiming.FROM:
                found += self._aimed()
        return found

    def _aimed(self) -> list[faults_module.Fault]:
        """Return faults of the kinds, and at the moments, whose turn it is;
        those of a host mostly strike the one whose pets are on their way."""
        chance = random.Random(f'{self._seed}/aim')  # nosec B311
        found = []
        for series in aiming.aims():
            name, mark = series[self._seed % len(series)]
            kind = deeds.KINDS[name]
            lasts_s, amount = deeds.draw_amounts(kind, chance)
            targets = self._targets[kind.target]
            if kind.target == 'host' and chance.random() < 0.6:
                targets = targets[:2]
            if kind.target == 'pet':
                targets = aiming.pets(name, self._shape, chance)
            found.append(faults_module.Fault(
                name, chance.choice(targets), None,
                (*mark, chance.randint(1, 2)),
                round(chance.expovariate(60.0), 3), lasts_s, amount))
        setup = aiming.setup_of(self._seed)
        return found if setup is None else [
            *found, *aiming.faults_of(aiming.SETUPS[setup])]

    def _apart(self) -> list[faults_module.Fault]:
        """Return faults of the kinds that are drawn apart."""
        found = []
        for name, kind in sorted(deeds.KINDS.items()):
            chance = random.Random(f'{self._seed}/{name}')  # nosec B311
            if kind.share is None or chance.random() >= kind.share:
                continue
            for _ in range(chance.randint(1, 2)):
                lasts_s, amount = deeds.draw_amounts(kind, chance)
                target = chance.choice(self._targets[kind.target])
                if chance.random() < 0.3:
                    found.append(faults_module.Fault(
                        name, target, round(chance.uniform(*APART_S), 3),
                        lasts_s=lasts_s, amount=amount))
                    continue
                found.append(faults_module.Fault(
                    name, target, None, _mark(chance), _delay_s(chance),
                    lasts_s, amount))
        return found

    def next(self, now_s: float) -> faults_module.Fault:
        """:param now_s: seconds from the beginning."""
        at_s = round(now_s + self._chance.uniform(*GAP_S), 3)
        return self._of(self._draw_kind(), at_s=at_s)

    def _draw_kind(self) -> str:
        return self._chance.choices(self._names, self._weights)[0]

    def _on_a_line(self) -> faults_module.Fault:
        """A fault that meets a state, or a step, soon after it began."""
        mark = _mark(self._chance)
        return self._of(self._draw_kind(), on=mark,
                        delay_s=_delay_s(self._chance))

    def _of(self, name: str, target: str | None = None,
            at_s: float | None = None,
            on: tuple[str, str, int] | None = None, delay_s: float = 0.0
            ) -> faults_module.Fault:
        kind = deeds.KINDS[name]
        lasts_s, amount = deeds.draw_amounts(kind, self._chance)
        if target is None:
            target = self._chance.choice(self._targets[kind.target])
        return faults_module.Fault(name, target, at_s, on, delay_s, lasts_s,
                                   amount)


def _mark(chance: random.Random) -> tuple[str, str, int]:
    if chance.random() < 0.6:
        return 'recovery', str(chance.choice(_MET)), chance.randint(1, 4)
    return 'nova', chance.choice((
        'accepted', 'gate', 'claimed', 'compute begins', 'claim',
        'migration pre-migrating', 'binds ports', 'block devices',
        'spawning', 'spawn', 'saves after spawn', 'finish',
        'migration done', 'asks scheduler')), chance.randint(1, 3)


def _delay_s(chance: random.Random) -> float:
    return round(chance.expovariate(chance.choice((2.0, 60.0))), 3)
