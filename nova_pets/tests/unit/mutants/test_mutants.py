# SPDX-License-Identifier: Apache-2.0
"""The catalogue names every predicate and guard, and fits the code."""

import ast
import pathlib

import pytest

from nova_pets.tests.mutants import kinds
from nova_pets.tests.mutants import mutation
from nova_pets.tests.mutants import points
from nova_pets.tests.mutants import sources


def source(text, name='db.sample'):
    return sources.Source(name, pathlib.Path('sample.py'), text)


def test_every_predicate_and_guard_is_named_by_a_mutant():
    missing = kinds.uncovered(kinds.kept())
    assert not missing, (
        'name them in nova_pets/tests/mutants/catalogue (--missing prints '
        'the lines):\n' + '\n'.join(map(str, missing)))


def test_every_mutant_fits_the_code():
    wrong = kinds.misfits(kinds.kept())
    assert not wrong, ('change them in nova_pets/tests/mutants/catalogue:\n'
                       + '\n'.join(wrong))


def test_there_are_at_least_sixty():
    assert len(kinds.kept()) >= 60


@pytest.mark.parametrize('number', range(1, 11))
def test_each_invariant_has_two_that_show_it(number):
    """--invariants judges whether they do."""
    shown = [mutant for mutant in kinds.kept()
             if mutant.shows == f'I{number}']
    assert len(shown) >= 2


def test_no_mutant_is_there_twice():
    names = [str(mutant) for mutant in kinds.kept()]
    assert len(names) == len(set(names))


POINTS = {
    'conjuncts of a where': (
        'sa.update(t).where(t.c.a == 1, sa.or_(t.c.b == 2, t.c.d == 3))',
        ['t.c.a == 1', 't.c.b == 2', 't.c.d == 3']),
    'the condition of a join': (
        'sa.select(t).join(u, u.c.a == t.c.a)', ['u.c.a == t.c.a']),
    'within an exists, and the exists': (
        'sa.delete(t).where(~sa.exists().where(u.c.a == 1))',
        ['~sa.exists().where(u.c.a == 1)', 'u.c.a == 1']),
}


@pytest.mark.parametrize('text, expected', POINTS.values(), ids=POINTS)
def test_predicates(text, expected):
    found = points.points_of(source(text))
    assert [point.text for point in found] == expected


GUARDS = {
    'operands of an if': ('if a == 1 or not b:\n pass', ['a == 1', 'not b']),
    'no check for None that only keeps an error away': (
        'if a is not None and a.b == 1:\n pass', ['a.b == 1']),
    'a check for None that decides': (
        'if a is None or b > 1:\n pass', ['a is None', 'b > 1']),
    'no value with a default': ("c = a or ''", []),
    'the condition of a comprehension': (
        'c = [one for one in all_of_them if one.b]', ['one.b']),
    'a call that raises': ('self._standing.guard(row.owner)',
                           ['self._standing.guard(row.owner)']),
    'what a row must be': (
        "door.update_instance(c, u, {'host': h}, {'task_state': None})",
        ['h']),
}


@pytest.mark.parametrize('text, expected', GUARDS.values(), ids=GUARDS)
def test_guards(text, expected):
    found = points.points_of(source(text, 'engine.attempts'))
    assert [point.text for point in found] == expected


CHANGES = {
    'an operand': ('if a or b:\n    c()\n', 'b -> False',
                   'if a or False:\n    c()\n'),
    'a statement': ('if a:\n    c()\n', 'c() ->', 'if a:\n    pass\n'),
    'an entry of a dict': ("d = {'host': h, 'x': y}", 'h ->',
                           "d = {'x': y}"),
    'the second of two': ('if a:\n    c(a)\n', '2: a -> b',
                          'if a:\n    c(b)\n'),
    'of a condition and a value, the condition': (
        'if a:\n    c(a)\n', 'a -> b', 'if b:\n    c(a)\n'),
}


@pytest.mark.parametrize('text, line, expected', CHANGES.values(),
                         ids=CHANGES)
def test_a_mutant_changes_one_expression(text, line, expected):
    module = 'engine.attempts' if 'condition' in str(expected) or (
        line == 'a -> b') else 'model.sample'
    [mutant] = mutation.parse(f'[{module}]\n{line}', 'test')
    changed = mutation.apply(mutant, source(text, module))
    assert ast.dump(ast.parse(changed)) == ast.dump(ast.parse(expected))


@pytest.mark.parametrize('line', [
    'z -> False', 'a -> False', 'b -> b'],
    ids=['not there', 'there twice', 'no change'])
def test_a_mutant_that_does_not_fit_fails_loudly(line):
    [mutant] = mutation.parse(f'[model.sample]\n{line}', 'test')
    with pytest.raises(sources.NotThere):
        mutation.apply(mutant, source('if a or a or b:\n    c()\n'))


def test_the_tool_draws_the_same_for_a_seed():
    first = kinds.generated(20, seed=3)
    assert first == kinds.generated(20, seed=3)
    assert first != kinds.generated(20, seed=4)


def test_mutants_of_the_tool_fit():
    for mutant in kinds.generated(50, seed=1):
        mutation.apply(mutant, sources.load(mutant.module))
