# SPDX-License-Identifier: Apache-2.0
"""Engines in processes of their own, beside an embedded cloud.

The outpost is one process of the operating system: it imports Nova and the
product, reads the cloud's nova.conf, opens the cloud's databases, and then
forks a worker for each engine, as nova-scheduler does. A worker dies at its
point by os._exit: no ``finally``, no exit handler, no other thread of it goes
on. Messages of the workers travel over a socket to the cloud's bus; they have
a placement of their own, over the cloud's file.

    with Outpost(cloud) as outpost:
        pid = outpost.begin('engine1', known, die_at='before evacuate db1')
        assert outpost.wait(pid) == outpost.DEATH
"""

import json
import multiprocessing.connection
import os
import signal
import subprocess
import sys
import threading
import time
import traceback

from nova_pets.tests.cloud import mortal
from nova_pets.tests.cloud import pets

import fixtures
import nova.conf
from nova.db.api import api as nova_api_db
from nova import rpc
from nova.tests import fixtures as nova_fixtures
import oslo_messaging
from oslo_messaging._drivers import impl_fake

from nova_pets import wiring
from nova_pets.conf import opts
from nova_pets.tests.cloud import database
from nova_pets.tests.cloud import embedded

CONF = nova.conf.CONF
DEATH = 77
"""How a worker ends that died at its point."""
START_S = 120


class SharedCloud(mortal.MortalCloud):
    """Its databases may be written by other processes, too."""

    def _make_databases(self):
        return database.Databases(self.directory, self._cell_names,
                                  self.board, is_shared=True)


# -- in the cloud's process --------------------------------------------------

class Outpost:
    """The handle of an outpost, and the bus' end of its messages."""

    DEATH = DEATH

    def __init__(self, cloud):
        self._cloud = cloud
        self._socket = os.path.join(cloud.directory, 'outpost')
        self._listener = multiprocessing.connection.Listener(self._socket)
        self._is_closed = False

    def __enter__(self):
        cloud = self._cloud
        threading.Thread(target=self._serve, daemon=True).start()
        said = {'directory': cloud.directory, 'hosts': cloud.hosts,
                'socket': self._socket, 'tcp_port': cloud.port}
        with open(os.path.join(cloud.directory, 'outpost.stderr'),
                  'wb') as stderr:
            self._process = subprocess.Popen(
                [sys.executable, '-m', __name__, json.dumps(said)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=stderr, text=True)
        return self

    def __exit__(self, *exc_info):
        self._is_closed = True
        self._process.stdin.close()
        try:
            self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._listener.close()

    def begin(self, name, known, die_at=None):
        """Fork a worker with an engine; return its process id.

        :param known: {host or instance: what points call it}.
        """
        return self._ask('begin', name, known, die_at)

    def wait(self, pid, timeout_s=START_S):
        """Return the exit status of a worker, None: it lives on."""
        return self._ask('wait', pid, timeout_s)

    def _ask(self, *words):
        self._process.stdin.write(json.dumps(words) + '\n')
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, 'the outpost is gone:\n%s' % self.tail()
        return json.loads(answer)

    def tail(self):
        path = os.path.join(self._cloud.directory, 'outpost.stderr')
        with open(path) as stream:
            return stream.read()[-3000:]

    def _serve(self):
        while True:
            try:
                connection = self._listener.accept()
            except OSError:
                if self._is_closed:
                    return
                continue
            threading.Thread(target=self._carry, args=(connection,),
                             daemon=True).start()

    def _carry(self, connection):
        """Put one message on the bus, and bring its answer."""
        with connection:
            try:
                target, *rest = connection.recv()
            except EOFError:  # it died
                return
            try:
                answer = impl_fake.FakeDriver._send(
                    rpc.TRANSPORT._driver, oslo_messaging.Target(**target),
                    *rest)
                found = (True, answer)
            # Whatever a service raised is its answer.
            except Exception as error:
                found = (False, (type(error).__name__, str(error)))
            try:
                connection.send(found)
            except OSError:  # it died meanwhile
                return


# -- in the outpost's process ------------------------------------------------

class _Branch(pets.PetsCloud):
    """What a process needs to take part in a cloud that is there."""

    def __init__(self, directory, hosts, socket, tcp_port):
        super().__init__(hosts=hosts, directory=directory)
        self._socket = socket
        self._tcp_port = tcp_port

    def _load_config(self):
        self._read_config()

    def _build(self):
        use = self._fixtures.useFixture
        self._write_log()
        self._load_config()
        use(nova_fixtures.RPCFixture('nova.test'))
        use(fixtures.MockPatchObject(
            impl_fake.FakeDriver, '_send', self._send))
        self.databases = use(database.Databases(
            self.directory, self._cell_names, self.board, is_shared=True,
            is_there=True))
        self._reset_globals()
        double = use(embedded._TestDouble())
        use(nova_fixtures.OpenStackSDKFixture())
        use(nova_fixtures.RealPolicyFixture())
        self._start_placement()
        use(nova_fixtures.NeutronFixture(double))
        use(nova_fixtures.CinderFixture(double))
        use(nova_fixtures.GlanceFixture(double))
        opts.register_opts(CONF)
        CONF.set_override('tcp_port', self._tcp_port,
                          group='pets_detection')

    def _send(self, target, ctxt, message, wait_for_reply=None,
              timeout=None, transport_options=None):
        with multiprocessing.connection.Client(self._socket) as connection:
            connection.send(({
                name: getattr(target, name) for name in (
                    'exchange', 'topic', 'server', 'fanout')},
                ctxt, message, wait_for_reply, timeout))
            is_answer, found = connection.recv()
        if is_answer:
            return found
        kind, text = found
        if kind == 'MessagingTimeout':
            raise oslo_messaging.MessagingTimeout(text)
        raise oslo_messaging.RemoteError(kind, text)


class _Worker(mortal.Mortal):
    """An engine that is alone in its process."""

    def die(self):
        os._exit(DEATH)

    def gate(self):
        """Nothing of it is left to stop."""


def _work(name, known, die_at):
    CONF.set_override('host', name)
    worker = _Worker(name)
    worker.arm(mortal.Names(known, _instance), die_at)
    worker.build().run(threading.Event())


def _instance(recovery_id):
    return wiring.build_store('test').recovery(recovery_id).instance_uuid


def _begin(name, known, die_at):
    pid = os.fork()
    if pid:
        return pid
    try:
        nova_api_db.get_engine().dispose(close=False)
        _work(name, known, die_at)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _wait(pid, timeout_s):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    return None


def main(said):
    pids = []
    with _Branch(**json.loads(said)):
        try:
            for line in sys.stdin:
                verb, *rest = json.loads(line)
                if verb == 'begin':
                    pids.append(_begin(*rest))
                    answer = pids[-1]
                else:
                    answer = _wait(*rest)
                    if answer is not None:
                        pids.remove(rest[0])
                print(json.dumps(answer), flush=True)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)


if __name__ == '__main__':
    main(sys.argv[1])
