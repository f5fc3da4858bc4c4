# SPDX-License-Identifier: Apache-2.0
"""Tables fit: the least important goes first, then texts are wrapped."""

import pytest

from nova_pets.cmd import layout

COLUMNS = [layout.Column('Name', 'name', least=6),
           layout.Column('Count', 'count', rank=2, number=True),
           layout.Column('Id', 'id', rank=3, least=36),
           layout.Column('Why', 'why', least=20)]
ROW = {'name': 'db1', 'count': 3, 'id': 'x' * 36,
       'why': 'a reason of many words that goes on and on and on'}


def widest(text):
    return max(len(line) for line in text.splitlines())


@pytest.mark.parametrize('width', [50, 60, 79, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width):
    assert widest(layout.table(COLUMNS, [ROW], width)) <= width


def test_the_highest_rank_is_dropped_first():
    shown = layout.table(COLUMNS, [ROW], 60)
    assert 'Id' not in shown and 'Count' in shown
    assert 'Id' in layout.table(COLUMNS, [ROW], 120)


def test_an_empty_column_that_may_go_is_left_out():
    shown = layout.table(COLUMNS, [ROW | {'count': None}], 120)
    assert 'Count' not in shown


def test_nothing_of_a_long_word_is_lost():
    shown = layout.table(COLUMNS, [ROW | {'name': 'n' * 90}], 60)
    assert shown.count('n') >= 90


@pytest.mark.parametrize('value, text', [
    (None, '-'), ('', '-'), (True, 'yes'), (False, 'no'), (0, '0')])
def test_cells_say_yes_no_or_nothing(value, text):
    shown = layout.table([layout.Column('A', 'a')], [{'a': value}], 40)
    assert f'| {text}' in shown


def test_a_command_is_never_wrapped():
    command = 'nova-manage pets release host1 --reason "' + 'x' * 80 + '"'
    assert f'  {command}' in layout.commands([(command, 'why not')], 60)


def test_labels_of_fields_are_aligned():
    lines = layout.fields([('A', 'one'), ('Long', 'two'), ('No', '')], 60)
    assert lines == ['  A     one', '  Long  two']
