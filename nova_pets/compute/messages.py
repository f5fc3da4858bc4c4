# SPDX-License-Identifier: Apache-2.0
"""Questions over RPC: is somebody there, does a guest run.

Asks only. Silence is an answer (False, UNREACHABLE); a broker that cannot be
reached is none (oslo.messaging's exception, NovaUnavailable to the caller).
"""

from nova import baserpc
from nova.compute import power_state
from nova import exception as nova_exc
from nova import objects
from nova import rpc
import oslo_messaging

from nova_pets.compute import writer
from nova_pets.model import states

SEND_RETRIES = 1


def ping(cctxt, topic: str, server: str | None, timeout_s: float) -> bool:
    """Return whether a service answers; None asks any of the topic."""
    api = baserpc.BaseAPI(topic=topic)
    client = rpc.ClientRouter(api.client).client(cctxt)
    target = {} if server is None else {'server': server}
    try:
        client.prepare(timeout=timeout_s, retry=SEND_RETRIES,
                       **target).call(cctxt, 'ping', arg='nova-pets')
    except oslo_messaging.MessagingTimeout:
        return False
    return True


def guest(cctxt, compute_rpcapi, uuid: str, host: str,
          timeout_s: float) -> states.GuestAnswer:
    """Ask nova-compute on ``host`` whether the guest runs there.

    Side effect on Nova: an instance fault when it does not. An answer that
    means neither (the driver failed) counts as UNREACHABLE.
    """
    with writer.instance_conflicts(uuid):
        instance = objects.Instance.get_by_uuid(
            cctxt, uuid, expected_attrs=['flavor', 'system_metadata'])
    instance.host = host
    if instance.power_state not in power_state.STATE_MAP:
        instance.power_state = power_state.NOSTATE
    client = compute_rpcapi.router.client(cctxt)
    version = '6.0' if client.can_send_version('6.0') else '5.0'
    caller = client.prepare(server=host, version=version, timeout=timeout_s,
                            retry=SEND_RETRIES)
    try:
        caller.call(cctxt, 'get_instance_diagnostics', instance=instance)
    except nova_exc.InstanceInvalidState:
        return states.GuestAnswer.NOT_RUNNING
    except NotImplementedError:
        # Raised by the driver, which is asked only about a running guest.
        return states.GuestAnswer.RUNNING
    except (oslo_messaging.MessagingTimeout, oslo_messaging.RemoteError,
            nova_exc.NovaException):
        return states.GuestAnswer.UNREACHABLE
    return states.GuestAnswer.RUNNING
