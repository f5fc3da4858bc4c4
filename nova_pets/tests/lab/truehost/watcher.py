# SPDX-License-Identifier: Apache-2.0
"""The eyes of the judge: which qemu runs in which host, seen from outside.

Looks at the processes of the machine many times a second and writes into the
journal of machine.Truth where a guest began to run and where it ended, for
checker.py. A qemu that is stopped is there: it may go on. Asks neither
libvirt nor Nova, and is itself in no host.

    python -m nova_pets.tests.lab.truehost.watcher DIRECTORY
"""

import dataclasses
import json
import os
import pathlib
import sys
import time

from nova_pets.tests.lab import machine
from nova_pets.tests.lab import processes
from nova_pets.tests.lab.truehost import guest
from nova_pets.tests.lab.truehost import spaces

LOOK_S = 0.05
SAY_S = 0.5
SETTLED_S = 20
"""A process that was no qemu for so long becomes none: it would have called
exec() long ago."""
FILE = 'watcher.json'


@dataclasses.dataclass(frozen=True)
class Seen:
    uuid: str
    name: str
    space: str
    """Its pid namespace."""


class Eyes:
    """What there is, cheaply enough to look all the time."""

    def __init__(self, directory: pathlib.Path):
        """
        :param directory: of the lab; the qemu of others are not seen.
        """
        self._mark = f'{directory}{os.sep}'
        self._known = {}
        self._others = {}

    def look(self) -> dict[int, Seen]:
        """Return pid -> guest."""
        now = time.monotonic()
        there = set(spaces.pids())
        for known in (self._known, self._others):
            for pid in known.keys() - there:
                del known[pid]
        found = {}
        for pid in there:
            began = self._others.get(pid)
            if began is not None and now - began > SETTLED_S:
                continue
            seen = _read(pid, self._mark)
            if seen is None:
                self._others.setdefault(pid, now)
            else:
                # What libvirtd forked became a qemu by exec().
                self._others.pop(pid, None)
                # Of one that is on its way out the namespace is gone first.
                found[pid] = self._known[pid] = self._known.get(pid, seen)
        return found


def copies(directory: pathlib.Path) -> dict[str, list[int]]:
    """Return instance uuid -> the pids of its qemu, at this moment."""
    found = {}
    for pid, seen in Eyes(directory).look().items():
        found.setdefault(seen.uuid, []).append(pid)
    return found


def _read(pid, mark):
    try:
        with open(f'/proc/{pid}/cmdline', 'rb') as stream:
            text = stream.read().decode(errors='replace')
    except OSError:
        return None
    words = text.split('\0')
    if os.path.basename(words[0]) != guest.PROGRAM or mark not in text:
        return None
    options = dict(zip(words[1:], words[2:]))
    if '-uuid' not in options:
        return None
    name = options.get('-name', '').split(',')[0].removeprefix('guest=')
    return Seen(options['-uuid'], name, spaces.of(pid) or 'unknown')


class Watcher:
    """Writes what changes."""

    def __init__(self, directory: pathlib.Path):
        self._path = directory / FILE
        self._truth = machine.Truth(directory / 'truth')
        self._processes = processes.Processes(directory)
        self._eyes = Eyes(directory)
        self._hosts = {}
        self._noted = {}
        self._looks = 0
        self._longest_s = 0.0

    def run(self):
        last = said = time.monotonic()
        while True:
            self.look()
            now = time.monotonic()
            self._longest_s = max(self._longest_s, now - last)
            last = now
            self._looks += 1
            if now - said > SAY_S:
                said = now
                self._say(now)
            time.sleep(LOOK_S)

    def look(self):
        found = self._eyes.look()
        for pid in [pid for pid in self._noted if pid not in found]:
            place, seen = self._noted.pop(pid)
            self._note(place, seen, machine.GONE, pid)
        for pid in sorted(found.keys() - self._noted.keys()):
            seen = found[pid]
            place = self._place(seen, pid)
            self._noted[pid] = place, seen
            self._note(place, seen, machine.RUNNING, pid)

    def _place(self, seen, pid):
        """Return its host; of a second copy there, a place of its own."""
        if seen.space not in self._hosts:
            self._hosts |= spaces.of_hosts(self._processes,
                                           self._truth.names)
        host = self._hosts.get(seen.space, f'nowhere ({seen.space})')
        taken = any(place == host and other.uuid == seen.uuid
                    for place, other in self._noted.values())
        return f'{host} (pid {pid})' if taken else host

    def _note(self, place, seen, state, pid):
        self._truth.note(place, guest=seen.uuid, name=seen.name, state=state,
                         pid=pid)

    def _say(self, now):
        new = self._path.with_suffix('.new')
        new.write_text(json.dumps({
            'at': now, 'looks': self._looks, 'longest_s': self._longest_s}))
        new.replace(self._path)


def sight(directory: pathlib.Path) -> dict:
    """Return when it looked last, how often, and its longest blink."""
    return json.loads((directory / FILE).read_text())


if __name__ == '__main__':
    Watcher(pathlib.Path(sys.argv[1])).run()
