# SPDX-License-Identifier: Apache-2.0
"""Chaos on a lab: rounds of seeded faults, each healed, each judged.

A round: the owners have all their pets; many faults strike on top of each
other (chaos_draw.py, chaos_strike.py); all that broke is mended, but machines
that died stay dead: that is nova-pets' work, and then the operator's
(chaos_operator.py). Within BOUND_S all has to be as its owner has it
(chaos_judge.py), or the run fails. What ran twice fails it at once.
"""

import collections
import dataclasses
import json
import statistics
import subprocess
import time

import requests
import sqlalchemy as sa

from nova_pets.db import models
from nova_pets.tests.lab import chaos_draw
from nova_pets.tests.lab import chaos_judge
from nova_pets.tests.lab import chaos_operator
from nova_pets.tests.lab import chaos_people
from nova_pets.tests.lab import chaos_story
from nova_pets.tests.lab import chaos_strike
from nova_pets.tests.lab import checker
from nova_pets.tests.lab import deeds
from nova_pets.tests.lab import plan as plan_module
from nova_pets.tests.lab import rest

BOUND_S = 300.0
"""From the end of the faults to everything as it has to be."""
CALM_S = 180.0
"""For the owners to have all pets again, and all hosts up."""
ROUND_S = 150.0
"""No round begins with less time left than this, or than the median."""
PETS = tuple(f'pet{number}' for number in range(1, 13))
CELLS, COMPUTES, SCHEDULERS, WORKERS = 2, 7, 3, 2
EXTRA = {
    'DEFAULT': {'rpc_response_timeout': 20,
                'resume_guests_state_on_host_boot': True},
    'pets': {'backoff_max': 20, 'scheduling_timeout': 60,
             'building_alarm': 60},
    'pets_fencing': {'day_hosts': 100000, 'fence_timeout': 30,
                     'fence_retry': 5, 'outage_calm': 15},
}
"""What otherwise bounds convergence by itself: Nova's 60 s, and ours for
people who sleep. More machines fail in an hour than in a year. A machine that
boots starts its guests, as on many clouds: one that comes back too early makes
a second copy if nova-pets is wrong, and one that nobody missed needs nobody.
"""


@dataclasses.dataclass
class Result:
    seed: int
    rounds: int = 0
    counts: collections.Counter = dataclasses.field(
        default_factory=collections.Counter)
    """Faults that had an effect, by kind."""
    drawn: int = 0
    converged_s: list[float] = dataclasses.field(default_factory=list)
    twice: list[str] = dataclasses.field(default_factory=list)
    lost: list[str] = dataclasses.field(default_factory=list)
    """Pets that did not run, or should not have, when the time was over, and
    that no recovery was still at."""
    problems: list[str] = dataclasses.field(default_factory=list)
    """All that was not as it has to be then."""
    fences: int = 0
    recovered: int = 0
    by_hand: collections.Counter = dataclasses.field(
        default_factory=collections.Counter)

    @property
    def is_good(self) -> bool:
        return bool(self.rounds) and not (self.twice or self.problems)

    @property
    def is_safe(self) -> bool:
        """Whatever else is wrong, none ran twice and none is lost."""
        return not (self.twice or self.lost)

    def lines(self) -> list[str]:
        good = self.converged_s or [0.0]
        found = [
            f'seed {self.seed}, {self.rounds} rounds: '
            f'{sum(self.counts.values())} of {self.drawn} faults had an '
            'effect',
            *(f'  {count:4} {kind}' for kind, count in sorted(
                self.counts.items(), key=lambda item: (-item[1], item[0]))),
            f'power-offs {self.fences}, recoveries {self.recovered}',
            *(f'  {count:4} by hand: {what}' for what, count in sorted(
                self.by_hand.items())),
            f'converged after {statistics.median(good):.0f} s (median), '
            f'{max(good):.0f} s (longest), of {BOUND_S:.0f} s',
            f'twice: {len(self.twice)}, lost: {len(self.lost)}']
        found += self.twice + self.problems
        return found + ['passed' if self.is_good else 'FAILED']


class Chaos:
    """One run on a lab that is up.

    :param say: takes a line.
    """

    def __init__(self, lab: deeds.Lab, seed: int, say):
        self._lab = lab
        self.result = Result(seed)
        plan = lab.plan
        self._story = chaos_story.Story(plan.directory / 'story', say)
        self._tail = chaos_story.Tail(plan, lab.truth, self._story)
        self._people = chaos_people.People(lab, self._story, self._tail,
                                           PETS)
        self._operator = chaos_operator.Operator(lab, self._story)
        self._field = chaos_strike.Field(lab, self._story, self._tail,
                                         self._people)

    def run(self, until: float) -> Result:
        """Run rounds as long as there is time for one.

        :param until: by the monotonic clock.
        """
        result, took = self.result, [ROUND_S]
        self._story.begin(result.seed, f'{len(PETS)} pets on '
                          f'{self._lab.plan.computes} hosts')
        self._tail.start()
        try:
            for drawn in chaos_draw.rounds(result.seed, shape(
                    self._lab.plan)):
                began = time.monotonic()
                if began + statistics.median(took) > until:
                    break
                if not self._round(drawn):
                    break
                took.append(time.monotonic() - began)
        finally:
            self._field.heal()
            self._tail.stop()
            self._sum_up()
            for line in result.lines():
                self._story.tell('verdict', line)
        return result

    def _round(self, drawn):
        story, lab = self._story, self._lab
        story.round = drawn.number
        story.tell('round', f'{len(drawn.faults)} faults; a spawn takes '
                   f'{drawn.spawn_s} s')
        self._settle()
        if not self._converge(CALM_S, 'before the faults'):
            return False
        (lab.truth.directory / 'spawn_delay').write_text(str(drawn.spawn_s))
        self._field.begin(drawn.faults)
        ends = time.monotonic() + chaos_draw.LONGEST_S
        while time.monotonic() < ends and not self._tail.twice and (
                not self._field.is_quiet()):
            time.sleep(0.2)
        story.tell('heal', 'all faults end')
        self._field.heal()
        began = time.monotonic()
        if not self._converge(BOUND_S, 'after the faults'):
            return False
        took = time.monotonic() - began
        self.result.rounds += 1
        self.result.converged_s.append(took)
        story.tell('healed', f'all is as it has to be after {took:.1f} s; '
                   f'{sum(self._field.counts.values())} faults with effect '
                   'so far')
        return True

    def _settle(self):
        deadline = time.monotonic() + CALM_S
        while True:
            try:
                self._people.settle(tuple(self._lab.plan.hosts))
                return
            except (rest.Refused, requests.RequestException):
                if time.monotonic() > deadline:
                    raise
                time.sleep(2)

    def _converge(self, seconds, when):
        """Let the operator and the owners work until all is well."""
        deadline = time.monotonic() + seconds
        found = ['nothing was looked at']
        recovered = set()
        while time.monotonic() < deadline:
            try:
                seen, status = self._look()
                found = chaos_judge.problems(
                    seen, self._people.wanted(), self._people.names())
                if self._tail.twice:
                    break
                if not found and not self._people.is_any_untagged:
                    return True
                self._operator.turn(status)
                self._operator.audit(seen.servers, status)
                recovered = {row['uuid']
                             for row in status['recoveries']['rows']}
                self._people.look(
                    seen, recovered, set(seen.hosts) - {
                        row['host'] for row in status['hosts']['not_up']})
            except (rest.Refused, requests.RequestException, ValueError,
                    subprocess.SubprocessError) as error:
                found = [f'cannot look: {error}']
            time.sleep(1)
        self.result.problems += found
        lab = self._lab
        self.result.lost += chaos_judge.guests(
            lab.truth.journal(),
            {name: lab.truth.facts(name) for name in lab.plan.hosts},
            {uuid: what for uuid, what in self._people.wanted().items()
             if uuid not in recovered}, self._people.names())
        self._story.tell('LOST', f'not in {seconds:.0f} s {when}:')
        for text in found:
            self._story.tell('LOST', text)
        self._story.tell('LOST', 'nova-manage pets status:\n' +
                         lab.pets('status')[1])
        kept = lab.plan.directory / 'side-tables'
        kept.write_text(rows(sa.create_engine(
            lab.plan.database('api', None))))
        self._story.tell('LOST', f'rows of nova-pets: {kept}')
        return False

    def _look(self):
        lab = self._lab
        code, text = lab.pets('status', '--json')
        status = json.loads(text[text.index('{'):])
        hosts = {name: lab.truth.facts(name) for name in lab.plan.hosts}
        return chaos_judge.Seen(
            journal=lab.truth.journal(), hosts=hosts,
            processes={name: lab.processes.state(name)
                       for name in lab.processes.specs},
            servers=lab.cloud.servers(), computes=lab.cloud.computes(),
            status=(code, status['headline'])), status

    def _sum_up(self):
        result, journal = self.result, self._lab.truth.journal()
        result.counts = self._field.counts
        result.drawn = sum(self._field.drawn.values())
        result.twice = checker.twice(journal)
        result.fences = sum(
            (move.kind, move.state) == ('host', 'fenced')
            for move in self._tail.moves)
        result.recovered = sum(
            (move.kind, move.state) == ('recovery', 'recovered')
            for move in self._tail.moves)
        result.by_hand = self._operator.did + self._people.repeated


def rows(database: sa.Engine) -> str:
    """Return what the side tables have, a line for each row: a lab is taken
    down before anybody looks why."""
    lines = []
    with database.connect() as conn:
        for table in models.METADATA.sorted_tables:
            lines += [f'{table.name} ' + ' '.join(
                f'{name}={value!r}' for name, value in row._mapping.items()
                if value is not None)
                for row in conn.execute(sa.select(table))]
    return '\n'.join(lines) + '\n'


def shape(plan: plan_module.Plan) -> chaos_draw.Shape:
    return chaos_draw.Shape(
        hosts={cell: tuple(plan.hosts_of(cell)) for cell in plan.cell_names},
        schedulers=tuple(plan.scheduler_names),
        conductors=tuple(plan.conductors), apis=(*plan_module.APIS, 'bmc'),
        clients={service: tuple(clients)
                 for service, clients in plan.clients.items()}, pets=PETS)
