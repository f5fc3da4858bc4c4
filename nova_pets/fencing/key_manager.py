# SPDX-License-Identifier: Apache-2.0
"""Secrets that nova's key manager keeps (castellan: Barbican, Vault ...).

Asks castellan and remembers what it said: a fence must not fail because the
key manager went down together with the host. castellan reads its own part of
nova.conf, ``[key_manager]``; it is imported when the first secret is asked
for, and need not be installed before.
"""

import importlib
import threading
import time
import typing

from oslo_context import context
from oslo_log import log as logging

from nova_pets.fencing import deadline

LOG = logging.getLogger(__name__)

FRESH_S = 60.0
"""A secret so young is not asked for again. An older one is, and is still
used when the key manager does not answer."""
TIMEOUT_S = 10.0


class KeyManager:
    """Reads secrets by reference; may be used by many threads.

    :param conf: nova's configuration; only castellan reads it.
    """

    def __init__(self, conf: typing.Any):
        self._conf = conf
        self._lock = threading.Lock()
        self._api: typing.Any = None
        self._kept: dict[str, tuple[str, float]] = {}
        self._silent: set[str] = set()

    def read(self, reference: str) -> str:
        """Return the secret.

        :raises ValueError: it cannot be had; says why, and what to do.
        """
        kept = self._kept.get(reference)
        if kept is not None and time.monotonic() - kept[1] < FRESH_S:
            return kept[0]
        try:
            secret = deadline.within(TIMEOUT_S, lambda: self._ask(reference),
                                     lambda: None)
        except (ValueError, deadline.Expired) as error:
            found = str(error) or f'no answer within {TIMEOUT_S:.0f} s'
            if kept is None:
                raise ValueError(
                    f'the key manager was asked for {reference}: '
                    f'{found}') from None
            if reference not in self._silent:
                self._silent.add(reference)
                LOG.warning('key manager: %s cannot be read (%s), what it '
                            'said before is used', reference, found)
            return kept[0]
        self._silent.discard(reference)
        self._kept[reference] = (secret, time.monotonic())
        return secret

    def _ask(self, reference: str) -> str:
        try:
            key_manager = importlib.import_module('castellan.key_manager')
            utils = importlib.import_module('castellan.common.utils')
        except ImportError:
            raise ValueError(
                'castellan is not installed: expected "pip install '
                'nova-pets[castellan]", or password_file') from None
        try:
            with self._lock:
                if self._api is None:
                    self._api = key_manager.API(self._conf)
            secret = self._api.get(_context(utils, self._conf), reference)
            found = secret.get_encoded()
            return found.decode() if isinstance(found, bytes) else found
        # NOTE(pets): what is behind castellan may come from anybody. The
        # text of its error may hold what was asked for, so only its kind.
        except Exception as error:
            raise ValueError(
                f'{type(error).__name__}; does the reference exist, and may '
                '[key_manager] of nova.conf read it?') from None


def _context(utils: typing.Any, conf: typing.Any) -> typing.Any:
    """Return the credentials of [key_manager], or nobody's."""
    conf.register_opts(utils.credential_opts, group=utils.OPT_GROUP)
    if conf.key_manager.auth_type:
        return utils.credential_factory(conf=conf)
    # A key manager with credentials of its own (Vault) wants some context.
    return context.RequestContext(overwrite=False)
