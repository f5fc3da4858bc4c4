# SPDX-License-Identifier: Apache-2.0
"""The commands of scenario files: from text to plain data, and back.

    world hosts=4 place=host1:db1,db2+stopped engines=2 seed=1
    fault host crashes host1 at 8
    fault engine killed sched1/1 on recovery building 1 +0.2 for 20
    fault message late at 12 x 30

A fault begins with the name of its kind, the longest that fits, as it stands
in deeds.KINDS. Touches no cloud.
"""

import collections.abc
import dataclasses
import itertools
import re
import shlex
import typing

from nova_pets.model import policy as policy_module
from nova_pets.simulator import cloud as cloud_module
from nova_pets.simulator import deeds
from nova_pets.simulator import faults as faults_module

ROOM = 8
CELL = 'cell1'
_KINDS = sorted(deeds.KINDS, key=lambda name: (-len(name), name))
_SECONDS = re.compile(r'(\d+(?:\.\d+)?)([smh]?)$')
_UNITS = {'': 1.0, 's': 1.0, 'm': 60.0, 'h': 3600.0}


class NotUnderstood(Exception):
    """A scenario that cannot be read: says which words, and why."""


@dataclasses.dataclass(frozen=True)
class World:
    shape: cloud_module.Shape
    seed: int = 1


def seconds(text: str) -> float:
    """Return 300.0 for '5m'."""
    found = _SECONDS.match(text)
    if found is None:
        raise NotUnderstood(f'cannot read {text!r}: expected a time as 12, '
                            f'0.5, 90s or 5m')
    return float(found[1]) * _UNITS[found[2]]


# -- world --------------------------------------------------------------------


def world(words: collections.abc.Iterable[str]) -> World:
    """Return the cloud that a ``world`` line, without that word, names."""
    hosts, room, cells = '0', str(ROOM), CELL
    instances: list[cloud_module.InstanceShape] = []
    workers = _engines('2')
    seed, is_resuming = 1, False
    numbers: dict[str, typing.Any] = {}
    for word in words:
        name, _, value = word.partition('=')
        if name == 'hosts':
            hosts = value
        elif name == 'room':
            room = value
        elif name == 'cells':
            cells = value
        elif name == 'place':
            instances += _placed(value)
        elif name == 'engines':
            workers = _engines(value)
        elif name == 'seed':
            seed = int(value)
        elif word == 'resume':
            is_resuming = True
        elif name.startswith('policy.'):
            numbers |= _policy(name.removeprefix('policy.'), value)
        else:
            raise NotUnderstood(
                f'cannot read {word!r}: expected hosts=, room=, cells=, '
                f'place=, engines=, seed=, policy.NAME= or resume')
    policy = dataclasses.replace(cloud_module.POLICY, **numbers)
    return World(cloud_module.Shape(
        _hosts(hosts, room, cells), tuple(instances), workers, policy,
        is_resuming), seed)


def _hosts(names: str, room: str, cells: str
           ) -> tuple[cloud_module.HostShape, ...]:
    """One room, or one cell, is that of every host."""
    if names.isdigit():
        names = ','.join(f'host{number}'
                         for number in range(1, int(names) + 1))
    return tuple(
        cloud_module.HostShape(name, cell, int(number))
        for name, number, cell in zip(
            names.split(','), itertools.cycle(room.split(',')),
            itertools.cycle(cells.split(','))))


def _placed(value: str) -> list[cloud_module.InstanceShape]:
    host, _, names = value.partition(':')
    found = []
    for text in names.split(','):
        name, given = _options(text, (
            'stopped', 'error', 'cattle', 'bfv', 'priority', 'group',
            'policy'))
        vm_state = [one for one in ('stopped', 'error') if one in given]
        group = given.get('group')
        found.append(cloud_module.InstanceShape(
            name, host, vm_state=vm_state[0] if vm_state else 'active',
            is_pet='cattle' not in given,
            priority=int(given.get('priority', 500)),
            is_bfv='bfv' in given, group=group,
            group_policy=given.get('policy', 'soft-anti-affinity')
            if group else None))
    return found


def _options(text: str, known: tuple[str, ...]
             ) -> tuple[str, dict[str, str]]:
    name, *rest = text.split('+')
    given = {}
    for one in rest:
        key, _, value = one.partition('=')
        if key not in known:
            raise NotUnderstood(f'cannot read {text!r}: expected '
                                f'+{", +".join(known)}, found +{key}')
        given[key] = value
    return name, given


def _engines(value: str) -> tuple[tuple[str, int], ...]:
    if value.isdigit():
        return tuple((f'sched{number}', 1)
                     for number in range(1, int(value) + 1))
    found = []
    for text in value.split(','):
        machine, _, number = text.partition('/')
        found.append((machine, int(number)))
    return tuple(found)


def _policy(name: str, value: str) -> dict[str, typing.Any]:
    before = getattr(policy_module.Policy(), name, None)
    if before is None:
        raise NotUnderstood(f'cannot set policy.{name}: expected a number '
                            f'of model/policy.py')
    if isinstance(before, bool):
        return {name: value == 'yes'}
    return {name: type(before)(value)}


def world_line(known: World) -> str:
    """Return the ``world`` line of a cloud, as ``world()`` reads it."""
    shape = known.shape
    names = [host.name for host in shape.hosts]
    is_counted = names == [f'host{number}' for number in
                           range(1, len(names) + 1)]
    words = ['world', f'hosts={len(names) if is_counted else _all(names)}']
    rooms = [str(host.capacity) for host in shape.hosts]
    cells = [host.cell for host in shape.hosts]
    if set(rooms) != {str(ROOM)}:
        words.append(f'room={_all(rooms)}')
    if set(cells) != {CELL}:
        words.append(f'cells={_all(cells)}')
    # In the order in which they are: a cloud boots them so.
    words += [f'place={host}:{_all(_instance(one) for one in group)}'
              for host, group in itertools.groupby(
                  shape.instances, key=lambda one: one.host)]
    words.append('engines=' + ','.join(
        f'{machine}/{number}' for machine, number in shape.workers))
    words += [f'policy.{field.name}={_value(value)}'
              for field in dataclasses.fields(shape.policy)
              if (value := getattr(shape.policy, field.name)) !=
              getattr(cloud_module.POLICY, field.name)]
    if shape.resume_guests:
        words.append('resume')
    return ' '.join([*words, f'seed={known.seed}'])


def _all(names: collections.abc.Iterable[str]) -> str:
    return ','.join(names)


def _instance(one: cloud_module.InstanceShape) -> str:
    options = {
        'stopped': one.vm_state == 'stopped', 'error':
        one.vm_state == 'error', 'cattle': not one.is_pet,
        'bfv': one.is_bfv,
        'priority': None if one.priority == 500 else one.priority,
        'group': one.group, 'policy': one.group_policy}
    return '+'.join([one.name, *(
        key if value is True else f'{key}={value}'
        for key, value in options.items() if value not in (None, False))])


def _value(value: typing.Any) -> str:
    return ('yes' if value else 'no') if isinstance(value, bool) else (
        f'{value:g}' if isinstance(value, float) else str(value))


# -- faults -------------------------------------------------------------------


def fault(text: str) -> faults_module.Fault:
    """Return the fault of a ``fault`` line, without that word.

    Where it says no time, ``at_s`` and ``on`` are None: now.
    """
    for kind in _KINDS:
        if text == kind or text.startswith(f'{kind} '):
            break
    else:
        raise NotUnderstood(f'cannot read {text!r}: expected one of: '
                            f'{"; ".join(sorted(deeds.KINDS))}')
    words = shlex.split(text.removeprefix(kind))
    target = ''
    if deeds.KINDS[kind].target:
        if not words:
            raise NotUnderstood(f'cannot read {text!r}: expected a '
                                f'{deeds.KINDS[kind].target}')
        target = words.pop(0)
    given: dict[str, typing.Any] = {}
    while words:
        given |= _clause(words, text)
    return faults_module.Fault(kind, target, **given)


def _clause(words: list[str], text: str) -> dict[str, typing.Any]:
    """Take one clause off the words."""
    try:
        word = words.pop(0)
        if word == 'at':
            return {'at_s': seconds(words.pop(0))}
        if word == 'for':
            return {'lasts_s': seconds(words.pop(0))}
        if word == 'x':
            return {'amount': float(words.pop(0))}
        if word == 'on':
            found: dict[str, typing.Any] = {
                'on': (words.pop(0), words.pop(0), int(words.pop(0)))}
            if words and words[0].startswith('+'):
                found |= {'delay_s': seconds(words.pop(0)[1:])}
            return found
    except (IndexError, ValueError):
        word = 'too little'
    raise NotUnderstood(
        f'cannot read {text!r}: expected at TIME, on LINE WORD NUMBER '
        f'+TIME, for TIME or x NUMBER, found {word}')


def fault_line(known: faults_module.Fault) -> str:
    """Return the ``fault`` line, as ``fault()`` reads it."""
    words = ['fault', known.kind]
    if known.target:
        words.append(known.target)
    if known.on is not None:
        line, word, number = known.on
        words += ['on', line, shlex.quote(word), str(number)]
        if known.delay_s:
            words.append(f'+{_figure(known.delay_s)}')
    elif known.at_s is not None:
        words += ['at', _figure(known.at_s)]
    if known.lasts_s:
        words += ['for', _figure(known.lasts_s)]
    if known.amount:
        words += ['x', _figure(known.amount)]
    return ' '.join(words)


def _figure(value: float) -> str:
    return f'{value:.3f}'.rstrip('0').rstrip('.')
