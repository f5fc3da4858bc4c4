# SPDX-License-Identifier: Apache-2.0
"""Choose native threads before any of Nova is imported.

To be imported first of all in this package. Also moves what Nova's test
fixtures do at import, and would not stand with the libraries of today, out of
the way.
"""

import os

_SWITCH = 'OS_NOVA_DISABLE_EVENTLET_PATCHING'
_before = os.environ.get(_SWITCH)
os.environ[_SWITCH] = '1'

import nova.monkey_patch  # noqa: E402

if hasattr(nova.monkey_patch, 'patch'):
    nova.monkey_patch.patch(backend='threading')


def restore_environment():
    """Let child processes choose their own way, once Nova is imported."""
    if _before is None:
        os.environ.pop(_SWITCH, None)
