# SPDX-License-Identifier: Apache-2.0
"""Sample rows and observations; each test changes only what it is about."""

import dataclasses
import datetime

from nova_pets.model import observations
from nova_pets.model import policy
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states

CELL = 'cell-uuid'
POLICY = policy.Policy(report_interval_s=10.0)
NOON = datetime.datetime(2026, 1, 1, 12, 0)

SILENT_TCP = observations.Evidence(
    'tcp', states.WitnessPath.HOST, states.Sign.SILENT, 'timed out',
    age_s=0.5, silent_s=5.0)
LIVE_TCP = observations.Evidence(
    'tcp', states.WitnessPath.HOST, states.Sign.LIFE, 'answered', age_s=0.5)
LIVE_PING = observations.Evidence(
    'rpc_ping', states.WitnessPath.AGENT, states.Sign.LIFE, '', age_s=0.5)
BMC_ON = observations.Evidence(
    'power', states.WitnessPath.POWER, states.Sign.UNKNOWN, 'on', age_s=0.5)


def host(name='host1', state=states.HostState.UP, **values):
    row = {'host': name, 'cell_uuid': CELL, 'state': state, 'epoch': 1,
           'generation': 7}
    if state in states.PROVEN_OFF:
        row.update(proof=states.ProofKind.POWER_OFF, proof_count=100,
                   forced_down=True)
    row.update(values)
    return records.Host(**row)


def service(name='host1', **values):
    row = {'host': name, 'cell_uuid': CELL, 'report_count': 100,
           'forced_down': False, 'disabled': False}
    row.update(values)
    return observations.Service(**row)


def host_view(name='host1', state=states.HostState.UP, row=None,
              svc='default', **values):
    row = dict(row or {})
    if svc == 'default':
        svc = service(name, forced_down=state in states.PROVEN_OFF)
    real = row.pop('state', state)
    view = {'row': host(name, real, **row), 'service': svc,
            'silent_s': 0.0, 'count_moved': False, 'state_s': 60.0}
    if state is not states.HostState.UP:
        view.update(silent_s=60.0, evidence=(SILENT_TCP,), is_opened=True)
    if state in states.PROVEN_OFF:
        view.update(power_off_s=1.0)
    view.update(values)
    return snapshot.HostView(**view)


def instance(**values):
    row = {'uuid': 'i1', 'cell_uuid': CELL, 'project_id': 'p', 'name': 'db1',
           'host': 'host1', 'node': 'host1', 'vm_state': 'active',
           'task_state': None, 'power_state': 1, 'launched_at': NOON,
           'metadata': {'ha': 'true'}}
    row.update(values)
    return observations.Instance(**row)


def migration(id=5, status='accepted', source='host1', destination=None,
              created_at=NOON, **values):
    return observations.Migration(id, status, source, destination,
                                  created_at, **values)


def event(name, host='conductor', result=None, finished=None, details=None,
          id=0):
    return observations.ActionEvent(
        name, host, result is not None if finished is None else finished,
        result, details, id)


def trace(*migrations, events=(), request='req-1', stopped_by_nova=False,
          **values):
    found = instance(**values)
    return observations.Trace(
        found, tuple(migrations),
        {request: tuple(events)} if events else {},
        (request,) if events else (), stopped_by_nova)


def recovery(state=states.RecoveryState.READY, **values):
    row = {'id': 1, 'instance_uuid': 'i1', 'cell_uuid': CELL,
           'project_id': 'p', 'name': 'db1', 'source': 'host1', 'epoch': 1,
           'state': state, 'generation': 3, 'storage_domain': 'cloud'}
    row.update(values)
    return records.Recovery(**row)


def attempt(**values):
    row = {'id': 11, 'recovery_id': 1, 'instance_uuid': 'i1', 'number': 1,
           'kind': states.AttemptKind.OWN, 'request_id': 'req-1',
           'source': 'host1', 'migration_floor': 4}
    row.update(values)
    return records.Attempt(**row)


def recovery_view(state=states.RecoveryState.READY, attempts=(),
                  found='default', row=None, **values):
    view = {'row': recovery(state, **(row or {})),
            'attempts': tuple(attempts),
            'trace': trace() if found == 'default' else found,
            'is_tagged': True}
    view.update(values)
    return snapshot.RecoveryView(**view)


def snap(*hosts, recoveries=(), **values):
    fields = {'me': 'me', 'is_sane': True, 'why_not_sane': '',
              'hosts': {view.row.host: view for view in hosts},
              'recoveries': tuple(recoveries),
              'live_engines': frozenset({'me', 'peer'}),
              'fence_bindings': frozenset(view.row.host for view in hosts)}
    fields.update(values)
    return snapshot.Snapshot(**fields)


def control(kind, scope='host', target='host1', **values):
    row = {'id': 90, 'kind': kind, 'scope': scope, 'target': target}
    row.update(values)
    return records.Control(**row)


def policy_with(**values):
    return dataclasses.replace(POLICY, **values)
