# SPDX-License-Identifier: Apache-2.0
"""
Fenced Host Filter. Instances, pets or not, only go to hosts that are up.

A host that is suspect, down, fenced or coming back takes nothing new; only
where nothing but suspect hosts is left, these stay: all heartbeats are late
when a database or a broker stalls, and the cloud goes on as without us. A pet
whose evacuation finds no host is tried again, so it never goes there. It
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
        # First, as its read tells the hosts as well.
        is_pet = self._is_pet(spec_obj)
        unsafe = unsafe_hosts.unsafe_hosts()
        refused = set(unsafe)
        if is_pet:
            refused.update(self._tombstones(spec_obj))
        passing = [host_state for host_state in filter_obj_list
                   if host_state.host not in refused]
        if passing or is_pet:
            return passing
        return [host_state for host_state in filter_obj_list
                if unsafe[host_state.host] is states.HostState.SUSPECT]

    def _is_pet(self, spec_obj):
        """Whether the instance may have guests of its own elsewhere.

        Nothing is read at a first boot, nor for a move: the gate has. What
        else places an existing instance (an unshelve) costs one statement,
        and the states of the hosts come with it.
        """
        known = request.recall(spec_obj)
        if known is not None:
            return known.view.is_pet
        uuid = request.instance_uuid(spec_obj)
        if uuid is None or request.cell_uuid(spec_obj) is None:
            return False
        try:
            view = access.store().gate_view(uuid, [])
        except Exception as error:
            _say_unread(uuid, error)
            return False
        unsafe_hosts.learn(view.host_states)
        return view.is_pet

    def _tombstones(self, spec_obj):
        """Hosts that would destroy this instance when they restart."""
        uuid = request.instance_uuid(spec_obj)
        try:
            return access.store().tombstoned(uuid)
        except Exception as error:
            _say_unread(uuid, error)
            return []


def _say_unread(uuid, error):
    # The boundary of a plugin: an evacuation of a pet is refused by the gate
    # when the tables cannot be read; nothing else is.
    LOG.warning('cannot read the evacuation records of %(uuid)s: %(error)s',
                {'uuid': uuid, 'error': error})
