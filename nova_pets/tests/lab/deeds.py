# SPDX-License-Identifier: Apache-2.0
"""What is done to a lab that is up: to hosts, processes, ways and clocks.

Each deed is one that happens to a real cloud. Reads no database.
"""

import datetime
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

from nova_pets.tests.lab import clock
from nova_pets.tests.lab import link
from nova_pets.tests.lab import machine
from nova_pets.tests.lab import plan as plan_module
from nova_pets.tests.lab import processes
from nova_pets.tests.lab import rest

LINE = re.compile(r'^(\S+ \S+) \d+ INFO nova_pets\S* \[.*?\] (.*)$')
_OBSERVES = re.compile(r'engine (\S+)/\d+ observes in slot (\d+)')
_MANAGE = 'import sys; from nova_pets.cmd import program; ' \
          'sys.exit(program.main())'


class Lab:
    """A lab that is up."""

    def __init__(self, plan: plan_module.Plan):
        self.plan = plan
        self.processes = processes.Processes(plan.directory)
        self.truth = machine.Truth(plan.directory / 'truth')
        self.cloud = rest.Cloud(plan)

    def another(self) -> 'Lab':
        """Return one for another thread."""
        result = type(self)(self.plan)
        result.cloud = self.cloud.another()
        return result

    # -- hosts ----------------------------------------------------------------

    def fail_host(self, host: str) -> None:
        """The machine hangs: nobody reaches it, nova-compute is dead.

        Its guests go on: only its BMC can end them. That is the worst case,
        and the one in which an evacuation without proof runs them twice.
        """
        self.truth.cut_off(host, True)
        self.processes.kill(host)

    def lose_power(self, host: str) -> None:
        """Everything on the machine ends at once."""
        self.truth.set_power(host, machine.TURNING_OFF)
        for name in self.processes.of_host(host):
            self.processes.kill(name)
        self.truth.set_power(host, machine.OFF)

    def mend_host(self, host: str) -> None:
        """Give a host its network back; and its power, if it has none."""
        self.truth.cut_off(host, False)
        self.truth.set_power(host, machine.ON)
        for name in self.processes.of_host(host):
            self.processes.start(name)

    def lose_heartbeats(self, share: float) -> None:
        """Let this share of all service reports of nova-compute get lost."""
        (self.truth.directory / 'lost_heartbeats').write_text(str(share))

    def set_bmc_mood(self, host: str, mood: str) -> None:
        """Let its BMC misbehave, see bmc.py; '': it works."""
        (self.truth.directory / f'bmc_{host}').write_text(mood)

    # -- processes and ways ---------------------------------------------------

    def start_late(self, name: str, seconds: int) -> None:
        """Start a process that takes so much longer to come up."""
        self.processes.start(name, prefix=(
            'sh', '-c', f'sleep {seconds}; exec "$@"', 'late'))

    def pause(self, name: str) -> None:
        self.processes.signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.processes.signal(name, signal.SIGCONT)

    def partition(self, client: str, service: str, mode: str) -> None:
        """Do this to the way of a client (or ``*``) to a service."""
        path = self.plan.directory / 'links.json'
        rules = json.loads(path.read_text())
        rules.setdefault(service, {})[client] = mode
        if mode == link.PASS:
            del rules[service][client]
        new = path.with_suffix('.new')
        new.write_text(json.dumps(rules))
        new.replace(path)

    def give_own_clocks(self) -> None:
        """Let all nova-schedulers have clocks that step_clock() can step,
        in this life and the next ones.

        :raises preload.NoCompiler: nothing is changed.
        """
        made = clock.library(self.plan.directory)
        specs = self.processes.specs
        for name in self.plan.scheduler_names:
            self.step_clock(name, 0)
            specs[name]['env'] |= clock.environ(made, self._clock(name))
        self.processes.define(specs)
        for name in self.plan.scheduler_names:
            self.processes.kill(name)
            self.processes.start(name)

    def start_with_own_clock(self, name: str) -> None:
        """Start a process whose wall clock step_clock() can step.

        :raises preload.NoCompiler: nothing is started.
        """
        made = clock.library(self.plan.directory)
        self.step_clock(name, 0)
        self.processes.start(name, env=clock.environ(
            made, self._clock(name)))

    def step_clock(self, name: str, seconds: int) -> None:
        self._clock(name).write_text(str(seconds))

    def clock_ahead_s(self, scheduler: str) -> float:
        """Return by how much a nova-scheduler's own clock is ahead, by the
        time that it writes into its service record."""
        said = self.cloud.services('nova-scheduler')[scheduler]['updated_at']
        return (datetime.datetime.fromisoformat(said) - datetime.datetime.now(
            datetime.UTC).replace(tzinfo=None)).total_seconds()

    def observers(self) -> list[str]:
        """Return the nova-schedulers whose engines took a slot last."""
        slots = {}
        for _, text in self.log():
            match = _OBSERVES.match(text)
            if match:
                slots[match[2]] = match[1]
        return sorted(set(slots.values()))

    def _clock(self, name):
        return self.plan.directory / f'{name}.clock'

    # -- looking --------------------------------------------------------------

    def guests(self, host: str) -> list[str]:
        """Say what runs on a host, a line each."""
        return [f'{guest["name"]} {guest["state"]}'
                for guest in self.truth.facts(host).guests.values()]

    def pets(self, *words: str) -> tuple[int, str]:
        """Run ``nova-manage pets WORDS``; return exit code and output."""
        conf = self.plan.directory / 'etc' / 'scheduler1' / 'nova.conf'
        environ = dict(os.environ)
        environ.pop('PYTHONDONTWRITEBYTECODE', None)
        done = subprocess.run(
            [sys.executable, '-c', _MANAGE, '--config-file', str(conf),
             'pets', *words], stdin=subprocess.DEVNULL, timeout=120,
            capture_output=True, text=True, env=environ,
            cwd=pathlib.Path(__file__).parents[3])
        return done.returncode, done.stdout + done.stderr

    def log(self) -> list[tuple[float, str]]:
        """Return what the engines logged: when, and the line."""
        found = []
        for name in self.plan.scheduler_names:
            path = self.plan.directory / 'logs' / f'{name}.log'
            for line in path.read_text(errors='replace').splitlines():
                match = LINE.match(line)
                if match:
                    at = datetime.datetime.fromisoformat(match[1])
                    found.append((at.timestamp(), match[2]))
        return sorted(found)
