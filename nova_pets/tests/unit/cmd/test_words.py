# SPDX-License-Identifier: Apache-2.0
"""Durations, times and names as people read them; no code without words."""

import datetime

import pytest

from nova_pets.cmd import words
from nova_pets.model import states


@pytest.mark.parametrize('seconds, text', [
    (None, '-'), (-5, '0 s'), (0, '0 s'), (0.4, '0 s'), (34, '34 s'),
    (59.9, '59 s'), (60, '1 min'), (134, '2 min 14 s'), (599, '9 min 59 s'),
    (600, '10 min'), (754, '12 min'), (3600, '1 h'), (3605, '1 h'),
    (12000, '3 h 20 min'), (86400, '1 d'), (90000, '1 d 1 h'),
    (86460, '1 d'), (187200, '2 d 4 h')])
def test_a_duration_has_two_units_at_most(seconds, text):
    assert words.duration(seconds) == text


@pytest.mark.parametrize('table, known', [
    (words.HOST_WORDS, states.HostState),
    (words.RECOVERY_WORDS, states.RecoveryState),
    (words.OUTCOME_WORDS, states.Outcome),
    (words.ATTEMPT_WORDS, states.AttemptKind),
    (words.PROOF_WORDS, states.ProofKind),
    (words.SIGN_WORDS, states.Sign),
    (words.POWER_WORDS, states.PowerState),
    (words.ORDER_WORDS, states.ControlKind),
    (words.MODE_WORDS, states.Mode)],
    ids=lambda value: getattr(value, '__name__', 'words'))
def test_every_code_has_words(table, known):
    assert set(table) == set(known)
    assert all(text and '_' not in text for text in table.values())


def test_times_are_utc_whatever_zone_the_driver_gives():
    zone = datetime.timezone(datetime.timedelta(hours=2))
    aware = datetime.datetime(2026, 11, 21, 5, 14, 7, 900, tzinfo=zone)
    assert words.iso(aware) == '2026-11-21T03:14:07Z'
    assert words.clock('2026-11-21T03:14:07Z') == '2026-11-21 03:14:07'
    naive = datetime.datetime(2026, 11, 21, 3, 13, 7)
    assert words.seconds_since(naive, aware) == pytest.approx(60, abs=1)
    assert words.seconds_since(None, aware) is None


def test_a_clock_set_back_gives_no_negative_age():
    later = datetime.datetime(2026, 11, 21, 3, 14)
    earlier = datetime.datetime(2026, 11, 21, 3, 13)
    assert words.seconds_since(later, earlier) == 0


@pytest.mark.parametrize('name, uuid, text', [
    ('db1', '5f0c3b1e-0000', 'db1 (5f0c3b1e)'),
    ('', '5f0c3b1e-0000', '5f0c3b1e-0000'),
    (None, None, '-')])
def test_an_instance_is_named_with_a_prefix_that_verbs_accept(
        name, uuid, text):
    assert words.instance(name, uuid) == text


def test_long_lists_are_cut():
    assert words.listing(['a', 'b', 'c'], 2) == 'a, b and 1 more'
    assert words.listing(['a', 'b'], 2) == 'a, b'
