# SPDX-License-Identifier: Apache-2.0
"""Allocations of an instance, by compute host.

Reads and removes whole provider trees; adds only what an adopted guest
uses, which Nova took away when it thought it had failed. Every write is
compare-and-swap by placement's consumer generation.
"""

import logging

from nova import exception as nova_exc
from nova import objects
from nova.db.main import models
from nova.scheduler import utils as scheduler_utils
from nova.scheduler.client import report
import sqlalchemy as sa

from nova_pets import exception
from nova_pets.compute import cells

LOG = logging.getLogger(__name__)


def client() -> report.SchedulerReportClient:
    """Return Nova's client of this process, shared with the nova-scheduler.

    keystoneauth holds each request back until the wall clock has passed the
    moment when the client was made (its rate limit, which nobody has set): a
    clock that is stepped back by an hour would stop all of them for an hour,
    and who waits already would wait on when it is put right.
    """
    found = report.report_client_singleton()
    adapter = found._client
    if getattr(adapter, '_rate_semaphore', None) is not None:
        adapter._rate_semaphore = None
    return found


def allocated_hosts(contexts, context, uuid: str) -> set[str]:
    """Return hosts whose provider trees hold allocations of the instance.

    Providers that are no compute node's tree (shared storage) are left out.

    :param contexts: one per cell to look for compute nodes in.
    """
    placement = client()
    providers = set(placement.get_allocs_for_consumer(
        context, uuid)['allocations'])
    if not providers:
        return set()
    hosts, roots = _hosts_of(contexts, providers)
    nested = providers - roots
    if nested:
        above = {root for provider in nested for root in
                 _tree(placement, context, provider)} - roots
        hosts |= _hosts_of(contexts, above)[0]
    return hosts


def remove(context, uuid: str, node_uuids: list[str]) -> None:
    """Remove the trees of these compute nodes from the allocations.

    :raises NovaUnavailable: others changed the allocations meanwhile.
    """
    placement = client()
    for node_uuid in node_uuids:
        held = placement.get_allocs_for_consumer(context, uuid)['allocations']
        if not held:
            return
        if held.keys().isdisjoint(_tree(placement, context, node_uuid)):
            continue
        if not placement.remove_provider_tree_from_instance_allocation(
                context, uuid, node_uuid):
            raise exception.NovaUnavailable(
                what=f'remove allocations of {uuid}',
                found='they were changed by somebody else meanwhile')


def add(cctxt, uuid: str, node_uuid: str) -> None:
    """Allocate the flavor of an instance on a compute node it runs on.

    What is allocated there already, or is refused because the node is full,
    stays as it is: the guest runs all the same, and only the accounts are
    wrong then. vGPUs are not in the root provider and are left out by Nova's
    own heal_allocations too.

    :raises NovaUnavailable: placement was not reached, or others changed
        the allocations meanwhile.
    """
    placement = client()
    found = placement.get_allocs_for_consumer(cctxt, uuid)
    held = found['allocations']
    if not held.keys().isdisjoint(_tree(placement, cctxt, node_uuid)):
        return
    instance = objects.Instance.get_by_uuid(cctxt, uuid,
                                            expected_attrs=['flavor'])
    if instance.flavor.extra_specs.get('resources:VGPU'):
        LOG.warning('instance %s is adopted without an allocation, as it has '
                    'a vGPU', uuid)
        return
    payload = {
        'allocations': {
            node_uuid: {'resources': scheduler_utils.resources_from_flavor(
                instance, instance.flavor)},
            **{provider: {'resources': entry['resources']}
               for provider, entry in held.items()}},
        'project_id': instance.project_id, 'user_id': instance.user_id,
        'consumer_generation': found.get('consumer_generation')}
    try:
        is_written = placement.put_allocations(cctxt, uuid, payload)
    except (nova_exc.AllocationUpdateFailed,
            nova_exc.PlacementAPIConnectFailure, report.Retry) as error:
        raise exception.NovaUnavailable(
            what=f'allocate {uuid} where it runs',
            found=f'{type(error).__name__}: {error}') from error
    if not is_written:
        LOG.warning('instance %s is adopted without an allocation: placement '
                    'refuses it', uuid)


def _tree(placement, context, provider: str) -> set[str]:
    """Return the uuids of all providers in the provider's tree."""
    return {entry['uuid']
            for entry in placement.get_providers_in_tree(context, provider)}


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
