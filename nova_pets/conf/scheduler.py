# SPDX-License-Identifier: Apache-2.0
"""Options of [pets_scheduler]: our filters, weigher and periodic task.

Declares options only; nothing here reads a value.
"""

from oslo_config import cfg

GROUP = cfg.OptGroup('pets_scheduler', title='Filters and weighers', help="""
How nova-pets takes part in scheduling. Requests that concern no pet cost at
most one cached read.
""")

OPTS = [
    cfg.FloatOpt('evacuation_spread_weight_multiplier', default=1.0, help="""
Multiplier of EvacuationSpreadWeigher.

For an evacuated instance, hosts with fewer evacuations in flight weigh more,
so that the load of a failure spreads over the cloud. Only evacuations of pets
are weighed; a larger value lets this count for more among the other
weighers. A negative value stacks them; 0 switches the weigher off.

Can be overridden for the hosts of an aggregate by the metadata key
``evacuation_spread_weight_multiplier``.
"""),
    cfg.FloatOpt('cache_ttl', default=1.0, min=0, max=60, help="""
Time for which a scheduler worker keeps the list of unsafe hosts. Unit:
seconds.

FencedHostFilter lets instances go only to hosts that are ``up`` or, where
nothing else is left, ``suspect``. For this long, a new instance may still be
placed on a host that has just failed, as without us. 0 reads the list once
per request.
"""),
    cfg.FloatOpt('periodic_spacing', default=5.0, min=0.5, max=300, help="""
Time between two looks of the periodic task in a scheduler worker. Unit:
seconds.

The task only keeps the engine of its worker alive; the engine has its own
pace. After an engine thread died, this is how long its worker may be without
one. Read at the start of nova-scheduler. Nova's ``[DEFAULT]
periodic_enable`` must be true.

Related options:

* ``[pets] idle_interval``.
"""),
]
