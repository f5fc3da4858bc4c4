# SPDX-License-Identifier: Apache-2.0
"""What the plugins of one scheduler process work with: mode, store, door.

Decides nothing. The mode is plain data that the extension sets at load,
before fork; everything that holds a connection is built by wiring at the
first use, after fork. Loading is tolerant: wiring, which imports every
driver, is imported late, so that a driver that cannot be imported fails a
read and not the start of nova-scheduler.
"""

import importlib
import os
import typing

from nova_pets.compute import base as compute_base
from nova_pets.conf import policy
from nova_pets.db import base as db_base
from nova_pets.model import states

_configured: dict[str, typing.Any] = {
    'mode': states.Mode.OFF, 'kill_switch_file': None}

_doors: dict[int, compute_base.ComputeDoor] = {}


def configure(mode: states.Mode, kill_switch_file: str | None) -> None:
    """Set what the options of this process say; forget an earlier door."""
    _configured.update(mode=mode, kill_switch_file=kill_switch_file)
    _doors.clear()


def mode() -> states.Mode:
    """Return the mode that counts now, the kill switch included."""
    return policy.mode_now(
        _configured['mode'], _configured['kill_switch_file'])[0]


def wiring() -> typing.Any:
    """Return the wiring module."""
    return importlib.import_module('nova_pets.wiring')


def store() -> db_base.Store:
    """Return the store of this process; may raise anything."""
    result: db_base.Store = wiring().store()
    return result


def door() -> compute_base.ComputeDoor:
    """Return the door to Nova of this process; may raise anything."""
    pid = os.getpid()
    if pid not in _doors:
        _doors.setdefault(pid, wiring().build_door())
    return _doors[pid]
