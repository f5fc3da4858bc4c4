# SPDX-License-Identifier: Apache-2.0
"""The story of a run of chaos: a line for each thing that happened.

Faults and healing are told by who does them. What the engines and the
machines do is read where it is written anyway: the engines' logs and the
journal of machine.Truth. Each line has the seconds since the run began and
the round; a person should be able to follow one pet through it.
"""

import collections.abc
import datetime
import json
import pathlib
import re
import threading
import time

from nova_pets.tests.lab import deeds
from nova_pets.tests.lab import machine
from nova_pets.tests.lab import plan as plan_module

LOOK_S = 0.1
_MOVE = re.compile(r'^(recovery|host) (\S+): \w+ -> (\w+) ')
_ON = re.compile(r'; on (\S+)\)$')


class Move:
    """A line of an engine: a host or a recovery is in another state now."""

    def __init__(self, engine: str, match: re.Match):
        self.engine = engine
        """The nova-scheduler that said it."""
        self.kind, self.name, self.state = match[1], match[2], match[3]
        self.text = match.string
        found = _ON.search(self.text)
        self.destination = found[1] if found else ''
        self.at = time.monotonic()


class Story:
    """Written to a file and said as it happens.

    :param say: takes a line.
    """

    def __init__(self, path: pathlib.Path,
                 say: collections.abc.Callable[[str], None]):
        self._file = path.open('w', buffering=1)
        self._say = say
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self.round = 0

    def tell(self, kind: str, text: str) -> None:
        line = (f'{time.monotonic() - self._began:7.1f}  r{self.round:<3} '
                f'{kind:8} {text}')
        with self._lock:
            self._file.write(line + '\n')
            self._say(line)

    def begin(self, seed: int, what: str) -> None:
        self.tell('run', f'seed {seed}; {what}; began '
                  f'{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S} '
                  'UTC')


class Tail(threading.Thread):
    """Reads what the engines and the machines say, as they say it."""

    def __init__(self, plan: plan_module.Plan, truth: machine.Truth,
                 story: Story):
        super().__init__(daemon=True)
        self._logs = {name: _Lines(plan.directory / 'logs' / f'{name}.log')
                      for name in plan.scheduler_names}
        self._journal = _Lines(truth.journal_path)
        self._story = story
        self._news = threading.Condition()
        self._places: dict[str, set[str]] = {}
        self._ended = threading.Event()
        for lines in self._logs.values():
            lines.new()
        self.names: dict[str, str] = {}
        """uuid -> what a person calls it."""
        self.moves: list[Move] = []
        self.twice: list[str] = []
        """What ran on two hosts; the checker judges, this tells at once."""

    def run(self) -> None:
        while not self._ended.wait(LOOK_S):
            self._look()

    def stop(self) -> None:
        self._ended.set()
        self.join()
        self._look()

    def wait_for(self, wanted: str, seen: int, until: threading.Event
                 ) -> Move | None:
        """Return the next move to ``KIND STATE``; None: until came first.

        :param seen: moves that are not news.
        """
        kind, state = wanted.split()
        while not until.is_set():
            with self._news:
                self._news.wait(timeout=0.2)
                news, seen = self.moves[seen:], len(self.moves)
            for move in news:
                if (move.kind, move.state) == (kind, state):
                    return move
        return None

    def found_down_at(self, host: str) -> float:
        """Return when a host was last found down (monotonic), 0.0: never."""
        return max((move.at for move in self.moves if (
            move.kind, move.name, move.state) == ('host', host, 'down')),
            default=0.0)

    def _look(self):
        for line in self._journal.new():
            self._machine(json.loads(line))
        for name, lines in self._logs.items():
            for line in lines.new():
                match = deeds.LINE.match(line)
                if match:
                    self._engine(name, match[2])

    def _engine(self, name, text):
        match = _MOVE.match(text)
        if match is None:
            if not text.startswith('engine '):
                self._story.tell('says', f'{text} [{name}]')
            return
        self._story.tell('engine', f'{text} [{name}]')
        with self._news:
            self.moves.append(Move(name, match))
            self._news.notify_all()

    def _machine(self, line):
        if 'power' in line:
            self._story.tell('machine', f'{line["host"]} is {line["power"]}')
        elif 'cut_off' in line:
            self._story.tell('machine', f'{line["host"]} ' + (
                'cannot be reached' if line['cut_off'] else 'is reachable'))
        else:
            hosts = self._places.setdefault(line['guest'], set())
            if line['state'] in machine.ALIVE:
                hosts.add(line['host'])
            else:
                hosts.discard(line['host'])
            name = self.names.get(line['guest'], line['guest'][:8])
            self._story.tell('guest', f'{name} is {line["state"]} on '
                             f'{line["host"]}')
            if len(hosts) > 1:
                self.twice.append(line['guest'])
                self._story.tell('TWICE', f'{name} runs on '
                                 f'{", ".join(sorted(hosts))}')


class _Lines:
    """The lines that come to a file."""

    def __init__(self, path):
        self._path = path
        self._at = 0

    def new(self):
        try:
            with self._path.open('rb') as stream:
                stream.seek(self._at)
                data = stream.read()
        except FileNotFoundError:
            return []
        whole = data.rfind(b'\n') + 1
        self._at += whole
        return data[:whole].decode(errors='replace').splitlines()
