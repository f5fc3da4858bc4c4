# SPDX-License-Identifier: Apache-2.0
"""Driver fake: a BMC that is a small file, for tests and demonstrations.

The file holds exactly ``on`` or ``off``; a missing or other one is an error
or UNKNOWN, never off. Powers nothing: refused by the registry without
[pets_fencing] allow_fake. Deterministic: what a device does wrong is said by
its behaviour (settings, or the file beside, read at every call).
"""

import os
import pathlib
import tempfile
import time
import typing

import yaml

from nova_pets import exception
from nova_pets.fencing import base
from nova_pets.model import states

_SETTINGS = frozenset({'state_dir', 'state_file', 'behaviour'})

BEHAVIOURS: dict[str, tuple[type, ...]] = {
    'slow': (int, float),
    'stall': (bool,),
    'refuse': (bool,),
    'drop': (bool,),
    'lie': (bool,),
    'flap': (bool,),
    'unknown': (bool,),
    'unreachable': (bool,),
}
"""slow: seconds from the request until off. stall: takes the request, says
turning_off for ever, stays on. refuse: refuses the request. drop: obeys, and
the reply is lost. lie: says off, stays on. flap: says off and
on by turns, stays on. unknown: every answer is unknown.
unreachable: no answer at all."""


class FakeFencing(base.FencingDriver):

    name = 'fake'
    characteristics = base.Characteristics(
        can_power_off=True, can_power_on=True, reports_power=True,
        is_fake=True, is_by_host=True)

    def __init__(self, host: str, settings: dict[str, object]):
        """:param settings: state_dir (then the file is state_dir/HOST) or
        state_file; behaviour: mapping of BEHAVIOURS, overridden by the YAML
        file STATE_FILE.behaviour."""
        unknown = sorted(set(settings) - _SETTINGS)
        if unknown:
            raise _invalid(f'expected only {", ".join(sorted(_SETTINGS))}, '
                           f'found {", ".join(unknown)}')
        if ('state_dir' in settings) == ('state_file' in settings):
            raise _invalid('expected one of state_dir and state_file')
        if not host or '/' in host or host in ('.', '..'):
            raise _invalid(f'expected a host that names a file, found '
                           f'{host!r}')
        self.host = host
        if 'state_dir' in settings:
            self._file = pathlib.Path(str(settings['state_dir'])) / host
        else:
            self._file = pathlib.Path(str(settings['state_file']))
        self._pending = self._beside('pending')
        self._behaviour = _checked_behaviour(settings.get('behaviour', {}))

    def validate(self) -> None:
        if not self._file.is_file():
            raise self._error('find the state file', f'no {self._file}')
        self._behaviour_now()

    def power_state(self, timeout_s: float) -> states.PowerState:
        behaviour = self._behaviour_now()
        if behaviour.get('unreachable'):
            raise self._error('read the power', 'no answer')
        if behaviour.get('unknown'):
            return states.PowerState.UNKNOWN
        if behaviour.get('flap'):
            return self._flap()
        found = self._read()
        if found is not states.PowerState.ON:
            if found is states.PowerState.OFF:
                self._pending.unlink(missing_ok=True)
            return found
        deadline = self._read_pending()
        if deadline is None:
            return states.PowerState.ON
        if behaviour.get('lie'):
            return states.PowerState.OFF
        if behaviour.get('stall') or time.monotonic() < deadline:
            return states.PowerState.TURNING_OFF
        self._switch('off')
        return states.PowerState.OFF

    def power_off(self, timeout_s: float) -> None:
        behaviour = self._behaviour_now()
        if behaviour.get('unreachable'):
            raise self._error('power off', 'no answer')
        if behaviour.get('refuse'):
            raise self._error('power off', 'refused', is_refused=True)
        self._read()
        if behaviour.get('flap'):
            return
        slow_s = float(behaviour.get('slow', 0))
        if slow_s or behaviour.get('stall') or behaviour.get('lie'):
            if self._read_pending() is None:
                _write(self._pending, repr(time.monotonic() + slow_s))
        else:
            self._switch('off')
        if behaviour.get('drop'):
            raise self._error('power off', 'the reply was lost')

    def power_on(self, timeout_s: float) -> None:
        behaviour = self._behaviour_now()
        if behaviour.get('unreachable'):
            raise self._error('power on', 'no answer')
        if behaviour.get('refuse'):
            raise self._error('power on', 'refused', is_refused=True)
        self._switch('on')

    def _flap(self) -> states.PowerState:
        turn = self._beside('turn')
        if turn.exists():
            turn.unlink()
            return states.PowerState.ON
        turn.touch()
        return states.PowerState.OFF

    def _beside(self, suffix: str) -> pathlib.Path:
        return self._file.with_name(f'{self._file.name}.{suffix}')

    def _read(self) -> states.PowerState:
        try:
            text = self._file.read_text(encoding='utf-8').strip()
        except (OSError, ValueError) as error:
            raise self._error('read the power', str(error)) from None
        if text in ('on', 'off'):
            return states.PowerState(text)
        return states.PowerState.UNKNOWN

    def _read_pending(self) -> float | None:
        """Return when the power goes off; None: nothing was asked."""
        try:
            return float(self._pending.read_text(encoding='utf-8'))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._error('read the power', str(error)) from None

    def _switch(self, word: str) -> None:
        try:
            _write(self._file, word)
            self._pending.unlink(missing_ok=True)
        except OSError as error:
            raise self._error(f'power {word}', str(error)) from None

    def _behaviour_now(self) -> dict[str, typing.Any]:
        path = self._beside('behaviour')
        try:
            text = path.read_text(encoding='utf-8')
        except FileNotFoundError:
            return self._behaviour
        try:
            return self._behaviour | _checked_behaviour(
                yaml.safe_load(text) or {})
        except (yaml.YAMLError, exception.BindingsInvalid) as error:
            raise self._error('read the behaviour', str(error)) from None

    def _error(self, what: str, found: str, is_refused: bool = False
               ) -> exception.FencingError:
        return exception.FencingError(
            what=what, host=self.host, device=self.name, found=found,
            is_refused=is_refused)


def _checked_behaviour(found: typing.Any) -> dict[str, typing.Any]:
    if not isinstance(found, dict):
        raise _invalid('expected behaviour to be a mapping')
    for name, value in found.items():
        if name not in BEHAVIOURS:
            raise _invalid(f'expected a behaviour of '
                           f'{", ".join(BEHAVIOURS)}, found {name!r}')
        if type(value) not in BEHAVIOURS[name]:
            raise _invalid(f'behaviour {name}: expected '
                           f'{BEHAVIOURS[name][-1].__name__}')
    return dict(found)


def _write(path: pathlib.Path, text: str) -> None:
    """Replace the file as a whole: a reader never sees half a word."""
    handle, name = tempfile.mkstemp(dir=path.parent,
                                    prefix=f'.{path.name}.')
    try:
        with os.fdopen(handle, 'w', encoding='utf-8') as file:
            file.write(text)
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise


def _invalid(problem: str) -> exception.BindingsInvalid:
    return exception.BindingsInvalid(
        path='', where='', problem=f'driver fake: {problem}')
