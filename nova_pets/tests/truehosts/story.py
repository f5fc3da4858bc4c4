# SPDX-License-Identifier: Apache-2.0
"""What is said and waited for when true hosts fail.

What runs where is asked of the machine's own processes, and whether a guest
is the one that it was, of its disk. Nova's word is asked only for what Nova
has to say.
"""

import contextlib
import time

import requests

from nova_pets.tests.lab import checker
from nova_pets.tests.lab import rest
from nova_pets.tests.lab import story as story_module
from nova_pets.tests.lab.truehost import host as truehost
from nova_pets.tests.lab.truehost import watcher

RECOVERED_S = 120
BEAT_S = 60
"""For a guest to count on: a BIOS has to come up first."""


class Story(story_module.Story):

    # -- a host fails ---------------------------------------------------------

    def lose(self, host, fail, pets, others):
        """Let a host fail; return what the judge then has to say.

        Waits until each of its pets runs on another host, whatever else is
        the case, and what is on their disks goes on growing.

        :param fail: called with the host.
        :param pets: uuids of all pets.
        :param others: uuids that nobody may touch.
        :returns: lines of what is wrong; [] is well.
        """
        before = self.lab.truth.journal()
        places = checker.running(before)
        moving = sorted(uuid for uuid in pets if host in places[uuid])
        staying = {uuid: where for uuid, where in places.items()
                   if uuid in {*pets, *others} and where and
                   where != {host}}
        assert moving
        pids = self.lab.copies()
        beats = {uuid: [self.lab.beats(uuid)] for uuid in pets}
        assert all(numbers[0] for numbers in beats.values())
        began = time.monotonic()
        fail(host)
        self.wait(lambda: self._look(beats) and all(
            self._places()[uuid] - {host} for uuid in moving),
            RECOVERED_S, f'the pets of {host} run elsewhere')
        self._go_on(beats)
        journal = self.lab.truth.journal()
        after = journal[len(before):]
        self._timings(host, fail, began, after, moving)
        now, copies = checker.running(journal), self.lab.copies()
        return [
            *checker.twice(journal),
            *(f'{uuid} runs in the qemu {copies.get(uuid)}'
              for uuid in pets if len(copies.get(uuid, [])) != 1),
            *self._too_early(host, after, moving),
            *(f'{uuid} was on {sorted(where)} in {pids[uuid]}, is on '
              f'{sorted(now[uuid])} in {copies.get(uuid)}'
              for uuid, where in staying.items()
              if (now[uuid], copies.get(uuid)) != (where, pids[uuid])),
            *(f'{uuid} of {host} is no pet and runs in {copies[uuid]}'
              for uuid in others
              if places[uuid] == {host} and uuid in copies),
            *(f'{uuid} lost beats: {numbers}'
              for uuid, numbers in beats.items()
              if numbers != sorted(numbers))]

    def _too_early(self, host, journal, moving):
        """Say what began to run before this host, and no other, was off."""
        fences = checker.fences(journal)
        if [line['host'] for line in fences] != [host]:
            return [f'powered off: {[line["host"] for line in fences]}']
        return [f'{line["name"]} began on {line["host"]} before {host} was '
                'off' for line in journal if line.get('guest') in moving and
                line['state'] == 'running' and line['at'] < fences[0]['at']]

    def _places(self):
        return checker.running(self.lab.truth.journal())

    def _look(self, beats):
        for uuid, numbers in beats.items():
            numbers.append(self.lab.beats(uuid))
        return True

    def _go_on(self, beats):
        """Wait until every guest has counted on since now."""
        since = {uuid: self.lab.beats(uuid) for uuid in beats}
        self.wait(lambda: self._look(beats) and all(
            numbers[-1] > since[uuid] + 1 for uuid, numbers in beats.items()),
            BEAT_S, 'all guests count on')

    def _timings(self, host, fail, began, journal, moving):
        off = [line['at'] - began for line in checker.fences(journal)]
        runs = [line['at'] - began for line in journal
                if line.get('guest') in moving and
                line['state'] == 'running']
        crash = time.time() - (time.monotonic() - began)
        down = [at - crash for at, text in self.lab.log()
                if at > crash and f'host {host}: ' in text and
                '-> down' in text]
        self.tell(
            f'{fail.__name__} {host}: down {min(down, default=0):.1f} s, '
            f'off {min(off, default=0):.1f} s, first qemu elsewhere '
            f'{min(runs):.1f} s, last of {len(moving)} {max(runs):.1f} s, '
            f'all have counted on {time.monotonic() - began:.1f} s')

    # -- a host comes back ----------------------------------------------------

    def mend(self, host):
        """Mend a host as soon as every pet has left it, and switch it on."""
        self.wait(lambda: any(
            f'host {host}: fenced -> vacated' in text
            for _, text in self.lab.log()), RECOVERED_S, f'{host} is vacated')
        self.lab.mend_host(host)

    def is_normal(self):
        """Nova's hosts are up, and so are ours."""
        try:
            return all(service['state'] == 'up' and
                       not service['forced_down'] for service in
                       self.lab.cloud.computes().values()) and \
                self.lab.pets('status')[0] == 0
        except (requests.RequestException, rest.Refused):
            return False

    def defined(self, host):
        """Return what libvirt on a host could start again: whole texts."""
        path = truehost.own(self.lab.plan.directory / host, '/etc/libvirt')
        texts = []
        for domain in (path / 'qemu').glob('*.xml'):
            with contextlib.suppress(FileNotFoundError):
                texts.append(domain.read_text())
        return '\n'.join(texts)

    def is_judge_awake(self):
        """Whether the judge looks, and has looked all the time."""
        seen = watcher.sight(self.lab.plan.directory)
        self.tell(f'the judge looked {seen["looks"]} times, its longest '
                  f'blink was {seen["longest_s"]:.2f} s')
        return (self.lab.processes.state('watcher') == 'running' and
                time.monotonic() - seen['at'] < 5 and seen['longest_s'] < 2)
