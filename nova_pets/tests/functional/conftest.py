# SPDX-License-Identifier: Apache-2.0
"""Embedded clouds for functional tests; each test has its own.

NOVA_PETS_POINTS (4) says at how many points engines die in the main recovery;
NOVA_PETS_ALL_POINTS=1 takes every point.
"""

import pytest

LONG = ('test_crash_points', 'test_people_deeds', 'test_conformance',
        'test_windows_chain', 'test_engines', 'test_states',
        'test_windows_outage', 'test_windows_source', 'test_windows_request',
        'test_demo')
"""Begun first, in this order: the last file to end is a short one."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.stem)
               if item.path.stem in LONG else len(LONG))


def pytest_terminal_summary(terminalreporter):
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, 'user_properties', ()):
                if name == 'crash points' and report.when == 'call':
                    terminalreporter.write_line(
                        'functional: %d of %d points of the main recovery '
                        'tried in %.0f s' % tuple(value))


@pytest.fixture(scope='session')
def our_options():
    """Register our options before any cloud, as each process of the product.

    A door that comes before them would register keystoneauth's own options in
    [pets_auth], and every cloud with nova-pets after it in this process would
    fail.
    """
    # Not above: it imports Nova, which other tests here run elsewhere.
    from nova_pets.tests import cloud as cloud_package

    import nova.conf

    from nova_pets.conf import opts

    assert cloud_package  # it comes before Nova, and chooses its threads
    opts.register_opts(nova.conf.CONF)


@pytest.fixture
def make_cloud(our_options):
    """Return a function that starts clouds; all are closed at the end.

    At most one at a time: Nova's globals belong to one cloud.
    """
    from nova_pets.tests import cloud as cloud_package
    clouds = []

    def make(cloud_class=cloud_package.EmbeddedCloud, **kwargs):
        cloud = cloud_class(**kwargs)
        cloud.__enter__()
        clouds.append(cloud)
        return cloud
    yield make
    for cloud in reversed(clouds):
        cloud.close()


@pytest.fixture
def cloud(make_cloud):
    """A cloud of three hosts with stock configuration."""
    return make_cloud(hosts=3)
