# SPDX-License-Identifier: Apache-2.0
"""Checks of a driver's settings, so that all drivers refuse alike.

Says what was expected and what was found, never a value that may be secret.
Knows no driver and reads nothing.
"""

import collections.abc
import typing

from nova_pets import exception


class Reader:
    """One device's settings.

    :raises BindingsInvalid: unknown names; so do the methods.
    """

    def __init__(self, driver: str, settings: dict[str, object],
                 known: collections.abc.Collection[str]):
        self._driver = driver
        self._settings = settings
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise self.invalid(f'expected only {", ".join(sorted(known))}, '
                               f'found {", ".join(unknown)}')

    def text(self, name: str, default: str | None = None) -> str:
        """:param default: None: it has to be given."""
        value = self._settings.get(name, default)
        if value is None:
            raise self.invalid(f'expected {name}, found none')
        if not isinstance(value, str) or not value:
            raise self.invalid(f'expected {name} to be text')
        if not value.isprintable():
            raise self.invalid(f'expected {name} on one line, without '
                               'control characters')
        return value

    def number(self, name: str, default: int, least: int, most: int) -> int:
        value = self._settings.get(name, default)
        if type(value) is not int or not least <= value <= most:
            raise self.invalid(f'expected {name} to be a number from '
                               f'{least} to {most}')
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self._settings.get(name, default)
        if not isinstance(value, bool):
            raise self.invalid(f'expected {name} to be true or false')
        return value

    def choice(self, name: str, default: str,
               choices: collections.abc.Collection[str]) -> str:
        value = self.text(name, default)
        if value not in choices:
            raise self.invalid(f'expected {name} to be one of '
                               f'{", ".join(choices)}')
        return value

    def mapping(self, name: str) -> dict[str, typing.Any]:
        value = self._settings.get(name, {})
        if not isinstance(value, dict) or not all(
                isinstance(key, str) for key in value):
            raise self.invalid(f'expected {name} to be a mapping')
        return value

    def invalid(self, problem: str) -> exception.BindingsInvalid:
        return exception.BindingsInvalid(
            path='', where='', problem=f'driver {self._driver}: {problem}')
