# SPDX-License-Identifier: Apache-2.0
"""What a fence agent says of itself, and which agents and options are safe.

Asks the agent for its metadata (no device is asked), once for each file that
it is. Says why something may not be used; switches nothing.
"""

import collections.abc
import dataclasses
import os
import pathlib
import threading
import typing
from xml.etree import ElementTree  # nosec: of programs that we run anyway

from nova_pets.fencing import child

TIMEOUT_S = 10.0
FAKES = ('fence_dummy',)

_FABRIC = 'it takes a host off a disk or a network and leaves it running'
_NO_PROOF = {
    'fence_ack_manual': 'it asks a person: use driver manual',
    'fence_brocade': _FABRIC,
    'fence_cisco_mds': _FABRIC,
    'fence_compute': 'it marks a host in nova and leaves it running',
    'fence_evacuate': 'it evacuates instances itself, without proof',
    'fence_heuristics_ping': 'it fences nothing',
    'fence_ifmib': _FABRIC,
    'fence_kdump': 'it tells a crash from other failures and fences nothing',
    'fence_mpath': _FABRIC,
    'fence_sanbox2': _FABRIC,
    'fence_sbd': 'its off means that a message was left on a disk',
    'fence_scsi': _FABRIC,
    'fence_watchdog': 'its off means that some time has passed',
}
"""Agents whose OFF does not say that the machine has no power."""

_REFUSED = {
    'action': 'what is asked of a device is not a matter of settings',
    'option': 'what is asked of a device is not a matter of settings',
    'method': 'a device is told off or on, never to cycle',
    'delay': 'waiting is a matter of the engine',
    'retry_on': 'trying again is a matter of the engine',
    'missing_as_off': 'what is not found would read as off',
    'verbose': 'it prints passwords',
    'verbose_level': 'it prints passwords',
    'debug': 'it writes passwords to a file',
    'debug_file': 'it writes passwords to a file',
    'help': 'it asks nothing',
    'version': 'it asks nothing',
    'quiet': 'what went wrong would not be seen',
}
_REQUIRED = {
    'fence_redfish': ('systems_uri', 'it takes the last system that it '
                      'finds'),
    'fence_dummy': ('status_file', 'it uses a file of all machines'),
}
"""Options that an agent can do without, and must not."""
_INSECURE = ('ssl_insecure', 'ssl-insecure', 'notls', 'tls1.0')
_FALSE = ('0', 'no', 'off', 'false')
_ON_ARGV = ('fence_idrac', 'fence_ilo3', 'fence_ilo4', 'fence_ilo5',
            'fence_imm', 'fence_ipmilan', 'fence_ipmilanplus')
"""They hand the password to ipmitool on its command line."""


@dataclasses.dataclass(frozen=True, slots=True)
class Metadata:
    parameters: frozenset[str]
    actions: tuple[str, ...]

    def why_not(self, options: collections.abc.Mapping[str, str]
                ) -> str | None:
        """Return why the agent cannot be given these options.

        It would go on without one that it does not know: as if no plug had
        been named, for example.
        """
        unknown = sorted(set(options) - self.parameters)
        if unknown:
            return (f'it has no option {", ".join(unknown)}; expected some '
                    f'of {", ".join(sorted(self.parameters - set(_REFUSED)))}')
        return None


def why_no_proof(agent: str) -> str | None:
    why = _NO_PROOF.get(agent)
    return why and f'{agent} cannot prove that a host is off: {why}'


def why_not_options(agent: str, options: dict[str, typing.Any]
                    ) -> str | None:
    """Return why these options may not be used; None: they may."""
    for name, value in options.items():
        why = _REFUSED.get(name)
        if name.endswith('_script'):
            why = 'it runs a program of its own'
        if why:
            return f'option {name} is not for bindings: {why}'
        if not isinstance(value, str | bool | int | float):
            return f'expected option {name} to be text or a number'
        if not _survives(name, str(value)):
            return (f'expected option {name} without control characters, '
                    'blanks or double quotes around it')
    name, otherwise = _REQUIRED.get(agent, ('', ''))
    if name and name not in options:
        return f'expected option {name}: without it {otherwise}'
    return None


def why_not_now(agent: str, options: collections.abc.Mapping[str, str]
                ) -> str | None:
    """Return what stands against asking the agent at this moment."""
    if agent == 'fence_dummy':
        file = options['status_file']
        if not pathlib.Path(file).is_file():
            return f'expected its status_file, found no {file}: it calls ' \
                   'that off'
    return None


def lines_of(options: dict[str, typing.Any]) -> dict[str, str]:
    """Return the options as the agent reads them."""
    lines = {name: str(int(value)) if isinstance(value, bool) else str(value)
             for name, value in options.items()}
    # NOTE(pets): agents look whether ssl_insecure is there, not what it is:
    # "0" would switch the check of certificates off.
    return {name: value for name, value in lines.items()
            if name not in _INSECURE or value.lower() not in _FALSE}


def warnings(agent: str, options: collections.abc.Mapping[str, str]
             ) -> tuple[str, ...]:
    """:param options: as lines_of made them."""
    found = [f'{name} is set: whoever stands between can read the password '
             'and answer in the name of the device'
             for name in _INSECURE if name in options]
    if agent in _ON_ARGV:
        found.append(f'{agent} shows the password on the command line of '
                     'ipmitool for a moment: driver ipmi does not')
    return tuple(found)


_seen: dict[tuple[str, int, int], Metadata] = {}
_lock = threading.Lock()


def read(path: str, timeout_s: float) -> Metadata:
    """Return what the agent says of itself.

    :raises OSError, ValueError, deadline.Expired: it does not.
    """
    found = os.stat(path)
    key = (path, found.st_mtime_ns, found.st_size)
    with _lock:
        known = _seen.get(key)
    if known is None:
        known = _parse(child.run([path], 'action=metadata\n', timeout_s))
        with _lock:
            _seen[key] = known
    return known


def _parse(ended: child.Ended) -> Metadata:
    try:
        root = ElementTree.fromstring(ended.out)  # nosec: see above
    except ElementTree.ParseError:
        raise ValueError('expected XML, found '
                         f'{ended.out[:40] or "nothing"!r}') from None
    return Metadata(
        frozenset(one.get('name', '') for one in root.iter('parameter')),
        tuple(one.get('name', '') for one in root.iter('action')))


def _survives(name: str, value: str) -> bool:
    """Return whether the agent reads the line as it was meant."""
    return (value.isprintable() and value == value.strip() and
            not value.startswith('"') and not value.endswith('"') and
            name.isprintable() and name == name.strip() and
            not name.startswith('#') and '=' not in name)
