# SPDX-License-Identifier: Apache-2.0
"""Too many silent hosts: of a cell, of all, at once and in turn."""

import math

import pytest

from nova_pets.model import states
from nova_pets.planning import safety
from nova_pets.planning import storms
from nova_pets.tests.unit.planning import samples

H = states.HostState
POLICY = samples.policy_with(storm_hosts=3, storm_share=0.25,
                             storm_window_s=60.0)


def hosts(state, number, cell='here', **values):
    return [samples.host_view(f'{cell}-{state}{index}', state,
                              row={'cell_uuid': cell}, **values)
            for index in range(number)]


def why(*views, policy=POLICY):
    return storms.why_storm('here', samples.snap(*views), policy)


@pytest.mark.parametrize('state', [H.SUSPECT, H.DOWN, H.FENCING])
def test_more_than_the_limit_at_once(state):
    assert why(*hosts(H.UP, 1), *hosts(state, 3)) == ''
    assert why(*hosts(H.UP, 1), *hosts(state, 4)) == (
        '4 of 5 hosts of its cell are silent, or were down within 60 s: '
        'at most 3 may')


def test_a_cell_of_which_no_host_is_heard():
    """Seen on real processes: three hosts, within the limit, held back the
    one that had failed in another cell."""
    assert why(*hosts(H.SUSPECT, 1), *hosts(H.DOWN, 1)) == (
        'all 2 hosts of its cell are silent: none is left to go on')
    assert why(*hosts(H.DOWN, 1)) == ''
    for state in (H.UP, H.FENCED):
        assert why(*hosts(state, 1, down_ago_s=1.0), *hosts(H.DOWN, 1)) == ''


def test_such_a_cell_counts_for_itself_alone():
    here = [*hosts(H.UP, 2), *hosts(H.DOWN, 1)]
    assert why(*here, *hosts(H.DOWN, 3, 'there')) == ''
    assert why(*here, *hosts(H.UP, 1, 'there'), *hosts(H.DOWN, 3, 'there'))


@pytest.mark.parametrize('state', sorted(
    set(H) - {H.SUSPECT, H.DOWN, H.FENCING, H.UP, H.RETURNING}))
def test_who_is_not_newly_silent_does_not_count(state):
    assert why(*hosts(state, 9, down_ago_s=1.0)) == ''


def test_the_share_of_a_large_cell():
    healthy = hosts(H.UP, 31)
    assert why(*healthy, *hosts(H.DOWN, 9)) == ''
    assert '10 of 41 hosts' not in why(*healthy, *hosts(H.DOWN, 10))
    assert why(*healthy, *hosts(H.DOWN, 11)).startswith('11 of 42 hosts')


@pytest.mark.parametrize('state', [H.UP, H.RETURNING])
@pytest.mark.parametrize('ago_s, is_storm', [
    (0.5, True), (59.0, True), (60.0, False), (math.inf, False)])
def test_who_is_back_counts_within_the_window(state, ago_s, is_storm):
    views = [*hosts(state, 3, down_ago_s=ago_s), *hosts(H.DOWN, 1)]
    assert bool(why(*views)) is is_storm


def test_without_a_window_only_the_silent_count():
    views = [*hosts(H.UP, 3, down_ago_s=0.0), *hosts(H.DOWN, 1)]
    assert why(*views, policy=samples.policy_with(storm_window_s=0)) == ''


def test_a_storm_in_another_cell_holds_nobody_back():
    there = hosts(H.DOWN, 9, 'there')
    assert why(*hosts(H.UP, 2), *hosts(H.DOWN, 1), *there) == ''
    assert storms.why_storm('there', samples.snap(
        *hosts(H.DOWN, 1), *there), POLICY)


def test_storms_in_two_other_cells_hold_everybody_back():
    assert why(*hosts(H.DOWN, 1), *hosts(H.DOWN, 9, 'there'),
               *hosts(H.DOWN, 9, 'yonder')) == (
        'in 2 cells too many hosts are silent, or were down within 60 s')


def test_a_few_in_every_cell_are_too_many_in_all():
    few = [view for cell in ('here', 'there', 'yonder')
           for view in hosts(H.UP, 1, cell) + hosts(H.DOWN, 2, cell)]
    assert why(*few) == (
        '6 of 9 hosts are silent, or were down within 60 s: at most 3 may')


def test_those_of_the_stormy_cell_do_not_count_in_all():
    here = [*hosts(H.UP, 1), *hosts(H.DOWN, 2), *hosts(H.UP, 1, 'yonder')]
    assert why(*here, *hosts(H.DOWN, 1, 'yonder'),
               *hosts(H.DOWN, 9, 'there')) == ''
    assert why(*here, *hosts(H.DOWN, 2, 'yonder'),
               *hosts(H.DOWN, 9, 'there'))


def test_the_gate_before_a_power_off_asks():
    down = samples.host_view(state=H.DOWN, row={'cell_uuid': 'here'})
    back = hosts(H.UP, 3, down_ago_s=5.0)
    assert safety.why_not_fence(down, samples.snap(down, *back),
                                POLICY) == 'storm'
    assert safety.why_not_fence(down, samples.snap(down, *back[1:]),
                                POLICY) is None
