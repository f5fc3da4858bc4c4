# SPDX-License-Identifier: Apache-2.0
"""The order of fencing: levels, requests, and the reading back.

Asks devices through drivers and sleeps by the clock that is handed in;
decides neither whether a host may be fenced (``may_act`` says that, before
every request) nor what follows from a proof.

The rule: a host is proven off when every device of one level reads OFF in
two rounds of queries, one after the other. A request that was accepted,
refused or lost proves nothing; a device that cannot be asked is UNKNOWN, and
so is one that a driver bug hid behind an exception. While the BMC of another
level says that the machine runs, outlets that read OFF prove nothing: they are
another machine's, or some of several.
"""

import collections.abc
import dataclasses
import time
import typing

from nova_pets import exception
from nova_pets.fencing import base
from nova_pets.model import states

Levels = collections.abc.Sequence[
    collections.abc.Sequence[base.FencingDriver]]
OFF = states.PowerState.OFF
UNKNOWN = states.PowerState.UNKNOWN

POLL_FIRST_S = 0.2
POLL_MAX_S = 1.0
"""Between two rounds of queries; doubles, since some BMCs lock up when they
are asked often."""


class Clock(typing.Protocol):
    """Where time comes from; tests hand in a virtual one."""

    def monotonic(self) -> float:
        ...

    def sleep(self, seconds: float) -> None:
        ...


class SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclasses.dataclass(frozen=True, slots=True)
class FenceResult:
    is_proven: bool
    level: int | None
    """Number of the level (from 1) whose devices all read OFF."""
    power: dict[str, states.PowerState]
    """Last reading of each device that was asked, by its label
    ('1.2 redfish': level 1, second device)."""
    detail: str
    """One human sentence with the figures."""
    is_stopped: bool = False
    """may_act said no: nothing was asked of a device after that."""
    requested: tuple[str, ...] = ()
    """Devices that were, or may have been, told to power off."""
    took_s: float = 0.0

    @property
    def evidence(self) -> dict[str, typing.Any]:
        """As stored in the row and the history."""
        return {'level': self.level, 'requested': list(self.requested),
                'power': {label: str(found)
                          for label, found in self.power.items()},
                'took_s': round(self.took_s, 1), 'detail': self.detail}


@dataclasses.dataclass(frozen=True, slots=True)
class PowerReading:
    is_off: bool
    """Every device of one level reads OFF."""
    is_working: bool
    """Every device of one level that can power off gave an answer."""
    power: dict[str, states.PowerState]
    detail: str
    is_partly_off: bool = False
    """In a level, one device reads OFF and another does not."""


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    is_done: bool
    detail: str


def read_power(levels: Levels, timeout_s: float) -> PowerReading:
    """Ask every device once; nothing is switched.

    :param timeout_s: for each device.
    """
    power: dict[str, states.PowerState] = {}
    troubles: dict[str, str] = {}
    is_off = is_working = is_partly_off = False
    for number, level in enumerate(levels, 1):
        found = _read_level(number, level, timeout_s, power, troubles)
        is_off = is_off or _is_level_off(level, found)
        is_working = is_working or (
            _can_fence(level) and UNKNOWN not in found.values())
        is_partly_off = is_partly_off or (
            OFF in found.values() and not _is_level_off(level, found))
    is_off = is_off and not _running(levels, power)
    return PowerReading(is_off, is_working, power,
                        _describe(power, troubles) or 'no device',
                        is_partly_off)


def power_on(levels: Levels, may_act: collections.abc.Callable[
        [], str | None], timeout_s: float) -> Told:
    """Tell every device that reads OFF to power on, once.

    Whatever level was powered off reads OFF now; of two supplies both are
    told, though one of them fails. A level that cannot be asked is left as it
    is. Nothing is read back: the heartbeat will tell.

    :param may_act: asked right before every request; a reason ends it all.
    """
    power: dict[str, states.PowerState] = {}
    told: list[str] = []
    troubles: dict[str, str] = {}
    for number, level in enumerate(levels, 1):
        found = _read_level(number, level, timeout_s, power, troubles)
        for label, driver in _labelled(number, level):
            if found[label] is not OFF or not can_switch_on(level):
                continue
            reason = may_act()
            if reason is not None:
                return Told(False, f'stopped: {reason}')
            told.append(label)
            try:
                driver.power_on(timeout_s)
            except exception.FencingError as error:
                troubles[label] = _found(error)
            # NOTE(pets): a driver may come from anybody. Its text is left
            # out: it may hold a secret.
            except Exception as error:
                troubles[label] = f'driver raised {type(error).__name__}'
    if not told:
        return Told(False, 'no device reads off and can power on ('
                    f'{_describe(power, troubles) or "no device"})')
    wrong = [f'{label}: {troubles[label]}' for label in told
             if label in troubles]
    return Told(not wrong, '; '.join(wrong) or
                f'{", ".join(told)} told to power on')


def fence(levels: Levels, clock: Clock, deadline_s: float,
          may_act: collections.abc.Callable[[], str | None],
          query_timeout_s: float) -> FenceResult:
    """Power the host off and read it back, level by level.

    A level that cannot finish leaves the rest of the time to the next one.
    No device is ever powered on here, and a reboot is never asked for. A
    level that reads OFF already is not told again, and its two rounds are a
    poll apart, because a machine in the middle of a power cycle reads OFF
    for a moment.

    :param deadline_s: for all levels together.
    :param may_act: asked right before every request; a reason ends it all.
    :param query_timeout_s: for one answer of one device.
    """
    return _Fence(clock, deadline_s, may_act, query_timeout_s).run(levels)


class _Stopped(Exception):
    """may_act said no; the reason is its text."""


class _Fence:
    """One attempt; holds what was seen and asked so far."""

    def __init__(self, clock: Clock, deadline_s: float,
                 may_act: collections.abc.Callable[[], str | None],
                 query_timeout_s: float):
        self._clock = clock
        self._began = clock.monotonic()
        self._deadline = self._began + deadline_s
        self._may_act = may_act
        self._query_timeout_s = query_timeout_s
        self._power: dict[str, states.PowerState] = {}
        self._troubles: dict[str, str] = {}
        self._refusals: dict[str, str] = {}
        """What requests met; kept while readings go on."""
        self._requested: list[str] = []
        self._levels: Levels = ()

    def run(self, levels: Levels) -> FenceResult:
        self._levels = levels
        fit = [number for number, level in enumerate(levels, 1)
               if _can_fence(level)]
        if not fit:
            return self._result(None, 'no device can power it off: an '
                                'operator has to, and to confirm it')
        try:
            for place, number in enumerate(fit):
                now = self._clock.monotonic()
                share_s = (self._deadline - now) / (len(fit) - place)
                if self._level(number, levels[number - 1], now + share_s):
                    return self._result(number, self._words(
                        'off' if self._requested else 'was off already'))
        except _Stopped as stopped:
            return self._result(None, f'stopped: {stopped}',
                                is_stopped=True)
        return self._result(None, self._words('not proven off'))

    def _level(self, number: int,
               level: collections.abc.Sequence[base.FencingDriver],
               deadline: float) -> bool:
        """Return True when every device of the level reads OFF."""
        if self._reads_off(number, level):
            self._clock.sleep(POLL_FIRST_S)
            if self._reads_off(number, level):
                return not self._is_contradicted()
        if not self._request(number, level):
            return False
        wait_s = POLL_FIRST_S
        while True:
            if self._reads_off(number, level) and \
                    self._reads_off(number, level) and \
                    not self._is_contradicted():
                return True
            left_s = deadline - self._clock.monotonic()
            if left_s <= 0:
                return False
            self._clock.sleep(min(wait_s, left_s))
            wait_s = min(wait_s * 2, POLL_MAX_S)

    def _request(self, number: int,
                 level: collections.abc.Sequence[base.FencingDriver]
                 ) -> bool:
        """Tell every device of the level that does not read OFF.

        A request that may have been taken is followed by reading; False:
        some device clearly refused, so the level cannot end.
        """
        for label, driver in _labelled(number, level):
            if self._power.get(label) is OFF:
                continue
            reason = self._may_act()
            if reason is not None:
                raise _Stopped(reason)
            self._requested.append(label)
            try:
                driver.power_off(self._timeout_s())
            except exception.FencingError as error:
                self._refusals[label] = _found(error)
                if error.fields.get('is_refused'):
                    return False
            # NOTE(pets): a driver may come from anybody. Whatever it raises
            # after the request began says nothing about the power.
            except Exception as error:
                self._refusals[label] = f'driver raised ' \
                                        f'{type(error).__name__}'
        return True

    def _is_contradicted(self) -> bool:
        """Ask who said that the machine runs once more, and who was not
        asked yet, before a level is believed. Who did not answer is left
        alone: it has lost its power, too."""
        for number, level in enumerate(self._levels, 1):
            is_new = any(
                driver.characteristics.sees_machine and
                label not in self._power
                for label, driver in _labelled(number, level))
            if is_new or _running([level], self._power, number):
                self._read(number, level)
        found = _running(self._levels, self._power)
        for label in found:
            self._troubles[label] = 'the machine runs'
        return bool(found)

    def _reads_off(self, number: int,
                   level: collections.abc.Sequence[base.FencingDriver]
                   ) -> bool:
        return _is_level_off(level, self._read(number, level))

    def _read(self, number: int,
              level: collections.abc.Sequence[base.FencingDriver]
              ) -> dict[str, states.PowerState]:
        return _read_level(number, level, self._timeout_s(), self._power,
                           self._troubles)

    def _timeout_s(self) -> float:
        left_s = self._deadline - self._clock.monotonic()
        return max(min(self._query_timeout_s, left_s), 0.1)

    def _words(self, outcome: str) -> str:
        took_s = self._clock.monotonic() - self._began
        return f'{outcome} after {took_s:.1f} s ' \
               f'({_describe(self._power, self._refusals | self._troubles)})'

    def _result(self, level: int | None, detail: str,
                is_stopped: bool = False) -> FenceResult:
        return FenceResult(
            is_proven=level is not None, level=level,
            power=dict(self._power), detail=detail, is_stopped=is_stopped,
            requested=tuple(self._requested),
            took_s=self._clock.monotonic() - self._began)


def _labelled(number: int,
              level: collections.abc.Sequence[base.FencingDriver]
              ) -> list[tuple[str, base.FencingDriver]]:
    return [(f'{number}.{index} {driver.name}', driver)
            for index, driver in enumerate(level, 1)]


def _read_level(number: int,
                level: collections.abc.Sequence[base.FencingDriver],
                timeout_s: float, power: dict[str, states.PowerState],
                troubles: dict[str, str]) -> dict[str, states.PowerState]:
    """Ask each device of the level once; fills power and troubles."""
    found: dict[str, states.PowerState] = {}
    for label, driver in _labelled(number, level):
        try:
            answer = driver.power_state(timeout_s)
            troubles.pop(label, None)
        except exception.FencingError as error:
            answer = UNKNOWN
            troubles[label] = _found(error)
        # NOTE(pets): a driver may come from anybody, and a bug in it is no
        # answer. Its text is left out: it may hold a secret.
        except Exception as error:
            answer = UNKNOWN
            troubles[label] = f'driver raised {type(error).__name__}'
        if not isinstance(answer, states.PowerState):
            troubles[label] = 'driver gave no power state'
            answer = UNKNOWN
        found[label] = power[label] = answer
    return found


def _is_level_off(level: collections.abc.Sequence[base.FencingDriver],
                  found: dict[str, states.PowerState]) -> bool:
    return (len(found) == len(level) > 0 and
            all(driver.characteristics.reports_power for driver in level) and
            all(answer is OFF for answer in found.values()))


def _running(levels: Levels, power: dict[str, states.PowerState],
             first: int = 1) -> list[str]:
    """Return the labels of the devices that say that the machine runs.

    :param first: the number of the first level.
    """
    return [label for number, level in enumerate(levels, first)
            for label, driver in _labelled(number, level)
            if driver.characteristics.sees_machine and
            power.get(label, UNKNOWN) not in (OFF, UNKNOWN)]


def _can_fence(level: collections.abc.Sequence[base.FencingDriver]) -> bool:
    return len(level) > 0 and all(
        driver.characteristics.can_power_off and
        driver.characteristics.reports_power for driver in level)


def can_switch_on(level: collections.abc.Sequence[base.FencingDriver]
                  ) -> bool:
    return len(level) > 0 and all(
        driver.characteristics.can_power_on and
        driver.characteristics.reports_power for driver in level)


def _found(error: exception.FencingError) -> str:
    return str(error.fields.get('found', error))


def _describe(power: dict[str, states.PowerState],
              troubles: dict[str, str]) -> str:
    return ', '.join(
        f'{label}: {found}' +
        (f' ({troubles[label]})' if label in troubles else '')
        for label, found in power.items())
