# SPDX-License-Identifier: Apache-2.0
"""Looks at the cloud: what is true, and what nova-pets says; changes nothing.

What is true comes from the machines (embedded.EmbeddedCloud), what nova-pets
says from its own tables by the store contract. A Scene keeps them apart.
"""

import collections
import dataclasses
import time

from nova_pets.model import reasons
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.tests.demo import judge

TRUTH = 'truth'
PETS = 'pets'
DEMO = 'demo'

_MOST_NAMES = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened."""

    at_s: float
    who: str
    """TRUTH (the machines), PETS (its history) or DEMO (what we broke)."""
    text: str
    state: str = ''
    """That a host or recovery went into; '' for anything else."""
    is_after_crash: bool = False

    @property
    def clock(self) -> str:
        sign = '+' if self.is_after_crash else ''
        return f'{sign}{self.at_s:.1f} s'


@dataclasses.dataclass(frozen=True, slots=True)
class HostRow:
    host: str
    power: str
    is_alive: bool
    """Its kernel runs; not what its BMC says."""
    running: int
    state: str
    why: tuple[str, ...]
    """The same in words, the longest first: a screen takes what fits."""


@dataclasses.dataclass(frozen=True, slots=True)
class InstanceRow:
    name: str
    is_pet: bool
    runs_on: tuple[str, ...]
    state: str
    why: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    clock: str
    hosts: tuple[HostRow, ...]
    instances: tuple[InstanceRow, ...]
    open: int
    """Recoveries that are not finished, as nova-pets says."""


class Watcher:
    """Remembers what it saw, so that it can say what is new."""

    def __init__(self, cloud, began):
        """:param began: time.monotonic() when the demo began."""
        self._cloud = cloud
        self._store = cloud.store
        self._zero = began
        self._is_after_crash = False
        self._last_event = 0
        self._last_at = None
        self._runs_on: dict[str, list[str]] = {}
        self._protected: dict[str, bool] = {}
        self.cast: tuple[judge.Cast, ...] = ()
        self.events: list[records.Event] = []
        self.lines: list[Line] = []
        self.doubles: set[str] = set()
        self.ran: list[tuple[float, str, str]] = []
        """(monotonic time, uuid, host) of each guest seen to begin."""

    # -- time -----------------------------------------------------------------

    def start_clock(self):
        """From now on, seconds are counted since the crash."""
        self._zero = time.monotonic()
        self._is_after_crash = True

    @property
    def passed_s(self):
        return time.monotonic() - self._zero

    def line(self, who, text, state=''):
        return Line(self.passed_s, who, text, state, self._is_after_crash)

    # -- one look -------------------------------------------------------------

    def look(self):
        """Return (the scene, the lines that are new)."""
        guests = self._cloud.guests()
        stored = self._store.snapshot()
        latest = {row.instance_uuid: row
                  for row in reversed(self._store.recoveries())}
        new = self._new_guests(guests) + self._new_events()
        self.lines += new
        return self._scene(guests, stored, latest), new

    def say(self, text):
        line = self.line(DEMO, text)
        self.lines.append(line)
        return line

    def _new_guests(self, guests):
        begun = collections.defaultdict(list)
        for one in self.cast:
            hosts = sorted(host for host, held in guests.items()
                           if held.get(one.uuid) == 'running')
            if len(hosts) > 1:
                self.doubles.add(one.name)
            for host in set(hosts) - set(self._runs_on.get(one.uuid, ())):
                self.ran.append((time.monotonic(), one.uuid, host))
                if self._is_after_crash:
                    begun[host].append(one.name)
            self._runs_on[one.uuid] = hosts
        return [self.line(TRUTH, f'{_names(names)} '
                          f'{"runs" if len(names) == 1 else "run"} on {host}')
                for host, names in sorted(begun.items())]

    def _new_events(self):
        found = [event for event in self._store.history(since=self._last_at)
                 if event.id > self._last_event]
        if not found:
            return []
        self._last_event, self._last_at = found[-1].id, found[-1].at
        self.events += found
        if not self._is_after_crash:
            return []
        names = {one.uuid: one.name for one in self.cast}
        told = collections.defaultdict(list)
        for event in found:
            what = what_happened(event)
            about = (names.get(event.instance_uuid, event.instance_uuid)
                     if event.instance_uuid else event.host)
            told[what, event.to_state or ''].append(about or 'all')
        return [self.line(PETS, f'{_names(sorted(about))}: {what}', state)
                for (what, state), about in told.items()]

    # -- the scene ------------------------------------------------------------

    def _scene(self, guests, stored, latest):
        return Scene(
            clock=self.line(DEMO, '').clock,
            hosts=tuple(self._host(host, guests, stored)
                        for host in self._cloud.hosts),
            instances=tuple(self._instance(one, latest.get(one.uuid))
                            for one in self.cast),
            open=len(stored.recoveries))

    def _host(self, host, guests, stored):
        row = next((row for row in stored.hosts if row.host == host), None)
        machine = self._cloud.ground.machines[host]
        return HostRow(
            host=host, power=machine.read_bmc(),
            is_alive=machine.is_running,
            running=sum(state == 'running'
                        for state in guests[host].values()),
            state=str(row.state) if row else '', why=_why_of_host(row))

    def _instance(self, one, recovery):
        if not one.is_pet:
            state, why = '', ('not tagged: nova-pets leaves it alone',)
        elif recovery is None:
            state, why = self._before(one)
        else:
            state = str(recovery.state)
            why = (sentence(recovery.reason, recovery.detail),
                   recovery.detail or reasons.text(recovery.reason))
        return InstanceRow(
            name=one.name, is_pet=one.is_pet,
            runs_on=tuple(self._runs_on.get(one.uuid, ())),
            state=state, why=why)

    def _before(self, one):
        """What nova-pets says of a pet that never needed it."""
        if not self._protected.get(one.uuid):
            for pet in self._store.pets(uuids=[one.uuid]):
                self._protected[one.uuid] = not pet.unprotected
                if pet.unprotected:
                    return 'tagged', (reasons.text(pet.unprotected[0]),)
        if self._protected.get(one.uuid):
            return 'protected', ('tagged ha=true, its host has a fence',)
        return 'tagged', ('ha=true in its metadata',)

    def truth(self, falls):
        """Return the world as the machines, not the databases, have it."""
        return judge.Truth(
            cast=self.cast, guests=self._cloud.guests(),
            power=self._cloud.power(),
            starts={one.uuid: self._cloud.starts(one.uuid)
                    for one in self.cast},
            disks=dict(self._cloud.storage.made),
            evacuated=tuple(
                uuid for uuid, _request in self._cloud.evacuate_casts),
            falls=tuple(falls), doubles=tuple(sorted(self.doubles)))


def _why_of_host(row):
    if row is None or row.state is states.HostState.UP:
        return ('',)
    why = reasons.text(row.reason) if row.reason else ''
    if row.forced_down:
        return f'forced down; {why}', why
    return (why,)


def what_happened(event):
    """Return 'up -> suspect: its heartbeat stands still'."""
    why = sentence(event.code, event.text)
    if not event.to_state:
        return event.text or why
    return f'{event.from_state or "new"} -> {event.to_state}: {why}'


def sentence(code, detail):
    """Return what a reason means, with its figures."""
    text = reasons.text(code) if code else ''
    if detail and detail not in text:
        return f'{text} ({detail})' if text else detail
    return text


def _names(names):
    names = list(dict.fromkeys(names))
    if len(names) <= _MOST_NAMES:
        return ', '.join(names)
    shown = names[:_MOST_NAMES - 1]
    return '%s and %d more' % (', '.join(shown), len(names) - len(shown))
