# SPDX-License-Identifier: Apache-2.0
"""The suite for fence_ipmilan on the IPMI simulator."""

from nova_pets.tests.fencing import endpoints
from nova_pets.tests.fencing import secrecy
from nova_pets.tests.fencing import suite


class TestFenceIpmilan(suite.Conformance, secrecy.Secrecy):
    endpoint = endpoints.FenceIpmilan
