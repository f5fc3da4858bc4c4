# SPDX-License-Identifier: Apache-2.0
"""Emptying the queue of a nova-compute that is off, in RabbitMQ.

Its queues (``compute.HOST``, with nova 34 also ``compute-alt.HOST``, the one
that is served while it shuts down) outlive their consumer: what people and
conductors sent meanwhile is delivered when nova-compute starts, and a late
``start`` or rebuild would run a second copy there without any check. This
module takes message after message, has each told, and acknowledges it. It
decides nothing: when it may be done is planning's. No message is dropped
while anybody consumes its queue, as that may be a living nova-compute.
"""

import collections.abc
import json
import re
import ssl
import threading
import time
import typing
import uuid

import amqp
import kombu
from nova.compute import rpcapi
import nova.conf
import oslo_messaging
from oslo_messaging import opts as messaging_opts

from nova_pets import exception
from nova_pets.compute import errors
from nova_pets.compute import messages
from nova_pets.model import observations

CONF = nova.conf.CONF
GROUP = 'oslo_messaging_rabbit'
ANSWER_S = 5.0
"""Longest wait for one answer of the broker."""
PAUSE_S = 0.05
PATIENCE = 60
"""Looks at a quorum queue that counts whoever took a message as a consumer,
until the acknowledgement has gone round its nodes."""

Tell = collections.abc.Callable[[observations.Dropped], None]

_METHOD = re.compile(r'\w{1,64}')
_REQUEST = re.compile(r'req-[0-9a-f-]{1,64}')
_BROKEN = (amqp.exceptions.AMQPError, kombu.exceptions.KombuError, OSError)


def queues_of(host: str) -> tuple[str, ...]:
    """Return the names that oslo.messaging gives the queues of one server."""
    topics = [rpcapi.RPC_TOPIC]
    if hasattr(rpcapi, 'RPC_TOPIC_ALT'):
        topics.append(rpcapi.RPC_TOPIC_ALT)
    return tuple(f'{topic}.{host}' for topic in topics)


def drain(url: str, host: str, timeout_s: float, tell: Tell,
          conf: typing.Any = CONF) -> observations.Drained:
    """Drop all that waits for nova-compute on a host; see base.drain.

    :param url: the transport_url of its cell. Its brokers are tried one
        after the other.
    """
    target = oslo_messaging.TransportURL.parse(conf, url)
    if target.transport != 'rabbit':
        return observations.Drained(
            False, 0, f'transport {target.transport}: only the queues of '
            f'RabbitMQ can be emptied')
    given_up = threading.Event()
    deadline = time.monotonic() + timeout_s
    try:
        return messages.bounded(
            lambda: _any_broker(target, host, tell, deadline, given_up,
                                conf), timeout_s)
    finally:
        # A thread that still hangs drops nothing when it wakes.
        given_up.set()


def _any_broker(target: typing.Any, host: str, tell: Tell, deadline: float,
                given_up: threading.Event, conf: typing.Any
                ) -> observations.Drained:
    troubles = []
    for broker in target.hosts:
        left_s = deadline - time.monotonic()
        if left_s <= 0 or given_up.is_set():
            break
        connection = _connection(broker, target, min(left_s, ANSWER_S), conf)
        where = f'{broker.hostname}:{connection.port}'
        try:
            connection.ensure_connection(max_retries=1, interval_start=0,
                                         interval_step=0)
        except _BROKEN as error:
            troubles.append(f'{where}: {errors.phrase(error)}')
            connection.release()
            continue
        try:
            return _all_queues([_Queue(connection, name, deadline, given_up)
                                for name in queues_of(host)], tell)
        except _BROKEN as error:
            return observations.Drained(
                False, 0, f'{where}: {errors.phrase(error)}')
        finally:
            connection.collect()
    return observations.Drained(
        False, 0, '; '.join(troubles) or 'no broker answered in time')


def _all_queues(found: list['_Queue'], tell: Tell) -> observations.Drained:
    """Empty them until a whole round finds nothing in any."""
    dropped = 0
    while True:
        texts, before = [], dropped
        for queue in found:
            done = queue.drain(tell)
            dropped += done.dropped
            texts.append(done.detail)
            if not done.is_drained:
                return observations.Drained(False, dropped, done.detail)
        if dropped == before:
            if dropped:
                texts.append(f'{dropped} message(s) were dropped')
            return observations.Drained(True, dropped, ', '.join(texts))


class _Queue:
    def __init__(self, connection: kombu.Connection, name: str,
                 deadline: float, given_up: threading.Event):
        self._channel = connection.channel()
        self._name = name
        self._deadline = deadline
        self._given_up = given_up
        self._dropped = 0

    def drain(self, tell: Tell) -> observations.Drained:
        self._dropped = 0
        patience = PATIENCE
        while True:
            refusal = self._why_not()
            if refusal:
                return observations.Drained(False, self._dropped, refusal)
            counts = self._counts()
            if counts is None:
                return self._done(f'there is no {self._name}')
            waiting, consumers = counts
            if consumers and self._dropped and patience > 0:
                patience -= 1
                time.sleep(PAUSE_S)
                continue
            patience = PATIENCE
            if consumers:
                return observations.Drained(
                    False, self._dropped,
                    f'{consumers} consumer(s) at {self._name}: nova-compute '
                    f'lives, or its connection has not yet timed out')
            if not waiting:
                return self._done(f'{self._name} is empty')
            message = self._channel.basic_get(self._name, no_ack=False)
            if message is None:
                # Expired, or taken by somebody: count again.
                continue
            tell(read(message.body))
            refusal = self._why_not()
            if refusal:
                return observations.Drained(False, self._dropped, refusal)
            # The next counting waits for the broker, and so for this.
            self._channel.basic_ack(message.delivery_tag)
            self._dropped += 1

    def _done(self, text: str) -> observations.Drained:
        return observations.Drained(True, self._dropped, text)

    def _why_not(self) -> str:
        if self._given_up.is_set() or time.monotonic() >= self._deadline:
            return f'its time was over after {self._dropped} message(s)'
        return ''

    def _counts(self) -> tuple[int, int] | None:
        """Return what waits and who consumes; None: no such queue.

        A queue whose node is down is "not found", too, and holds what it
        holds: only the words tell them apart.
        """
        try:
            found = self._channel.queue_declare(self._name, passive=True)
        except amqp.exceptions.NotFound as error:
            if 'no queue' in str(error.reply_text):
                return None
            raise
        return found.message_count, found.consumer_count


def read(body: bytes | str) -> observations.Dropped:
    """Return what a person may know of a message: no argument of it, no
    token."""
    try:
        content = json.loads(body)
        if isinstance(content, dict) and 'oslo.message' in content:
            content = json.loads(content['oslo.message'])
        method = str(content.get('method'))
        request = str(content.get('_context_request_id'))
        args = content.get('args')
    except (ValueError, TypeError, AttributeError, RecursionError):
        return observations.Dropped('unreadable')
    return observations.Dropped(
        method=method if _METHOD.fullmatch(method) else 'unknown',
        request_id=request if _REQUEST.fullmatch(request) else '',
        instance_uuid=_instance(args))


def _instance(args: typing.Any) -> str | None:
    """Return the uuid of the (first) instance among the arguments."""
    if not isinstance(args, dict):
        return None
    found = args.get('instance') or args.get('instances')
    if isinstance(found, list):
        found = found[0] if found else None
    if isinstance(found, dict):
        data = found.get('nova_object.data', found)
        found = data.get('uuid') if isinstance(data, dict) else None
    try:
        return str(uuid.UUID(str(found or args.get('instance_uuid'))))
    except ValueError:
        return None


# -- how oslo.messaging would connect -----------------------------------------


def _connection(broker: typing.Any, target: typing.Any, timeout_s: float,
                conf: typing.Any) -> kombu.Connection:
    options = _Options(conf, target.query)
    return kombu.Connection(
        hostname=broker.hostname, port=broker.port or 5672,
        userid=broker.username or None, password=broker.password or None,
        virtual_host=target.virtual_host or '/',
        login_method=options['rabbit_login_method'],
        ssl=_tls(options, broker.hostname) if options['ssl'] else False,
        connect_timeout=timeout_s, transport='pyamqp',
        transport_options={'read_timeout': timeout_s,
                           'write_timeout': timeout_s,
                           'confirm_publish': False})


class _Options:
    """[oslo_messaging_rabbit], where the query of the url does not say
    otherwise."""

    def __init__(self, conf: typing.Any, query: dict[str, str]):
        self._known = {}
        for group, options in messaging_opts.list_opts():
            if str(group) == GROUP:
                self._known = {option.dest: option for option in options}
        conf.register_opts(self._known.values(), group=GROUP)
        self._section = conf[GROUP]
        self._query = query

    def __getitem__(self, name: str) -> typing.Any:
        if name in self._query:
            return self._known[name].type(self._query[name])
        return self._section[name]


def _tls(options: _Options, hostname: str) -> typing.Any:
    """Return what amqp's TLS transport takes, as oslo.messaging fills it:
    without an authority those of the system are trusted."""
    found: dict[str, typing.Any] = {}
    for name, option in (('keyfile', 'ssl_key_file'),
                         ('certfile', 'ssl_cert_file')):
        if options[option]:
            found[name] = options[option]
    if options['ssl_ca_file']:
        found.update(ca_certs=options['ssl_ca_file'],
                     cert_reqs=ssl.CERT_REQUIRED, server_hostname=hostname)
    wanted = f'protocol_{options["ssl_version"] or ""}'.lower()
    if options['ssl_version']:
        known = {name.lower(): value for name, value in vars(ssl).items()
                 if name.startswith('PROTOCOL_')}
        if wanted not in known:
            raise exception.NovaUnavailable(
                what='connect to RabbitMQ',
                found=f'ssl_version {options["ssl_version"]} is not known '
                      f'to this Python')
        found['ssl_version'] = known[wanted]
    return found or True
