# SPDX-License-Identifier: Apache-2.0
"""What our plugins know about one scheduling request.

Reads a RequestSpec, and keeps what the gate read and decided on that very
object: plugins are singletons that serve many threads, so nothing about a
request may be kept on them. Decides nothing.

Nova sets ``ignore_hosts`` for an evacuation, a cold migration or resize that
may not stay on its host, and a live migration, and for nothing else; its
first entry is always the host that the instance is to leave (nova 31 to 34:
conductor/manager.py rebuild_instance, compute/api.py resize,
conductor/tasks/live_migrate.py). An unshelve has none, but like every
request for an existing instance it is restricted to the instance's cell.
"""

import dataclasses

from nova.scheduler import utils

from nova_pets.model import snapshot
from nova_pets.scheduler import access


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """What the gate read, and whether it let the request through."""

    view: snapshot.GateView
    has_passed: bool


def instance_uuid(spec_obj):
    """Return the instance's uuid, or None."""
    if spec_obj.obj_attr_is_set('instance_uuid'):
        return spec_obj.instance_uuid
    return None


def request_id(spec_obj):
    """Return the request_id of the call that caused this request."""
    return getattr(spec_obj._context, 'request_id', None)


def source(spec_obj):
    """Return the host that the instance is to leave, None: no move."""
    if not instance_uuid(spec_obj) or utils.request_is_rebuild(spec_obj):
        return None
    if not spec_obj.obj_attr_is_set('ignore_hosts'):
        return None
    hosts = spec_obj.ignore_hosts
    return hosts[0] if hosts else None


def cell_uuid(spec_obj):
    """Return the cell that Nova restricts the request to, or None.

    A first boot is never restricted to a cell.
    """
    if not spec_obj.obj_attr_is_set('requested_destination'):
        return None
    destination = spec_obj.requested_destination
    if not destination or not destination.obj_attr_is_set('cell'):
        return None
    return destination.cell.uuid if destination.cell else None


def remember(spec_obj, view, has_passed):
    """Keep what was read for the other plugins of this request."""
    spec_obj._nova_pets_known = Known(view, has_passed)


def recall(spec_obj):
    """Return the Known of this request, None: no gate has seen it."""
    return getattr(spec_obj, '_nova_pets_known', None)


def view(spec_obj):
    """Return the GateView of a move; read unless the gate did so already.

    May raise whatever the store raises.
    """
    known = recall(spec_obj)
    if known is not None:
        return known.view
    result = access.store().gate_view(
        instance_uuid(spec_obj), [source(spec_obj)])
    remember(spec_obj, result, has_passed=False)
    return result


def evacuation(spec_obj):
    """Return the Recovery that this request serves, else None; no read."""
    known = recall(spec_obj)
    if known is None or known.view.attempt is None:
        return None
    if known.view.attempt.request_id != request_id(spec_obj):
        return None
    return known.view.recovery
