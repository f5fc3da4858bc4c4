# SPDX-License-Identifier: Apache-2.0
"""The calls of nova.compute.api: evacuate, stop, start, forced_down.

The evacuate call is guarded three ways (specs/0004-attempt-protocol): the
Instance's save is a compare-and-swap on our claim, conductor must answer
before anything is written, and the cast ends when the broker is away. It
decides nothing about whether an evacuation is safe.
"""

import threading

from nova import exception as nova_exc
from nova import objects
from nova.compute import api as compute_api
from nova.compute import rpcapi as compute_rpcapi
from nova.compute import task_states
from nova.compute import vm_states
import nova.context

from nova_pets import exception
from nova_pets.compute import errors
from nova_pets.compute import writer

LOADED = ['info_cache', 'flavor', 'system_metadata', 'metadata',
          'trusted_certs', 'pci_requests', 'pci_devices', 'resources',
          'migration_context', 'numa_topology']
"""What the conductor and the destination would else load one by one."""


class _BoundedRouter:
    """A ClientRouter whose clients give up when the broker is away."""

    def __init__(self, router, retries):
        self._router = router
        self._retries = retries

    def client(self, context):
        return self._router.client(context).prepare(retry=self._retries)


class _BoundedComputeAPI(compute_rpcapi.ComputeAPI):
    def __init__(self, retries):
        super().__init__()
        self._retries = retries

    @property
    def router(self):
        return _BoundedRouter(super().router, self._retries)


class Calls:
    """Nova's compute API with bounded casts; built at first use, since
    that needs the RPC transport.

    :param cast_retries: connection retries of a cast before it raises.
    """

    def __init__(self, cast_retries: int = 2):
        self._cast_retries = cast_retries
        self._lock = threading.Lock()
        self._api = None

    @property
    def api(self):
        with self._lock:
            if self._api is None:
                api = compute_api.API()
                conductor = api.compute_task_api.conductor_compute_rpcapi
                conductor.client = conductor.client.prepare(
                    retry=self._cast_retries)
                api.compute_rpcapi = self.compute_rpcapi()
                self._api = api
            return self._api

    def compute_rpcapi(self):
        return _BoundedComputeAPI(self._cast_retries)

    def evacuate(self, cctxt, uuid: str, on_shared_storage: bool | None,
                 target_stopped: bool) -> None:
        """Ask Nova to evacuate a claimed instance.

        :param cctxt: of the cell, with a token and our request_id.
        """
        with writer.instance_conflicts(uuid):
            instance = objects.Instance.get_by_uuid(
                cctxt, uuid, expected_attrs=LOADED)
        if instance.task_state != task_states.REBUILDING:
            raise exception.InstanceChanged(
                uuid=uuid, expected={'task_state': task_states.REBUILDING},
                found={'task_state': instance.task_state})
        floor = writer.highest_migration(cctxt, uuid)
        guard_save(cctxt, instance)
        try:
            self.api.evacuate(
                cctxt, instance, host=None,
                on_shared_storage=on_shared_storage, admin_password=None,
                force=None,
                target_state=vm_states.STOPPED if target_stopped else None)
        except (exception.InstanceChanged, exception.InstanceGone):
            # Only guard_save raises these, before Nova's first record.
            raise
        except Exception as error:
            # Any class may come out of Nova, its drivers and its clients;
            # what matters is only what was recorded before.
            raise _failed(cctxt, uuid, floor, error) from error

    def set_forced_down(self, host: str, value: bool) -> None:
        # The call targets its context in place: it gets one of its own.
        compute_api.HostAPI().service_update_by_host_and_binary(
            nova.context.get_admin_context(), host, 'nova-compute',
            {'forced_down': value})

    def stop(self, cctxt, uuid: str) -> None:
        self._power(cctxt, uuid, self.api.stop)

    def start(self, cctxt, uuid: str) -> None:
        self._power(cctxt, uuid, self.api.start)

    def _power(self, cctxt, uuid, call):
        with writer.instance_conflicts(uuid):
            instance = objects.Instance.get_by_uuid(
                cctxt, uuid, expected_attrs=LOADED)
            try:
                call(cctxt, instance)
            except (nova_exc.InstanceInvalidState,
                    nova_exc.InstanceNotReady) as error:
                raise exception.InstanceChanged(
                    uuid=uuid, expected='a state that allows it',
                    found=errors.phrase(error)) from error


def guard_save(cctxt, instance) -> None:
    """Make the instance's save check our claim in the database.

    Our claim has written ``rebuilding`` already, so Nova's save would find
    nothing to write and check nothing. This one always writes, where
    task_state and host are still as loaded. It is an attribute of this one
    object: what goes over RPC is a plain Instance.
    """
    expected = {'host': instance.host, 'task_state': task_states.REBUILDING}

    def save(expected_vm_state=None, expected_task_state=None,
             admin_state_reset=False):
        writer.update_instance(cctxt, instance.uuid, expected,
                               {'task_state': task_states.REBUILDING})
        instance.obj_reset_changes(['task_state'])

    instance.save = save


def _failed(cctxt, uuid, floor, error):
    """Return the exception that tells what a failed call left behind."""
    try:
        left = writer.recorded(cctxt, uuid, cctxt.request_id, floor)
    except errors.UNAVAILABLE as unread:
        left = f'what it left cannot be read ({errors.phrase(unread)})'
    found = errors.phrase(error)
    if left is None:
        return exception.EvacuateRefused(uuid=uuid, found=found)
    return exception.EvacuateUncertain(uuid=uuid, found=f'{found}; {left}')
