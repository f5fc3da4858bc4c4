# SPDX-License-Identifier: Apache-2.0
"""Driver ipmi: a BMC asked by ipmitool over IPMI 2.0 (lanplus).

Asks ``chassis power status`` and tells ``chassis power off`` or ``on``,
nothing else; never cycle, reset or soft. The password goes to ipmitool's
stdin, never to argv, a file or the environment.
"""

import re

from nova_pets import exception
from nova_pets.fencing import base
from nova_pets.fencing import child
from nova_pets.fencing import deadline
from nova_pets.fencing import settings as settings_module
from nova_pets.fencing import wording
from nova_pets.model import states

_KNOWN = ('address', 'port', 'username', 'password', 'cipher_suite',
          'privilege')
_ADDRESS = re.compile(r'[0-9A-Za-z_.:\[\]-]+')
_MOST_PASSWORD_BYTES = 20
"""What IPMI 2.0 has room for; ipmitool would cut or refuse a longer one."""

_STATES = {'Chassis Power is on': states.PowerState.ON,
           'Chassis Power is off': states.PowerState.OFF}
"""All of the answer, not a part of it."""
_DONE = {'off': 'Chassis Power Control: Down/Off',
         'on': 'Chassis Power Control: Up/On'}
_REFUSED = re.compile(r'Set Chassis Power Control to \S+ failed: (?P<why>.*)')
_MAY_BE_OFF = 'in present state'
"""How some BMCs refuse to power off what is off."""
_NO_SESSION = 'Unable to establish'


class IpmiFencing(base.FencingDriver):

    name = 'ipmi'
    characteristics = base.Characteristics(
        can_power_off=True, can_power_on=True, reports_power=True,
        sees_machine=True)

    def __init__(self, host: str, settings: dict[str, object]):
        """:param settings: address, username, password; port (623),
        cipher_suite (17), privilege (administrator)."""
        reader = settings_module.Reader(self.name, settings, _KNOWN)
        self.host = host
        self._address = reader.text('address')
        if not _ADDRESS.fullmatch(self._address) or \
                self._address.startswith('-'):
            raise reader.invalid('expected address to be a name or an IP '
                                 'address; the port has a setting of its own')
        self._port = reader.number('port', 623, 1, 65535)
        self._user = reader.text('username')
        self._password = reader.text('password')
        if len(self._password.encode()) > _MOST_PASSWORD_BYTES:
            raise reader.invalid('expected a password of up to '
                                 f'{_MOST_PASSWORD_BYTES} bytes, as IPMI '
                                 'has no room for more')
        self._cipher_suite = reader.number('cipher_suite', 17, 1, 17)
        self._privilege = reader.choice(
            'privilege', 'administrator', ('administrator', 'operator'))
        self._words = wording.Words([self._password])

    def validate(self) -> None:
        self._program('find ipmitool')

    def power_state(self, timeout_s: float) -> states.PowerState:
        ended = self._call('status', 'read the power', timeout_s)
        if ended.code != 0:
            raise self._error('read the power', self._why(ended))
        return _STATES.get(ended.out.strip(), states.PowerState.UNKNOWN)

    def power_off(self, timeout_s: float) -> None:
        self._switch('off', timeout_s)

    def power_on(self, timeout_s: float) -> None:
        self._switch('on', timeout_s)

    def _switch(self, word: str, timeout_s: float) -> None:
        what = f'switch power {word}'
        ended = self._call(word, what, timeout_s)
        if ended.code == 0 and ended.out.strip() == _DONE[word]:
            return
        refusal = _REFUSED.search(ended.err)
        raise self._error(
            what, self._why(ended),
            is_refused=refusal is not None and
            _MAY_BE_OFF not in refusal['why'])

    def _call(self, word: str, what: str, timeout_s: float) -> child.Ended:
        argv = [
            self._program(what), '-I', 'lanplus', '-H', self._address,
            '-p', str(self._port), '-U', self._user,
            '-L', self._privilege.upper(),
            # Always given: without it ipmitool asks for the list first, and
            # waits ten seconds where a BMC does not know that question.
            '-C', str(self._cipher_suite),
            # Datagrams get lost: the same one is sent again, a second later.
            '-N', '1', '-R', '3', '-f', '/dev/stdin', 'chassis', 'power',
            word]
        try:
            return child.run(argv, f'{self._password}\n', timeout_s)
        except deadline.Expired:
            raise self._error(
                what, f'no answer of {self._address} port {self._port} '
                f'within {timeout_s:.1f} s; expected a BMC that speaks IPMI '
                'over LAN there') from None
        except OSError as error:
            raise self._error(what, 'ipmitool cannot be started: '
                              f'{self._words.of(error)}') from None

    def _program(self, what: str) -> str:
        path = child.find('ipmitool')
        if path is None:
            raise self._error(
                what, f'no ipmitool in {child.PATH}: install it')
        return path

    def _why(self, ended: child.Ended) -> str:
        said = self._words.of(ended.err.strip() or ended.out)
        if _NO_SESSION in ended.err:
            return (f'{said}; expected a session at {self._address} port '
                    f'{self._port} for {self._words.of(self._user)} with '
                    f'cipher suite {self._cipher_suite}: look at user, '
                    'password, privilege, cipher suite (older BMCs know 3), '
                    'and whether the BMC lives')
        return f'ipmitool ended with {ended.code}: {said}'

    def _error(self, what: str, found: str, is_refused: bool = False
               ) -> exception.FencingError:
        return exception.FencingError(
            what=what, host=self.host, device=self.name, found=found,
            is_refused=is_refused)
