# SPDX-License-Identifier: Apache-2.0
"""From bindings to drivers: which devices fence a host, now.

Built from settings, reads no CONF. Follows the bindings file while it
changes: a new content that cannot be used is reported (``problem``), and the
last good one stays in force. Asks no device (fencing/sequence.py does).
"""

import collections.abc
import hashlib
import os
import threading
import time
import typing

from stevedore import extension

from nova_pets import exception
from nova_pets.fencing import base
from nova_pets.fencing import bindings
from nova_pets.fencing import pointers
from nova_pets.fencing import sharing
from nova_pets.fencing import ssh_restart
from nova_pets.model import policy

NAMESPACE = 'nova_pets.fencing'

Levels = tuple[tuple[base.FencingDriver, ...], ...]
Drivers = collections.abc.Mapping[str, type[base.FencingDriver]]

_RACY_NS = 2_000_000_000
"""A file written so short ago may change again without a new mtime."""


def known_drivers() -> dict[str, type[base.FencingDriver]]:
    """Return the installed drivers; one that cannot be imported is left
    out (a binding that names it is refused)."""
    manager = extension.ExtensionManager(
        NAMESPACE, on_load_failure_callback=_ignore_broken_plugin)
    return {ext.name: ext.plugin for ext in manager}


def _ignore_broken_plugin(manager: typing.Any, entry_point: typing.Any,
                          error: BaseException) -> None:
    """Somebody else's broken plugin must not take the others along."""


class Registry:
    """The bindings in force, and the drivers of a host.

    May be used by many threads. Every method first looks whether the file
    has changed, which costs one stat.
    """

    def __init__(self, path: str, allow_fake: bool = False,
                 drivers: Drivers | None = None,
                 read_reference: pointers.ReadReference | None = None):
        """:param path: [pets_fencing] bindings_file; need not exist.
        :param drivers: {name: class}; None: the installed ones.
        :param read_reference: what password_castellan is read by.
        """
        self._path = path
        self._allow_fake = allow_fake
        self._drivers = known_drivers() if drivers is None else drivers
        self._read_reference = read_reference
        self._lock = threading.Lock()
        self._bindings = bindings.Bindings(path)
        self._uses_fake = False
        self._seen: tuple[int, ...] | None = None
        self._content_hash = ''
        self._problem: str | None = None
        self._follow()

    # -- what is bound -------------------------------------------------------

    def problem(self) -> str | None:
        """Return what is wrong with the file now; None: nothing."""
        self._follow()
        return self._problem

    def digest(self) -> str:
        """Return the digest of the bindings in force; '' without any."""
        return self._follow().digest

    def uses_fake(self) -> bool:
        """Return whether a device is bound that powers nothing."""
        self._follow()
        return self._uses_fake

    def bound(self, hosts: collections.abc.Iterable[str]) -> frozenset[str]:
        """Return those hosts that some level could power off."""
        current = self._follow()
        return frozenset(host for host in hosts
                         if self._can(current.find(host), 'can_power_off'))

    def can_power_on(self, hosts: collections.abc.Iterable[str]
                     ) -> frozenset[str]:
        """Return those hosts that some level could power on."""
        current = self._follow()
        return frozenset(host for host in hosts
                         if self._can(current.find(host), 'can_power_on'))

    def ladders(self, hosts: collections.abc.Iterable[str]
                ) -> dict[str, policy.Ladder]:
        """Return {host: what is tried where only its service is dead}."""
        current = self._follow()
        found = ((host, current.find(host)) for host in hosts)
        return {host: entry.restart.ladder for host, entry in found
                if entry is not None and entry.restart is not None}

    def restarter(self, host: str
                  ) -> tuple[ssh_restart.SshRestart, float] | None:
        """Return who restarts nova-compute there, and within how many
        seconds; None: nobody.

        :raises BindingsInvalid: a secret or a setting cannot be used.
        """
        current = self._follow()
        entry = current.find(host)
        if entry is None or entry.restart is None:
            return None
        device = entry.restart.ssh
        return self._build_restart(device, host, bindings.resolve(
            device, host, current.path, self._read_reference)
            ), entry.restart.timeout_s

    def ambiguous(self, hosts: collections.abc.Iterable[str]) -> list[str]:
        """Return a sentence for each host that several entries match."""
        current = self._follow()
        result = []
        for host in sorted(hosts):
            lines = current.ambiguous(host)
            if lines:
                result.append(
                    f'{host} is matched by the entries in lines '
                    f'{", ".join(str(line) for line in lines)} of '
                    f'{self._path}: the first one counts')
        return result

    def warnings(self, hosts: collections.abc.Iterable[str]) -> list[str]:
        """Return a sentence for each thing that is allowed and unwise."""
        current = self._follow()
        said: dict[tuple[int, str], list[str]] = {}
        for host in sorted(hosts):
            entry = current.find(host)
            for level in entry.levels if entry else ():
                for device in level:
                    built = self._build(device, host,
                                        bindings.without_secrets(device,
                                                                 host))
                    for text in (*built.warnings(),
                                 *bindings.warnings(device, host)):
                        said.setdefault((device.line, text), []).append(host)
            if entry is not None and entry.restart is not None:
                device = entry.restart.ssh
                for text in bindings.warnings(device, host):
                    said.setdefault((device.line, text), []).append(host)
        return [f'{self._path} line {line}: {text} (concerns '
                f'{_some(found)})' for (line, text), found in said.items()]

    def levels(self, host: str) -> Levels:
        """Return the host's devices, ready to be asked; () without any.

        Secrets are read here, each time, so that a changed password needs
        no restart.

        :raises BindingsInvalid: a secret or a setting cannot be used.
        """
        current = self._follow()
        entry = current.find(host)
        if entry is None:
            return ()
        return tuple(
            tuple(self._build(device, host, bindings.resolve(
                device, host, current.path, self._read_reference))
                for device in level) for level in entry.levels)

    # -- the file ------------------------------------------------

    def _follow(self) -> bindings.Bindings:
        with self._lock:
            try:
                self._read_if_changed()
            except exception.BindingsInvalid as error:
                self._problem = str(error)
                if self._bindings.entries:
                    self._problem += '; the last good content stays in force'
            return self._bindings

    def _read_if_changed(self) -> None:
        try:
            with open(self._path, 'rb') as file:
                found = os.fstat(file.fileno())
                seen = (found.st_mtime_ns, found.st_ctime_ns, found.st_size,
                        found.st_ino, found.st_dev)
                if seen == self._seen:
                    return
                text = file.read()
        except (OSError, ValueError) as error:
            self._seen = None
            self._content_hash = ''
            raise exception.BindingsInvalid(
                path=self._path, where='', problem=str(error)) from None
        is_racy = abs(time.time_ns() - found.st_mtime_ns) < _RACY_NS
        self._seen = None if is_racy else seen
        content_hash = hashlib.sha256(text).hexdigest()
        if content_hash == self._content_hash:
            return
        self._content_hash = content_hash
        self._bindings = self._checked(text)
        self._problem = None

    def _checked(self, text: bytes) -> bindings.Bindings:
        try:
            decoded = text.decode('utf-8')
        except UnicodeDecodeError as error:
            raise exception.BindingsInvalid(
                path=self._path, where='',
                problem=f'is no UTF-8: {error.reason}') from None
        fresh = bindings.parse(decoded, self._path)
        uses_fake = False
        for entry in fresh.entries:
            for level in entry.levels:
                for device in level:
                    built = self._check_device(device, entry.match[0])
                    uses_fake = uses_fake or built.characteristics.is_fake
            if entry.restart is not None:
                sample = _sample(entry.match[0])
                self._build_restart(
                    entry.restart.ssh, sample, bindings.without_secrets(
                        entry.restart.ssh, sample))
        shared = sharing.find(fresh.entries, self._is_by_host)
        if shared is not None:
            raise exception.BindingsInvalid(
                path=self._path, where=f' line {shared[0]}',
                problem=shared[1])
        self._uses_fake = uses_fake
        return fresh

    # -- devices ------------------------------------------------

    def _check_device(self, device: bindings.Device, match: str
                      ) -> base.FencingDriver:
        """Build it once for a host that could match, secrets left out."""
        if device.driver not in self._drivers:
            raise self._invalid(
                device, f'expected a driver of {sorted(self._drivers)}, '
                f'found {device.driver!r}')
        if self._drivers[device.driver].characteristics.is_fake:
            self._check_fake(device, device.driver)
        sample = _sample(match)
        built = self._build(device, sample,
                            bindings.without_secrets(device, sample))
        if built.characteristics.is_fake:
            self._check_fake(device, built.name)
        return built

    def _is_by_host(self, device: bindings.Device) -> bool:
        return self._drivers[device.driver].characteristics.is_by_host

    def _check_fake(self, device: bindings.Device, name: str) -> None:
        if not self._allow_fake:
            raise self._invalid(
                device, f'driver {name} powers nothing off: expected another '
                'one, or [pets_fencing] allow_fake = true where no data can '
                'be lost')

    def _build(self, device: bindings.Device, host: str,
               settings: bindings.Settings) -> base.FencingDriver:
        try:
            return self._drivers[device.driver](host, settings)
        except exception.BindingsInvalid as error:
            raise self._invalid(device, str(error.fields.get(
                'problem', error))) from None
        # NOTE(pets): a driver may come from anybody, and a broken one must
        # not take the other bindings along. Its text may hold a secret.
        except Exception as error:
            raise self._invalid(
                device, f'driver {device.driver} raised '
                f'{type(error).__name__}') from None

    def _build_restart(self, device: bindings.Device, host: str,
                       settings: bindings.Settings
                       ) -> ssh_restart.SshRestart:
        try:
            return ssh_restart.SshRestart(host, settings)
        except exception.BindingsInvalid as error:
            raise self._invalid(device, str(error.fields.get(
                'problem', error))) from None

    def _can(self, entry: bindings.Binding | None, what: str) -> bool:
        return entry is not None and any(
            all(getattr(self._drivers[device.driver].characteristics, what)
                for device in level) for level in entry.levels)

    def _invalid(self, device: bindings.Device, problem: str
                 ) -> exception.BindingsInvalid:
        return exception.BindingsInvalid(
            path=self._path, where=f' line {device.line}', problem=problem)


def _sample(match: str) -> str:
    """Return the name of a host that could match."""
    kept = ''.join(char for char in match if char not in '*?[]!')
    return kept or 'host'


def _some(hosts: collections.abc.Sequence[str]) -> str:
    more = len(hosts) - 3
    return ', '.join(hosts[:3]) + (f' and {more} more' if more > 0 else '')
