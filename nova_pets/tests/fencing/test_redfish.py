# SPDX-License-Identifier: Apache-2.0
"""The suite for the driver redfish on the Redfish emulator."""

from nova_pets.tests.fencing import endpoints
from nova_pets.tests.fencing import secrecy
from nova_pets.tests.fencing import suite


class TestRedfish(suite.Conformance, secrecy.Secrecy):
    endpoint = endpoints.Redfish
