# SPDX-License-Identifier: Apache-2.0
"""The person at the end of a run: does what the product asks for, by hand.

When the faults are over, what no machine may decide is left: hosts that
could not be proven off, hosts to bring back, recoveries that need a person.
This one reads states and reasons as ``nova-manage pets status`` shows them,
goes to the machine, and gives the orders that the product names as safe.
"""

import collections

from nova_pets.model import records
from nova_pets.model import states
from nova_pets.simulator import cloud as cloud_module
from nova_pets.simulator import deeds_hosts
from nova_pets.simulator import nova_errors
from nova_pets.simulator import nova_rows

EVERY_S = 10.0
AUDIT_S = 120.0
"""What an audit has not mended by then, it does not mend."""
PATIENCE_S = 20.0
"""What stands in one state for so long is looked at."""
H = states.HostState
R = states.RecoveryState
C = states.ControlKind


class Operator:
    def __init__(self, cloud: cloud_module.FalseCloud):
        self._cloud = cloud
        self._seen: dict[str, tuple[str, float]] = {}
        self._ordered: dict[str, float] = {}
        """{what an audit is to mend: when it was asked for}"""
        self.deeds: collections.Counter[tuple[str, str]] = (
            collections.Counter())
        """(what was done, state and reason that asked for it)"""

    def begin(self) -> None:
        self._cloud.kernel.after(EVERY_S, self._turn)

    def _turn(self) -> None:
        cloud = self._cloud
        cloud.kernel.after(EVERY_S, self._turn)
        if not cloud.database.engines:
            return
        for name in sorted(cloud.world.hosts):
            row = cloud.database.hosts.get(name)
            if row is not None and self._is_old(
                    name, f'{row.state} {row.epoch}'):
                self._host(name, row.state, row.reason, row.epoch)
        for kind in (C.PAUSE, C.MAINTENANCE):
            cloud.end_orders(kind)
        for recovery in cloud.open_recoveries():
            key = f'recovery {recovery.id}'
            if recovery.state is R.NEEDS_OPERATOR and self._is_old(
                    key, f'{recovery.state} {recovery.generation}'):
                self._recovery(recovery)
        for instance in cloud.shape.instances:
            if instance.is_pet:
                self._instance(instance.name)

    def _is_old(self, key: str, value: str) -> bool:
        now = self._cloud.kernel.now
        before = self._seen.get(key)
        if before is None or before[0] != value:
            self._seen[key] = (value, now)
            return False
        return now - before[1] >= PATIENCE_S

    def _did(self, what: str, why: str) -> None:
        self.deeds[what, why] += 1
        self._cloud.kernel.note('by hand', what, why)

    def _host(self, name: str, state: H, reason: str, epoch: int) -> None:
        cloud = self._cloud
        host = cloud.world.hosts[name]
        self._seen.pop(name, None)
        why = f'{state} {reason}'
        if state is H.QUARANTINED and reason == 'flapping' and (
                host.compute_runs):
            return  # it returns by itself
        if state is H.QUARANTINED and host.compute_runs:
            self._did('release', why)
            cloud.order(C.RELEASE, 'host', name, 'by hand')
        elif state in (H.DOWN, H.UNPROVEN, H.QUARANTINED, H.FENCING):
            self._did('power off and confirm', why)
            cloud.world.power_off(name)
            cloud.order(C.CONFIRM_FENCED, 'host', name, 'by hand', epoch)
        elif state is H.SUSPECT:
            if host.system_runs and not host.compute_runs:
                self._did('start nova-compute', why)
                cloud.nova.start_compute(name)
            elif not host.system_runs:
                self._did('fence', why)
                cloud.order(C.FENCE, 'host', name, 'by hand')
        elif state is H.FENCED and self._waits_for_room(name):
            # Its pets have nowhere to go: let them come home.
            self._did('bring it up', why)
            self._bring_up(name)
        elif state is H.VACATED:
            self._did('release', why)
            self._bring_up(name)
            cloud.order(C.RELEASE, 'host', name, 'by hand')
        elif state is H.RETURNING and reason != 'waiting_for_cleanup':
            self._did('start again', why)
            cloud.world.kill_compute(name)
            self._bring_up(name)
        elif state is H.UP and not host.compute_runs:
            self._bring_up(name)
        elif state is H.UP and cloud.is_forced_down(name):
            self._did('force up', why)
            cloud.nova.set_forced_down(name, False)

    def _waits_for_room(self, name: str) -> bool:
        rows = [row for row in self._cloud.open_recoveries()
                if row.source == name]
        return bool(rows) and all(
            row.state in (R.WAITING, R.READY) and row.attempts > 3
            for row in rows)

    def _bring_up(self, name: str) -> None:
        """With its queue drained before, as release says."""
        cloud = self._cloud
        host = cloud.world.hosts[name]
        deeds_hosts.drain_power_orders(cloud, name)
        host.autostart = True
        cloud.world.power_on(name)
        if host.system_runs and not host.compute_runs:
            cloud.nova.start_compute(name)

    def _recovery(self, recovery: records.Recovery) -> None:
        """The row says what may be done; mostly it is retry."""
        cloud, uuid = self._cloud, recovery.instance_uuid
        if recovery.reason == 'verify_failed' and self._mends(recovery):
            return
        self._did('retry', recovery.reason)
        row = cloud.instance(uuid)
        try:
            # As the reasons of those states say: whoever worked on it is
            # gone, and no guest of it runs.
            if row and (recovery.reason == 'migrating' or
                        row.task_state is not None and
                        not row.task_state.startswith('rebuild')):
                running = cloud.world.running(uuid)
                if running not in ([], [row.host]):
                    # Also where nova-compute, back again, has ended the
                    # migration by its row alone.
                    self._correct_host(uuid, running[0])
                elif row.task_state is not None:
                    cloud.nova.api_reset_state(
                        uuid, 'active' if running else 'error')
        except nova_errors.NovaError:
            return
        cloud.order(C.RETRY, 'instance', uuid, 'by hand')

    def _mends(self, recovery: records.Recovery) -> bool:
        """It is on its destination, and not well there: that is mended, and
        the recovery sees by itself that it is."""
        cloud, uuid = self._cloud, recovery.instance_uuid
        row = cloud.instance(uuid)
        if (row is None or row.host in (None, recovery.source) or
                not cloud.world.hosts[row.host].compute_runs):
            return False
        try:
            cloud.nova.api_reset_state(uuid, 'active')
            cloud.nova.api_reboot(uuid)
        except nova_errors.NovaError:
            return False
        self._did('reset and reboot', recovery.reason)
        return True

    def _instance(self, uuid: str) -> None:
        """A pet in ERROR, or with a task that nobody does any more, and no
        recovery: its owner calls. Its power is put as its row wants it."""
        cloud = self._cloud
        row = cloud.instance(uuid)
        if row is None or uuid in cloud.database.open_recovery:
            return
        if row.deleted:
            self._remove_orphans(uuid)
            return
        self._heal_allocation(uuid, row.host or '')
        self._audit(uuid)
        stuck = f'{row.vm_state} {row.task_state}'
        is_odd = row.vm_state == 'error' or row.task_state is not None or (
            row.vm_state == 'active' and
            cloud.world.running(uuid) != [row.host])
        if not is_odd or not self._is_old(f'instance {uuid}', stuck):
            return
        found = cloud.world.running(uuid)
        if found and found != [row.host]:
            self._correct_host(uuid, found[0])
            return
        host = cloud.world.hosts[row.host or '']
        if not host.compute_runs:
            return
        self._seen.pop(f'instance {uuid}', None)
        self._did('reset and reboot', stuck)
        try:
            cloud.nova.api_reset_state(uuid, 'active')
            cloud.nova.api_reboot(uuid)
        except nova_errors.NovaError:
            pass

    def _correct_host(self, uuid: str, host: str) -> None:
        """A live migration that ended behind Nova's back."""
        self._did('correct the host', 'live migration')
        cell = self._cloud.nova.cells[self._cloud.world.hosts[host].cell]
        cell.change(uuid, {'host': host, 'node': host, 'vm_state': 'active',
                           'task_state': None})

    def _remove_orphans(self, uuid: str) -> None:
        """Deleted while a destination built it: Nova forgets that guest."""
        for host in self._cloud.world.running(uuid):
            if self._is_old(f'orphan {uuid}', host):
                self._did('destroy the guest', 'orphan of a deleted instance')
                self._cloud.world.destroy_guest(host, uuid)

    def _heal_allocation(self, uuid: str, host: str) -> None:
        """nova-manage placement heal_allocations, once there is room."""
        api = self._cloud.nova.api
        if host not in api.allocations.get(uuid, ()) and (
                self._is_old(f'allocation {uuid}', host)):
            self._did('heal allocations', 'no_allocation')
            api.allocate(uuid, host)

    def _clean_up(self, uuid: str, sources: set[str]) -> None:
        """uncleaned_source: it came back before its pet was found to live
        elsewhere, and only a start of its nova-compute removes the copy."""
        for name in sorted(sources):
            host = self._cloud.world.hosts[name]
            row = self._cloud.database.hosts.get(name)
            if (host.compute_runs and row is not None and
                    row.state is H.UP and
                    self._is_old(f'uncleaned {uuid}', name)):
                self._did('restart nova-compute', 'uncleaned_source')
                self._cloud.world.kill_compute(name)
                self._cloud.nova.start_compute(name)

    def _audit(self, uuid: str) -> None:
        """nova-manage pets audit --fix, for what people left behind."""
        cloud = self._cloud
        row = cloud.instance(uuid)
        assert row is not None  # nosec: the caller asked
        cell = cloud.nova.cells[row.cell]
        if row.task_state is not None:
            return
        extra = cloud.nova.api.allocations.get(uuid, frozenset()) - {row.host}
        stale = [one for one in cell.migrations.values()
                 if one.uuid == uuid and one.status == 'accepted' and
                 one.kind == nova_rows.EVACUATION]
        key = f'{sorted(extra)} {[one.id for one in stale]}'
        sources = {one.source for one in cell.migrations.values()
                   if one.uuid == uuid and one.status == 'done'}
        extra -= sources
        self._clean_up(uuid, sources - {row.host or ''})
        if not (extra or stale) or not self._is_old(f'audit {uuid}', key):
            return
        why = 'leaked_allocation' if extra else 'stale_record'
        now = cloud.kernel.now
        began = self._ordered.setdefault(f'{uuid} {key}', now)
        if began == now:
            self._did('audit', why)
            if not any(order.kind is C.AUDIT
                       for order in cloud.people.controls()):
                cloud.order(C.AUDIT, 'all', reason='by hand')
        if now - began < AUDIT_S:
            return
        self._did('what the audit left', why)
        for host in sorted(extra):
            cloud.nova.api.free(uuid, host)
        for one in stale:
            cell.drop_migration(one.id)
