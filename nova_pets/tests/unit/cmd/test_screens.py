# SPDX-License-Identifier: Apache-2.0
"""Screens of a quiet and of a bad night: what a person must find there."""

import pytest

from nova_pets.cmd import check
from nova_pets.cmd import fence_table
from nova_pets.cmd import instance_screen
from nova_pets.cmd import liveness
from nova_pets.cmd import reports
from nova_pets.cmd import screens
from nova_pets.fencing import sequence
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.tests.unit.cmd import samples

H = states.HostState
R = states.RecoveryState

QUIET = """\
All is well.                                            2026-11-21 03:14:07 UTC

  Hosts    3 up
  Pets     2, all protected
  Engines  2 at work, 1 in reserve; mode act; gate loaded; version 1.0.0"""

BAD = """\
2 matters need a person; 2 recoveries under way.        2026-11-21 03:14:07 UTC

  Hosts    1 up, 1 fenced, 1 unproven
  Pets     2, 1 protected, 1 not
  Engines  2 at work, 1 in reserve; mode act; gate loaded; version 1.0.0

Somebody must act: host3
  Down, but could not be proven off; no fencing device is configured for it
  that can power it off.
    nova-manage pets confirm_fenced host3 --reason "..."
"""


def status(facts, width=79):
    return screens.status(reports.status(facts), width)


def test_a_quiet_night_is_five_lines():
    assert status(samples.facts()) == QUIET


def test_a_bad_night_begins_with_what_somebody_must_do():
    assert status(samples.bad_night()).startswith(BAD)


@pytest.mark.parametrize('part', [
    'Hosts that are not up', 'Recoveries under way', 'Waiting for',
    'Orders of people, in force', 'Not protected', 'You may',
    'nova-manage pets resume --reason "..."',
    'by user alice 12 min ago,', 'its disk could'])
def test_a_bad_night_shows(part):
    assert part in status(samples.bad_night())


@pytest.mark.parametrize('width', [60, 79, 100, 132])
def test_every_screen_fits(width):
    facts = samples.bad_night()
    attempts = (samples.attempt(), samples.attempt(
        2, outcome=states.Outcome.OPEN, destination='host2', ended_at=None))
    shown = [
        status(facts, width),
        screens.instances(reports.instances(facts), width),
        screens.hosts(reports.hosts(facts), width),
        screens.hosts(reports.hosts(facts, 'host3'), width),
        screens.engines(reports.status(facts)['engines']['rows'], width),
        instance_screen.screen(reports.instance(
            facts.pets[0], facts.recoveries[1], attempts, facts.hosts[0],
            facts), width)]
    too_wide = [line for text in shown for line in text.splitlines()
                if len(line) > width and not line.startswith('    ')]
    assert too_wide == []


def test_long_host_names_do_not_break_a_table():
    name = 'compute-012.rack-7.region-one.example.org'
    facts = samples.facts(hosts=(samples.fenced(name),), recoveries=(
        samples.recovery(source=name, destination='x' + name),))
    text = status(facts)
    table = [line for line in text.splitlines() if line.startswith('|')]
    assert max(len(line) for line in table) <= 79
    assert 'compute-012' in ''.join(table)


def test_forty_alarms_do_not_fill_the_screen():
    many = tuple(samples.recovery(
        f'{number:08x}-0000', f'db{number}', R.NEEDS_OPERATOR,
        reason='odd_records') for number in range(40))
    text = status(samples.facts(recoveries=many))
    assert text.count('Somebody must act') == 7
    assert 'Somebody must act on 34 more' in text
    assert 'and 25 more (in all: 40 needs_operator)' in text


def test_engines_are_listed_when_none_is_alive():
    dead = liveness.Liveness(liveness.Answer.SILENT, watched_s=3.0)
    text = status(samples.facts(liveness=dead))
    assert 'No engine is alive: none moved within 3 s' in text
    assert '| ctl1      | 4001' in text


def test_mode_off_is_said():
    text = status(samples.facts(
        mode=states.Mode.OFF, engines=(),
        liveness=liveness.Liveness(liveness.Answer.NONE)))
    assert '[pets] mode is off: nothing is watched' in text


def instance(pet, recovery, attempts=(), source=None, facts=None):
    return instance_screen.screen(reports.instance(
        pet, recovery, attempts, source, facts or samples.facts()), 79)


def test_show_answers_the_five_questions():
    facts = samples.bad_night()
    text = instance(facts.pets[0], facts.recoveries[1],
                    (samples.attempt(),), facts.hosts[0], facts)
    flat = ' '.join(text.split())
    for part in ('Now waiting: clean, backs off before the next attempt',
                 'Since 2026-11-21 03:13:33 UTC (34 s)',
                 'Why no destination found: waits for capacity (next '
                 'attempt in 12 s)',
                 'From host1 (epoch 3; fenced: proven off',
                 'What was tried', 'failed, left',
                 'Waiting for - 1 of host1', 'You may now'):
        assert part in flat


def test_show_of_a_healthy_pet():
    text = instance(samples.pet(), None, source=samples.host('host1'))
    assert 'Protected' in text and 'host1 (up: nothing known' in text
    assert 'You may now' not in text


def test_show_of_an_unprotected_pet_says_how_to_protect_it():
    text = instance(samples.pet(unprotected=('no_storage_domain',),
                                is_bfv=False), None)
    assert 'NOT protected: image-backed' in text
    assert 'openstack aggregate set --property pets:storage' in text


def test_show_of_a_recovered_pet_tells_the_last_recovery():
    done = samples.recovery(state=R.RECOVERED, destination='host2',
                            finished_at=samples.ago(60))
    text = instance(samples.pet(host_name='host2'), done)
    assert 'recovered host1 > host2, 2 attempts in 1 min' in text


def test_history_reads_like_the_log():
    events = [records.Event(
        code='proven_off', host='host1', from_state='fencing',
        to_state='fenced', actor='engine ctl1/4', at=samples.NOW,
        evidence={'level': 1, 'power': {'1.1 fake': 'off'},
                  'detail': 'off after 1.2 s'}),
        records.Event(code='recovered', instance_uuid=samples.DB1,
                      from_state='verifying', to_state='recovered',
                      at=samples.NOW)]
    text = screens.history(reports.history(events, {samples.DB1: 'db1'}),
                           150)
    assert 'host1: fencing -> fenced: its power reads off [power: off ' \
           'after 1.2 s]' in text
    assert 'db1 (5f0c3b1e): verifying -> recovered: runs on its ' \
           'destination' in text


def test_history_tells_what_witnesses_saw_once():
    seen = {'heartbeat': 'silent 36 s', 'forced_down': 'unknown: not set',
            'tcp': 'silent: timed out'}
    events = [
        records.Event(code='all_silent', host='host1', evidence=seen,
                      to_state='down'),
        records.Event(code='fence_started', host='host1', to_state='fencing',
                      evidence=seen | {'heartbeat': 'silent 37 s'}),
        records.Event(code='source_down', instance_uuid=samples.DB1,
                      host='host1', evidence=seen)]
    text = screens.history(reports.history(events, {}), 150)
    assert text.count('tcp: silent, timed out') == 1
    assert 'forced_down' not in text


def test_a_fence_table_shows_only_what_would_fail():
    power = {'h1': states.PowerState.ON, 'h2': states.PowerState.UNKNOWN,
             'h4': states.PowerState.UNKNOWN}
    rows = fence_table.ask(
        ['h1', 'h2', 'h3', 'h4'], frozenset(power),
        lambda host: sequence.PowerReading(
            False, host != 'h2', {'1.1 ipmi': power[host],
                                  '2.1 manual': states.PowerState.UNKNOWN},
            f'{host} said so'), None)
    text = '\n'.join(fence_table.screen(rows, 79))
    assert '2 of 4 hosts could be fenced now' in text
    assert 'h2 said so' in text and 'no device that can' in text
    assert 'h1 said so' not in text
    assert text.index('Would fail') < text.index('h2 said so') < \
        text.index('Works in part') < text.index('h4 said so')
    assert [row['silent'] for row in rows] == [
        [], ['1.1 ipmi'], [], ['1.1 ipmi']]


def test_check_shows_the_gravest_first_with_advice():
    doc = {'findings': [
        {'subject': 'filters', 'result': check.PROBLEM, 'text': 'lost',
         'advice': 'add it'},
        {'subject': 'pets', 'result': check.OK, 'text': '2', 'advice': None}],
        'fencing': None, 'config_files': []}
    lines = check.screen(doc, 79).splitlines()
    assert lines[0] == 'PROBLEM      filters: lost'
    assert lines[1].strip() == '-> add it'
    assert 'no nova.conf' in lines[-1]
