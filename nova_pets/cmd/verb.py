# SPDX-License-Identifier: Apache-2.0
"""What every verb of the command shares: its surroundings and its end.

A verb is a method of a class below Verbs, marked with @verb: whatever happens
in it, nothing but an exit code comes out. Reads the tables by reading.py and
writes orders by ordering.py; knows no verb.
"""

import collections.abc
import functools
import typing

from nova_pets import exception
from nova_pets.cmd import access as access_module
from nova_pets.cmd import arguments
from nova_pets.cmd import console as console_module
from nova_pets.cmd import ordering
from nova_pets.cmd import orders
from nova_pets.cmd import reading
from nova_pets.cmd import reports
from nova_pets.model import records

Verb = arguments.Verb


def verb(description: str) -> collections.abc.Callable[[Verb], Verb]:
    """Make a method a verb: with --json, and with no way out but an exit
    code."""
    def _decorator(method: Verb) -> Verb:
        @functools.wraps(method)
        def guarded(self: 'Verbs', *extra: str,
                    **given: typing.Any) -> int:
            return self._guarded(method, extra, given)
        guarded.description = description  # type: ignore[attr-defined]
        return arguments.args(
            '--json', action='store_true', dest='as_json',
            help='Print JSON with stable keys.')(guarded)
    return _decorator


class Verbs:
    """Base of a category; its public methods are verbs."""

    def __init__(self, access: access_module.Access | None = None,
                 name: str = 'nova-manage pets'):
        self._given_access = access
        self._name = name

    def _guarded(self, method: Verb, extra: tuple[str, ...],
                 given: dict[str, typing.Any]) -> int:
        """Run one verb; nothing but an exit code comes out."""
        self._as_json = bool(given.pop('as_json', False))
        self._console = console_module.Console(
            f'{self._name} {method.__name__}')

        def run() -> int:
            self._access = self._given_access or _access()
            console_module.keep_screen_clean(self._access.is_debug)
            if extra:
                raise exception.OperatorError(problem=(
                    f'cannot use {" ".join(extra)!r}: expected no such '
                    f'word; see --help'))
            if not str(given.get('reason', 'given')).strip():
                raise exception.OperatorError(
                    problem='cannot order without a reason: expected '
                    '--reason with a text, found an empty one')
            return method(self, **given)
        return console_module.guarded(
            self._console, run, self._as_json,
            lambda: (self._access.log_file, self._access.is_debug))

    def _show(self, document: reports.Document, screen:
              collections.abc.Callable[[reports.Document, int], str]
              ) -> int:
        return self._say(document,
                         '' if self._as_json else
                         screen(document, self._console.width))

    def _say(self, document: reports.Document, text: str) -> int:
        if self._as_json:
            self._console.show_json(document)
        else:
            self._console.show(text)
        return int(document['exit_code'])

    def _carry_out(self, decide: collections.abc.Callable[
            [], orders.Ruling], person: orders.Person, is_sure: bool,
            is_dry: bool) -> int:
        return ordering.carry_out(
            self._access.store(), self._console, decide, person,
            ordering.Manner(is_sure, is_dry, self._as_json),
            self._access.settings())

    def _order_on_host(self, rule: collections.abc.Callable[
            ..., orders.Ruling], name: str, reason: str,
            epoch: int | None = None, is_sure: bool = False,
            is_dry: bool = False) -> int:
        store, person = self._access.store(), person_with(reason)

        def decide() -> orders.Ruling:
            host = reading.find_host(store, name)
            return rule(host, orders.Around(
                pets=len(reading.all_pets(store, host.host)),
                open_recoveries=len(reading.open_recoveries(
                    store, host.host)),
                orders=tuple(store.controls())), person, epoch)
        return self._carry_out(decide, person, is_sure, is_dry)

    def _order_on_recoveries(self, rule: collections.abc.Callable[
            ..., orders.Ruling], instances: typing.Sequence[str],
            host: str | None, reason: str, is_sure: bool, is_dry: bool
            ) -> int:
        store, person = self._access.store(), person_with(reason)
        uuids, on_host = self._which(instances, host)

        def decide() -> orders.Ruling:
            if on_host is not None:
                rows = reading.open_recoveries(store, on_host)
            else:
                rows = reading.latest_recoveries(store, uuids)
            return rule(rows, store.controls(), person,
                        is_host_wide=on_host is not None)
        return self._carry_out(decide, person, is_sure, is_dry)

    def _which(self, instances: typing.Sequence[str], host: str | None
               ) -> tuple[list[str], str | None]:
        """Return (uuids, None) or ([], host)."""
        store = self._access.store()
        if bool(instances) is (host is not None):
            raise exception.OperatorError(problem=(
                'cannot tell which instances: expected either names or '
                'uuids, or --host'))
        if host is not None:
            return [], reading.find_host(store, host).host
        return reading.find_instances(store, list(instances)), None


def _access() -> access_module.Access:
    import nova.conf
    return access_module.Access(nova.conf.CONF)


def person_with(reason: str) -> orders.Person:
    return orders.Person(console_module.actor(), reason.strip())


def scope_of(store: typing.Any, cell: str | None, host: str | None
           ) -> tuple[str, str]:
    if cell is not None and host is not None:
        raise exception.OperatorError(
            problem='cannot use --cell with --host: expected one of them')
    if cell is not None:
        return 'cell', reading.find_cell(store, cell)
    if host is not None:
        return 'host', reading.find_host(store, host).host
    return 'all', ''


def expect_one_of(option: str, value: str | None,
                   known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise exception.OperatorError(problem=(
            f'cannot use {option} {value!r}: expected one of '
            f'{", ".join(known)}'))


def expect_tagged(uuids: list[str], pets: list[records.Pet]) -> None:
    missing = sorted(set(uuids) - {pet.instance_uuid for pet in pets})
    if missing:
        raise exception.OperatorError(problem=(
            f'cannot recover {", ".join(missing)}: expected an instance '
            f'that is tagged for HA, it is not (or not any more)'))
