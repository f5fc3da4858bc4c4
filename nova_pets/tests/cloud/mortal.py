# SPDX-License-Identifier: Apache-2.0
"""Engines that die at a point of their work, on an embedded cloud.

The points are those of the simulator: after each commit of the side tables,
before and after each call that changes something outside (the simulator's
HANDS and what it does not play, and the devices' power). The engine is the
product's, as wiring builds it; what it asks of others goes through a Port.
Nothing here decides how a recovery goes on.

After a death no thread of that engine passes a Port, a transaction, a message
or a request to placement again: it stands still where it is, without
unwinding, until the cloud is closed. What it had handed to a database is
finished there.
"""

import abc
import collections
import collections.abc
import dataclasses
import threading
from unittest import mock

import fixtures
from nova.db.api import api as nova_api_db
import sqlalchemy as sa

from nova_pets import wiring
from nova_pets.compute import audit as audit_door
from nova_pets.compute import nova as nova_door
from nova_pets.fencing import fake
from nova_pets.scheduler import worker as keeper
from nova_pets.simulator import engines as simulated
from nova_pets.tests.cloud import pets
from nova_pets.tests.cloud import processes

AUDIT_HANDS = frozenset({'remove_leak', 'withdraw'})
DOOR_HANDS = (simulated.HANDS | {'allocate'}) - AUDIT_HANDS
DEVICE_HANDS = frozenset({'power_off', 'power_on'})

OTHER = 'other'
"""What points call hosts that have no name."""

_WRITES = ('INSERT', 'UPDATE', 'DELETE')
_local = threading.local()


class MortalCloud(pets.PetsCloud):
    """Its scheduler has the gate and no engine; engines are Lives."""

    def _build(self):
        self.ledger = Ledger()
        super()._build()
        self._fixtures.useFixture(self.ledger)

    def _let_dead_schedulers_rest(self):
        self._fixtures.useFixture(fixtures.MockPatchObject(
            keeper.EngineKeeper, 'ensure', lambda self: None))

    def begin_life(self, name):
        """Start an engine in a process of its own."""
        life = Life(name)
        self._processes.append(life.process)
        return life

    def close(self):
        if hasattr(self, 'ledger'):
            self.ledger.is_closed = True
        super().close()


class Ledger(fixtures.Fixture):
    """What the engines did, counted where it arrives and not at a Port."""

    def __init__(self):
        super().__init__()
        self._lock = threading.Lock()
        self.commits = collections.Counter()
        """{process: transactions committed that wrote our tables}"""
        self.calls = collections.Counter()
        """{process: calls that change something outside}"""
        self.by_the_dead = []
        """What was begun outside by an engine after its death."""
        self.is_closed = False

    def _setUp(self):
        engine = nova_api_db.get_engine()
        sa.event.listen(engine, 'after_cursor_execute', self._executed)
        sa.event.listen(engine, 'commit', self._committed)
        sa.event.listen(engine, 'rollback', self._rolled_back)
        for owner, methods in (
                (nova_door.NovaDoor, DOOR_HANDS),
                (audit_door.NovaAuditDoor, AUDIT_HANDS),
                (fake.FakeFencing, DEVICE_HANDS)):
            for method in methods:
                self._count(owner, method)

    def _executed(self, connection, cursor, statement, *rest):
        if statement.lstrip().startswith(_WRITES) and 'pets_' in statement:
            connection.info['wrote_pets'] = True

    def _committed(self, connection):
        process = processes.current()
        if connection.info.pop('wrote_pets', False) and process is not None:
            with self._lock:
                self.commits[process] += 1

    def _rolled_back(self, connection):
        connection.info.pop('wrote_pets', None)

    def _count(self, owner, method):
        call = getattr(owner, method)

        def counted(*args, **kwargs):
            process = processes.current()
            with self._lock:
                self.calls[process] += 1
                if process is not None and process.is_dead and (
                        not self.is_closed):
                    self.by_the_dead.append((process.name, method))
            return call(*args, **kwargs)
        self.useFixture(fixtures.MockPatchObject(owner, method, counted))


@dataclasses.dataclass
class Names:
    """What the things of one failure are called, in every run alike."""

    known: dict[str, str]
    """{host or instance: name}"""
    look_up: collections.abc.Callable
    """recovery id -> instance"""

    def subject(self, args):
        for arg in args:
            for value in (arg, getattr(arg, 'instance_uuid', None),
                          getattr(arg, 'host', None)):
                if isinstance(value, str) and value in self.known:
                    return self.known[value]
        return ''


class Port:
    """Stands for the store, the door or a device in front of one engine."""

    def __init__(self, life, target, hands, about=()):
        """:param about: whose it is, beside what its calls are given."""
        self._life = life
        self._target = target
        self._hands = hands
        self._about = about

    def __getattr__(self, method):
        found = getattr(self._target, method)
        if not callable(found):
            return found
        life, is_deed = self._life, method in self._hands

        def call(*args, **kwargs):
            what = (method, (*args, *kwargs.values(), *self._about))
            life.gate()
            if is_deed:
                life.point('before', what)
            _local.call = what
            try:
                answer = found(*args, **kwargs)
            except Exception:
                if is_deed:
                    life.point('after', what)
                life.gate()
                raise
            if is_deed:
                life.point('after', what)
            life.gate()
            return answer

        self.__dict__[method] = call
        return call


class _Runner:
    """db.session.Runner with a point behind each commit."""

    def __init__(self, life, runner):
        self._life = life
        self._runner = runner

    def __getattr__(self, name):
        return getattr(self._runner, name)

    def write(self, *args, **kwargs):
        answer = self._runner.write(*args, **kwargs)
        self._life.point('commit', _local.call)
        return answer


class _Devices:
    """fencing.registry.Registry with Ports for devices."""

    def __init__(self, life, registry):
        self._life = life
        self._registry = registry

    def __getattr__(self, name):
        return getattr(self._registry, name)

    def levels(self, host):
        return tuple(
            tuple(Port(self._life, driver, DEVICE_HANDS, (host,))
                  for driver in level)
            for level in self._registry.levels(host))


class Mortal(abc.ABC):
    """One incarnation of an engine, behind Ports."""

    def __init__(self, name):
        self.name = name
        self.passed = []
        """The points since arm(), in order."""
        self.points = 0
        """All of them, since birth."""
        self.is_dead = False
        self._lock = threading.Lock()
        self._seen = collections.Counter()
        self._die_at = None
        self._names = Names({}, lambda number: None)

    def build(self):
        """Return the engine as wiring builds it, but for the Ports."""
        build_store, build_fencing = wiring.build_store, wiring.build_fencing

        def mortal_store(actor=None):
            store = build_store(actor)
            store._run = _Runner(self, store._run)
            return Port(self, store, frozenset())

        door = Port(self, wiring.build_door(), DOOR_HANDS)
        door.audits = Port(self, door.audits, AUDIT_HANDS)
        with mock.patch.object(wiring, 'build_store', mortal_store), \
                mock.patch.object(
                    wiring, 'build_fencing',
                    lambda conf: _Devices(self, build_fencing(conf))):
            return wiring.build_engine(worker=self.name, nova=door)

    def arm(self, names, die_at=None):
        """Begin to list the points; die at that one, None: at none."""
        with self._lock:
            self.passed = []
            self._seen.clear()
            self._names = names
            self._die_at = die_at

    @abc.abstractmethod
    def die(self):
        """Called once, by the thread that came to the point."""

    @abc.abstractmethod
    def gate(self):
        """Do not return to the threads of the dead."""

    def point(self, when, what):
        self.gate()
        label = self._label(when, what)
        with self._lock:
            if not self.is_dead:
                self._seen[label] += 1
                if self._seen[label] > 1:
                    label = '%s #%d' % (label, self._seen[label])
                self.points += 1
                self.passed.append(label)
                if label == self._die_at:
                    self.is_dead = True
                    self.die()
        self.gate()

    def _label(self, when, what):
        method, args = what
        if method == 'claim_recovery':
            with processes.running_as(None):
                args = (self._names.look_up(args[0]),)
        words = [when, method, self._names.subject(args) or (
            OTHER if method.endswith('_host') else '')]
        if method.startswith('advance_'):
            words += [str(args[0].state), args[0].reason]
        if method == 'update_instance':
            words += ['task', str(args[-1].get('task_state'))]
        return ' '.join(word for word in words if word)


class Life(Mortal):
    """One whose process is a thought: born, armed, dead or ended.

    A dead one's threads stand still at the next thing that they would do,
    and nothing of theirs is unwound.
    """

    def __init__(self, name):
        super().__init__(name)
        self.died = threading.Event()
        self._stop = threading.Event()
        self.process = processes.Process(
            name, 'engine', settings={'host': name}, cell='cell1')
        with processes.running_as(self.process):
            self.engine = self.build()
            self._thread = threading.Thread(
                target=self.engine.run, args=(self._stop,), daemon=True)
            self._thread.start()

    def die(self):
        self.process.kill()
        self.died.set()

    def gate(self):
        self.process.checkpoint()

    def end(self):
        """Let it end by itself, as by SIGTERM, and wait for its workers."""
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        processes.wait_until(lambda: not self.engine._workers.busy(), 60,
                             'the workers of %s' % self.name)
