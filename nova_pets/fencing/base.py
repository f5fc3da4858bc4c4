# SPDX-License-Identifier: Apache-2.0
"""The contract of fencing drivers: facts, no decisions.

A driver never retries, sleeps or reads CONF; its settings come to its
constructor. Anything but a clear answer raises FencingError or is
PowerState.UNKNOWN. Only OFF, read back by a separate query, fences.
"""

import abc
import dataclasses

from nova_pets.model import states


@dataclasses.dataclass(frozen=True, slots=True)
class Characteristics:
    can_power_off: bool
    """False: only reports (manual)."""
    can_power_on: bool
    reports_power: bool
    """False: its state query is only an operator's word."""
    is_fake: bool = False
    """True: powers nothing; refused without [pets_fencing] allow_fake."""
    sees_machine: bool = False
    """True: its ON means that the machine runs, whatever an outlet reads."""
    is_by_host: bool = False
    """True: which device it is follows from the host's name, so that equal
    settings of two hosts do not mean one device."""


class FencingDriver(abc.ABC):
    """One device of one host."""

    name: str = ''
    characteristics: Characteristics

    @abc.abstractmethod
    def __init__(self, host: str, settings: dict[str, object]):
        """:raises BindingsInvalid: unknown or missing setting; cheap, no
        connection is made."""

    @abc.abstractmethod
    def validate(self) -> None:
        """Cheap checks that need no answer of the device.

        :raises FencingError:
        """

    def warnings(self) -> tuple[str, ...]:
        """Return sentences about settings that are allowed and unwise."""
        return ()

    @abc.abstractmethod
    def power_state(self, timeout_s: float) -> states.PowerState:
        """:param timeout_s: the longest that this call may take, all in all.
        :raises FencingError: could not be asked.
        """

    @abc.abstractmethod
    def power_off(self, timeout_s: float) -> None:
        """Ask for an immediate power-off (never a reboot). Returning says
        only that the device took the request.

        :raises FencingError: unknown whether it took it; with the field
            is_refused: the device surely will not do it.
        """

    @abc.abstractmethod
    def power_on(self, timeout_s: float) -> None:
        ...
