# SPDX-License-Identifier: Apache-2.0
"""The suite for fence_redfish on the Redfish emulator."""

from nova_pets.tests.fencing import endpoints
from nova_pets.tests.fencing import secrecy
from nova_pets.tests.fencing import suite


class TestFenceRedfish(suite.Conformance, secrecy.Secrecy):
    endpoint = endpoints.FenceRedfish
