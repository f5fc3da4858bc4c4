# SPDX-License-Identifier: Apache-2.0
"""A real Nova (tests/cloud) as a stage for windows.

To be imported in a process that is made for an embedded cloud. Several
windows share one stage: each has a view of its own, in which its instances
are known by its own names.
"""

# First of all: it chooses native threads for Nova.
from nova_pets.tests import cloud as cloud_package
from nova_pets.tests.cloud import processes

# isort: split
import time

import nova.conf
from nova import context as nova_context
from nova import exception as nova_exc
from nova import objects
from nova.tests.functional.api import client as api_client
from oslo_db import exception as db_exc

from nova_pets.compute import nova as nova_door
from nova_pets.tests.cloud import hooks
from nova_pets.tests.conformance import stage

CONF = nova.conf.CONF

CONFIG = {
    'DEFAULT': {'resume_guests_state_on_host_boot': True},
    # A thread of a dead host that was auditing keeps its place in the pool.
    'compute': {'update_resources_max_workers': 20}}
REPORT_S = 10
"""No window here waits for Nova to find out that a host is down."""
GIVE_UP_S = 30
"""Some windows are over when a call is given up; other calls may be slow on
a crowded machine."""
BOOT_S = 240
PATIENCE_S = 120
QUIET_S = 0.5
"""Nothing may change any more for so long."""

P = stage.Point

PLACES = {
    P.CALL: (None, 'neutron'),
    P.CAST: (None, 'publish:conductor.rebuild_instance'),
    P.CONDUCTOR: ('conductor', 'receive:conductor.rebuild_instance'),
    P.SCHEDULE: ('conductor', 'neutron'),
    P.SCHEDULER: ('scheduler', 'receive:scheduler.select_destinations'),
    P.SEND: ('conductor', 'publish:compute.rebuild_instance'),
    P.CLAIM: ('compute', 'before_claim'),
    P.IMAGE: ('compute', 'glance'),
    P.PORTS: ('compute', 'neutron'),
    P.VOLUMES: ('compute', 'cinder'),
    P.SPAWN: ('compute', 'spawn'),
    P.SPAWNED: ('compute', 'after_spawn'),
    P.POWER_OFF: ('compute', 'power_off'),
    P.FINISH: ('compute', 'before_finish')}


class RealCloud:
    """The cloud of any number of views; the deeds of stage.Stage."""

    def __init__(self, report_interval_s=REPORT_S):
        self._report_interval_s = report_interval_s
        self._away = {}
        self.cloud = cloud_package.EmbeddedCloud(
            hosts=len(stage.HOSTS), config=CONFIG,
            report_interval_s=report_interval_s)
        self._booting = {}

    def __enter__(self):
        self.cloud.__enter__()
        self.door = nova_door.NovaDoor()
        (cell,) = self.door.cells()
        self.cell = cell.uuid
        for host in stage.HOSTS[2:]:
            self.close_host(host)
        for option in ('rpc_response_timeout', 'long_rpc_timeout'):
            CONF.set_override(option, GIVE_UP_S)
        return self

    def __exit__(self, *exc_info):
        self.cloud.close()

    def view(self, window):
        return RealStage(self, window)

    def boot(self, name, is_stopped, **server):
        """Ask for an instance; ``booted`` waits for it."""
        uuid = self.cloud.create_server(name, **server)
        self._booting[uuid] = is_stopped
        return uuid

    # -- hosts and services --------------------------------------------------

    def booted(self):
        stopped = [uuid for uuid, is_stopped in self._booting.items()
                   if is_stopped]
        for uuid in self._booting:
            self.cloud.wait_server(uuid, BOOT_S, status='ACTIVE')
        for uuid in stopped:
            self.cloud.stop(uuid)
        for uuid in stopped:
            self.cloud.wait_server(uuid, PATIENCE_S, status='SHUTOFF',
                                   task_state=None)
        self._booting.clear()

    def lose(self, host):
        self.cloud.crash(host)
        self.force_down(host)

    def force_down(self, host):
        self.cloud.force_down(host)

    def silence(self, host):
        self.cloud.silence_service(host)
        self.force_down(host)

    def back(self, host):
        self.cloud.restart(host)

    def open_host(self, host):
        self.cloud.update_service(host, status='enabled')

    def close_host(self, host):
        self.cloud.update_service(host, status='disabled')

    def restart_conductor(self):
        self.cloud.restart('conductor')

    def kill_scheduler(self):
        self.cloud.crash('scheduler')

    def start_scheduler(self):
        self.cloud.restart('scheduler')

    def placement_away(self, is_away):
        if is_away:
            self._placement = self.cloud.placement_down()
        else:
            self._placement.release()

    def stop_conductor(self, is_stopped):
        (self.cloud.suspend if is_stopped else self.cloud.resume)('conductor')

    def cell_away(self, host, is_away):
        if is_away:
            self._away[host] = self.cloud.fail(host, 'db',
                                               db_exc.DBConnectionError)
        else:
            self._away.pop(host).release()

    def beats(self):
        return {service.host: service.report_count
                for service in self.door.services(self.cell)}

    def wait_beats(self):
        # Nothing but time tells that a heartbeat does not come.
        time.sleep(5 * self._report_interval_s)


class RealStage:
    """A stage.Stage for one window."""

    def __init__(self, real, window):
        self._real = real
        self._cloud = real.cloud
        self._window = window
        self._uuids = {}
        self._groups = {}
        self._holds = {}
        self._deferrals = {}

    def __getattr__(self, name):
        return getattr(self._real, name)

    # -- instances -----------------------------------------------------------

    def boot(self, name, is_stopped=False, is_bfv=False, group=None,
             host='host1'):
        if group and group not in self._groups:
            self._groups[group] = self._cloud.add_server_group(
                f'{self._window}-{group}', 'anti-affinity')
        self._uuids[name] = self._real.boot(
            f'{self._window}-{name}'.replace('_', '-'), is_stopped,
            host=host, bfv=is_bfv, group=self._groups.get(group))

    def evacuate(self, name, host=None):
        force = {} if host is None else {
            'host': host, 'force': True, 'microversion': '2.67'}
        try:
            self._cloud.evacuate(self._uuids[name], **force)
        except api_client.OpenStackApiException:
            pass

    def order(self, name, verb):
        getattr(self._cloud, verb)(self._uuids[name])

    def _accepted(self, name):
        return next(record.id for record in self._trace(name).migrations
                    if record.status == 'accepted')

    def delete_record(self, name):
        assert self._real.door.delete_accepted(
            self._real.cell, self._accepted(name))

    def close_record(self, name):
        assert self._real.door.close_migration(
            self._real.cell, self._accepted(name), ['accepted'], 'error')

    def claim(self, name):
        self._real.door.update_instance(
            self._real.cell, self._uuids[name], {'task_state': None},
            {'task_state': 'rebuilding'})

    # -- faults --------------------------------------------------------------

    def hold(self, point, name):
        process, place = PLACES[point]
        self._holds[point, name] = self._cloud.hold(
            process, place, instance=self._uuids[name])

    def wait_held(self, point, name):
        self._holds[point, name].wait(self._uuids[name], PATIENCE_S)

    def hold_no_more(self, point, name):
        self._cloud.board.remove(self._holds[point, name])

    def release(self, point, name):
        self._holds[point, name].release()

    def fail(self, point, name, is_clean=False):
        uuid = self._uuids[name]
        if point is P.ROOM:
            self._cloud.answer('scheduler', 'placement.put',
                               hooks.BadGateway(), times=1, instance=uuid)
            return
        error = (nova_exc.ComputeResourcesUnavailable(reason='as ordered')
                 if is_clean else nova_exc.NovaException('as ordered'))
        process, place = PLACES[point]
        self._cloud.fail(process, place, error, times=1, instance=uuid)

    def fail_writes(self, name, times):
        self._cloud.fail('compute', 'db', db_exc.DBConnectionError,
                         times=times, instance=self._uuids[name])

    def lose_message(self, message, name):
        self._cloud.lose(message.value, instance=self._uuids[name], times=1)

    def defer_message(self, message, name):
        self._deferrals[name] = self._cloud.defer(
            message.value, instance=self._uuids[name], times=1)

    def wait_deferred(self, name):
        self._deferrals[name].wait(PATIENCE_S)

    def deliver(self, name):
        self._deferrals[name].release()

    # -- the end -------------------------------------------------------------

    def wait_left(self, name, **expected):
        def is_so():
            # Placement may be away.
            left = self.left(name, has_room='room' in expected)
            return all(getattr(left, field) == value
                       for field, value in expected.items())
        try:
            processes.wait_until(is_so, PATIENCE_S, expected)
        except AssertionError as error:
            raise AssertionError(
                f'{error}; {self.left(name, has_room=False)}') from None

    def wait_for(self, name, expected):
        """Return what is left when it is as expected and stays so, or when
        it never comes to be so."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if self.left(name) == expected:
                time.sleep(QUIET_S)
                if self.left(name) == expected:
                    break
            time.sleep(0.1)
        return self.left(name)

    def _trace(self, name):
        uuid = self._uuids[name]
        return self._real.door.traces(self._real.cell, [uuid])[uuid]

    def left(self, name, has_room=True):
        uuid, trace = self._uuids[name], self._trace(name)
        row, records = trace.instance, trace.migrations
        return stage.Left(
            vm_state=row.vm_state, task_state=row.task_state, host=row.host,
            records=tuple((record.status, record.source, record.destination)
                          for record in records),
            room=tuple(sorted(self._real.door.allocated_hosts(uuid)))
            if has_room else (),
            running=tuple(self._cloud.running(uuid)),
            events=tuple((event.name, event.result)
                         for request in trace.actions
                         for event in trace.events[request]),
            power=row.power_state, context=self._has_context(uuid),
            relaunched=bool(records) and (
                row.launched_at >= records[-1].created_at))

    def _has_context(self, uuid):
        context = nova_context.get_admin_context()
        mapping = self._cloud.databases.cells['cell1']
        with nova_context.target_cell(context, mapping) as cell_context:
            try:
                found = objects.MigrationContext.get_by_instance_uuid(
                    cell_context, uuid)
            except nova_exc.MigrationContextNotFound:
                return False
        return found is not None
