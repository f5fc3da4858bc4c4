# SPDX-License-Identifier: Apache-2.0
"""The owners of the instances of a lab: what they want, do, and repeat.

What an owner wants of a pet changes when Nova takes a request (2xx), and
only then; a deletion is asked for until it comes to pass. Afterwards, when
the faults are over, an owner who asked for something in this round looks
whether it came to pass, and asks again: Nova loses requests of which it has
told nobody. A pet whose owner did nothing is left alone, so that it counts
as lost if it is not as it was. One thing more is done and counted: an orphan
of a deleted instance is destroyed.
"""

import collections
import dataclasses
import time

from nova_pets.tests.lab import chaos_judge
from nova_pets.tests.lab import chaos_story
from nova_pets.tests.lab import checker
from nova_pets.tests.lab import deeds
from nova_pets.tests.lab import machine

PATIENCE_S = 12.0
MOST_STOPPED = 3
BOOTED_S = 120


@dataclasses.dataclass
class Pet:
    name: str
    uuid: str
    wanted: str = chaos_judge.RUNNING
    is_untagged: bool = False
    is_touched: bool = False
    """Its owner did something to it in this round."""


class People:

    def __init__(self, lab: deeds.Lab, story: chaos_story.Story,
                 tail: chaos_story.Tail, names: tuple[str, ...]):
        self._lab, self._story, self._tail = lab, story, tail
        self._names = names
        self.pets: dict[str, Pet] = {}
        """By name; who follows a deleted one has its name."""
        self.gone: dict[str, str] = {}
        """uuid -> name of those that were deleted."""
        self.cattle: list[str] = []
        self.repeated: collections.Counter[str] = collections.Counter()
        """What was asked for again, or mended by hand."""
        self._forced: set[str] = set()
        self._seen: dict[str, tuple[str, float]] = {}

    def wanted(self) -> dict[str, str]:
        return {pet.uuid: pet.wanted for pet in self.pets.values()} | {
            uuid: chaos_judge.GONE for uuid in self.gone}

    def names(self) -> dict[str, str]:
        return {pet.uuid: pet.name for pet in self.pets.values()} | self.gone

    @property
    def is_any_untagged(self) -> bool:
        return any(pet.is_untagged and pet.wanted != chaos_judge.GONE
                   for pet in self.pets.values())

    def settle(self, hosts: tuple[str, ...]) -> None:
        """Have all pets there again, and most of them running."""
        cloud = self._lab.cloud
        for pet in list(self.pets.values()):
            if pet.wanted == chaos_judge.GONE:
                del self.pets[pet.name]
            pet.is_touched = False
        self._seen.clear()
        self._boot_missing(hosts)
        if not self.cattle:
            for number, host in enumerate(hosts[1::2]):
                self.cattle.append(cloud.boot(f'cow{number}', host))
                self._tail.names[self.cattle[-1]] = f'cow{number}'
        stopped = [pet for pet in self.pets.values()
                   if pet.wanted == chaos_judge.STOPPED]
        for pet in stopped[MOST_STOPPED:]:
            cloud.act(pet.uuid, 'os-start')
            pet.wanted = chaos_judge.RUNNING

    def _boot_missing(self, hosts):
        """Boot what is not there, and again what Nova could not build."""
        cloud = self._lab.cloud
        deadline = time.monotonic() + BOOTED_S
        booted = []
        while True:
            missing = [name for name in self._names if name not in self.pets]
            for number, name in enumerate(missing):
                host = hosts[number % len(hosts)] if not self.cattle else None
                uuid = cloud.boot(name, host, {'ha': 'true'})
                self._tail.names[uuid] = name
                self.pets[name] = Pet(name, uuid)
                booted.append(self.pets[name])
            servers = cloud.servers()
            for pet in list(booted):
                server = servers.get(pet.uuid, {'status': 'unknown'})
                if server['status'] == 'ERROR':
                    self._did('boot again', pet, server.get(
                        'fault', {}).get('message', 'ERROR'))
                    cloud.delete(pet.uuid)
                    self.gone[pet.uuid] = pet.name
                    booted.remove(pet)
                    del self.pets[pet.name]
                elif server['status'] == 'ACTIVE':
                    booted.remove(pet)
            if not booted and len(self.pets) == len(self._names) or (
                    time.monotonic() > deadline):
                return
            time.sleep(1)

    def host_of(self, name: str) -> str | None:
        """Return where the guest of a pet runs."""
        pet = self.pets.get(name)
        places = checker.running(self._lab.truth.journal())
        return min(places.get(pet.uuid, ()), default=None) if pet else None

    def pet_on(self, host: str) -> str | None:
        """Return a pet whose guest was on this host last."""
        last = {line['guest']: line['host'] for line in
                self._lab.truth.journal() if 'guest' in line and
                line['state'] != machine.GONE}
        return min((pet.name for pet in self.pets.values()
                    if last.get(pet.uuid) == host and not pet.is_touched),
                   default=None)

    # -- what they do ---------------------------------------------------------

    def do(self, what: str, name: str) -> str:
        """Ask for it; return what was asked for, '' if it makes no sense.

        :raises Refused: the API did not take it.
        """
        pet = self.pets[name]
        cloud = self._lab.cloud.another()
        is_running = pet.wanted == chaos_judge.RUNNING
        if pet.wanted == chaos_judge.GONE or (
                what in ('stop', 'reboot') and not is_running) or (
                what == 'start' and is_running):
            return ''
        # Asked, it may come to pass although the answer was lost.
        pet.is_touched = True
        if what == 'delete':
            # No way back: asked again until it is gone.
            pet.wanted = chaos_judge.GONE
            self.gone[pet.uuid] = pet.name
            cloud.delete(pet.uuid)
        elif what == 'untag':
            pet.is_untagged = True
            cloud.tag(pet.uuid, False)
        else:
            action, body = {
                'stop': ('os-stop', None), 'start': ('os-start', None),
                'reboot': ('reboot', {'type': 'HARD'}),
                'evacuate': ('evacuate', {}),
                'error': ('os-resetState', {'state': 'error'})}[what]
            cloud.act(pet.uuid, action, body)
            pet.wanted = {'stop': chaos_judge.STOPPED,
                          'start': chaos_judge.RUNNING}.get(what, pet.wanted)
        return f'{what} {name} was accepted'

    def force(self, host: str, is_down: bool) -> None:
        """Force a host down, or up again; what failed is repeated."""
        if is_down:
            self._forced.add(host)
        self._lab.cloud.another().force(host, is_down)
        if not is_down:
            self._forced.discard(host)

    def leave_down(self, host: str) -> None:
        """It is nova-pets' now: it has failed meanwhile."""
        self._forced.discard(host)

    def _tag_again(self):
        for pet in self.pets.values():
            if pet.is_untagged and pet.wanted != chaos_judge.GONE:
                self._lab.cloud.tag(pet.uuid, True)
                pet.is_untagged = False

    # -- what they repeat -----------------------------------------------------

    def look(self, seen: chaos_judge.Seen, open_recoveries: set[str],
             hosts_up: set[str]) -> None:
        """See to it that what was asked for comes to pass."""
        places = chaos_judge.running(seen.journal, seen.hosts)
        self._tag_again()
        for host in self._forced & hosts_up:
            self.force(host, False)
        for pet in self.pets.values():
            server = seen.servers.get(pet.uuid)
            if pet.wanted == chaos_judge.GONE:
                # Whatever is done to it meanwhile, without end: its disk may
                # be gone by what was asked for before. Of one that nova has
                # no more, an orphan may be left: below.
                if server is not None and self._is_old(pet.uuid,
                                                       'not deleted'):
                    self._repeat(pet, server, f'{server["status"]}, task '
                                 f'{server["OS-EXT-STS:task_state"]}', False)
                continue
            if pet.uuid in open_recoveries or server is None or (
                    # The operator's audit looks after these.
                    server['OS-EXT-STS:task_state'] or '').startswith(
                    'rebuil') or (
                    server['OS-EXT-SRV-ATTR:host'] not in hosts_up and
                    server['OS-EXT-SRV-ATTR:host'] is not None):
                self._seen.pop(pet.uuid, None)
                continue
            state = (f'{server["status"]}, task '
                     f'{server["OS-EXT-STS:task_state"]}, '
                     f'{len(places.get(pet.uuid, ()))} guests')
            if not self._is_old(pet.uuid, state):
                continue
            if pet.is_touched:
                self._repeat(pet, server, state,
                             bool(places.get(pet.uuid)))
        for uuid, name in self.gone.items():
            there = checker.running(seen.journal).get(uuid, set())
            if uuid in seen.servers or not there or not self._is_old(
                    uuid, f'orphan {sorted(there)}'):
                continue
            self.repeated['orphan of a deleted instance destroyed'] += 1
            for host in there:
                self._story.tell('by hand', f'orphan {name} on {host} '
                                 'destroyed')
                self._lab.truth.remove_guest(host, uuid)

    def _repeat(self, pet, server, state, is_there):
        task, status = server['OS-EXT-STS:task_state'], server['status']
        if pet.wanted == chaos_judge.GONE:
            self._did('delete', pet, state)
            if task == 'deleting':
                # The request to its host is lost, and Nova ignores another.
                self._lab.cloud.act(pet.uuid, 'os-resetState',
                                    {'state': 'active'})
            self._lab.cloud.delete(pet.uuid)
            return
        good = (status, is_there) == {
            chaos_judge.RUNNING: ('ACTIVE', True),
            chaos_judge.STOPPED: ('SHUTOFF', False)}[pet.wanted]
        if task is None and good:
            return
        self._did(f'have it {pet.wanted}', pet, state)
        self._again(pet, pet.wanted, server)

    def _again(self, pet, wanted, server):
        cloud = self._lab.cloud
        if server['OS-EXT-STS:task_state'] or server['status'] == 'ERROR':
            cloud.act(pet.uuid, 'os-resetState', {'state': 'active'})
            if wanted == chaos_judge.STOPPED:
                cloud.act(pet.uuid, 'os-stop')
                return
        if wanted == chaos_judge.STOPPED:
            cloud.act(pet.uuid, 'os-stop')
        else:
            cloud.act(pet.uuid, 'reboot', {'type': 'HARD'})

    def _did(self, what, pet, state):
        self.repeated[what] += 1
        self._seen.pop(pet.uuid, None)
        self._story.tell('by hand', f'{pet.name}: {what} ({state})')

    def _is_old(self, key, value):
        now = time.monotonic()
        before = self._seen.get(key)
        if before is None or before[0] != value:
            self._seen[key] = (value, now)
            return False
        return now - before[1] >= PATIENCE_S


