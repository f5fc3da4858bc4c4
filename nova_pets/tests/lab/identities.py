# SPDX-License-Identifier: Apache-2.0
"""Identities that stay the same in every life of a host. Pure."""

import uuid

DRIVER = 'pets_lab.LabDriver'


def node(host):
    """Return the uuid of the compute node."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f'lab-{host}'))


def systems(hosts):
    """Return host -> uuid of the Redfish system."""
    return {host: str(uuid.uuid5(uuid.NAMESPACE_DNS, f'bmc-{host}'))
            for host in hosts}
