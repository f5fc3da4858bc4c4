# SPDX-License-Identifier: Apache-2.0
"""The verbs' way to what is outside: nova.conf, the store, the devices.

Everything is opened when it is first asked for, by wiring; a verb that does
not need the database works without it. Writes nothing.
"""

import collections.abc
import functools
from importlib import metadata
import os
import sys
import typing

from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1 import loading as ks_loading
from oslo_config import cfg

from nova_pets import exception
from nova_pets.cmd import check
from nova_pets.cmd import console
from nova_pets.cmd import reading
from nova_pets.conf import auth
from nova_pets.conf import check as conf_check
from nova_pets.conf import opts
from nova_pets.conf import policy as conf_policy
from nova_pets.db import base
from nova_pets.model import states

_FILTERS = 'nova_pets.filters'


class Access:
    """One run's access; conf is nova's, parsed."""

    def __init__(self, conf: typing.Any):
        self.conf = conf
        opts.register_opts(conf)
        self._store: base.Store | None = None

    def store(self, is_checked: bool = True) -> base.Store:
        """Return the store over the API database.

        :raises SchemaMismatch, StoreUnavailable: unless not ``is_checked``.
        """
        if self._store is None:
            _fail_fast()
            self._store = _wiring().build_store(console.actor())
        if is_checked:
            self._store.check_schema()
        return self._store

    def database_engine(self) -> typing.Any:
        """Return SQLAlchemy's engine of nova's API database."""
        _fail_fast()
        from nova.db.api import api
        return api.get_engine()

    def surveyor(self) -> typing.Any:
        """Return the eyes of an audit: Nova's cells, broker, placement.

        :raises NovaUnavailable: the transport_url cannot be used.
        """
        _prepare_nova(self.conf)
        return _wiring().build_surveyor(self.store())

    def registry(self) -> typing.Any:
        return _wiring().build_fencing(self.conf)

    def read_power(self, host: str) -> typing.Any:
        """Ask the host's devices once; switches nothing."""
        return self._fencer.check(host)

    def restartable(self, hosts: collections.abc.Iterable[str]
                    ) -> list[str]:
        """Return the hosts whose nova-compute would be restarted by ssh."""
        return sorted(self._fencer.ladders(hosts))

    def check_restart(self, host: str) -> typing.Any:
        """Log in there once; restarts nothing."""
        return self._fencer.check_restart(host)

    @functools.cached_property
    def _fencer(self) -> typing.Any:
        return _wiring().build_fencer(self.conf)

    # -- what check looks at --------------------------------------------------

    def config_files(self) -> list[str]:
        return list(self.conf.get('config_file') or [])

    def option_problems(self) -> list[str]:
        return conf_check.problems(self.conf)

    def invalid_options(self) -> list[str]:
        return (conf_check.invalid(self.conf) +
                conf_check.unknown_names(self.conf))

    def filters(self) -> check.Filters:
        """Resolve [filter_scheduler] as nova-scheduler would.

        Our own path is answered from its stevedore namespace and not loaded:
        loading it is what makes a process a scheduler of ours.
        """
        from nova.scheduler import filters
        handler = filters.HostFilterHandler()
        option = self.conf.filter_scheduler
        effective: set[str] = set()
        broken = []
        for path in option.available_filters:
            if path == check.OUR_FILTERS:
                effective.update(_named(_FILTERS))
                continue
            try:
                effective.update(
                    found.__name__ for found in
                    handler.get_matching_classes([path]))
            # Somebody else's module may raise anything when it is imported.
            except Exception as error:
                broken.append(f'available_filters {path} cannot be loaded: '
                              f'{type(error).__name__}: {error}')
        novas = {found.__name__ for found in
                 handler.get_matching_classes([check.NOVA_FILTERS])}
        return check.Filters(
            tuple(option.available_filters), tuple(option.enabled_filters),
            frozenset(novas), frozenset(effective), tuple(broken))

    def weight_classes(self) -> list[str]:
        return list(self.conf.filter_scheduler.weight_classes)

    def credentials(self) -> tuple[str, str | None, str]:
        """Return (section that counts, its auth_type, what is wrong)."""
        section = auth.section(self.conf)
        try:
            plugin = self.conf[section].auth_type
            ks_loading.load_auth_from_conf_options(self.conf, section)
        except (ks_exceptions.ClientException, cfg.Error) as error:
            return section, None, str(error)
        return section, plugin, ''

    # -- settings -------------------------------------------------------------

    def settings(self) -> reading.Settings:
        mode, why = conf_policy.mode_now(
            states.Mode(self.conf.pets.mode),
            self.conf.pets.kill_switch_file)
        return reading.Settings(
            mode=mode, mode_reason=why,
            has_fake_fencing=bool(self.conf.pets_fencing.allow_fake),
            pace_s=float(self.conf.pets.idle_interval))

    @property
    def is_debug(self) -> bool:
        return bool(self.conf.get('debug'))

    @property
    def log_file(self) -> str | None:
        """Return where this command logs to; None: nowhere."""
        name, directory = self.conf.get('log_file'), self.conf.get('log_dir')
        if name:
            return os.path.join(directory, name) if directory else name
        if directory:
            program = os.path.basename(sys.argv[0]) or 'nova-manage'
            return os.path.join(directory, f'{program}.log')
        return None


def _named(namespace: str) -> set[str]:
    return {found.name for found in
            metadata.entry_points(group=namespace)}


def _fail_fast() -> None:
    """Make the first connection to the API database fail at once.

    A service tries for max_retries x retry_interval (100 s); a person at a
    screen wants to read that the database is down.
    """
    from nova.db.api import api
    from oslo_db.sqlalchemy import enginefacade
    try:
        api.context_manager.configure(max_retries=1, retry_interval=0)
    except enginefacade.AlreadyStartedError:
        return


def _prepare_nova(conf: typing.Any) -> None:
    """Do what a service of Nova does before it uses cells and RPC; a cell's
    database that is down must be said soon, too."""
    from nova import objects
    from nova import rpc
    import oslo_messaging
    objects.register_all()
    for option, value in (('max_retries', 1), ('retry_interval', 0)):
        conf.set_override(option, value, group='database')
    if rpc.TRANSPORT is not None:
        return
    try:
        rpc.init(conf)
    except oslo_messaging.MessagingException as error:
        raise exception.NovaUnavailable(
            what='use transport_url', found=str(error)) from error


# NOTE(pets): imported when used. wiring imports much of nova, and
# nova-pets-manage must first say how nova is to run its threads
# (program.main).
def _wiring() -> typing.Any:
    from nova_pets import wiring
    return wiring
