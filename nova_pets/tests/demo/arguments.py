# SPDX-License-Identifier: Apache-2.0
"""The demo's command line; checks that the story asked for can be played."""

import argparse
import dataclasses
import os

FIRST_CRASH = 'host1'


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    hosts: int
    instances: int
    pets: int
    receivers: int
    """How many receivers crash while a pet is in rebuild_spawning."""
    heartbeat_s: int
    timeout_s: float
    is_plain: bool
    json_path: str | None

    @property
    def falls(self) -> int:
        return 1 + self.receivers


def parse(given: list[str] | None = None) -> Options:
    """:raises SystemExit: usage."""
    parser = argparse.ArgumentParser(
        prog='make demo ARGS=...', description=(
            'A Nova of several hosts in one process. host1 crashes with '
            'pets (tagged ha=true) and cattle on it; nova-pets fences it and '
            'brings the pets back; a host that is receiving one crashes too. '
            'Exit status 0: at the end every pet runs exactly once on a host '
            'with power, and no cattle was touched.'))
    parser.add_argument('--hosts', type=int, default=5, metavar='N',
                        help='compute hosts (3 to 20; default 5)')
    parser.add_argument('--instances', type=int, default=12, metavar='N',
                        help='pets and cattle together (default 12)')
    parser.add_argument('--pets', type=int, default=8, metavar='N',
                        help='how many of them are pets; all of them on host1 '
                             '(default 8)')
    faults = parser.add_mutually_exclusive_group()
    faults.add_argument('--crash-receiver', type=int, default=1, metavar='N',
                        dest='receivers',
                        help='how many receivers crash, one after the other, '
                             'while a pet is in rebuild_spawning there '
                             '(default 1)')
    faults.add_argument('--no-second-crash', action='store_const', const=0,
                        dest='receivers', help='only host1 crashes')
    parser.add_argument('--heartbeat', type=int, default=1,
                        metavar='SECONDS', dest='heartbeat_s',
                        help="Nova's report_interval (default 1; real clouds "
                             'have 10)')
    parser.add_argument('--timeout', type=float, default=120.0,
                        metavar='SECONDS', dest='timeout_s',
                        help='give up after so long (default 120)')
    parser.add_argument('--plain', action='store_true', dest='is_plain',
                        help='lines instead of a live screen; as when the '
                             'output is no terminal')
    parser.add_argument('--json', metavar='FILE', dest='json_path',
                        help='write the result and its seconds there')
    options = Options(**vars(parser.parse_args(given)))
    problem = _problem(options)
    if problem:
        parser.error(problem)
    return options


def _problem(options: Options) -> str | None:
    if not 3 <= options.hosts <= 20:
        return f'expected 3 to 20 hosts, found {options.hosts}'
    if not 1 <= options.pets <= options.instances:
        return (f'expected 1 to {options.instances} pets (--instances), '
                f'found {options.pets}')
    if options.instances > 60:
        return f'expected at most 60 instances, found {options.instances}'
    if not 0 <= options.receivers <= options.hosts - 2:
        return (f'expected at most {options.hosts - 2} crashing receivers: '
                f'one host of {options.hosts} must be left, found '
                f'{options.receivers}')
    if not 1 <= options.heartbeat_s <= 60:
        return (f'expected a heartbeat of 1 to 60 s, found '
                f'{options.heartbeat_s}')
    if options.json_path and not os.access(
            os.path.dirname(options.json_path) or '.', os.W_OK):
        return f'cannot write {options.json_path}'
    return None
