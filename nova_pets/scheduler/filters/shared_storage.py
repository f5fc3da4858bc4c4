# SPDX-License-Identifier: Apache-2.0
"""
Shared Storage Filter. An evacuated image-backed pet only goes to hosts that
see its disk.

The storage domain of a host is the value of ``pets:storage`` in the metadata
of an aggregate that it is in. With ``[pets] one_storage_domain`` the hosts
without such an aggregate are one domain, too. A pet that boots from volume,
or whose owner accepts the loss of its disk, may go anywhere.
"""

import nova.conf
from nova.scheduler import filters
from nova.scheduler.filters import utils

from nova_pets.scheduler import request

CONF = nova.conf.CONF

KEY = 'pets:storage'

WHOLE_CLOUD = 'cloud'
# planning/protection.py gives this name to the one domain


class SharedStorageFilter(filters.BaseHostFilter):
    """Keep an evacuated pet within the storage domain of its source."""
    # The aggregates of a host do not change within a request
    run_filter_once_per_request = True

    RUN_ON_REBUILD = False

    def filter_all(self, filter_obj_list, spec_obj):
        if request.evacuation(spec_obj) is None:
            return filter_obj_list  # not one by one: there may be thousands
        return super().filter_all(filter_obj_list, spec_obj)

    def host_passes(self, host_state, spec_obj):
        recovery = request.evacuation(spec_obj)
        if recovery is None:
            return True
        if recovery.is_bfv or recovery.disk == 'rebuild':
            return True
        domains = utils.aggregate_values_from_key(host_state, KEY)
        if not domains and CONF.pets.one_storage_domain:
            domains = {WHOLE_CLOUD}
        return recovery.storage_domain in domains
