# SPDX-License-Identifier: Apache-2.0
"""Asks every host's fencing devices for the power state; switches nothing.

All at once, with a progress bar: a dead BMC takes its whole timeout, and a
person waits.
"""

import collections.abc
import concurrent.futures
import typing

from nova_pets import exception
from nova_pets.cmd import console as console_module
from nova_pets.cmd import documents
from nova_pets.cmd import layout
from nova_pets.cmd import words
from nova_pets.model import states

_AT_ONCE = 16
_BAR = 30

ReadPower = collections.abc.Callable[[str], typing.Any]
"""Returns something with is_off, is_working, power and detail; of a login,
with is_done and detail."""


def ask(hosts: collections.abc.Sequence[str], bound: frozenset[str],
        read_power: ReadPower, console: console_module.Console | None
        ) -> list[documents.Document]:
    """Return one row per host: {host, bound, works, is_off, silent, detail};
    silent: devices that gave no answer, by their labels."""
    asked = [host for host in hosts if host in bound]
    rows = {host: _row(host, False, False, None,
                       'no device that can power it off is bound to it')
            for host in hosts if host not in bound}
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = {pool.submit(_ask_one, host, read_power): host
                   for host in asked}
        for done, answer in enumerate(
                concurrent.futures.as_completed(answers), 1):
            rows[answers[answer]] = answer.result()
            if console is not None:
                console.progress(_bar(done, len(asked)))
    if console is not None:
        console.progress('')
    return [rows[host] for host in sorted(rows)]


def log_in(hosts: collections.abc.Sequence[str],
           check_restart: ReadPower) -> dict[str, str]:
    """Return {host: why nova-compute could not be restarted there by ssh},
    of those where it could not."""
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(check_restart, hosts))
    return {host: told.detail for host, told in zip(hosts, answers,
                                                    strict=True)
            if not told.is_done}


def _ask_one(host: str, read_power: ReadPower) -> documents.Document:
    try:
        reading = read_power(host)
    except exception.PetsException as error:
        return _row(host, True, False, None, str(error))
    # A person answers through confirm_fenced, not here.
    silent = [label for label, power in reading.power.items()
              if power is states.PowerState.UNKNOWN and
              not label.endswith(' manual')]
    return _row(host, True, reading.is_working, reading.is_off,
                reading.detail, silent)


def _row(host: str, is_bound: bool, works: bool, is_off: bool | None,
         detail: str, silent: collections.abc.Sequence[str] = ()
         ) -> documents.Document:
    return {'host': host, 'bound': is_bound, 'works': works,
            'is_off': is_off, 'silent': list(silent), 'detail': detail}


def _bar(done: int, total: int) -> str:
    filled = _BAR * done // total
    return (f'Asking fencing devices [{"#" * filled}'
            f'{"." * (_BAR - filled)}] {done} of {total}')


def screen(rows: collections.abc.Sequence[documents.Document], width: int
           ) -> list[str]:
    """The hosts whose fence would fail now, and how many would not."""
    failing = [row for row in rows if not row['works']]
    lines = ['', f'{len(rows) - len(failing)} of '
             f'{words.count(len(rows), "host")} could be fenced now.']
    partly = [row for row in rows if row['works'] and row['silent']]
    for title, found in (('Would fail', failing),
                         ('Works in part', partly)):
        if found:
            lines.append(layout.table(
                [layout.Column(title, 'host', least=10),
                 layout.Column('Why', 'detail', least=30)], found, width))
    return lines
