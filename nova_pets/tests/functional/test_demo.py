# SPDX-License-Identifier: Apache-2.0
"""``make demo``, small and without a terminal, in a process of its own."""

import json
import os
import signal
import subprocess
import sys

import pytest

COMMAND = [sys.executable, '-m', 'nova_pets.tests.demo']
SMALL = ['--plain', '--hosts', '4', '--instances', '4', '--pets', '2',
         '--heartbeat', '2', '--timeout', '240']
LONGEST_S = 300


def _run(*given):
    return subprocess.run(COMMAND + list(given), capture_output=True,
                          text=True, timeout=LONGEST_S)


def test_it_ends_well_although_a_receiver_falls(tmp_path):
    result = tmp_path / 'result.json'
    done = _run(*SMALL, '--json', str(result))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ''
    for expected in (
            'VERDICT: it ended well', 'rebuild_spawning',
            'host1: up -> suspect', 'fencing -> fenced',
            'forced down in nova', '$ nova-manage pets status',
            'each of 2 pets runs exactly once', 'no cattle was touched'):
        assert expected in done.stdout
    document = json.loads(result.read_text())
    first, second = document['falls']
    assert document['is_well'] and document['problems'] == []
    assert second['task_state'] == 'rebuild_spawning'
    for fall in (first, second):
        assert document['power'][fall['host']] == 'off'
    for steps in document['hosts']:
        assert (steps['suspect_s'] <= steps['down_s'] <= steps['fenced_s']
                <= steps['last_pet_s'])


def test_a_story_that_does_not_end_in_time_is_no_success(tmp_path):
    result = tmp_path / 'result.json'
    done = _run(*SMALL, '--no-second-crash', '--timeout', '1',
                '--json', str(result))
    assert done.returncode == 1, done.stdout + done.stderr
    assert 'VERDICT: it did NOT end well' in done.stdout
    assert 'waited in vain' in done.stdout
    assert json.loads(result.read_text())['is_well'] is False


def _listen_to_interrupts():
    """What a shell starts in the background is born deaf to them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_it_cleanly():
    """At any moment; here while the cloud is being built."""
    process = subprocess.Popen(
        COMMAND + SMALL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, preexec_fn=_listen_to_interrupts)
    try:
        for line in process.stdout:
            if 'nova-compute on host1 is up' in line:
                break
        # A person presses again when nothing happens: an interrupt that
        # meets a callback of the interpreter is lost.
        for _ in range(10):
            process.send_signal(signal.SIGINT)
            try:
                out, err = process.communicate(timeout=6)
                break
            except subprocess.TimeoutExpired:
                continue
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert process.returncode == 130, out + err
    assert 'Interrupted' in out
    assert err == ''


def test_a_story_that_cannot_be_played_is_refused_at_once():
    done = _run('--hosts', '1')
    assert done.returncode == 2
    assert '3 to 20 hosts' in done.stderr


@pytest.fixture(autouse=True)
def _temporary_files(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, 'TMPDIR', str(tmp_path))
    yield
    left = sorted(path.name for directory in tmp_path.glob('nova-pets-*')
                  for path in directory.iterdir())
    assert set(left) <= {'nova.log'}
