# SPDX-License-Identifier: Apache-2.0
"""What may be ordered in which state: tables, checked against the planner's
own transitions where those decide."""

import pytest

from nova_pets.cmd import instance_orders
from nova_pets.cmd import orders
from nova_pets.model import states
from nova_pets.planning import machine
from nova_pets.tests.unit.cmd import samples

H = states.HostState
R = states.RecoveryState
C = states.ControlKind
PERSON = orders.Person('user alice', 'because')
SILENT = {'heartbeat': 'silent 70 s', 'tcp': 'silent: timed out'}
ALIVE = {'heartbeat': 'silent 70 s', 'tcp': 'life: port 22 answered'}


def outcome(ruling):
    """Return ordered, already or refused."""
    assert bool(ruling.adds or ruling.ends) + bool(ruling.refused) <= 1
    if ruling.adds or ruling.ends:
        return 'ordered'
    return 'refused' if ruling.refused else 'already'


def host(state, **changes):
    return samples.host('host1', state, **({'evidence': SILENT} | changes))


@pytest.mark.parametrize('state, expected', [
    (H.UP, 'refused'), (H.SUSPECT, 'ordered'), (H.DOWN, 'ordered'),
    (H.FENCING, 'already'), (H.FENCED, 'refused'), (H.VACATED, 'refused'),
    (H.RETURNING, 'ordered'), (H.QUARANTINED, 'ordered'),
    (H.UNPROVEN, 'ordered')], ids=str)
def test_fence_in_each_state(state, expected):
    ruling = orders.fence(host(state), orders.Around(), PERSON)
    assert outcome(ruling) == expected
    if expected == 'ordered':
        assert (state, 'operator_fence') in machine.HOST_TRANSITIONS


@pytest.mark.parametrize('state', list(H), ids=str)
def test_confirm_fenced_in_each_state(state):
    ruling = orders.confirm_fenced(host(state), orders.Around(), PERSON)
    if state in states.PROVEN_OFF:
        assert outcome(ruling) == 'already'
    elif (state, 'confirmed') in machine.HOST_TRANSITIONS:
        assert outcome(ruling) == 'ordered'
        assert ruling.adds[0].epoch == 3 and ruling.oath
    else:
        assert outcome(ruling) == 'refused'


@pytest.mark.parametrize('state', [H.DOWN, H.FENCING, H.UNPROVEN,
                                   H.QUARANTINED], ids=str)
def test_no_word_is_taken_against_a_sign_of_life(state):
    ruling = orders.confirm_fenced(host(state, evidence=ALIVE),
                                   orders.Around(), PERSON)
    assert outcome(ruling) == 'refused'
    assert 'port 22 answered' in ruling.refused[0]


@pytest.mark.parametrize('state, expected', [
    (H.UP, 'already'), (H.RETURNING, 'already'), (H.VACATED, 'ordered'),
    (H.QUARANTINED, 'ordered'), (H.FENCED, 'refused'), (H.DOWN, 'refused'),
    (H.SUSPECT, 'refused'), (H.FENCING, 'refused'),
    (H.UNPROVEN, 'refused')], ids=str)
def test_release_in_each_state(state, expected):
    assert outcome(orders.release(host(state), orders.Around(),
                                  PERSON)) == expected


@pytest.mark.parametrize('rule', [orders.fence, orders.confirm_fenced,
                                  orders.release])
def test_another_epoch_is_refused(rule):
    ruling = rule(host(H.QUARANTINED), orders.Around(), PERSON, 2)
    assert outcome(ruling) == 'refused' and 'epoch 3, not 2' in \
        ruling.refused[0]


@pytest.mark.parametrize('rule, kind', [
    (orders.fence, C.FENCE), (orders.confirm_fenced, C.CONFIRM_FENCED),
    (orders.release, C.RELEASE)])
def test_an_order_that_stands_is_not_given_twice(rule, kind):
    standing = samples.order(kind, 'host', 'host1', epoch=3)
    ruling = rule(host(H.QUARANTINED), orders.Around(orders=(standing,)),
                  PERSON)
    assert outcome(ruling) == 'already'
    assert 'user alice' in ruling.already[0]


def test_a_word_for_an_older_epoch_does_not_stand():
    old = samples.order(C.CONFIRM_FENCED, 'host', 'host1', epoch=2)
    ruling = orders.confirm_fenced(
        host(H.UNPROVEN), orders.Around(orders=(old,)), PERSON)
    assert outcome(ruling) == 'ordered'


def test_all_that_speaks_for_and_against_is_shown():
    held = samples.order(C.MAINTENANCE, 'host', 'host1')
    ruling = orders.fence(
        host(H.UNPROVEN, reason='fence_failed', fence_attempts=2,
             fence_detail='1.1 fake: on', fence_ready=False),
        orders.Around(pets=4, orders=(held, samples.order())), PERSON)
    shown = dict(ruling.shown)
    assert set(shown) == {'State', 'Epoch', 'Witnesses', 'Fence', 'Tried',
                          'Pets', 'Maintenance', 'Pause'}
    assert shown['Fence'] == 'does not work: 1.1 fake: on'
    assert 'tcp: silent, timed out' in shown['Witnesses']


def test_release_says_how_the_queue_is_drained():
    after = orders.release(host(H.VACATED), orders.Around(), PERSON).after
    assert 'rabbitmqctl purge_queue compute.host1' in after


# -- instances ----------------------------------------------------------------


@pytest.mark.parametrize('state, expected', [
    (R.PENDING, 'already'), (R.READY, 'already'), (R.WAITING, 'ordered'),
    (R.NEEDS_OPERATOR, 'ordered'), (R.REQUESTING, 'refused'),
    (R.SCHEDULING, 'refused'), (R.BUILDING, 'refused'),
    (R.SETTLING, 'refused'), (R.VERIFYING, 'refused'),
    (R.RECOVERED, 'refused'), (R.ABANDONED, 'refused')], ids=str)
def test_retry_in_each_state(state, expected):
    ruling = instance_orders.retry([samples.recovery(state=state)], (),
                                   PERSON)
    assert outcome(ruling) == expected


@pytest.mark.parametrize('state', list(R), ids=str)
def test_abandon_in_each_state(state):
    ruling = instance_orders.abandon([samples.recovery(state=state)], (),
                                     PERSON)
    expected = 'already' if state in states.TERMINAL else 'ordered'
    assert outcome(ruling) == expected
    assert bool(ruling.shown) is (state in states.IN_FLIGHT)


@pytest.mark.parametrize('state, warns', [
    (R.SETTLING, True), (R.NEEDS_OPERATOR, True), (R.VERIFYING, True),
    (R.WAITING, False)], ids=str)
def test_abandon_warns_of_a_guest_that_may_be_left(state, warns):
    ruling = instance_orders.abandon(
        [samples.recovery(state=state, destination='host2')], (), PERSON)
    said = ' '.join(text for _who, text in ruling.shown)
    assert ('may be on host2' in said) is warns


@pytest.mark.parametrize('state', list(H), ids=str)
def test_only_an_instance_of_a_failed_host_is_recovered(state):
    ruling = instance_orders.recover(
        [samples.pet()], {'host1': samples.host('host1', state)}, {}, (),
        PERSON)
    expected = 'refused' if state in (H.UP, H.SUSPECT) else 'ordered'
    assert outcome(ruling) == expected


def test_an_instance_without_a_known_host_is_not_recovered():
    ruling = instance_orders.recover([samples.pet(host_name=None)], {}, {},
                                     (), PERSON)
    assert outcome(ruling) == 'refused'


@pytest.mark.parametrize('state, expected', [
    (R.WAITING, 'ordered'), (R.NEEDS_OPERATOR, 'ordered'),
    (R.READY, 'already'), (R.BUILDING, 'already')], ids=str)
def test_recover_of_what_is_being_recovered(state, expected):
    open_one = samples.recovery(state=state)
    ruling = instance_orders.recover(
        [samples.pet()], {'host1': samples.fenced()},
        {samples.DB1: open_one}, (), PERSON)
    assert outcome(ruling) == expected


def test_a_whole_host_is_ordered_instance_by_instance():
    rows = [samples.recovery(), samples.recovery(
        samples.WEB1, 'web1', R.BUILDING)]
    one = instance_orders.retry(rows, (), PERSON, is_host_wide=True)
    assert [order.target for order in one.adds] == [samples.DB1]
    assert not one.refused and '1 instance there' in one.already[0]
    none = instance_orders.retry([], (), PERSON, is_host_wide=True)
    assert none.already == ('No instance there to retry.',)


def test_every_order_names_one_instance():
    for rule in (instance_orders.retry, instance_orders.abandon):
        order, = rule([samples.recovery()], (), PERSON).adds
        assert (order.scope, order.target) == ('instance', samples.DB1)
        assert (order.actor, order.reason) == ('user alice', 'because')


# -- all, a cell or a host ----------------------------------------------------


@pytest.mark.parametrize('scope, target', [
    ('all', ''), ('cell', samples.CELL), ('host', 'host1')])
def test_a_pause_ends_by_the_same_scope_only(scope, target):
    order, = orders.pause(scope, target, (), PERSON).adds
    assert (order.scope, order.target) == (scope, target)
    assert orders.resume(scope, target, [order]).ends == (order,)
    elsewhere = orders.resume('host', 'host9', [order])
    assert not elsewhere.ends and elsewhere.after
    assert outcome(orders.pause(scope, target, [order], PERSON)) == 'already'


@pytest.mark.parametrize('reason', ['storm', 'day_limit'])
def test_an_approval_is_for_what_has_happened(reason):
    held = samples.host('host1', H.DOWN, reason=reason)
    free = samples.host('host2', H.DOWN, reason='all_silent')
    order, = orders.approve('all', '', [held, free], (), PERSON).adds
    assert (order.scope, order.target, order.epoch) == ('host', 'host1', 3)
    assert outcome(orders.approve('host', 'host2', [held, free], (), PERSON)
                   ) == 'refused'
    assert outcome(orders.approve('all', '', [held], [order], PERSON)
                   ) == 'already'
    assert orders.approve('all', '', [held], [order], PERSON, True
                          ).ends == (order,)


def test_maintenance_is_replaced_without_a_gap():
    old = samples.order(C.MAINTENANCE, 'host', 'host1')
    ruling = orders.maintenance(samples.host('host1'), [old], PERSON,
                                samples.NOW, False)
    assert ruling.adds and ruling.ends == (old,)
    same = orders.maintenance(samples.host('host1'), [old], PERSON, None,
                              False)
    assert outcome(same) == 'already'


def test_what_cannot_be_taken_back_needs_a_yes():
    down = host(H.UNPROVEN)
    for rule in (orders.fence, orders.confirm_fenced):
        assert rule(down, orders.Around(), PERSON).oath
    assert not orders.pause('all', '', (), PERSON).oath
