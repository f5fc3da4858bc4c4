# SPDX-License-Identifier: Apache-2.0
"""python -m nova_pets.tests.bench.stopwatch: see --help."""

import argparse
import contextlib
import fcntl
import json
import pathlib
import sys
import time

import requests

from nova_pets.tests.bench.stopwatch import measuring
from nova_pets.tests.bench.stopwatch import stage as stage_module
from nova_pets.tests.bench.stopwatch import table
from nova_pets.tests.bench.stopwatch import ways as ways_module
from nova_pets.tests.lab import ground
from nova_pets.tests.lab import plan as plan_module
from nova_pets.tests.lab import up


def main(argv=None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.table:
        results = [json.loads(line) for path in arguments.table
                   for line in path.read_text().splitlines()]
        print('\n'.join(table.lines(results)))
        return 0
    directory = arguments.dir.resolve()
    try:
        results = _run(directory, arguments)
    except (up.Failed, ground.Missing, stage_module.NotReady) as error:
        print(f'bench: {error}', file=sys.stderr)
        return 1
    except requests.ConnectionError as error:
        print(f'bench: the lab in {directory} does not answer: {error}; '
              'where it was left half made, make lab ARGS=down removes it',
              file=sys.stderr)
        return 1
    finally:
        if not arguments.keep:
            _clean_up(directory)
    print('\n'.join(table.lines(results)))
    return 0


def _clean_up(directory):
    try:
        up.down(directory, _say)
    except ground.Missing as error:
        print(f'bench: {error}', file=sys.stderr)


def _run(directory, arguments):
    with _alone(arguments):
        plan = plan_module.load(directory)
        if plan is None:
            plan = plan_module.make(
                directory, cells=1, computes=arguments.computes,
                schedulers=3, workers=2, report_interval_s=2,
                database=arguments.database)
            up.Up(plan, _say).run()
    stage = stage_module.Stage(plan, arguments.set, _say)
    if arguments.nice:
        stage.hurry(arguments.nice)
    results = []
    cells = [(instances, spawn_s) for instances in arguments.instances
             for spawn_s in arguments.spawn]
    for number in range(arguments.rounds):
        # There and back, so that the schedulers change less often and a
        # drift of the machine hits all ways alike.
        order = arguments.ways if number % 2 == 0 else arguments.ways[::-1]
        for instances, spawn_s in cells:
            for name in order:
                with _alone(arguments):
                    result = measuring.measure(
                        stage, ways_module.find(name), instances, spawn_s)
                results.append(result)
                _tell(number, result, arguments)
    return results


def _tell(number, result, arguments):
    _say(f'{time.strftime("%H:%M:%S")} round {number + 1}: '
         f'{result["way"]}, {result["instances"]} instances, spawn '
         f'{result["spawn_s"]:g} s: first {result["first"]:.1f}, last '
         f'{result["last"]:.1f}, {result["cpu_total"]:.1f} CPU-s, load '
         f'{result["load"]}'
         + (f', left behind: {result["left"]}' if result['left'] else ''))
    if arguments.out:
        with arguments.out.open('a') as stream:
            stream.write(json.dumps(result) + '\n')


@contextlib.contextmanager
def _alone(arguments):
    if arguments.lock is None:
        yield
        return
    with arguments.lock.open('a') as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _say(text):
    print(text, flush=True)


def _way(name):
    try:
        return ways_module.find(name).name
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser():
    parser = argparse.ArgumentParser(prog='bench', description=__doc__)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--instances', type=int, nargs='+', default=[20, 50])
    parser.add_argument('--spawn', type=float, nargs='+', default=[0, 2],
                        help='seconds that a spawn takes (%(default)s)')
    parser.add_argument('--ways', nargs='+', type=_way, metavar='WAY',
                        default=list(ways_module.WAYS),
                        help=f'{", ".join(ways_module.WAYS)}; with options '
                        'of its own: nova-pets:pets.parallel_requests=2')
    parser.add_argument('--computes', type=int, default=10)
    parser.add_argument('--database', choices=sorted(plan_module.SERVERS),
                        default='mysql')
    parser.add_argument('--set', nargs='*', default=[], metavar='G.O=VALUE',
                        help='options of nova-pets, e.g. pets.parallel=8')
    parser.add_argument('--dir', type=pathlib.Path, default=pathlib.Path(
        str(plan_module.DEFAULT_DIRECTORY) + '-bench'))
    parser.add_argument('--keep', action='store_true',
                        help='leave the lab up; a lab in --dir is used')
    parser.add_argument('--out', type=pathlib.Path,
                        help='append each measurement as a line of JSON')
    parser.add_argument('--table', type=pathlib.Path, nargs='+',
                        help='measure nothing; print what is in such files')
    parser.add_argument('--nice', type=int, default=0,
                        help='niceness of the lab, where other work runs '
                        'beside it; below 0 as root only')
    parser.add_argument('--lock', type=pathlib.Path,
                        help='hold this file in each measurement, where a '
                        'machine is shared')
    return parser


if __name__ == '__main__':
    sys.exit(main())
