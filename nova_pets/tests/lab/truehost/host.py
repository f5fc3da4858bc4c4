# SPDX-License-Identifier: Apache-2.0
"""The first process of a true host: its operating system, so to say.

Runs as process 1 of network, mount, uts, ipc and pid namespaces of its own.
Gives the host a name, a link to the bridge and directories that no other host
sees, then starts libvirtd and nova-compute, and answers at one TCP port, as
an sshd would. When it is killed everything on the host is dead at once, and
its link is gone.

    python -m nova_pets.tests.lab.truehost.host DIRECTORY HOST ADDRESS PORT
        NETWORK_FD COMPUTE ...

COMPUTE is the command of nova-compute.
"""

import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

from nova_pets.tests.lab import machine
from nova_pets.tests.lab.truehost import locks
from nova_pets.tests.lab.truehost import network

FD = 9
"""Descriptor of the bridge's namespace."""
LIBVIRT_S = 60
_SOCKET = pathlib.Path('/run/libvirt/libvirt-sock')
_ENTER = f"""
read pid began <"$1"; shift
exec {FD}</proc/$pid/ns/net
exec unshare --net --mount --uts --ipc --pid --fork --kill-child \\
    --mount-proc "$@"
"""
_OWN = ('/var/lib', '/var/cache', '/var/log', '/etc/libvirt')
"""libvirt's places: kept by each host for itself, and over its restarts."""
_LIBVIRTD = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
host_uuid = "%s"
log_outputs = "3:file:/var/log/libvirtd.log"
"""
_QEMU = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
security_default_confined = 0
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
"""
_USERS = {
    '/etc/passwd': 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:'
                   '/usr/sbin/nologin\n',
    '/etc/group': 'libvirt-qemu:x:64055:\n'}


def command(directory, host, address, port, compute) -> tuple[str, ...]:
    """Return the command that is the whole host.

    :param compute: the command of nova-compute.
    """
    return ('sh', '-c', _ENTER, 'host', str(directory / 'pids' /
                                            network.PROCESS),
            sys.executable, '-m', __spec__.name, str(directory), host,
            address, str(port), *map(str, compute))


def lay_out(home: pathlib.Path, uuid: str) -> None:
    """Make the directories that a host keeps.

    :param uuid: of the machine, as a BIOS has one.
    """
    for place in _OWN:
        own(home, place).mkdir(parents=True, exist_ok=True)
    etc = own(home, '/etc/libvirt')
    (etc / 'libvirtd.conf').write_text(_LIBVIRTD % uuid)
    (etc / 'qemu.conf').write_text(_QEMU)


def own(home: pathlib.Path, place: str) -> pathlib.Path:
    return home / 'own' / place.strip('/').replace('/', '-')


def main(directory, host, address, port, *compute):
    directory = pathlib.Path(directory)
    _tell(f'{host} boots')
    socket.sethostname(host)
    _mount(directory / host, host)
    _plug(directory, host, address)
    threading.Thread(target=_answer, args=(int(port),), daemon=True).start()
    _start_libvirt(directory, host)
    subprocess.Popen(compute, cwd=directory, start_new_session=True)
    _tell('nova-compute is started')
    while True:
        # What lost its parent is ours now, as everywhere.
        pid, status = os.wait()
        if os.waitstatus_to_exitcode(status):
            _tell(f'process {pid} ended: {status:#x}')


def _mount(home, host):
    for place in _OWN:
        # To be mounted over, an empty one will do: libvirt-daemon brings
        # none, libvirt-daemon-system does.
        pathlib.Path(place).mkdir(parents=True, exist_ok=True)
        _run('mount', '--bind', own(home, place), place)
    for place in ('/run', '/dev/shm'):
        _run('mount', '-t', 'tmpfs', 'tmpfs', place)
    _replace(home, '/etc/hosts', f'127.0.0.1 localhost {host}\n')
    # libvirtd insists on a user that it then does not use. It is made by a
    # package that brings systemd, too.
    for place, line in _USERS.items():
        before = pathlib.Path(place).read_text()
        if f'\n{line.partition(":")[0]}:' not in before:
            _replace(home, place, before + line)


def _replace(home, place, text):
    mine = own(home, place)
    mine.write_text(text)
    _run('mount', '--bind', mine, place)


def _plug(directory, host, address):
    """Lay a cable from here to the bridge."""
    there = f'/proc/self/fd/{FD}'

    def at_the_bridge(*words):
        _run('nsenter', f'--net={there}', 'ip', *words, pass_fds=(FD,))

    _run('ip', 'link', 'set', 'lo', 'up')
    # That of its last life, if it died in no orderly way.
    subprocess.run(['nsenter', f'--net={there}', 'ip', 'link', 'delete',
                    host], pass_fds=(FD,), capture_output=True)
    _run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', host,
         'netns', there, pass_fds=(FD,))
    at_the_bridge('link', 'set', host, 'master', network.BRIDGE)
    if not machine.Truth(directory / 'truth').facts(host).is_cut_off:
        at_the_bridge('link', 'set', host, 'up')
    os.close(FD)
    _run('ip', 'address', 'add', f'{address}/{network.PREFIX_LENGTH}', 'dev',
         'eth0')
    _run('ip', 'link', 'set', 'eth0', 'up')


def _answer(port):
    with socket.create_server(('0.0.0.0', port), backlog=128) as listener:
        while True:
            listener.accept()[0].close()


def _start_libvirt(directory, host):
    environ = {**os.environ, 'LD_PRELOAD': str(locks.library(directory))}
    subprocess.Popen(['libvirtd'], env=environ, start_new_session=True)
    deadline = time.monotonic() + LIBVIRT_S
    while not _SOCKET.exists():
        if time.monotonic() > deadline:
            _tell('libvirtd does not come up: see its log in own/var-log')
            return
        time.sleep(0.05)
    _tell('libvirtd is up')


def _run(*argv, **kwargs):
    subprocess.run([*map(str, argv)], check=True, stdin=subprocess.DEVNULL,
                   **kwargs)


def _tell(text):
    print(time.strftime('%H:%M:%S'), text, flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
