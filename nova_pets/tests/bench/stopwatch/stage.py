# SPDX-License-Identifier: Apache-2.0
"""The lab between two measurements: who schedules, who lives where, at rest.

Each measurement finds the same: one host with so many instances, nothing else
anywhere, every host up, nova-schedulers with or without nova-pets.
"""

import json
import os
import time

import requests

from nova_pets.tests.bench.stopwatch import meters
from nova_pets.tests.bench.stopwatch import ways
from nova_pets.tests.lab import deeds
from nova_pets.tests.lab import rest
from nova_pets.tests.lab import settings

LIMIT_S = 240
NOT_LIMITED = {'pets_fencing': {'day_hosts': 1000, 'flap_count': 0}}
"""Hosts fail here more often than in a cloud that is well."""


class NotReady(Exception):
    """The lab did not come to rest; the figures would mean nothing."""


class _Plain(settings.Settings):
    """The nova-schedulers as they are without nova-pets."""

    def _scheduler(self, groups):
        return {'scheduler': {
            'workers': self._plan.workers,
            'discover_hosts_in_cells_interval': 2},
            'filter_scheduler': {
                **groups['filter_scheduler'],
                'enabled_filters': settings._NOVAS_FILTERS}}


class Stage:

    def __init__(self, plan, options, say):
        """
        :param options: 'group.option=value' for nova-pets in all ways.
        """
        self.lab = deeds.Lab(plan)
        self.tables = meters.Tables(plan)
        self.processor = meters.Processor(self.lab)
        self._options = tuple(options)
        self._has_pets = None
        self._scheduled_by = None
        self._number = 0
        self.say = say
        self.lab.cloud.log_in()

    def hurry(self, niceness: int) -> None:
        """Let the lab and the bench go before whatever else the machine
        does."""
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
        for name in self.lab.processes.specs:
            pid = self.lab.processes.pid(name)
            if pid:
                os.setpriority(os.PRIO_PGRP, pid, niceness)

    def schedule_by(self, way: ways.Way) -> None:
        """Have nova-schedulers with nova-pets, and its options, or without.
        """
        wanted = (way.has_pets, way.options)
        if wanted == self._scheduled_by:
            return
        plan = self.lab.plan
        options = ways.grouped((*self._options, *way.options))
        configuration = settings.Settings(plan, {
            group: {**NOT_LIMITED.get(group, {}), **options.get(group, {})}
            for group in NOT_LIMITED.keys() | options.keys()
        }) if way.has_pets else _Plain(plan, {})
        for name in plan.scheduler_names:
            self.lab.processes.kill(name)
            configuration.nova(name)
            self.lab.processes.start(name)
        self._has_pets, self._scheduled_by = way.has_pets, wanted

    def fill(self, instances: int, are_pets: bool) -> tuple[str, list[str]]:
        """Boot so many on the next host; return it and their uuids."""
        hosts = self.lab.plan.hosts
        host = hosts[self._number % len(hosts)]
        self._number += 1
        self._wait('hosts that are up', self._are_all_up)
        cloud = self.lab.cloud
        cloud.ask('api', 'POST', '/v2.1/servers', {'server': {
            'name': f'bench{self._number}', 'flavorRef': rest.FLAVOR,
            'networks': 'none', 'imageRef': cloud.image(), 'host': host,
            'metadata': {'ha': 'true'} if are_pets else {},
            'min_count': instances, 'max_count': instances}})
        self._wait('instances that run', lambda: self._run(host, instances))
        if are_pets:
            self._wait('pets that are protected', lambda: (
                self.tables.protected() == instances and
                self._is_warm()))
        return host, sorted(self.tables.places())

    def set_spawn_s(self, seconds: float) -> None:
        (self.lab.truth.directory / 'spawn_delay').write_text(str(seconds))

    def clear(self, host: str) -> None:
        """Mend the host, delete all instances, wait until it is up."""
        if self._has_pets:
            self._wait(f'{host} is left by all', lambda: (
                self.tables.hosts()[host] == 'vacated'))
        self.lab.mend_host(host)
        for uuid in self.tables.places():
            self.lab.cloud.delete(uuid)
        self._wait('instances that are gone',
                   lambda: not self.tables.places())
        if not self._has_pets:
            self._wait(f'{host} may be up', lambda: self._force_up(host))
        self._wait('hosts that are up', self._are_all_up)

    def rest(self) -> None:
        """Until Nova has finished with every instance."""
        self._wait('rest', self.tables.is_at_rest)

    def close(self) -> None:
        """Until nova-pets has, too."""
        self._wait('recoveries that are over',
                   lambda: not self.tables.open_recoveries())

    def _force_up(self, host):
        try:
            self.lab.cloud.force_up(host)
        except rest.Refused:
            return False  # nova-compute has not cleaned up yet
        return True

    def _run(self, host, instances):
        facts = self.lab.truth.facts(host).guests
        return len(facts) == instances and self.tables.is_at_rest()

    def _are_all_up(self):
        try:
            computes = self.lab.cloud.computes()
        except (requests.RequestException, rest.Refused):
            return False
        if any(service['state'] != 'up' or service['forced_down']
               for service in computes.values()):
            return False
        return not self._has_pets or (
            set(self.tables.hosts().values()) == {'up'} and self._is_warm())

    def _is_warm(self):
        reports = [json.loads(text) for text in self.tables.reports()]
        return len(reports) > 1 and all(
            report.get('is_warm') and report.get('is_sane')
            for report in reports)

    def _wait(self, what, condition):
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > deadline:
                raise NotReady(f'not in {LIMIT_S} s: {what}; see '
                               f'{self.lab.plan.directory}/logs')
            time.sleep(0.25)
