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
each other's choice. So each begins to count at another host, by the number of
its attempt: of hosts that receive equally many, the further one is from there,
the less it weighs, and the less so the fewer requests are without a
destination. One that is alone is weighed by what is in flight only.
"""

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
        in_flight = self._in_flight()
        turns = self._turns(weighed_obj_list, weight_properties,
                            in_flight.get(None, 0))
        with picks.present() as recent:
            # What is known comes before whose turn it is.
            scale = max(turns.values(), default=0) + 1
            result = [
                -float(scale * (in_flight.get(weighed.obj.host, 0) +
                                recent.count(weighed.obj.host)) +
                       turns[weighed.obj.host])
                for weighed in weighed_obj_list]
            recent.add(request.request_id(weight_properties),
                       self._favourite(weighed_obj_list, result))
        return result

    def _turns(self, weighed_obj_list, spec_obj, without_destination):
        """How far each host is from where this request begins to count."""
        if CONF.pets_scheduler.evacuation_spread_weight_multiplier < 0:
            without_destination = 0  # they are to stack
        hosts = sorted({weighed.obj.host for weighed in weighed_obj_list})
        first = request.recall(spec_obj).view.attempt.id
        return {host: min((number - first) % len(hosts),
                          max(without_destination - 1, 0))
                for number, host in enumerate(hosts)}

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
            return access.store().in_flight_by_destination()
        except Exception as error:
            # The boundary of a plugin: without our tables, what this
            # process picked itself still spreads them.
            LOG.warning('cannot read the evacuations in flight: %(error)s',
                        {'error': error})
            return {}
