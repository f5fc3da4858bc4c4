# SPDX-License-Identifier: Apache-2.0
"""The false nova-scheduler's answer: row 13 of the evacuate path.

Runs inside the process of one scheduler worker, beside the engine there.
First the gate, then placement's candidates, then filters, then the claim
that doubles the allocations. The gate and the filters are handed in.
"""

import collections.abc
import dataclasses
import typing

from nova_pets import exception
from nova_pets.simulator import kernel as kernel_module
from nova_pets.simulator import nova_errors as errors
from nova_pets.simulator import nova_orders as orders

if typing.TYPE_CHECKING:
    from nova_pets.simulator import nova as nova_module


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What the gate and the filters see of one request."""

    request_id: str
    instance_uuid: str
    source: str
    """The first of the hosts that are left out."""
    cell_uuid: str


Gate = collections.abc.Callable[[Request], None]
"""May raise exception.GateRefused, or anything."""
Filters = collections.abc.Callable[[Request, list[str]], list[str]]
"""Returns the hosts that pass; may raise as a gate may."""


def _pass(request: Request) -> None:
    pass


def _pass_all(request: Request, hosts: list[str]) -> list[str]:
    return hosts


class Scheduler:
    def __init__(self, nova: 'nova_module.Nova',
                 process: kernel_module.Process, gate: Gate = _pass,
                 filters: Filters = _pass_all):
        self.process = process
        self._nova = nova
        self._gate = gate
        self._filters = filters

    def take(self, order: typing.Any) -> None:
        """Work on one call, as a task of the process."""
        if order.expires <= self._nova.kernel.now:
            return
        order.taken_by.append(self.process)
        self.process.spawn(lambda: self._answer(order))

    def _answer(self, order: orders.Select) -> None:
        host, error = None, None
        try:
            host = self.select(order)
        except errors.NovaError as caught:
            error = caught
        except exception.PetsException as refused:
            # Whatever class it is, conductor gets oslo.messaging's.
            error = errors.RemoteError(f'{type(refused).__name__} {refused}')
        if self._nova.world.broker.is_up:
            self._nova.kernel.after(0.005,
                                    lambda: order.answer.put(host, error))

    def select(self, order: orders.Select) -> str:
        """Return the host that was claimed for the instance.

        :raises NoValidHost: also where placement is away.
        """
        nova, instance = self._nova, order.instance
        request = Request(order.request_id, instance.uuid,
                          instance.host or '', instance.cell)
        self._step('gate', request)
        self._gate(request)
        nova.may_fail('schedule', instance.uuid, self.process.name,
                      errors.RemoteError)
        self._step('candidates', request)
        if not nova.world.is_placement_up:
            raise errors.NoValidHost('placement is away')
        hosts = [host for host in nova.candidates(instance.cell)
                 if host not in order.excluded and
                 order.wanted_host in (None, host) and
                 not nova.breaks_group(instance, host)]
        hosts = self._filters(request, hosts)
        if not hosts:
            raise errors.NoValidHost('no host passed')
        self._step('claims', request)
        nova.may_fail('placement_claim', instance.uuid, self.process.name,
                      errors.RemoteError)
        if not nova.world.is_placement_up:
            raise errors.NoValidHost('placement is away')
        return self._claim(instance.uuid, hosts)

    def _claim(self, uuid: str, hosts: list[str]) -> str:
        """Take the room of the host with most of it."""
        nova = self._nova
        for host in sorted(hosts, key=lambda host: (-nova.free_room(host),
                                                    host)):
            if nova.free_room(host) > 0:
                nova.api.allocate(uuid, host)
                nova.kernel.note('nova', 'claimed', uuid, host)
                return host
        raise errors.NoValidHost('no room is left')

    def _step(self, name: str, request: Request) -> None:
        nova = self._nova
        nova.kernel.note('nova', name, request.instance_uuid,
                         self.process.name)
        held = nova.at_step(name, request.instance_uuid, self.process.name)
        if held is not None:
            nova.kernel.yield_until(held)
        nova.kernel.sleep(nova.latency_s())
