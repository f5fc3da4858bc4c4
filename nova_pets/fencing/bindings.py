# SPDX-License-Identifier: Apache-2.0
"""The fencing bindings: a YAML file that says which devices fence a host.

Reads that file and the secrets that it points at; knows no driver and asks
no device. A literal secret is refused: the file may say where a secret is
(``password_file``, ``password_env``, ``password_castellan``), never what it
is (pointers.py).
"""

import collections.abc
import dataclasses
import fnmatch
import hashlib
import json
import re
import typing

import jsonschema
import yaml

from nova_pets import exception
from nova_pets.fencing import pointers
from nova_pets.model import policy

Settings = dict[str, typing.Any]

SCHEMA: dict[str, typing.Any] = {
    'type': 'object',
    'additionalProperties': False,
    'required': ['hosts'],
    'properties': {'hosts': {'type': 'array', 'items': {
        'type': 'object',
        'additionalProperties': False,
        'required': ['match', 'levels'],
        'properties': {
            'match': {'type': 'array', 'minItems': 1,
                      'items': {'type': 'string', 'minLength': 1}},
            'levels': {'type': 'array', 'minItems': 1, 'items': {
                'type': 'object',
                'additionalProperties': False,
                'required': ['devices'],
                'properties': {'devices': {
                    'type': 'array', 'minItems': 1, 'items': {
                        'type': 'object',
                        'additionalProperties': False,
                        'required': ['driver'],
                        'properties': {
                            'driver': {'type': 'string', 'minLength': 1},
                            'settings': {
                                'type': 'object',
                                'propertyNames': {'type': 'string'}},
                        }}}}}},
            'service_restart': {
                'type': 'object',
                'additionalProperties': False,
                'required': ['ssh'],
                'properties': {
                    'ssh': {'type': 'object',
                            'propertyNames': {'type': 'string'}},
                    'tries': {'type': 'integer',
                              'minimum': 1, 'maximum': 10},
                    'after': {'type': 'number',
                              'minimum': 1, 'maximum': 86400},
                    'timeout': {'type': 'number',
                                'minimum': 1, 'maximum': 600},
                    'then_fence': {'type': 'boolean'},
                    'fence_after': {'type': 'number',
                                    'minimum': 60, 'maximum': 604800},
                }}}}}},
}

_USER_INFO = re.compile(r'://[^/@\s]*@')


@dataclasses.dataclass(frozen=True, slots=True)
class Device:
    """One fencing device as the file has it, secrets not read."""

    driver: str
    settings: Settings
    line: int


@dataclasses.dataclass(frozen=True, slots=True)
class Restart:
    """How nova-compute is restarted where its machine lives."""

    ssh: Device
    timeout_s: float
    ladder: policy.Ladder


@dataclasses.dataclass(frozen=True, slots=True)
class Binding:
    """One entry: hosts or globs, and ordered levels of devices."""

    match: tuple[str, ...]
    levels: tuple[tuple[Device, ...], ...]
    line: int
    restart: Restart | None = None

    def matches(self, host: str) -> bool:
        return any(fnmatch.fnmatchcase(host, pattern)
                   for pattern in self.match)


@dataclasses.dataclass(frozen=True, slots=True)
class Bindings:
    """What one content of the file says."""

    path: str = ''
    entries: tuple[Binding, ...] = ()
    digest: str = ''
    """Over the content without comments and secrets: equal on all
    schedulers, or they fence differently."""

    def find(self, host: str) -> Binding | None:
        """Return the first entry that matches."""
        for entry in self.entries:
            if entry.matches(host):
                return entry
        return None

    def ambiguous(self, host: str) -> tuple[int, ...]:
        """Return the lines of the entries, when more than one matches."""
        lines = tuple(entry.line for entry in self.entries
                      if entry.matches(host))
        return lines if len(lines) > 1 else ()


def parse(text: str, path: str) -> Bindings:
    """Return what the text says.

    :raises BindingsInvalid: with the line; never with a secret in it.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = _lines(node, path)
        content = yaml.load(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _yaml_problem(error, path) from None
    validator = jsonschema.Draft7Validator(SCHEMA)
    for wrong in sorted(validator.iter_errors(content), key=_order_of):
        raise _invalid(path, _line(lines, tuple(wrong.absolute_path)),
                       _words(wrong))
    entries = tuple(
        _binding(entry, ('hosts', number), lines, path)
        for number, entry in enumerate(content['hosts']))
    return Bindings(path, entries, _digest(entries))


def resolve(device: Device, host: str, path: str,
            read_reference: pointers.ReadReference | None = None) -> Settings:
    """Return the settings for one host: ``{host}`` filled in, secrets read.

    :raises BindingsInvalid: a secret cannot be read.
    """
    def read(name: str, way: str, where: str) -> str:
        try:
            return pointers.read(way, where, read_reference,
                                 pointers.is_key(name))
        except (OSError, ValueError, KeyError) as error:
            raise _invalid(
                path, device.line,
                f'{name} of driver {device.driver} cannot be read: '
                f'{type(error).__name__} {error}') from None

    return _filled(device.settings, host, read)


def without_secrets(device: Device, host: str) -> Settings:
    """Return the settings with a word in place of each secret."""
    return _filled(device.settings, host,
                   lambda name, way, where: pointers.NOT_READ)


def warnings(device: Device, host: str) -> list[str]:
    """Return what is unwise about the places of its secrets."""
    found = (pointers.warning(way, _fill_in(where, host))
             for _, _, way, where in pointers.split(device.settings))
    return [text for text in found if text is not None]


# -- helpers ---------------------------------------------------------------


def _binding(entry: dict[str, typing.Any], place: tuple[typing.Any, ...],
             lines: dict[tuple[typing.Any, ...], int], path: str) -> Binding:
    levels = []
    for number, level in enumerate(entry['levels']):
        devices = []
        for index, device in enumerate(level['devices']):
            where = (*place, 'levels', number, 'devices', index)
            settings = device.get('settings', {})
            line = _line(lines, where)
            _refuse_literal_secrets(settings, (*where, 'settings'), lines,
                                    path)
            devices.append(Device(device['driver'], settings, line))
        levels.append(tuple(devices))
    return Binding(tuple(entry['match']), tuple(levels),
                   _line(lines, place), _restart(entry, place, lines, path))


def _restart(entry: dict[str, typing.Any], place: tuple[typing.Any, ...],
             lines: dict[tuple[typing.Any, ...], int], path: str
             ) -> Restart | None:
    found = entry.get('service_restart')
    if found is None:
        return None
    where = (*place, 'service_restart', 'ssh')
    _refuse_literal_secrets(found['ssh'], where, lines, path)
    plain = policy.Ladder()
    ladder = policy.Ladder(
        tries=found.get('tries', plain.tries),
        after_s=found.get('after', plain.after_s),
        then_fence=found.get('then_fence', plain.then_fence),
        fence_after_s=found.get('fence_after', plain.fence_after_s))
    if ladder.then_fence and ladder.fence_after_s <= (
            ladder.after_s * (ladder.tries + 1)):
        raise _invalid(
            path, _line(lines, (*place, 'service_restart')),
            'expected fence_after to be longer than after x (tries + 1), so '
            'that every restart has had its time')
    return Restart(Device('ssh', found['ssh'], _line(lines, where)),
                   found.get('timeout', 30.0), ladder)


def _refuse_literal_secrets(settings: Settings,
                            place: tuple[typing.Any, ...],
                            lines: dict[tuple[typing.Any, ...], int],
                            path: str) -> None:
    for name, value in settings.items():
        line = _line(lines, (*place, name))
        if isinstance(value, dict):
            _refuse_literal_secrets(value, (*place, name), lines, path)
        if pointers.is_secret(str(name)):
            ways = ' or '.join(f'{name}_{way}' for way in pointers.WAYS)
            raise _invalid(path, line,
                           f'expected {ways}, found a literal {name}')
        if isinstance(value, str) and _USER_INFO.search(value):
            raise _invalid(
                path, line, f'expected {name} without user and password, '
                'found both in the address; use username and '
                'password_file')
        if pointers.parse(str(name)) and not isinstance(value, str):
            raise _invalid(path, line, f'expected {name} to be text')


def _filled(settings: Settings, host: str,
            read: collections.abc.Callable[[str, str, str], str]
            ) -> Settings:
    result: Settings = {}
    for name, value in settings.items():
        pointer = pointers.parse(str(name))
        if pointer is not None:
            target, way = pointer
            result[target] = read(name, way, _fill_in(value, host))
        elif isinstance(value, dict):
            result[name] = _filled(value, host, read)
        else:
            result[name] = _fill_in(value, host)
    return result


def _fill_in(value: typing.Any, host: str) -> typing.Any:
    if isinstance(value, str):
        return value.replace('{host}', host)
    if isinstance(value, list):
        return [_fill_in(item, host) for item in value]
    if isinstance(value, dict):
        return {key: _fill_in(item, host) for key, item in value.items()}
    return value


def _digest(entries: tuple[Binding, ...]) -> str:
    plain = [
        [list(entry.match),
         [[[device.driver, _without_pointers(device.settings)]
           for device in level] for level in entry.levels],
         entry.restart and [
             _without_pointers(entry.restart.ssh.settings),
             entry.restart.timeout_s, dataclasses.astuple(
                 entry.restart.ladder)]]
        for entry in entries]
    text = json.dumps(plain, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_pointers(settings: Settings) -> Settings:
    return {name: _without_pointers(value) if isinstance(value, dict)
            else value for name, value in settings.items()
            if pointers.parse(str(name)) is None}


def _lines(node: yaml.Node | None, path: str) -> dict[
        tuple[typing.Any, ...], int]:
    """Return {place in the content: line}; refuse a key given twice."""
    result: dict[tuple[typing.Any, ...], int] = {}

    def walk(current: yaml.Node, place: tuple[typing.Any, ...],
             above: tuple[yaml.Node, ...]) -> None:
        if current in above:
            raise _invalid(path, current.start_mark.line + 1,
                           'contains itself')
        result.setdefault(place, current.start_mark.line + 1)
        if isinstance(current, yaml.SequenceNode):
            for number, item in enumerate(current.value):
                walk(item, (*place, number), (*above, current))
        elif isinstance(current, yaml.MappingNode):
            seen = set()
            for key, item in current.value:
                line = key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    raise _invalid(path, line, 'expected a plain key')
                if key.value in seen:
                    raise _invalid(path, line, f'{key.value} is given twice')
                seen.add(key.value)
                result[(*place, key.value)] = line
                walk(item, (*place, key.value), (*above, current))

    if node is not None:
        walk(node, (), ())
    return result


def _line(lines: dict[tuple[typing.Any, ...], int],
          place: tuple[typing.Any, ...]) -> int:
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)


def _order_of(error: jsonschema.ValidationError) -> tuple[str, ...]:
    return tuple(str(step) for step in error.absolute_path)


def _words(error: jsonschema.ValidationError) -> str:
    place = '.'.join(str(step) for step in error.absolute_path) or 'file'
    if error.validator == 'type':
        expected = {'object': 'a mapping', 'array': 'a list',
                    'string': 'text', 'integer': 'a whole number',
                    'number': 'a number', 'boolean': 'true or false',
                    }[error.validator_value]
        found = {dict: 'a mapping', list: 'a list', str: 'text',
                 type(None): 'nothing'}.get(
                     type(error.instance), type(error.instance).__name__)
        return f'{place}: expected {expected}, found {found}'
    if error.validator == 'required':
        missing = [name for name in error.validator_value
                   if name not in error.instance]
        return f'{place}: expected {", ".join(missing)}, found none'
    if error.validator == 'additionalProperties':
        known = sorted(error.schema['properties'])
        names = sorted(str(name) for name in error.instance
                       if name not in known)
        return f'{place}: expected only {", ".join(known)}, found ' \
               f'{", ".join(names)}'
    if error.validator in ('minimum', 'maximum'):
        word = 'least' if error.validator == 'minimum' else 'most'
        return f'{place}: expected at {word} {error.validator_value}, ' \
               f'found {error.instance}'
    return f'{place}: expected at least one, found none'


def _yaml_problem(error: yaml.YAMLError, path: str
                  ) -> exception.BindingsInvalid:
    mark = getattr(error, 'problem_mark', None)
    problem = getattr(error, 'problem', None) or 'is no YAML'
    return _invalid(path, mark.line + 1 if mark else 1, problem)


def _invalid(path: str, line: int, problem: str
             ) -> exception.BindingsInvalid:
    return exception.BindingsInvalid(
        path=path, where=f' line {line}', problem=problem)
