# SPDX-License-Identifier: Apache-2.0
"""Allocations of an instance, by compute host.

Reads and removes whole provider trees; never adds an allocation. Removing is
compare-and-swap by placement's consumer generation.
"""

from nova.db.main import models
from nova.scheduler.client import report
import sqlalchemy as sa

from nova_pets import exception
from nova_pets.compute import cells


def allocated_hosts(contexts, context, uuid: str) -> set[str]:
    """Return hosts whose provider trees hold allocations of the instance.

    Providers that are no compute node's tree (shared storage) are left out.

    :param contexts: one per cell to look for compute nodes in.
    """
    client = report.report_client_singleton()
    providers = set(client.get_allocs_for_consumer(
        context, uuid)['allocations'])
    if not providers:
        return set()
    hosts, roots = _hosts_of(contexts, providers)
    nested = providers - roots
    if nested:
        above = {root for provider in nested for root in
                 _tree(client, context, provider)} - roots
        hosts |= _hosts_of(contexts, above)[0]
    return hosts


def remove(context, uuid: str, node_uuids: list[str]) -> None:
    """Remove the trees of these compute nodes from the allocations.

    :raises NovaUnavailable: others changed the allocations meanwhile.
    """
    client = report.report_client_singleton()
    for node_uuid in node_uuids:
        held = client.get_allocs_for_consumer(context, uuid)['allocations']
        if not held:
            return
        if held.keys().isdisjoint(_tree(client, context, node_uuid)):
            continue
        if not client.remove_provider_tree_from_instance_allocation(
                context, uuid, node_uuid):
            raise exception.NovaUnavailable(
                what=f'remove allocations of {uuid}',
                found='they were changed by somebody else meanwhile')


def _tree(client, context, provider: str) -> set[str]:
    """Return the uuids of all providers in the provider's tree."""
    return {entry['uuid']
            for entry in client.get_providers_in_tree(context, provider)}


def _hosts_of(contexts, providers) -> tuple[set[str], set[str]]:
    """Return (hosts, the providers that are compute nodes).

    Deleted compute nodes count: what they hold is held all the same.
    """
    node = models.ComputeNode
    hosts, known = set(), set()
    for cctxt in contexts:
        missing = sorted(providers - known)
        if not missing:
            break
        with cells.reading(cctxt) as session:
            for row in session.execute(sa.select(node.uuid, node.host).where(
                    node.uuid.in_(missing), node.host.is_not(None))).all():
                hosts.add(row.host)
                known.add(row.uuid)
    return hosts, known
