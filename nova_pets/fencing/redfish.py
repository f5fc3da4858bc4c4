# SPDX-License-Identifier: Apache-2.0
"""Driver redfish: a BMC asked by sushy over HTTPS.

Reads PowerState and posts ForceOff, or On; no other reset. Each call logs in
by HTTP's basic authentication and leaves no session behind: a BMC has few,
and a session that a killed process leaves there is one that others lack.
"""

import collections.abc
import pathlib
import re
import typing

import requests
import sushy
from sushy import auth
from sushy import connector
from sushy import exceptions

from nova_pets import exception
from nova_pets.fencing import base
from nova_pets.fencing import deadline
from nova_pets.fencing import https
from nova_pets.fencing import settings as settings_module
from nova_pets.fencing import wording
from nova_pets.model import states

T = typing.TypeVar('T')

_KNOWN = ('address', 'username', 'password', 'system', 'ca_file', 'insecure')
_SYSTEMS = '/redfish/v1/Systems'
_STATES = {'On': states.PowerState.ON,
           'Off': states.PowerState.OFF,
           'PoweringOn': states.PowerState.TURNING_ON,
           'PoweringOff': states.PowerState.TURNING_OFF}
_MAY_BE_DONE = (400, 408, 409, 425, 429)
"""Refusals which some BMCs give when the power is off already, or later."""
_MOST_LISTED = 8
_SYSTEM_ERROR = re.compile(r'\[Errno -?\d+\] (?P<why>[^\'")]+)')


class _Connector(connector.Connector):
    """sushy's, for one address and one call."""

    def __init__(self, address: str, verify: bool | str, timeout_s: float,
                 leash: https.Leash):
        # One try: sushy's own retries would post again, and wait between.
        super().__init__(address, verify=verify, server_side_retries=1,
                         default_request_timeout=timeout_s,
                         connect_timeout=timeout_s)
        https.confine(self._session, address, leash)


class RedfishFencing(base.FencingDriver):

    name = 'redfish'
    characteristics = base.Characteristics(
        can_power_off=True, can_power_on=True, reports_power=True,
        sees_machine=True)

    def __init__(self, host: str, settings: dict[str, object]):
        """:param settings: address (https://HOST[:PORT]), username,
        password; system, its id or path (not needed where there is one);
        ca_file, or insecure: true."""
        reader = settings_module.Reader(self.name, settings, _KNOWN)
        self.host = host
        try:
            self._address = https.origin_of(reader.text('address'))
        except ValueError as error:
            raise reader.invalid(f'address: {error}') from None
        self._user = reader.text('username')
        self._password = reader.text('password')
        self._system = reader.text('system') if 'system' in settings else ''
        self._ca_file = reader.text('ca_file') if 'ca_file' in settings \
            else ''
        self._is_insecure = reader.flag('insecure', False)
        if self._ca_file and self._is_insecure:
            raise reader.invalid('expected one of ca_file and insecure')
        self._words = wording.Words([self._password], self._user)

    def validate(self) -> None:
        if self._ca_file and not pathlib.Path(self._ca_file).is_file():
            raise self._error('read ca_file', f'no file {self._ca_file}')

    def warnings(self) -> tuple[str, ...]:
        if not self._is_insecure:
            return ()
        return ('insecure is true: whoever stands between can read the '
                'password and answer in the name of the BMC; expected '
                'ca_file',)

    def power_state(self, timeout_s: float) -> states.PowerState:
        found = self._call('read the power', timeout_s,
                           lambda system: system.json.get('PowerState'))
        return (_STATES.get(found, states.PowerState.UNKNOWN)
                if isinstance(found, str) else states.PowerState.UNKNOWN)

    def power_off(self, timeout_s: float) -> None:
        self._reset('switch power off', timeout_s, sushy.ResetType.FORCE_OFF)

    def power_on(self, timeout_s: float) -> None:
        self._reset('switch power on', timeout_s, sushy.ResetType.ON)

    def _reset(self, what: str, timeout_s: float, kind: sushy.ResetType
               ) -> None:
        def reset(system: typing.Any) -> None:
            allowed = system.get_allowed_reset_system_values()
            if kind not in allowed:
                raise self._error(
                    what, f'expected {kind.value} to be allowed, found ' +
                    self._words.of(', '.join(sorted(
                        one.value for one in allowed))), is_refused=True)
            system.reset_system(kind)

        self._call(what, timeout_s, reset)

    # -- one call -----------------------------------------------------------

    def _call(self, what: str, timeout_s: float,
              use: collections.abc.Callable[[typing.Any], T]) -> T:
        leash = https.Leash()
        try:
            return deadline.within(
                timeout_s, lambda: self._ask(what, timeout_s, use, leash),
                leash.cut)
        except deadline.Expired:
            raise self._error(
                what, f'no whole answer of {self._address} within '
                f'{timeout_s:.1f} s') from None
        except exception.FencingError:
            raise
        except exceptions.HTTPError as error:
            raise self._http_error(what, error) from None
        except (exceptions.SushyError, requests.RequestException,
                OSError) as error:
            raise self._no_answer(what, error) from None
        # NOTE(pets): whatever a BMC replies ends up in sushy's parsers. Its
        # kind is enough: the text may hold anything.
        except Exception as error:
            raise self._error(
                what, f'expected Redfish from {self._address}, found '
                f'something else ({type(error).__name__})') from None

    def _ask(self, what: str, timeout_s: float,
             use: collections.abc.Callable[[typing.Any], T],
             leash: https.Leash) -> T:
        link = _Connector(self._address, self._ca_file or
                          not self._is_insecure, timeout_s, leash)
        try:
            root = sushy.Sushy(
                self._address, connector=link,
                auth=auth.BasicAuth(self._user, self._password))
            return use(self._find(what, root))
        finally:
            link.close()
            leash.let_go()

    def _find(self, what: str, root: typing.Any) -> typing.Any:
        """Return the machine; never one of several, and never another."""
        path = self._system
        if not path:
            listed = self._listed(root)
            if len(listed) != 1:
                raise self._error(
                    what, 'expected the setting system, as the BMC has '
                    f'{len(listed)}: {self._list(listed)}', is_refused=True)
            path = listed[0]
        elif not path.startswith('/'):
            path = f'{_SYSTEMS}/{path}'
        try:
            system = root.get_system(path)
        except exceptions.ResourceNotFoundError:
            raise self._error(
                what, f'no system {path}; the BMC has '
                f'{self._list(self._listed(root))}',
                is_refused=True) from None
        kind = system.json.get('@odata.type', '')
        if kind and not str(kind).startswith('#ComputerSystem.'):
            raise self._error(
                what, f'expected {path} to be a ComputerSystem, found '
                f'{self._words.of(kind)}', is_refused=True)
        return system

    def _listed(self, root: typing.Any) -> list[str]:
        return [str(one) for one in
                root.get_system_collection().members_identities]

    def _list(self, paths: list[str]) -> str:
        more = len(paths) - _MOST_LISTED
        text = ', '.join(path.removeprefix(f'{_SYSTEMS}/')
                         for path in paths[:_MOST_LISTED])
        return self._words.of(text or 'none', 400) + (
            f' and {more} more' if more > 0 else '')

    # -- its errors -----------------------------------------------------------

    def _http_error(self, what: str, error: exceptions.HTTPError
                    ) -> exception.FencingError:
        code = error.status_code or 0
        if isinstance(error, exceptions.AccessError):
            found = (f'{self._address} answers {code}: expected it to let '
                     f'{self._words.of(self._user)} in; look at username, '
                     'password and rights, and whether basic '
                     'authentication is switched on')
        else:
            found = f'{self._address} answers {code}: ' \
                    f'{self._words.of(error.detail or error.message)}'
        return self._error(what, found, is_refused=(
            400 <= code < 500 and code not in _MAY_BE_DONE))

    def _no_answer(self, what: str, error: Exception
                   ) -> exception.FencingError:
        text = str(error)
        if 'CERTIFICATE_VERIFY_FAILED' in text:
            return self._error(
                what, f'the certificate of {self._address} is not trusted '
                f'({self._words.of(_after(text, "verify failed:"), 80)}); '
                'expected ca_file to name what signed it', is_refused=True)
        found = _SYSTEM_ERROR.search(text)
        if found is not None:
            return self._error(what, f'no connection to {self._address}: '
                               f'{self._words.of(found["why"])}')
        return self._error(what, f'no answer of {self._address}: ' +
                           self._words.of(_after(text, 'Error:')))

    def _error(self, what: str, found: str, is_refused: bool = False
               ) -> exception.FencingError:
        return exception.FencingError(
            what=what, host=self.host, device=self.name, found=found,
            is_refused=is_refused)


def _after(text: str, mark: str) -> str:
    """Return what follows the mark, up to the end of the bracket."""
    return text.partition(mark)[2].partition('(_ssl')[0] or text
