# SPDX-License-Identifier: Apache-2.0
"""The parts of true hosts that decide what a test of them is worth.

A judge that does not see a copy, a cable that is pulled and still carries, a
power switch that leaves something running, or locks that hold a second qemu
back would let every other test pass.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from nova_pets.detectors import base
from nova_pets.detectors import context
from nova_pets.detectors import tcp
from nova_pets.model import states
from nova_pets.tests.fencing import servers
from nova_pets.tests.lab import bmc
from nova_pets.tests.lab import checker
from nova_pets.tests.lab import machine
from nova_pets.tests.lab import plan as plan_module
from nova_pets.tests.lab import processes
from nova_pets.tests.lab.test_parts import wait
from nova_pets.tests.lab.truehost import guest
from nova_pets.tests.lab.truehost import host as truehost
from nova_pets.tests.lab.truehost import locks
from nova_pets.tests.lab.truehost import network
from nova_pets.tests.lab.truehost import spaces
from nova_pets.tests.lab.truehost import watcher

pytestmark = pytest.mark.usefixtures('machine_has_all')

DB1 = 'aaaaaaaa-0000-4000-8000-000000000001'
HOSTS = ('host1', 'host2')
ENVIRON = {'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}


@pytest.fixture
def truth(tmp_path):
    result = machine.Truth(tmp_path / 'truth')
    result.make(HOSTS)
    return result


@pytest.fixture
def known(tmp_path):
    result = processes.Processes(tmp_path)
    yield result
    for name in reversed(result.specs):
        result.kill(name)


def qemu(directory, uuid=DB1):
    """A qemu that has not begun to run its guest: it is a copy already."""
    return [guest.PROGRAM, '-S', '-machine', 'none', '-display', 'none',
            '-nodefaults', '-serial', f'file:{directory}/console.log',
            '-name', 'guest=db1,debug-threads=on', '-uuid', uuid]


def in_a_space(*argv):
    """What a host is, as far as the judge is concerned."""
    return {'argv': ['unshare', '--pid', '--fork', '--kill-child',
                     '--mount-proc', *map(str, argv)], 'env': {}, 'host': None}


# The judge

def test_the_judge_counts_each_qemu_by_its_host(truth, known, tmp_path):
    known.define({
        'host1': in_a_space(*qemu(tmp_path)),
        'host2': in_a_space(*qemu(tmp_path)),
        'other': in_a_space(*qemu(f'{tmp_path}-of-others'))})
    judge = watcher.Watcher(tmp_path)

    def running():
        judge.look()
        return checker.running(truth.journal()).get(DB1, set())

    pathlib.Path(f'{tmp_path}-of-others').mkdir()
    known.start('other')
    known.start('host1')
    wait(lambda: running() == {'host1'})
    assert checker.twice(truth.journal()) == []
    known.start('host2')
    wait(lambda: running() == {'host1', 'host2'})
    assert len(watcher.copies(tmp_path)[DB1]) == 2
    known.kill('host1')
    assert running() == {'host2'}
    assert len(checker.twice(truth.journal())) == 1
    assert 'host1, host2' in checker.twice(truth.journal())[0]


def test_what_becomes_a_qemu_late_stays_one(
        truth, known, tmp_path, monkeypatch):
    """The fork that libvirtd makes is seen before it calls exec()."""
    os.mkfifo(tmp_path / 'go')
    known.define({'host1': in_a_space(
        'sh', '-c', 'read line <"$1"; shift; exec "$@"', 'sh',
        tmp_path / 'go', *qemu(tmp_path))})
    known.start('host1')
    eyes = watcher.Eyes(tmp_path)
    [space] = spaces.of_hosts(known, HOSTS)
    wait(lambda: spaces.members(space))
    assert eyes.look() == {}
    (tmp_path / 'go').write_text('\n')
    wait(eyes.look)
    monkeypatch.setattr(watcher, 'SETTLED_S', 0)
    assert [seen.uuid for seen in eyes.look().values()] == [DB1]


def test_two_copies_on_one_host_are_two(truth, known, tmp_path):
    known.define({'host1': in_a_space(
        'sh', '-c', '"$@" & "$@" & wait', 'sh', *qemu(tmp_path))})
    known.start('host1')
    judge = watcher.Watcher(tmp_path)
    wait(lambda: judge.look() or checker.twice(truth.journal()))


def test_a_frozen_copy_is_one_and_stands_still(truth, known, tmp_path):
    known.define({'host1': in_a_space(
        'sh', '-c', '"$@" & while :; do :; done', 'sh', *qemu(tmp_path))})
    known.start('host1')
    wait(lambda: watcher.copies(tmp_path).get(DB1))
    [space] = spaces.of_hosts(known, HOSTS)
    spaces.stop_all(space)
    assert all(map(processes.is_still, spaces.members(space)))
    assert len(watcher.copies(tmp_path)[DB1]) == 1
    spaces.signal_all(space, signal.SIGCONT)
    wait(lambda: not all(map(processes.is_still, spaces.members(space))))
    spaces.stop_all(space)
    known.kill('host1')
    assert watcher.copies(tmp_path) == {}


def test_no_lock_holds_a_second_qemu_back(tmp_path):
    """And with locks it would be: else the shim were not needed."""
    disk = tmp_path / 'disk'
    disk.write_bytes(guest.image())
    argv = [*qemu(tmp_path), '-blockdev',
            f'driver=file,node-name=disk,filename={disk}', '-device',
            'virtio-blk,drive=disk']
    argv[argv.index('none')] = 'pc'
    environ = {**os.environ, 'LD_PRELOAD': str(locks.library(tmp_path))}

    def runs(env):
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(argv, env=env, capture_output=True, timeout=3)
            return False
        return True

    first = subprocess.Popen(argv)
    try:
        wait(lambda: f':{disk.stat().st_ino} ' in pathlib.Path(
            '/proc/locks').read_text())
        assert not runs(None)
        assert runs(environ)
    finally:
        first.kill()
        first.wait()


def test_the_guest_counts_on_from_what_its_disk_says(tmp_path):
    disk = tmp_path / 'disk'
    disk.write_bytes(guest.image())

    def live(until):
        process = subprocess.Popen(
            [guest.PROGRAM, '-accel', 'tcg', '-m', '32', '-display', 'none',
             '-nodefaults', '-drive', f'file={disk},format=raw'])
        try:
            wait(lambda: guest.beats(disk) >= until)
        finally:
            process.kill()
            process.wait()
        return guest.beats(disk)

    assert guest.beats(disk) == 0
    first = live(2)
    assert live(first + 1) in (first + 1, first + 2)


# A host

@pytest.fixture
def hosts(truth, known, tmp_path):
    """Two hosts with libvirtd, without a nova-compute, and the bridge."""
    port = servers.free_port()
    locks.library(tmp_path)
    specs = {network.PROCESS: {'argv': list(network.holder(tmp_path)),
                               'env': {}, 'host': None}}
    for number, host in enumerate(HOSTS, 1):
        truehost.lay_out(tmp_path / host, DB1)
        specs[host] = {
            'argv': list(truehost.command(
                tmp_path, host, network.HOST % number, port,
                ('sleep', '600'))),
            'env': ENVIRON, 'host': host,
            'before_kill': network.unplug(tmp_path, host)}
    known.define(specs)
    known.start(network.PROCESS)
    wait(network.made(tmp_path).exists)
    for host in HOSTS:
        known.start(host)
    detector = tcp.TcpDetector(context.Context(
        door=None, tcp_port=port, tcp_timeout_s=0.5))
    there = os.open(network.path(tmp_path), os.O_RDONLY)

    def sign(host):
        # As from a nova-scheduler, which is in that namespace.
        with network.entered(there):
            return detector.look(base.Target(
                host, 'cell', network.HOST % int(host[-1]))).sign

    wait(lambda: all('nova-compute is started' in
                     known.log(host).read_text() for host in HOSTS))
    yield sign
    os.close(there)


def test_a_host_answers_or_is_silent_as_its_cable_and_power_are(
        hosts, truth, known, tmp_path):
    def is_heard(first, second):
        wait(lambda: (hosts('host1'), hosts('host2')) == (first, second))
        for _ in range(3):
            assert (hosts('host1'), hosts('host2')) == (first, second)

    life, silent = states.Sign.LIFE, states.Sign.SILENT
    is_heard(life, life)
    network.set_link(tmp_path, 'host1', False)
    is_heard(silent, life)
    network.set_link(tmp_path, 'host1', True)
    is_heard(life, life)
    # No refusal either: the power is gone at once.
    known.kill('host2')
    is_heard(life, silent)
    machines = bmc.Machines(tmp_path)
    machines.power_off('host2')
    machines.power_on('host2')
    is_heard(life, life)
    machines.power_off('host1')
    is_heard(silent, life)


def test_nothing_of_a_host_is_left_when_its_bmc_says_off(
        hosts, truth, known, tmp_path):
    [space] = [space for space, host in spaces.of_hosts(known, HOSTS).items()
               if host == 'host1']
    # The first process, libvirtd, "nova-compute".
    assert len(spaces.members(space)) >= 3
    spaces.stop_all(space)  # its power switch needs no help of the host
    machines = bmc.Machines(tmp_path)
    machines.power_off('host1')
    assert machines.power('host1') == machine.OFF
    assert spaces.members(space) == []
    assert truth.facts('host2').power == machine.ON
    assert known.state('host2') == 'running'


def test_a_bmc_that_deceives_says_off_and_leaves_all_running(
        hosts, truth, known, tmp_path):
    (truth.directory / 'bmc_host1').write_text(bmc.DECEIVES)
    machines = bmc.Machines(tmp_path)
    assert machines.power('host1') == machine.ON
    machines.deceive('host1', machine.OFF)
    assert machines.power('host1') == machine.OFF
    assert known.state('host1') == 'running'
    assert checker.fences(truth.journal()) == []


# The end

_OWNER = """
import pathlib, sys, time
from nova_pets.tests.lab import guard, processes
directory = pathlib.Path(sys.argv[1])
with guard.over(directory):
    known = processes.Processes(directory)
    known.define({'host1': {'argv': ['sleep', '600'], 'env': {},
                            'host': None}})
    known.start('host1')
    print('up', flush=True)
    time.sleep(600)
"""


def test_a_lab_whose_owner_is_killed_is_taken_down(known, tmp_path):
    plan_module.make(
        tmp_path, cells=1, computes=1, schedulers=1, workers=1,
        report_interval_s=2, database='mysql').save()
    with subprocess.Popen(
            [sys.executable, '-c', _OWNER, str(tmp_path)], text=True,
            stdout=subprocess.PIPE, env={**os.environ, **ENVIRON}) as owner:
        assert owner.stdout.readline() == 'up\n'
        assert known.state('host1') == 'running'
        owner.kill()
    wait(lambda: plan_module.server_of(tmp_path) is None)
    assert known.state('host1') == 'gone'
