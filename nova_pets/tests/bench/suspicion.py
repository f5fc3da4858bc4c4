# SPDX-License-Identifier: Apache-2.0
"""How often healthy hosts are suspected, found down, and powered off.

``python -m nova_pets.tests.bench.suspicion`` prints the tables that
specs/0010-fencing quotes ("False suspicion"). The whole engine runs in the
simulator's false cloud; this module spoils the reports, the probes and the
machines of hosts that are all healthy, and reads the trace: whatever happens
to a host there is wrong. For each policy it measures how long a real death
takes besides, so that it can be seen what the false alarms buy.

It judges nothing itself. Limits that would hide a false alarm are off: hosts
fail here one by one, so storms, the limit of a day and the quarantine of
flapping hosts are not what is measured. Devices refuse to power off, so that a
host that was to be powered off goes on, and its next pause counts, too.
"""

import argparse
import collections
import dataclasses
import itertools
import logging
import math
import sys
import time

from nova_pets.detectors import base as detectors_base
from nova_pets.model import policy as policy_model
from nova_pets.model import states
from nova_pets.simulator import cloud as cloud_module
from nova_pets.simulator import engines
from nova_pets.simulator import nova_rows
from nova_pets.simulator import world as world_module

SEED = 20261
HOSTS = 40

AGENT_S = ((10, 30), (30, 60), (60, 120), (120, 300))
MACHINE_S = ((1, 3), (3, 6), (6, 10), (10, 18), (18, 25), (25, 30), (30, 60))
"""Lengths of pauses: a range is drawn, then a length within it."""
CALM_S = (60, 120)
"""Between two pauses of one host: what the last one did has ended."""

LEVELS = ('', 'suspect', 'down', 'power-off')


@dataclasses.dataclass(frozen=True)
class Trouble:
    """What happens to healthy hosts."""

    name: str
    late: float = 0.0
    """Each report is late by up to so many report intervals."""
    lost: float = 0.0
    """Probability that a report is lost."""
    lost_probes: float = 0.0
    """Probability that a TCP probe is not answered in time."""
    agent_s: tuple = ()
    """Pauses of nova-compute: ranges of their length."""
    machine_s: tuple = ()
    """Pauses of the machine, or of its network."""


QUIET = Trouble('quiet')
REPORTS = (
    Trouble('reports late by up to 0.5 intervals', late=0.5),
    Trouble('reports late by up to 1 interval', late=1.0),
    Trouble('reports late by up to 2 intervals', late=2.0),
    Trouble('1 % of reports lost', lost=0.01),
    Trouble('5 % of reports lost', lost=0.05),
    Trouble('20 % of reports lost', lost=0.2),
    Trouble('5 % lost, late by up to 1', late=1.0, lost=0.05),
    Trouble('nova-compute pauses, 10 to 300 s', agent_s=AGENT_S))
MACHINES = Trouble('machine or network pauses', machine_s=MACHINE_S)
PROBES = Trouble('nova-compute pauses, 10 % of probes lost',
                 lost_probes=0.1, agent_s=AGENT_S)


@dataclasses.dataclass
class Pause:
    host: str
    began: float
    length_s: float
    level: int = 0
    """The worst that it led to: an index of LEVELS."""


@dataclasses.dataclass
class Found:
    """What came of one run."""

    host_days: float
    counts: collections.Counter
    """{level: how often}"""
    pauses: list

    def per_day(self, level):
        return self.counts[level] / self.host_days

    def share(self, level, at_least_s, below_s):
        """Return (how many pauses of such a length got there, of how
        many)."""
        among = [pause for pause in self.pauses
                 if at_least_s <= pause.length_s < below_s]
        return sum(pause.level >= level for pause in among), len(among)

    def shortest_s(self, level):
        return min((pause.length_s for pause in self.pauses
                    if pause.level >= level), default=math.inf)


def make_policy(heartbeat_s, **numbers):
    """Return the default policy at such a heartbeat, with these changes,
    and with nothing that would hide a false alarm."""
    return dataclasses.replace(
        policy_model.Policy(), report_interval_s=heartbeat_s,
        one_storage_domain=True, storm_hosts=10 ** 6, day_hosts=10 ** 6,
        flap_count=0, startup_grace_s=0.0, **numbers)


def detection_bound_s(policy):
    """The formula of specs/0010-fencing, "Detection time", with tcp."""
    heartbeat_s = policy.report_interval_s
    read_s = min(policy.idle_interval_s, heartbeat_s / 4)
    look_s = tcp_s = 1.0
    return (read_s + policy.active_interval_s + max(
        policy.down_heartbeats * heartbeat_s,
        0.75 * policy.suspect_heartbeats * heartbeat_s + look_s +
        math.ceil(policy.witness_silence_s) + tcp_s))


def harmless_pause_s(policy):
    """No pause of a whole machine that is shorter, and before which reports
    came in time, leads to a power-off (specs/0010-fencing, "False
    suspicion")."""
    look_s = tcp_s = 1.0
    return max(
        (policy.down_heartbeats - 1) * policy.report_interval_s -
        look_s - tcp_s - policy.active_interval_s,
        policy.witness_silence_s)


class Run:
    """One false cloud of healthy hosts with a pet each, and one engine."""

    def __init__(self, seed, policy, trouble=QUIET, hosts=HOSTS):
        self.policy, self.trouble = policy, trouble
        names = [f'host{number:02}' for number in range(hosts)]
        self.cloud = cloud_module.FalseCloud(seed, cloud_module.Shape(
            hosts=tuple(map(cloud_module.HostShape, names)),
            instances=tuple(cloud_module.InstanceShape(f'pet of {name}', name)
                            for name in names),
            workers=(('sched1', 1),), policy=policy))
        self.kernel, self.nova = self.cloud.kernel, self.cloud.nova
        self._began = self.kernel.now
        self.pauses = []
        self._owed = set()
        """Hosts with a report that fell due in a pause: it is made at its
        end."""
        self.nova._beat = self._conductors
        for worker in self.cloud.workers.values():
            witnesses = worker.engine._collector.witnesses
            witnesses.detectors = tuple(
                _Tcp(worker, trouble.lost_probes)
                if detector.name == 'tcp' else detector
                for detector in witnesses.detectors)
        for name in names:
            self.cloud.world.bmcs[name].behaviour = (
                world_module.Power.REFUSES)
            phase_s = self._chance('phase', name).uniform(
                0, policy.report_interval_s)
            self._after(phase_s, self._due, name)
            if trouble.agent_s or trouble.machine_s:
                self._expect_pause(name)

    def run(self, seconds):
        """Let so much time pass; return what was found."""
        self.kernel.run(self.kernel.now + seconds)
        wrong = self.cloud.checks.violations + self.kernel.failures
        if wrong:
            raise RuntimeError(f'the simulator reports: {wrong[0]}')
        found = self._read_trace()
        self.kernel.close()
        return found

    def _chance(self, purpose, host):
        return self.kernel.random(f'{purpose} of {host}')

    def _after(self, seconds, call, *args):
        self.kernel.after(seconds, lambda: call(*args))

    # -- reports -------------------------------------------------------------

    def _conductors(self, turn):
        """Stands for the simulator's own heartbeats, which are never late.
        """
        self.nova.conductor_cell.beat(
            (name, nova_rows.CONDUCTOR) for name in self.nova.conductors)
        for topic in list(self.cloud.world.broker.queues):
            self.nova.consume(topic)
        self._after(self.policy.report_interval_s, self._conductors, 0)

    def _due(self, host):
        interval_s = self.policy.report_interval_s
        self._after(interval_s, self._due, host)
        chance = self._chance('reports', host)
        is_lost = chance.random() < self.trouble.lost
        late_s = chance.uniform(0, self.trouble.late * interval_s)
        if not is_lost:
            self._after(late_s, self._report, host)

    def _report(self, host):
        machine = self.cloud.world.hosts[host]
        if not machine.compute_runs or machine.is_cut_off:
            return
        if machine.compute.is_paused:
            self._owed.add(host)
            return
        self.nova.cells[machine.cell].beat([(host, nova_rows.COMPUTE)])

    # -- pauses --------------------------------------------------------------

    def _expect_pause(self, host):
        chance = self._chance('pauses', host)
        self._after(chance.uniform(*CALM_S), self._pause, host)

    def _pause(self, host):
        world, chance = self.cloud.world, self._chance('pauses', host)
        machine = world.hosts[host]
        length_s = chance.uniform(*chance.choice(
            self.trouble.agent_s or self.trouble.machine_s))
        is_network = chance.random() < 0.5
        if self.trouble.agent_s:
            machine.compute.pause()
        elif is_network:
            machine.is_cut_off = True
        else:
            world.freeze(host)
        self.pauses.append(Pause(host, self.kernel.now, length_s))
        self._after(length_s, self._go_on, host)

    def _go_on(self, host):
        machine = self.cloud.world.hosts[host]
        machine.is_cut_off = False
        for process in (machine.system, machine.compute):
            process.resume()
        if host in self._owed:
            self._owed.discard(host)
            self._report(host)
        self._expect_pause(host)

    # -- what came of it -----------------------------------------------------

    def _read_trace(self):
        counts = collections.Counter()
        began = {host: list(group) for host, group in itertools.groupby(
            sorted(self.pauses, key=lambda pause: (pause.host, pause.began)),
            lambda pause: pause.host)}
        told = set()
        for at, host, level in self.events():
            if level == 3 and host in told:
                continue  # the same alarm: the device is told once more
            (told.add if level == 3 else told.discard)(host)
            counts[level] += 1
            pause = next((pause for pause in reversed(began.get(host, ()))
                          if pause.began <= at), None)
            if pause is not None:
                pause.level = max(pause.level, level)
        days = len(self.cloud.world.hosts) * (
            self.kernel.now - self._began) / 86400
        return Found(days, counts, self.pauses)

    def events(self):
        """Yield (time, host, level) of all that went wrong."""
        for at, kind, *facts in self.kernel.lines:
            if kind == 'host' and facts[1:3] == ['up', 'suspect']:
                yield at, facts[0], 1
            elif kind == 'host' and facts[1:3] == ['suspect', 'down']:
                yield at, facts[0], 2
            elif kind == 'outside' and facts[1:3] == ['bmc', 'power_off']:
                yield at, facts[3], 3


class _Tcp(engines.Tcp):
    """The simulator's probe; some are lost on the way."""

    def __init__(self, worker, lost):
        super().__init__(worker)
        self._lost = lost
        self._chance = worker.cloud.kernel.random('probes')

    def look(self, target):
        if self._chance.random() < self._lost:
            self._worker.cloud.kernel.sleep(1.0)
            return detectors_base.Look(states.Sign.SILENT, 'lost')
        return super().look(target)


def deaths_s(seed, policy, hosts=HOSTS):
    """Return how long each of many machines that really die is not found
    down, sorted: half of the hosts, at any moment of their report
    interval."""
    run = Run(seed, policy, hosts=hosts)
    died = {}
    warm_s = 3 * policy.report_interval_s
    chance = run.kernel.random('deaths')

    def die(host):
        died[host] = run.kernel.now
        run.cloud.world.crash_system(host)

    for host in sorted(run.cloud.world.hosts)[::2]:
        run._after(warm_s + chance.uniform(0, 30), die, host)
    run.run(warm_s + 30 + 2 * detection_bound_s(policy))
    took = {host: at - died[host] for at, host, level in run.events()
            if level == 2}
    return sorted(took.get(host, math.inf) for host in died)


NEIGHBOURS = (
    ('defaults', {}),
    ('down 2, suspect 1.5', {'down_heartbeats': 2, 'suspect_heartbeats': 1.5}),
    ('down 4', {'down_heartbeats': 4}),
    ('down 6', {'down_heartbeats': 6}),
    ('suspect 3, down 4', {'suspect_heartbeats': 3, 'down_heartbeats': 4}),
    ('silence 0', {'witness_silence_s': 0.0}),
    ('silence 5', {'witness_silence_s': 5.0}))


def _line(*cells):
    print(f'{cells[0]:34}' + ''.join(f'{cell:>11}' for cell in cells[1:]),
          flush=True)


def print_policies(seed, heartbeat_s, share):
    """What each policy costs and buys where machines stand still, and where
    probes are lost: while nova-compute is away, one lost packet may be all
    that stands between a healthy host and its power-off."""
    print(f'\nheartbeat {heartbeat_s:g} s: seconds from a death to down (at '
          f'most, p50, max); of pauses\nof a machine: safe below, first that '
          f'was powered off, "down,powered off/pauses" by length;\nprobes: '
          f'the same of pauses of nova-compute while '
          f'{PROBES.lost_probes:.0%} of the probes are lost')
    _line('policy', 'most', 'p50', 'max', 'safe', 'first',
          *(f'{low}-{high} s' for low, high in MACHINE_S), 'probes')
    for name, numbers in NEIGHBOURS:
        policy = make_policy(heartbeat_s, **numbers)
        took = deaths_s(seed, policy)
        found = Run(seed, policy, MACHINES).run(500 * share)
        lossy = Run(seed, policy, PROBES).run(300 * share)
        _line(name, f'{detection_bound_s(policy):.1f}',
              f'{took[len(took) // 2]:.1f}', f'{took[-1]:.1f}',
              f'{harmless_pause_s(policy):.1f}',
              f'{found.shortest_s(3):.1f}',
              *(_share(found, *between) for between in MACHINE_S),
              _share(lossy, 0, math.inf))


def print_reports(seed, heartbeat_s, share):
    """What late and lost reports and a paused nova-compute do."""
    print(f'\nheartbeat {heartbeat_s:g} s, default policy: per host-day')
    _line('trouble', 'host-days', *LEVELS[1:])
    for trouble in REPORTS:
        seconds = (200 + 100 * heartbeat_s) * share
        found = Run(seed, make_policy(heartbeat_s), trouble).run(seconds)
        _line(trouble.name, f'{found.host_days:.2f}',
              f'{found.per_day(1):.1f}',
              *(f'{found.per_day(level):.2f}' for level in (2, 3)))


def _share(found, at_least_s, below_s):
    down, among = found.share(2, at_least_s, below_s)
    off, _ = found.share(3, at_least_s, below_s)
    return f'{down},{off}/{among}'


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--seed', type=int, default=SEED)
    parser.add_argument('--share', type=float, default=1.0,
                        help='of the full virtual time')
    known = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    began = time.process_time()
    print(f'seed {known.seed}, {HOSTS} hosts, share {known.share:g}')
    for heartbeat_s in (10.0, 2.0):
        print_reports(known.seed, heartbeat_s, known.share)
        print_policies(known.seed, heartbeat_s, known.share)
    print(f'\n{time.process_time() - began:.0f} s of processor')
    return 0


if __name__ == '__main__':
    sys.exit(main())
