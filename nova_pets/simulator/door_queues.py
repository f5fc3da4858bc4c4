# SPDX-License-Identifier: Apache-2.0
"""The queue of a false nova-compute, emptied as compute/queues.py does it.

Message after message is told, then dropped; none while somebody consumes.
"""

import collections.abc
import typing

from nova_pets.model import observations
from nova_pets.simulator import nova_orders as orders

if typing.TYPE_CHECKING:
    from nova_pets.simulator import nova as nova_module


def drain(nova: 'nova_module.Nova', host: str, tell: collections.abc.Callable[
        [observations.Dropped], None]) -> observations.Drained:
    queue = nova.world.broker.queues[orders.compute_topic(host)]
    dropped = 0
    while True:
        agent = nova.agents.get(host)
        if agent is not None and agent.is_consuming:
            return observations.Drained(False, dropped,
                                        'nova-compute consumes it')
        if not queue:
            return observations.Drained(
                True, dropped, f'{dropped} message(s) were dropped')
        message = queue[0]
        tell(_told(message.body))
        if queue and queue[0] is message:
            queue.popleft()
            dropped += 1
            nova.kernel.note('dropped', host, type(message.body).__name__)


def _told(body: typing.Any) -> observations.Dropped:
    order = getattr(body, 'order', body)
    instance = getattr(order, 'instance', None)
    verb = getattr(body, 'verb', type(body).__name__.lower())
    return observations.Dropped(
        method=f'{verb}_instance',
        request_id=str(getattr(order, 'request_id', '')),
        instance_uuid=getattr(instance, 'uuid', None))
