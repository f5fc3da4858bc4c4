# SPDX-License-Identifier: Apache-2.0
"""Virtual time: an event queue, processes that can die or freeze, tasks.

One thing happens at a time, in an order that only the seed decides; time
between two events costs nothing. Tasks are greenlets: an engine's code runs
in one until a port call gives the turn away. A killed process is never
resumed, so none of its code runs any more, not even a ``finally``.
"""

import collections.abc
import heapq
import random
import traceback
import typing

import greenlet

Call = collections.abc.Callable[[], None]

START = 1000.0
"""Virtual seconds at which every run begins; zero would hide a default."""


class Stuck(Exception):
    """A run made more events than any sane run does."""


class Kernel:
    """:param seed: the one source of chance.
    :param events_max: more than this many events end the run as Stuck.
    """

    def __init__(self, seed: int, events_max: int = 2_000_000):
        self.seed = seed
        self.now = START
        self.lines: list[tuple[typing.Any, ...]] = []
        """The trace: (time, kind, facts ...)."""
        self.after_step: Call | None = None
        """Called after each event that noted something."""
        self.failures: list[str] = []
        """What tasks raised and nobody caught; always a bug."""
        self._events = 0
        self._events_max = events_max
        self._order = 0
        self._queue: list[tuple[float, int, Process | None, Call]] = []
        self._main = greenlet.getcurrent()
        self._tasks: set[greenlet.greenlet] = set()
        """Also of dead processes: a greenlet that is collected would run
        its ``finally``."""
        self._is_closed = False
        self._streams: dict[str, random.Random] = {}
        self._task_process: dict[greenlet.greenlet, Process] = {}

    # -- time ----------------------------------------------------------------

    def after(self, delay_s: float, call: Call,
              process: 'Process | None' = None) -> None:
        """Have ``call`` run ``delay_s`` from now.

        :param process: whose code it is; None: nature's.
        """
        self._order += 1
        heapq.heappush(self._queue, (
            self.now + max(delay_s, 0.0), self._order, process, call))

    def run(self, until: float,
            is_over: collections.abc.Callable[[], bool] | None = None
            ) -> None:
        """Let time pass until then, or until ``is_over()`` after a step.

        :raises Stuck: too many events.
        """
        queue = self._queue
        while queue and queue[0][0] <= until:
            when, _, process, call = heapq.heappop(queue)
            self.now = max(self.now, when)
            self._events += 1
            if self._events > self._events_max:
                raise Stuck(f'more than {self._events_max} events')
            noted = len(self.lines)
            if process is None:
                call()
            else:
                process.turn(call)
            if len(self.lines) != noted:
                if self.after_step is not None:
                    self.after_step()
                if is_over is not None and is_over():
                    return
        self.now = max(self.now, until)

    @property
    def events(self) -> int:
        return self._events

    def close(self) -> None:
        """Let go of everything that waits; nothing is looked at any more.

        A greenlet that was begun and never ended is no garbage to Python:
        without this a process that runs many seeds keeps them all.
        """
        self._is_closed = True
        self._queue.clear()
        for task in list(self._tasks):
            task.throw()

    # -- chance and trace ----------------------------------------------------

    def random(self, purpose: str) -> random.Random:
        """Return the stream of one purpose: what one consumer draws does
        not change what another one gets."""
        stream = self._streams.get(purpose)
        if stream is None:
            stream = random.Random(f'{self.seed}/{purpose}')  # nosec B311
            self._streams[purpose] = stream
        return stream

    def note(self, kind: str, *facts: typing.Any) -> None:
        """Add a line to the trace. Facts have a stable ``repr``."""
        self.lines.append((self.now, kind, *facts))

    # -- processes and tasks -------------------------------------------------

    def process(self, name: str) -> 'Process':
        return Process(self, name)

    def sleep(self, seconds: float) -> None:
        """Give the turn away; only within a task."""
        task = self._task()
        process = self._task_process[task]
        self.after(seconds, task.switch, process)
        self._main.switch()

    def yield_until(self, park: collections.abc.Callable[[Call], None]
                    ) -> None:
        """Give the turn away until somebody calls what ``park`` was given;
        only within a task."""
        task = self._task()
        process = self._task_process[task]
        is_woken = False

        def wake() -> None:
            nonlocal is_woken
            if not is_woken:
                is_woken = True
                self.after(0.0, task.switch, process)

        park(wake)
        self._main.switch()

    def _task(self) -> greenlet.greenlet:
        if self._is_closed:
            raise greenlet.GreenletExit
        return greenlet.getcurrent()

    def _spawn(self, process: 'Process', call: Call) -> None:
        def body() -> None:
            try:
                call()
            # NOTE(pets): the outermost boundary of a task; the run reports
            # it as a failure with its seed.
            except Exception as error:
                self.note('bug', process.name, repr(error))
                self.failures.append(_describe(process.name, error))
            finally:
                self._tasks.discard(task)
                self._task_process.pop(task, None)

        task = greenlet.greenlet(body, parent=self._main)
        self._tasks.add(task)
        self._task_process[task] = process
        self.after(0.0, task.switch, process)

    def current_process(self) -> 'Process | None':
        """Return whose task is running, None: nature."""
        return self._task_process.get(greenlet.getcurrent())

    def current_task(self) -> object:
        """Return what tells this task from all others."""
        return greenlet.getcurrent()

    def die_here(self) -> None:
        """End the process of the running task, at this very line."""
        process = self.current_process()
        if process is None:
            raise RuntimeError('die_here outside a task')
        process.kill()
        self._main.switch()


class Process:
    """One incarnation of something that runs code; a restart is a new one.
    """

    def __init__(self, kernel: Kernel, name: str):
        self.kernel = kernel
        self.name = name
        self.is_alive = True
        self.is_paused = False
        self._waiting: list[Call] = []

    def after(self, delay_s: float, call: Call) -> None:
        self.kernel.after(delay_s, call, self)

    def spawn(self, call: Call) -> None:
        """Run ``call`` as a task of this process."""
        self.kernel._spawn(self, call)

    def turn(self, call: Call) -> None:
        if not self.is_alive:
            return
        if self.is_paused:
            self._waiting.append(call)
            return
        call()

    def kill(self) -> None:
        """As kill -9, or a power cut: nothing of it runs any more."""
        self.is_alive = False
        self._waiting.clear()

    def pause(self) -> None:
        """As SIGSTOP: what is due waits; its monotonic clock goes on."""
        self.is_paused = True

    def resume(self) -> None:
        if not self.is_paused:
            return
        self.is_paused = False
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            self.kernel.after(0.0, call, self)


def _describe(name: str, error: BaseException) -> str:
    return f'{name}: ' + ''.join(traceback.format_exception(error))
