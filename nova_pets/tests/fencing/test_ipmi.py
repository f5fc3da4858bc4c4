# SPDX-License-Identifier: Apache-2.0
"""The suite for the driver ipmi on the IPMI simulator."""

from nova_pets.tests.fencing import endpoints
from nova_pets.tests.fencing import secrecy
from nova_pets.tests.fencing import suite


class TestIpmi(suite.Conformance, secrecy.Secrecy):
    endpoint = endpoints.Ipmi
