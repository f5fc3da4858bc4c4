# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with compute hosts and their BMCs."""

import typing

from nova_pets.simulator import deeds
from nova_pets.simulator import world as world_module

if typing.TYPE_CHECKING:
    from nova_pets.simulator import faults

B = world_module.Power


@deeds.kind('nova-compute killed', 'host', lasts_s=(1.0, 40.0), weight=2)
def _kill_compute(injector: 'faults.Injector', fault: 'faults.Fault',
                  number: int) -> deeds.Call:
    cloud = injector.cloud
    if not cloud.world.hosts[fault.target].compute_runs:
        raise deeds.NothingToDo
    cloud.world.kill_compute(fault.target)

    def restart() -> None:
        host = cloud.world.hosts[fault.target]
        if host.system_runs and not host.compute_runs:
            cloud.nova.start_compute(fault.target)
    return restart


@deeds.kind('nova-compute paused', 'host', lasts_s=(1.0, 60.0))
def _pause_compute(injector: 'faults.Injector', fault: 'faults.Fault',
                   number: int) -> deeds.Call:
    host = injector.cloud.world.hosts[fault.target]
    if not host.compute_runs or host.compute.is_paused:
        raise deeds.NothingToDo
    process = host.compute
    process.pause()
    return process.resume


@deeds.kind('host crashes', 'host', weight=3)
def _crash(injector: 'faults.Injector', fault: 'faults.Fault', number: int
           ) -> None:
    host = injector.cloud.world.hosts[fault.target]
    if not host.system_runs:
        raise deeds.NothingToDo
    injector.cloud.world.crash_system(fault.target)


@deeds.kind('host loses power', 'host', weight=2)
def _power(injector: 'faults.Injector', fault: 'faults.Fault', number: int
           ) -> None:
    if not injector.cloud.world.hosts[fault.target].is_powered:
        raise deeds.NothingToDo
    injector.cloud.world.power_off(fault.target)


@deeds.kind('host cut off', 'host', lasts_s=(2.0, 90.0), weight=2)
def _cut_host(injector: 'faults.Injector', fault: 'faults.Fault',
              number: int) -> deeds.Call:
    """Alive, with its guests, and nobody reaches it; its BMC answers."""
    host = injector.cloud.world.hosts[fault.target]
    if host.is_cut_off or not host.system_runs or _may_be_misread(
            injector, fault.target):
        raise deeds.NothingToDo
    host.is_cut_off = True

    def end() -> None:
        host.is_cut_off = False
    return end


@deeds.kind('cell network away', 'cell', lasts_s=(5.0, 90.0), share=0.15)
def _cut_cell(injector: 'faults.Injector', fault: 'faults.Fault',
              number: int) -> deeds.Call:
    """A switch fails: its hosts live, with their guests, and nobody reaches
    any of them. It is what a storm has to stop."""
    hosts = [host for name, host in
             sorted(injector.cloud.world.hosts.items())
             if host.cell == fault.target and host.system_runs and
             not host.is_cut_off and not _may_be_misread(injector, name)]
    if not hosts:
        raise deeds.NothingToDo
    for host in hosts:
        host.is_cut_off = True

    def end() -> None:
        for host in hosts:
            host.is_cut_off = False
    return end


@deeds.kind('host freezes', 'host', lasts_s=(2.0, 90.0), weight=2)
def _freeze(injector: 'faults.Injector', fault: 'faults.Fault', number: int
            ) -> deeds.Call:
    host = injector.cloud.world.hosts[fault.target]
    if not host.system_runs or host.system.is_paused or _may_be_misread(
            injector, fault.target):
        raise deeds.NothingToDo
    injector.cloud.world.freeze(fault.target)
    return lambda: injector.cloud.world.thaw(fault.target)


def _may_be_misread(injector: 'faults.Injector', host: str) -> bool:
    """A BMC that shows this host as off whatever is true: together with a
    silent, living host nobody can know."""
    bmc = injector.cloud.world.bmcs[host]
    return bmc.behaviour is B.SAYS_OFF or bmc.host != host


@deeds.kind('host returns', 'host', weight=1.5)
def _return(injector: 'faults.Injector', fault: 'faults.Fault', number: int
            ) -> None:
    """It comes back by itself, nova-compute too, asked by nobody."""
    cloud = injector.cloud
    host = cloud.world.hosts[fault.target]
    if host.is_powered and host.system is not None:
        raise deeds.NothingToDo
    if _may_be_misread(injector, fault.target):
        raise deeds.NothingToDo
    drain_power_orders(cloud, fault.target)
    host.autostart = True
    cloud.world.power_on(fault.target)


def drain_power_orders(cloud: typing.Any, host: str) -> None:
    """Take what people asked of a dead host out of its queue: what is left
    there runs without any check, and only draining helps (design.md,
    section 5). Late rebuilds stay: those we have to survive."""
    queue = cloud.world.broker.queues[f'compute.{host}']
    kept = [message for message in queue
            if type(message.body).__name__ == 'Rebuild']
    if len(kept) != len(queue):
        cloud.kernel.note('queue drained', host, len(queue) - len(kept))
        queue.clear()
        queue.extend(kept)


@deeds.kind('room shrinks', 'host', lasts_s=(5.0, 60.0))
def _shrink(injector: 'faults.Injector', fault: 'faults.Fault', number: int
            ) -> deeds.Call:
    host = injector.cloud.world.hosts[fault.target]
    if host.capacity == 0:
        raise deeds.NothingToDo
    before, host.capacity = host.capacity, 0

    def end() -> None:
        host.capacity = before
    return end

def _bmc_kind(name: str, behaviour: B, **more: typing.Any) -> None:
    @deeds.kind(name, 'host', lasts_s=(5.0, 90.0), **more)
    def deed(injector: 'faults.Injector', fault: 'faults.Fault', number: int
             ) -> deeds.Call:
        bmc = injector.cloud.world.bmcs[fault.target]
        if bmc.behaviour is not B.WELL:
            raise deeds.NothingToDo
        bmc.behaviour, bmc.delay_s = behaviour, fault.amount

        def end() -> None:
            bmc.behaviour, bmc.is_turning_off = B.WELL, False
        return end


_bmc_kind('BMC slow', B.SLOW, amount=(1.0, 8.0))
_bmc_kind('BMC mute', B.MUTE)
_bmc_kind('BMC drops answers', B.DROPS)
_bmc_kind('BMC stalls', B.STALLS)
_bmc_kind('BMC refuses', B.REFUSES)
_bmc_kind('BMC says on', B.SAYS_ON)
_bmc_kind('BMC unbound', B.UNBOUND, weight=2)


@deeds.kind('BMC says off', 'host', lasts_s=(5.0, 60.0))
def _says_off(injector: 'faults.Injector', fault: 'faults.Fault',
              number: int) -> deeds.Call:
    """It lies about a machine that shows life, or that is dead anyway."""
    host = injector.cloud.world.hosts[fault.target]
    bmc = injector.cloud.world.bmcs[fault.target]
    if bmc.behaviour is not B.WELL or bmc.host != fault.target or not (
            host.answers_tcp or not host.running()):
        raise deeds.NothingToDo
    bmc.behaviour = B.SAYS_OFF

    def end() -> None:
        bmc.behaviour = B.WELL
    return end


@deeds.kind('binding wrong', 'host', lasts_s=(20.0, 90.0), weight=0.7)
def _wrong_binding(injector: 'faults.Injector', fault: 'faults.Fault',
                   number: int) -> deeds.Call:
    """The entry of a host names the BMC of its neighbour."""
    cloud = injector.cloud
    names = sorted(cloud.world.hosts)
    other = names[(names.index(fault.target) + 1) % len(names)]
    bmc = cloud.world.bmcs[fault.target]
    host = cloud.world.hosts[fault.target]
    if bmc.host != fault.target or bmc.behaviour is not B.WELL or not (
            host.answers_tcp or not host.running()):
        raise deeds.NothingToDo
    bmc.host = other

    def end() -> None:
        bmc.host = fault.target
    return end
