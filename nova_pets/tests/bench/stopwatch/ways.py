# SPDX-License-Identifier: Apache-2.0
"""The ways by which a dead host's instances are brought up elsewhere."""

import collections.abc
import concurrent.futures
import dataclasses
import time

from nova_pets.tests.lab import rest

STEP_S = 0.02


@dataclasses.dataclass(frozen=True)
class Way:
    name: str
    has_pets: bool
    """By nova-pets; else by hand, with nova-schedulers without it."""
    threads: int = 0
    """Of the script that asks the API."""
    options: tuple[str, ...] = ()
    """'group.option=value' for nova-pets, beside those of the whole run."""


WAYS = {way.name: way for way in (
    Way('nova-pets', True), Way('rest-16', False, 16),
    Way('rest-1', False, 1))}


def find(name: str) -> Way:
    """Return a way by its name, or nova-pets with options of its own:
    'nova-pets:pets.parallel_requests=2,pets.parallel=9'.

    :raises ValueError: there is none.
    """
    known, _, words = name.partition(':')
    way = WAYS.get(known)
    options = tuple(words.split(',')) if words else ()
    if way is None or options and not way.has_pets or not all(
            '=' in word and '.' in word.partition('=')[0]
            for word in options):
        raise ValueError(
            f'{name!r}: expected one of {", ".join(WAYS)}, or nova-pets:'
            f'GROUP.OPTION=VALUE,...')
    return dataclasses.replace(way, name=name, options=options)


def grouped(words: collections.abc.Iterable[str]
            ) -> dict[str, dict[str, str]]:
    """Return {group: {option: value}}; what is said last counts."""
    options: dict[str, dict[str, str]] = {}
    for word in words:
        where, _, value = word.partition('=')
        group, _, name = where.partition('.')
        options.setdefault(group, {})[name] = value
    return options


def fail(lab, host: str) -> None:
    """The machine hangs. Its guests go on until somebody takes its power."""
    lab.fail_host(host)


def wait_for_proof(lab, host: str) -> None:
    while lab.truth.facts(host).power != 'off':
        time.sleep(STEP_S)


class Script:
    """What a person without nova-pets runs: force the host down, ask for
    each evacuation. It logs in before the clock runs."""

    def __init__(self, plan, threads: int):
        self._clouds = [rest.Cloud(plan) for _ in range(threads)]
        for cloud in self._clouds:
            cloud.log_in()

    def force_down(self, host: str) -> None:
        cloud = self._clouds[0]
        service = cloud.computes()[host]['id']
        cloud.ask('api', 'PUT', f'/v2.1/os-services/{service}',
                  {'forced_down': True})

    def evacuate(self, uuids: collections.abc.Sequence[str]) -> None:
        """Return when every request was answered."""
        count = len(self._clouds)
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            for done in [pool.submit(self._ask, cloud, uuids[number::count])
                         for number, cloud in enumerate(self._clouds)]:
                done.result()

    def _ask(self, cloud, uuids):
        for uuid in uuids:
            cloud.ask('api', 'POST', f'/v2.1/servers/{uuid}/action',
                      {'evacuate': {}})
