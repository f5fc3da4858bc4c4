# SPDX-License-Identifier: Apache-2.0
"""Which failures of Nova's parts mean "nothing is known".

Translates exceptions only; decides nothing. A failure that means something
(a compare-and-swap that met other values, a refusal) is translated where it
is met, before it comes here.
"""

import contextlib

from keystoneauth1 import exceptions as ks_exc
import kombu.exceptions
from nova import exception as nova_exc
from oslo_db import exception as db_exc
import oslo_messaging
import sqlalchemy.exc

from nova_pets import exception

UNAVAILABLE = (
    db_exc.DBError,
    sqlalchemy.exc.SQLAlchemyError,
    oslo_messaging.MessagingException,
    kombu.exceptions.KombuError,
    ks_exc.ClientException,
    nova_exc.NovaException,
    OSError,
)
"""The databases, the broker (oslo.messaging lets kombu's error through when a
new connection fails), keystone and placement, Nova's own errors."""


def phrase(error: BaseException) -> str:
    """Return one line about an error, its class first."""
    text = ' '.join(str(error).split())
    name = type(error).__name__
    return f'{name}: {text[:300]}' if text else name


@contextlib.contextmanager
def unavailable(what: str):
    """Turn every failure to ask or to tell into NovaUnavailable.

    :param what: continues "cannot ...", for people.
    """
    try:
        yield
    except UNAVAILABLE as error:
        raise exception.NovaUnavailable(
            what=what, found=phrase(error)) from error
