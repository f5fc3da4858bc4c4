# SPDX-License-Identifier: Apache-2.0
"""``simulate``, as a person calls it."""

import json
import subprocess
import sys

import pytest

from nova_pets.cmd import program
from nova_pets.simulator import many
from nova_pets.simulator import run
from nova_pets.tests.simulator import stories


def _simulate(capsys, *words):
    code = program.run(['nova-pets-manage', 'simulate', *words])
    return code, capsys.readouterr().out


def test_a_seed_is_told_and_its_trace_written(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv('COLUMNS', '80')
    path = tmp_path / 'trace'
    code, out = _simulate(capsys, '--seed', '2', '--trace', str(path))
    assert code == 0
    result = run.run(2)
    lines = out.splitlines()
    assert lines[0] == f'seed 2, trace {result.digest[:16]}'
    assert lines[-1].endswith('invariants: ok')
    assert max(map(len, lines)) < 80
    assert path.read_text().splitlines() == [
        repr(line) for line in result.lines]


def test_it_needs_neither_nova_nor_its_configuration():
    subprocess.run([sys.executable, '-c', (
        'import sys\n'
        'from nova_pets.cmd import program\n'
        'code = program.run(["nova-pets-manage", "pets", "simulate",'
        ' "--seed", "2"])\n'
        'assert "nova" not in sys.modules\n'
        'sys.exit(code)')], check=True, stdout=subprocess.DEVNULL)


def test_a_seed_is_the_same_on_sql(capsys, tmp_path):
    url = f'sqlite:///{tmp_path}/simulated.sqlite'
    code, out = _simulate(capsys, '--seed', '2', '--side-tables', url)
    assert (code, out) == _simulate(capsys, '--seed', '2')


def test_many_seeds_are_counted(capsys):
    code, out = _simulate(capsys, '--runs', '2', '--first', '2', '--json')
    document = json.loads(out)
    assert document['runs'] == 2
    assert code == document['exit_code'] == (2 if document['failed'] else 0)
    parts = {part['what']: part for part in document['coverage']}
    assert parts['rows of the transition tables']['hits'][
        'host up -> suspect (silent)'] >= 1
    assert parts['invariants']['hits']['I7'] > 10
    # A few seeds: not each needs an audit that mends allocations.
    assert set(parts['invariants']['missed']) <= {'A1', 'L1'}


def test_a_violation_is_exit_code_2_and_a_short_story(capsys, monkeypatch):
    monkeypatch.setattr(run.Run, 'not_at_rest', lambda self: ['planted'])
    monkeypatch.setattr(run, 'BOUND_S', 30.0)
    monkeypatch.setattr(run.Run.__init__, '__defaults__', (None, None, 30.0))
    monkeypatch.setattr(run.run, '__defaults__', (None, None, 30.0))
    code, out = _simulate(capsys, '--seed', '2', '--shrink')
    assert code == 2
    assert 'VIOLATION L1 not at rest after 30 s: planted' in out
    assert '# Seed 2 broke L1.' in out
    assert out.count('\nfault ') == 0  # it takes none


def test_a_scenario_is_played(capsys, tmp_path):
    path = stories.FOLDER / 'rolling-restart.txt'
    code, out = _simulate(capsys, '--scenario', str(path))
    assert (code, out.splitlines()[-1]) == (0, 'As expected.')
    other = tmp_path / 'other.txt'
    other.write_text(path.read_text().replace('its nova-compute dies', '?'))
    code, out = _simulate(capsys, '--scenario', str(other))
    assert (code, out.splitlines()[-1]) == (2, 'NOT as the file expects.')


@pytest.mark.parametrize('words', [
    (), ('--seed', '1', '--runs', '2'), ('--runs', '0'), ('--seed', 'x'),
    ('--runs', '1', '--trace', 'file'), ('--scenario', '/nowhere'),
    ('--runs', '1', '--side-tables', 'sqlite://'),
    ('--seed', '1', '--side-tables', 'sqlite:////nowhere/at/all'),
    ('--seed', '1', '--side-tables', 'no url'),
    ('--seed', '1', '--keep', 'file'), ('--seed', '1', '--complete'),
    ('--runs', '1', '--keep', '/nowhere/at/all'),
    ('--fast',)], ids=' '.join)
def test_wrong_usage_is_exit_code_3(capsys, words):
    assert _simulate(capsys, *words)[0] == 3


def test_runs_that_were_kept_are_not_run_again(capsys, monkeypatch, tmp_path):
    path = tmp_path / 'runs'
    words = ('--runs', '2', '--first', '2', '--json', '--keep', str(path))
    first = json.loads(_simulate(capsys, *words)[1])
    assert (first['runs'], first['kept']) == (2, 0)
    whole = path.read_bytes()
    cut, last = whole.splitlines(keepends=True)
    path.write_bytes(cut + last[:-20])  # it was killed while it wrote
    ran = []
    run_many = many.run

    def spied(seeds):
        ran.append(list(seeds))
        return run_many(seeds)
    monkeypatch.setattr(many, 'run', spied)
    again = json.loads(_simulate(capsys, *words)[1])
    assert ran == [[json.loads(last)['seed']]]
    assert (again['runs'], again['kept']) == (2, 1)
    assert again['coverage'] == first['coverage']
    kept = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert {line['seed'] for line in kept} == {2, 3}


def test_a_complete_run_fails_for_what_it_did_not_reach(capsys):
    code, out = _simulate(capsys, '--runs', '1', '--complete')
    assert code == 2
    assert 'No invariant was violated.' in out
    assert 'NOT COMPLETE: never reached' in out
    assert ('windows of an evacuation: W' in out and
            'rows of the transition tables: host' in out)
