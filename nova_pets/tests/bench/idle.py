# SPDX-License-Identifier: Apache-2.0
"""SQL statements of idle engines on an embedded cloud, all databases.

The engines of the scheduler itself are stopped; engines of this module's own
take their turns one after the other on a virtual clock, so that the figure
does not depend on the machine.
"""

import collections
import dataclasses
import threading

import sqlalchemy

from nova_pets import wiring
from nova_pets.model import policy
from nova_pets.tests import cloud as cloud_package  # noqa: F401
from nova_pets.tests import inline_workers
from nova_pets.tests.cloud import pets
from nova_pets.tests.cloud import processes

VIRTUAL_S = 240
_OF_SQLITE = ('BEGIN', 'PRAGMA')
"""What a server would not see as a statement of its own."""


class Statements:
    """Counts what this thread sends to any database."""

    def __init__(self):
        self.count = collections.Counter()
        self._thread = threading.get_ident()

    def __enter__(self):
        sqlalchemy.event.listen(sqlalchemy.engine.Engine,
                                'before_cursor_execute', self._note)
        return self

    def __exit__(self, *rest):
        sqlalchemy.event.remove(sqlalchemy.engine.Engine,
                                'before_cursor_execute', self._note)

    def _note(self, connection, cursor, statement, *rest):
        words = statement.split()
        if threading.get_ident() != self._thread or words[0] in _OF_SQLITE:
            return
        if words[0] == 'UPDATE' and words[-1] == '1' and words[-3] == '0':
            return  # UPDATE ... WHERE 0 = 1: how SQLite is locked early
        table = words[words.index('FROM') + 1] if 'FROM' in words \
            else words[min(1, len(words) - 1)]
        self.count[f'{words[0]} {table}'] += 1


class VirtualClock:
    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def measure(workers, schedulers):
    """Return (observers, statements per second in all, per cycle of one)."""
    clock = VirtualClock()
    engines = []
    for number in range(workers):
        built = wiring.build_engine(worker=f'bench{number}')
        # The same engine on another clock and without threads.
        for part in (built, built.standing, built.executor,
                     built.executor._driver, built._collector):
            part._clock = clock
            if hasattr(part, '_workers'):
                part._workers = inline_workers.InlineWorkers()
        built.standing.engine = dataclasses.replace(
            built.standing.engine, host=f'bench{number % schedulers}')
        engines.append(built)
    due = {engine: 0.0 for engine in engines}
    _drive(engines, due, clock, 60)
    with Statements() as counted:
        cycles = _drive(engines, due, clock, VIRTUAL_S)
    total = sum(counted.count.values())
    observers = [engine for engine in engines if engine.standing.has_slot]
    if workers == 1:
        for name, number in counted.count.most_common():
            print(f'    {number / VIRTUAL_S:5.2f}/s  {name}')
    turns = sum(cycles[engine] for engine in observers)
    for engine in engines:
        engine.standing.resign()
    return len(observers), total / VIRTUAL_S, total / max(turns, 1)


def _drive(engines, due, clock, seconds):
    """Take every turn that is due for so long; return turns per engine."""
    turns = collections.Counter()
    until = clock.now + seconds
    while clock.now < until:
        for engine in engines:
            if due[engine] <= clock.now:
                due[engine] = clock.now + max(engine.cycle(), 0.1)
                turns[engine] += 1
        clock.now = min(min(due.values()), until)
    return turns


def main():
    # No heartbeat may look silent while virtual minutes pass in a moment.
    detection = {'suspect_heartbeats': 100, 'down_heartbeats': 1000}
    numbers = policy.Policy()
    options = {'idle_interval': numbers.idle_interval_s,
               'claim_ttl': numbers.claim_ttl_s}
    with pets.PetsCloud(hosts=5, report_interval_s=10,
                        pets={'pets': options, 'pets_detection': detection},
                        start_scheduler=False):
        print('idle engines, 5 hosts, 1 cell, default intervals')
        print('schedulers  workers in all  observers  statements/s in all  '
              'statements per observing cycle')
        process = processes.Process('bench', 'scheduler',
                                    settings={'host': 'bench'},
                                    cell='cell1')
        with processes.running_as(process):
            for schedulers, workers in ((1, 1), (1, 10), (3, 48)):
                observers, rate, per_cycle = measure(workers, schedulers)
                print(f'{schedulers:10}  {workers:14}  {observers:9}  '
                      f'{rate:19.2f}  {per_cycle:30.1f}')
