# SPDX-License-Identifier: Apache-2.0
"""What waits in RabbitMQ for a nova-compute that is off, and emptying it.

A broker with a virtual host of our own, messages sent by nova's own classes,
and a consumer that is oslo.messaging's server with nova's topics.
"""

import os
import socket
import threading
import time
import uuid

os.environ.setdefault('OS_NOVA_DISABLE_EVENTLET_PATCHING', '1')

from nova import conf as nova_conf  # noqa: E402
from nova import context as nova_context  # noqa: E402
from nova import objects  # noqa: E402
from nova import rpc  # noqa: E402
from nova.compute import rpcapi  # noqa: E402
import oslo_messaging  # noqa: E402
import pytest  # noqa: E402

from nova_pets import exception  # noqa: E402
from nova_pets.compute import queues  # noqa: E402
from nova_pets.model import states  # noqa: E402
from nova_pets.tests.executable import conftest  # noqa: E402
from nova_pets.tests.unit.engine import world as worlds  # noqa: E402

CONF = nova_conf.CONF
HOST = 'host1'
DB1 = str(uuid.UUID(int=1))
PATIENCE_S = 60


class Recorder:
    """A nova-compute, as far as a message goes."""

    target = oslo_messaging.Target(version='6.9')

    def __init__(self):
        self.got = []
        self.is_there = threading.Semaphore(0)

    def start_instance(self, context, instance):
        self._note('start_instance')

    def rebuild_instance(self, context, **arguments):
        self._note('rebuild_instance')

    def _note(self, name):
        self.got.append(name)
        self.is_there.release()

    def wait_for(self, number):
        for _ in range(number):
            assert self.is_there.acquire(timeout=PATIENCE_S), self.got


class Broker:
    """A virtual host, and both ends of nova's RPC in it."""

    def __init__(self, url):
        self.url = url
        self.transport = rpc.create_transport(url)
        self.context = nova_context.RequestContext(
            'user', 'project', auth_token='very-secret', is_admin=True)
        self.context.mq_connection = self.transport

    def serve(self, topic='compute'):
        """Start a consumer; return it with what stops it."""
        recorder = Recorder()
        server = oslo_messaging.get_rpc_server(
            self.transport, oslo_messaging.Target(topic=topic, server=HOST),
            [recorder], executor='threading',
            serializer=rpc.RequestContextSerializer(
                objects.base.NovaObjectSerializer()))
        server.start()

        def stop():
            server.stop()
            server.wait()
        return recorder, stop

    def be_started_once(self, topic='compute'):
        """The queue exists from now on, and nobody consumes it."""
        self.serve(topic)[1]()

    def client(self, topic='compute'):
        return oslo_messaging.get_rpc_client(
            self.transport, oslo_messaging.Target(
                topic=topic, version='6.0'), version_cap='6.4',
            serializer=objects.base.NovaObjectSerializer())

    def api(self):
        """nova.compute.rpcapi, without the look into databases that choose
        a version."""
        api = rpcapi.ComputeAPI.__new__(rpcapi.ComputeAPI)
        client = self.client()
        client.serializer = rpc.RequestContextSerializer(
            objects.base.NovaObjectSerializer())

        class Router:
            def client(self, context):
                return client
        type(self)._router = Router()
        api.__class__ = type('Api', (rpcapi.ComputeAPI,), {
            'router': self._router})
        return api

    def send_late(self):
        """What a person and a conductor asked for while the host was off."""
        instance = objects.Instance(
            self.context, uuid=DB1, host=HOST, id=1, vm_state='stopped',
            task_state='powering-on', display_name='db1', metadata={})
        api = self.api()
        api.start_instance(self.context, instance)
        api.rebuild_instance(
            self.context, instance, new_pass='very-secret',
            injected_files=[], image_ref='', orig_image_ref='',
            orig_sys_metadata={}, bdms=objects.BlockDeviceMappingList(
                objects=[]), recreate=True, on_shared_storage=True,
            host=HOST, node=HOST, preserve_ephemeral=False, migration=None,
            limits={}, request_spec=None, accel_uuids=[],
            reimage_boot_volume=False, target_state=None)
        self.wait_for_messages(2)

    def wait_for_messages(self, number):
        """The broker takes casts in its own time."""
        deadline = time.monotonic() + PATIENCE_S
        while self.waiting() != number:
            assert time.monotonic() < deadline, self.waiting()
            time.sleep(0.05)

    def waiting(self, queue=f'compute.{HOST}'):
        with self.connection() as connection:
            return connection.default_channel.queue_declare(
                queue, passive=True).message_count

    def connection(self):
        target = oslo_messaging.TransportURL.parse(CONF, self.url)
        return queues._connection(target.hosts[0], target, 5.0, CONF)


@pytest.fixture(scope='module')
def url():
    objects.register_all()
    with conftest.virtual_host() as found:
        yield found


@pytest.fixture
def broker(url):
    """Without any queue of the host."""
    found = Broker(url)
    with found.connection() as connection:
        for name in queues.queues_of(HOST):
            connection.default_channel.queue_delete(name)
    yield found
    found.transport.cleanup()


def drain(url, tell=None, timeout_s=30.0):
    told = []
    return queues.drain(url, HOST, timeout_s, tell or told.append), told


def test_without_draining_a_start_and_a_rebuild_reach_the_returned_host(
        broker):
    """The danger, and that the messages of the other tests are real."""
    broker.be_started_once()
    broker.send_late()
    recorder, stop = broker.serve()
    recorder.wait_for(2)
    stop()
    assert sorted(recorder.got) == ['rebuild_instance', 'start_instance']


def test_what_waits_is_told_and_dropped(broker):
    broker.be_started_once()
    broker.send_late()
    done, told = drain(broker.url)
    assert done.is_drained and done.dropped == 2, done
    assert [(one.method, one.instance_uuid, one.request_id)
            for one in told] == [
        (method, DB1, broker.context.request_id)
        for method in ('start_instance', 'rebuild_instance')]
    assert 'very-secret' not in f'{told} {done}'
    recorder, stop = broker.serve()
    stop()
    assert recorder.got == [] and broker.waiting() == 0


@pytest.mark.nova(33, 34)
def test_the_second_queue_of_a_nova_compute_is_emptied_too(broker):
    topic = rpcapi.RPC_TOPIC_ALT
    broker.be_started_once()
    broker.be_started_once(topic)
    broker.client(topic).prepare(server=HOST).cast(
        {}, 'finish_resize', instance_uuid=DB1)
    deadline = time.monotonic() + PATIENCE_S
    while not broker.waiting(f'{topic}.{HOST}'):
        assert time.monotonic() < deadline
    done, told = drain(broker.url)
    assert done.is_drained and [one.method for one in told] == [
        'finish_resize']


def test_a_consumer_is_a_sign_of_life(broker):
    recorder, stop = broker.serve()
    try:
        done, told = drain(broker.url)
    finally:
        stop()
    assert not done.is_drained and 'consumer' in done.detail
    assert not told


def test_a_message_that_cannot_be_told_stays(broker):
    broker.be_started_once()
    broker.send_late()

    def tell(message):
        raise exception.ClaimsLost(reason='deposed')
    with pytest.raises(exception.ClaimsLost):
        drain(broker.url, tell)
    broker.wait_for_messages(2)


def test_a_drain_has_a_deadline(broker):
    """Nothing is dropped after it, even by a thread that was slow."""
    broker.be_started_once()
    broker.send_late()
    done, _ = drain(broker.url, lambda message: time.sleep(1.5), 1.0)
    assert not done.is_drained and 'time was over' in done.detail
    broker.wait_for_messages(2)


@pytest.mark.parametrize('options', [
    {'rabbit_quorum_queue': True}, {'amqp_durable_queues': True}],
    ids=['quorum', 'durable'])
def test_every_kind_of_queue_is_emptied(options):
    objects.register_all()
    with conftest.virtual_host() as url:
        query = '&'.join(f'{name}={value}'.lower()
                         for name, value in options.items())
        broker = Broker(f'{url}?{query}')
        broker.be_started_once()
        broker.send_late()
        done, told = drain(broker.url)
        assert done.is_drained and len(told) == 2, done
        broker.transport.cleanup()


def test_a_host_that_never_had_a_queue_has_nothing_waiting(broker):
    done, _ = drain(broker.url)
    assert done.is_drained and 'there is no compute.host1' in done.detail


def test_the_next_broker_is_asked_where_one_is_down(broker):
    user, rest = broker.url.removeprefix('rabbit://').split('@')
    done, _ = drain(f'rabbit://{user}@127.0.0.1:1,{user}@{rest}')
    assert done.is_drained


def test_the_next_broker_is_asked_where_one_is_silent(broker):
    user, rest = broker.url.removeprefix('rabbit://').split('@')
    with socket.create_server(('127.0.0.1', 0)) as server:
        silent = f'{user}@127.0.0.1:{server.getsockname()[1]}'
        done, _ = drain(f'rabbit://{silent},{user}@{rest}', None, 60.0)
        assert done.is_drained, done


WRONG = {
    'refused': ('rabbit://guest:guest@127.0.0.1:1/', 'refused'),
    'no such virtual host': (conftest.RABBIT + 'is_not_there', 'not found'),
    'wrong password': ('rabbit://guest:very-secret@127.0.0.1:5672/',
                       'ACCESS_REFUSED'),
    'no TLS there': (conftest.RABBIT + '?ssl=true', 'SSL'),
    'kafka': ('kafka://127.0.0.1/', 'only the queues of RabbitMQ'),
    'fake': ('fake:///', 'only the queues of RabbitMQ'),
}


@pytest.mark.parametrize('url, why', WRONG.values(), ids=WRONG)
def test_a_broker_that_cannot_be_asked_is_not_drained(url, why):
    done, told = drain(url)
    assert not done.is_drained and not told
    assert why in done.detail and 'very-secret' not in done.detail


# -- with an engine -----------------------------------------------------------


@pytest.fixture
def world(tmp_path, broker):
    """An engine, in a small false world whose queues are real."""
    made = worlds.World(tmp_path)
    made.boot(DB1, HOST)
    made.drain = lambda host, tell: queues.drain(broker.url, host, 30.0,
                                                 tell)
    broker.be_started_once()
    return made


def states_of(world):
    return world.store().host(HOST).state


def is_back(world):
    return ('power_on' in world.calls and
            states_of(world) is states.HostState.UP)


def history(world, code):
    return [(event.text.split()[0], event.instance_uuid)
            for event in world.store().history() if event.code == code]


def test_late_requests_are_dropped_before_power_on(world, broker):
    engine = world.engine(power_on=states.PowerOn.AFTER_RECOVERY)
    world.drive([engine], lambda: engine.memory.count(HOST))
    world.crash(HOST)
    broker.send_late()
    world.drive([engine], lambda: is_back(world))
    assert world.machines[HOST].power == 'on'
    assert sorted(history(world, 'message_dropped')) == [
        ('rebuild_instance', DB1), ('start_instance', DB1)]
    recorder, stop = broker.serve()
    stop()
    assert recorder.got == []


def test_what_is_sent_after_the_first_draining_is_dropped_too(world, broker):
    """The engine has emptied the queue and dies before it powers on; then
    somebody sends; then another engine goes on."""
    def die(number, name, moment):
        if name == 'power_on':
            raise worlds.Died
    engine = world.engine(power_on=states.PowerOn.AFTER_RECOVERY)
    world.drive([engine], lambda: engine.memory.count(HOST))
    world.crash(HOST)
    world.on_call = die
    with pytest.raises(worlds.Died):
        world.drive([engine], lambda: is_back(world))
    # The second draining has its turn within the second call.
    assert world.calls[-2:] == ['drain', 'power_on']
    assert world.machines[HOST].power == 'off'
    broker.send_late()
    world.on_call = lambda number, name, moment: None
    second = world.engine('b', power_on=states.PowerOn.AFTER_RECOVERY)
    world.drive([second], lambda: is_back(world))
    assert len(history(world, 'message_dropped')) == 2
    assert broker.waiting() == 0


def test_a_broker_that_is_away_means_no_power_on(world, broker):
    world.drain = lambda host, tell: queues.drain(
        'rabbit://guest:guest@127.0.0.1:1/', host, 30.0, tell)
    engine = world.engine(power_on=states.PowerOn.AFTER_RECOVERY)
    world.drive([engine], lambda: engine.memory.count(HOST))
    world.crash(HOST)
    world.drive([engine], lambda: world.store().host(
        HOST).reason == 'not_drained')
    for _ in range(100):
        engine.cycle()
        world.tick(2.0)
    assert world.machines[HOST].power == 'off'
    assert states_of(world) is states.HostState.VACATED
    [told] = [event for event in world.store().history()
              if event.code == 'not_drained']
    assert 'refused' in told.text
    world.drain = lambda host, tell: queues.drain(broker.url, host, 30.0,
                                                  tell)
    world.drive([engine], lambda: is_back(world))
