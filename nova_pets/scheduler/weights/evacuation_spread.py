# SPDX-License-Identifier: Apache-2.0
"""
Evacuation Spread Weigher. Weigh hosts for an evacuated pet by the number of
evacuations that they receive already.

The default is to spread. If you prefer to stack, set the
'evacuation_spread_weight_multiplier' option to a negative number; 0 switches
it off.

The weights are not normalized: each evacuation in flight takes as much from
a host as another weigher with a multiplier of 1.0 can give it at most, so
that many evacuations at once cannot all find the same emptiest host. (The
host that failed the last attempt is EvacuationGateFilter's affair.)

Requests that are scheduled at the same time, in whatever process, do not see
each other's choice. But all of them read the same attempts, in the order in
which they were begun, so each can tell what those before it choose, whose
destination is not known yet: the host that receives the fewest by then, the
first one of equals in an order that is the same for all. Those after it reckon
with it, so it does not look at them. One that is alone is weighed by what is
in flight only.
"""

import collections
import zlib

import nova.conf
from nova.scheduler import utils
from nova.scheduler import weights
from oslo_log import log as logging

from nova_pets.scheduler import access
from nova_pets.scheduler import picks
from nova_pets.scheduler import request

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


class EvacuationSpreadWeigher(weights.BaseHostWeigher):
    # With these bounds, Nova's normalization returns the weights unchanged
    minval = 0.0
    maxval = 1.0

    def weight_multiplier(self, host_state):
        """Override the weight multiplier."""
        return utils.get_weight_multiplier(
            host_state, 'evacuation_spread_weight_multiplier',
            CONF.pets_scheduler.evacuation_spread_weight_multiplier)

    def _weigh_object(self, host_state, weight_properties):
        """Higher weights win.  We want hosts that receive nothing."""
        return 0.0

    def weigh_objects(self, weighed_obj_list, weight_properties):
        if request.evacuation(weight_properties) is None:
            return [0.0] * len(weighed_obj_list)
        mine = request.request_id(weight_properties)
        in_flight = self._in_flight()
        # From another failed host, it is another order.
        source = request.recall(weight_properties).view.attempt.source
        hosts = sorted(
            {weighed.obj.host for weighed in weighed_obj_list},
            key=lambda host: zlib.crc32(f'{source} {host}'.encode()))
        with picks.present() as recent:
            load, others = self._expected(hosts, in_flight, recent, mine)
            ranks = self._ranks(hosts, load, others)
            # What is known comes before whose turn it is.
            scale = max(ranks.values(), default=0) + 1
            result = [-float(scale * load[weighed.obj.host] +
                             ranks[weighed.obj.host])
                      for weighed in weighed_obj_list]
            recent.add(mine, self._favourite(weighed_obj_list, result))
        return result

    def _expected(self, hosts, in_flight, recent, mine):
        """Return ({host: evacuations that it receives before mine}, requests
        besides mine that no destination has yet)."""
        if in_flight is None:
            load = {host: recent.count(host, but=mine) for host in hosts}
            return load, 0
        others = sum(1 for request_id, destination in in_flight
                     if destination is None and request_id != mine)
        load = dict.fromkeys(hosts, 0)
        for request_id, destination in in_flight:
            if request_id == mine:
                if others:
                    break
                continue
            host = destination or recent.host(request_id)
            if host is None and not self._stacks():
                host = min(hosts, key=load.get, default=None)
            if host in load:
                load[host] += 1
        return load, others

    def _ranks(self, hosts, load, others):
        """Return {host: how many as good ones come before it}: the less it
        tells, the fewer requests there are besides."""
        if self._stacks():
            others = 0
        before = collections.Counter()
        ranks = {}
        for host in hosts:
            ranks[host] = min(before[load[host]], others)
            before[load[host]] += 1
        return ranks

    @staticmethod
    def _stacks():
        return CONF.pets_scheduler.evacuation_spread_weight_multiplier < 0

    def _favourite(self, weighed_obj_list, own_weights):
        """The host that Nova will take, if this is the last weigher and
        host_subset_size is 1; else a good guess."""
        totals = [
            weighed.weight + own * self.weight_multiplier(weighed.obj)
            for weighed, own in zip(weighed_obj_list, own_weights)]
        # The first of equals, as Nova's stable sort has it
        return weighed_obj_list[totals.index(max(totals))].obj.host

    def _in_flight(self):
        try:
            return access.store().in_flight()
        except Exception as error:
            # The boundary of a plugin: without our tables, what this
            # process picked itself still spreads them (None).
            LOG.warning('cannot read the evacuations in flight: %(error)s',
                        {'error': error})
            return None
