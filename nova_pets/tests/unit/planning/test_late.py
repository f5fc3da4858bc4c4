# SPDX-License-Identifier: Apache-2.0
"""When an ERROR on a recovered pet is ours to mend, and to which state."""

import dataclasses

import pytest

from nova_pets.model import observations
from nova_pets.model import states
from nova_pets.planning import late
from nova_pets.tests.unit.planning import samples

R = states.RecoveryState
COMPUTE = 'compute_rebuild_instance'
ENDED = samples.attempt(request_id='req-1', outcome=states.Outcome.FAILED)
WON = samples.attempt(id=12, request_id='req-2', destination='host3',
                      outcome=states.Outcome.SUCCEEDED)
LATE = observations.ActionEvent(COMPUTE, 'host2', True, 'Error', id=9)
EARLY = observations.ActionEvent(COMPUTE, 'host3', True, 'Success', id=5)


def cause(recovery=None, attempts=(ENDED, WON), late_event=LATE,
          request='req-1', **instance):
    values = {'host': 'host3', 'vm_state': 'error'}
    values.update(instance)
    events = {'req-1': (), 'req-2': (EARLY,)}
    events[request] = (*events.get(request, ()), late_event)
    trace = observations.Trace(samples.instance(**values), (), events,
                               tuple(events))
    row = samples.recovery(**{'state': R.RECOVERED, 'destination': 'host3',
                              **(recovery or {})})
    return late.cause(row, list(attempts), trace)


def test_a_late_failure_of_an_ended_attempt_is_found():
    assert cause() == LATE


@pytest.mark.parametrize('case', [
    {'recovery': {'state': R.VERIFYING}},
    {'recovery': {'state': R.ABANDONED}},
    {'recovery': {'destination': 'host4'}},
    {'vm_state': 'active'}, {'task_state': 'rebuilding'},
    {'host': None}, {'deleted': True},
    {'attempts': (WON,)},
    {'attempts': (dataclasses.replace(ENDED, outcome=states.Outcome.OPEN),)},
    {'request': 'req-of-somebody'}, {'request': 'req-2'},
    {'late_event': dataclasses.replace(LATE, id=4)},
    {'late_event': dataclasses.replace(LATE, host='host3')},
    {'late_event': dataclasses.replace(LATE, finished=False, result=None)},
    {'late_event': dataclasses.replace(LATE, result='Success')},
    {'late_event': dataclasses.replace(LATE, name='rebuild_server')},
], ids=str)
def test_any_other_error_is_left_to_people(case):
    assert cause(**case) is None


@pytest.mark.parametrize('guest, power_state, expected', [
    (states.GuestAnswer.RUNNING, 1, 'active'),
    (states.GuestAnswer.RUNNING, 4, 'active'),
    (states.GuestAnswer.NOT_RUNNING, 4, 'stopped'),
    (states.GuestAnswer.NOT_RUNNING, 1, None),
    (states.GuestAnswer.NOT_RUNNING, 3, None),
    (states.GuestAnswer.UNREACHABLE, 4, None),
])
def test_the_state_follows_the_guest(guest, power_state, expected):
    found = samples.instance(vm_state='error', power_state=power_state)
    assert late.mended_state(found, guest) == expected
