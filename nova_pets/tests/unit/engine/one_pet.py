# SPDX-License-Identifier: Apache-2.0
"""One failed host with one pet, and an engine's hands by themselves.

The store is the simulator's, in memory; the door and the devices only write
down what they are told, and let a test act at any call: a clock that jumps,
an answer, an error.
"""

import dataclasses
import itertools

from nova_pets.engine import attempts
from nova_pets.engine import executor
from nova_pets.engine import memory
from nova_pets.engine import standing
from nova_pets.model import observations
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.simulator import memory_database
from nova_pets.simulator import memory_store
from nova_pets.simulator import tables
from nova_pets.tests import inline_workers
from nova_pets.tests.unit.planning import samples

H = states.HostState
R = states.RecoveryState
CELL = samples.CELL
COUNT = 100
"""report_count of the host when it was proven off."""


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


class Told:
    """Stands for the door or the devices: each call is written down, then
    what the test has put under its name happens."""

    def __init__(self, **answers):
        self.calls = []
        self.answers = answers

    def __getattr__(self, name):
        def call(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            answer = self.answers.get(name)
            return answer(*args) if callable(answer) else answer
        return call

    def names(self):
        return [name for name, _, _ in self.calls]

    def arguments(self, wanted):
        """Return (positional, named) of the only such call."""
        [found] = [(args, kwargs) for name, args, kwargs in self.calls
                   if name == wanted]
        return found


@dataclasses.dataclass
class Reading:
    is_off: bool = True
    is_working: bool = True
    detail: str = 'as told'
    is_partly_off: bool = False


class Bench:
    """:param row: columns of the recovery. :param host: of the host."""

    def __init__(self, state=R.READY, row=None, host=None,
                 host_state=H.FENCED, policy=None):
        self.clock = Clock()
        self.policy = samples.policy_with(**(policy or {}))
        self.database = memory_database.MemoryDatabase(
            tables.Tables(self.clock.monotonic))
        self.store = memory_store.MemoryStore(self.database, 'test')
        ids = itertools.count(1)
        self.standing = standing.Standing(
            self.store, self.clock, records.Engine(
                id='', host='s', worker='1', version='1',
                mode=states.Mode.ACT, gate_loaded=True), self.policy,
            lambda: f'id-{next(ids)}')
        self.standing.register()
        assert self.standing.seek_slot(())
        self.door = Told(allocated_hosts=lambda uuid: {'host1'},
                         traces=lambda cell, uuids: {},
                         services=lambda cell: [])
        self.fencer = Told(read=Reading())
        self.memory = memory.Memory()
        self.memory.saw_services([self.service()], CELL, self.clock.now,
                                 60.0)
        self.memory.saw_power('host1', True, self.clock.now)
        workers = inline_workers.InlineWorkers()
        self.driver = attempts.AttemptDriver(
            self.store, self.door, self.fencer, self.clock, self.memory,
            workers, self.standing, lambda: 'new')
        self.executor = executor.Executor(
            self.store, self.door, self.fencer, self.clock, self.memory,
            workers, self.standing, Told(pets_on=[]), self.driver)
        self._put_host(host_state, host or {})
        self._put_recovery(state, row or {})

    @staticmethod
    def service(count=COUNT, **values):
        return samples.service(report_count=count, **values)

    def _put_host(self, state, values):
        self.store.ensure_hosts([('host1', CELL)])
        row = samples.host(state=state, **{
            'owner': self.standing.id, 'generation': 0, 'proof_count': (
                COUNT if state in states.PROVEN_OFF else None), **values})
        with self.database.write() as database:
            database.put(memory_database.HOSTS, 'host1', row)

    def _put_recovery(self, state, values):
        row = samples.recovery(state, **{
            'owner': self.standing.id, 'generation': 0, **values})
        with self.database.write() as database:
            self.id = database.insert(memory_database.RECOVERIES, row)

    def add_attempt(self, **values):
        attempt = samples.attempt(recovery_id=self.id, **values)
        with self.database.write() as database:
            database.insert(memory_database.ATTEMPTS, attempt)

    # -- what is there -------------------------------------------------------

    @property
    def host(self):
        return self.store.host('host1')

    @property
    def recovery(self):
        return self.store.recovery(self.id)

    @property
    def attempt(self):
        return self.store.attempts(self.id)[-1]

    def codes(self):
        return [event.code for event in self.store.history()]

    def view(self, found=None, **values):
        return snapshot.RecoveryView(
            row=self.recovery, attempts=tuple(self.store.attempts(self.id)),
            trace=found or samples.trace(), is_tagged=True, **values)

    def snap(self, *others, found=None, host=None, **values):
        return samples.snap(
            samples.host_view(row=dataclasses.asdict(self.host),
                              **(host or {})),
            *others, recoveries=[self.view(found, **values)],
            me=self.standing.id)

    # -- what happens --------------------------------------------------------

    def lose_claims(self, *args):
        """As a process that slept for long."""
        self.clock.now += 10 * self.policy.claim_ttl_s

    def be_deposed(self):
        """Another engine has taken over; this one begins anew."""
        self.store.depose_engine(self.standing.id,
                                 self.standing.engine.renewals)
        self.standing.register()

    def do(self, action, *others, **values):
        self.executor.execute(action, self.snap(*others, **values),
                              self.policy)

    def finds(self, trace):
        """What nova's records say from now on."""
        self.door.answers['traces'] = lambda cell, uuids: {
            uuid: trace for uuid in uuids}


GONE = observations.Trace(None)
