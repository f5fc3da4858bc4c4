# SPDX-License-Identifier: Apache-2.0
"""Which devices of the bindings are one and the same for several hosts.

To power one of these hosts off would be to power a healthy one off, and to
prove the other one off by it. Pure; asks no device.
"""

import collections.abc
import json
import typing

from nova_pets.fencing import bindings

_NOT_THE_DEVICE = frozenset({
    'username', 'login', 'ca_file', 'insecure', 'privilege', 'cipher_suite'})
"""Settings that say how a device is spoken to, not which one it is."""
_ANY, _OTHER = 'a', 'b'
_GLOB = frozenset('*?[')

Found = tuple[int, str]
"""(line, problem)"""


def find(entries: collections.abc.Iterable[bindings.Binding],
         is_by_host: collections.abc.Callable[[bindings.Device], bool]
         ) -> Found | None:
    """Return the first device that several hosts would share.

    :param is_by_host: whether a device follows from the host's name.
    """
    known: dict[str, tuple[str, int]] = {}
    for entry in entries:
        of_several = len(entry.match) > 1 or bool(
            _GLOB.intersection(entry.match[0]))
        for device in (one for level in entry.levels for one in level):
            if is_by_host(device):
                continue
            if of_several:
                if _key(device, _ANY) == _key(device, _OTHER):
                    return device.line, (
                        'expected {host} in what says which device it is '
                        '(address, plug ...), or an entry for each host: as '
                        'it is, all hosts of this entry share the device, '
                        'and a healthy one is powered off for another')
                continue
            host = entry.match[0]
            key = _key(device, host)
            other, line = known.setdefault(key, (host, device.line))
            if other != host:
                return device.line, (
                    f'expected another device than that of {other} (line '
                    f'{line}), found the same one: {other} would be powered '
                    f'off for {host}')
    return None


def _key(device: bindings.Device, host: str) -> str:
    return json.dumps(
        [device.driver, _naming(bindings.without_secrets(device, host))],
        sort_keys=True, default=str).lower()


def _naming(settings: bindings.Settings) -> dict[str, typing.Any]:
    return {name: _naming(value) if isinstance(value, dict) else value
            for name, value in settings.items()
            if name not in _NOT_THE_DEVICE}
