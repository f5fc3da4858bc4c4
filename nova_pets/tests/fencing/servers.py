# SPDX-License-Identifier: Apache-2.0
"""The real endpoints as processes: a Redfish emulator, an IPMI simulator.

Each listens on 127.0.0.1, keeps its files in one directory, and can be asked
what its machines' power really is, past all that lies in between.
"""

import pathlib
import socket
import subprocess
import sys
import time

import bcrypt
import requests

USER, PASSWORD = 'admin', 'Ooh7-s3cret-eeV2'
"""16 bytes: what ipmi_sim takes."""

CHASSIS = """\
#!/bin/sh
# ipmi_sim: DIRECTORY MC get|set power [0|1]
cd "$1" || exit 1
mode=$(cat mode)
case "$3" in
get)
    if [ -e due ] && [ "$(date +%s)" -ge "$(cat due)" ]; then
        echo 0 > power
        rm -f due
    fi
    if [ "$mode" = flapping ]; then
        if [ -e flip ]; then rm -f flip; else : > flip; fi
        [ -e flip ] && echo power:0 || echo power:1
    else
        echo "power:$(cat power)"
    fi;;
set)
    echo "$5" >> asked
    case "$mode" in
    lies|flapping) ;;
    slow) echo $(($(date +%s) + 2)) > due;;
    *) echo "$5" > power;;
    esac;;
esac
"""
LAN = """\
name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "{directory}/chassis.sh {directory} 0x20"
  user 1 true  ""      "test"   user     10 none md2 md5 straight
  user 2 true  "{user}" "{password}" admin    10 none md2 md5 straight
"""
MACHINE = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
"""
EMULATOR = """\
SUSHY_EMULATOR_LISTEN_IP = '127.0.0.1'
SUSHY_EMULATOR_LISTEN_PORT = {port}
SUSHY_EMULATOR_SSL_CERT = '{directory}/cert.pem'
SUSHY_EMULATOR_SSL_KEY = '{directory}/key.pem'
SUSHY_EMULATOR_AUTH_FILE = '{directory}/htpasswd'
SUSHY_EMULATOR_STATE_DIR = '{directory}/state'
SUSHY_EMULATOR_FEATURE_SET = 'minimum'
SUSHY_EMULATOR_FAKE_DRIVER = True
SUSHY_EMULATOR_FAKE_SYSTEMS = {systems!r}
"""
KINDS = {'on': {'power_state': 'On'}, 'off': {'power_state': 'Off'},
         'slow': {'power_state': 'On', 'delay': 3}}
SYSTEMS_OF_A_KIND = 100


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def make_certificate(directory):
    """cert.pem and key.pem for 127.0.0.1, signed by nobody else."""
    subprocess.run(
        ['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days',
         '2', '-keyout', 'key.pem', '-out', 'cert.pem', '-subj', '/CN=bmc',
         '-addext', 'subjectAltName=IP:127.0.0.1'],
        cwd=directory, check=True, capture_output=True)


class Server:
    """A process with its output in a file; ended by its own pid."""

    def __init__(self, argv, directory):
        self.directory = pathlib.Path(directory)
        self.log = self.directory / 'log'
        with self.log.open('wb') as log:
            self.process = subprocess.Popen(
                argv, cwd=directory, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)

    def wait_until(self, is_up, seconds=60):
        deadline = time.monotonic() + seconds
        while not is_up():
            if self.process.poll() is not None or \
                    time.monotonic() > deadline:
                raise RuntimeError(self.log.read_text(errors='replace'))
            time.sleep(0.1)

    def stop(self):
        self.process.kill()
        self.process.wait()


class RedfishEmulator(Server):

    def __init__(self, directory):
        self.port = free_port()
        make_certificate(directory)
        self.ca_file = str(directory / 'cert.pem')
        (directory / 'state').mkdir()
        (directory / 'htpasswd').write_text(f'{USER}:' + bcrypt.hashpw(
            PASSWORD.encode(), bcrypt.gensalt(4)).decode() + '\n')
        self._free = {kind: [] for kind in KINDS}
        systems = []
        for kind, said in KINDS.items():
            for _ in range(SYSTEMS_OF_A_KIND):
                number = len(systems)
                uuid = f'00000000-0000-4000-8000-{number:012}'
                systems.append({'uuid': uuid, 'name': f'system{number}',
                                'external_notifier': False, 'nics': [],
                                **said})
                self._free[kind].append(uuid)
        (directory / 'emulator.conf').write_text(EMULATOR.format(
            port=self.port, directory=directory, systems=systems))
        super().__init__(
            [sys.executable, '-m', 'nova_pets.tests.fencing.redfish_emulator',
             '--config', str(directory / 'emulator.conf')], directory)
        self.wait_until(self._is_up)

    def system(self, kind='on'):
        """Return the id of a system that no test has used."""
        return self._free[kind].pop()

    def power(self, system):
        return self._get(f'Systems/{system}')['PowerState']

    def _get(self, path):
        return requests.get(
            f'https://127.0.0.1:{self.port}/redfish/v1/{path}',
            auth=(USER, PASSWORD), verify=self.ca_file, timeout=10).json()

    def _is_up(self):
        try:
            return bool(self._get(''))
        except (requests.RequestException, ValueError):
            return False


class IpmiSimulator(Server):
    """One BMC; mode: '', lies, flapping or slow."""

    def __init__(self, directory):
        self.port = free_port(socket.SOCK_DGRAM)
        script = directory / 'chassis.sh'
        script.write_text(CHASSIS)
        script.chmod(0o755)
        (directory / 'lan.conf').write_text(LAN.format(
            port=self.port, directory=directory, user=USER,
            password=PASSWORD))
        (directory / 'machine.emu').write_text(MACHINE)
        self._directory = directory
        self.reset()
        super().__init__(['ipmi_sim', '-c', 'lan.conf', '-f', 'machine.emu',
                          '-s', str(directory / 'state'), '-n'], directory)
        self.wait_until(self._is_up)

    def reset(self, power='on', mode=''):
        for name in ('due', 'flip', 'asked'):
            (self._directory / name).unlink(missing_ok=True)
        (self._directory / 'power').write_text('1' if power == 'on' else '0')
        (self._directory / 'mode').write_text(mode)

    @property
    def is_on(self):
        return (self._directory / 'power').read_text().strip() != '0'

    def _is_up(self):
        answer = subprocess.run(
            ['ipmitool', '-I', 'lanplus', '-C', '3', '-H', '127.0.0.1', '-p',
             str(self.port), '-U', USER, '-f', '/dev/stdin', '-N', '1', '-R',
             '1', 'chassis', 'power', 'status'], input=PASSWORD.encode(),
            capture_output=True)
        return answer.returncode == 0
