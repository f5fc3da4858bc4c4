# SPDX-License-Identifier: Apache-2.0
"""Starts a judge in a process of its own, and hears its verdicts.

The product itself is always the first case: where a judge does not let it
pass, what it says of mutants is worth nothing.
"""

import collections.abc
import json
import os
import re
import signal
import sys
import traceback

from nova_pets.tests.mutants import judging
from nova_pets.tests.mutants import mutation
from nova_pets.tests.mutants import pool
from nova_pets.tests.mutants import report

AT_ONCE = 2

Run = collections.abc.Callable[
    [judging.Cases, int, collections.abc.Callable[[str], None]], None]


def judge(name: str, run: Run, mutants: list[mutation.Mutant]
          ) -> collections.abc.Iterator[report.Result]:
    """Yield a result for each mutant, as they are judged.

    :param name: of the judge, for the report.
    """
    cases: judging.Cases = [None, *mutants]
    left = set(mutants)
    for line in _heard(run, cases):
        said = json.loads(line)
        case = cases[said['case']]
        if case is not None:
            left.discard(case)
            yield _result(case, name, said)
        elif said['code'] != judging.Verdict.SURVIVED:
            print(f'without any mutant, {name} of {mutants[0].module}:\n'
                  f'{said["output"]}')
            left.update(mutants)
            break
    for mutant in sorted(left, key=str):
        yield report.Result(mutant, report.NOT_JUDGED, name, 0.0)


def _heard(run: Run, cases: judging.Cases
           ) -> collections.abc.Iterator[str]:
    """Run it in a child; yield the lines that it tells."""
    heard, told = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        _child(run, cases, told)
    os.close(told)
    try:
        with os.fdopen(heard) as lines:
            yield from lines
    finally:
        # Nothing where it has ended by itself; its own die with it.
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _child(run: Run, cases: judging.Cases, told: int) -> None:
    """Never returns."""
    code = 1
    try:
        pool.die_with_parent()
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)

        def tell(line: str) -> None:
            os.write(told, f'{line}\n'.encode())
        run(cases, AT_ONCE, tell)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _result(mutant: mutation.Mutant, judge_name: str, said: dict
            ) -> report.Result:
    verdict = {
        judging.Verdict.SURVIVED: report.SURVIVED,
        judging.Verdict.CAUGHT: report.CAUGHT,
        None: report.AT_DEADLINE}.get(said['code'], report.NOT_JUDGED)
    caught = re.findall(r'^CAUGHT (.{1,150})', said['output'], re.MULTILINE)
    detail = caught[-1] if caught else ''
    if verdict == report.NOT_JUDGED:
        detail = said['output'][-400:]
    return report.Result(mutant, verdict, judge_name, said['took_s'], detail)
