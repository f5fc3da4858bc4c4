# SPDX-License-Identifier: Apache-2.0
"""What is said and waited for in tests of the lab.

A host fails and its pets have to run elsewhere; a storm comes and goes and
nobody may be fenced. What really happened is asked of the hosts and BMCs
(checker.py); the engines' logs only give the seconds of their verdicts.
"""

import time

import pytest
import requests

from nova_pets.tests.lab import checker
from nova_pets.tests.lab import conftest
from nova_pets.tests.lab import rest

RECOVERED_S = 180
"""From the failure to the last pet, on a machine that is busy."""
NORMAL_S = 60
"""From the end of a storm to normal work."""


WRONG = 3
"""Ends the session: no busy machine excuses it, so nobody tries again."""


def never(what, lines):
    if lines:
        pytest.exit(f'{what}: {lines}', returncode=WRONG)


class Story:

    def __init__(self, lab, record):
        """
        :param record: record_property of pytest.
        """
        self.lab = lab
        self._record = record

    def tell(self, text):
        self._record(conftest.TIMINGS, text)

    def wait(self, condition, seconds, what):
        """Poll until true; return the seconds that it took."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < seconds, \
                f'not in {seconds} s: {what}'
            time.sleep(0.25)
        return time.monotonic() - began

    # -- a failure ------------------------------------------------------------

    def fail(self, hosts, pets, others=()):
        """Let hosts hang at once; check that their pets run elsewhere, once
        each.

        :param hosts: one, or a list.
        :param pets: uuids of all pets of the cloud.
        :param others: uuids that nobody may touch.
        """
        lab = self.lab
        hosts = [hosts] if isinstance(hosts, str) else list(hosts)
        before = lab.truth.journal()
        places = checker.running(before)
        moving = {host: {uuid for uuid in pets if places[uuid] == {host}}
                  for host in hosts}
        staying = {uuid: places[uuid] for uuid in others
                   if not places[uuid] & set(hosts)}
        assert all(moving.values())
        for host in hosts:
            lab.fail_host(host)
        try:
            self.wait(lambda: not checker.wrong(
                lab.truth.journal(), pets, not_on=hosts),
                RECOVERED_S, f'the pets of {", ".join(hosts)} run elsewhere')
        finally:
            journal = lab.truth.journal()
            after = journal[len(before):]
            fenced = sorted(line['host'] for line in checker.fences(after))
            never('runs twice', checker.twice(journal))
            never('wrong fence', sorted(set(fenced) - set(hosts)))
        assert fenced == sorted(hosts)
        now = checker.running(journal)
        assert {uuid: now[uuid] for uuid in staying} == staying
        for host in hosts:
            self._timings(host, after, moving[host])

    def _timings(self, host, journal, moving):
        crash = next(line for line in journal
                     if line.get('cut_off') and line['host'] == host)
        off = next(line for line in checker.fences(journal)
                   if line['host'] == host)['at'] - crash['at']
        runs = [line['at'] - crash['at'] for line in journal
                if line.get('guest') in moving and
                line['state'] == 'running']
        down = [at - crash['wall'] for at, text in self.lab.log()
                if at > crash['wall'] and f'host {host}: ' in text and
                '-> down' in text]
        self.tell(f'{host} hangs; down {min(down, default=0):.1f} s, proven '
                  f'off {off:.1f} s, first pet {min(runs):.1f} s, last of '
                  f'{len(moving)} {max(runs):.1f} s')

    def take_back(self, *hosts):
        """Mend hosts that were fenced, and wait until all is as it was.

        None before every pet has left it: that would be a wrong binding.
        """
        for host in hosts:
            crash = [line['wall'] for line in self.lab.truth.journal()
                     if line['host'] == host and line.get('cut_off')][-1]
            self.wait(lambda host=host, crash=crash: any(
                at > crash and f'host {host}: fenced -> vacated' in text
                for at, text in self.lab.log()), RECOVERED_S,
                f'{host} is vacated')
        for host in hosts:
            self.lab.mend_host(host)
        names = ', '.join(hosts)
        took = self.wait(self.is_normal, RECOVERED_S, f'back: {names}')
        self.tell(f'switched on: {names}; back and up {took:.1f} s')

    # -- a storm --------------------------------------------------------------

    def storm(self, name, begin, lasts_s, end):
        """Let a storm come and go; nobody is fenced, nothing moves.

        :param begin, end: called without arguments.
        """
        lab = self.lab
        before = lab.truth.journal()
        places = checker.running(before)
        begin()
        time.sleep(lasts_s)
        end()
        try:
            took = self.wait(self.is_normal, 3 * NORMAL_S,
                             f'normal work after: {name}')
        finally:
            journal = lab.truth.journal()
            fences = checker.fences(journal[len(before):])
            never(f'wrong fence, {name}', fences)
            never('runs twice', checker.twice(journal))
        self.tell(f'{name} for {lasts_s} s: {len(fences)} fences, normal '
                  f'{took:.1f} s after its end')
        now = checker.running(journal)
        assert {uuid: now[uuid] for uuid in places} == places
        assert took < NORMAL_S

    def is_normal(self):
        """Nova's hosts are up, so are ours, and a server can be booted."""
        lab = self.lab
        try:
            computes = lab.cloud.computes().values()
            if any(service['state'] != 'up' or service['forced_down']
                   for service in computes):
                return False
            if lab.pets('status')[0] != 0:
                return False
            uuid = lab.cloud.boot('probe')
            lab.cloud.wait_active([uuid], 60)
            lab.cloud.delete(uuid)
            self.wait(lambda: uuid not in lab.cloud.servers(), 60,
                      'a server is deleted')
        except (requests.RequestException, rest.Refused):
            return False
        return True
