# SPDX-License-Identifier: Apache-2.0
"""The live screen fits a small terminal and keeps its promises there."""

import pytest

pytest.importorskip('rich', reason='nova brings it')

from nova_pets.tests.demo import screen  # noqa: E402
from nova_pets.tests.demo import watching  # noqa: E402


def _scene(hosts=5, pets=8, cattle=4, state='recovered'):
    return watching.Scene(
        clock='+12.3 s',
        hosts=tuple(watching.HostRow(
            f'host{number}', 'on', True, 3, 'fenced',
            ('forced down; its power reads off, and much more is said',
             'its power reads off')) for number in range(1, hosts + 1)),
        instances=tuple(watching.InstanceRow(
            f'db{number}', True, ('host2',), state,
            ('its destination failed; it must be proven off first '
             '(host5 is down)', 'host5 is down'))
            for number in range(1, pets + 1)) + tuple(
                watching.InstanceRow(f'web{number}', False, (), '', ('-',))
                for number in range(1, cattle + 1)),
        open=0)


LOG = [watching.Line(number, watching.PETS, f'thing {number} happened ' * 9,
                     is_after_crash=True) for number in range(50)]


def _frame(scene, width=80, height=24):
    return screen.frame('a title', scene.clock, 'what goes on', [], scene,
                        LOG, width, height).plain.split('\n')


@pytest.mark.parametrize('hosts, pets, cattle', [
    (5, 8, 4), (3, 2, 1), (20, 40, 20)])
@pytest.mark.parametrize('width, height', [(80, 24), (132, 50), (40, 12)])
def test_no_line_is_wider_and_no_picture_is_higher(
        hosts, pets, cattle, width, height):
    lines = _frame(_scene(hosts, pets, cattle), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_the_default_cloud_is_shown_whole_on_80_by_24():
    text = '\n'.join(_frame(_scene()))
    for number in range(1, 9):
        assert f'db{number} ' in text
    assert 'web4' in text
    assert 'thing 49' in text
    assert '12.3 s after the crash' in text


def test_short_words_are_taken_where_the_long_ones_do_not_fit():
    text = '\n'.join(_frame(_scene(state='settling')))
    assert 'host5 is down' in text
    assert 'its power reads off' in text


def test_pets_under_way_are_shown_first_when_there_is_no_room():
    scene = _scene(pets=30)
    under_way = watching.InstanceRow('db99', True, (), 'building', ('-',))
    crowded = watching.Scene(scene.clock, scene.hosts,
                             (*scene.instances, under_way), 1)
    lines = _frame(crowded)
    assert any(line.startswith('db99') for line in lines)
    assert any(line.startswith('and ') for line in lines)
