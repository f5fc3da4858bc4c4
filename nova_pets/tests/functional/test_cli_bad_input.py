# SPDX-License-Identifier: Apache-2.0
"""Whatever is typed or broken: one clear sentence, an exit code, no
traceback."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from nova_pets.cmd import reading
from nova_pets.tests.functional import cli_harness
from nova_pets.tests.unit.cmd import samples

cli = cli_harness.cli
night = cli_harness.night
BIN = pathlib.Path(sys.prefix) / 'bin'


@pytest.mark.parametrize('words, said', [
    (('show', 'nope'), "cannot find instance 'nope'"),
    (('show', '5f0'), 'at least 4 first characters'),
    (('show', 'zzzz-not-a-uuid'), 'expected a uuid, a unique name'),
    (('show',), 'the following arguments are required'),
    (('bogus',), "invalid choice: 'bogus'"),
    ((), 'the following arguments are required'),
    (('list', '--host', 'hots1'), 'known are host1, host2, host3'),
    (('list', '--state', 'sad'), 'expected one of protected, unprotected'),
    (('hosts', '--state', 'sad'), 'expected one of up, suspect'),
    (('hosts', '--host', 'host'), 'did you mean host1, host2, host3?'),
    (('history', '--since', 'tuesday'), 'expected a date and time in UTC'),
    (('history', '--limit', '0'), 'expected 1 or more'),
    (('history', '--limit', 'many'), 'invalid int value'),
    (('purge', '--before', '2099-01-01'), 'expected a time in the past'),
    (('purge', '--before', '99999999999d'), 'expected a date and time'),
    (('purge',), '--before'),
    (('audit', 'db1'), "cannot use 'db1'"),
    (('audit', '--fix', '--reason', ' '), 'found an empty one'),
    (('audit', '--repair'), 'unrecognized arguments'),
    (('fence', 'host1'), '--reason'),
    (('fence', 'host1', '--reason', '  '), 'found an empty one'),
    (('fence', 'host1', '--reason', 'x', '--epoch', 'three'),
     'invalid int value'),
    (('fence', 'host1', 'host2', '--reason', 'x'), "cannot use 'host2'"),
    (('retry', '--reason', 'x'), 'expected either names or uuids, or --host'),
    (('retry', 'db1', '--host', 'host1', '--reason', 'x'),
     'expected either names or uuids, or --host'),
    (('pause', '--cell', 'x', '--host', 'host1', '--reason', 'x'),
     'cannot use --cell with --host'),
    (('pause', '--cell', 'feedbeef', '--reason', 'x'),
     f'known are {samples.CELL}'),
    (('maintenance', 'host1', '--reason', 'x', '--until', '2001-01-01'),
     'expected a time to come'),
    (('maintenance', 'host1', '--reason', 'x', '--until', '4h', '--off'),
     'cannot use --until with --off'),
], ids=lambda value: ' '.join(value) if isinstance(value, tuple) else '')
def test_bad_input_is_one_sentence(night, words, said):
    result = night.run(*words)
    assert result.code == 3, result
    assert said in ' '.join(result.err.split())
    assert 'Traceback' not in result.out + result.err
    assert night.store.controls() == []


def test_an_ambiguous_name_lists_what_it_could_be(night):
    other = '66aa3b1e-0000-4000-8000-000000000003'
    cli_harness.put(night.store, samples.pet(other, 'db1', 'host2'))
    result = night.run('abandon', 'db1', '--reason', 'x', '--yes')
    assert result.code == 3
    assert other in result.err and samples.DB1 in result.err
    assert night.run('show', other[:4]).code == 0


def test_a_deleted_namesake_does_not_make_a_name_ambiguous(night):
    other = '66aa3b1e-0000-4000-8000-000000000003'
    cli_harness.put(night.store, samples.recovery(
        other, 'db1', state=cli_harness.R.RECOVERED))
    assert night.run('show', 'db1').code == 1


def test_errors_are_json_where_json_was_asked_for(night):
    result = night.run('show', 'nope', '--json')
    assert result.document['exit_code'] == result.code == 3
    assert 'cannot find instance' in result.document['error']


def test_missing_tables_name_db_sync(cli):
    result = cli.run('status')
    assert result.code == 3
    assert 'nova-manage pets db_sync' in ' '.join(result.err.split())


def test_a_database_that_is_down_is_said_at_once(cli):
    cli.write_conf(text='[api_database]\nconnection = '
                   'mysql+pymysql://nova:secret@127.0.0.1:1/nova_api\n')
    result = cli.run('status')
    assert result.code == 3, result
    said = ' '.join(result.err.split())
    assert 'cannot reach the API database' in said
    assert 'is the database up?' in said
    assert 'secret' not in said


def test_a_nova_conf_without_a_database(cli):
    cli.write_conf(text='[DEFAULT]\n')
    result = cli.run('status')
    assert result.code == 3
    assert '[api_database] connection' in ' '.join(result.err.split())


@pytest.mark.parametrize('text', ['not an ini file', '[DEFAULT\n'])
def test_a_nova_conf_that_is_broken(cli, text):
    cli.write_conf(text=text)
    result = cli.run('status')
    assert result.code == 3, result
    assert 'cannot use nova.conf' in ' '.join(result.err.split())


def test_a_nova_conf_that_is_not_there(cli):
    cli.conf_path.unlink()
    result = cli.run('status')
    assert result.code == 3, result
    assert 'Name it with --config-file' in ' '.join(result.err.split())


def test_a_fault_of_ours_is_one_line_and_255(cli, monkeypatch):
    def broken(*_given, **_more):
        raise RuntimeError('boom')
    monkeypatch.setattr(reading, 'facts', broken)
    assert cli.store
    result = cli.run('status')
    assert result.code == 255
    assert 'unexpected error: RuntimeError: boom' in result.err
    assert 'run it again with --debug' in ' '.join(result.err.split())
    assert 'Traceback' not in result.out + result.err


def test_a_fault_of_ours_is_in_the_log_with_its_traceback(
        cli, monkeypatch, tmp_path):
    def broken(*_given, **_more):
        raise RuntimeError('boom')
    monkeypatch.setattr(reading, 'facts', broken)
    assert cli.store
    log = tmp_path / 'pets.log'
    result = cli.run('--log-file', str(log), 'status')
    assert result.code == 255
    assert f'the log has all of it: {log}' in ' '.join(result.err.split())
    assert 'Traceback' in log.read_text()


def test_debug_shows_the_traceback(cli, monkeypatch):
    def broken(*_given, **_more):
        raise RuntimeError('boom')
    monkeypatch.setattr(reading, 'facts', broken)
    assert cli.store
    result = cli.run('--debug', 'status', '--json')
    assert 'Traceback' in result.err
    assert result.document['exit_code'] == 255


# -- as processes -------------------------------------------------------------


def run_process(*words, **more):
    environment = {name: value for name, value in os.environ.items()
                   if name != 'COLUMNS'}
    return subprocess.run(
        [str(word) for word in words], text=True, capture_output=True,
        stdin=subprocess.DEVNULL, timeout=120, env=environment, **more)


@pytest.mark.parametrize('command', [
    ('nova-manage', 'pets'), ('nova-pets-manage', 'pets'),
    ('nova-pets-manage',)], ids=' '.join)
def test_the_three_names_of_the_command_are_the_same(night, command):
    program, *category = command
    result = run_process(BIN / program, '--config-file', night.conf_path,
                         *category, 'show', 'db1', '--json')
    assert result.returncode == 1, result
    document = json.loads(result.stdout)
    assert document['uuid'] == samples.DB1
    assert 'Traceback' not in result.stderr


def test_nova_manage_says_what_is_wrong_with_usage(night):
    result = run_process(BIN / 'nova-manage', '--config-file',
                         night.conf_path, 'pets', 'fence', 'host1')
    assert result.returncode == 3, result
    assert '--reason' in result.stderr


def test_nova_manage_without_its_nova_conf(tmp_path):
    result = run_process(BIN / 'nova-manage', '--config-file',
                         tmp_path / 'none.conf', 'pets', 'status')
    assert result.returncode == 3, result
    assert 'Name it with --config-file' in result.stderr
    assert 'Traceback' not in result.stderr


@pytest.mark.parametrize('transport, said', [
    ('', 'cannot read the cell mappings'),
    ('transport_url = pigeon://x', 'cannot use transport_url')],
    ids=['no_cells', 'no_transport'])
def test_an_audit_without_nova_is_one_sentence(night, transport, said):
    """The tables of nova-pets are there, those of Nova are not."""
    night.write_conf(text=cli_harness.NOVA_CONF.format(
        api_database=night.url, pets='', bindings=night.bindings
    ).replace('[DEFAULT]', f'[DEFAULT]\n{transport}'))
    result = run_process(BIN / 'nova-pets-manage', '--config-file',
                         night.conf_path, 'audit', '--fix', '--json')
    assert result.returncode == 3, result
    document = json.loads(result.stdout)
    assert document['exit_code'] == 3 and said in document['error']
    assert 'Traceback' not in result.stderr
    assert night.store.controls() == []


def test_a_reader_that_leaves_early_is_no_fault(night):
    result = run_process(
        'sh', '-c', f'{BIN}/nova-pets-manage --config-file '
        f'{night.conf_path} history --json | head -n 1')
    assert result.stdout == '{\n'
    assert 'Traceback' not in result.stderr
    assert 'BrokenPipe' not in result.stderr
