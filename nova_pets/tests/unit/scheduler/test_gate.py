# SPDX-License-Identifier: Apache-2.0
"""The gate at its edges: what is read, written and raised."""

import nova.exception
import pytest

from nova_pets import exception
from nova_pets.model import states
from nova_pets.scheduler import access
from nova_pets.scheduler import gate
from nova_pets.scheduler import request
from nova_pets.tests.unit.scheduler import fakes

H = states.HostState
R = states.RecoveryState


def enter(spec):
    gate.evacuation_gate(spec._context, spec)


def own():
    return fakes.view(host=H.FENCED, recovery=fakes.recovery(),
                      attempt=fakes.attempt())


@pytest.mark.parametrize('cell', [fakes.CELL, None],
                         ids=['unshelve', 'first boot'])
def test_a_request_that_leaves_no_host_costs_no_read(store, cell):
    enter(fakes.spec(ignore_hosts=(), cell=cell))
    assert store.calls == []


def test_a_request_of_several_instances_costs_no_read(store):
    gate.evacuation_gate(fakes.context.get_admin_context(),
                         fakes.objects.RequestSpec(num_instances=3,
                                                   scheduler_hints={}))
    assert store.calls == []


def test_a_rebuild_in_place_costs_no_read(store):
    spec = fakes.spec()
    spec.scheduler_hints = {'_nova_check_type': ['rebuild']}
    enter(spec)
    assert store.calls == []


def test_a_move_of_what_is_no_pet_costs_one_read(store):
    enter(fakes.spec())
    assert store.calls == ['gate_view']


def test_our_request_passes_once(store):
    store.views = [own()]
    spec = fakes.spec(request_id=fakes.OURS)
    enter(spec)
    assert store.calls == ['gate_view', 'consume_gate']
    assert request.evacuation(spec) == store.views[0].recovery
    store.consumes = False
    with pytest.raises(exception.GateRefused):
        enter(fakes.spec(request_id=fakes.OURS))


def test_a_refusal_is_recorded_and_is_no_error_that_conductor_handles(store):
    store.views = [own()]
    with pytest.raises(exception.GateRefused) as caught:
        enter(fakes.spec())
    assert store.refusals == ['attempt 1 of its recovery is open']
    assert fakes.UUID in str(caught.value)
    assert not isinstance(caught.value, nova.exception.NovaException)


def test_a_refusal_counts_although_it_cannot_be_recorded(store, monkeypatch):
    store.views = [own()]

    def fails(*args):
        raise fakes.DatabaseAway()

    monkeypatch.setattr(store, 'record_refusal', fails)
    with pytest.raises(exception.GateRefused):
        enter(fakes.spec())


def test_a_cold_migration_from_a_living_host_passes(store, door):
    store.views = [fakes.view()]
    door.trace = fakes.trace(actions=())
    enter(fakes.spec())


def test_an_evacuation_from_a_host_that_counts_as_up_is_refused(store, door):
    store.views = [fakes.view()]
    with pytest.raises(exception.GateRefused, match='not proven off'):
        enter(fakes.spec())


def test_a_pet_is_refused_when_nova_cannot_be_asked(store, door):
    store.views = [fakes.view()]
    door.error = fakes.DatabaseAway('cell1 is away')
    with pytest.raises(exception.GateRefused, match='cell1 is away'):
        enter(fakes.spec())


def test_a_persons_evacuation_is_taken_over(store, door):
    ready = fakes.recovery(R.READY, is_bfv=True)
    store.views = [
        fakes.view(host=H.FENCED, recovery=ready),
        fakes.view(host=H.FENCED, recovery=fakes.recovery(is_bfv=True),
                   attempt=fakes.attempt(fakes.OTHER,
                                         gate=states.Gate.CONSUMED))]
    spec = fakes.spec()
    enter(spec)
    assert 'take_over' in store.calls
    assert request.evacuation(spec) is not None


def test_a_take_over_that_lost_the_race_is_refused(store, door):
    store.views = [fakes.view(host=H.FENCED, recovery=fakes.recovery(
        R.READY, is_bfv=True))]
    store.takes_over = False
    with pytest.raises(exception.GateRefused, match='moved on'):
        enter(fakes.spec())


def test_a_late_cast_of_ours_is_not_taken_over(store, door):
    store.views = [fakes.view(host=H.FENCED, recovery=fakes.recovery(
        R.WAITING, is_bfv=True))]
    store.ended = [fakes.attempt(fakes.OTHER)]
    with pytest.raises(exception.GateRefused, match='has ended'):
        enter(fakes.spec())


UNREADABLE = [
    ('an evacuation of a pet', {}, {'metadata': {'ha': 'true'}}, True),
    ('a doubtful tag', {}, {'metadata': {'ha': 'ture'}}, True),
    ('tagged by its flavor', {}, {'flavor': {'pets:ha': 'true'}}, True),
    ('no pet', {}, {}, False),
    ('said no', {}, {'metadata': {'ha': 'false'}}, False),
    ('no evacuation', {'actions': ()}, {'metadata': {'ha': 'true'}}, False),
]


@pytest.mark.parametrize(
    'trace,instance,is_refused', [u[1:] for u in UNREADABLE],
    ids=[u[0] for u in UNREADABLE])
def test_without_tables_only_evacuations_of_pets_are_refused(
        store, door, trace, instance, is_refused):
    store.error = fakes.DatabaseAway('no such table')
    door.trace = fakes.trace(**trace)
    door.instance = fakes.instance(**instance)
    if is_refused:
        with pytest.raises(exception.GateRefused, match='no such table'):
            enter(fakes.spec())
    else:
        enter(fakes.spec())


def test_without_tables_and_without_its_cell_nothing_is_known(store, door):
    store.error = fakes.DatabaseAway('no such table')
    door.error = fakes.DatabaseAway('cell1 is away')
    with pytest.raises(exception.GateRefused, match='cell1 is away'):
        enter(fakes.spec())


def test_observe_without_tables_stands_in_nobodys_way(store, door):
    access.configure(states.Mode.OBSERVE, None)
    store.error = fakes.DatabaseAway('no such table')
    door.instance = fakes.instance(metadata={'ha': 'true'})
    enter(fakes.spec())


def test_the_kill_switch_turns_refusals_off(store, door, tmp_path):
    store.views = [fakes.view(host=H.DOWN, recovery=fakes.recovery(
        R.PENDING))]
    switch = tmp_path / 'observe'
    access.configure(states.Mode.ACT, str(switch))
    with pytest.raises(exception.GateRefused):
        enter(fakes.spec())
    switch.touch()
    enter(fakes.spec())


# What the host filter does


def test_the_filter_reads_nothing_for_what_is_no_pet(store):
    spec = fakes.spec()
    enter(spec)
    gate.repeat(spec._context, spec)
    assert store.calls == ['gate_view']


def test_the_filter_refuses_an_attempt_that_ended_meanwhile(store):
    spec = fakes.spec(request_id=fakes.OURS)
    store.views = [own(), fakes.view(host=H.FENCED, recovery=fakes.recovery(
        R.SETTLING))]
    enter(spec)
    with pytest.raises(exception.GateRefused, match='has ended'):
        gate.repeat(spec._context, spec)


def test_the_filter_is_the_gate_where_there_is_none(store):
    store.views = [own()]
    spec = fakes.spec(request_id=fakes.OURS)
    gate.repeat(spec._context, spec)
    assert store.calls == ['gate_view', 'consume_gate']
    with pytest.raises(exception.GateRefused):
        other = fakes.spec()
        gate.repeat(other._context, other)
