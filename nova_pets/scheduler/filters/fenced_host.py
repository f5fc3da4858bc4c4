# SPDX-License-Identifier: Apache-2.0
"""
Fenced Host Filter. Instances, pets or not, only go to hosts that are up.

A host that is suspect, down, fenced or coming back takes nothing new. A pet
also does not go to a host whose restart would destroy it: one that an
unfinished evacuation record of that pet names as its source.
"""

from nova.scheduler import filters
from nova.scheduler import utils
from oslo_log import log as logging

from nova_pets.model import states
from nova_pets.scheduler import access
from nova_pets.scheduler import request
from nova_pets.scheduler import unsafe_hosts

LOG = logging.getLogger(__name__)


class FencedHostFilter(filters.BaseHostFilter):
    """Filter out hosts that nova-pets does not hold to be up."""
    # The states of the hosts are read once for a request
    run_filter_once_per_request = True

    RUN_ON_REBUILD = False

    def filter_all(self, filter_obj_list, spec_obj):
        if utils.request_is_rebuild(spec_obj):
            return filter_obj_list
        if access.mode() is not states.Mode.ACT:
            return filter_obj_list
        refused = set(unsafe_hosts.unsafe_hosts())
        refused.update(self._tombstones(spec_obj))
        return [host_state for host_state in filter_obj_list
                if host_state.host not in refused]

    def _tombstones(self, spec_obj):
        """Hosts that would destroy this instance when they restart.

        Nothing is read at a first boot, nor for a move of which the gate
        knows that it concerns no pet.
        """
        known = request.recall(spec_obj)
        if known is not None and not known.view.is_pet:
            return []
        if known is None and request.cell_uuid(spec_obj) is None:
            return []
        uuid = request.instance_uuid(spec_obj)
        if uuid is None:
            return []
        try:
            return access.store().tombstoned(uuid)
        except Exception as error:
            # The boundary of a plugin: an evacuation of a pet is refused
            # by the gate when the tables cannot be read; nothing else is.
            LOG.warning('cannot read the evacuation records of %(uuid)s: '
                        '%(error)s', {'uuid': uuid, 'error': error})
            return []
