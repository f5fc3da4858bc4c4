# SPDX-License-Identifier: Apache-2.0
"""How many seeds, points and pairs were tried, at the end of the tier.

NOVA_PETS_SEEDS (300) says how many seeds are run, NOVA_PETS_SQL_SEEDS (12)
how many of them on SQL too, NOVA_PETS_POINTS (2) and NOVA_PETS_PAIRS (1) at
how many points, or pairs of points, engines die in each scenario;
NOVA_PETS_ALL_POINTS=1 takes every point.
"""

import collections

TRIED = ('seeds', 'seeds on SQL', 'points', 'pairs')


def pytest_terminal_summary(terminalreporter):
    tried, known = collections.Counter(), collections.Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, 'user_properties', ()):
                if name in TRIED and report.when == 'call':
                    tried[name] += value[0]
                    known[name] += value[1]
    for name in TRIED:
        if tried[name]:
            more = (f' of {known[name]}' if known[name] else '')
            terminalreporter.write_line(
                f'simulator: {tried[name]}{more} {name} tried')
