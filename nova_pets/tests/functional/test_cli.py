# SPDX-License-Identifier: Apache-2.0
"""Every verb through the real main(), on a store in SQLite."""

import dataclasses

import pytest

from nova_pets.model import records
from nova_pets.model import states
from nova_pets.tests.functional import cli_harness
from nova_pets.tests.unit.cmd import samples

put = cli_harness.put
cli = cli_harness.cli
night = cli_harness.night
engine = cli_harness.engine
H = states.HostState
R = states.RecoveryState
C = states.ControlKind


# -- to look ------------------------------------------------------------------


def test_status_says_that_all_is_well(cli, engine):
    put(cli.store, samples.host('host1', H.UP), samples.pet())
    result = cli.run('status')
    assert result.code == 0, result
    assert result.out.startswith('All is well.')
    assert '1, all protected' in result.out


def test_status_without_an_engine_calls_a_person(cli):
    put(cli.store, samples.host('host1', H.UP))
    result = cli.run('status', '--json')
    assert result.code == 2
    assert result.document['engines']['answer'] == 'silent'


def test_status_before_any_engine_ever_ran(cli):
    assert cli.store.engines() == []
    result = cli.run('status')
    assert result.code == 2
    assert 'No engine is registered' in result.out


def test_status_of_a_bad_night(night, engine):
    result = night.run('status')
    assert result.code == 2
    assert 'Somebody must act: host3' in result.out
    assert 'nova-manage pets show web1' in result.out


def test_a_recovery_under_way_needs_nobody(cli, engine):
    put(cli.store, samples.fenced('host1'), samples.pet(),
        samples.recovery())
    result = cli.run('status')
    assert result.code == 1, result
    assert '1 recovery under way' in result.out.splitlines()[0]


@pytest.mark.parametrize('words', [
    ('status',), ('list',), ('hosts',), ('hosts', '--host', 'host3'),
    ('show', 'db1'), ('history',), ('check',), ('check', '--fencing')],
    ids=' '.join)
def test_screens_fit_a_narrow_terminal(night, engine, words):
    result = night.run(*words, columns=79)
    # A path that is longer than a line stays whole, to be copied.
    too_wide = [line for line in result.out.splitlines()
                if len(line) > 79 and not line.startswith('    ') and
                ' ' in line.strip()]
    assert too_wide == []
    assert 'Traceback' not in result.out + result.err


@pytest.mark.parametrize('words', [
    ('status',), ('list',), ('hosts',), ('show', 'db1'), ('history',),
    ('check', '--fencing'), ('db_version',), ('db_sync',),
    ('purge', '--before', '30d')], ids=' '.join)
def test_json_parses_and_has_the_exit_code(night, engine, words):
    result = night.run(*words, '--json')
    assert result.document['exit_code'] == result.code
    assert 'error' not in result.document


def test_list_finds_the_pets_of_a_state(night):
    out = night.run('list', '--state', 'needs_operator', '--json').document
    assert [row['name'] for row in out['pets']] == ['web1']
    assert night.run('list', '--state', 'protected', '--host', 'host2'
                     ).out.strip() == 'No such pet.'


@pytest.mark.parametrize('word', [
    'db1', samples.DB1, samples.DB1[:8], samples.DB1.upper()])
def test_show_takes_names_uuids_and_prefixes(night, word):
    result = night.run('show', word)
    assert result.code == 1, result
    assert result.out.startswith(f'db1  {samples.DB1}')


def test_show_tells_what_was_tried_and_what_may_be_done(night):
    store = night.store
    row = store.recoveries(instance_uuid=samples.DB1)[0]
    me = put(store)
    generation = store.claim_recovery(row.id, row.generation, me)
    store.advance_recovery(
        dataclasses.replace(row, state=R.SETTLING, owner=None,
                            reason='destination_down'), generation, me,
        records.Event(code='destination_down'), samples.attempt(
            id=None, recovery_id=row.id, destination='host3'))
    result = night.run('show', 'db1')
    assert 'What was tried' in result.out
    assert 'host3' in result.out
    assert 'its destination failed' in result.out


def test_show_of_an_instance_whose_tag_is_gone(night):
    night.store.forget_pets([samples.DB1], 'untagged')
    result = night.run('show', 'db1')
    assert result.code == 1, result


def test_history_of_one_instance(night):
    out = night.run('history', '--instance', 'web1', '--json').document
    assert {row['uuid'] for row in out['events']} == {samples.WEB1}
    assert night.run('history', '--since', '2h', '--host', 'host1').code == 0
    assert night.run('history', '--since', '2099-01-01').out == (
        'Nothing on record.\n')


# -- to order ---------------------------------------------------------------


def orders_of(cli, kind):
    return [row for row in cli.store.controls() if row.kind is kind]


def test_fence_is_an_order_and_no_act(night, engine):
    result = night.run('fence', 'host3', '--reason', 'smoke', '--yes')
    assert result.code == 0, result
    order, = orders_of(night, C.FENCE)
    assert (order.target, order.epoch, order.reason) == ('host3', 3, 'smoke')
    assert order.actor.startswith('user ')
    assert night.store.host('host3').state is H.UNPROVEN
    assert 'The engines act on it' in result.out


def test_an_order_that_nobody_hears_says_so(night):
    result = night.run('fence', 'host3', '--reason', 'smoke', '--yes')
    assert result.code == 2
    assert 'NO ENGINE IS ALIVE' in result.out
    assert orders_of(night, C.FENCE)


@pytest.mark.parametrize('words', [
    ('fence', 'host3'), ('confirm_fenced', 'host3'),
    ('release', 'host4'), ('retry', 'web1'), ('recover', 'web1'),
    ('abandon', 'web1'), ('approve', '--host', 'host5')], ids=' '.join)
def test_what_acts_asks_first(night, engine, words):
    put(night.store, samples.host('host4', H.VACATED, reason='vacated',
                                  proof=states.ProofKind.POWER_OFF),
        samples.host('host5', H.DOWN, reason='storm'))
    given = (*words, '--reason', 'x')
    assert night.run(*given).code == 3
    assert night.run(*given, typed='y\n').code == 3
    assert night.run(*given, '--json').code == 3
    dry = night.run(*given, '--dry-run')
    assert dry.code == 0 and 'Dry run: nothing was ordered' in dry.out
    assert night.store.controls() == []
    agreed = night.run(*given, typed='yes\n')
    assert agreed.code == 0, agreed
    assert len(night.store.controls()) == 1
    again = night.run(*given, typed='')
    assert again.code == 0 and len(night.store.controls()) == 1


def test_confirm_fenced_names_the_epoch(night, engine):
    words = ('confirm_fenced', 'host3', '--reason', 'looked', '--yes')
    unnamed = night.run(*words)
    assert unnamed.code == 3 and 'is in epoch 3' in unnamed.err
    other = night.run(*words, '--epoch', '2', '--json')
    assert other.code == 2 and 'epoch 3, not 2' in other.document['refused'][0]
    assert night.run(*words, '--epoch', '3').code == 0
    assert orders_of(night, C.CONFIRM_FENCED)[0].epoch == 3


def test_confirm_fenced_is_refused_while_life_is_seen(night, engine):
    put(night.store, samples.host(
        'host4', H.UNPROVEN, reason='fence_failed', evidence={
            'heartbeat': 'silent 70 s', 'tcp': 'life: port 22 answered'}))
    result = night.run('confirm_fenced', 'host4', '--reason', 'x', '--yes',
                       '--epoch', '3')
    assert result.code == 2
    assert 'tcp: port 22 answered' in result.out.replace('\n', ' ')
    assert not orders_of(night, C.CONFIRM_FENCED)


def test_release_prints_how_the_queue_is_drained(night, engine):
    put(night.store, samples.host('host4', H.VACATED, reason='vacated',
                                  proof=states.ProofKind.POWER_OFF))
    result = night.run('release', 'host4', '--reason', 'repaired', '--yes')
    assert result.code == 0, result
    assert '    rabbitmqctl purge_queue compute.host4\n' in result.out
    early = night.run('release', 'host1', '--reason', 'x', '--yes')
    assert early.code == 2 and '2 open recoveries' in ' '.join(
        early.out.split())


def test_maintenance_begins_changes_and_ends(night, engine):
    words = ('maintenance', 'host2', '--reason', 'disk')
    assert night.run(*words, '--until', '4h').code == 0
    assert night.run(*words).code == 0
    order, = orders_of(night, C.MAINTENANCE)
    assert order.until_at is None
    assert night.run('status').out.count('maintenance') >= 1
    assert night.run(*words, '--off').code == 0
    assert not orders_of(night, C.MAINTENANCE)
    assert 'is in no maintenance' in night.run(*words, '--off').out


def test_pause_and_resume_by_scope(night, engine):
    assert night.run('pause', '--reason', 'broker').code == 0
    assert night.run('pause', '--reason', 'broker', '--host', 'host1'
                     ).code == 0
    assert night.run('pause', '--reason', 'b', '--cell', samples.CELL[:8]
                     ).code == 0
    assert {(row.scope, row.target) for row in orders_of(night, C.PAUSE)} \
        == {('all', ''), ('host', 'host1'), ('cell', samples.CELL)}
    result = night.run('resume', '--reason', 'done')
    assert 'Still paused: host1' in result.out
    night.run('resume', '--host', 'host1', '--reason', 'done')
    night.run('resume', '--cell', samples.CELL, '--reason', 'done')
    assert not orders_of(night, C.PAUSE)
    assert night.run('resume', '--reason', 'done').code == 0


def test_instances_of_a_host_are_ordered_one_by_one(night, engine):
    out = night.run('retry', '--host', 'host1', '--reason', 'room', '--yes',
                    '--json').document
    assert {row['target'] for row in out['ordered']} == {samples.DB1,
                                                         samples.WEB1}


def test_an_approval_names_the_hosts_that_a_storm_holds(night, engine):
    put(night.store, samples.host('host4', H.DOWN, reason='storm'),
        samples.host('host5', H.DOWN, reason='storm'))
    out = night.run('approve', '--reason', 'real', '--yes', '--json').document
    assert {(row['scope'], row['target'], row['epoch'])
            for row in out['ordered']} == {('host', 'host4', 3),
                                           ('host', 'host5', 3)}
    night.run('approve', '--off', '--reason', 'wrong', '--yes')
    assert not orders_of(night, C.APPROVAL)


def test_every_order_is_in_the_history(night, engine):
    night.run('pause', '--reason', 'broker upgrade')
    night.run('resume', '--reason', 'upgraded')
    out = night.run('history').out
    assert 'broker upgrade' in out and 'upgraded' in out


def test_orders_say_what_was_ordered_in_json(night, engine):
    result = night.run('fence', 'host3', '--reason', 'x', '--yes', '--json')
    assert result.document['ordered'][0]['kind'] == 'fence'
    assert result.document['engines'] == 'alive'


# -- the tables -------------------------------------------------------------


def test_db_sync_makes_the_tables(cli):
    assert cli.run('db_version').code == 3
    made = cli.run('db_sync')
    assert made.code == 0 and 'from schema none' in made.out
    assert 'as before' in cli.run('db_sync').out
    version = cli.run('db_version', '--json')
    assert version.code == 0 and version.document['found'] == \
        version.document['expected']


def test_purge_tells_what_it_deleted(night):
    out = night.run('purge', '--before', '30d', '--json').document
    assert out['deleted']['pets_events'] == 0


# -- check ------------------------------------------------------------------


def test_check_fencing_names_the_hosts_that_would_fail(night, engine):
    (night.power / 'host1').write_text('on')
    (night.power / 'host2').write_text('off')
    result = night.run('check', '--fencing', '--json')
    works = {row['host']: row['works']
             for row in result.document['fencing']}
    assert works == {'host1': True, 'host2': True, 'host3': False}
    assert result.code == 2
    shown = night.run('check', '--fencing').out
    assert '2 of 3 hosts could be fenced now' in shown


def test_check_without_a_database_still_checks_the_rest(cli):
    result = cli.run('check', '--json')
    assert result.code == 3
    subjects = {row['subject']: row['result']
                for row in result.document['findings']}
    assert subjects['tables'] == 'unknown'
    assert subjects['filters'] == 'ok'
    assert subjects['weighers'] == 'ok'
    assert subjects['credentials'] == 'ok'


def test_check_of_a_nova_conf_that_never_heard_of_us(cli, engine):
    cli.write_conf(text=f'[api_database]\nconnection = {cli.url}\n')
    out = cli.run('check', '--json').document
    said = ' '.join(row['text'] for row in out['findings']
                    if row['result'] == 'problem')
    assert 'available_filters does not name nova_pets' in said
    assert 'enabled_filters does not name FencedHostFilter' in said
    assert 'neither [pets_auth] nor [service_user]' in said


def test_check_sees_that_novas_filters_were_lost(cli, engine):
    cli.write_conf(text=f'''[api_database]
connection = {cli.url}
[filter_scheduler]
available_filters = nova_pets.scheduler.filters.all_filters
''')
    out = cli.run('check').out
    assert 'has lost filters of Nova' in out.replace('\n', ' ')
