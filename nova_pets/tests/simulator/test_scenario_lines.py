# SPDX-License-Identifier: Apache-2.0
"""The words of scenario files mean one thing, and can be written back."""

import random

import pytest

from nova_pets.simulator import deeds
from nova_pets.simulator import faults
from nova_pets.simulator import drawing
from nova_pets.simulator import scenario
from nova_pets.simulator import scenario_lines


@pytest.mark.parametrize('line, fault', [
    ('host crashes host1 at 8',
     faults.Fault('host crashes', 'host1', at_s=8.0)),
    ('engine killed sched1/1 at 2m for 0.5',
     faults.Fault('engine killed', 'sched1/1', at_s=120.0, lasts_s=0.5)),
    ('engine killed at a point sched1/1 at 3 for 20 x 4',
     faults.Fault('engine killed at a point', 'sched1/1', at_s=3.0,
                  lasts_s=20.0, amount=4.0)),
    ('message late on recovery building 2 +0.25 x 30',
     faults.Fault('message late', on=('recovery', 'building', 2),
                  delay_s=0.25, amount=30.0)),
    ("broker away on nova 'binds ports' 1 for 5",
     faults.Fault('broker away', on=('nova', 'binds ports', 1),
                  lasts_s=5.0)),
    ('all engines killed', faults.Fault('all engines killed'))],
    ids=lambda value: value if isinstance(value, str) else '')
def test_a_fault_is_read_and_written(line, fault):
    assert scenario_lines.fault(line) == fault
    again = scenario_lines.fault_line(fault).removeprefix('fault ')
    assert scenario_lines.fault(again) == fault


@pytest.mark.parametrize('kind', sorted(deeds.KINDS))
def test_every_kind_can_be_written(kind):
    target = 'one' if deeds.KINDS[kind].target else ''
    fault = faults.Fault(kind, target, at_s=1.0, lasts_s=2.0, amount=3.0)
    line = scenario_lines.fault_line(fault).removeprefix('fault ')
    assert scenario_lines.fault(line) == fault


@pytest.mark.parametrize('seed', range(20))
def test_every_drawn_cloud_can_be_written(seed):
    shape = drawing.draw_policy(
        drawing.draw_shape(random.Random(f'{seed}/plan')), seed)
    known = scenario_lines.World(shape, seed)
    line = scenario_lines.world_line(known)
    assert scenario_lines.world(line.split()[1:]) == known


@pytest.mark.parametrize('text, found', [
    ('world hosts=2 place=host1:db1\ndance\n', 'cannot do .dance'),
    ('world hosts=2 place=host1:db1+big\n', r'found \+big'),
    ('world hosts=2 colour=red\n', 'colour=red'),
    ('world hosts=2 policy.colour=3\n', 'policy.colour'),
    ('run 5\n', 'expected world'),
    ('world hosts=2 place=host1:db1\nfault host sings host1\n',
     'host crashes; '),
    ('world hosts=2 place=host1:db1\nfault host crashes\n',
     'expected a host'),
    ('world hosts=2 place=host1:db1\nfault host crashes host1 on host\n',
     'too little'),
    ('world hosts=2 place=host1:db1\nrun soon\n', 'expected a time')],
    ids=lambda text: '')
def test_what_cannot_be_read_is_said(text, found):
    with pytest.raises(scenario_lines.NotUnderstood, match=found):
        scenario.play(scenario.parse('# Why.\n' + text + '----\n'))


def test_a_file_says_why_first():
    with pytest.raises(scenario_lines.NotUnderstood, match='line 1'):
        scenario.parse('world hosts=2\n')


def test_a_file_is_written_as_it_was_read():
    text = ('# Why.\n# A remark.\nworld hosts=2\n    place=host1:db1\n'
            '----\nok\n\nrun 5\n----\nnothing\n')
    found = scenario.parse(text)
    assert found.blocks[0].commands == ['world hosts=2 place=host1:db1']
    assert scenario.written(found, tuple(
        block.expected for block in found.blocks)) == text
