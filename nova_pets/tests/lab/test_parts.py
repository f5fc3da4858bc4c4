# SPDX-License-Identifier: Apache-2.0
"""The parts of a lab that decide what a test of it is worth, one by one.

A blind checker, a cut that does not cut, or a dead host that still answers
would let every other test of the lab pass.
"""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time

import pytest

from nova_pets.detectors import base
from nova_pets.detectors import context
from nova_pets.detectors import tcp
from nova_pets.model import states
from nova_pets.tests import conftest as tiers
from nova_pets.tests.fencing import servers
from nova_pets.tests.lab import checker
from nova_pets.tests.lab import clock
from nova_pets.tests.lab import link
from nova_pets.tests.lab import machine
from nova_pets.tests.lab import preload
from nova_pets.tests.lab import processes
from nova_pets.tests.lab import story as story_module

DEADLINE_S = 60
DB1 = 'aaaaaaaa-0000-4000-8000-000000000001'


def wait(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def truth(tmp_path):
    result = machine.Truth(tmp_path / 'truth')
    result.make(['host1', 'host2'])
    return result


@pytest.fixture
def known(tmp_path):
    result = processes.Processes(tmp_path)
    yield result
    for name in result.specs:
        result.kill(name)


def own(module, *argv):
    return {'argv': [sys.executable, '-m', f'nova_pets.tests.lab.{module}',
                     *map(str, argv)],
            'env': {'PYTHONPATH': ':'.join(sys.path)}, 'host': None}


# The checker

def test_the_checker_sees_a_second_copy_though_it_is_gone_again(truth):
    truth.set_guest('host1', DB1, 'db1', machine.RUNNING)
    truth.set_guest('host2', DB1, 'db1', machine.RUNNING)
    truth.remove_guest('host1', DB1)
    assert 'runs on host1, host2' in checker.twice(truth.journal())[0]
    assert checker.wrong(truth.journal(), [DB1])


def test_a_paused_guest_is_a_copy(truth):
    truth.set_guest('host1', DB1, 'db1', machine.PAUSED)
    truth.set_guest('host2', DB1, 'db1', machine.RUNNING)
    assert checker.twice(truth.journal())


def test_without_power_nothing_runs_and_nothing_starts(truth):
    truth.set_guest('host1', DB1, 'db1', machine.RUNNING)
    truth.set_power('host1', machine.OFF)
    with pytest.raises(machine.NoPower):
        truth.set_guest('host1', DB1, 'db1', machine.RUNNING)
    truth.set_power('host1', machine.ON)
    assert checker.running(truth.journal()) == {DB1: set()}
    assert len(checker.fences(truth.journal())) == 1


def test_a_host_that_is_cut_off_goes_on_running(truth):
    truth.set_guest('host1', DB1, 'db1', machine.RUNNING)
    truth.cut_off('host1', True)
    assert checker.wrong(truth.journal(), [DB1]) == []
    assert checker.wrong(truth.journal(), [DB1], not_on=['host1'])


def test_a_lost_guest_is_seen(truth):
    truth.set_guest('host1', DB1, 'db1', machine.RUNNING)
    truth.set_guest('host1', DB1, 'db1', machine.SHUTDOWN)
    assert checker.wrong(truth.journal(), [DB1]) == [
        f'{DB1} runs on no host']


# What is never tried again

@pytest.mark.parametrize('is_late', [False, True])
@pytest.mark.parametrize('wrong', ['fence', 'copy'])
def test_what_must_never_be_ends_the_session(truth, monkeypatch, wrong,
                                             is_late):
    """tiers.sh tries again, alone, what ended with 1: a busy machine excuses
    that a storm is over late, not that it killed a host."""
    class Lab:
        pass
    lab = Lab()
    lab.truth = truth
    truth.set_guest('host1', DB1, 'db1', machine.RUNNING)
    story = story_module.Story(lab, lambda *words: None)

    def wait(*words):
        assert not is_late
        return 0.0
    monkeypatch.setattr(story, 'wait', wait)

    def begin():
        if wrong == 'fence':
            truth.set_power('host2', machine.OFF)
        else:
            truth.set_guest('host2', DB1, 'db1', machine.RUNNING)
    with pytest.raises(pytest.exit.Exception) as ended:
        story.storm('calm', begin, 0, lambda: None)
    assert ended.value.returncode == story_module.WRONG


# The port of a host

def test_a_dead_host_says_nothing_and_a_living_one_answers(truth, known):
    port = servers.free_port()
    known.define({'wire': own('wire', truth.directory, port,
                              'host1=127.0.1.1', 'host2=127.0.1.2')})
    known.start('wire')
    detector = tcp.TcpDetector(context.Context(
        door=None, tcp_port=port, tcp_timeout_s=0.5))

    def sign(host):
        return detector.look(base.Target(
            host, 'cell', f'127.0.1.{host[-1]}')).sign

    truth.cut_off('host1', True)
    wait(lambda: sign('host1') is states.Sign.SILENT)
    for _ in range(5):
        assert sign('host1') is states.Sign.SILENT
        assert sign('host2') is states.Sign.LIFE
    truth.cut_off('host1', False)
    wait(lambda: sign('host1') is states.Sign.LIFE)
    truth.set_power('host2', machine.OFF)
    wait(lambda: sign('host2') is states.Sign.SILENT)


# A way

@pytest.fixture
def way(tmp_path, known):
    """A connection through a link: rules(mode), both ends."""
    listener = socket.create_server(('127.0.0.1', 0))
    port = servers.free_port()
    rules = tmp_path / 'links.json'
    rules.write_text('{}')
    known.define({'link': own(
        'link', rules, 'broker', '127.0.0.1', listener.getsockname()[1],
        f'host1={port}')})
    known.start('link')

    def connect():
        with contextlib.suppress(OSError):
            return socket.create_connection(('127.0.0.1', port), 5)
        return None
    ends = []
    wait(lambda: ends.append(connect()) or ends[-1])
    here = ends[-1]
    there = listener.accept()[0]
    with listener, here, there:
        here.settimeout(DEADLINE_S)
        there.settimeout(DEADLINE_S)
        yield (lambda mode: rules.write_text(json.dumps(
            {'broker': {'*': mode}}))), here, there


def passes(here, there, seconds=1.0):
    """Whether a byte gets through in time."""
    here.send(b'x')
    there.settimeout(seconds)
    try:
        return there.recv(100).startswith(b'x')
    except TimeoutError:
        return False
    finally:
        there.settimeout(DEADLINE_S)


def test_a_stalled_way_delivers_when_the_stall_ends(way):
    rules, here, there = way
    assert passes(here, there, DEADLINE_S)
    rules(link.STALL)
    wait(lambda: not passes(here, there))
    rules(link.PASS)
    assert there.recv(100)


def test_a_cut_way_resets_what_is_there(way):
    rules, here, there = way
    assert passes(here, there, DEADLINE_S)
    rules(link.CUT)
    with pytest.raises(ConnectionResetError):
        while here.recv(1):
            pass
        raise AssertionError('closed, not reset')


# A clock

_TELL = '''
import datetime, pathlib, sys, threading, time
began, file = time.monotonic(), pathlib.Path(sys.argv[1])
for seconds in 3600, -3600, 0:
    before, wall = time.monotonic(), time.time()
    file.write_text(str(seconds))
    print(round((time.time() - wall) / 3600),
          round((datetime.datetime.now().timestamp() - wall) / 3600))
    time.sleep(0)
    time.sleep(0.05)
    threading.Event().wait(0.05)
    assert 0.09 < time.monotonic() - before < 60
'''


def test_a_step_of_the_clock_is_one_and_nothing_else(tmp_path):
    try:
        made = clock.library(tmp_path)
    except preload.NoCompiler as error:
        tiers.require('lab', str(error))
    (tmp_path / 'ahead').write_text('0')
    told = subprocess.run(
        [sys.executable, '-c', _TELL, tmp_path / 'ahead'], check=True,
        env=clock.environ(made, tmp_path / 'ahead'), capture_output=True,
        text=True, timeout=DEADLINE_S)
    assert told.stdout.split() == ['1', '1', '-2', '-2', '1', '1']


# Processes

def test_a_process_is_killed_with_its_children_and_no_other(known):
    known.define({'tree': {'argv': [
        'sh', '-c', 'sleep 600 & sleep 600 & wait'], 'env': {},
        'host': None}})
    known.start('tree')
    pid = known.pid('tree')
    known.signal('tree', signal.SIGSTOP)
    wait(lambda: known.state('tree') == 'paused')
    known.kill('tree')
    assert known.state('tree') == 'gone'
    assert not processes._is_group_alive(pid)
    # Its number belongs to another process now: this one.
    (known.directory / 'pids' / 'tree').write_text(f'{pid} 1')
    assert known.pid('tree') is None
