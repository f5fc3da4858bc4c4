# SPDX-License-Identifier: Apache-2.0
"""Plays the story: builds the cloud, boots, breaks machines, looks on.

Only machines are broken here. What brings the pets back is nova-pets, loaded
into the stock scheduler by nova.conf as an operator loads it.
"""

import dataclasses
import time

from nova_pets.cmd import access
from nova_pets.cmd import reading
from nova_pets.cmd import reports
from nova_pets.cmd import screens
from nova_pets.tests.cloud import pets as pets_cloud
from nova_pets.tests.demo import arguments
from nova_pets.tests.demo import judge
from nova_pets.tests.demo import timings
from nova_pets.tests.demo import watching

SPAWN_DELAY_S = 1.0
"""A hypervisor takes its time to start a guest; so does this one."""
_LOOK_EVERY_S = 0.15
_AFTERMATH_S = 1.0
"""Looked on after the end, for late messages."""
_WIDTH = 79
_PHASES = {
    'suspect': '%s is silent. Are others silent too, and does the machine '
               'answer?',
    'down': '%s answers nobody. But is it off? Until that is proven, nothing '
            'moves',
    'fencing': '%s is being powered off by its BMC',
    'fenced': '%s is proven off. Now, and only now, its pets start elsewhere',
}
"""What is going on, by the state of the host that fell last."""
FIRST = arguments.FIRST_CRASH


@dataclasses.dataclass(frozen=True, slots=True)
class PetTimes:
    """What became of one pet."""

    name: str
    path: tuple[str, ...]
    """Where a guest of it was seen running, in order; in brackets, hosts
    that an attempt was for and where none ever ran."""
    back_s: float | None
    """From the crash that took it (the last one) until it ran again."""
    seconds: dict[str, float]
    """{state: seconds} of its recoveries."""


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    problems: tuple[str, ...]
    truth: judge.Truth
    hosts: tuple[timings.HostSteps, ...]
    pets: tuple[PetTimes, ...]
    lines: tuple[watching.Line, ...]
    status: str
    """What ``nova-manage pets status`` says at the end."""
    scene: watching.Scene


class GaveUp(Exception):
    """The story did not come to its end in time."""


class Show:
    def __init__(self, options, view, directory, began):
        """:param view: screen.Screen or plain.Plain.
        :param directory: for the cloud's files; nova.log is one of them.
        """
        self._options = options
        self._view = view
        self._directory = directory
        self._began = began
        self._falls = []
        self._crashes = {}
        self._aims = {}
        self._scene = None
        self._gave_up = ''
        self._told = set()

    def run(self):
        """Play it and return the Outcome."""
        options, heartbeat_s = self._options, self._options.heartbeat_s
        self._view.phase('A Nova of %d hosts starts in this process: API, '
                         'conductor, scheduler, placement' % options.hosts)
        with pets_cloud.PetsCloud(
                hosts=options.hosts, report_interval_s=heartbeat_s,
                directory=self._directory, progress=self._view.step,
                pets={'pets_detection': {'suspect_heartbeats': 3,
                                         'down_heartbeats': 4}}) as cloud:
            self._cloud = cloud
            self._watcher = watching.Watcher(cloud, self._began)
            try:
                self._boot()
                self._break()
                self._end()
            except GaveUp as error:
                self._gave_up = str(error)
            return self._outcome()

    # -- the story ------------------------------------------------------------

    def _boot(self):
        options = self._options
        self._view.phase('%d instances boot, %d of them pets (ha=true), all '
                         'of these on %s' % (
                             options.instances, options.pets, FIRST))
        placed = places(options.instances, options.pets,
                        list(self._cloud.hosts))
        try:
            uuids = self._cloud.boot_many({
                name: {'host': host,
                       'metadata': {'ha': 'true'} if is_pet else {}}
                for name, (host, is_pet) in placed.items()})
        except AssertionError as error:
            raise GaveUp('the story could not begin: %s' % error) from error
        self._watcher.cast = tuple(
            judge.Cast(uuids[name], name, is_pet, host)
            for name, (host, is_pet) in placed.items())
        self._view.phase('nova-pets finds the tagged ones and tries its '
                         'fence for their host')
        self._until('every pet to be protected', self._are_protected)
        self._cloud.spawn_delay_s = SPAWN_DELAY_S
        self._view.phase('All is well; every pet is protected. Now %s is '
                         'going to crash' % FIRST)
        self._look_on(1.5)

    def _are_protected(self):
        pets = self._cloud.store.pets()
        return len(pets) == self._options.pets and not any(
            pet.unprotected for pet in pets)

    def _break(self):
        victim = [one for one in self._watcher.cast if one.is_pet][-1]
        hold = self._hold(victim)
        self._watcher.start_clock()
        self._crash(FIRST, '%s crashes: kernel, nova-compute and all guests '
                    'are gone. Its BMC still says on' % FIRST)
        self._view.phase('%s is dead, and nobody tells Nova' % FIRST)
        while hold is not None:
            hold = self._crash_receiver(victim, hold)

    def _hold(self, victim):
        """Let whoever spawns the victim next wait for us, as long as more
        receivers are to crash."""
        if len(self._falls) > self._options.receivers:
            return None
        return self._cloud.hold(None, 'spawn', victim.uuid)

    def _crash_receiver(self, victim, hold):
        """Crash the host that spawns the victim; return the next hold."""
        self._until('%s to reach a receiver' % victim.name,
                    lambda: any(hold.held))
        host = hold.held[0][0]
        task_state = self._cloud.server(victim.uuid)['OS-EXT-STS:task_state']
        self._crash(host, '%s crashes too, while %s is in %s there' % (
            host, victim.name, task_state), victim.uuid, task_state)
        following = self._hold(victim)
        hold.release()
        self._view.phase('%s is dead, half way through building %s (%s)' % (
            host, victim.name, task_state))
        return following

    def _crash(self, host, text, pet='', task_state=None):
        self._crashes[host] = (time.monotonic(), self._cloud.store.now())
        self._cloud.crash(host)
        self._falls.append(judge.Fall(host, pet, task_state))
        self._view.lines([self._watcher.say(text)])

    def _end(self):
        self._until('every pet to be back', self._is_over)
        self._view.phase('Every pet is back. Looking on for late messages')
        self._look_on(_AFTERMATH_S)

    def _is_over(self):
        """As nova-pets says; whether it is true, the judge says."""
        rows = {row.host: row for row in self._cloud.store.snapshot().hosts}
        return not self._scene.open and all(
            rows[fall.host].state == 'vacated' for fall in self._falls)

    # -- looking on -----------------------------------------------------------

    def _until(self, what, check):
        """:raises GaveUp: it did not come before --timeout."""
        while True:
            self._look()
            if check():
                return
            if time.monotonic() - self._began > self._options.timeout_s:
                raise GaveUp('waited in vain for %s (--timeout %g)' % (
                    what, self._options.timeout_s))
            time.sleep(_LOOK_EVERY_S)

    def _look_on(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._look()
            time.sleep(_LOOK_EVERY_S)

    def _look(self):
        self._scene, lines = self._watcher.look()
        self._tell_phase()
        self._view.lines(lines)
        self._view.draw(self._scene)

    def _tell_phase(self):
        """Say in words what is going on, once per host and state."""
        if not self._falls:
            return
        last = self._falls[-1].host
        state = next(row.state for row in self._scene.hosts
                     if row.host == last)
        if state in _PHASES and (last, state) not in self._told:
            self._told.add((last, state))
            self._view.phase(_PHASES[state] % last)

    # -- the end --------------------------------------------------------------

    def _outcome(self):
        self._look()
        self._aims = self._read_aims()
        truth = self._watcher.truth(self._falls)
        problems = [self._gave_up] if self._gave_up else []
        problems += judge.problems(truth, self._options.falls)
        return Outcome(
            problems=tuple(problems), truth=truth,
            hosts=tuple(self._steps(host) for host in self._crashes),
            pets=tuple(self._pet(one) for one in truth.cast if one.is_pet),
            lines=tuple(self._watcher.lines), status=self._status(),
            scene=self._scene)

    def _steps(self, host):
        crashed, at = self._crashes[host]
        return timings.host_steps(
            host, at, self._watcher.events,
            [began - crashed for began in self._back(host)])

    def _back(self, host):
        """Return when each pet of a crashed host ran again, the first time
        after that crash."""
        crashed, _at = self._crashes[host]
        victims = {uuid for seen, uuid, where in self._watcher.ran
                   if where == host and seen < crashed}
        victims |= {uuid for uuid, aims in self._aims.items()
                    if host in aims}
        pets = {one.uuid for one in self._watcher.cast if one.is_pet}
        firsts = {}
        for seen, uuid, _where in self._watcher.ran:
            if seen > crashed and uuid in victims & pets:
                firsts.setdefault(uuid, seen)
        return list(firsts.values())

    def _pet(self, one):
        ran = [(seen, host) for seen, uuid, host in self._watcher.ran
               if uuid == one.uuid]
        back_s = None
        if len(ran) > 1 and ran[-2][1] in self._crashes:
            crashed = self._crashes[ran[-2][1]][0]
            back_s = round(ran[-1][0] - crashed, 1)
        truly = {host for _seen, host in ran}
        path = [one.born] + [
            aim if aim in truly else '(%s)' % aim
            for aim in self._aims.get(one.uuid, [])]
        return PetTimes(
            name=one.name, path=tuple(path), back_s=back_s,
            seconds=timings.state_seconds(one.uuid, self._watcher.events))

    def _read_aims(self):
        """Return {uuid: destination of each attempt, in order}."""
        store, aims = self._cloud.store, {}
        for recovery in reversed(store.recoveries()):
            aims.setdefault(recovery.instance_uuid, []).extend(
                attempt.destination for attempt in store.attempts(recovery.id)
                if attempt.destination)
        return aims

    def _status(self):
        settings = access.Access(pets_cloud.CONF).settings()
        facts = reading.facts(self._cloud.store, settings)
        return screens.status(reports.status(facts), _WIDTH)


def places(instances, pets, hosts):
    """Return {name: (host, is a pet)}: all pets on the first host, of the
    cattle one half with them and the others elsewhere in turn."""
    placed = {'db%d' % number: (hosts[0], True)
              for number in range(1, pets + 1)}
    cattle = instances - pets
    with_pets = (cattle + 1) // 2
    for number in range(cattle):
        host = hosts[0] if number < with_pets else hosts[
            1 + (number - with_pets) % (len(hosts) - 1)]
        placed['web%d' % (number + 1)] = (host, False)
    return placed

