# SPDX-License-Identifier: Apache-2.0
"""Where secrets are: settings like ``password_file``, and reading them.

The bindings say where a secret is and never what it is. Reads files and the
environment; what a key manager keeps is read by a function that is handed in
(key_manager.py has one).
"""

import collections.abc
import os
import pathlib
import re
import stat
import typing

ReadReference = collections.abc.Callable[[str], str]
"""The secret behind a reference of a key manager; raises ValueError."""

WAYS = ('file', 'env', 'castellan')
NOT_READ = 'not-read'
"""Stands for a secret where settings are only checked."""

_SECRET = re.compile(
    r'(^|_)(password|passwd|passphrase|secret|token|community|api_?key'
    r'|secret_key|private_key)$')
_POINTER = re.compile(rf'^(?P<name>.+)_(?P<way>{"|".join(WAYS)})$')


def is_secret(name: str) -> bool:
    return _SECRET.search(name) is not None


def parse(name: str) -> tuple[str, str] | None:
    """password_file -> ('password', 'file'); None: an ordinary setting."""
    match = _POINTER.match(name)
    if match and is_secret(match['name']):
        return match['name'], match['way']
    return None


def read(way: str, where: str, read_reference: ReadReference | None,
         is_key: bool = False) -> str:
    """Return the secret.

    :param is_key: it may have many lines.

    :raises OSError, ValueError, KeyError: it cannot be read; never with the
        secret in it.
    """
    if way == 'castellan':
        if read_reference is None:
            raise ValueError('no key manager is at hand here')
        return _checked(read_reference(where), where, is_key)
    if way == 'env':
        if where not in os.environ:
            raise KeyError(f'environment variable {where} is not set')
        return _checked(os.environ[where], where, is_key)
    try:
        secret = pathlib.Path(where).read_text(encoding='utf-8')
    except UnicodeDecodeError:
        raise ValueError(f'{where} is no UTF-8') from None
    return _checked(secret, where, is_key)


def warning(way: str, where: str) -> str | None:
    """Return what is unwise about the place; None: nothing, or no idea."""
    if way != 'file':
        return None
    try:
        mode = os.stat(where).st_mode
    except OSError:
        return None
    if mode & stat.S_IROTH:
        return f'{where} holds a secret and can be read by everybody: ' \
               f'chmod o-rwx'
    return None


def split(settings: dict[str, typing.Any]
          ) -> collections.abc.Iterator[tuple[str, str, str, str]]:
    """Yield (name, target, way, where) of each pointer, nested ones too."""
    for name, value in settings.items():
        found = parse(str(name))
        if found is not None:
            yield (str(name), *found, str(value))
        elif isinstance(value, dict):
            yield from split(value)


def is_key(name: str) -> bool:
    """private_key_file -> True: of several lines, other than a password."""
    found = parse(name)
    return found is not None and found[0].endswith('private_key')


def _checked(text: str, where: str, is_key: bool) -> str:
    secret = text.rstrip('\r\n')
    if not secret:
        raise ValueError(f'{where} is empty')
    if not is_key and any(char in secret for char in '\r\n\0'):
        raise ValueError(f'{where} has more than one line')
    return secret
