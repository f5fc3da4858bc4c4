# SPDX-License-Identifier: Apache-2.0
"""
Scheduler host weights of nova-pets
"""

from nova import weights as nova_weights
from nova.scheduler import weights as host_weights

from nova_pets.scheduler import extension
from nova_pets.scheduler import plugins

NAMESPACE = 'nova_pets.weighers'


class PetsWeightHandler(nova_weights.BaseWeightHandler):
    object_class = host_weights.WeighedHost

    def __init__(self):
        super().__init__(host_weights.BaseHostWeigher)


def all_weighers():
    """Return a list of weigher classes: those of this directory and those
    of the entry points in ``nova_pets.weighers``.

    Name it last in ``[filter_scheduler] weight_classes``, after Nova's.
    """
    if not extension.attach():
        return []
    return plugins.load(
        NAMESPACE, host_weights.BaseHostWeigher,
        PetsWeightHandler().get_all_classes(), lambda name: None)
