# SPDX-License-Identifier: Apache-2.0
"""The suite for what has a file for a device: fence_dummy and fake."""

from nova_pets.tests.fencing import endpoints
from nova_pets.tests.fencing import suite


class TestFenceDummy(suite.Conformance):
    endpoint = endpoints.FenceDummy


class TestFake(suite.Conformance):
    endpoint = endpoints.Fake
