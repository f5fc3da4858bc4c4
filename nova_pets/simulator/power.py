# SPDX-License-Identifier: Apache-2.0
"""The false BMCs as fencing drivers, in front of one engine.

A driver asks and tells a world.Bmc, as far as that one feels like answering
and the engine's machine reaches it. The order of fencing is the product's
(fencing/sequence.py).
"""

import collections.abc
import typing

from nova_pets import exception
from nova_pets.fencing import base as fencing_base
from nova_pets.model import policy
from nova_pets.model import states
from nova_pets.simulator import kernel as kernel_module
from nova_pets.simulator import world as world_module

if typing.TYPE_CHECKING:
    from nova_pets.simulator.engines import Worker

P = states.PowerState
B = world_module.Power


class Devices:
    """What fencer.Fencer asks for drivers: one false BMC per host."""

    def __init__(self, worker: 'Worker'):
        self._worker = worker
        self._levels: dict[str, typing.Any] = {}

    def bound(self, hosts: collections.abc.Iterable[str]) -> frozenset[str]:
        bmcs = self._worker.cloud.world.bmcs
        return frozenset(
            host for host in hosts if host in bmcs and
            bmcs[host].behaviour is not B.UNBOUND)

    def can_power_on(self, hosts: collections.abc.Iterable[str]
                     ) -> frozenset[str]:
        return self.bound(hosts)

    def ladders(self, hosts: collections.abc.Iterable[str]
                ) -> dict[str, policy.Ladder]:
        return {}

    def restarter(self, host: str) -> None:
        return None

    def digest(self) -> str:
        return 'simulated'

    def problem(self) -> str | None:
        return None

    def uses_fake(self) -> bool:
        return False

    def levels(self, host: str) -> typing.Any:
        if host not in self._levels:
            driver = BmcDriver(host, {}, self._worker)
            self._levels[host] = ((driver,),)
        return self._levels[host]


class BmcDriver(fencing_base.FencingDriver):
    """Asks and tells a world.Bmc, as far as it feels like answering."""

    name = 'bmc'
    characteristics = fencing_base.Characteristics(
        can_power_off=True, can_power_on=True, reports_power=True)

    def __init__(self, host: str, settings: dict[str, object],
                 worker: 'Worker | None' = None):
        assert worker is not None  # nosec: only Devices makes one
        self._host = host
        self._worker = worker
        self._world = worker.cloud.world

    def validate(self) -> None:
        pass

    def power_state(self, timeout_s: float) -> P:
        bmc = self._reach(timeout_s, 'power_state')
        host = self._world.hosts[bmc.host]
        if bmc.behaviour is B.SAYS_OFF:
            return P.OFF
        if bmc.behaviour is B.SAYS_ON:
            return P.ON
        if bmc.is_turning_off and host.is_powered:
            return P.TURNING_OFF
        return P.ON if host.is_powered else P.OFF

    def power_off(self, timeout_s: float) -> None:
        self._told('power_off', timeout_s, self._switch_off)
        if self._world.bmcs[self._host].behaviour is B.DROPS:
            self._kernel.sleep(timeout_s)
            raise self._error('no answer')

    def _switch_off(self, bmc: world_module.Bmc) -> None:
        if bmc.behaviour is B.REFUSES:
            raise self._error('refused', is_refused=True)
        if bmc.behaviour is B.STALLS:
            bmc.is_turning_off = True
        elif bmc.behaviour is not B.SAYS_OFF:
            self._world.power_off(bmc.host)

    def power_on(self, timeout_s: float) -> None:
        self._told('power_on', timeout_s,
                   lambda bmc: self._world.power_on(bmc.host))

    def _told(self, method: str, timeout_s: float,
              deed: collections.abc.Callable[[world_module.Bmc], None]
              ) -> None:
        """One call that changes something, as Port makes them."""
        self._worker.before('bmc', method, (self._host,))
        try:
            deed(self._reach(timeout_s, method))
        except exception.FencingError:
            self._worker.call_failed('bmc', method)
            raise
        self._worker.after('bmc', method)

    @property
    def _kernel(self) -> kernel_module.Kernel:
        return self._worker.cloud.kernel

    def _reach(self, timeout_s: float, what: str) -> world_module.Bmc:
        """Return the BMC once it listens.

        :raises FencingError: it does not, within the time.
        """
        worker = self._worker
        bmc = self._world.bmcs[self._host]
        is_cut = worker.machine.is_cut_off or worker.machine.sees_no_hosts
        if is_cut or bmc.behaviour in (B.MUTE, B.UNBOUND):
            self._kernel.sleep(timeout_s)
            raise self._error('no answer')
        delay_s = worker.latency_s() + (
            bmc.delay_s if bmc.behaviour is B.SLOW else 0.0)
        self._kernel.sleep(min(delay_s, timeout_s))
        if delay_s > timeout_s:
            raise self._error(f'no answer within {timeout_s:.0f} s')
        return bmc

    def _error(self, found: str, is_refused: bool = False) -> Exception:
        return exception.FencingError(what='ask or tell', host=self._host,
                                      device='bmc', found=found,
                                      is_refused=is_refused)
