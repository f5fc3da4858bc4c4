# SPDX-License-Identifier: Apache-2.0
"""Detector kdump: who is heard, for how long, and by whom."""

import socket
import struct
import time

import pytest

from nova_pets.detectors import base
from nova_pets.detectors import context as detectors_context
from nova_pets.detectors import kdump
from nova_pets.model import observations
from nova_pets.model import states

MAGIC = 0x1B302A40
LITTLE = bytes.fromhex('402a301b01000000')
BIG = bytes.fromhex('1b302a4000000001')


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Ear:
    def __init__(self, port=None):
        self.now = 1000.0
        self.port = port or free_port()
        self.detector = kdump.KdumpDetector(detectors_context.Context(
            door=None, monotonic=lambda: self.now, kdump_port=self.port,
            kdump_gap_s=30.0))

    def send(self, message, source='127.0.0.1'):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((source, 0))
            sender.sendto(message, ('127.0.0.1', self.port))

    def look(self, address='127.0.0.1'):
        return self.detector.look(base.Target('host1', 'cell1', address))

    def hears(self, address='127.0.0.1'):
        deadline = time.monotonic() + 30
        while self.look(address).event != observations.DUMPING:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def stop(self):
        self.now += 1000.0
        if self.detector._thread is not None:
            self.detector._thread.join(30)
            assert not self.detector._thread.is_alive()


@pytest.fixture
def ear():
    made = Ear()
    made.detector.refresh()
    assert made.detector.problem() is None
    yield made
    made.stop()


def test_nothing_listens_before_an_engine_observes():
    made = Ear()
    assert made.detector._thread is None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(('127.0.0.1', made.port))


@pytest.mark.parametrize('message', [LITTLE, BIG], ids=['little', 'big'])
def test_a_message_of_either_byte_order(ear, message):
    ear.send(message)
    assert ear.hears()
    found = ear.look()
    assert found.sign is states.Sign.UNKNOWN
    assert 'dumps its memory' in found.detail


@pytest.mark.parametrize('message', [
    b'', b'x', LITTLE[:7], LITTLE + b'\0', struct.pack('<II', MAGIC, 2),
    struct.pack('<II', MAGIC + 1, 1), b'x' * 2000])
def test_anything_else_is_not_heard(ear, message):
    ear.send(message, '127.0.0.2')
    ear.send(LITTLE, '127.0.0.3')
    assert ear.hears('127.0.0.3')
    assert ear.look('127.0.0.2').event == ''


def test_a_message_is_of_who_sent_it(ear):
    ear.send(LITTLE, '127.0.0.2')
    assert ear.hears('127.0.0.2')
    assert ear.look('127.0.0.1').event == ''
    assert ear.look('::ffff:127.0.0.2').event == observations.DUMPING
    for address in (None, '', 'host1.example.org'):
        assert ear.look(address).event == ''


def test_who_sends_no_more_has_ended(ear):
    ear.send(LITTLE)
    assert ear.hears()
    ear.now += 30.0
    assert ear.look().event == observations.DUMPING
    ear.now += 0.1
    assert ear.look().event == ''


def test_a_port_that_is_taken_is_told_and_tried_again():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(('127.0.0.1', 0))
        made = Ear(other.getsockname()[1])
        made.detector.refresh()
        assert 'Address already in use' in made.detector.problem()
        assert made.look().sign is states.Sign.UNKNOWN
    made.detector.refresh()
    try:
        assert made.detector.problem() is None
    finally:
        made.stop()


def test_an_engine_that_observes_no_more_gives_the_port_up(ear):
    ear.now += 61.0
    ear.detector._thread.join(30)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(('127.0.0.1', ear.port))


def test_forged_senders_take_no_more_room_than_a_limit(monkeypatch):
    monkeypatch.setattr(kdump, 'MOST_SENDERS', 3)
    made = Ear()
    for last in range(1, 6):
        made.detector._hear(f'192.0.2.{last}')
    assert list(made.detector._heard) == [
        '192.0.2.3', '192.0.2.4', '192.0.2.5']
