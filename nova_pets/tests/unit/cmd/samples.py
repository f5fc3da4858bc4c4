# SPDX-License-Identifier: Apache-2.0
"""Rows of a small cloud at a bad moment, for the tests of screens."""

import dataclasses
import datetime

from nova_pets.cmd import liveness
from nova_pets.cmd import questions
from nova_pets.model import records
from nova_pets.model import states

NOW = datetime.datetime(2026, 11, 21, 3, 14, 7)
CELL = '11111111-2222-4333-8444-555555555555'
DB1 = '5f0c3b1e-0000-4000-8000-000000000001'
WEB1 = '77aa3b1e-0000-4000-8000-000000000002'
PROJECT = '9a7b000000000000000000000000cafe'


def ago(seconds):
    return NOW - datetime.timedelta(seconds=seconds)


def engine(number=1, slot=0, **changes):
    row = records.Engine(
        id=f'engine-{number}', host='ctl1', worker=str(4000 + number),
        version='1.0.0', mode=states.Mode.ACT, gate_loaded=True,
        bindings_digest='abc', slot=slot, renewals=100,
        started_at=ago(3600), renewed_at=ago(1))
    return dataclasses.replace(row, **changes)


def host(name='host1', state=states.HostState.UP, **changes):
    row = records.Host(host=name, cell_uuid=CELL, state=state, epoch=3,
                       since_at=ago(134), fence_ready=True)
    return dataclasses.replace(row, **changes)


def fenced(name='host1', **changes):
    changes = {'reason': 'proven_off', 'proof': states.ProofKind.POWER_OFF,
               'forced_down': True, 'fence_attempts': 1, 'evidence': {
                   'heartbeat': 'silent 36 s',
                   'tcp': 'silent: 192.0.2.11:22 timed out'}} | changes
    return host(name, states.HostState.FENCED, **changes)


def pet(uuid=DB1, name='db1', host_name='host1', **changes):
    row = records.Pet(
        instance_uuid=uuid, cell_uuid=CELL, project_id=PROJECT, name=name,
        host=host_name, vm_state='active', is_bfv=True,
        settings={'ha': {'value': 'true', 'source': 'metadata'}})
    return dataclasses.replace(row, **changes)


def recovery(uuid=DB1, name='db1', state=states.RecoveryState.WAITING,
             **changes):
    row = records.Recovery(
        id=12, instance_uuid=uuid, cell_uuid=CELL, project_id=PROJECT,
        name=name, source='host1', epoch=3, state=state, attempts=2,
        reason='no_valid_host', detail='next attempt in 12 s',
        created_at=ago(120), since_at=ago(34))
    return dataclasses.replace(row, **changes)


def attempt(number=1, **changes):
    row = records.Attempt(
        id=number, recovery_id=12, instance_uuid=DB1, number=number,
        kind=states.AttemptKind.OWN,
        request_id='req-0f7d2a44-3c5e-4f1a-9a59-0f7d2a443c5e',
        source='host1', started_at=ago(100), ended_at=ago(92),
        outcome=states.Outcome.FAILED, gate=states.Gate.CLOSED,
        reason='no_valid_host')
    return dataclasses.replace(row, **changes)


def order(kind=states.ControlKind.PAUSE, scope='all', target='', **changes):
    row = records.Control(
        id=5, kind=kind, scope=scope, target=target,
        reason='broker upgrade', actor='user alice', created_at=ago(720))
    return dataclasses.replace(row, **changes)


ALIVE = liveness.Liveness(liveness.Answer.ALIVE, frozenset({'engine-1'}),
                          0.3)


def facts(**changes):
    """A quiet cloud; ``changes`` trouble it."""
    quiet = questions.Facts(
        now=NOW, engines=(engine(), engine(2, 1), engine(3, None)),
        liveness=ALIVE, hosts=tuple(host(f'host{number}')
                                    for number in range(1, 4)),
        pets=(pet(), pet(WEB1, 'web1', 'host2')), recoveries=(),
        attempts=(), orders=(), mode=states.Mode.ACT)
    return dataclasses.replace(quiet, **changes)


def bad_night():
    """A failed host, one pet waiting, one that needs a person."""
    return facts(
        engines=(engine(report={'waits': [
            '1 of host1: no destination found: waits for capacity']}),
            engine(2, 1), engine(3, None)),
        hosts=(fenced('host1'), host('host2'), host(
            'host3', states.HostState.UNPROVEN, reason='no_fence',
            fence_ready=None, evidence={
                'heartbeat': 'silent 70 s',
                'tcp': 'silent: 192.0.2.13:22 timed out'})),
        pets=(pet(), pet(WEB1, 'web1', 'host1',
                         unprotected=('no_storage_domain',), is_bfv=False)),
        recoveries=(
            recovery(WEB1, 'web1', states.RecoveryState.NEEDS_OPERATOR,
                     reason='odd_records', destination='host3',
                     detail='3 open evacuation records'),
            recovery()),
        attempts=(attempt(),),
        orders=(order(),))
