# SPDX-License-Identifier: Apache-2.0
"""The last looks before an act that cannot be taken back."""

import dataclasses

import pytest

from nova_pets.model import actions
from nova_pets.model import observations
from nova_pets.model import states
from nova_pets.planning import planner
from nova_pets.planning import safety
from nova_pets.tests.unit.planning import samples

H = states.HostState
LIFE, SILENT = states.Sign.LIFE, states.Sign.SILENT
HOST, AGENT = states.WitnessPath.HOST, states.WitnessPath.AGENT


def word(sign, path=HOST, age_s=1.0, detector='tcp'):
    return observations.Evidence(detector, path, sign, 'it said', age_s, 9.0)


@pytest.mark.parametrize('words, is_allowed', [
    ([word(SILENT)], True),
    ([word(SILENT), word(SILENT, AGENT, detector='rpc_ping')], True),
    ([word(LIFE)], False),
    ([word(SILENT), word(LIFE, AGENT, detector='rpc_ping')], False),
    ([word(SILENT), word(LIFE, AGENT, 60.0, 'rpc_ping')], True),
    ([word(SILENT, age_s=60.0)], False),
    ([word(SILENT, AGENT)], False),
    ([], False),
], ids=['silent', 'all silent', 'machine lives', 'agent lives', 'lived once',
        'looked long ago', 'only the agent was asked', 'nobody looked'])
def test_a_power_off_needs_fresh_silence_of_the_machine(words, is_allowed):
    found = safety.sign_of_life(tuple(words), samples.POLICY)
    assert (found is None) is is_allowed


@pytest.mark.parametrize('references, is_blind', [
    ({}, False),
    ({'host2': [word(LIFE)]}, False),
    ({'host2': [word(SILENT)], 'host3': [word(LIFE)]}, False),
    ({'host2': [word(SILENT)], 'host3': [word(SILENT)]}, True),
    ({'host2': [word(SILENT, age_s=60.0)]}, False),
    ({'host2': [word(SILENT, AGENT)]}, False),
], ids=['none', 'seen', 'one is seen', 'none is seen', 'long ago',
        'agents only'])
def test_who_sees_no_living_host_is_blind(references, is_blind):
    found = safety.why_blind(
        {name: tuple(words) for name, words in references.items()},
        samples.POLICY)
    assert bool(found) is is_blind


def test_a_recovery_is_given_up_to_who_drives_its_host():
    """Seed 60 of 2026-11-21: each engine waited for the other's claim."""
    view = samples.recovery_view(states.RecoveryState.VERIFYING)
    row = dataclasses.replace(view.row, owner='me')
    host = samples.host_view(state=H.FENCED, row={'owner': 'peer'})
    snap = samples.snap(
        host, recoveries=(dataclasses.replace(view, row=row),), me='me',
        live_engines=frozenset({'me', 'peer'}))
    found = planner.plan(snap, samples.POLICY).actions
    assert actions.GiveUp(row.id, row.generation) in found


# -- what an earlier recovery has settled -------------------------------------

SETTLED = samples.attempt(migration_id=5, destination='host2',
                          outcome=states.Outcome.FAILED)
BUILT = samples.event('compute_rebuild_instance', 'host2')


@pytest.mark.parametrize('attempt, event, is_settled', [
    ({}, {}, True),
    ({'request_id': 'req-1@7'}, {}, True),
    ({'migration_id': 6}, {}, False), ({'migration_id': None}, {}, False),
    ({'destination': 'host3'}, {}, False),
    ({'outcome': states.Outcome.UNSETTLED}, {}, False),
    ({'outcome': states.Outcome.OPEN}, {}, False),
    ({'request_id': 'req-2'}, {}, False),
    ({}, {'host': 'host3'}, False),
    ({}, {'name': 'rebuild_server'}, False)], ids=str)
def test_what_an_earlier_recovery_settled_is_not_somebodys(attempt, event,
                                                           is_settled):
    """Chaos, seed 2027: the action of an attempt whose destination died says
    for ever that it is at work there, and the next recovery waited for it."""
    earlier = dataclasses.replace(SETTLED, **attempt)
    trace = samples.trace(samples.migration(status='error',
                                            destination='host2'),
                          events=(dataclasses.replace(BUILT, **event),))
    found = safety.settled_before(5, [earlier], trace)
    assert found == (earlier if is_settled else None)


def test_a_record_without_a_destination_was_settled_by_nobody():
    earlier = dataclasses.replace(SETTLED, destination=None)
    trace = samples.trace(samples.migration(status='error'),
                          events=(dataclasses.replace(BUILT, host=None),))
    assert safety.settled_before(5, [earlier], trace) is None


@pytest.mark.parametrize('status, is_settled', [
    ('error', True), ('failed', True), ('completed', True),
    ('pre-migrating', False), ('done', False), ('accepted', False)])
def test_a_record_that_is_open_was_settled_by_nobody(status, is_settled):
    """A failover of the cell's database may open it again."""
    trace = samples.trace(
        samples.migration(status=status, destination='host2'),
        samples.migration(id=6, status='error', destination='host2'),
        events=(BUILT,))
    found = safety.settled_before(5, [SETTLED], trace)
    assert (found is not None) is is_settled
