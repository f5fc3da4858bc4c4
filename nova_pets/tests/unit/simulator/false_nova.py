# SPDX-License-Identifier: Apache-2.0
"""A false Nova on a small world, for tests of itself."""

from nova_pets.simulator import kernel as kernel_module
from nova_pets.simulator import nova as nova_module
from nova_pets.simulator import nova_scheduler
from nova_pets.simulator import tables
from nova_pets.simulator import world as world_module

CELL = 'cell1'


class Scene:
    """:param hosts: machines host1 ... of one cell."""

    def __init__(self, hosts=4, seed=1, gate=None, **settings):
        self.kernel = kernel_module.Kernel(seed)
        self.world = world_module.World(self.kernel, [
            (f'host{index}', CELL, 10) for index in range(1, hosts + 1)])
        self.cell = tables.Tables(lambda: self.kernel.now)
        self.nova = nova_module.Nova(
            self.kernel, self.world, {CELL: self.cell},
            tables.Tables(lambda: self.kernel.now),
            nova_module.Settings(**settings))
        self.database = self.nova.cells[CELL]
        self.start_scheduler(gate or (lambda request: None))

    def start_scheduler(self, gate=lambda request: None):
        index = len(self.nova.schedulers) + 1
        self.nova.schedulers.append(nova_scheduler.Scheduler(
            self.nova, self.kernel.process(f'scheduler{index}'), gate))

    def run(self, seconds):
        self.kernel.run(self.kernel.now + seconds)
        assert not self.kernel.failures, self.kernel.failures

    def lose(self, host):
        """The host's system dies, and Nova is told."""
        self.world.crash_system(host)
        self.nova.api_force_down(host, True)

    def row(self, uuid):
        return self.database.instances[uuid]

    def state(self, uuid):
        row = self.row(uuid)
        return row.vm_state, row.task_state, row.host

    def records(self, uuid):
        return [(row.status, row.source, row.destination)
                for row in self.database.evacuations(uuid)]

    def room(self, uuid):
        return sorted(self.nova.api.allocations.get(uuid, ()))

    def in_task(self, call):
        """Return what the call returns or raises within a task, which it
        has to end in."""
        outcome = []

        def body():
            try:
                outcome.append((call(), None))
            except Exception as error:
                # It is raised again below, in the test.
                outcome.append((None, error))
        self.kernel.process('test').spawn(body)
        self.run(60)
        value, error = outcome[0]
        if error is not None:
            raise error
        return value
