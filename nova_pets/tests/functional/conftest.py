# SPDX-License-Identifier: Apache-2.0
"""Embedded clouds for functional tests; each test has its own."""

import pytest


@pytest.fixture
def make_cloud():
    """Return a function that starts clouds; all are closed at the end.

    At most one at a time: Nova's globals belong to one cloud.
    """
    # Not above: it imports Nova, which other tests here run elsewhere.
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
