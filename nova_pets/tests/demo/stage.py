# SPDX-License-Identifier: Apache-2.0
"""Plays the story: builds the cloud, boots, breaks machines, looks on.

Only machines are broken here. What brings the pets back is nova-pets, loaded
into the stock scheduler by nova.conf as an operator loads it.
"""

import contextlib
import dataclasses
import os
import time

from nova_pets.tests.cloud import pets as pets_cloud

import nova.conf

from nova_pets.cmd import access
from nova_pets.cmd import reading
from nova_pets.cmd import reports
from nova_pets.cmd import screens
from nova_pets.tests.demo import arguments
from nova_pets.tests.demo import judge
from nova_pets.tests.demo import timings
from nova_pets.tests.demo import watching

SPAWN_DELAY_S = 1.0
"""A hypervisor takes its time to start a guest; so does this one."""
_LOOK_EVERY_S = 0.1
_AFTERMATH_S = 1.0
"""Looked on after the end, for late messages."""
_WIDTH = 79
FIRST = arguments.FIRST_CRASH


@dataclasses.dataclass(frozen=True, slots=True)
class PetTimes:
    """What became of one pet."""

    name: str
    path: tuple[str, ...]
    """Hosts where a guest of it was seen running, in order."""
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
        self._scene = None
        self._gave_up = ''

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

    # -- the story --------------------------------------------------------------

    def _boot(self):
        options = self._options
        self._view.phase('%d instances boot, %d of them pets (ha=true), all '
                         'of these on %s' % (
                             options.instances, options.pets, FIRST))
        placed = places(options.instances, options.pets,
                        list(self._cloud.hosts))
        uuids = self._cloud.boot_many({
            name: {'host': host, 'metadata': {'ha': 'true'} if is_pet else {}}
            for name, (host, is_pet) in placed.items()})
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
        rules = [self._cloud.hold(None, 'spawn', victim.uuid)
                 ] if self._options.receivers else []
        self._watcher.start_clock()
        self._crash(FIRST, 'host1 crashes: kernel, nova-compute and all '
                    'guests are gone. Its BMC still says on')
        self._view.phase('Nobody tells Nova. Its pets must not start '
                         'elsewhere before it is proven off')
        for number in range(self._options.receivers):
            hold = rules.pop()
            self._until('%s to reach a receiver' % victim.name,
                        lambda: self._held(hold, victim))
            host = hold.held[0][0]
            task_state = self._cloud.server(victim.uuid)[
                'OS-EXT-STS:task_state']
            if number + 1 < self._options.receivers:
                rules.append(
                    self._cloud.hold(None, 'spawn', victim.uuid))
            self._crash(host, '%s crashes too, while %s is in %s there' % (
                host, victim.name, task_state), victim.uuid, task_state)
            hold.release()
            self._view.phase('%s fell while it was receiving %s: it is '
                             'proven off, then %s tries again' % (
                                 host, victim.name, victim.name))

    @staticmethod
    def _held(hold, victim):
        return any(uuid == victim.uuid for _host, uuid in list(hold.held))

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

    # -- looking on -------------------------------------------------------------

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
        self._view.lines(lines)
        self._view.draw(self._scene)

    # -- the end ----------------------------------------------------------------

    def _outcome(self):
        self._look()
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
        victims = {fall.pet for fall in self._falls if fall.host == host}
        victims |= {uuid for seen, uuid, where in self._watcher.ran
                    if where == host and seen < crashed}
        pets = {one.uuid for one in self._watcher.cast if one.is_pet}
        firsts = {}
        for seen, uuid, _where in self._watcher.ran:
            if seen > crashed and uuid in victims & pets:
                firsts.setdefault(uuid, seen)
        return list(firsts.values())

    def _pet(self, one):
        path = [(seen, host) for seen, uuid, host in self._watcher.ran
                if uuid == one.uuid]
        back_s = None
        if len(path) > 1:
            crashed = self._crashes[path[-2][1]][0]
            back_s = round(path[-1][0] - crashed, 1)
        return PetTimes(
            name=one.name, path=tuple(host for _seen, host in path),
            back_s=back_s, seconds=timings.state_seconds(
                one.uuid, self._watcher.events))

    def _status(self):
        settings = access.Access(nova.conf.CONF).settings()
        facts = reading.facts(self._cloud.store, settings)
        return screens.status(reports.status(facts), _WIDTH)


def places(instances, pets, hosts):
    """Return {name: (host, is a pet)}: all pets on the first host, of the
    cattle one half with them and the others elsewhere in turn."""
    placed = {'db%d' % number: (hosts[0], True)
              for number in range(1, pets + 1)}
    cattle = instances - pets
    for number in range(1, cattle + 1):
        with_pets = number <= (cattle + 1) // 2
        host = hosts[0] if with_pets else hosts[
            1 + (number - 1) % (len(hosts) - 1)]
        placed['web%d' % number] = (host, False)
    return placed


@contextlib.contextmanager
def quiet(path):
    """Send all that libraries print to a file; the screen is the demo's."""
    with open(path, 'a') as stream, contextlib.redirect_stderr(stream):
        yield


def log_path(directory):
    return os.path.join(directory, 'nova.log')
