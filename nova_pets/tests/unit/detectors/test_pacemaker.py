# SPDX-License-Identifier: Apache-2.0
"""Detector pacemaker: what an event proves, and whether it is of now."""

import dataclasses
import datetime
import functools
import threading

import pytest

from nova_pets.detectors import base
from nova_pets.detectors import context as detectors_context
from nova_pets.detectors import fencing_history
from nova_pets.detectors import pacemaker
from nova_pets.detectors import registry
from nova_pets.model import observations
from nova_pets.model import states

S = states.Sign
TARGET = base.Target('host1', 'cell1', None)
OFF, RESET = observations.SWITCHED_OFF, observations.RESET


def ago(seconds):
    return (datetime.datetime.now(datetime.UTC) - datetime.timedelta(
        seconds=seconds)).strftime('%Y-%m-%d %H:%M:%SZ')


def event(action='off', target='host1', status='success', completed=None,
          **more):
    if completed is None:
        completed = ago(0)
    values = {'action': action, 'target': target, 'client':
              'pacemaker-controld.7', 'origin': 'n1', 'status': status,
              'delegate': 'n2', 'completed': completed, **more}
    return '<fence_event {}/>'.format(' '.join(
        f'{name}="{value}"' for name, value in values.items() if value))


def later(*values, **more):
    """An event of the moment at which its test runs: what is made while the
    tests are collected may be old by then."""
    return functools.partial(event, *values, **more)


def answer(*events, code=0, message='OK'):
    return (f'<pacemaker-result api-version="2.25" request="x"><list '
            f'name="fencing history" count="{len(events)}">'
            f'{"".join(events)}</list><status code="{code}" '
            f'message="{message}"/></pacemaker-result>')


@dataclasses.dataclass
class Ended:
    out: str
    code: int = 0
    err: str = ''


class Cluster:
    """A detector, its clock, and the history that it will read."""

    def __init__(self, **settings):
        self.now = 1000.0
        self.alive_at = 1000.0
        self.events = []
        self.asked = []
        self.trouble = None
        self.detector = pacemaker.PacemakerDetector(
            detectors_context.Context(
                door=None, run=self._run, monotonic=lambda: self.now,
                alive_at=lambda target: self.alive_at, **settings))

    def _run(self, argv, timeout_s):
        self.asked.append((argv, timeout_s))
        if isinstance(self.trouble, Exception):
            raise self.trouble
        return self.trouble or Ended(answer(*self.events))

    def silent(self, seconds=5.0):
        """Read what there is, let the host fall silent, let time pass."""
        self.detector.refresh()
        self.now += 1.0
        self.alive_at = self.now
        self.now += seconds
        return self

    def look(self, *events, after_s=2.0):
        self.events += events
        self.now += after_s
        return self.detector.look(TARGET)


def test_the_command():
    cluster = Cluster(pacemaker_prefix=('ssh', 'c1'),
                      pacemaker_timeout_s=3.0)
    cluster.look()
    assert cluster.asked == [((
        'ssh', 'c1', 'stonith_admin', '--history', '*', '--verbose',
        '--output-as', 'xml'), 3.0)]


def test_an_off_since_the_host_fell_silent_is_evidence():
    found = Cluster().silent().look(event())
    assert (found.sign, found.event) == (S.SILENT, OFF)
    assert 'n2' in found.detail


@pytest.mark.parametrize('events, sign, said', [
    ([later('reboot')], S.UNKNOWN, RESET),
    ([later('on')], S.UNKNOWN, RESET),
    ([later('something new')], S.UNKNOWN, RESET),
    ([later('reboot', status='pending', completed='')], S.UNKNOWN, RESET),
    ([later('reboot', status='')], S.UNKNOWN, RESET),
    ([later(), later('on')], S.UNKNOWN, RESET),
    ([later('on'), later()], S.UNKNOWN, RESET),
    ([later(), later('reboot', status='failed')], S.SILENT, OFF),
    ([later(status='failed')], S.UNKNOWN, ''),
    ([later(status='pending', completed='')], S.UNKNOWN, ''),
    ([later(target='host2')], S.UNKNOWN, ''),
    ([later(target='HOST1')], S.UNKNOWN, ''),
    ([later(target='host1.example.org')], S.UNKNOWN, ''),
    ([], S.UNKNOWN, ''),
])
def test_what_each_history_says(events, sign, said):
    found = Cluster().silent().look(*(make() for make in events))
    assert (found.sign, found.event) == (sign, said)


def test_a_node_of_another_name():
    cluster = Cluster(pacemaker_nodes={'host1': 'n3'}).silent()
    assert cluster.look(event()).event == ''
    assert cluster.look(event(target='n3')).event == OFF


# -- of now, or of old -------------------------------------------------------


def test_what_was_there_before_the_silence_is_old():
    cluster = Cluster()
    cluster.events = [event(completed=ago(30))]
    assert cluster.silent().look().event == ''


def test_what_the_first_read_found_may_be_old():
    """An engine that has just begun cannot tell."""
    cluster = Cluster()
    cluster.now += 20
    assert cluster.look(event()).event == ''
    assert cluster.look().event == ''


def test_a_host_that_was_seen_alive_since_is_not_off():
    cluster = Cluster().silent()
    assert cluster.look(event()).event == OFF
    cluster.alive_at = cluster.now
    assert cluster.look().event == ''


def test_without_a_reading_from_before_the_silence_nothing_is_new():
    """What a node missed for hours comes all at once when it joins."""
    cluster = Cluster()
    cluster.detector.refresh()
    cluster.now += 3600.0
    cluster.alive_at = cluster.now
    cluster.now += 10.0
    assert cluster.look(event()).event == ''


def test_an_event_that_vanished_and_comes_again_is_old():
    cluster = Cluster()
    old = event(completed=ago(5))
    cluster.events = [old]
    cluster.detector.refresh()
    cluster.events.clear()
    assert cluster.silent().look(old).event == ''


def test_an_event_long_before_by_its_own_date_is_old():
    """Clocks may only make an event old, never new."""
    cluster = Cluster().silent(10.0)
    assert cluster.look(event(completed=ago(400))).event == ''
    assert Cluster().silent(10.0).look(
        event(completed=ago(200))).event == OFF
    assert Cluster().silent(10.0).look(
        event(completed=ago(-3600))).event == OFF


@pytest.mark.parametrize('completed', ['', 'yesterday', '2026-13-01 00:00Z'])
def test_an_event_without_a_date_is_old(completed):
    found = Cluster().silent().look(event(completed=completed))
    assert found.event == ''


def test_since_when_the_host_is_silent_must_be_known():
    cluster = Cluster().silent()
    cluster.alive_at = None
    assert cluster.look(event()).event == ''


# -- the command -------------------------------------------------------------


TROUBLES = {
    'late': (detectors_context.Expired(), 'no answer within 5 s'),
    'missing': (FileNotFoundError(2, 'No such file or directory'),
                'cannot be run'),
    'refused': (Ended('', 1, 'Permission denied (publickey).'),
                'Permission denied'),
    'text': (Ended('no xml'), 'no XML'),
    'html': (Ended('<html/>'), 'found html'),
    'empty': (Ended('<pacemaker-result/>'), 'expected pacemaker-result'),
    'not connected': (Ended(answer(code=102, message='Not connected'), 102),
                      'Not connected'),
    'endless': (Ended('x' * (fencing_history.MOST_CHARACTERS + 1)),
                'characters'),
}


@pytest.mark.parametrize('trouble, problem', TROUBLES.values(), ids=TROUBLES)
def test_a_history_that_cannot_be_read_says_nothing(trouble, problem):
    cluster = Cluster().silent()
    assert cluster.look(event()).event == OFF
    cluster.trouble = trouble
    cluster.now += 60.0
    found = cluster.look()
    assert (found.sign, found.event) == (S.UNKNOWN, '')
    assert problem in found.detail
    assert problem in cluster.detector.problem()

    cluster.trouble = None
    assert cluster.look().event == OFF
    assert cluster.detector.problem() is None


def test_one_read_serves_all_hosts():
    cluster = Cluster()
    for _ in range(5):
        cluster.look(after_s=0.1)
    assert len(cluster.asked) == 1
    cluster.look(after_s=1.0)
    assert len(cluster.asked) == 2


def test_a_cluster_that_does_not_answer_holds_one_thread():
    cluster = Cluster().silent()
    cluster.look()
    begun, ended = threading.Event(), threading.Event()

    def hang(argv, timeout_s):
        begun.set()
        ended.wait(30)
        return Ended(answer())
    cluster.detector._run = hang
    cluster.now += 2.0
    thread = threading.Thread(target=cluster.detector.refresh)
    thread.start()
    try:
        assert begun.wait(30)
        assert cluster.detector.look(TARGET).sign is S.UNKNOWN
    finally:
        ended.set()
        thread.join(30)


def test_it_is_read_before_anything_is_wrong():
    detector, = registry.build(['pacemaker'], detectors_context.Context(
        door=None), {'pacemaker': pacemaker.PacemakerDetector})
    assert detector.refresh_s == pacemaker.CALM_S
    detector.refresh()
    assert 'no programs' in detector.problem()


def test_old_events_are_forgotten_in_the_end(monkeypatch):
    monkeypatch.setattr(fencing_history, 'MOST_EVENTS', 3)
    history = fencing_history.History()
    for number in range(5):
        history.take(fencing_history.parse(answer(event(
            origin=f'n{number}'))), float(number))
    assert len(history._seen) == 3
