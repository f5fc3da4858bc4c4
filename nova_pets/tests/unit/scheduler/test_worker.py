# SPDX-License-Identifier: Apache-2.0
"""The engine thread of a worker: started, started again, given up."""

import os
import threading
import time

import pytest

from nova_pets.scheduler import worker

DEADLINE_S = 10


class Engine:
    """Runs until it is told to stop, or to die."""

    def __init__(self):
        self.started = threading.Event()
        self.die = threading.Event()
        self.stopped = threading.Event()

    def run(self, stop):
        self.started.set()
        while not stop.is_set():
            if self.die.is_set():
                raise RuntimeError('told to die')
            stop.wait(0.005)
        self.stopped.set()


class Ground:
    def __init__(self):
        self.now = 1000.0
        self.engines = []
        self.failure = None
        self.keeper = worker.EngineKeeper(self.build, lambda: self.now)

    def build(self):
        if self.failure is not None:
            raise self.failure
        self.engines.append(Engine())
        return self.engines[-1]

    def ensure(self):
        self.keeper.ensure()

    def started(self, count):
        wait(lambda: len(self.engines) == count)
        assert self.engines[-1].started.wait(DEADLINE_S)

    def kill(self):
        self.engines[-1].die.set()
        wait(lambda: not self.keeper.is_alive())


def wait(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, 'not in time'
        time.sleep(0.005)


@pytest.fixture
def ground():
    result = Ground()
    yield result
    assert result.keeper.stop(DEADLINE_S)


def test_nothing_is_created_before_the_first_call(ground):
    assert not any(isinstance(value, (threading.Thread, threading.Event))
                   for value in vars(ground.keeper).values())
    assert not ground.keeper.is_alive()


def test_one_thread_however_often_it_is_called(ground):
    for _ in range(5):
        ground.ensure()
    ground.started(1)
    assert ground.keeper.is_alive()


def test_a_dead_engine_is_started_again_but_not_at_once(ground):
    ground.ensure()
    ground.started(1)
    ground.kill()
    ground.ensure()
    assert not ground.keeper.is_alive()
    ground.now += worker.FIRST_BACKOFF_S
    ground.ensure()
    ground.started(2)


def test_the_wait_doubles_up_to_its_limit(ground):
    ground.failure = ImportError('no such driver')
    starts = []
    for _ in range(3000):
        before = ground.keeper._started_at
        ground.ensure()
        wait(lambda: not ground.keeper.is_alive())
        if ground.keeper._started_at != before:
            starts.append(ground.now)
        ground.now += 1
    waits = [b - a for a, b in zip(starts, starts[1:])]
    assert waits[:4] == [5, 10, 20, 40]
    assert max(waits) == worker.MAX_BACKOFF_S


def test_an_engine_that_ran_for_long_is_started_again_soon(ground):
    ground.failure = ImportError('no such driver')
    for _ in range(100):
        ground.ensure()
        wait(lambda: not ground.keeper.is_alive())
        ground.now += 5
    ground.failure = None
    ground.now += worker.MAX_BACKOFF_S
    ground.ensure()
    ground.started(1)
    ground.now += 10 * worker.MAX_BACKOFF_S
    ground.kill()
    ground.ensure()
    ground.started(2)
    ground.kill()
    ground.now += 2 * worker.FIRST_BACKOFF_S
    ground.ensure()
    ground.started(3)


def test_a_forked_process_starts_its_own(ground, monkeypatch):
    ground.ensure()
    ground.started(1)
    parents = ground.keeper._stop
    monkeypatch.setattr(os, 'getpid', lambda: -1)
    assert not ground.keeper.is_alive()
    ground.ensure()
    ground.started(2)
    parents.set()


def test_stopping_lets_the_engine_end_and_start_anew(ground):
    ground.ensure()
    ground.started(1)
    assert ground.keeper.stop(DEADLINE_S)
    assert ground.engines[0].stopped.is_set()
    ground.ensure()
    ground.started(2)


def test_a_scheduler_loaded_anew_does_not_inherit_the_wait(ground):
    ground.ensure()
    ground.started(1)
    first = ground.engines[0]
    ground.keeper.renew()
    ground.ensure()
    ground.started(2)
    assert first.stopped.wait(DEADLINE_S)


def test_the_thread_never_holds_the_process(ground):
    ground.ensure()
    ground.started(1)
    assert ground.keeper._thread.daemon
