# SPDX-License-Identifier: Apache-2.0
"""nova-compute restarted by ssh, on the sshd of the distribution.

The server listens on 127.0.0.1, has keys of its own, runs as whoever runs the
tests, and lets one key in.
"""

import contextlib
import getpass
import logging
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time

import pytest

from nova_pets import exception
from nova_pets.fencing import fencer
from nova_pets.fencing import registry
from nova_pets.fencing import sequence
from nova_pets.fencing import ssh_restart
from nova_pets.tests import conftest
from nova_pets.tests.fencing import servers

SSHD = shutil.which('sshd', path='/usr/sbin:/sbin:/usr/bin:/usr/local/sbin')
PATIENCE_S = 60.0
PASSPHRASE = 'Ooh7-s3cret-eeV2'
CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey {directory}/host_key
PidFile none
AuthorizedKeysFile {directory}/authorized_keys
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
"""


def make_key(path, passphrase='', kind='ed25519'):
    subprocess.run(['ssh-keygen', '-q', '-t', kind, '-N', passphrase, '-f',
                    str(path), '-C', 'a test'], check=True)
    return path.read_text()


class Sshd(servers.Server):

    def __init__(self, directory):
        self.port = servers.free_port()
        make_key(directory / 'host_key')
        self.key = make_key(directory / 'good')
        self.locked_key = make_key(directory / 'locked', PASSPHRASE)
        self.rsa_key = make_key(directory / 'rsa', kind='rsa')
        self.stranger = make_key(directory / 'stranger')
        (directory / 'authorized_keys').write_text(''.join(
            (directory / f'{name}.pub').read_text()
            for name in ('good', 'locked', 'rsa')))
        known = (directory / 'host_key.pub').read_text().split()[:2]
        self.known_hosts = directory / 'known_hosts'
        self.known_hosts.write_text(
            f'[127.0.0.1]:{self.port} {" ".join(known)}\n')
        (directory / 'sshd_config').write_text(CONFIG.format(
            port=self.port, directory=directory))
        super().__init__([SSHD, '-D', '-e', '-f',
                          str(directory / 'sshd_config')], directory)
        self.wait_until(self._listens)

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', self.port)) == 0


@pytest.fixture(scope='module')
def sshd(tmp_path_factory):
    if SSHD is None:
        conftest.require('fencing', 'needs the Debian package '
                         'openssh-server')
    if os.geteuid() == 0:
        # Where sshd puts its half that has no rights; the service makes it.
        os.makedirs('/run/sshd', mode=0o755, exist_ok=True)
    server = Sshd(tmp_path_factory.mktemp('sshd'))
    yield server
    server.stop()


def restarter(sshd, host='host1', **changes):
    settings = {'address': '127.0.0.1', 'port': sshd.port,
                'user': getpass.getuser(), 'private_key': sshd.key,
                'known_hosts': str(sshd.known_hosts), **changes}
    return ssh_restart.SshRestart(host, settings)


def refused(one, timeout_s=PATIENCE_S, within_s=PATIENCE_S):
    """Return why it was not done, after not much longer than allowed."""
    began = time.monotonic()
    with pytest.raises(exception.FencingError) as caught:
        one.restart(timeout_s)
    assert time.monotonic() - began < within_s
    return str(caught.value)


def test_the_command_is_run_there_once(sshd, tmp_path):
    mark = tmp_path / 'mark'
    one = restarter(sshd, command=f'echo restarted >> {mark}')
    assert one.restart(PATIENCE_S) == 'the command has ended well'
    assert mark.read_text() == 'restarted\n'


@pytest.mark.parametrize('name, more', [
    ('locked_key', {'passphrase': PASSPHRASE}), ('rsa_key', {})],
    ids=['with a passphrase', 'RSA'])
def test_other_keys_work_too(sshd, name, more):
    one = restarter(sshd, private_key=getattr(sshd, name), command='true',
                    **more)
    one.check(PATIENCE_S)
    one.restart(PATIENCE_S)


def test_looking_whether_it_would_work_runs_nothing(sshd, tmp_path):
    mark = tmp_path / 'mark'
    restarter(sshd, command=f'touch {mark}').check(PATIENCE_S)
    assert not mark.exists()


def test_another_host_key_gets_no_login(sshd, tmp_path):
    other = tmp_path / 'other'
    make_key(other)
    known = tmp_path / 'known_hosts'
    known.write_text(f'[127.0.0.1]:{sshd.port} ' + ' '.join(
        other.with_suffix('.pub').read_text().split()[:2]) + '\n')
    before = sshd.log.read_text()
    said = refused(restarter(sshd, known_hosts=str(known)))
    assert 'another host key' in said
    assert 'Accepted' not in sshd.log.read_text()[len(before):]


def test_an_unknown_host_key_gets_no_login(sshd, tmp_path):
    known = tmp_path / 'known_hosts'
    known.write_text('')
    assert 'has no key of it' in refused(
        restarter(sshd, known_hosts=str(known)))
    assert 'cannot be read' in refused(
        restarter(sshd, known_hosts=str(tmp_path / 'none')))


def test_a_wrong_key_is_refused(sshd):
    assert 'was refused' in refused(
        restarter(sshd, private_key=sshd.stranger))


@pytest.mark.parametrize('key, more', [
    ('no key', {}), ('locked', {}), ('locked', {'passphrase': 'wrong'})],
    ids=['garbage', 'no passphrase', 'another passphrase'])
def test_a_key_that_cannot_be_used_is_not_shown(sshd, key, more):
    text = sshd.locked_key if key == 'locked' else key
    said = refused(restarter(sshd, private_key=text, **more))
    assert 'private key' in said
    assert not [line for line in text.splitlines()[1:-1] if line in said]


def test_nobody_listens(sshd):
    assert 'refused' in refused(restarter(
        sshd, port=servers.free_port())).lower()


@contextlib.contextmanager
def listener(say=b'', every_s=0.1):
    """Takes connections, and says the same again and again, or nothing."""
    stop = threading.Event()
    with socket.create_server(('127.0.0.1', 0)) as server:
        server.settimeout(0.1)
        held = []

        def run():
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    held.append(server.accept()[0])
                for one in held:
                    with contextlib.suppress(OSError):
                        one.sendall(say)
                stop.wait(every_s)
            for one in held:
                one.close()
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        stop.set()
        thread.join()


@pytest.mark.parametrize('say', [b'', b'S', b'HTTP/1.0 200 OK\r\n'],
                         ids=['silent', 'drips', 'says something else'])
def test_whoever_does_not_speak_ssh_is_given_up(sshd, say):
    with listener(say) as port:
        refused(restarter(sshd, port=port), 1.0, within_s=30.0)


def test_a_command_that_does_not_end_is_given_up(sshd):
    said = refused(restarter(sshd, command='sleep 600'), 3.0, 30.0)
    assert 'no end within 3 s' in said and 'not known' in said


def test_a_command_that_never_stops_talking_is_given_up(sshd):
    refused(restarter(sshd, command='yes'), 3.0, 30.0)


def test_a_command_that_fails_says_why(sshd):
    said = refused(restarter(
        sshd, command='echo "Unit nova-compute.service not found." >&2; '
                      'exit 5'))
    assert 'exit status 5' in said
    assert 'Unit nova-compute.service not found.' in said


def test_a_connection_that_breaks_is_no_success(sshd):
    said = refused(restarter(sshd, command='kill -9 $PPID'))
    assert 'the command' in said


def test_no_secret_is_told_to_anybody(sshd, caplog):
    """Not in argv (there is no child), the log, or what is shown."""
    caplog.set_level(logging.DEBUG)
    one = restarter(sshd, private_key=sshd.locked_key, passphrase=PASSPHRASE,
                    command=f'echo {PASSPHRASE}; exit 1')
    said = refused(one)
    assert 'exit status 1' in said
    body = sshd.locked_key.splitlines()[1:-1]
    for text in (said, caplog.text):
        assert PASSPHRASE not in text
        assert not [line for line in body if line in text]


# -- bound to hosts -----------------------------------------------------------


def hands(sshd, tmp_path, more='', command='true'):
    key = tmp_path / 'key'
    key.write_text(sshd.key)
    key.chmod(0o600)
    path = tmp_path / 'bindings.yaml'
    path.write_text(f"""
hosts:
  - match: ["host*"]
    levels: [{{devices: [{{driver: manual}}]}}]
    service_restart:
      ssh:
        address: 127.0.0.1
        port: {sshd.port}
        user: {getpass.getuser()}
        private_key_file: {key}
        known_hosts: {sshd.known_hosts}
        command: '{command}'
      {more}
""")
    return fencer.Fencer(registry.Registry(str(path)), sequence.SystemClock(),
                         10.0, 60.0)


def test_the_bindings_say_where_and_how(sshd, tmp_path):
    found = hands(sshd, tmp_path, 'tries: 3')
    assert found.problem() is None
    assert found.ladders(['host1', 'other'])['host1'].tries == 3
    told = found.restart_service('host1', lambda: None)
    assert told.is_done, told
    assert not found.restart_service('other', lambda: None).is_done


def test_nothing_is_sent_where_it_may_not(sshd, tmp_path):
    mark = tmp_path / 'mark'
    found = hands(sshd, tmp_path, command=f'touch {mark}')
    told = found.restart_service('host1', lambda: 'its heartbeat moves')
    assert not told.is_done and 'heartbeat moves' in told.detail
    assert not mark.exists()


def test_a_key_file_that_is_gone_is_told(sshd, tmp_path):
    found = hands(sshd, tmp_path)
    pathlib.Path(tmp_path / 'key').unlink()
    told = found.restart_service('host1', lambda: None)
    assert not told.is_done and 'private_key_file' in told.detail
