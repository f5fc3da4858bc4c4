# SPDX-License-Identifier: Apache-2.0
"""The demo's judge must not let a bad end pass."""

import dataclasses

import pytest

from nova_pets.tests.demo import judge

DB1, DB2, WEB1, WEB2 = 'u-db1', 'u-db2', 'u-web1', 'u-web2'

WELL = judge.Truth(
    cast=(judge.Cast(DB1, 'db1', True, 'host1'),
          judge.Cast(DB2, 'db2', True, 'host1'),
          judge.Cast(WEB1, 'web1', False, 'host1'),
          judge.Cast(WEB2, 'web2', False, 'host3')),
    guests={'host1': {DB1: 'shutdown', DB2: 'shutdown', WEB1: 'shutdown'},
            'host2': {DB1: 'shutdown'},
            'host3': {DB1: 'running', WEB2: 'running'},
            'host4': {DB2: 'running'}},
    power={'host1': 'off', 'host2': 'off', 'host3': 'on', 'host4': 'on'},
    starts={DB1: {'host1': 1, 'host2': 1, 'host3': 1},
            DB2: {'host1': 1, 'host4': 1},
            WEB1: {'host1': 1}, WEB2: {'host3': 1}},
    disks={DB1: 1, DB2: 1, WEB1: 1, WEB2: 1},
    evacuated=(DB1, DB2, DB2, DB1),
    falls=(judge.Fall('host1'),
           judge.Fall('host2', DB2, 'rebuild_spawning')))


def _with_guest(host, uuid, state):
    guests = {name: dict(held) for name, held in WELL.guests.items()}
    if state is None:
        guests[host].pop(uuid)
    else:
        guests[host][uuid] = state
    return {'guests': guests}


def _starts(uuid, **hosts):
    return {'starts': WELL.starts | {uuid: hosts}}


def test_a_good_end_has_no_problem():
    assert judge.problems(WELL, falls=2) == []


BAD = {
    'a pet runs twice': (
        _with_guest('host3', DB2, 'running'), 'db2 runs more than once'),
    'a pet ran twice for a moment': (
        {'doubles': ('db2',)}, 'db2 was seen running on two hosts'),
    'a pet is lost': (
        _with_guest('host4', DB2, None), 'db2 runs nowhere'),
    'a pet is there but does not run': (
        _with_guest('host4', DB2, 'shutdown'), 'db2 runs nowhere'),
    'a pet was started twice on a host': (
        _starts(DB2, host1=1, host4=2), 'db2 was started 2 times on host4'),
    'a pet runs on a host without power': (
        {'power': WELL.power | {'host4': 'off'}}, 'db2 runs on host4'),
    'a pet runs where the BMC says nonsense': (
        {'power': WELL.power | {'host4': 'unknown'}}, 'db2 runs on host4'),
    'a dead host was never powered off': (
        {'power': WELL.power | {'host1': 'on'}}, 'host1 crashed'),
    'a living host was powered off': (
        {'power': WELL.power | {'host3': 'off'}}, 'host3 never failed'),
    "a pet's disk was made anew": (
        {'disks': WELL.disks | {DB1: 2}}, 'disk of db1 was made 2 times'),
    'a pet of a living host was moved': (
        {'cast': (judge.Cast(DB1, 'db1', True, 'host3'),) + WELL.cast[1:]},
        'db1 was moved'),
    'cattle was evacuated': (
        {'evacuated': WELL.evacuated + (WEB1,)}, 'web1 was touched'),
    'cattle of a dead host runs again': (
        _with_guest('host3', WEB1, 'running'), 'web1 was touched'),
    'cattle of a living host is gone': (
        _with_guest('host3', WEB2, None), 'web2 was touched'),
    'cattle was moved': (
        _with_guest('host3', WEB2, None) | _with_guest(
            'host4', WEB2, 'running'), 'web2 was touched'),
    'cattle was restarted': (
        _starts(WEB2, host3=2), 'web2 was touched'),
    'cattle was started elsewhere and removed': (
        _starts(WEB1, host1=1, host4=1), 'web1 was touched'),
    'a guest that nobody booted': (
        _with_guest('host4', 'u-else', 'running'), 'nobody booted: u-else'),
    'the second crash never came': (
        {'falls': WELL.falls[:1]}, 'not played to its end'),
    'the receiver crashed at another moment': (
        {'falls': (WELL.falls[0], judge.Fall('host2', DB2, 'rebuilding'))},
        'was in rebuilding'),
    'there were no pets': (
        {'cast': WELL.cast[2:]}, 'there was no pet'),
}


@pytest.mark.parametrize('change, expected', BAD.values(), ids=list(BAD))
def test_a_bad_end_is_named(change, expected):
    found = judge.problems(dataclasses.replace(WELL, **change), falls=2)
    assert expected in '\n'.join(found)
