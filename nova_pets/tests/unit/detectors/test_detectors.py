# SPDX-License-Identifier: Apache-2.0
"""Detectors: what is life, what is silence, and what says nothing."""

import contextlib
import errno
import resource
import socket
import types

import pytest

from nova_pets import exception
from nova_pets.detectors import base
from nova_pets.detectors import context as detectors_context
from nova_pets.detectors import forced_down
from nova_pets.detectors import heartbeat
from nova_pets.detectors import registry
from nova_pets.detectors import rpc_ping
from nova_pets.detectors import tcp
from nova_pets.model import observations
from nova_pets.model import states

S = states.Sign


def target(address='127.0.0.1', host='host1'):
    return base.Target(host, 'cell1', address)


def context(**settings):
    settings.setdefault('door', None)
    return detectors_context.Context(**settings)


# -- tcp ------------------------------------------------


def look(port, address='127.0.0.1', timeout_s=0.3):
    return tcp.TcpDetector(context(
        tcp_port=port, tcp_timeout_s=timeout_s)).look(target(address))


@contextlib.contextmanager
def listening(family=socket.AF_INET, address='127.0.0.1', backlog=8):
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.bind((address, 0))
        server.listen(backlog)
        yield server.getsockname()[1]


@contextlib.contextmanager
def silent_port():
    """A full backlog: the kernel drops further connections."""
    with listening(backlog=0) as port, contextlib.ExitStack() as stack:
        while True:
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0.2)
            try:
                filler.connect(('127.0.0.1', port))
            except TimeoutError:
                break
        yield port


def free_port():
    with listening() as port:
        return port


def test_an_accepted_connection_is_life():
    with listening() as port:
        assert look(port) == base.Look(S.LIFE, f'127.0.0.1:{port} answered')


def test_a_refused_connection_is_life():
    port = free_port()

    assert look(port) == base.Look(
        S.LIFE, f'127.0.0.1:{port}: Connection refused')


def test_no_answer_is_silence():
    with silent_port() as port:
        assert look(port) == base.Look(
            S.SILENT, f'no answer of 127.0.0.1:{port} within 0.3 s')


def test_ipv6():
    try:
        with listening(socket.AF_INET6, '::1') as port:
            assert look(port, '::1').sign is S.LIFE
    except OSError:
        # No IPv6 on this machine: then a probe says nothing either.
        assert look(22, '::1').sign is S.UNKNOWN


@pytest.mark.parametrize('address', [
    None, '', 'host1.example.org', '127.0.0.300', '0.0.0.0', '224.0.0.1',
    '::', '127.0.0.1:22'])
def test_an_address_that_is_none_says_nothing(address):
    assert look(22, address).sign is S.UNKNOWN


class Failing:
    """A socket whose connect fails for one kind of socket."""

    def __init__(self, kind, number):
        self._kind = kind
        self._number = number
        self._is_it = False

    def __call__(self, family, kind):
        self._is_it = kind == self._kind
        return self

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        return False

    def settimeout(self, seconds):
        pass

    def connect(self, address):
        if self._is_it:
            raise OSError(self._number, 'text of libc')


@pytest.mark.parametrize('number, sign', [
    (errno.ECONNREFUSED, S.LIFE), (errno.ECONNRESET, S.LIFE),
    (errno.ETIMEDOUT, S.SILENT), (errno.EHOSTUNREACH, S.SILENT),
    (errno.ENETUNREACH, S.SILENT), (errno.EHOSTDOWN, S.SILENT),
    (errno.ENETDOWN, S.UNKNOWN), (errno.EMFILE, S.UNKNOWN),
    (errno.ENFILE, S.UNKNOWN), (errno.EADDRNOTAVAIL, S.UNKNOWN),
    (errno.EPERM, S.UNKNOWN), (errno.EACCES, S.UNKNOWN),
    (errno.ENOBUFS, S.UNKNOWN), (errno.EINVAL, S.UNKNOWN),
], ids=lambda value: errno.errorcode.get(value, value))
def test_what_each_error_of_the_connection_says(monkeypatch, number, sign):
    monkeypatch.setattr(tcp.socket, 'socket',
                        Failing(socket.SOCK_STREAM, number))

    assert look(22).sign is sign


@pytest.mark.parametrize('number', [
    errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EACCES],
    ids=errno.errorcode.get)
def test_without_a_route_from_here_nothing_is_said(monkeypatch, number):
    monkeypatch.setattr(tcp.socket, 'socket',
                        Failing(socket.SOCK_DGRAM, number))

    found = look(22)

    assert found.sign is S.UNKNOWN
    assert 'from here' in found.detail


def test_without_a_free_file_descriptor_nothing_is_said():
    port = free_port()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = socket.socket()
    number = lowest.fileno()
    lowest.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    try:
        found = look(port)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert found.sign is S.UNKNOWN
    assert look(port).sign is S.LIFE


# -- rpc_ping ------------------------------------------------


def ping(answer):
    def ask(host, timeout_s):
        assert (host, timeout_s) == ('host1', 2.0)
        if isinstance(answer, Exception):
            raise answer
        return answer
    return rpc_ping.RpcPingDetector(context(
        door=types.SimpleNamespace(ping=ask))).look(target()).sign


@pytest.mark.parametrize('answer, sign', [
    (True, S.LIFE), (False, S.SILENT),
    (exception.NovaUnavailable(what='ping', found='no broker'),
     S.UNKNOWN)], ids=str)
def test_what_a_ping_says(answer, sign):
    assert ping(answer) is sign


# -- heartbeat ------------------------------------------------


@pytest.mark.parametrize('silent_s, sign', [
    (None, S.UNKNOWN), (0.0, S.LIFE), (19.9, S.LIFE), (20.0, S.SILENT)])
def test_what_a_heartbeat_says(silent_s, sign):
    detector = heartbeat.HeartbeatDetector(
        context(silence_s=lambda target: silent_s))

    assert detector.look(target()).sign is sign


# -- forced_down ------------------------------------------------


def service(is_forced, host='host1'):
    return observations.Service(host, 'cell1', 7, is_forced, False)


def down(services):
    def read(cell_uuid):
        assert cell_uuid == 'cell1'
        if isinstance(services, Exception):
            raise services
        return services
    return forced_down.ForcedDownDetector(context(
        door=types.SimpleNamespace(services=read))).look(target())


@pytest.mark.parametrize('services, sign', [
    ([service(True)], S.SILENT), ([service(False)], S.UNKNOWN),
    ([service(True, 'other')], S.UNKNOWN), ([], S.UNKNOWN),
    (exception.NovaUnavailable(what='read', found='no database'),
     S.UNKNOWN)], ids=['forced', 'not', 'other', 'none', 'unreadable'])
def test_what_forced_down_says(services, sign):
    assert down(services).sign is sign


def test_the_collectors_reading_is_used_when_there_is_one():
    detector = forced_down.ForcedDownDetector(
        context(service=lambda target: service(True)))

    assert detector.look(target()).sign is S.SILENT


# -- registry ------------------------------------------------


def test_all_of_ours_are_installed_under_their_names():
    for name, cls in registry.known_detectors().items():
        assert cls.name == name
    assert {'heartbeat', 'rpc_ping', 'tcp', 'forced_down', 'bmc',
            'pacemaker', 'kdump'} <= set(
        registry.known_detectors())


def test_detectors_are_built_as_named():
    built = registry.build(
        ['tcp', 'heartbeat', ' rpc_ping', 'tcp'],
        context(silence_s=lambda target: None))

    assert [(one.name, one.path, one.always) for one in built] == [
        ('tcp', states.WitnessPath.HOST, False),
        ('heartbeat', states.WitnessPath.AGENT, True),
        ('rpc_ping', states.WitnessPath.AGENT, False)]


def test_the_heartbeat_is_left_to_a_collector_that_does_not_tell_it():
    assert [one.name for one in registry.build(
        ['heartbeat', 'tcp'], context())] == ['tcp']


def test_a_wrong_name_is_refused_with_the_right_ones():
    with pytest.raises(exception.ConfigInvalid) as caught:
        registry.build(['tpc'], context())

    assert ('bmc, forced_down, heartbeat, kdump, pacemaker, rpc_ping, '
            'tcp') in str(caught.value)
    assert "found 'tpc'" in str(caught.value)


@pytest.mark.parametrize('answer', [ValueError('bug'), None, True], ids=str)
def test_a_broken_detector_says_nothing(answer):
    class Broken(tcp.TcpDetector):
        def look(self, target):
            if isinstance(answer, Exception):
                raise answer
            return answer

    [built] = registry.build(['x'], context(), {'x': Broken})

    assert built.look(target()).sign is S.UNKNOWN
