# SPDX-License-Identifier: Apache-2.0
"""Questions over RPC: is somebody there, does a guest run.

Asks only. Silence is an answer (False, UNREACHABLE); a broker that cannot be
reached is none (oslo.messaging's exception, NovaUnavailable to the caller).
"""

import threading

from nova import baserpc
from nova import exception as nova_exc
from nova import objects
from nova import rpc
from nova.compute import power_state
import oslo_messaging

from nova_pets import exception
from nova_pets.compute import writer
from nova_pets.model import states

SEND_RETRIES = 1
GRACE_S = 3.0
"""Beyond a question's own timeout: connecting and SEND_RETRIES."""
MAX_WAITING = 32
"""Questions that may hang at once."""

_waiting = threading.BoundedSemaphore(MAX_WAITING)


def bounded(question, timeout_s: float):
    """Return question(), given up after timeout_s and GRACE_S.

    A process's first call makes a reply queue, and oslo.messaging waits for
    ever for a broker there, whatever timeout the call has. The thread that
    hangs ends when the broker is back; its answer is dropped.

    :raises NovaUnavailable: no answer and no timeout either.
    """
    if not _waiting.acquire(blocking=False):
        raise exception.NovaUnavailable(
            what='ask over RPC', found=f'{MAX_WAITING} questions hang')
    outcome = []

    def ask():
        try:
            outcome.append((question(), None))
        except Exception as error:
            # Whatever it is, it is raised again in the asking thread.
            outcome.append((None, error))
        finally:
            _waiting.release()
    thread = threading.Thread(target=ask, daemon=True, name='pets-ask')
    thread.start()
    thread.join(timeout_s + GRACE_S)
    if not outcome:
        raise exception.NovaUnavailable(
            what='ask over RPC', found='the broker does not answer')
    answer, error = outcome[0]
    if error is not None:
        raise error
    return answer


def ping(cctxt, topic: str, server: str | None, timeout_s: float) -> bool:
    """Return whether a service answers; None asks any of the topic."""
    api = baserpc.BaseAPI(topic=topic)
    client = rpc.ClientRouter(api.client).client(cctxt)
    target = {} if server is None else {'server': server}
    caller = client.prepare(timeout=timeout_s, retry=SEND_RETRIES, **target)
    try:
        bounded(lambda: caller.call(cctxt, 'ping', arg='nova-pets'),
                timeout_s)
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
        bounded(lambda: caller.call(cctxt, 'get_instance_diagnostics',
                                    instance=instance), timeout_s)
    except nova_exc.InstanceInvalidState:
        return states.GuestAnswer.NOT_RUNNING
    except NotImplementedError:
        # Raised by the driver, which is asked only about a running guest.
        return states.GuestAnswer.RUNNING
    except (oslo_messaging.MessagingTimeout, oslo_messaging.RemoteError,
            nova_exc.NovaException):
        return states.GuestAnswer.UNREACHABLE
    return states.GuestAnswer.RUNNING
