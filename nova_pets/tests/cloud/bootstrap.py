# SPDX-License-Identifier: Apache-2.0
"""Choose how Nova's services run at once, before any of Nova is imported.

To be imported first of all in this package. Nova 33 and later run in native
threads. Nova 31 knows green threads only (its compute manager, its message
servers and its cell queries call eventlet by name), as its own executables do.
"""

import importlib.metadata
import os

_SWITCH = 'OS_NOVA_DISABLE_EVENTLET_PATCHING'
_FIRST_THREADED = 33

#: Whether the services run in eventlet's green threads.
IS_GREEN = (
    int(importlib.metadata.version('nova').split('.')[0]) < _FIRST_THREADED)

_before = os.environ.get(_SWITCH)
os.environ[_SWITCH] = '0' if IS_GREEN else '1'

import nova.monkey_patch  # noqa: E402

if not IS_GREEN:
    nova.monkey_patch.patch(backend='threading')


def restore_environment():
    """Let child processes choose their own way, once Nova is imported."""
    if _before is None:
        os.environ.pop(_SWITCH, None)
    else:
        os.environ[_SWITCH] = _before
