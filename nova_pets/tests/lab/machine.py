# SPDX-License-Identifier: Apache-2.0
"""One host of the lab as it really is: its power, its guests, its network.

Kept in files, because nova-compute comes and goes and a checker has to see
what runs whatever Nova's database says. All changes of all hosts pass one
lock and leave one line each in one journal, so that their order is known.
Knows nothing of Nova.

A guest starts only while the power is on. Without power none runs, and none
comes back with the power: somebody has to start it.
"""

import collections.abc
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import time

ON, TURNING_OFF, OFF = 'on', 'turning_off', 'off'
RUNNING, PAUSED, SUSPENDED, SHUTDOWN = (
    'running', 'paused', 'suspended', 'shutdown')
GONE = 'gone'
"""In the journal only: the guest is no longer defined."""
ALIVE = frozenset({RUNNING, PAUSED})
"""Its memory is there: it may write at any moment."""


class NoPower(Exception):
    """Somebody wants to start a guest on a machine that is off."""


@dataclasses.dataclass
class Facts:
    power: str = ON
    is_cut_off: bool = False
    """Nobody reaches it and it reaches nobody; its guests live on."""
    guests: dict[str, dict[str, str]] = dataclasses.field(
        default_factory=dict)
    """instance uuid -> name and state."""


class Truth:
    """All machines of a lab: a file each, a lock and a journal for all."""

    def __init__(self, directory: pathlib.Path):
        self.directory = pathlib.Path(directory)

    def make(self, names: collections.abc.Iterable[str]) -> None:
        """Lay out machines that have never run anything."""
        (self.directory / 'disks').mkdir(parents=True)
        for name in names:
            self._write(name, Facts())
        self.journal_path.touch()

    @property
    def journal_path(self) -> pathlib.Path:
        return self.directory / 'journal'

    @property
    def names(self) -> list[str]:
        return sorted((path.stem for path in self.directory.glob('*.json')),
                      key=lambda name: (len(name), name))

    def facts(self, name: str) -> Facts:
        return Facts(**json.loads(self._path(name).read_text()))

    def journal(self) -> list[dict]:
        with self.journal_path.open() as lines:
            return [json.loads(line) for line in lines]

    def has_disk(self, uuid: str) -> bool:
        return (self.directory / 'disks' / uuid).exists()

    def make_disk(self, uuid: str) -> None:
        """Shared storage: every host sees every disk."""
        (self.directory / 'disks' / uuid).touch()

    def remove_disk(self, uuid: str) -> None:
        (self.directory / 'disks' / uuid).unlink(missing_ok=True)

    # -- changes --------------------------------------------------------------

    def set_guest(self, host: str, uuid: str, name: str, state: str) -> None:
        """Define the guest anew, or change the state of the one there.

        :raises NoPower: it cannot run on a machine that is off.
        """
        with self._change(host) as (facts, note):
            if state in ALIVE and facts.power != ON:
                raise NoPower(f'{host} is {facts.power}')
            facts.guests[uuid] = {'name': name, 'state': state}
            note(guest=uuid, name=name, state=state)

    def remove_guest(self, host: str, uuid: str) -> None:
        with self._change(host) as (facts, note):
            gone = facts.guests.pop(uuid, None)
            if gone is not None:
                note(guest=uuid, name=gone['name'], state=GONE)

    def set_power(self, host: str, power: str) -> None:
        with self._change(host) as (facts, note):
            if facts.power == power:
                return
            facts.power = power
            note(power=power)
            if power == ON:
                return
            for uuid, guest in facts.guests.items():
                if guest['state'] != SHUTDOWN:
                    guest['state'] = SHUTDOWN
                    note(guest=uuid, name=guest['name'], state=SHUTDOWN)

    def cut_off(self, host: str, is_cut_off: bool) -> None:
        with self._change(host) as (facts, note):
            facts.is_cut_off = is_cut_off
            note(cut_off=is_cut_off)

    def note(self, host: str, **what) -> None:
        """Write a line that changes nothing here: of somebody who saw
        it."""
        with self._lock():
            self._append(host, [what])

    # -- files ----------------------------------------------------------------

    @contextlib.contextmanager
    def _lock(self):
        with (self.directory / 'lock').open('a') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _change(self, host):
        lines = []
        with self._lock():
            facts = self.facts(host)
            before = dataclasses.asdict(self.facts(host))
            yield facts, lambda **what: lines.append(what)
            if dataclasses.asdict(facts) != before:
                self._write(host, facts)
                self._append(host, lines)

    def _append(self, host, lines):
        head = {'at': time.monotonic(), 'wall': time.time(), 'host': host}
        with self.journal_path.open('a') as journal:
            for line in lines:
                journal.write(json.dumps({**head, **line}) + '\n')

    def _path(self, name):
        return self.directory / f'{name}.json'

    def _write(self, name, facts):
        # Readers hold no lock: they see the old file or the new one.
        path = self._path(name)
        new = path.with_suffix(f'.{os.getpid()}.new')
        new.write_text(json.dumps(dataclasses.asdict(facts)))
        new.replace(path)
