# SPDX-License-Identifier: Apache-2.0
"""A small false world for the real engine: virtual clock, no threads.

Hosts with heartbeats, power and guests; a Nova that takes an evacuation
through its steps one per tick; a real SqlStore. Whatever the engine calls
outside is numbered, so that a test can let it die before or after any call.
"""

import dataclasses
import datetime
import itertools

from nova_pets import exception
from nova_pets.compute import base as compute_base
from nova_pets.db import schema
from nova_pets.db import session
from nova_pets.db import store as sql_store
from nova_pets.detectors import base as detectors_base
from nova_pets.engine import engine
from nova_pets.model import observations
from nova_pets.model import policy
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.tests import inline_workers

CELL = 'cell-1'
NOON = datetime.datetime(2026, 1, 1, 12, 0)


class Died(BaseException):
    """The engine's process is gone: no product code handles this."""


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class InlineWorkers(inline_workers.InlineWorkers):
    """Runs each call at once; what a thread would log is raised here, but
    for what a lost row or an unknown answer means."""

    def submit(self, key, call, lane=None):
        try:
            call()
        except (exception.RowConflict, exception.ClaimsLost,
                exception.NovaUnavailable):
            pass
        return True


@dataclasses.dataclass
class Machine:
    name: str
    is_running: bool = True
    agent_runs: bool = True
    power: str = 'on'
    report_count: int = 0
    forced_down: bool = False
    guests: set = dataclasses.field(default_factory=set)
    starts: list = dataclasses.field(default_factory=list)

    def is_alive(self):
        return self.is_running and self.power == 'on'


@dataclasses.dataclass
class Row:
    uuid: str
    host: str
    vm_state: str = 'active'
    task_state: str | None = None
    migrations: list = dataclasses.field(default_factory=list)
    actions: dict = dataclasses.field(default_factory=dict)
    allocations: set = dataclasses.field(default_factory=set)


class World:
    def __init__(self, directory, hosts=3, report_interval_s=2.0, url=None):
        """:param url: of an empty database; None: SQLite in the directory.
        """
        self.clock = Clock()
        self.report_interval_s = report_interval_s
        self.machines = {f'host{index}': Machine(f'host{index}')
                         for index in range(1, hosts + 1)}
        self.rows = {}
        self.spawns = itertools.count()
        self.url = url or f'sqlite:///{directory}/pets.db'
        schema.sync(session.standalone(
            self.url, sqlite_synchronous=False).writer.get_engine())
        self.calls = []
        """Every outside call, in order."""
        self.on_call = lambda number, name, moment: None
        """Called before and after each outside call; may raise Died."""
        self.migration_ids = itertools.count(1)
        self._beat_at = {name: 0.0 for name in self.machines}
        self.conductor_count = 0
        self.schedule = True
        self.pass_gate = None
        self.ladder = None
        self.restart = lambda machine: Told(False, 'refused')
        self.drain = lambda host, tell: observations.Drained(
            True, 0, 'empty')

    def boot(self, uuid, host='host1', vm_state='active'):
        self.rows[uuid] = Row(uuid, host, vm_state, allocations={host})
        if vm_state == 'active':
            self.machines[host].guests.add(uuid)

    def crash(self, host):
        self.machines[host].is_running = False
        self.machines[host].guests.clear()

    def running(self, uuid):
        return sorted(name for name, machine in self.machines.items()
                      if machine.is_alive() and uuid in machine.guests)

    def tick(self, seconds):
        """Let time pass: heartbeats, and one step of each evacuation."""
        self.clock.now += seconds
        self.conductor_count += 1
        for name, machine in self.machines.items():
            if machine.power == 'off':
                machine.guests.clear()
            beat = self._beat_at[name] + self.report_interval_s
            if (machine.is_alive() and machine.agent_runs and
                    self.clock.now >= beat):
                machine.report_count += 1
                self._beat_at[name] = self.clock.now
        for row in self.rows.values():
            for record in row.migrations:
                self._advance(row, record)

    def _advance(self, row, record):
        events = row.actions.get(record['request_id'], [])
        if not self.schedule or record['status'] in (
                'done', 'error', 'failed'):
            return
        if not events:
            if self.pass_gate and not self.pass_gate(
                    row.uuid, record['request_id'], record['source']):
                events.append(('rebuild_server', 'cond', 'Error'))
                return
            alive = sorted(name for name, machine in self.machines.items()
                           if machine.is_alive() and name != row.host)
            record['target'] = alive[next(self.spawns) % len(alive)]
            events.append(('rebuild_server', 'cond', 'Success'))
            row.allocations.add(record['target'])
        elif 'target' not in record:
            return
        elif record['status'] == 'accepted':
            record.update(status='pre-migrating', dest=record['target'])
            events.append(('compute_rebuild_instance', record['dest'],
                           None))
        elif row.task_state == 'rebuilding':
            row.task_state = 'rebuild_spawning'
        elif row.task_state == 'rebuild_spawning':
            machine = self.machines[record['dest']]
            machine.guests.add(row.uuid)
            machine.starts.append(row.uuid)
            row.host, row.task_state = record['dest'], None
            row.vm_state = 'active'
            record['status'] = 'done'
            events[-1] = ('compute_rebuild_instance', record['dest'],
                          'Success')

    # -- the engine ----------------------------------------------------------

    def store(self, actor='engine a'):
        facade = session.standalone(self.url, sqlite_synchronous=False)
        return sql_store.SqlStore(facade, actor)

    def engine(self, name='a', mode=states.Mode.ACT, new_id=None, audits=None,
               read_interval_s=300.0, detectors=None, fencer=None,
               **numbers):
        """
        :param detectors: (collector, memory) -> detectors; None: a probe.
        """
        values = {'report_interval_s': self.report_interval_s,
                  'one_storage_domain': True, 'verify_watch_s': 1.0,
                  'witness_silence_s': 1.0, 'engines': 2,
                  'startup_grace_s': 0.0}
        values.update(numbers)
        chance = {'new_id': new_id} if new_id else {}
        door, store = Door(self), self.store(f'engine {name}')
        built = engine.Engine(
            store=store, door=door,
            detectors=detectors or (lambda eyes, seen: (Tcp(self),)),
            fencer=fencer or Fencer(self),
            clock=self.clock, workers=InlineWorkers(),
            policy=policy.Policy(**values),
            template=records.Engine(
                id='', host=f'scheduler-{name}', worker='1', version='1',
                mode=mode, gate_loaded=True),
            tenant_settings=frozenset({'ha', 'priority'}),
            mode_now=lambda: (mode, ''), audits=audits,
            read_interval_s=read_interval_s, **chance)
        return built

    def drive(self, engines, check, limit_s=300.0):
        """Turn engines and world until ``check()``; return the seconds."""
        began = self.clock.now
        while not check():
            if self.clock.now - began > limit_s:
                raise AssertionError('\n'.join(
                    f'{event.host} {event.instance_uuid}: '
                    f'{event.from_state} -> {event.to_state} {event.code} '
                    f'{event.text}' for event in self.store().history()))
            pauses = [one.cycle() for one in engines]
            self.tick(max(min(pauses, default=0.25), 0.05))
        return self.clock.now - began

    def call(self, name):
        """Number an outside call, and let the test end the engine."""
        return _Call(self, name)


class _Call:
    def __init__(self, world, name):
        self._world = world
        self._name = name

    def __enter__(self):
        self._number = len(self._world.calls)
        self._world.calls.append(self._name)
        self._world.on_call(self._number, self._name, 'before')

    def __exit__(self, kind, *rest):
        if kind is None:
            self._world.on_call(self._number, self._name, 'after')


class Tcp(detectors_base.Detector):
    name = 'tcp'
    path = states.WitnessPath.HOST

    def __init__(self, world):
        self._world = world

    def look(self, target):
        alive = self._world.machines[target.host].is_alive()
        return detectors_base.Look(
            states.Sign.LIFE if alive else states.Sign.SILENT, '')


@dataclasses.dataclass
class Reading:
    is_off: bool
    is_working: bool = True
    detail: str = ''
    is_partly_off: bool = False


@dataclasses.dataclass
class Told:
    is_done: bool
    detail: str = ''


@dataclasses.dataclass
class Result:
    is_proven: bool
    is_stopped: bool = False
    detail: str = ''
    evidence: dict = dataclasses.field(default_factory=dict)


class Fencer:
    def __init__(self, world):
        self._world = world

    def bound(self, hosts):
        return frozenset(hosts)

    def can_power_on(self, hosts):
        return frozenset(hosts)

    def power_on(self, host, may_act):
        with self._world.call('power_on'):
            reason = may_act()
            if reason:
                return Told(False, reason)
            machine = self._world.machines[host]
            machine.power, machine.is_running = 'on', True
            return Told(True, 'told')

    def ladders(self, hosts):
        return {host: self._world.ladder for host in hosts
                if self._world.ladder}

    def restart_service(self, host, may_act):
        with self._world.call('restart_service'):
            reason = may_act()
            if reason:
                return Told(False, reason)
            return self._world.restart(self._world.machines[host])

    def digest(self):
        return 'digest'

    def problem(self):
        return None

    def read(self, host):
        return Reading(self._world.machines[host].power == 'off')

    def fence(self, host, may_act):
        with self._world.call('fence'):
            reason = may_act()
            if reason:
                return Result(False, is_stopped=True, detail=reason)
            self._world.machines[host].power = 'off'
            return Result(True)


class Door(compute_base.ComputeDoor):
    def __init__(self, world):
        self._world = world

    def _view(self, row):
        return observations.Instance(
            uuid=row.uuid, cell_uuid=CELL, project_id='p', name=row.uuid,
            host=row.host, node=row.host, vm_state=row.vm_state,
            task_state=row.task_state, power_state=1, launched_at=NOON,
            metadata={'ha': 'true'})

    def cells(self):
        return [observations.Cell(CELL, 'cell1')]

    def services(self, cell_uuid):
        return [observations.Service(
            name, CELL, machine.report_count, machine.forced_down, False)
            for name, machine in self._world.machines.items()]

    def conductors(self):
        return {'cond': self._world.conductor_count}

    def conductor_answers(self, timeout_s):
        return True

    def host_addresses(self, cell_uuid):
        return {name: '127.0.0.1' for name in self._world.machines}

    def changed_instances(self, cell_uuid, mark):
        return ([] if mark else sorted(self._world.rows)), 1

    def instances(self, cell_uuid, uuids):
        return {uuid: self._view(self._world.rows[uuid]) for uuid in uuids
                if uuid in self._world.rows}

    def instances_on(self, cell_uuid, host):
        return [self._view(row) for row in self._world.rows.values()
                if row.host == host]

    def traces(self, cell_uuid, uuids):
        found = {}
        for uuid in uuids:
            row = self._world.rows.get(uuid)
            if row is None:
                found[uuid] = observations.Trace(None)
                continue
            found[uuid] = observations.Trace(
                self._view(row), tuple(observations.Migration(
                    record['id'], record['status'], record['source'],
                    record.get('dest'), NOON)
                    for record in row.migrations),
                {request: tuple(observations.ActionEvent(
                    name, host, result is not None, result)
                    for name, host, result in events)
                 for request, events in row.actions.items()},
                tuple(row.actions))
        return found

    def uncleaned_sources(self, cell_uuid, host):
        return 0

    def allocated_hosts(self, uuid):
        return set(self._world.rows[uuid].allocations)

    def guest(self, cell_uuid, uuid, host, timeout_s):
        if host in self._world.running(uuid):
            return states.GuestAnswer.RUNNING
        return states.GuestAnswer.NOT_RUNNING

    def ping(self, host, timeout_s):
        return self._world.machines[host].is_alive()

    def set_forced_down(self, cell_uuid, host, value):
        with self._world.call('forced_down'):
            self._world.machines[host].forced_down = value

    def update_instance(self, cell_uuid, uuid, expected, values):
        with self._world.call('update_instance'):
            row = self._world.rows[uuid]
            for column, value in expected.items():
                allowed = value if isinstance(value, (list, tuple)) else [
                    value]
                if getattr(row, column) not in allowed:
                    raise exception.InstanceChanged(
                        uuid=uuid, expected=value,
                        found=getattr(row, column))
            for column, value in values.items():
                setattr(row, column, value)

    def evacuate(self, cell_uuid, uuid, request_id, on_shared_storage,
                 target_stopped):
        with self._world.call('evacuate'):
            row = self._world.rows[uuid]
            if not self._world.machines[row.host].forced_down:
                raise exception.EvacuateRefused(uuid=uuid, found='up')
            if row.task_state != 'rebuilding':
                raise exception.InstanceChanged(
                    uuid=uuid, expected='rebuilding', found=row.task_state)
            row.migrations.append({
                'id': next(self._world.migration_ids), 'source': row.host,
                'status': 'accepted', 'request_id': request_id})
            row.actions[request_id] = []

    def delete_accepted(self, cell_uuid, migration_id):
        with self._world.call('delete_accepted'):
            for row in self._world.rows.values():
                for record in row.migrations:
                    if (record['id'] == migration_id and
                            record['status'] == 'accepted'):
                        row.migrations.remove(record)
                        return True
            return False

    def close_migration(self, cell_uuid, migration_id, expected, status):
        raise AssertionError('no destination dies in this world')

    def adopt(self, *args, **kwargs):
        raise AssertionError('no destination dies in this world')

    def tombstone(self, cell_uuid, uuid, host):
        raise AssertionError('no destination dies in this world')

    def remove_allocations(self, cell_uuid, uuid, host):
        with self._world.call('remove_allocations'):
            self._world.rows[uuid].allocations.discard(host)

    def allocate(self, cell_uuid, uuid, host):
        with self._world.call('allocate'):
            self._world.rows[uuid].allocations.add(host)

    def stop(self, cell_uuid, uuid):
        with self._world.call('stop'):
            self._world.rows[uuid].vm_state = 'stopped'

    def start(self, cell_uuid, uuid):
        raise AssertionError('nothing is started in this world')

    def drain(self, cell_uuid, host, timeout_s, tell):
        with self._world.call('drain'):
            return self._world.drain(host, tell)
