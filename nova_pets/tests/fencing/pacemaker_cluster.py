# SPDX-License-Identifier: Apache-2.0
"""A Pacemaker cluster of three nodes on this machine, each in namespaces.

corosync and pacemaker as Debian has them, with fence_dummy as the devices: a
file for each node says whether it has power. Killing the first process of a
node's namespaces is the end of the whole node. Needs root. What belongs to a
cluster has the process id in its name, and is gone after ``stop``.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import time
from xml.etree import ElementTree

PROGRAMS = {'pacemakerd': 'pacemaker', 'corosync': 'corosync',
            'stonith_admin': 'pacemaker-cli-utils',
            'cibadmin': 'pacemaker-cli-utils', 'ip': 'iproute2',
            'fence_dummy': 'fence-agents'}
"""{program: the Debian package that has it}"""
PATH = '/usr/sbin:/usr/bin:/sbin:/bin'
NODES = ('n1', 'n2', 'n3')
UP_S = 90
COMMAND_S = 30

_COROSYNC = """\
totem {
  version: 2
  cluster_name: pets
  transport: udpu
  crypto_cipher: none
  crypto_hash: none
  token: 1000
}
system {
  sched_rr: no
  move_to_root_cgroup: no
}
quorum {
  provider: corosync_votequorum
}
logging {
  to_stderr: yes
  to_syslog: no
}
nodelist {
%s}
"""
_NODE = """\
  node {
    ring0_addr: 10.77.0.%(number)d
    name: n%(number)d
    nodeid: %(number)d
  }
"""
_INIT = """\
set -e
hostname "$1"
mount --make-rprivate /
mount --bind "$2/pacemaker" /var/lib/pacemaker
mount --bind "$2/corosync" /var/lib/corosync
mount --bind "$2/log" /var/log
mount --bind "$3" /etc/corosync
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
install -d -o hacluster -g haclient -m 750 /run/crm
corosync -f &
sleep 1
pacemakerd -f &
wait
"""


def why_not():
    """Return what is missing on this machine for a cluster, '' if nothing
    is."""
    packages = {package for program, package in PROGRAMS.items()
                if shutil.which(program, path=PATH) is None}
    if packages:
        return f'needs the Debian packages {" ".join(sorted(packages))}'
    if os.geteuid() != 0:
        return 'needs root, for namespaces'
    name = f'np{os.getpid()}t'
    made = _call('ip', 'netns', 'add', name, check=False)
    if made.returncode != 0:
        return f'cannot make network namespaces: {made.stderr.strip()}'
    _call('ip', 'netns', 'delete', name)
    return ''


class Cluster:
    def __init__(self, directory):
        self._directory = pathlib.Path(directory)
        self._spaces = {name: f'np{os.getpid()}{name}'
                        for name in ('sw', *NODES)}
        self._launchers = {}
        self._inits = {}

    # -- life ----------------------------------------------------------------

    def start(self):
        self._lay_network()
        etc = self._directory / 'etc'
        etc.mkdir()
        (etc / 'corosync.conf').write_text(_COROSYNC % ''.join(
            _NODE % {'number': number} for number in (1, 2, 3)))
        for node in NODES:
            self.power_file(node).write_text('on')
            self._start_node(node, etc)
        self._wait('every node is online', lambda: self._online() == set(
            NODES), UP_S)
        self._wait('the devices are known', self._are_devices_known, UP_S)

    def stop(self):
        for pid in self._inits.values():
            _kill(pid)
        for launcher in self._launchers.values():
            launcher.wait(COMMAND_S)
        for name in self._spaces.values():
            _call('ip', 'netns', 'delete', name, check=False)

    def kill_node(self, node):
        """The whole node at once, as a loss of power."""
        _kill(self._inits.pop(node))

    def prefix(self, node):
        """What runs a command on a node."""
        return ('nsenter', '-t', str(self._inits[node]), '-m', '-u', '-i',
                '-n', '-p')

    def power_file(self, node):
        return self._directory / f'{node}.power'

    def run(self, *argv, node='n1', check=True):
        return _call(*self.prefix(node), *argv, check=check)

    def log(self):
        """The end of each node's log, for a failure."""
        return '\n'.join(
            f'== {path}\n' + '\n'.join(path.read_text(
                errors='replace').splitlines()[-30:])
            for path in sorted(self._directory.glob('*.out')))

    # -- parts ---------------------------------------------------------------

    def _lay_network(self):
        switch = self._spaces['sw']
        _call('ip', 'netns', 'add', switch)
        _call('ip', '-n', switch, 'link', 'add', 'br0', 'type', 'bridge')
        _call('ip', '-n', switch, 'link', 'set', 'br0', 'up')
        for number, node in enumerate(NODES, 1):
            space = self._spaces[node]
            _call('ip', 'netns', 'add', space)
            _call('ip', '-n', switch, 'link', 'add', node, 'type', 'veth',
                  'peer', 'name', 'eth0', 'netns', space)
            _call('ip', '-n', switch, 'link', 'set', node, 'master', 'br0',
                  'up')
            _call('ip', '-n', space, 'address', 'add',
                  f'10.77.0.{number}/24', 'dev', 'eth0')
            _call('ip', '-n', space, 'link', 'set', 'eth0', 'up')
            _call('ip', '-n', space, 'link', 'set', 'lo', 'up')

    def _start_node(self, node, etc):
        home = self._directory / node
        for name in ('pacemaker', 'corosync', 'log'):
            (home / name).mkdir(parents=True)
        (home / 'log/pacemaker').mkdir()
        shutil.chown(home / 'log/pacemaker', 'hacluster', 'haclient')
        for name in ('cib', 'pengine', 'cores', 'blackbox'):
            (home / 'pacemaker' / name).mkdir()
        cib = home / 'pacemaker/cib/cib.xml'
        cib.write_text(self._configuration())
        shutil.chown(cib, 'hacluster', 'haclient')
        cib.chmod(0o600)
        for path in (home / 'pacemaker', *(home / 'pacemaker').iterdir()):
            shutil.chown(path, 'hacluster', 'haclient')
            path.chmod(0o750)
        shutil.chown(home / 'log', 'hacluster', 'haclient')
        with open(self._directory / f'{node}.out', 'wb') as out:
            launcher = subprocess.Popen(
                ['ip', 'netns', 'exec', self._spaces[node], 'unshare', '-m',
                 '-u', '-i', '-p', '-f', '--kill-child', '--mount-proc',
                 'bash', '-c', _INIT, 'node', node, str(home), str(etc)],
                stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT)
        self._launchers[node] = launcher
        children = pathlib.Path(
            f'/proc/{launcher.pid}/task/{launcher.pid}/children')
        self._wait(f'{node} has begun', lambda: children.read_text().split(),
                   COMMAND_S)
        self._inits[node] = int(children.read_text().split()[0])

    def _online(self):
        """Nodes that the controller of the cluster takes for its own; before
        it does, it fences none of them."""
        found = self.run('crm_mon', '--one-shot', '--output-as', 'xml',
                         check=False)
        if found.returncode != 0:
            return set()
        root = ElementTree.fromstring(found.stdout)
        if root.find('summary/current_dc[@present="true"]') is None:
            return set()
        return {node.get('name') for node in root.findall('nodes/node')
                if node.get('online') == 'true'}

    def _are_devices_known(self):
        listed = self.run('stonith_admin', '--list-registered', check=False)
        return all(f'fence-{node}' in listed.stdout for node in NODES)

    def _configuration(self):
        """As pacemaker keeps it: it begins with what it finds. Without the
        short dc-deadtime the first election waits for twenty seconds."""
        options = {'stonith-enabled': 'true', 'stonith-action': 'off',
                   'dc-deadtime': '2s'}
        return (
            '<cib crm_feature_set="3.1.0" validate-with="pacemaker-3.0" '
            'epoch="1" num_updates="0" admin_epoch="0"><configuration>'
            '<crm_config><cluster_property_set id="options">' +
            _pairs('option', options) +
            '</cluster_property_set></crm_config><nodes/><resources>' +
            ''.join(map(self._device, NODES)) +
            '</resources><constraints/></configuration><status/></cib>')

    def _device(self, node):
        settings = {'pcmk_host_list': node,
                    'status_file': self.power_file(node)}
        return (f'<primitive id="fence-{node}" class="stonith" '
                f'type="fence_dummy"><instance_attributes '
                f'id="fence-{node}-settings">' +
                _pairs(f'fence-{node}', settings) +
                '</instance_attributes></primitive>')

    def _wait(self, what, is_so, seconds):
        deadline = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > deadline:
                raise AssertionError(f'not within {seconds} s: {what}\n'
                                     f'{self.log()}')
            time.sleep(0.2)


def _pairs(of, values):
    return ''.join(f'<nvpair id="{of}-{name}" name="{name}" '
                   f'value="{value}"/>' for name, value in values.items())


def _kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _call(*argv, check=True):
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=COMMAND_S, env={'PATH': PATH, 'LC_ALL': 'C.UTF-8'})
    if check and done.returncode != 0:
        raise AssertionError(f'{" ".join(argv)}: {done.returncode} '
                             f'{done.stdout}{done.stderr}')
    return done
