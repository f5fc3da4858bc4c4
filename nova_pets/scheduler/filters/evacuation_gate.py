# SPDX-License-Identifier: Apache-2.0
"""
Evacuation Gate Filter. Repeats the gate's check right before hosts are
chosen, and is the gate where the request filter is not in place.

It refuses by an exception: no host would mean NoValidHost, and conductor
would write ERROR over a healthy attempt. Put it first in
``enabled_filters``, after FencedHostFilter.

Hosts that failed the last attempt are left out of this one; planning forgets
them when no other host is left.
"""

from nova.scheduler import filters

from nova_pets.scheduler import gate
from nova_pets.scheduler import request


class EvacuationGateFilter(filters.BaseHostFilter):
    """Stop evacuations of pets that are not the present attempt."""
    # A request is let through or refused as a whole
    run_filter_once_per_request = True

    RUN_ON_REBUILD = False

    def filter_all(self, filter_obj_list, spec_obj):
        if request.source(spec_obj) is None:
            return filter_obj_list
        gate.repeat(spec_obj._context, spec_obj)
        recovery = request.evacuation(spec_obj)
        if recovery is None:
            return filter_obj_list
        return [host_state for host_state in filter_obj_list
                if host_state.host not in recovery.excluded]
