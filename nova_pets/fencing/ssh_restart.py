# SPDX-License-Identifier: Apache-2.0
"""Restarting nova-compute on a host that lives, by ssh; a library, no child.

One login, one command, within one deadline; never retried here. The key of
the host must be known before (``known_hosts``), or nothing is sent: whoever
answers in its place gets no login. Only the key that is configured is
offered, no agent's and none of the user's. The command's own words are cut
and shown without secrets; what it was given on stdin is nothing.
"""

import collections.abc
import io
import logging
import re
import socket
import typing

import paramiko

from nova_pets import exception
from nova_pets.fencing import deadline
from nova_pets.fencing import settings as settings_module
from nova_pets.fencing import wording

_KNOWN = ('address', 'port', 'user', 'private_key', 'passphrase',
          'known_hosts', 'command')
COMMAND = 'systemctl restart nova-compute'
NAME = 'ssh'
_HOST = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]*')
_KEYS = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
_MOST_BYTES = 4096

_CHANNEL = 'nova_pets.fencing.ssh_restart.paramiko'
# paramiko tells at INFO who logs in where, and at DEBUG far more.
logging.getLogger(_CHANNEL).setLevel(logging.CRITICAL + 1)


class SshRestart:
    """:param settings: user, private_key, known_hosts; address (the host's
    name), port (22), passphrase, command (COMMAND)."""

    def __init__(self, host: str, settings: dict[str, object]):
        reader = settings_module.Reader(NAME, settings, _KNOWN)
        if not _HOST.fullmatch(host):
            raise reader.invalid(f'expected a host name, found {host!r}')
        self.host = host
        self._address = reader.text('address') if 'address' in settings \
            else host
        self._port = reader.number('port', 22, 1, 65535)
        self._user = reader.text('user')
        key = settings.get('private_key')
        if not isinstance(key, str) or not key:
            raise reader.invalid('expected private_key_file, found none')
        self._key = key
        self._passphrase = reader.text('passphrase') \
            if 'passphrase' in settings else None
        self._known_hosts = reader.text('known_hosts')
        self._command = reader.text('command') if 'command' in settings \
            else COMMAND
        self._words = wording.Words(
            [self._key, *self._key.splitlines()[1:-1],
             self._passphrase or ''])

    def check(self, timeout_s: float) -> None:
        """Log in and do nothing.

        :raises FencingError:
        """
        self._within(timeout_s, 'log in', lambda client: None)

    def restart(self, timeout_s: float) -> str:
        """Run the command; return what became of it.

        :raises FencingError: it failed, or nobody knows.
        """
        return self._within(timeout_s, 'restart nova-compute', self._run)

    # -- inside --------------------------------------------------------------

    def _run(self, client: paramiko.SSHClient) -> str:
        # The operator wrote the command; nothing of a host is in it.
        _, out, _ = client.exec_command(self._command)  # nosec B601
        channel = out.channel
        channel.set_combine_stderr(True)
        channel.shutdown_write()
        said = b''
        while True:
            more = channel.recv(_MOST_BYTES)
            if not more:
                break
            said = (said + more)[:_MOST_BYTES]
        status = channel.recv_exit_status()
        if status != 0:
            raise self._error(
                'restart nova-compute',
                f'exit status {status} of the command, which said: '
                f'{self._words.of(said)}' if status > 0 else
                'the connection ended before the command did')
        return 'the command has ended well'

    def _within(self, timeout_s: float, what: str,
                deed: collections.abc.Callable[[paramiko.SSHClient],
                                               typing.Any]) -> typing.Any:
        leash = _Leash()
        try:
            return deadline.within(
                timeout_s, lambda: self._login(leash, what, timeout_s, deed),
                leash.cut)
        except deadline.Expired:
            raise self._error(
                what, f'no end within {timeout_s:.0f} s; whether it was '
                f'done is not known') from None
        except exception.FencingError:
            raise
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._error(what, self._phrase(error)) from None

    def _login(self, leash: '_Leash', what: str, timeout_s: float,
               deed: collections.abc.Callable[[paramiko.SSHClient],
                                              typing.Any]) -> typing.Any:
        client = paramiko.SSHClient()
        client.set_log_channel(_CHANNEL)
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            client.load_host_keys(self._known_hosts)
        except OSError as error:
            raise self._error(what, f'known_hosts cannot be read: '
                              f'{self._phrase(error)}') from None
        key = self._private_key(what)
        sock = leash.hold(socket.create_connection(
            (self._address, self._port), timeout_s))
        try:
            client.connect(
                self._address, self._port, self._user, pkey=key, sock=sock,
                allow_agent=False, look_for_keys=False,
                banner_timeout=timeout_s, auth_timeout=timeout_s)
            leash.check()
            return deed(client)
        finally:
            leash.cut()
            client.close()

    def _private_key(self, what: str) -> paramiko.PKey:
        for kind in _KEYS:
            try:
                return kind.from_private_key(io.StringIO(self._key + '\n'),
                                             self._passphrase)
            except paramiko.PasswordRequiredException:
                raise self._error(what, 'the private key has a passphrase, '
                                  'and none is configured') from None
            # NOTE(pets): what another kind of key raises depends on the
            # version; its text may hold a part of the key.
            except Exception:  # nosec B112
                continue
        raise self._error(what, 'the private key is none of Ed25519, ECDSA '
                          'and RSA, or its passphrase is another')

    def _phrase(self, error: BaseException) -> str:
        if isinstance(error, paramiko.BadHostKeyException):
            return (f'another host key than {self._known_hosts} has for it: '
                    f'not logged in')
        if isinstance(error, paramiko.AuthenticationException):
            return f'the login of {self._user} was refused'
        text = str(error)
        if 'not found in known_hosts' in text:
            return (f'{self._known_hosts} has no key of it: not logged in')
        return self._words.of(f'{type(error).__name__}: {text}')

    def _error(self, what: str, found: str) -> exception.FencingError:
        return exception.FencingError(
            what=what, host=self.host, device=NAME, found=found)


class _Leash:
    """The socket of one call; nothing is sent once it is cut."""

    def __init__(self) -> None:
        self._sock: socket.socket | None = None
        self._is_cut = False

    def hold(self, sock: socket.socket) -> socket.socket:
        self._sock = sock
        self.check()
        return sock

    def check(self) -> None:
        """:raises OSError: the deadline is over."""
        if self._is_cut:
            self.cut()
            raise OSError('the deadline is over')

    def cut(self) -> None:
        """Close it, so that whatever waits for it ends; does not wait."""
        self._is_cut = True
        if self._sock is not None:
            try:
                self._sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._sock.close()
