# SPDX-License-Identifier: Apache-2.0
"""Driver manual: a person powers the host off and says so.

Asks no device: its power is always UNKNOWN here. The proof is the operator's
``nova-manage pets confirm_fenced HOST``, a control that planning weighs.
"""

from nova_pets import exception
from nova_pets.fencing import base
from nova_pets.model import states


class ManualFencing(base.FencingDriver):

    name = 'manual'
    characteristics = base.Characteristics(
        can_power_off=False, can_power_on=False, reports_power=False,
        is_by_host=True)

    def __init__(self, host: str, settings: dict[str, object]):
        """:param settings: note: what a person needs to find the machine
        (rack, phone number)."""
        unknown = sorted(set(settings) - {'note'})
        if unknown or not isinstance(settings.get('note', ''), str):
            raise exception.BindingsInvalid(
                path='', where='', problem='driver manual: expected only '
                f'note (text), found {", ".join(unknown) or "no text"}')
        self.host = host
        self.note = str(settings.get('note', ''))

    def validate(self) -> None:
        """A person needs no check."""

    def power_state(self, timeout_s: float) -> states.PowerState:
        return states.PowerState.UNKNOWN

    def power_off(self, timeout_s: float) -> None:
        raise self._refused('power off')

    def power_on(self, timeout_s: float) -> None:
        raise self._refused('power on')

    def _refused(self, what: str) -> exception.FencingError:
        note = f' ({self.note})' if self.note else ''
        return exception.FencingError(
            what=what.replace('power', 'switch power', 1), host=self.host,
            device=self.name, is_refused=True,
            found=f'only a person can{note}; then run "nova-manage pets '
                  f'confirm_fenced {self.host}"')
