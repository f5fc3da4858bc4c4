# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with engines and the machines that they run on."""

import typing

from nova_pets.simulator import deeds

if typing.TYPE_CHECKING:
    from nova_pets.simulator import faults



def _living(injector: 'faults.Injector', name: str) -> typing.Any:
    worker = injector.cloud.workers.get(name)
    if worker is None or not worker.is_alive:
        raise deeds.NothingToDo
    return worker


@deeds.kind('engine killed', 'worker', lasts_s=(0.5, 40.0), weight=3)
def _kill_engine(injector: 'faults.Injector', fault: 'faults.Fault',
                 number: int) -> deeds.Call:
    _living(injector, fault.target)
    injector.cloud.kill_worker(fault.target)
    return lambda: injector.cloud.restart_worker(fault.target)


@deeds.kind('engine killed at a point', 'worker', lasts_s=(5.0, 40.0),
       amount=(1, 12), is_later=True, weight=3)
def _kill_at_point(injector: 'faults.Injector', fault: 'faults.Fault',
                   number: int) -> deeds.Call:
    worker = _living(injector, fault.target)
    worker.die_at = worker.points + max(int(fault.amount), 1)
    worker.on_death = lambda: injector.used(number)

    def restart() -> None:
        worker.die_at = None
        injector.cloud.restart_worker(fault.target)
    return restart


@deeds.kind('engine stopped', 'worker', lasts_s=(5.0, 30.0))
def _terminate(injector: 'faults.Injector', fault: 'faults.Fault',
               number: int) -> deeds.Call:
    worker = _living(injector, fault.target)
    worker.terminate()

    def restart() -> None:
        worker.process.kill()
        injector.cloud.restart_worker(fault.target)
    return restart


@deeds.kind('engine paused', 'worker', lasts_s=(0.5, 60.0), weight=2)
def _pause(injector: 'faults.Injector', fault: 'faults.Fault',
           number: int) -> deeds.Call:
    worker = _living(injector, fault.target)
    if worker.process.is_paused:
        raise deeds.NothingToDo
    worker.process.pause()
    return worker.process.resume


@deeds.kind('call hangs', 'worker', amount=(300.0, 4000.0), is_later=True,
            share=0.2)
def _hang(injector: 'faults.Injector', fault: 'faults.Fault',
          number: int) -> None:
    """The answer to a call of a thread beside its cycle is lost, and nothing
    resets the connection: it comes late, or never as far as anybody waits."""
    worker = _living(injector, fault.target)
    injector.hangs[worker.name].append((fault.amount, number))


@deeds.kind('all engines killed', lasts_s=(1.0, 60.0), weight=0.5)
def _kill_all(injector: 'faults.Injector', fault: 'faults.Fault',
              number: int) -> deeds.Call:
    cloud = injector.cloud
    names = [name for name, worker in sorted(cloud.workers.items())
             if worker.is_alive]
    if not names:
        raise deeds.NothingToDo
    for name in names:
        cloud.kill_worker(name)

    def restart() -> None:
        for name in names:
            cloud.restart_worker(name)
    return restart


@deeds.kind('engine upgraded', 'worker', lasts_s=(1.0, 5.0), weight=0.5)
def _upgrade(injector: 'faults.Injector', fault: 'faults.Fault',
             number: int) -> deeds.Call:
    """Old and new versions side by side: it comes back as another one."""
    worker = _living(injector, fault.target)
    injector.cloud.kill_worker(fault.target)

    def restart() -> None:
        if not injector.cloud.workers[fault.target].is_alive:
            injector.cloud.start_worker(worker.machine.name, worker.number,
                                        version='2')
    return restart


def _machine(injector: 'faults.Injector', name: str) -> typing.Any:
    return injector.cloud.machines[name]


@deeds.kind('scheduler host slow', 'machine', lasts_s=(5.0, 40.0),
       amount=(20.0, 400.0))
def _slow(injector: 'faults.Injector', fault: 'faults.Fault', number: int
          ) -> deeds.Call:
    machine = _machine(injector, fault.target)
    machine.slowness = fault.amount

    def end() -> None:
        machine.slowness = 1.0
    return end


@deeds.kind('scheduler host cut off', 'machine', lasts_s=(1.0, 60.0))
def _cut_machine(injector: 'faults.Injector', fault: 'faults.Fault',
                 number: int) -> deeds.Call:
    machine = _machine(injector, fault.target)
    if machine.is_cut_off:
        raise deeds.NothingToDo
    machine.is_cut_off = True

    def end() -> None:
        machine.is_cut_off = False
    return end


@deeds.kind('scheduler host blind', 'machine', lasts_s=(1.0, 60.0))
def _blind(injector: 'faults.Injector', fault: 'faults.Fault', number: int
           ) -> deeds.Call:
    """It reaches database and broker, but no host and no BMC."""
    machine = _machine(injector, fault.target)
    if machine.sees_no_hosts:
        raise deeds.NothingToDo
    machine.sees_no_hosts = True

    def end() -> None:
        machine.sees_no_hosts = False
    return end


@deeds.kind('clock rate', 'machine', amount=(0.96, 1.04), weight=0.5)
def _rate(injector: 'faults.Injector', fault: 'faults.Fault', number: int
          ) -> None:
    machine = _machine(injector, fault.target)
    now = injector.cloud.kernel.now
    machine.offset_s += now * (machine.rate - fault.amount)
    machine.rate = fault.amount


@deeds.kind('wall clock step', 'machine', amount=(-7200.0, 7200.0), weight=0.5)
def _wall(injector: 'faults.Injector', fault: 'faults.Fault', number: int
          ) -> None:
    _machine(injector, fault.target).wall_step_s += fault.amount
