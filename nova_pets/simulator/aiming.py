# SPDX-License-Identifier: Apache-2.0
"""What seeds aim at, so that chance alone leaves no corner out for long.

Pure data, but for the pets that an aim picks. A seed takes the next aim of
each series; some take a whole setup besides: the few faults that, together,
lead to where hardly any seed comes by itself.
"""

import collections.abc
import random
import typing

from nova_pets.model import states
from nova_pets.simulator import cloud as cloud_module
from nova_pets.simulator import deeds
from nova_pets.simulator import faults as faults_module

FROM = 10_000_000
"""Seeds below keep what they always were."""

Aim = tuple[str, tuple[str, str]]
"""(kind of fault, (kind of line, word in it))"""

_HOST_STATES = tuple(str(state) for state in states.HostState)
_OF_HOSTS = ('host returns', 'operator confirms', 'operator fences',
             'operator releases', 'person forces up')
"""What people do to a host, in each of its states."""
_IN_NOVA: tuple[Aim, ...] = tuple(
    (kind, ('nova', word)) for kind, words in (
        ('host returns', ('accepted', 'claim', 'spawning', 'block devices')),
        ('broker away', ('written', 'accepted')),
        ('nova-compute killed', ('spawning', 'powering off', 'after spawn',
                                 'compute_rebuild_instance begins')),
        ('host crashes', ('powering off', 'saves after spawn', 'spawning',
                          'casts to destination')),
        ('conductor killed', ('reads migration', 'claimed', 'accepted')),
        ('cell database away', ('spawn', 'after spawn'))) for word in words)
"""What breaks an evacuation in a window that is seldom met."""


def aims() -> list[list[Aim]]:
    """Return, per series, what seeds aim at: each takes the next of each."""
    return [
        [(kind, ('recovery', str(state))) for kind in sorted(deeds.KINDS)
         for state in sorted(states.TRANSIENT)],
        [(kind, ('host', state)) for kind in _OF_HOSTS
         for state in _HOST_STATES] + list(_IN_NOVA)]


def pets(kind: str, shape: cloud_module.Shape, chance: random.Random
         ) -> list[str]:
    """Return whom a person's deed would mean something to: mostly those that
    do not live on the host that fails."""
    found = [one for one in shape.instances if one.is_pet]
    wanted = [one for one in found if one.vm_state == 'stopped'
              ] if kind == 'person starts' else [
                  one for one in found if one.host != 'host1']
    if wanted and chance.random() < 0.7:
        found = wanted
    return [one.name for one in found]


Setup = tuple[tuple[str, str, typing.Any, float, float, float], ...]
"""(kind, target, seconds or mark, delay, duration, amount) of each fault"""

_RETURNS_EARLY = ('host returns', 'host1', ('host', 'fenced', 1), 0.6, 0.0,
                  0.0)
SETUPS: tuple[Setup, ...] = (
    # Who fenced is gone, and a person says that the host is off.
    (('host loses power', 'host1', 7.5, 0.0, 0.0, 0.0),
     ('all engines killed', '', ('host', 'fencing', 1), 0.0, 1.5, 0.0),
     ('operator confirms', 'host1', ('host', 'fencing', 1), 0.2, 0.0, 0.0)),
    # It came back too early, and a person switched it off again.
    (_RETURNS_EARLY,
     ('host loses power', 'host1', ('host', 'quarantined', 1), 0.1, 0.0, 0.0),
     ('operator confirms', 'host1', ('host', 'quarantined', 1), 0.2, 0.0,
      0.0)),
    # It cannot be proven off; another tool fences it.
    (('BMC unbound', 'host1', 6.0, 0.0, 60.0, 0.0),
     ('another tool fences', 'host1', ('host', 'unproven', 1), 0.5, 0.0,
      0.0)),
    # It cannot be proven off, and was down before.
    (('BMC unbound', 'host2', 6.0, 0.0, 90.0, 0.0),
     ('host cut off', 'host2', 7.0, 0.0, 12.0, 0.0),
     ('host cut off', 'host2', 30.0, 0.0, 14.0, 0.0)),
    # Forced down by us, it came back too early, and is cut off without a
    # device that could fence it.
    (_RETURNS_EARLY,
     ('BMC unbound', 'host1', ('host', 'quarantined', 1), 15.0, 60.0, 0.0),
     ('host cut off', 'host1', ('host', 'quarantined', 1), 26.0, 20.0, 0.0)),
    # It cannot be proven off, and a person orders it once more.
    (('BMC mute', 'host1', 6.0, 0.0, 90.0, 0.0),
     ('operator fences', 'host1', ('host', 'unproven', 1), 0.5, 0.0, 0.0)),
    # A destination fails in turn, and the cell forgets that it was one.
    (('BMC mute', 'host3', 7.0, 0.0, 60.0, 0.0),
     ('host cut off', 'host3', ('recovery', 'verifying', 1), 0.0, 12.0, 0.0),
     ('cell database fails over', 'cell1', ('recovery', 'rebased', 1), 0.05,
      0.0, 25.0)),
)
POLICIES: tuple[dict[str, typing.Any], ...] = (
    {}, {}, {'trust_forced_down': True}, {'flap_count': 2}, {}, {},
    {'verify_watch_s': 20.0})
"""What the operator has set in each."""


def setup_of(seed: int) -> int | None:
    """Return the number of its setup."""
    if seed < FROM or seed % 4 != 1:
        return None
    return seed // 4 % len(SETUPS)


def faults_of(setup: Setup) -> collections.abc.Iterator[faults_module.Fault]:
    for kind, target, when, delay_s, lasts_s, amount in setup:
        at_s, on = (None, when) if isinstance(when, tuple) else (when, None)
        yield faults_module.Fault(kind, target, at_s, on, delay_s, lasts_s,
                                  amount)
