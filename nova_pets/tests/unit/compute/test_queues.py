# SPDX-License-Identifier: Apache-2.0
"""What is told of a message, whatever it is; and how a broker is reached.

What becomes of messages in RabbitMQ is in tests/executable/test_queues.py.
"""

import json
import ssl

import nova.conf
import oslo_messaging
import pytest

from nova_pets import exception
from nova_pets.compute import queues
from nova_pets.model import observations

UUID = '00000000-0000-0000-0000-000000000007'
INSTANCE = {'nova_object.name': 'Instance', 'nova_object.data': {
    'uuid': UUID, 'display_name': 'secret'}}


def message(args, method='start_instance', request='req-1'):
    inner = {'method': method, '_context_request_id': request,
             '_context_auth_token': 'secret', 'args': args}
    return json.dumps({'oslo.version': '2.0',
                       'oslo.message': json.dumps(inner)})


@pytest.mark.parametrize('args, expected', [
    ({'instance': INSTANCE}, UUID), ({'instances': [INSTANCE]}, UUID),
    ({'instance_uuid': UUID}, UUID), ({'instance': {'uuid': UUID}}, UUID),
    ({'instance': 'secret'}, None), ({'instance_uuid': 'secret'}, None),
    ({'instances': []}, None), ({}, None), ([], None), (None, None)])
def test_the_instance_is_found_where_nova_puts_it(args, expected):
    assert queues.read(message(args)) == observations.Dropped(
        'start_instance', 'req-1', expected)


@pytest.mark.parametrize('body', [
    b'', 'no json', '[]', '7', '{"oslo.message": "no json"}',
    '{"oslo.message": 7}', b'\xff\xfe', '[' * 100000])
def test_what_cannot_be_read_is_told_as_such(body):
    assert queues.read(body).method in ('unreadable', 'unknown')


def test_odd_names_are_not_told():
    found = queues.read(message({}, 'a secret', 'Bearer secret'))
    assert found == observations.Dropped('unknown', '', None)


def test_a_message_without_an_envelope_is_read():
    body = json.dumps({'method': 'start_instance', 'args': {
        'instance_uuid': UUID}, '_context_request_id': 'req-1'})
    assert queues.read(body).instance_uuid == UUID


def connection(url):
    target = oslo_messaging.TransportURL.parse(nova.conf.CONF, url)
    return queues._connection(target.hosts[0], target, 1.0, nova.conf.CONF)


def test_the_url_says_where_and_as_whom():
    found = connection('rabbit://us%2Fer:pa%40ss@[::1]:5671/v%2Fhost')
    assert (found.hostname, found.port, found.userid, found.password,
            found.virtual_host) == ('::1', 5671, 'us/er', 'pa@ss', 'v/host')
    assert found.ssl is False


def test_options_in_the_url_come_first():
    base = 'rabbit://u:p@broker/?ssl=true'
    assert connection(base).ssl is True
    assert connection(f'{base}&ssl_ca_file=/ca').ssl == {
        'ca_certs': '/ca', 'cert_reqs': ssl.CERT_REQUIRED,
        'server_hostname': 'broker'}
    assert connection(f'{base}&ssl_key_file=/k&ssl_cert_file=/c').ssl == {
        'keyfile': '/k', 'certfile': '/c'}
    assert connection(f'{base}&ssl_version=TLSv1_2').ssl == {
        'ssl_version': ssl.PROTOCOL_TLSv1_2}
    with pytest.raises(exception.NovaUnavailable, match='ssl_version'):
        connection(f'{base}&ssl_version=TLSv7')
