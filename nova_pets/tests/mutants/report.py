# SPDX-License-Identifier: Apache-2.0
"""What a run of mutants says: a line each, then the score.

A mutant that no judge caught, and for which the catalogue gives no reason,
is named at the end: it is a gap in the tests, or a guard that guards nothing.
"""

import collections
import dataclasses

from nova_pets.tests.mutants import mutation

CAUGHT = 'caught'
AT_DEADLINE = 'deadline'
"""It did not end in its time; the product would hang, which is noticed."""
SURVIVED = 'survived'
NOT_JUDGED = 'NOT JUDGED'
"""The judges could not say anything: the run is worth nothing."""


@dataclasses.dataclass(frozen=True)
class Result:
    mutant: mutation.Mutant
    verdict: str
    judge: str
    took_s: float
    detail: str = ''
    """The test, or the invariant and the seed, that caught it."""

    @property
    def is_caught(self) -> bool:
        return self.verdict in (CAUGHT, AT_DEADLINE)


def line(result: Result) -> str:
    return (f'{result.verdict:8} {result.judge:9} {result.took_s:5.1f} s  '
            f'{result.mutant}'
            + (f'  ({result.detail})' if result.detail else ''))


def score(results: list[Result]) -> float:
    """Return the share that was caught, 0 to 1."""
    if not results:
        return 0.0
    return sum(result.is_caught for result in results) / len(results)


def summary(kind: str, results: list[Result], took_s: float) -> str:
    """Return the table by module, the survivors and the score."""
    total = collections.Counter(result.mutant.module for result in results)
    caught = collections.Counter(
        result.mutant.module for result in results if result.is_caught)
    lines = [f'{kind}:']
    lines += [f'  {module:34} {caught[module]:4} of {total[module]:4}'
              for module in sorted(total)]
    for result in sorted(results, key=lambda one: str(one.mutant)):
        if result.verdict == NOT_JUDGED:
            lines.append(f'  not judged: {result.mutant}')
        elif not result.is_caught and not result.mutant.survives:
            lines.append(f'  survived, unexplained: {result.mutant}')
        elif not result.is_caught:
            lines.append(f'  survived: {result.mutant}: '
                         f'{result.mutant.survives}')
        elif result.mutant.survives:
            lines.append(f'  caught, though explained: {result.mutant}')
    number = sum(result.is_caught for result in results)
    lines.append(f'{kind}: {number} of {len(results)} caught, '
                 f'{score(results):.1%}, in {took_s:.0f} s')
    return '\n'.join(lines)


def code(results: list[Result], threshold: float) -> int:
    """Return the exit code for one kind."""
    if any(result.verdict == NOT_JUDGED for result in results):
        return 2
    return int(score(results) < threshold)
