# SPDX-License-Identifier: Apache-2.0
"""
Scheduler host filters of nova-pets

Resolving ``all_filters`` attaches the gate and the periodic task.
"""

from nova import filters as nova_filters
from nova.scheduler import filters as host_filters

from nova_pets.scheduler import extension
from nova_pets.scheduler import plugins

NAMESPACE = 'nova_pets.filters'

OWN_NAMES = ('EvacuationGateFilter', 'FencedHostFilter',
             'SharedStorageFilter')


class PetsFilterHandler(nova_filters.BaseFilterHandler):
    def __init__(self):
        super().__init__(host_filters.BaseHostFilter)


class _PassingFilter(host_filters.BaseHostFilter):
    """Stands in for a filter of ours that is off or cannot be used, so that
    its name in ``enabled_filters`` still resolves."""

    run_filter_once_per_request = True

    RUN_ON_REBUILD = False

    def host_passes(self, host_state, spec_obj):
        return True


def _passing_filter(name):
    return type(name, (_PassingFilter,), {'__module__': __name__})


def all_filters():
    """Return a list of filter classes: those of this directory and those of
    the entry points in ``nova_pets.filters``.

    Name it in ``[filter_scheduler] available_filters`` in addition to
    Nova's.
    """
    if not extension.attach():
        return [_passing_filter(name) for name in
                sorted(set(OWN_NAMES) | set(plugins.names(NAMESPACE)))]
    return plugins.load(
        NAMESPACE, host_filters.BaseHostFilter,
        PetsFilterHandler().get_all_classes(), _passing_filter)
