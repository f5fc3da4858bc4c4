# SPDX-License-Identifier: Apache-2.0
"""The door to Nova, opened for real: every method of compute/base.py.

Chooses contexts and says what could not be done; the work is in the modules
beside this one. One door serves any number of threads.
"""

import math
import threading
import time

import nova.context

from nova_pets import exception
from nova_pets.compute import audit
from nova_pets.compute import auth
from nova_pets.compute import base
from nova_pets.compute import cells
from nova_pets.compute import changes
from nova_pets.compute import errors
from nova_pets.compute import evacuation
from nova_pets.compute import messages
from nova_pets.compute import placement
from nova_pets.compute import queues
from nova_pets.compute import reader
from nova_pets.compute import tags
from nova_pets.compute import writer


CONDUCTOR_FRESH_S = 2.0


class NovaDoor(base.ComputeDoor):
    """
    :param auth_groups: sections with the credentials of evacuations, in
        order of precedence.
    :param cast_retries: connection retries of a cast before it raises.
    :param conductor_timeout_s: conductor must answer within this time
        before an evacuate; 0 does not ask.
    """

    def __init__(self, auth_groups: tuple[str, ...] = ('pets_auth',
                                                       'service_user'),
                 cast_retries: int = 2, conductor_timeout_s: float = 5.0):
        self._identity = auth.Identity(auth_groups)
        self._cells = cells.Cells()
        self._calls = evacuation.Calls(cast_retries)
        self._conductor_timeout_s = conductor_timeout_s
        self._conductor_answered_at = -math.inf
        self._conductor_silent_at = -math.inf
        """When the last question was asked that nobody answered."""
        self._conductor_lock = threading.Lock()
        self.audits = audit.NovaAuditDoor(self._cells)

    def auth_problem(self) -> str | None:
        """Return why evacuations cannot be asked for, None: they can.

        Asks keystone for a token.
        """
        return self._identity.problem()

    # -- eyes -----------------------------------------------------------------

    def cells(self):
        return self._cells.enabled()

    def services(self, cell_uuid):
        with errors.unavailable(f'read the services of cell {cell_uuid}'):
            found = reader.services(self._cells.context(cell_uuid),
                                    cell_uuid)
        for service in found:
            self._cells.remember_host(service.host, cell_uuid)
        return found

    def conductors(self):
        # A conductor above the cells has its row in whatever database its
        # configuration names, usually cell0. Rows of one host are added up:
        # the sum moves as long as any of them does.
        counts: dict[str, int] = {}
        for cell in self._cells.mappings().values():
            if cell.disabled:
                continue
            with errors.unavailable(f'read the conductors of {cell.uuid}'):
                found = reader.conductors(self._cells.context(cell.uuid))
            for host, count in found.items():
                counts[host] = counts.get(host, 0) + count
        return counts

    def conductor_answers(self, timeout_s):
        context = nova.context.get_admin_context()
        with errors.unavailable('ask any conductor'):
            return messages.ping(context, 'conductor', None, timeout_s)

    def host_addresses(self, cell_uuid):
        with errors.unavailable(f'read the addresses of cell {cell_uuid}'):
            return reader.host_addresses(self._cells.context(cell_uuid))

    def changed_instances(self, cell_uuid, mark):
        with errors.unavailable(f'read changes of cell {cell_uuid}'):
            return changes.changed(self._cells.context(cell_uuid),
                                   nova.context.get_admin_context(), mark,
                                   time.monotonic())

    def instances(self, cell_uuid, uuids):
        with errors.unavailable(f'read instances of cell {cell_uuid}'):
            return tags.instances(
                self._cells.context(cell_uuid),
                nova.context.get_admin_context(), cell_uuid, uuids)

    def instances_on(self, cell_uuid, host):
        with errors.unavailable(f'read the instances of {host}'):
            return tags.instances_on(
                self._cells.context(cell_uuid),
                nova.context.get_admin_context(), cell_uuid, host)

    def traces(self, cell_uuid, uuids):
        """As the base says. Of the tags only instance metadata is read;
        kinds (is_bfv, has_*) and other tags keep their defaults here."""
        with errors.unavailable(f'read traces in cell {cell_uuid}'):
            return reader.traces(self._cells.context(cell_uuid), cell_uuid,
                                 uuids)

    def uncleaned_sources(self, cell_uuid, host):
        with errors.unavailable(f'read evacuations from {host}'):
            return reader.uncleaned_sources(self._cells.context(cell_uuid),
                                            host)

    def allocated_hosts(self, uuid):
        contexts = [self._cells.context(cell.uuid) for cell in self.cells()]
        with errors.unavailable(f'read the allocations of {uuid}'):
            return placement.allocated_hosts(
                contexts, nova.context.get_admin_context(), uuid)

    def guest(self, cell_uuid, uuid, host, timeout_s):
        with errors.unavailable(f'ask {host} about {uuid}'):
            return messages.guest(self._cells.context(cell_uuid),
                                  self._calls.compute_rpcapi(), uuid, host,
                                  timeout_s)

    def ping(self, host, timeout_s):
        cctxt = self._cells.context(self._cells.cell_of(host))
        with errors.unavailable(f'ask nova-compute on {host}'):
            return messages.ping(cctxt, 'compute', host, timeout_s)

    # -- hands ----------------------------------------------------------------

    def set_forced_down(self, cell_uuid, host, value):
        with errors.unavailable(f'set forced_down of {host} to {value}'):
            self._calls.set_forced_down(host, value)

    def update_instance(self, cell_uuid, uuid, expected, values):
        with errors.unavailable(f'update instance {uuid}'):
            writer.update_instance(self._cells.context(cell_uuid), uuid,
                                   expected, values)

    def _has_conductor(self, called_at):
        """Whether one answers, or has a moment ago: of many evacuations at
        once not each asks.

        :param called_at: when this was wanted. Who waited while another
            asked in vain does not ask for itself: with no conductor many
            would wait for one timeout after the other.
        """
        with self._conductor_lock:
            asked_at = time.monotonic()
            if asked_at - self._conductor_answered_at <= CONDUCTOR_FRESH_S:
                return True
            if self._conductor_silent_at >= called_at:
                return False
            if self.conductor_answers(self._conductor_timeout_s):
                self._conductor_answered_at = asked_at
                return True
            self._conductor_silent_at = asked_at
            return False

    def evacuate(self, cell_uuid, uuid, request_id, on_shared_storage,
                 target_stopped):
        try:
            identity = self._identity.context(request_id)
            if self._conductor_timeout_s and not self._has_conductor(
                    time.monotonic()):
                raise exception.EvacuateRefused(
                    uuid=uuid, found='no conductor answers')
        except exception.NovaUnavailable as error:
            raise exception.EvacuateRefused(
                uuid=uuid, found=str(error)) from error
        with errors.unavailable(f'evacuate {uuid}'):
            self._calls.evacuate(self._cells.context(cell_uuid, identity),
                                 uuid, on_shared_storage, target_stopped)

    def delete_accepted(self, cell_uuid, migration_id):
        with errors.unavailable(f'delete migration {migration_id}'):
            return writer.delete_accepted(self._cells.context(cell_uuid),
                                          migration_id)

    def close_migration(self, cell_uuid, migration_id, expected, status):
        with errors.unavailable(f'close migration {migration_id}'):
            return writer.close_migration(self._cells.context(cell_uuid),
                                          migration_id, expected, status)

    def adopt(self, cell_uuid, uuid, migration_id, source, destination,
              vm_state, expected):
        with errors.unavailable(f'adopt {uuid} on {destination}'):
            # First: an allocation too many is found and removed by whoever
            # settles the instance next, one too few by nobody.
            self.allocate(cell_uuid, uuid, destination)
            writer.adopt(self._cells.context(cell_uuid), uuid, migration_id,
                         source, destination, vm_state, expected)

    def tombstone(self, cell_uuid, uuid, host):
        with errors.unavailable(f'write a tombstone of {uuid} for {host}'):
            return writer.tombstone(self._cells.context(cell_uuid), uuid,
                                    host)

    def remove_allocations(self, cell_uuid, uuid, host):
        with errors.unavailable(f'remove allocations of {uuid} on {host}'):
            nodes = writer.compute_node_uuids(self._cells.context(cell_uuid),
                                              host)
            placement.remove(nova.context.get_admin_context(), uuid, nodes)

    def allocate(self, cell_uuid, uuid, host):
        with errors.unavailable(f'allocate {uuid} on {host}'):
            for node_uuid in writer.compute_node_uuids(
                    self._cells.context(cell_uuid), host, gone=False):
                placement.add(self._cells.context(cell_uuid), uuid, node_uuid)

    def stop(self, cell_uuid, uuid):
        with errors.unavailable(f'stop {uuid}'):
            self._calls.stop(self._power_context(cell_uuid), uuid)

    def start(self, cell_uuid, uuid):
        with errors.unavailable(f'start {uuid}'):
            self._calls.start(self._power_context(cell_uuid), uuid)

    def drain(self, cell_uuid, host, timeout_s, tell):
        with errors.unavailable(f'empty the queue of {host}'):
            url = self._cells.transport_url(cell_uuid)
            return queues.drain(url, host, timeout_s, tell)

    def _power_context(self, cell_uuid):
        return self._cells.context(cell_uuid, self._identity.context(None))
