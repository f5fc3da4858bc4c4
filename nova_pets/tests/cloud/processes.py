# SPDX-License-Identifier: Apache-2.0
"""Which service a thread belongs to, and how that service dies.

The embedded cloud runs all of Nova's services in one Python process. Each
service incarnation is a Process here, every thread knows its Process (threads
and pool tasks inherit it from whoever started them), and a Process that was
killed or stopped lets none of its threads pass a checkpoint any more: for the
rest of the cloud it is gone, exactly like a machine that lost its power.

Only this module decides whether a thread may go on. It knows no Nova.
"""

import concurrent.futures
import contextlib
import functools
import threading
import time
import weakref

import fixtures
import futurist

from nova_pets.tests.cloud import bootstrap

_local = threading.local()


class ProcessGone(BaseException):
    """Ends a thread of a dead process when the cloud is taken down."""


class Process:
    """One incarnation of one service, for instance nova-compute on host1."""

    def __init__(self, name, topic=None, settings=None, cell=None):
        """Make a running process.

        :param name: the service host, which is also its name in faults.
        :param topic: RPC topic it serves: compute, conductor, scheduler.
        :param settings: DEFAULT options that differ from nova.conf here.
        :param cell: name of the cell that its untargeted database calls use.
        """
        self.name = name
        self.topic = topic
        self.settings = settings or {}
        self.cell = cell
        self.is_dead = False
        self.is_buried = False
        self.frozen = 0
        self._is_stopped = False
        self._condition = threading.Condition()

    def __repr__(self):
        return '<Process %s%s>' % (self.name, ' dead' * self.is_dead)

    def kill(self):
        """Let no thread of this process do anything ever again."""
        with self._condition:
            self.is_dead = True
            self._condition.notify_all()

    def stop(self):
        """Stop it as SIGSTOP does, until go_on()."""
        with self._condition:
            self._is_stopped = True

    def go_on(self):
        with self._condition:
            self._is_stopped = False
            self._condition.notify_all()

    def bury(self):
        """End the frozen threads; only for the end of the cloud."""
        with self._condition:
            self.is_dead = True
            self.is_buried = True
            self._condition.notify_all()

    def checkpoint(self):
        """Return at once in a running process, else when it runs again."""
        if not (self.is_dead or self._is_stopped):
            return
        with self._condition:
            self.frozen += 1
            try:
                while self.is_dead or self._is_stopped:
                    if self.is_buried:
                        raise ProcessGone(self.name)
                    self._condition.wait(1)
            finally:
                self.frozen -= 1


def current():
    """Return the Process of the calling thread, None for the test itself."""
    stack = getattr(_local, 'stack', None)
    if stack:
        return stack[-1]
    return getattr(threading.current_thread(), '_cloud_process', None)


@contextlib.contextmanager
def running_as(process):
    """Run the block as a thread of another process (None: of the test)."""
    stack = getattr(_local, 'stack', None)
    if stack is None:
        stack = _local.stack = []
    stack.append(process)
    try:
        yield
    finally:
        stack.pop()


@contextlib.contextmanager
def not_to_be_stopped():
    """Never freeze the calling thread inside the block.

    For places that hold something the rest of the cloud waits for, such as a
    database transaction: the work that a dying service had already handed to
    the database is finished, and the thread freezes at its next step.
    """
    _local.shielded = getattr(_local, 'shielded', 0) + 1
    try:
        yield
    finally:
        _local.shielded -= 1


def is_shielded():
    return bool(getattr(_local, 'shielded', 0))


def checkpoint():
    """Freeze the calling thread here if its process is dead or stopped."""
    process = current()
    if process is not None and not is_shielded():
        process.checkpoint()


def must_freeze():
    """Tell whether checkpoint() would not return at once."""
    process = current()
    return (process is not None and not is_shielded() and
            (process.is_dead or process._is_stopped))


class InheritProcess(fixtures.Fixture):
    """Let new threads and tasks of thread pools belong to their starter."""

    def __init__(self):
        super().__init__()
        self._pools = weakref.WeakSet()

    def close_pools(self):
        """Let the idle threads of the processes' pools end."""
        for pool in list(self._pools):
            pool.shutdown(wait=False)

    def _setUp(self):
        self.useFixture(fixtures.MonkeyPatch(
            'threading.Thread.start', _starting(threading.Thread.start)))
        self.useFixture(fixtures.MonkeyPatch(
            'threading.excepthook', _quiet_hook(threading.excepthook)))
        for pool in (concurrent.futures.ThreadPoolExecutor,
                     futurist.ThreadPoolExecutor):
            self.useFixture(fixtures.MonkeyPatch(
                '%s.%s.submit' % (pool.__module__, pool.__qualname__),
                _submitting(pool.submit)))
            self.useFixture(fixtures.MonkeyPatch(
                '%s.%s.__init__' % (pool.__module__, pool.__qualname__),
                self._creating(pool.__init__)))

        if bootstrap.IS_GREEN:
            self._follow_green_threads()

    def _follow_green_threads(self):
        import eventlet
        from eventlet import greenthread
        for name in ('spawn', 'spawn_n'):
            self._follow(greenthread, name, 0)
            self.useFixture(fixtures.MockPatchObject(
                eventlet, name, getattr(greenthread, name)))
        self._follow(greenthread, 'spawn_after', 1)
        self._follow(futurist.GreenThreadPoolExecutor, 'submit', 1)

    def _follow(self, owner, name, position):
        """Run the function at a position of a spawn call as the spawner."""
        spawn = getattr(owner, name)

        @functools.wraps(spawn)
        def wrapper(*args, **kwargs):
            args = list(args)
            args[position] = _carried(args[position])
            return spawn(*args, **kwargs)
        self.useFixture(fixtures.MockPatchObject(owner, name, wrapper))

    def _creating(self, create):
        @functools.wraps(create)
        def wrapper(executor, *args, **kwargs):
            create(executor, *args, **kwargs)
            if current() is not None:
                self._pools.add(executor)
        return wrapper


def _starting(start):
    @functools.wraps(start)
    def wrapper(thread):
        thread._cloud_process = current()
        return start(thread)
    return wrapper


def _submitting(submit):
    @functools.wraps(submit)
    def wrapper(executor, function, *args, **kwargs):
        return submit(executor, _carried(function), *args, **kwargs)
    return wrapper


def _carried(function):
    """Return the function bound to the process of the calling thread."""
    process = current()

    def task(*args, **kwargs):
        with running_as(process):
            try:
                checkpoint()
                return function(*args, **kwargs)
            except ProcessGone:
                if not bootstrap.IS_GREEN:
                    raise
                # The one exception that eventlet's hub does not print.
                import greenlet
                raise greenlet.GreenletExit() from None
    return task


def _quiet_hook(hook):
    def wrapper(args):
        if not issubclass(args.exc_type, ProcessGone):
            hook(args)
    return wrapper


def pause_s(cost_s, least_s):
    """Return how long to pause after asking for something.

    What is dear to ask (nova's API) is asked less often: who waits must not
    keep the processors from what is waited for.
    """
    return max(least_s, min(0.5, 3 * cost_s))


def wait_until(condition, timeout_s, what, interval_s=0.05):
    """Return the first true value of condition(), polled until a deadline.

    :raises AssertionError: it did not become true in timeout_s seconds.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        asked = time.monotonic()
        value = condition()
        if value:
            return value
        now = time.monotonic()
        if now > deadline:
            raise AssertionError(
                'waited %s s in vain for %s; last: %r'
                % (timeout_s, what, value))
        time.sleep(pause_s(now - asked, interval_s))
