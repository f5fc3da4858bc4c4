# SPDX-License-Identifier: Apache-2.0
"""The network of the true hosts: a namespace with a bridge, ours alone.

It lives as long as the process ``network``, and so do the namespaces of the
hosts as long as theirs: nothing has a name that could stay behind. The
machine itself has no address there. nova-schedulers run in the namespace of
the bridge, so that what a witness hears of a host really came through the
host's link.
"""

import contextlib
import ctypes
import os
import pathlib
import subprocess

BRIDGE = 'br0'
CONTROLLER = '10.78.0.254'
"""Where the hosts find database, broker and APIs (forwarder.py)."""
HOST = '10.78.0.%d'
PREFIX_LENGTH = 24
PROCESS = 'network'
"""Its name among the processes of the lab."""
MOST_HOSTS = 200

_CLONE_NEWNET = 0x40000000
_MAKE = f"""
set -e
ip link set lo up
ip link add {BRIDGE} type bridge
ip address add {CONTROLLER}/{PREFIX_LENGTH} dev {BRIDGE}
ip link set {BRIDGE} up
touch "$1"
exec sleep infinity
"""
_ENTER = """
read pid began <"$1"; shift
exec nsenter --net=/proc/$pid/ns/net "$@"
"""


def made(directory: pathlib.Path) -> pathlib.Path:
    """Return the file that says that the bridge is there."""
    return directory / 'network-is-made'


def holder(directory: pathlib.Path) -> tuple[str, ...]:
    """Return the command of the process that is the namespace."""
    return ('unshare', '--net', 'sh', '-c', _MAKE, 'network',
            str(made(directory)))


def inside(directory: pathlib.Path) -> tuple[str, ...]:
    """Return what, before a command, runs it in the namespace."""
    return ('sh', '-c', _ENTER, 'enter', str(_pid_file(directory)))


def path(directory: pathlib.Path) -> str:
    """Return the file of the namespace, as seen where /proc is the
    machine's."""
    pid = _pid_file(directory).read_text().split()[0]
    return f'/proc/{pid}/ns/net'


def set_link(directory: pathlib.Path, host: str, is_up: bool) -> bool:
    """Pull or plug the host's cable at the bridge; return whether there
    is one: a host that does not run has none."""
    done = subprocess.run(
        [*inside(directory), 'ip', 'link', 'set', host,
         'up' if is_up else 'down'], capture_output=True, text=True)
    return done.returncode == 0


def unplug(directory: pathlib.Path, host: str) -> tuple[str, ...]:
    """Return the command that takes the host's cable away, both ends.

    A machine without power says no last word; the kernel of a namespace
    would close the connections of its dead processes, and refuse new ones,
    which is a sign of life.
    """
    return (*inside(directory), 'ip', 'link', 'delete', host)


@contextlib.contextmanager
def entered(there: int):
    """This thread is in another namespace meanwhile: sockets that it makes
    belong there, wherever they are used.

    :param there: file descriptor of the namespace.
    """
    back = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
    try:
        _set(there)
        yield
    finally:
        _set(back)
        os.close(back)


def _set(descriptor):
    # os.setns() came with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _pid_file(directory):
    return directory / 'pids' / PROCESS
