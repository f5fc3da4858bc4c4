# SPDX-License-Identifier: Apache-2.0
"""The false Nova as a stage for windows.

Virtual time passes only where the words of Stage say so. Periodic tasks of
nova-compute do not run but for the one right after its start, as in the short
life of a real cloud.
"""

import dataclasses

from nova_pets.simulator import door as door_module
from nova_pets.simulator import kernel as kernel_module
from nova_pets.simulator import nova as nova_module
from nova_pets.simulator import nova_errors as errors
from nova_pets.simulator import nova_orders as orders
from nova_pets.simulator import nova_rows as rows
from nova_pets.simulator import nova_scheduler
from nova_pets.simulator import nova_steps
from nova_pets.simulator import tables
from nova_pets.simulator import world as world_module
from nova_pets.tests.conformance import stage

CELL = 'cell1'
NEVER_S = 1e9
SETTLE_S = 300.0
"""Longer than any timeout of the false Nova."""

P = stage.Point

STEPS = {
    P.CONDUCTOR: 'conductor begins', P.SCHEDULE: 'asks scheduler',
    P.SCHEDULER: 'gate', P.ROOM: 'claims', P.SEND: 'casts to destination',
    P.CLAIM: 'claim', P.PORTS: 'binds ports', P.VOLUMES: 'moves volumes',
    P.SPAWN: 'spawn', P.SPAWNED: 'after spawn',
    P.POWER_OFF: 'stops guest', P.FINISH: 'finish'}
STAGES = {
    P.CALL: 'api', P.CAST: 'cast', P.SCHEDULE: 'conductor',
    P.SCHEDULER: 'schedule', P.ROOM: 'placement_claim',
    P.CLAIM: 'claim_breaks', P.IMAGE: 'glance', P.PORTS: 'neutron',
    P.VOLUMES: 'cinder', P.SPAWN: 'spawn', P.SPAWNED: 'after_spawn',
    P.POWER_OFF: 'stop', P.FINISH: 'finish'}
ORDERS = {
    stage.Message.TO_CONDUCTOR: orders.Evacuate,
    stage.Message.TO_SCHEDULER: orders.Select,
    stage.Message.TO_DESTINATION: orders.Rebuild}


@dataclasses.dataclass
class _Hold:
    is_open: bool = False
    """Later ones pass."""
    wakes: list[nova_steps.Wake] = dataclasses.field(default_factory=list)


class FalseStage:
    """A stage.Stage."""

    def __init__(self, seed: int = 1):
        self.kernel = kernel_module.Kernel(seed)
        self.world = world_module.World(self.kernel, [
            (host, CELL, 100) for host in stage.HOSTS])
        self.nova = nova_module.Nova(
            self.kernel, self.world,
            {CELL: tables.Tables(lambda: self.kernel.now)},
            tables.Tables(lambda: self.kernel.now),
            nova_module.Settings(
                audit_s=NEVER_S, sync_power_s=NEVER_S, reap_s=NEVER_S,
                fuzz_s=1.0, resume_guests=True, conductors=('conductor',)))
        self.database = self.nova.cells[CELL]
        self.door = door_module.Door(self.nova)
        self.nova.at_step = self._at_step
        self.nova.fails = self._fails
        self.world.broker.fate = self._fate
        self._holds: dict[tuple[str, str], _Hold] = {}
        self._failures: list[tuple[str, str]] = []
        self._fates: list[tuple[type, str, bool]] = []
        self._deferred: dict[str, list[world_module.Message]] = {}
        for host in stage.HOSTS[2:]:
            self.close_host(host)
        self.start_scheduler()
        self._run(20)

    def _run(self, seconds: float) -> None:
        self.kernel.run(self.kernel.now + seconds)
        assert not self.kernel.failures, self.kernel.failures

    # -- instances -----------------------------------------------------------

    def boot(self, name, is_stopped=False, is_bfv=False, group=None,
             host='host1'):
        self.nova.api_boot(
            name, host, vm_state='stopped' if is_stopped else 'active',
            is_bfv=is_bfv, group=group,
            group_policy='anti-affinity' if group else None)

    def evacuate(self, name, host=None):
        try:
            self.nova.api_evacuate(name, host, force=host is not None)
        except errors.NovaError:
            pass
        self._run(0.001)

    def order(self, name, verb):
        getattr(self.nova, f'api_{verb}')(name)

    def _accepted(self, name):
        return self.database.first_accepted(name).id

    def delete_record(self, name):
        assert self.door.delete_accepted(CELL, self._accepted(name))

    def close_record(self, name):
        assert self.door.close_migration(
            CELL, self._accepted(name), ['accepted'], 'error')

    def claim(self, name):
        self.door.update_instance(CELL, name, {'task_state': None},
                                  {'task_state': rows.REBUILDING})

    # -- hosts and services --------------------------------------------------

    def booted(self):
        pass  # nothing boots here: api_boot's instances have long been up

    def lose(self, host):
        self.world.crash_system(host)
        self.force_down(host)

    def force_down(self, host):
        self.nova.api_force_down(host, True)

    def silence(self, host):
        self.world.kill_compute(host)
        self.force_down(host)

    def back(self, host):
        self.world.hosts[host].autostart = True
        self.world.power_on(host)
        self._until(lambda: self.nova.agents[host].is_consuming)

    def open_host(self, host):
        self.nova.api_disable(host, False)

    def close_host(self, host):
        self.nova.api_disable(host, True)

    def restart_conductor(self):
        self.nova.start_conductor('conductor')

    def stop_conductor(self, is_stopped):
        for process in self.nova.conductors.values():
            (process.pause if is_stopped else process.resume)()

    def kill_scheduler(self):
        for scheduler in self.nova.schedulers:
            scheduler.process.kill()

    def start_scheduler(self):
        self.nova.schedulers.append(nova_scheduler.Scheduler(
            self.nova, self.kernel.process('scheduler')))

    def placement_away(self, is_away):
        self.world.is_placement_up = not is_away

    def cell_away(self, host, is_away):
        down = self.world.down_cells
        (down.add if is_away else down.discard)(CELL)

    def beats(self):
        return {row.host: row.report_count
                for row in self.database.services.values()
                if row.binary == rows.COMPUTE}

    def wait_beats(self):
        # As long as a real one has its time for.
        self._run(4 * self.nova.settings.report_interval_s)

    # -- faults --------------------------------------------------------------

    def hold(self, point, name):
        self._holds[STEPS[point], name] = _Hold()

    def wait_held(self, point, name):
        hold = self._holds[STEPS[point], name]
        self._until(lambda: hold.wakes)
        assert hold.wakes, f'{name} never came to {point}'

    def hold_no_more(self, point, name):
        self._holds[STEPS[point], name].is_open = True

    def release(self, point, name):
        hold = self._holds[STEPS[point], name]
        hold.is_open = True
        for wake in hold.wakes:
            wake()

    def fail(self, point, name, is_clean=False):
        is_claim = point is P.CLAIM and is_clean
        self._failures.append(
            ('before_claim' if is_claim else STAGES[point], name))

    def fail_writes(self, name, times):
        self._failures += times * [('db', name)]

    def lose_message(self, message, name):
        self._fates.append((ORDERS[message], name, False))

    def defer_message(self, message, name):
        self._fates.append((ORDERS[message], name, True))

    def wait_deferred(self, name):
        self._until(lambda: name in self._deferred)
        assert name in self._deferred, 'no message was kept back'

    def deliver(self, name):
        for message in self._deferred.pop(name):
            self.world.broker.queues[message.topic].append(message)
            self.nova.consume(message.topic)

    def _at_step(self, step, name, where):
        hold = self._holds.get((step, name))
        if hold is None or hold.is_open:
            return None
        return hold.wakes.append

    def _fails(self, what, name, where):
        if (what, name) not in self._failures:
            return None
        self._failures.remove((what, name))
        return 'error'

    def _fate(self, message):
        order = message.body
        for known in self._fates:
            kind, name, is_kept = known
            instance = (order.order.instance
                        if isinstance(order, orders.Rebuild)
                        else order.instance)
            if isinstance(order, kind) and instance.uuid == name:
                self._fates.remove(known)
                if is_kept:
                    self._deferred.setdefault(name, []).append(message)
                return ()
        return (0.01,)

    # -- the end -------------------------------------------------------------

    def _until(self, is_over):
        self.kernel.run(self.kernel.now + SETTLE_S, is_over)

    def wait_left(self, name, **expected):
        self._until(lambda: self._is(name, expected))
        assert self._is(name, expected), (expected, self.left(name))

    def _is(self, name, expected):
        left = self.left(name)
        return all(getattr(left, field) == value
                   for field, value in expected.items())

    def settle(self):
        self._run(SETTLE_S)

    def left(self, name):
        row = self.database.instances[name]
        records = self.database.evacuations(name)
        events = sorted(
            (event for event in self.database.events.values()
             if event.uuid == name),
            key=lambda event: (self.database.actions[
                name, event.request_id].id, event.id))
        return stage.Left(
            vm_state=row.vm_state, task_state=row.task_state, host=row.host,
            records=tuple((record.status, record.source, record.destination)
                          for record in records),
            room=tuple(sorted(self.nova.api.allocations[name])),
            running=tuple(self.world.running(name)),
            events=tuple((event.name, event.result) for event in events),
            power=row.power_state, context=row.migration_context is not None,
            relaunched=bool(records) and (
                row.launched_at > records[-1].created))
