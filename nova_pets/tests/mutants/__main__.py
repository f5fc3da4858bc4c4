# SPDX-License-Identifier: Apache-2.0
"""python -m nova_pets.tests.mutants: deliberate bugs, and who notices.

Touches no file of the product. Exit code 0: enough were caught; 1: too few,
or one survived without a reason; 2: the run says nothing.
"""

import argparse
import fnmatch
import functools
import sys
import time

from nova_pets.tests.mutants import court
from nova_pets.tests.mutants import judging
from nova_pets.tests.mutants import kinds
from nova_pets.tests.mutants import mutation
from nova_pets.tests.mutants import proposals
from nova_pets.tests.mutants import report

THRESHOLD = 0.95
GENERATED_THRESHOLD = 0.80


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    mutants = [mutant for mutant in kinds.kept()
               if fnmatch.fnmatch(str(mutant), options.only)]
    if options.missing:
        return _missing()
    if options.invariants:
        mutants = [mutant for mutant in mutants if mutant.shows]
        options.without = 'tests'
    if options.list:
        print('\n'.join(map(str, mutants)))
        return 0
    drawn = kinds.generated(options.generated, options.seed, options.only)
    asked = ((f'generated mutants, seed {options.seed}', drawn,
              GENERATED_THRESHOLD),) if options.only_generated else (
        ('kept mutants', mutants, THRESHOLD),
        (f'generated mutants, seed {options.seed}', drawn,
         GENERATED_THRESHOLD))
    everything = [mutant for _, some, _ in asked for mutant in some]
    wrong = kinds.misfits(everything)
    if wrong:
        print('\n'.join(wrong))
    if wrong or not everything:
        return 2
    codes = []
    for kind, some, threshold in asked:
        if some:
            began = time.monotonic()
            results = _judge(kind, some, options)
            print(report.summary(kind, results, time.monotonic() - began))
            codes.append(report.code(results, threshold))
    return max(codes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='mutants', description=__doc__)
    parser.add_argument('--only', default='*', metavar='GLOB',
                        help='mutants whose line fits')
    parser.add_argument('--generated', type=int, default=0, metavar='N',
                        help='so many made by the tool besides')
    parser.add_argument('--only-generated', action='store_true')
    parser.add_argument('--seed', type=int, default=1, metavar='S',
                        help='which ones the tool makes')
    parser.add_argument('--seeds', type=int, default=12, metavar='N',
                        help='runs of the simulator for each')
    parser.add_argument('--first-seed', type=int, default=1, metavar='N')
    parser.add_argument('--without', choices=('tests', 'simulator'),
                        help='leave one of the judges out')
    parser.add_argument('--invariants', action='store_true',
                        help='whether each that is to show an invariant '
                             'broken does; by the simulator alone')
    parser.add_argument('--explained', action='store_true',
                        help='judge those, too, that are said to survive')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--missing', action='store_true',
                        help='points of the code that no mutant names')
    return parser


def _missing() -> int:
    wrong = kinds.misfits(kinds.kept())
    missing = kinds.uncovered(kinds.kept())
    print('\n'.join([*wrong, *proposals.lines(missing)]))
    return 1 if wrong or missing else 0


def _judge(kind: str, mutants: list[mutation.Mutant], options
           ) -> list[report.Result]:
    """Ask the tests, then the simulator about what they let pass."""
    results = {mutant: report.Result(mutant, report.SURVIVED, '', 0.0)
               for mutant in mutants}
    left = [mutant for mutant in mutants
            if options.explained or not mutant.survives]
    for judge in ('tests', 'simulator'):
        if judge == options.without:
            continue
        for run, mine in _courts(judge, left, options):
            for one in court.judge(judge, run, mine):
                print(report.line(one), flush=True)
                if one.is_caught or results[
                        one.mutant].verdict != report.NOT_JUDGED:
                    results[one.mutant] = one
        left = [mutant for mutant in left
                if not results[mutant].is_caught]
    return list(results.values())


def _courts(judge: str, mutants: list[mutation.Mutant], options):
    """Yield (what to run in a process of its own, the mutants for it)."""
    if judge == 'simulator':
        mine = [mutant for mutant in mutants
                if judging.is_simulated(mutant.module)]
        if mine:
            seeds = range(options.first_seed,
                          options.first_seed + options.seeds)
            yield functools.partial(judging.judge_by_simulator, seeds), mine
        return
    by_tests: dict[tuple[str, ...], list[mutation.Mutant]] = {}
    for mutant in mutants:
        by_tests.setdefault(judging.tests_of(mutant.module), []).append(
            mutant)
    for paths, mine in by_tests.items():
        if paths:
            yield functools.partial(judging.judge_by_tests, paths), mine


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
