# SPDX-License-Identifier: Apache-2.0
"""Attaches us to a stock nova-scheduler while it loads its plugins.

``attach`` runs in the master, before fork, when HostManager resolves
``nova_pets.scheduler.filters.all_filters`` or ``...weights.all_weighers``.
It puts the gate first among Nova's request filters and registers one
periodic task on SchedulerManager. It creates no thread, lock or connection,
and no failure leaves it: nova-scheduler starts whatever is wrong with us.
"""

import gc
import sys

import nova.conf
from nova.scheduler import request_filter
from oslo_log import log as logging
from oslo_service import periodic_task

from nova_pets.conf import check
from nova_pets.conf import opts
from nova_pets.conf import policy
from nova_pets.model import states
from nova_pets.scheduler import access
from nova_pets.scheduler import gate
from nova_pets.scheduler import worker

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

TASK_NAME = 'nova_pets_keep_engine'

_problems: list[str] = []


def attach():
    """Attach, or in mode off detach; return whether our plugins work.

    May be called any number of times. Outside nova-scheduler (a command that
    only lists the plugins) nothing is attached.
    """
    try:
        return _attach()
    except Exception as error:
        # The outermost boundary of loading: see the module's docstring.
        LOG.exception('nova-pets cannot be attached')
        report_problem(
            f'cannot attach to nova-scheduler: {error}; our filters pass '
            'everything and no engine runs here')
        return False


def detach():
    """Leave Nova's lists as they were: no gate, no periodic task."""
    _remove_gate()
    manager = sys.modules.get('nova.scheduler.manager')
    if manager is not None:
        _remove_task(manager.SchedulerManager)


def load_problems():
    """Return what went wrong while loading, one sentence each."""
    return list(_problems)


def report_problem(sentence):
    """Remember and log once what an operator has to mend."""
    if sentence not in _problems:
        _problems.append(sentence)
        LOG.error('nova-pets: %(problem)s; mend it and restart '
                  'nova-scheduler, "nova-manage pets check" lists every '
                  'problem', {'problem': sentence})


def is_gate_loaded():
    """Return whether the gate is among Nova's request filters."""
    return gate.evacuation_gate in request_filter.ALL_REQUEST_FILTERS


def _attach():
    opts.register_opts(CONF)
    for problem in check.invalid(CONF):
        report_problem(problem)
    mode = policy.build_policy(CONF).mode
    access.configure(mode, CONF.pets.kill_switch_file)
    manager = sys.modules.get('nova.scheduler.manager')
    if mode is states.Mode.OFF:
        detach()
        return False
    if manager is None:
        return True
    _put_gate_first()
    if not CONF.periodic_enable:
        report_problem('[DEFAULT] periodic_enable is false: expected true, '
                       'no engine runs in this nova-scheduler')
    _add_task(manager.SchedulerManager)
    return True


def _put_gate_first():
    _remove_gate()
    request_filter.ALL_REQUEST_FILTERS.insert(0, gate.evacuation_gate)


def _remove_gate():
    while gate.evacuation_gate in request_filter.ALL_REQUEST_FILTERS:
        request_filter.ALL_REQUEST_FILTERS.remove(gate.evacuation_gate)


def _add_task(cls):
    """Register the periodic task on the class of the manager.

    The manager that is being made takes its tasks from its class after it
    has made its HostManager, which called us. One that is complete already
    must learn the name, or all its periodic tasks would fail on it.
    """
    _remove_task(cls)
    # Several schedulers may be made in one process, one after the other.
    worker.KEEPER.renew()

    @periodic_task.periodic_task(
        spacing=CONF.pets_scheduler.periodic_spacing, run_immediately=True,
        name=TASK_NAME)
    def keep_engine(manager, context):
        worker.KEEPER.ensure()

    for manager in gc.get_referrers(cls):
        if type(manager) is cls and '_periodic_last_run' in vars(manager):
            manager._periodic_last_run.setdefault(TASK_NAME, None)
    cls._add_periodic_task(keep_engine)


def _remove_task(cls):
    cls._periodic_tasks[:] = [
        (name, task) for name, task in cls._periodic_tasks
        if name != TASK_NAME]
