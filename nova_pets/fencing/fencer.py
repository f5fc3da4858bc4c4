# SPDX-License-Identifier: Apache-2.0
"""The engine's hands on power: registry, sequence and limits in one place.

Decides nothing: whether a host may be fenced is asked before every request.
"""

import collections.abc

from nova_pets import exception
from nova_pets.fencing import registry
from nova_pets.fencing import sequence
from nova_pets.model import policy


class Fencer:
    """:param query_timeout_s: for one answer of one device.
    :param fence_timeout_s: for a whole fencing attempt, all levels.
    """

    def __init__(self, devices: registry.Registry, clock: sequence.Clock,
                 query_timeout_s: float, fence_timeout_s: float):
        self._devices = devices
        self._clock = clock
        self._query_timeout_s = query_timeout_s
        self._fence_timeout_s = fence_timeout_s

    def bound(self, hosts: collections.abc.Iterable[str]) -> frozenset[str]:
        return self._devices.bound(hosts)

    def can_power_on(self, hosts: collections.abc.Iterable[str]
                     ) -> frozenset[str]:
        return self._devices.can_power_on(hosts)

    def ladders(self, hosts: collections.abc.Iterable[str]
                ) -> dict[str, policy.Ladder]:
        return self._devices.ladders(hosts)

    def digest(self) -> str:
        return self._devices.digest()

    def problem(self) -> str | None:
        return self._devices.problem()

    def uses_fake(self) -> bool:
        return self._devices.uses_fake()

    def read(self, host: str) -> sequence.PowerReading:
        """Ask every device of the host once; nothing is switched."""
        try:
            levels = self._devices.levels(host)
        except exception.BindingsInvalid as error:
            return sequence.PowerReading(False, False, {}, str(error))
        return sequence.read_power(levels, self._query_timeout_s)

    def check(self, host: str) -> sequence.PowerReading:
        """As read, for a person: what needs no device is looked at first."""
        try:
            for level in self._devices.levels(host):
                for driver in level:
                    driver.validate()
        except (exception.BindingsInvalid, exception.FencingError) as error:
            return sequence.PowerReading(False, False, {}, str(error))
        # NOTE(pets): a driver may come from anybody. Its text is left out:
        # it may hold a secret.
        except Exception as error:
            return sequence.PowerReading(
                False, False, {}, f'a driver raised {type(error).__name__}')
        return self.read(host)

    def fence(self, host: str, may_act: collections.abc.Callable[
            [], str | None]) -> sequence.FenceResult:
        try:
            levels = self._devices.levels(host)
        except exception.BindingsInvalid as error:
            return sequence.FenceResult(False, None, {}, str(error))
        return sequence.fence(levels, self._clock, self._fence_timeout_s,
                              may_act, self._query_timeout_s)

    def power_on(self, host: str, may_act: collections.abc.Callable[
            [], str | None]) -> sequence.Told:
        try:
            levels = self._devices.levels(host)
        except exception.BindingsInvalid as error:
            return sequence.Told(False, str(error))
        return sequence.power_on(levels, may_act, self._query_timeout_s)

    def restart_service(self, host: str, may_act: collections.abc.Callable[
            [], str | None]) -> sequence.Told:
        """Restart nova-compute there by ssh, once."""
        try:
            found = self._devices.restarter(host)
            if found is None:
                return sequence.Told(False, 'no restart is configured')
            reason = may_act()
            if reason is not None:
                return sequence.Told(False, f'stopped: {reason}')
            return sequence.Told(True, found[0].restart(found[1]))
        except (exception.BindingsInvalid, exception.FencingError) as error:
            return sequence.Told(False, str(error))

    def check_restart(self, host: str) -> sequence.Told:
        """Log in as a restart would, and do nothing; for a person."""
        try:
            found = self._devices.restarter(host)
            if found is None:
                return sequence.Told(False, 'no restart is configured')
            found[0].check(found[1])
        except (exception.BindingsInvalid, exception.FencingError) as error:
            return sequence.Told(False, str(error))
        return sequence.Told(True, 'the login works')
