# SPDX-License-Identifier: Apache-2.0
"""The places where Nova's own code meets the cloud's processes and faults.

Patches are put in for the life of one cloud, and change nothing in what Nova
decides: they only make a thread stop where its process died, give each
service its own locks, options and placement client as separate processes
have, and report the points that faults.py knows.
"""

import functools
import weakref

import fixtures
from keystoneauth1 import exceptions as ks_exc
from nova.compute import api as compute_api
from nova.compute import resource_tracker
import nova.conf
from nova.scheduler.client import report
from oslo_concurrency import lockutils
from oslo_config import cfg
from oslo_messaging._drivers import impl_fake
from oslo_messaging.rpc import dispatcher

from nova_pets.tests.cloud import faults
from nova_pets.tests.cloud import processes

CONF = nova.conf.CONF

VOLUME_CALLS = ('get', 'attachment_create', 'attachment_update',
                'attachment_delete', 'attachment_complete', 'attachment_get')
IMAGE_CALLS = ('get', 'generate_image_url')


def placement_is_away():
    """Return what a client sees when nothing listens at placement's URL."""
    return ks_exc.ConnectFailure('placement is away (embedded cloud)')


class BadGateway:
    """What a proxy before placement answers when placement is away."""

    status_code = 502
    text = '<html>bad gateway</html>'
    headers = {}

    def json(self):
        # Not the ValueError of a real one: over a real bus the caller of
        # the scheduler gets RemoteError, and never that class.
        raise ks_exc.ClientException('the answer is not JSON')


class SeparateProcesses(fixtures.Fixture):
    """Locks, options and placement clients of each service are its own."""

    def __init__(self):
        super().__init__()
        self._clients = {}

    def _setUp(self):
        self._separate_locks()
        self._separate_options()
        self.useFixture(fixtures.MonkeyPatch(
            'nova.scheduler.client.report.report_client_singleton',
            self._report_client))

    def _separate_locks(self):
        lock = lockutils.lock

        def own_lock(name, *args, **kwargs):
            process = processes.current()
            if process is not None:
                name = '%s-%x-%s' % (process.name, id(process), name)
            return lock(name, *args, **kwargs)
        self.useFixture(fixtures.MonkeyPatch(
            'oslo_concurrency.lockutils.lock', own_lock))

    def _separate_options(self):
        get = cfg.ConfigOpts.__getattr__

        def own_option(conf, name):
            if conf is CONF:
                process = processes.current()
                if process is not None and name in process.settings:
                    return process.settings[name]
            return get(conf, name)
        self.useFixture(fixtures.MockPatchObject(
            cfg.ConfigOpts, '__getattr__', own_option))

    def _report_client(self):
        process = processes.current()
        if process not in self._clients:
            self._clients[process] = report.SchedulerReportClient()
        return self._clients[process]


class Messages(fixtures.Fixture):
    """The message bus: points on both ends, and a record of evacuations.

    ``publish:<topic>.<method>`` is passed by the sender before anything is
    sent, ``message:<topic>.<method>`` is the message itself on its way,
    ``receive:<topic>.<method>`` is passed by the service that got it.
    """

    def __init__(self, board):
        super().__init__()
        self._board = board
        #: (instance uuid, request id) of each rebuild_instance that reached
        #: a conductor, in order.
        self.evacuate_casts = []
        self._awaited = weakref.WeakSet()

    def _setUp(self):
        self._patch_send()
        self._patch_delivery()
        self._patch_poll()
        self._patch_dispatch()
        self._patch_reply()

    def hang_up(self):
        """End every wait for an answer; only for the end of the cloud."""
        for answers in list(self._awaited):
            answers.put((None, processes.ProcessGone('cloud closed')))

    def _patch_send(self):
        send = impl_fake.FakeDriver._send

        def gated_send(driver, target, ctxt, message, *args, **kwargs):
            self._board.reach('publish:%s.%s' % (
                target.topic, message.get('method')), _subject(message))
            answer = send(driver, target, ctxt, message, *args, **kwargs)
            processes.checkpoint()
            return answer
        self.useFixture(fixtures.MockPatchObject(
            impl_fake.FakeDriver, '_send', gated_send))

    def _patch_delivery(self):
        deliver = impl_fake.FakeExchange.deliver_message

        def gated_delivery(exchange, topic, ctxt, message, *args, **kwargs):
            if kwargs.get('reply_q') is not None:
                self._awaited.add(kwargs['reply_q'])
            process = processes.current()
            rule = self._board.find(
                'message:%s.%s' % (topic, message.get('method')),
                process, _subject(message))
            if rule is None:
                deliver(exchange, topic, ctxt, message, *args, **kwargs)
            elif rule.apply(None, None) is faults.DEFER:
                rule.deliveries.append(functools.partial(
                    deliver, exchange, topic, ctxt, message,
                    *args, **kwargs))
        self.useFixture(fixtures.MockPatchObject(
            impl_fake.FakeExchange, 'deliver_message', gated_delivery))

    def _patch_poll(self):
        poll = impl_fake.FakeExchange.poll

        def gated_poll(exchange, target, pool):
            processes.checkpoint()
            return poll(exchange, target, pool)
        self.useFixture(fixtures.MockPatchObject(
            impl_fake.FakeExchange, 'poll', gated_poll))

    def _patch_dispatch(self):
        dispatch = dispatcher.RPCDispatcher.dispatch

        def gated_dispatch(rpc_dispatcher, incoming):
            process = processes.current()
            method = incoming.message.get('method')
            if process is not None and process.topic:
                uuid = _subject(incoming.message)
                if (process.topic, method) == (
                        'conductor', 'rebuild_instance'):
                    self.evacuate_casts.append(
                        (uuid, incoming.ctxt.get('request_id')))
                self._board.reach(
                    'receive:%s.%s' % (process.topic, method), uuid)
            with faults.about(_subject(incoming.message)):
                return dispatch(rpc_dispatcher, incoming)
        self.useFixture(fixtures.MockPatchObject(
            dispatcher.RPCDispatcher, 'dispatch', gated_dispatch))

    def _patch_reply(self):
        reply = impl_fake.FakeIncomingMessage.reply

        def gated_reply(incoming, *args, **kwargs):
            processes.checkpoint()
            return reply(incoming, *args, **kwargs)
        self.useFixture(fixtures.MockPatchObject(
            impl_fake.FakeIncomingMessage, 'reply', gated_reply))


class ServicePoints(fixtures.Fixture):
    """Points at the claim, the end of an evacuation and other services.

    To be used after the fixtures that stand in for those services.
    """

    def __init__(self, board):
        super().__init__()
        self._board = board

    def _setUp(self):
        tracker = resource_tracker.ResourceTracker
        self._point(tracker, 'rebuild_claim', 'before_claim')
        self._point(tracker, 'instance_claim', 'before_instance_claim')
        self._point(tracker, 'finish_evacuation', 'before_finish')
        self._request()
        self._placement()
        self._neutron()
        for name in VOLUME_CALLS:
            self._api_call('nova.volume.cinder.API.' + name, 'cinder')
        for name in IMAGE_CALLS:
            self._api_call('nova.image.glance.API.' + name, 'glance')

    def _point(self, owner, name, point):
        """Pass a point before a method whose first object is an instance."""
        method = getattr(owner, name)

        def gated(*args, **kwargs):
            uuid = next((value.uuid for value in args[1:] + tuple(
                kwargs.values()) if hasattr(value, 'task_state')), None)
            self._board.reach(point, uuid)
            return method(*args, **kwargs)
        self.useFixture(fixtures.MockPatchObject(owner, name, gated))

    def _request(self):
        """What an evacuate call asks others for is about its instance."""
        evacuate = compute_api.API.evacuate

        def known(api, context, instance, *args, **kwargs):
            with faults.about(instance.uuid):
                return evacuate(api, context, instance, *args, **kwargs)
        self.useFixture(fixtures.MockPatchObject(
            compute_api.API, 'evacuate', known))

    def _api_call(self, path, point):
        owner_path, name = path.rsplit('.', 1)
        patch = fixtures.MonkeyPatch(path, None)
        module_path, class_name = owner_path.rsplit('.', 1)
        owner = getattr(
            __import__(module_path, fromlist=[class_name]), class_name)
        call = getattr(owner, name)
        is_double = hasattr(call, 'side_effect')

        def gated(api, *args, **kwargs):
            self._board.reach(point)
            if is_double:
                return call(*args, **kwargs)
            return call(api, *args, **kwargs)
        patch.new_value = gated
        self.useFixture(patch)

    def _placement(self):
        client = report.SchedulerReportClient
        for name in ('get', 'put', 'post', 'delete'):
            self._placement_call(client, name)

    def _placement_call(self, client, name):
        call = getattr(client, name)

        def gated(*args, **kwargs):
            self._board.reach('placement')
            answer = self._board.reach('placement.' + name)
            if answer is not None:
                return answer
            # Placement is a process of its own: what it was asked to do, it
            # does, whoever dies meanwhile.
            with processes.running_as(None):
                answer = call(*args, **kwargs)
            processes.checkpoint()
            return answer
        self.useFixture(fixtures.MockPatchObject(client, name, gated))

    def _neutron(self):
        from nova.network import neutron
        get_client = neutron.get_client

        def gated(*args, **kwargs):
            self._board.reach('neutron')
            return get_client(*args, **kwargs)
        self.useFixture(fixtures.MonkeyPatch(
            'nova.network.neutron.get_client', gated))


def _subject(message):
    """Return the instance uuid that a message is about, or None."""
    args = message.get('args', {})
    for key in ('instance', 'instance_p', 'request_spec', 'spec_obj'):
        data = args.get(key)
        if isinstance(data, dict):
            data = data.get('nova_object.data', data)
            uuid = data.get('uuid' if 'uuid' in data and key.startswith(
                'instance') else 'instance_uuid')
            if uuid:
                return uuid
    uuids = args.get('instance_uuids')
    if uuids:
        return uuids[0]
    return args.get('instance_uuid')
