# SPDX-License-Identifier: Apache-2.0
"""The command line of the lab. One verb, one thing done to it."""

import argparse
import pathlib
import secrets
import shutil
import signal
import sys
import time

from nova_pets.tests.lab import chaos
from nova_pets.tests.lab import checker
from nova_pets.tests.lab import deeds
from nova_pets.tests.lab import ground
from nova_pets.tests.lab import link
from nova_pets.tests.lab import plan as plan_module
from nova_pets.tests.lab import preload
from nova_pets.tests.lab import rest
from nova_pets.tests.lab import up as up_module
from nova_pets.tests.lab.truehost import deeds as truehost_deeds


class Wrong(Exception):
    """What was asked for cannot be done; the message says why."""


def main(argv=None) -> int:
    arguments = _parser().parse_args(argv)
    directory = arguments.dir.resolve()
    try:
        if arguments.verb == 'up':
            return _up(directory, arguments)
        if arguments.verb == 'chaos':
            return _chaos(directory, arguments)
        if arguments.verb == 'down':
            up_module.down(directory)
            return 0
        plan = plan_module.load(directory)
        if plan is None:
            raise Wrong(f'no lab is up in {directory}')
        return globals()[f'_{arguments.verb}'](deeds_of(plan), arguments)
    except (Wrong, ground.Missing, up_module.Failed,
            plan_module.Other, rest.Refused, preload.NoCompiler) as error:
        print(f'lab: {error}', file=sys.stderr)
        return 1


def deeds_of(plan: plan_module.Plan) -> deeds.Lab:
    return truehost_deeds.TrueLab(plan) if plan.has_true_hosts else \
        deeds.Lab(plan)


def _parser():
    parser = argparse.ArgumentParser(
        prog='lab', description='A cloud of separate processes on loopback.')
    parser.add_argument('--dir', type=pathlib.Path,
                        default=plan_module.DEFAULT_DIRECTORY,
                        help='where all of it lies (%(default)s)')
    verbs = parser.add_subparsers(dest='verb', required=True)
    up = verbs.add_parser('up', help='bring it up; what is up is taken down')
    up.add_argument('--cells', type=int, default=1)
    up.add_argument('--computes', type=int, default=4,
                    help='of all cells together (%(default)s)')
    up.add_argument('--schedulers', type=int, default=3)
    up.add_argument('--workers', type=int, default=2,
                    help='of each nova-scheduler (%(default)s)')
    up.add_argument('--report-interval', type=int, default=2,
                    help='seconds between two heartbeats (%(default)s)')
    up.add_argument('--true-hosts', action='store_true',
                    help='namespaces with libvirt and guests (root)')
    wild = verbs.add_parser(
        'chaos', help='bring one up, let seeded faults strike it, judge')
    wild.add_argument('--seed', type=int, default=None,
                      help='of the faults (drawn, and told)')
    wild.add_argument('--minutes', type=float, default=10,
                      help='of all of it (%(default)s)')
    wild.add_argument('--again', action='store_true',
                      help='once more, with the next seed, where nothing ran '
                      'twice and nobody was lost, but all was not well in '
                      'time; not with --keep')
    wild.add_argument('--keep', action='store_true',
                      help='leave the lab up when it failed')
    for one in (up, wild):
        one.add_argument('--database', choices=sorted(plan_module.SERVERS),
                         default='mysql')
    verbs.add_parser('down', help='end it and remove all of it')
    verbs.add_parser('status', help='processes, hosts and guests as they are')
    verbs.add_parser('check', help='what ran where, ever: was it right?')
    for verb, text in (
            ('kill', 'kill -9 a process; a host: it hangs, its BMC works; '
             'a true host: all of it'),
            ('pause', 'SIGSTOP a process with its workers; a true host: it '
             'stands still'),
            ('resume', 'SIGCONT it'),
            ('start', 'start a process again; a host: it is well again')):
        one = verbs.add_parser(verb, help=text)
        one.add_argument('names', nargs='+', metavar='NAME')
    cut = verbs.add_parser('partition', help='cut or stall a way')
    cut.add_argument('client', help='a process, or * for all')
    cut.add_argument('service', choices=['database', 'broker', 'network'],
                     help='network: the cable of a true host')
    cut.add_argument('mode', choices=link.MODES)
    return parser


def _say(text):
    print(text, flush=True)


def _make_room(directory):
    if directory.exists() and any(directory.iterdir()):
        if plan_module.server_of(directory) is None and not (
                directory / plan_module.ENDED).exists():
            raise Wrong(f'{directory} is not empty and holds no lab')
        up_module.down(directory, _say)


def _up(directory, arguments):
    _make_room(directory)
    plan = plan_module.make(
        directory, cells=arguments.cells, computes=arguments.computes,
        schedulers=arguments.schedulers, workers=arguments.workers,
        report_interval_s=arguments.report_interval,
        database=arguments.database, has_true_hosts=arguments.true_hosts)
    up_module.Up(plan, _say).run()
    print(f'logs and all else: {directory}')
    return 0


def _chaos(directory, arguments):
    seed = secrets.randbelow(10 ** 6) if arguments.seed is None else (
        arguments.seed)
    result = _strike(directory, arguments, seed)
    if (arguments.again and not arguments.keep and not result.is_good and
            result.is_safe):
        print(f'nothing ran twice and nobody is lost: once more, with seed '
              f'{seed + 1}')
        shutil.rmtree(_failed(directory), ignore_errors=True)
        directory.rename(_failed(directory))
        result = _strike(directory, arguments, seed + 1)
    return 0 if result.is_good else 2


def _failed(directory):
    return directory.with_name(f'{directory.name}-failed')


def _strike(directory, arguments, seed):
    """Story, journal and logs stay where it failed; ``down`` removes all."""
    began = time.monotonic()
    _make_room(directory)
    plan = plan_module.make(
        directory, cells=chaos.CELLS, computes=chaos.COMPUTES,
        schedulers=chaos.SCHEDULERS, workers=chaos.WORKERS,
        report_interval_s=2, database=arguments.database)
    is_good = False
    # Whoever ends it early leaves nothing behind, either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        up_module.Up(plan, _say, chaos.EXTRA).run()
        lab = deeds.Lab(plan)
        lab.cloud.log_in()
        lab.give_own_clocks()
        result = chaos.Chaos(lab, seed, _say).run(
            began + 60 * arguments.minutes)
        is_good = result.is_good
        return result
    finally:
        if not is_good:
            print(f'story, logs and all else: {directory}')
        if is_good or not arguments.keep:
            up_module.down(directory, _say, keep=not is_good)


def _status(lab, arguments):
    for name in lab.processes.specs:
        print(f'{name:16} {lab.processes.state(name):8} '
              f'{lab.processes.pid(name) or ""}')
    for host in lab.truth.names:
        facts = lab.truth.facts(host)
        guests = ', '.join(lab.guests(host)) or 'no guests'
        print(f'{host:16} power {facts.power}'
              f'{", cut off" if facts.is_cut_off else ""}: {guests}')
    return 0


def _check(lab, arguments):
    found = checker.twice(lab.truth.journal())
    for line in found:
        print(line)
    print(f'{len(checker.fences(lab.truth.journal()))} power-offs, '
          f'{len(found)} times something ran twice')
    return 2 if found else 0


def _each(lab, arguments, act):
    unknown = set(arguments.names) - set(lab.processes.specs)
    if unknown:
        raise Wrong(f'no such process: {", ".join(sorted(unknown))}; there '
                    f'are {", ".join(lab.processes.specs)}')
    for name in arguments.names:
        act(name)
    return 0


def _kill(lab, arguments):
    return _each(lab, arguments, lambda name: (
        lab.fail_host if name in lab.plan.hosts else lab.processes.kill
    )(name))


def _pause(lab, arguments):
    return _each(lab, arguments, lab.pause)


def _resume(lab, arguments):
    return _each(lab, arguments, lab.resume)


def _start(lab, arguments):
    return _each(lab, arguments, lambda name: (
        lab.mend_host if name in lab.plan.hosts else lab.processes.start
    )(name))


def _partition(lab, arguments):
    known = {'*', *(lab.plan.clients[arguments.service]
                    if arguments.service != 'network' else
                    lab.plan.hosts if lab.plan.has_true_hosts else [])}
    if arguments.client not in known:
        raise Wrong(f'{arguments.client} has no way to the '
                    f'{arguments.service}; there are '
                    f'{", ".join(sorted(known))}')
    lab.partition(arguments.client, arguments.service, arguments.mode)
    return 0
