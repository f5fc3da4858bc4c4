# SPDX-License-Identifier: Apache-2.0
"""What the stock SchedulerManager has loaded with our lines in nova.conf."""

import threading

import pytest


@pytest.fixture
def load(make_cloud):
    """Start a cloud without computes; return it and its manager."""
    def load_(**kwargs):
        from nova_pets.tests.cloud import pets

        cloud = make_cloud(cloud_class=pets.PetsCloud, hosts=0, **kwargs)
        return cloud, cloud.services['scheduler'].manager
    return load_


def _names(objects):
    return [type(found).__name__ for found in objects]


def _tasks(manager):
    return [name for name, task in manager._periodic_tasks]


def test_the_effective_lists_are_novas_and_ours(load):
    from nova.scheduler import filters
    from nova.scheduler import weights

    from nova_pets.tests.cloud import pets

    cloud, manager = load()
    hosts = manager.host_manager
    ours = {'FencedHostFilter', 'EvacuationGateFilter',
            'SharedStorageFilter'}
    stock = {cls.__name__ for cls in filters.all_filters()}
    assert set(hosts.filter_cls_map) == stock | ours
    assert not stock & ours
    assert _names(hosts.enabled_filters) == list(pets.FILTERS)
    assert _names(hosts.weighers) == [
        cls.__name__ for cls in weights.all_weighers()] + [
            'EvacuationSpreadWeigher']


def test_the_gate_is_first_and_the_engine_runs(load):
    from nova.scheduler import request_filter

    from nova_pets.scheduler import extension
    from nova_pets.scheduler import gate

    cloud, manager = load()
    assert request_filter.ALL_REQUEST_FILTERS[0] is gate.evacuation_gate
    assert _tasks(manager).count(extension.TASK_NAME) == 1
    (engine,) = cloud.wait_for('an engine with a slot', lambda: [
        found for found in cloud.store.engines() if found.slot is not None])
    assert engine.host == 'scheduler'
    assert engine.gate_loaded
    assert extension.load_problems() == []


def test_mode_off_is_nova_as_it_was(load):
    from nova.scheduler import request_filter
    from nova.scheduler import weights

    from nova_pets.scheduler import extension

    cloud, manager = load(pets={'pets': {'mode': 'off'}})
    assert not any(
        (found.__module__ or '').startswith('nova_pets')
        for found in request_filter.ALL_REQUEST_FILTERS)
    assert extension.TASK_NAME not in _tasks(manager)
    assert _names(manager.host_manager.weighers) == [
        cls.__name__ for cls in weights.all_weighers()]
    assert not any(thread.name == 'nova-pets-engine'
                   for thread in threading.enumerate())
    # Our names in enabled_filters still resolve.
    found = {type(one).__name__: one for one in
             manager.host_manager.enabled_filters}
    assert found['FencedHostFilter'].host_passes(None, None)
