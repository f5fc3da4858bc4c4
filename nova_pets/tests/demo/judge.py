# SPDX-License-Identifier: Apache-2.0
"""Says whether the story ended well; pure, and mistrusts every database.

What it is given comes from the hypervisors' own lists, the BMCs, the storage
and the message bus alone.
"""

import collections.abc
import dataclasses

REBUILD_SPAWNING = 'rebuild_spawning'


@dataclasses.dataclass(frozen=True, slots=True)
class Cast:
    """One instance of the story."""

    uuid: str
    name: str
    is_pet: bool
    born: str
    """The host where it was booted."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fall:
    """One host that the demo crashed."""

    host: str
    pet: str = ''
    """uuid of the pet that the host was about to receive; '' for the first
    host."""
    task_state: str | None = None
    """Of that pet, read from Nova at this moment."""


@dataclasses.dataclass(frozen=True, slots=True)
class Truth:
    """The world at the end."""

    cast: tuple[Cast, ...]
    guests: dict[str, dict[str, str]]
    """host -> instance uuid -> 'running' or 'shutdown'."""
    power: dict[str, str]
    """host -> what its BMC says."""
    starts: dict[str, dict[str, int]]
    """instance uuid -> host -> how often a guest was started there."""
    disks: dict[str, int]
    """instance uuid -> how often its disk was made from the image."""
    evacuated: tuple[str, ...]
    """instance uuid of each rebuild that reached a conductor."""
    falls: tuple[Fall, ...] = ()
    doubles: tuple[str, ...] = ()
    """Names seen running on two hosts at any look."""

    def running(self, uuid: str) -> list[str]:
        return sorted(host for host, guests in self.guests.items()
                      if guests.get(uuid) == 'running')


def problems(truth: Truth, falls: int) -> list[str]:
    """Return what is wrong, one sentence each; none: it ended well.

    :param falls: how many hosts were to crash.
    """
    found = list(_of_the_story(truth, falls)) + list(_of_hosts(truth))
    for one in truth.cast:
        found += _of_a_pet(truth, one) if one.is_pet else \
            _of_cattle(truth, one)
    known = {one.uuid for one in truth.cast}
    for host, guests in sorted(truth.guests.items()):
        found += [f'{host} has a guest that nobody booted: {uuid}'
                  for uuid in sorted(set(guests) - known)]
    return found


Sentences = collections.abc.Iterator[str]


def _of_the_story(truth: Truth, falls: int) -> Sentences:
    """It must have happened what the demo says."""
    if not any(one.is_pet for one in truth.cast):
        yield 'there was no pet'
    if len(truth.falls) != falls:
        yield (f'{falls} hosts were to crash, {len(truth.falls)} did: the '
               f'story was not played to its end')
    names = {one.uuid: one.name for one in truth.cast}
    for fall in truth.falls[1:]:
        if fall.task_state != REBUILD_SPAWNING:
            yield (f'{fall.host} crashed while {names.get(fall.pet)} was in '
                   f'{fall.task_state}, not in {REBUILD_SPAWNING}')


def _of_hosts(truth: Truth) -> Sentences:
    fallen = {fall.host for fall in truth.falls}
    for host, power in sorted(truth.power.items()):
        if host in fallen and power != 'off':
            yield (f'{host} crashed, and its BMC says {power}: it was never '
                   f'powered off')
        if host not in fallen and power != 'on':
            yield f'{host} never failed, and its BMC says {power}'


def _of_a_pet(truth: Truth, pet: Cast) -> Sentences:
    hosts = truth.running(pet.uuid)
    if not hosts:
        yield f'pet {pet.name} runs nowhere'
    if len(hosts) > 1:
        yield f'pet {pet.name} runs more than once: on {", ".join(hosts)}'
    for host in hosts:
        if truth.power.get(host) != 'on':
            yield (f'pet {pet.name} runs on {host}, whose BMC says '
                   f'{truth.power.get(host)}')
    if pet.name in truth.doubles:
        yield f'pet {pet.name} was seen running on two hosts at once'
    yield from _of_its_data(truth, pet)
    starts = truth.starts.get(pet.uuid, {})
    for host, times in sorted(starts.items()):
        if times != 1:
            yield f'pet {pet.name} was started {times} times on {host}'
    fallen = {fall.host for fall in truth.falls}
    if pet.born not in fallen and (
            set(starts) != {pet.born} or pet.uuid in truth.evacuated):
        yield f'pet {pet.name} was moved although {pet.born} never failed'


def _of_cattle(truth: Truth, one: Cast) -> Sentences:
    fallen = {fall.host for fall in truth.falls}
    expected = [] if one.born in fallen else [one.born]
    hosts = truth.running(one.uuid)
    if hosts != expected:
        yield (f'cattle {one.name} was touched: it runs on '
               f'{", ".join(hosts) or "no host"}, expected '
               f'{", ".join(expected) or "none"}')
    if truth.starts.get(one.uuid) != {one.born: 1}:
        yield (f'cattle {one.name} was touched: started '
               f'{truth.starts.get(one.uuid)}, expected once on {one.born}')
    if one.uuid in truth.evacuated:
        yield f'cattle {one.name} was touched: Nova was asked to evacuate it'
    yield from _of_its_data(truth, one)


def _of_its_data(truth: Truth, one: Cast) -> Sentences:
    made = truth.disks.get(one.uuid, 0)
    if made != 1:
        yield (f'the disk of {one.name} was made {made} times from its '
               f'image: expected once')
