# SPDX-License-Identifier: Apache-2.0
"""Is a lab after chaos as it has to be? Pure.

First what really runs (the hosts' files, by the journal) and what has power;
then what Nova and nova-pets say of it, which has to agree. Nova's word alone
makes nothing right.
"""

import collections.abc
import dataclasses

from nova_pets.tests.lab import checker
from nova_pets.tests.lab import machine

RUNNING, STOPPED, GONE = 'running', 'stopped', 'gone'
_STATUS = {RUNNING: 'ACTIVE', STOPPED: 'SHUTOFF'}


@dataclasses.dataclass(frozen=True)
class Seen:
    """All that is looked at, at one moment."""

    journal: collections.abc.Sequence[dict]
    hosts: dict[str, machine.Facts]
    processes: dict[str, str]
    """name -> running, paused, gone."""
    servers: dict[str, dict]
    """What Nova's API says, by uuid."""
    computes: dict[str, dict]
    status: tuple[int, str]
    """``nova-manage pets status``: exit code, and a word about it."""


def running(journal, hosts) -> dict[str, set[str]]:
    """Return instance uuid -> hosts where it runs and can be reached."""
    return {uuid: {host for host in places
                   if hosts[host].power == machine.ON and
                   not hosts[host].is_cut_off}
            for uuid, places in checker.running(journal).items()}


def guests(seen_journal, hosts, wanted: dict[str, str],
           names: dict[str, str]) -> list[str]:
    """Return what is wrong with what runs; [] if nothing is.

    :param wanted: uuid -> RUNNING, STOPPED or GONE, as its owner has it.
    :param names: uuid -> name.
    """
    found = []
    places = running(seen_journal, hosts)
    everywhere = checker.running(seen_journal)
    for uuid, what in wanted.items():
        there = places.get(uuid, set())
        if what == RUNNING and len(there) != 1:
            found.append(f'{names[uuid]} runs on '
                         f'{", ".join(sorted(there)) or "no host"}')
        elif what != RUNNING and everywhere.get(uuid):
            found.append(f'{names[uuid]} should be {what} and runs on '
                         f'{", ".join(sorted(everywhere[uuid]))}')
    return found


def problems(seen: Seen, wanted: dict[str, str], names: dict[str, str]
             ) -> list[str]:
    """Return all that is not as it has to be; []: converged."""
    found = checker.twice(seen.journal)
    found += guests(seen.journal, seen.hosts, wanted, names)
    found += [f'{host} has no power' for host, facts in seen.hosts.items()
              if facts.power != machine.ON]
    found += [f'{host} is cut off' for host, facts in seen.hosts.items()
              if facts.is_cut_off]
    found += [f'{name} is {state}' for name, state in seen.processes.items()
              if state != 'running']
    found += [f'nova calls {host} {service["state"]}'
              f'{", forced down" if service["forced_down"] else ""}'
              for host, service in seen.computes.items()
              if service['state'] != 'up' or service['forced_down']]
    found += _nova(seen, wanted, names)
    code, word = seen.status
    if code:
        found.append(f'nova-manage pets status ends with {code}: {word}')
    return found


def _nova(seen, wanted, names):
    places = running(seen.journal, seen.hosts)
    for uuid, what in wanted.items():
        server = seen.servers.get(uuid)
        if what == GONE:
            if server is not None:
                yield f'{names[uuid]} is not deleted: {_said(server)}'
            continue
        if server is None:
            yield f'nova does not know {names[uuid]}'
            continue
        if server['status'] != _STATUS[what] or (
                server['OS-EXT-STS:task_state']):
            yield f'{names[uuid]} should be {what}: {_said(server)}'
        host = server['OS-EXT-SRV-ATTR:host']
        if what == RUNNING and places.get(uuid) != {host}:
            yield f'nova has {names[uuid]} on {host}'


def _said(server):
    return f'{server["status"]}, task {server["OS-EXT-STS:task_state"]}'
