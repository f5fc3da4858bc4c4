# SPDX-License-Identifier: Apache-2.0
"""Exit codes, alarms, who is meant and when: tables of pure judgement."""

import datetime

import pytest

from nova_pets import exception
from nova_pets.cmd import liveness
from nova_pets.cmd import questions
from nova_pets.cmd import reports
from nova_pets.model import reasons
from nova_pets.model import states
from nova_pets.tests.unit.cmd import samples

H = states.HostState
R = states.RecoveryState
E = questions.Exit
DEAD = liveness.Liveness(liveness.Answer.SILENT, watched_s=3.0)


def with_host(state, reason=''):
    return samples.facts(hosts=(samples.host('host1', state,
                                             reason=reason),))


def with_recovery(state, reason=''):
    return samples.facts(recoveries=(samples.recovery(
        state=state, reason=reason),))


@pytest.mark.parametrize('facts, code', [
    (samples.facts(), E.WELL),
    (samples.facts(liveness=DEAD), E.ACT),
    (samples.facts(liveness=liveness.Liveness(liveness.Answer.NONE),
                   engines=()), E.ACT),
    (samples.facts(liveness=liveness.Liveness(liveness.Answer.UNKNOWN)),
     E.WELL),
    (samples.facts(engines=(samples.engine(gate_loaded=False),)), E.ACT),
    (samples.facts(orders=(samples.order(),)), E.UNDER_WAY),
    (samples.facts(pets=(samples.pet(unprotected=('vtpm',)),)), E.WELL),
    (samples.facts(has_fake_fencing=True), E.WELL),
    (samples.bad_night(), E.ACT),
], ids=['quiet', 'engines silent', 'no engine', 'engines slow', 'no gate',
        'paused', 'unprotected', 'fake', 'bad night'])
def test_exit_code_of_a_cloud(facts, code):
    assert questions.exit_code(facts) is code


@pytest.mark.parametrize('state, code', [
    (H.UP, E.WELL), (H.SUSPECT, E.UNDER_WAY), (H.DOWN, E.UNDER_WAY),
    (H.FENCING, E.UNDER_WAY), (H.FENCED, E.UNDER_WAY),
    (H.VACATED, E.UNDER_WAY), (H.RETURNING, E.UNDER_WAY),
    (H.QUARANTINED, E.ACT), (H.UNPROVEN, E.ACT)], ids=str)
def test_exit_code_of_each_host_state(state, code):
    assert questions.exit_code(with_host(state)) is code


@pytest.mark.parametrize('state', list(R), ids=str)
def test_exit_code_of_each_recovery_state(state):
    expected = {R.NEEDS_OPERATOR: E.ACT, R.RECOVERED: E.WELL,
                R.ABANDONED: E.WELL}.get(state, E.UNDER_WAY)
    assert questions.recovery_exit(samples.recovery(
        state=state, reason='')) is expected


def test_every_alarming_reason_is_a_reason():
    assert set(reasons.REASONS) >= questions.ALARMING_REASONS


@pytest.mark.parametrize('reason', ['wrong_device', 'peer_sees_life'])
def test_a_dead_host_that_nothing_powers_off_calls_a_person(reason):
    assert questions.exit_code(with_host(H.DOWN, reason)) is E.ACT


@pytest.mark.parametrize('reason', sorted(questions.ALARMING_REASONS))
def test_a_host_held_for_an_alarming_reason_calls_a_person(reason):
    facts = with_host(H.SUSPECT, reason)
    assert questions.exit_code(facts) is E.ACT
    assert questions.alarms(facts)[0].commands


def test_an_old_reason_of_a_host_that_is_up_alarms_nobody():
    assert questions.exit_code(with_host(H.UP, 'host_alive')) is E.WELL


def test_a_storm_is_a_hold_and_ends_by_itself():
    assert questions.exit_code(with_host(H.DOWN, 'storm')) is E.UNDER_WAY


BLIND = {'is_sane': False, 'why_not_sane': 'every conductor is silent'}


@pytest.mark.parametrize('said, code', [
    ((BLIND,), E.UNDER_WAY), ((BLIND, BLIND), E.UNDER_WAY),
    ((BLIND, {'is_sane': True}), E.WELL), ((BLIND, {}), E.WELL)],
    ids=['the only one', 'all', 'one sees', 'one has not said it'])
def test_a_view_that_no_engine_trusts_is_a_hold(said, code):
    """Seen in the lab: "All is well" with every conductor away."""
    facts = samples.facts(engines=tuple(
        samples.engine(number, number, report=report)
        for number, report in enumerate(said)))
    assert questions.exit_code(facts) is code
    headline = reports.status(facts)['headline']
    assert ('own view' in headline) is (code is E.UNDER_WAY)


def test_who_is_in_reserve_says_nothing_about_the_view():
    facts = samples.facts(engines=(
        samples.engine(1, 0, report={'is_sane': True}),
        samples.engine(2, None, report=BLIND)))
    assert questions.exit_code(facts) is E.WELL


def test_every_alarm_offers_a_command():
    facts = samples.facts(
        liveness=DEAD, hosts=tuple(samples.host(f'h{state}', state)
                                   for state in H),
        recoveries=(samples.recovery(state=R.NEEDS_OPERATOR,
                                     reason='of a newer version'),))
    assert all(alarm.commands for alarm in questions.alarms(facts))


def test_the_mode_of_a_reserve_is_no_news():
    facts = samples.facts(engines=(
        samples.engine(), samples.engine(
            2, None, mode=states.Mode.OBSERVE)))
    assert questions.warnings(facts) == []


@pytest.mark.parametrize('engines, said', [
    ((samples.engine(), samples.engine(2, 1, mode=states.Mode.OBSERVE)),
     'different modes'),
    ((samples.engine(mode=states.Mode.OBSERVE),), 'mode observe'),
    ((samples.engine(), samples.engine(2, 1, bindings_digest='x')),
     'different fencing bindings'),
    ((samples.engine(), samples.engine(2, None, version='2')),
     'different versions'),
    ((samples.engine(report={'problems': ['no bindings']}),),
     'no bindings'),
    ((samples.engine(report={'mode_reason': 'the kill switch is there'}),),
     'kill switch')], ids=lambda value: value if isinstance(
         value, str) else '')
def test_what_schedulers_disagree_on_is_noted(engines, said):
    assert said in ' '.join(questions.warnings(
        samples.facts(engines=engines)))


def test_fake_fencing_is_said_everywhere():
    assert 'Fake fencing' in questions.warnings(
        samples.facts(has_fake_fencing=True))[0]


KNOWN = [questions.Named('aaaa1111-x', 'db1', 'p1'),
         questions.Named('aaaa2222-x', 'db2', 'p1'),
         questions.Named('bbbb3333-x', 'db2', 'p2'),
         questions.Named('cccc4444-x', 'bbbb', 'p2')]


@pytest.mark.parametrize('word, uuid', [
    ('db1', 'aaaa1111-x'), ('aaaa1', 'aaaa1111-x'), ('AAAA1', 'aaaa1111-x'),
    ('aaaa1111-x', 'aaaa1111-x'), ('cccc', 'cccc4444-x')])
def test_a_word_that_means_one_instance(word, uuid):
    assert questions.resolve(word, KNOWN) == uuid


@pytest.mark.parametrize('word, said', [
    ('db2', 'found 2'), ('aaaa', 'found 2'), ('bbbb', 'found 2'),
    ('nope', 'found none'), ('ccc', 'found none'), ('', 'found none')])
def test_a_word_that_does_not(word, said):
    with pytest.raises(exception.OperatorError, match=said):
        questions.resolve(word, KNOWN)


def test_a_name_that_is_also_a_prefix_is_never_guessed():
    """'bbbb' names one instance and begins the uuid of another."""
    with pytest.raises(exception.OperatorError):
        questions.resolve('bbbb', KNOWN)


NOW = datetime.datetime(2026, 11, 21, 3, 14, 7)


@pytest.mark.parametrize('word, expected', [
    ('2026-11-20', datetime.datetime(2026, 11, 20)),
    ('2026-11-20 03:14', datetime.datetime(2026, 11, 20, 3, 14)),
    ('2026-11-20T03:14:07Z', datetime.datetime(2026, 11, 20, 3, 14, 7)),
    ('2026-11-20T05:14+02:00', datetime.datetime(2026, 11, 20, 3, 14)),
    ('30m', datetime.datetime(2026, 11, 21, 2, 44, 7)),
    ('2 h', datetime.datetime(2026, 11, 21, 1, 14, 7)),
    (' 7d ', datetime.datetime(2026, 11, 14, 3, 14, 7)),
    ('1w', datetime.datetime(2026, 11, 14, 3, 14, 7))])
def test_dates_and_distances(word, expected):
    assert questions.parse_when(word, NOW, '--since') == expected


def test_a_distance_may_point_forward():
    assert questions.parse_when('4h', NOW, '--until', is_future=True) == \
        datetime.datetime(2026, 11, 21, 7, 14, 7)


@pytest.mark.parametrize('word', ['', 'tuesday', '2026-13-01', '-2h', '2y',
                                  '999999999999d'])
def test_what_is_no_date(word):
    with pytest.raises(exception.OperatorError, match='--since'):
        questions.parse_when(word, NOW, '--since')


def test_a_host_that_cannot_be_drained_alarms_when_it_is_to_come_back():
    waits, comes = (samples.host(state=state, reason='not_drained')
                    for state in (H.VACATED, H.RETURNING))
    assert questions.is_alarming_host(comes)
    assert not questions.is_alarming_host(waits)
