# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the edges of nova_pets.scheduler: a store, a door, requests.

The store answers from plain attributes and counts its calls; nothing here
has rules of its own.
"""

import types

from nova import context
from nova import objects

from nova_pets.model import observations
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states

UUID = '11111111-1111-1111-1111-111111111111'
CELL = '22222222-2222-2222-2222-222222222222'
OURS = 'req-ours'
OTHER = 'req-other'

objects.register_all()


class DatabaseAway(Exception):
    pass


def recovery(state=states.RecoveryState.SCHEDULING, **changes):
    values = dict(
        id=7, instance_uuid=UUID, cell_uuid=CELL, project_id='p', name='db1',
        source='host1', epoch=1, state=state, attempts=1, generation=3)
    return records.Recovery(**(values | changes))


def attempt(request_id=OURS, **changes):
    values = dict(
        id=9, recovery_id=7, instance_uuid=UUID, number=1,
        kind=states.AttemptKind.OWN, request_id=request_id, source='host1')
    return records.Attempt(**(values | changes))


def view(is_pet=True, host=states.HostState.UP, recovery=None, attempt=None):
    return snapshot.GateView(is_pet=is_pet, host_states={'host1': host},
                         recovery=recovery, attempt=attempt)


def migration(status='accepted', destination=None, source='host1', id=1):
    return observations.Migration(
        id=id, status=status, source=source, destination=destination,
        created_at=None)


def instance(host='host1', **changes):
    values = dict(
        uuid=UUID, cell_uuid=CELL, project_id='p', name='db1', host=host,
        node=host, vm_state='active', task_state='rebuilding',
        power_state=1, launched_at=None)
    return observations.Instance(**(values | changes))


def trace(migrations=(migration(),), actions=(OTHER,), host='host1'):
    return observations.Trace(instance=instance(host),
                              migrations=tuple(migrations), actions=actions)


class FakeStore:
    """Answers from attributes; ``error`` is raised by every call."""

    def __init__(self):
        self.calls = []
        self.error = None
        self.views = [view(is_pet=False)]
        self.unsafe = {}
        self.tombstones = []
        self.open_attempts = []
        self.ended = []
        self.consumes = True
        self.takes_over = True
        self.refusals = []

    def _called(self, name):
        self.calls.append(name)
        if self.error is not None:
            raise self.error

    def gate_view(self, instance_uuid, hosts):
        self._called('gate_view')
        return self.views.pop(0) if len(self.views) > 1 else self.views[0]

    def consume_gate(self, attempt_id, request_id):
        self._called('consume_gate')
        return self.consumes

    def take_over(self, recovery, request_id):
        self._called('take_over')
        return self.takes_over

    def record_refusal(self, instance_uuid, request_id, text):
        self._called('record_refusal')
        self.refusals.append(text)

    def recoveries(self, instance_uuid=None):
        self._called('recoveries')
        return [recovery()]

    def attempts(self, recovery_id):
        self._called('attempts')
        return self.ended

    def pets(self, uuids=None):
        self._called('pets')
        return [types.SimpleNamespace(cell_uuid=CELL)]

    def unsafe_hosts(self):
        self._called('unsafe_hosts')
        return self.unsafe

    def tombstoned(self, instance_uuid):
        self._called('tombstoned')
        return self.tombstones

    def in_flight(self):
        self._called('in_flight')
        return list(self.open_attempts)


class FakeDoor:
    def __init__(self):
        self.error = None
        self.trace = trace()
        self.instance = instance()

    def traces(self, cell_uuid, uuids):
        if self.error is not None:
            raise self.error
        return {uuid: self.trace for uuid in uuids}

    def instances(self, cell_uuid, uuids):
        if self.error is not None:
            raise self.error
        return {uuid: self.instance for uuid in uuids}


def spec(ignore_hosts=('host1',), request_id=OTHER, cell=CELL, **fields):
    """A RequestSpec as conductor sends it."""
    result = objects.RequestSpec(
        context.RequestContext('user', 'project', request_id=request_id),
        instance_uuid=UUID, ignore_hosts=list(ignore_hosts) or None,
        scheduler_hints={}, **fields)
    if cell is not None:
        result.requested_destination = objects.Destination(
            cell=objects.CellMapping(uuid=cell))
    return result


def host_state(host, **metadata):
    aggregates = [objects.Aggregate(metadata={key.replace('__', ':'): value})
                  for key, value in metadata.items()]
    return types.SimpleNamespace(host=host, nodename=host,
                                 aggregates=aggregates)
