# SPDX-License-Identifier: Apache-2.0
"""How each fault strikes a lab and ends, and whether it had an effect.

A deed is a generator: what is before ``yield`` strikes, what is after it
ends the fault and returns what shows that it had an effect, in words; ''
means that it had none, and then it does not count:

* kill: the process ran and is gone. pause: it was seen standing still.
* stall, cut: connections of that client were held or reset by the link.
* clock: its service record in Nova was ahead by the step.
* bmc: it gave at least one answer that was not as it should be.
* lost heartbeats: at least one was lost.
* a machine: it had power and was reachable, and lost one of them.
* people: the API or the command took what they asked for.

Faults that wait for an engine's word do not count when it never comes.
"""

import collections
import collections.abc
import json
import signal
import threading
import time

import requests

from nova_pets.tests.lab import bmc
from nova_pets.tests.lab import chaos_draw
from nova_pets.tests.lab import chaos_people
from nova_pets.tests.lab import chaos_story
from nova_pets.tests.lab import deeds
from nova_pets.tests.lab import link
from nova_pets.tests.lab import machine
from nova_pets.tests.lab import rest

Deed = collections.abc.Generator[None, None, str]
PAUSED_S = 0.3
ASKED_S = 20
"""A person repeats for so long what the API refuses for now."""
ENDED_S = 90
"""An order is ended, however long the ways are cut."""


class Field:
    """A lab with faults on it: one thread for each."""

    def __init__(self, lab: deeds.Lab, story: chaos_story.Story,
                 tail: chaos_story.Tail, people: chaos_people.People):
        self.lab, self.story, self.tail = lab, story, tail
        self.people = people
        self.counts: collections.Counter[str] = collections.Counter()
        """Faults that had an effect, by kind."""
        self.drawn: collections.Counter[str] = collections.Counter()
        self.over = threading.Event()
        self._links = threading.Lock()
        self._threads: list[threading.Thread] = []

    def begin(self, faults: collections.abc.Iterable[chaos_draw.Fault]
              ) -> None:
        self.over.clear()
        self._threads = [
            threading.Thread(target=self._suffer, args=(
                fault, len(self.tail.moves), time.monotonic()), daemon=True)
            for fault in faults]
        for thread in self._threads:
            thread.start()

    def is_quiet(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def heal(self) -> None:
        """End every fault that has not ended, and start what is gone."""
        self.over.set()
        for thread in self._threads:
            thread.join()
        lab = self.lab
        (lab.plan.directory / 'links.json').write_text('{}')
        lab.lose_heartbeats(0)
        for name in lab.processes.specs:
            self.start(name)

    def start(self, name: str) -> None:
        """Start a process, unless its machine cannot run it."""
        lab = self.lab
        if name in lab.plan.hosts:
            facts = lab.truth.facts(name)
            if facts.power != machine.ON or facts.is_cut_off:
                return
        if lab.processes.state(name) == 'paused':
            lab.processes.signal(name, signal.SIGCONT)
        lab.processes.start(name)

    # -- one fault ------------------------------------------------------------

    def _suffer(self, fault, seen, began):
        kind = fault.kind if not fault.on else f'{fault.kind}, in a recovery'
        self.drawn[kind] += 1
        if self.over.wait(max(0.0, began + fault.at_s - time.monotonic())):
            return
        target = fault.target
        if fault.on:
            move = self.tail.wait_for(fault.on, seen, self.over)
            target = move and self._role(fault, move)
            if not target:
                return
        self.story.tell('fault', f'{fault}' + (
            f': {target}' if fault.on else ''))
        try:
            effect = self._carry_out(fault, target)
        except Exception as error:
            # Whatever a broken cloud answers ends one fault, not the run.
            effect = ''
            self.story.tell('fault', f'{fault}: cannot: '
                            f'{type(error).__name__} {str(error)[:160]}')
        if effect:
            self.counts[kind] += 1
        self.story.tell('ended', f'{fault}: {effect or "no effect"}')

    def _carry_out(self, fault, target):
        deed = _DEEDS[fault.kind](self, fault, target)
        try:
            next(deed)
            self.over.wait(fault.lasts_s or None)
            next(deed)
        except StopIteration as end:
            return end.value
        raise AssertionError(f'{fault.kind} yields twice')

    def _role(self, fault, move):
        if fault.target == 'the receiver':
            return move.destination
        if fault.target == 'the engine':
            return move.engine
        if fault.target == 'a pet there':
            return self.people.pet_on(move.name)
        if fault.target == 'the conductor':
            host = self.people.host_of(move.name)
            cell = host and self.lab.plan.cell_of(host)
            return next((name for name, its in
                         self.lab.plan.conductors.items() if its == cell),
                        None)
        return fault.target

    # -- deeds ----------------------------------------------------------------

    def _kill(self, fault, name) -> Deed:
        known = self.lab.processes
        pid = known.pid(name)
        if pid is None:
            return ''
        known.kill(name)
        yield
        self.start(name)
        return f'{name} ({pid}) ended by SIGKILL'

    def _pause(self, fault, name) -> Deed:
        known = self.lab.processes
        if known.state(name) != 'running':
            return ''
        began = time.monotonic()
        known.signal(name, signal.SIGSTOP)
        time.sleep(PAUSED_S)
        stood = known.state(name) == 'paused'
        yield
        known.signal(name, signal.SIGCONT)
        return stood and (
            f'{name} stood still for {time.monotonic() - began:.0f} s') or ''

    def _way(self, fault, target) -> Deed:
        service, client = target.split()
        before = self._hurt(service, client)
        with self._links:
            self.lab.partition(client, service, fault.kind)
        yield
        with self._links:
            self.lab.partition(client, service, link.PASS)
        time.sleep(2 * link.LOOK_S)
        hurt = self._hurt(service, client) - before
        return f'{hurt} times held or reset' if hurt else ''

    def _hurt(self, service, client):
        counts = json.loads(link.hurt_path(
            self.lab.plan.directory, service).read_text())
        return sum(counts.values()) if client == '*' else counts[client]

    def _clock(self, fault, name) -> Deed:
        seconds = int(fault.amount)
        self.lab.step_clock(name, seconds)
        yield
        try:
            ahead = self.lab.another().clock_ahead_s(name)
        finally:
            self.lab.step_clock(name, 0)
        return f'{name} is {ahead:+.0f} s ahead' if abs(
            ahead - seconds) < max(6, abs(seconds) / 2) else ''

    def _bmc(self, fault, host) -> Deed:
        truth = self.lab.truth.directory
        before = _lines(bmc.misbehaved(truth))
        mood = truth / f'bmc_{host}'
        mood.write_text(fault.amount)
        yield
        mood.unlink(missing_ok=True)
        count = sum(json.loads(line)['host'] == host for line in
                    _lines(bmc.misbehaved(truth))[len(before):])
        return f'{count} answers: {bmc.MOODS[fault.amount]}' if count else ''

    def _heartbeats(self, fault, target) -> Deed:
        path = self.lab.truth.directory / 'lost_heartbeats.count'
        before = len(''.join(_lines(path)))
        self.lab.lose_heartbeats(float(fault.amount))
        yield
        self.lab.lose_heartbeats(0)
        lost = len(''.join(_lines(path))) - before
        return f'{lost} heartbeats lost' if lost else ''

    # -- machines -------------------------------------------------------------

    def _is_well(self, host):
        facts = self.lab.truth.facts(host)
        return facts.power == machine.ON and not facts.is_cut_off

    def _hang(self, fault, host) -> Deed:
        if not self._is_well(host):
            return ''
        self.lab.fail_host(host)
        return f'{host} hangs, its guests run on'
        yield

    def _power_loss(self, fault, host) -> Deed:
        if not self._is_well(host):
            return ''
        self.lab.lose_power(host)
        if fault.lasts_s:
            yield
            # It comes back by itself, whatever was done with its pets.
            self.lab.mend_host(host)
        return f'{host} has lost its power'

    def _partition(self, fault, host) -> Deed:
        if not self._is_well(host):
            return ''
        lab = self.lab
        lab.truth.cut_off(host, True)
        if fault.kind == 'freeze':
            lab.processes.signal(host, signal.SIGSTOP)
        with self._links:
            lab.partition(host, 'broker', link.STALL)
        yield
        with self._links:
            lab.partition(host, 'broker', link.PASS)
        lab.truth.cut_off(host, False)
        lab.processes.signal(host, signal.SIGCONT)
        return f'{host} was on its own' + (
            '' if self._is_well(host) else ', and was powered off for it')

    # -- people ---------------------------------------------------------------

    def _person(self, fault, name) -> Deed:
        """Repeated for a while, as people do: the API may be away."""
        deadline = time.monotonic() + ASKED_S
        while True:
            try:
                return self.people.do(fault.kind, name)
            except (rest.Refused, requests.RequestException):
                if time.monotonic() > deadline or self.over.wait(1):
                    raise
        yield

    def _force_down(self, fault, name) -> Deed:
        """Somebody takes a living host for dead, and evacuates from it."""
        host = self.people.host_of(name)
        if not host or not self._is_well(host):
            return ''
        self.people.force(host, True)
        try:
            asked = self.people.do('evacuate', name)
        except rest.Refused as error:
            asked = f'evacuation refused: {str(error)[-80:]}'
        yield
        if self._is_well(host):
            self.people.force(host, False)
        else:
            self.people.leave_down(host)
        return f'{host} forced down; {asked}'

    def _pets_order(self, fault, target) -> Deed:
        begin, end = {
            'pets pause': (('pause',), ('resume',)),
            'pets maintenance': (('maintenance', target),
                                 ('maintenance', target, '--off'))
        }[fault.kind]
        found = self._order(*begin)
        if not found.get('ordered'):
            return ''
        yield
        deadline = time.monotonic() + ENDED_S
        while time.monotonic() < deadline:
            last = self._order(*end)
            if last.get('ended') or last.get('already'):
                break
            time.sleep(2)
        return f'{" ".join(begin)} was ordered, engines {found["engines"]}'

    def _order(self, *words) -> dict:
        """Return what became of an order. Its exit code does not tell: an
        order that no engine hears is one, too, and has to be ended."""
        text = self.lab.pets(*words, '--reason', 'chaos', '--json')[1]
        try:
            return json.JSONDecoder().raw_decode(text)[0]
        except ValueError:
            return {}


def _lines(path):
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []


_DEEDS: dict[str, collections.abc.Callable[..., Deed]] = {
    'kill': Field._kill, 'pause': Field._pause, 'stall': Field._way,
    'cut': Field._way, 'clock': Field._clock, 'bmc': Field._bmc,
    'lost heartbeats': Field._heartbeats, 'hang': Field._hang,
    'power loss': Field._power_loss, 'returns': Field._power_loss,
    'partition': Field._partition, 'freeze': Field._partition,
    'force down': Field._force_down, 'pets pause': Field._pets_order,
    'pets maintenance': Field._pets_order,
    **{kind: Field._person for kind in (
        'stop', 'start', 'reboot', 'delete', 'evacuate', 'error', 'untag')}}
