# SPDX-License-Identifier: Apache-2.0
"""Children: what they get, and that nothing of them is left."""

import sys
import time

import psutil
import pytest

from nova_pets.fencing import child
from nova_pets.fencing import deadline

PARENT = """\
import os, subprocess, sys, time
same = subprocess.Popen(['sleep', '600'])
other = subprocess.Popen(['sleep', '600'], start_new_session=True)
with open(sys.argv[1] + '.new', 'w') as file:
    file.write(f'{os.getpid()} {same.pid} {other.pid}')
os.rename(sys.argv[1] + '.new', sys.argv[1])
time.sleep(600)
"""


def test_how_it_ended_and_what_it_said():
    ended = child.run(
        ['/bin/sh', '-c', 'read a; echo "$a"; echo no >&2; exit 3'],
        'given\n', 20)

    assert ended == child.Ended(3, 'given\n', 'no\n')
    assert child.run(['/bin/true'], '', 20).code == 0


def test_it_gets_no_environment_of_ours(monkeypatch):
    monkeypatch.setenv('BMC_PASSWORD', 'hunter2')
    monkeypatch.setenv('PCMK_service', 'pacemaker-fenced')

    names = {line.partition('=')[0] for line in child.run(
        ['/usr/bin/env'], '', 20).out.splitlines()}

    assert names <= {'PATH', 'LC_ALL', 'PWD', 'SHLVL', '_', 'OLDPWD'}


def test_at_the_deadline_all_that_descends_from_it_is_killed(tmp_path):
    pids = tmp_path / 'pids'
    began = time.monotonic()
    with pytest.raises(deadline.Expired):
        child.run([sys.executable, '-c', PARENT, str(pids)], '', 3)
    assert time.monotonic() - began < 6

    left = [int(pid) for pid in pids.read_text().split()]
    assert len(left) == 3
    deadline_at = time.monotonic() + 10
    while any(is_alive(pid) for pid in left):
        assert time.monotonic() < deadline_at
        time.sleep(0.05)


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_cannot_be_started_is_an_error():
    with pytest.raises(OSError):
        child.run(['/no/such/program'], '', 20)
    assert child.find('no-such-program') is None
    assert child.find('sh') in ('/usr/bin/sh', '/bin/sh')
