# SPDX-License-Identifier: Apache-2.0
"""Attaching: what is put where, how often, and what may go wrong."""

import sys

import nova.conf
from nova.scheduler import filters as nova_filters
from nova.scheduler import manager
from nova.scheduler import request_filter
from nova.scheduler import weights as nova_weights
import pytest

from nova_pets.scheduler import extension
from nova_pets.scheduler import filters
from nova_pets.scheduler import gate
from nova_pets.scheduler import plugins
from nova_pets.scheduler import weights
from nova_pets.scheduler import worker

FILTERS = ['EvacuationGateFilter', 'FencedHostFilter', 'SharedStorageFilter']


@pytest.fixture(autouse=True)
def clean():
    before = list(request_filter.ALL_REQUEST_FILTERS)
    tasks = list(manager.SchedulerManager._periodic_tasks)
    extension._problems.clear()
    yield
    request_filter.ALL_REQUEST_FILTERS[:] = before
    manager.SchedulerManager._periodic_tasks[:] = tasks
    extension._problems.clear()


def tasks():
    return [name for name, task in manager.SchedulerManager._periodic_tasks
            if name == extension.TASK_NAME]


def names(classes):
    return sorted(cls.__name__ for cls in classes)


def test_loading_filters_puts_the_gate_first_and_adds_one_task():
    assert names(filters.all_filters()) == FILTERS
    assert request_filter.ALL_REQUEST_FILTERS[0] is gate.evacuation_gate
    assert tasks() == [extension.TASK_NAME]


def test_loading_again_changes_nothing():
    filters.all_filters()
    weights.all_weighers()
    filters.all_filters()
    assert request_filter.ALL_REQUEST_FILTERS.count(
        gate.evacuation_gate) == 1
    assert tasks() == [extension.TASK_NAME]
    assert extension.load_problems() == []


def test_a_scheduler_made_anew_starts_its_engine_anew(monkeypatch):
    renewed = []
    monkeypatch.setattr(worker.KEEPER, 'renew', lambda: renewed.append(1))
    filters.all_filters()
    assert renewed


def test_mode_off_attaches_nothing_and_detaches_what_was(option):
    filters.all_filters()
    option('pets', 'mode', 'off')
    found = filters.all_filters()
    assert names(found) == FILTERS
    assert all(cls().host_passes(None, None) for cls in found)
    assert weights.all_weighers() == []
    assert not extension.is_gate_loaded()
    assert tasks() == []


def test_listing_the_plugins_elsewhere_attaches_nothing(monkeypatch):
    monkeypatch.delitem(sys.modules, 'nova.scheduler.manager')
    before = list(request_filter.ALL_REQUEST_FILTERS)
    assert names(filters.all_filters()) == FILTERS
    assert request_filter.ALL_REQUEST_FILTERS == before
    assert tasks() == []


def test_a_failure_is_caught_logged_once_and_remembered(monkeypatch, caplog):
    def fails(conf):
        raise RuntimeError('cannot think')

    monkeypatch.setattr(extension.opts, 'register_opts', fails)
    for _ in range(3):
        found = filters.all_filters()
    assert names(found) == FILTERS
    assert all(cls().host_passes(None, None) for cls in found)
    assert weights.all_weighers() == []
    assert len(extension.load_problems()) == 1
    assert 'cannot think' in extension.load_problems()[0]
    assert caplog.text.count('nova-manage pets check') == 1


def test_a_manager_that_is_complete_already_goes_on_running_its_tasks(
        monkeypatch):
    class Complete(manager.SchedulerManager):
        def __init__(self):
            self._periodic_last_run = {}

    monkeypatch.setattr(manager, 'SchedulerManager', Complete)
    monkeypatch.setattr(worker.KEEPER, 'ensure', lambda: ran.append(1))
    ran = []
    Complete._periodic_tasks = []
    complete = Complete()
    complete.conf = nova.conf.CONF
    extension.attach()
    complete.run_periodic_tasks(None, raise_on_error=True)
    assert ran == [1]


def test_no_periodic_tasks_at_all_is_a_problem_that_is_told(option):
    option(None, 'periodic_enable', False)
    filters.all_filters()
    assert 'periodic_enable' in extension.load_problems()[0]


def test_effective_lists_are_novas_and_ours():
    """As HostManager resolves them with the lines of design.md, 7."""
    found = nova_filters.HostFilterHandler().get_matching_classes([
        'nova.scheduler.filters.all_filters',
        'nova_pets.scheduler.filters.all_filters'])
    assert set(found) == set(nova_filters.all_filters()) | set(
        filters.all_filters())
    by_name = {cls.__name__ for cls in found}
    assert len(by_name) == len(found)
    found = nova_weights.HostWeightHandler().get_matching_classes([
        'nova.scheduler.weights.all_weighers',
        'nova_pets.scheduler.weights.all_weighers'])
    assert set(found) == set(nova_weights.all_weighers()) | set(
        weights.all_weighers())
    assert found[-1].__name__ == 'EvacuationSpreadWeigher'


def test_plugin_modules_show_no_class_but_their_own():
    """Nova's loader takes every class it can see in a module."""
    assert names(filters.PetsFilterHandler().get_all_classes()) == FILTERS
    assert names(weights.PetsWeightHandler().get_all_classes()) == [
        'EvacuationSpreadWeigher']


class _EntryPoint:
    def __init__(self, name, plugin):
        self.name = name
        self.plugin = plugin


class _Strange(nova_filters.BaseHostFilter):
    pass


class _Manager(list):
    """stevedore's ExtensionManager with entry points of other people."""

    def __init__(self, namespace, on_load_failure_callback):
        super().__init__([_EntryPoint('StrangeFilter', _Strange),
                          _EntryPoint('NoFilter', dict)])
        on_load_failure_callback(
            self, _EntryPoint('BrokenFilter', None), ImportError('no yaml'))


def test_filters_of_others_are_loaded_and_broken_ones_pass(monkeypatch):
    monkeypatch.setattr(plugins.stevedore_extension, 'ExtensionManager',
                        _Manager)
    found = {cls.__name__: cls for cls in filters.all_filters()}
    assert set(found) == {*FILTERS, '_Strange', 'NoFilter', 'BrokenFilter'}
    assert found['BrokenFilter']().host_passes(None, None)
    assert found['NoFilter']().host_passes(None, None)
    assert any('no yaml' in problem for problem in
               extension.load_problems())
