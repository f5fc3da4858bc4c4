# SPDX-License-Identifier: Apache-2.0
"""What people do to a cloud meanwhile, owners and operators."""

import typing

from nova_pets.model import states
from nova_pets.simulator import deeds
from nova_pets.simulator import nova_errors
from nova_pets.simulator import nova_rows

if typing.TYPE_CHECKING:
    from nova_pets.simulator import cloud as cloud_module
    from nova_pets.simulator import faults

C = states.ControlKind


def _person(call: deeds.Call) -> None:
    try:
        call()
    except nova_errors.NovaError:
        raise deeds.NothingToDo from None


@deeds.kind('person evacuates', 'pet', weight=2)
def _evacuate(injector: 'faults.Injector', fault: 'faults.Fault',
              number: int) -> None:
    _person(lambda: injector.cloud.nova.api_evacuate(fault.target))


@deeds.kind('person forces an evacuation', 'pet', amount=(0, 100))
def _evacuate_to(injector: 'faults.Injector', fault: 'faults.Fault',
                 number: int) -> None:
    """A forced host passes by every scheduler, and by the gate. While the
    source runs the guest, or a destination spawns it, it makes two copies,
    and only Nova could refuse (0001, Limits): until that spawn the second
    destination would find the task of the first one, and stop."""
    cloud = injector.cloud
    row = cloud.instance(fault.target)
    if (row is None or row.deleted or cloud.world.running(fault.target) or
            row.task_state == nova_rows.SPAWNING or
            _is_forgotten(cloud, row)):
        raise deeds.NothingToDo
    others = [name for name in sorted(cloud.world.hosts)
              if name != row.host and cloud.world.hosts[name].cell
              == row.cell]
    if not others:
        raise deeds.NothingToDo
    cloud.checks.forced.add(fault.target)
    cloud.checks.forced_at[fault.target] = cloud.kernel.now
    where = others[int(fault.amount) % len(others)]
    _person(lambda: cloud.nova.api_evacuate(fault.target, where, force=True))


def _is_forgotten(cloud: 'cloud_module.Cloud', row: nova_rows.Instance
                  ) -> bool:
    """An attempt of ours is under way in Nova, and a failover took it from
    our tables: whoever forces one beside it gets both (0001, Limits)."""
    recovery_id = cloud.database.open_recovery.get(row.uuid)
    if not cloud.has_lost_commits or recovery_id is not None and any(
            cloud.database.attempts[one].outcome is states.Outcome.OPEN
            for one in cloud.database.attempts_of[recovery_id]):
        return False
    return any(record.uuid == row.uuid and
               record.kind == nova_rows.EVACUATION and
               record.status in nova_rows.UNDER_WAY
               for record in cloud.nova.cells[row.cell].migrations.values())


@deeds.kind('person stops', 'pet')
def _stop(injector: 'faults.Injector', fault: 'faults.Fault', number: int
          ) -> None:
    _person(lambda: injector.cloud.nova.api_stop(fault.target))


@deeds.kind('person starts', 'pet')
def _start(injector: 'faults.Injector', fault: 'faults.Fault', number: int
           ) -> None:
    _not_while_it_boots(injector, fault.target)
    _person(lambda: injector.cloud.nova.api_start(fault.target))


@deeds.kind('person reboots', 'pet')
def _reboot(injector: 'faults.Injector', fault: 'faults.Fault', number: int
            ) -> None:
    _not_while_it_boots(injector, fault.target)
    _person(lambda: injector.cloud.nova.api_reboot(fault.target))


def _not_while_it_boots(injector: 'faults.Injector', uuid: str) -> None:
    """Asked of a host that comes back by itself, and does not listen yet, it
    would run there without any check, whoever evacuates it meanwhile: its
    queue was emptied before (deeds_hosts.drain_power_orders)."""
    row = injector.cloud.instance(uuid)
    host = injector.cloud.world.hosts.get(row.host or '') if row else None
    if host is not None and host.is_powered and host.autostart and (
            not host.system_runs):
        raise deeds.NothingToDo


@deeds.kind('person deletes', 'pet', weight=0.5)
def _delete(injector: 'faults.Injector', fault: 'faults.Fault', number: int
            ) -> None:
    _person(lambda: injector.cloud.nova.api_delete(fault.target))


@deeds.kind('person untags', 'pet', lasts_s=(5.0, 60.0))
def _untag(injector: 'faults.Injector', fault: 'faults.Fault', number: int
           ) -> deeds.Call:
    cloud = injector.cloud
    row = cloud.instance(fault.target)
    if row is None or row.metadata.get('ha') != 'true':
        raise deeds.NothingToDo
    tags = dict(row.metadata)
    _person(lambda: cloud.nova.api_set_metadata(fault.target,
                                                {'ha': 'false'}))
    cloud.checks.untagged_at[fault.target] = cloud.kernel.now

    def retag() -> None:
        try:
            cloud.nova.api_set_metadata(fault.target, tags)
            cloud.checks.untagged_at.pop(fault.target, None)
        except nova_errors.NovaError:
            pass  # deleted meanwhile
    return retag


@deeds.kind('person resets state', 'pet', amount=(0, 2))
def _reset(injector: 'faults.Injector', fault: 'faults.Fault', number: int
           ) -> None:
    vm_state = 'error' if fault.amount < 1 else 'active'
    _person(lambda: injector.cloud.nova.api_reset_state(fault.target,
                                                        vm_state))


@deeds.kind('person migrates', 'pet', amount=(0, 100))
def _migrate(injector: 'faults.Injector', fault: 'faults.Fault', number: int
             ) -> None:
    cloud = injector.cloud
    row = cloud.instance(fault.target)
    if row is None:
        raise deeds.NothingToDo
    others = [name for name in sorted(cloud.world.hosts)
              if name != row.host and cloud.world.hosts[name].cell
              == row.cell]
    if not others:
        raise deeds.NothingToDo
    where = others[int(fault.amount) % len(others)]
    _person(lambda: cloud.nova.api_live_migrate(fault.target, where))


@deeds.kind('person forces down', 'host', lasts_s=(2.0, 40.0))
def _force_down(injector: 'faults.Injector', fault: 'faults.Fault',
                number: int) -> deeds.Call:
    """Where that is taken for a proof, only what is true, as below."""
    cloud = injector.cloud
    if (cloud.shape.policy.trust_forced_down and
            cloud.world.hosts[fault.target].is_powered):
        raise deeds.NothingToDo
    _person(lambda: cloud.nova.api_force_down(fault.target, True))

    def end() -> None:
        try:
            injector.cloud.nova.api_force_down(fault.target, False)
        except nova_errors.NovaError:
            pass  # refused: there are evacuations to clean up
    return end


@deeds.kind('another tool fences', 'host', share=0.3)
def _fenced_by_others(injector: 'faults.Injector', fault: 'faults.Fault',
                      number: int) -> None:
    """It switches the host off, and then tells Nova so."""
    cloud = injector.cloud
    if not cloud.world.hosts[fault.target].is_powered:
        raise deeds.NothingToDo
    cloud.world.power_off(fault.target)
    _person(lambda: cloud.nova.api_force_down(fault.target, True))


@deeds.kind('person forces up', 'host')
def _force_up(injector: 'faults.Injector', fault: 'faults.Fault',
              number: int) -> None:
    _person(lambda: injector.cloud.nova.api_force_down(fault.target, False))


@deeds.kind('person disables', 'host', lasts_s=(5.0, 40.0), weight=0.5)
def _disable(injector: 'faults.Injector', fault: 'faults.Fault', number: int
             ) -> deeds.Call:
    _person(lambda: injector.cloud.nova.api_disable(fault.target, True))

    def end() -> None:
        try:
            injector.cloud.nova.api_disable(fault.target, False)
        except nova_errors.NovaError:
            # Asked again a little later, as a person would.
            injector.cloud.kernel.after(5.0, end)
    return end


def _order_kind(name: str, kind: C, scope: str, **more: typing.Any) -> None:
    target = {'host': 'host', 'instance': 'pet', 'all': ''}[scope]

    @deeds.kind(name, target, **more)
    def deed(injector: 'faults.Injector', fault: 'faults.Fault', number: int
             ) -> deeds.Call | None:
        cloud = injector.cloud
        if not cloud.order(kind, scope, fault.target, 'simulated'):
            raise deeds.NothingToDo
        if kind not in (C.PAUSE, C.MAINTENANCE):
            return None

        def end() -> None:
            cloud.end_orders(kind, fault.target)
        return end


_order_kind('operator pauses', C.PAUSE, 'all', lasts_s=(2.0, 30.0),
            weight=0.5)
_order_kind('operator maintains', C.MAINTENANCE, 'host',
            lasts_s=(5.0, 60.0), weight=0.5)
_order_kind('operator fences', C.FENCE, 'host', weight=0.7)
_order_kind('operator releases', C.RELEASE, 'host', weight=0.7)
_order_kind('operator retries', C.RETRY, 'instance', weight=0.7)
_order_kind('operator recovers', C.RECOVER, 'host', weight=0.5)
_order_kind('operator abandons', C.ABANDON, 'instance', weight=0.3)
_order_kind('operator audits', C.AUDIT, 'all', share=0.25)


@deeds.kind('operator confirms', 'host', weight=0.7)
def _confirm(injector: 'faults.Injector', fault: 'faults.Fault', number: int
             ) -> None:
    """Only what is true: who confirms a running host runs its guests
    twice, and nothing can help that."""
    cloud = injector.cloud
    host = cloud.world.hosts[fault.target]
    row = cloud.database.hosts.get(fault.target)
    if row is None or host.is_powered:
        raise deeds.NothingToDo
    if not cloud.order(C.CONFIRM_FENCED, 'host', fault.target, 'simulated',
                       epoch=row.epoch):
        raise deeds.NothingToDo
