# SPDX-License-Identifier: Apache-2.0
"""Tiers of tests: which tier a test is in, and what may not be skipped.

The tier of a test is the directory under nova_pets/tests that it lies in,
and becomes its marker. ``NOVA_PETS_REQUIRE`` names the tiers that must run
(``all``, or a list as in ``db,packaging``): there a skip is a failure, so
that CI cannot be green because a service was missing.

``-n auto`` runs as many tests at a time as suits the tier and the
processors; ``NOVA_PETS_PROCESSORS`` says how many of these to count on.
"""

from importlib import metadata
import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent
TIERS = ('unit', 'db', 'simulator', 'fencing', 'functional', 'executable',
         'packaging', 'lab', 'truehosts')
MOST_PROCESSORS = 8
"""More would wait for the databases, or for memory."""
CLOUD_TIMEOUT_S = 900
"""For a cloud that hangs, not for one on a crowded machine."""


def is_required(tier):
    """Return whether NOVA_PETS_REQUIRE says that this tier must run."""
    required = os.environ.get('NOVA_PETS_REQUIRE', '')
    words = required.replace(',', ' ').split()
    return 'all' in words or tier in words


def require(tier, reason):
    """Skip the calling test; fail it where its tier must run.

    :param tier: one of TIERS.
    :param reason: what is missing, and how to provide it.
    """
    if is_required(tier):
        pytest.fail(f'required tier {tier}: {reason}', pytrace=False)
    pytest.skip(reason)


def tier_of(path):
    """Return the tier of a file under nova_pets/tests."""
    try:
        first = pathlib.Path(path).relative_to(ROOT).parts[0]
    except ValueError:
        return 'unit'
    return first if first in TIERS else 'unit'


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """Return how many tests run at a time; 0: in this process."""
    paths = [config.invocation_params.dir / arg.partition('::')[0]
             for arg in config.args]
    tiers = {'all' if path == ROOT else tier_of(path) for path in paths}
    if tiers & {'executable', 'packaging', 'lab', 'truehosts', 'all'}:
        return 0
    processors = min(MOST_PROCESSORS, int(os.environ.get(
        'NOVA_PETS_PROCESSORS') or len(os.sched_getaffinity(0))))
    if 'fencing' in tiers:
        # A file is an endpoint, and mostly waits.
        return max(4, processors)
    if 'functional' not in tiers:
        return processors
    # The cloud of nova 31 runs in green threads, which xdist's own threads
    # do not go with. A cloud waits half of its time.
    return 0 if nova_version() == '31' else 2 * processors


def nova_version():
    """Return the major version that is installed, as text."""
    return metadata.version('nova').partition('.')[0]


def pytest_collection_modifyitems(config, items):
    """Mark each test with its tier; leave out those of another Nova.

    A test that says nothing about this version of Nova is deselected and
    not skipped: nothing is missing.
    """
    nova = nova_version()
    others = []
    for item in items:
        item.add_marker(getattr(pytest.mark, tier_of(item.path)))
        if tier_of(item.path) in ('functional', 'lab', 'truehosts'):
            item.add_marker(pytest.mark.timeout(CLOUD_TIMEOUT_S))
        wanted = [str(version) for mark in item.iter_markers('nova')
                  for version in mark.args]
        if wanted and nova not in wanted:
            others.append(item)
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and not hasattr(report, 'wasxfail'):
        _fail_if_required(report, item.path)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if report.skipped:
        _fail_if_required(report, collector.path)
    return report


def _fail_if_required(report, path):
    tier = tier_of(path)
    if is_required(tier):
        why = (report.longrepr[2] if isinstance(report.longrepr, tuple)
               else report.longrepr)
        report.outcome = 'failed'
        report.longrepr = f'required tier {tier}: {why}'
