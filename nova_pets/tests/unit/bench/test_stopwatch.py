# SPDX-License-Identifier: Apache-2.0
"""What the stopwatch makes of what it read."""

import collections
import datetime
import re

import pytest

from nova_pets.tests.bench.stopwatch import meters
from nova_pets.tests.bench.stopwatch import table
from nova_pets.tests.bench.stopwatch import ways

NOON = datetime.datetime(2026, 11, 30, 12)
Row = collections.namedtuple('Row', 'at recovery_id from_state to_state')


def at(seconds, recovery_id, to_state):
    return Row(NOON + datetime.timedelta(seconds=seconds), recovery_id, None,
               to_state)


def test_the_first_running_copy_elsewhere_counts():
    journal = [
        {'at': 1, 'host': 'host2', 'guest': 'a', 'state': 'running'},
        {'at': 5, 'host': 'host1', 'guest': 'a', 'state': 'running'},
        {'at': 6, 'host': 'host2', 'guest': 'a', 'state': 'paused'},
        {'at': 7, 'host': 'host3', 'guest': 'a', 'state': 'running'},
        {'at': 8, 'host': 'host2', 'guest': 'a', 'state': 'running'},
        {'at': 9, 'host': 'host2', 'guest': 'b', 'state': 'running'},
        {'at': 9, 'host': 'host1', 'power': 'off'}]
    assert meters.arrivals(journal, 'host1', {'a'}, 4) == {'a': (7, 'host3')}


def test_parts_of_a_recovery_are_told_apart():
    rows = [at(6, None, 'down'), at(7, None, 'fenced')]
    for number, later in ((1, 0), (2, 4), (3, 1)):
        rows += [at(8 + later, number, 'requesting'),
                 at(9 + later, number, 'scheduling'),
                 at(11 + later, number, 'building'),
                 at(14 + later, number, 'verifying'),
                 at(20 + later, number, 'recovered')]
    assert meters.phases(rows, NOON) == {
        'detection': 6, 'fence': 1, 'wait': 2, 'last wait': 5, 'claim': 1,
        'scheduling': 2, 'rebuild': 3, 'verification': 6}


def test_shared_servers_are_no_part_of_the_sum():
    assert meters.total({'api': 1.0, 'database*': 9.0, 'the lab': 5.0,
                         'driver': 0.5}) == 1.5


def test_nova_pets_is_held_against_the_fastest_other_way():
    def one(way, last, left=0):
        return {'way': way, 'instances': 20, 'spawn_s': 0.0, 'left': left,
                'first': 1.0, 'median': 2.0, 'last': last, 'at_rest': 9.0,
                'cpu_total': 5.0, 'cpu_closed': 6.0, 'cpu': {'api': 1.0},
                'load': [2, 1]}
    lines = table.lines([one('nova-pets', 8.0), one('nova-pets:a.b=2', 5.0),
                         one('rest-16', 20.0, left=2),
                         one('rest-1', 10.0), one('rest-1', 12.0),
                         one('rest-1', 9.0)])
    assert any('last 0.80   CPU 1.00' in line for line in lines)
    assert any(re.search('nova-pets:a.b=2 +last 0.50', line)
               for line in lines)
    assert any('10.0 (9.0-12.0)' in line for line in lines)
    assert [line.split()[2] for line in lines
            if re.search(r' 2  2 1$', line)] == ['rest-16']


def test_nova_pets_is_held_against_itself_with_other_options():
    way = ways.find('nova-pets:pets.parallel=9,pets.parallel_requests=2')
    assert way.has_pets
    assert ways.grouped(('pets.parallel=1', *way.options)) == {
        'pets': {'parallel': '9', 'parallel_requests': '2'}}
    assert ways.find('rest-16') == ways.WAYS['rest-16']


@pytest.mark.parametrize('name', [
    'rest-2', 'nova-pets:parallel=2', 'nova-pets:pets.parallel', ':a.b=1',
    'rest-16:pets.parallel=2'])
def test_a_way_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match='expected one of nova-pets'):
        ways.find(name)
