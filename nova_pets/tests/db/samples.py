# SPDX-License-Identifier: Apache-2.0
"""Records for the tests of the store, and the shortest way to some rows."""

import dataclasses
import uuid

from nova_pets.model import records
from nova_pets.model import states

CELL = '11111111-1111-4111-8111-111111111111'


def new_uuid():
    return str(uuid.uuid4())


def engine(**changes):
    return dataclasses.replace(records.Engine(
        id=new_uuid(), host='scheduler1', worker='4711', version='1.0.0',
        mode=states.Mode.ACT, gate_loaded=True), **changes)


def registered(store, **changes):
    one = engine(**changes)
    store.register_engine(one)
    return one.id


def pet(**changes):
    return dataclasses.replace(records.Pet(
        instance_uuid=new_uuid(), cell_uuid=CELL, project_id='p1',
        name='db1', host='host1', vm_state='active'), **changes)


def recovery(**changes):
    return dataclasses.replace(records.Recovery(
        id=None, instance_uuid=new_uuid(), cell_uuid=CELL, project_id='p1',
        name='db1', source='host1', epoch=1,
        state=states.RecoveryState.READY), **changes)


def event(code='source_proven', **changes):
    return records.Event(code=code, **changes)


def opened(store, **changes):
    """Return a stored open recovery."""
    one = recovery(**changes)
    store.open_recoveries([one], event())
    return store.recoveries(instance_uuid=one.instance_uuid,
                            only_open=True)[0]


def claimed(store, me, **changes):
    """Return a stored open recovery owned by ``me``."""
    one = opened(store, **changes)
    store.claim_recovery(one.id, one.generation, me)
    return store.recovery(one.id)


def attempt(of, **changes):
    return dataclasses.replace(records.Attempt(
        id=None, recovery_id=of.id, instance_uuid=of.instance_uuid,
        number=1, kind=states.AttemptKind.OWN,
        request_id=f'req-{new_uuid()}', source=of.source), **changes)


def begun(store, me, attempt_changes=None, **changes):
    """Return (recovery in requesting, its open attempt), owned by me."""
    one = claimed(store, me, **changes)
    return store.advance_recovery(
        dataclasses.replace(one, state=states.RecoveryState.REQUESTING),
        one.generation, me, event('attempt_begun'),
        attempt(one, **(attempt_changes or {})))


def host(store, name='host1', me=None):
    """Return a stored host; owned by ``me`` if given."""
    store.ensure_hosts([(name, CELL)])
    if me is not None:
        store.claim_host(name, store.host(name).generation, me)
    return store.host(name)
