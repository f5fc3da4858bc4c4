# SPDX-License-Identifier: Apache-2.0
"""Named points in Nova's work where a test can hold, fail or lose it.

A point is a place that every service passes, such as ``spawn`` or
``receive:conductor.rebuild_instance``. A rule says what happens to whoever
passes: it waits, gets an exception or a false answer, or (messages only) is
put aside or lost. This module keeps the rules; hooks.py and hypervisor.py
report the points.
"""

import contextlib
import threading

from nova_pets.tests.cloud import processes

DROP = object()
DEFER = object()

_local = threading.local()


@contextlib.contextmanager
def about(instance):
    """Say which instance the calling thread works on inside the block.

    Points that cannot tell (a database transaction, a request to placement)
    are then points of this instance.
    """
    before = getattr(_local, 'instance', None)
    _local.instance = instance
    try:
        yield
    finally:
        _local.instance = before


class Rule:
    """What happens at one point, for one process and instance or for all."""

    def __init__(self, board, process, point, instance, times):
        self._board = board
        self.process = process
        self.point = point
        self.instance = instance
        self.left = times
        self.hits = 0

    def matches(self, names, point, instance):
        return (self.point == point and self.left != 0 and
                (self.process is None or self.process in names) and
                self.instance in (None, instance))

    def release(self):
        """Withdraw the rule and let go of what it holds."""
        self._board.remove(self)


class Hold(Rule):
    """Threads that come by wait here until release()."""

    def __init__(self, *args):
        super().__init__(*args)
        self._condition = threading.Condition()
        self._is_released = False
        #: (process name, instance uuid) of every thread waiting here.
        self.held = []

    def apply(self, process, instance):
        entry = (process, instance)
        with self._condition:
            self.held.append(entry)
            try:
                while not self._is_released:
                    if processes.must_freeze():
                        break
                    self._condition.wait(0.05)
            finally:
                self.held.remove(entry)
        processes.checkpoint()

    def release(self):
        with self._condition:
            self._is_released = True
            self._condition.notify_all()
        super().release()

    def wait(self, instance=None, timeout_s=90):
        """Wait until a thread (working on that instance) is held here."""
        processes.wait_until(
            lambda: any(instance in (None, uuid)
                        for _name, uuid in list(self.held)),
            timeout_s, 'a hold at %s' % self.point)


class Failure(Rule):
    """Whoever comes by gets an exception."""

    def __init__(self, *args):
        super().__init__(*args)
        self.error = None

    def apply(self, process, instance):
        error = self.error
        raise error if isinstance(error, BaseException) else error()


class Answer(Rule):
    """Whoever comes by gets this answer in place of the real one."""

    def __init__(self, *args):
        super().__init__(*args)
        self.answer = None

    def apply(self, process, instance):
        return self.answer


class Deferral(Rule):
    """Messages are put aside; release() delivers them in their order."""

    def __init__(self, *args):
        super().__init__(*args)
        self.deliveries = []

    def apply(self, process, instance):
        return DEFER

    def wait(self, timeout_s=90):
        processes.wait_until(lambda: self.deliveries, timeout_s,
                             'a message at %s' % self.point)

    def release(self):
        super().release()
        while self.deliveries:
            self.deliveries.pop(0)()


class Loss(Rule):
    """Messages vanish without an error, as when a broker restarts."""

    def apply(self, process, instance):
        return DROP


class Board:
    """All rules in force, and the points that were passed."""

    def __init__(self):
        self._lock = threading.Lock()
        self._rules = []

    def add(self, kind, point, process=None, instance=None, times=-1):
        rule = kind(self, process, point, instance, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def remove(self, rule):
        with self._lock:
            if rule in self._rules:
                self._rules.remove(rule)

    def release_all(self):
        for rule in list(self._rules):
            rule.release()

    def find(self, point, process, instance=None):
        """Return the first rule for this passage, counted as used."""
        names = (process.name, process.topic) if process is not None else ()
        with self._lock:
            for rule in self._rules:
                if rule.matches(names, point, instance):
                    rule.left -= 1
                    rule.hits += 1
                    return rule
        return None

    def reach(self, point, instance=None):
        """Report that the calling thread is at a point.

        Freezes it if its process is dead, and applies the rule if there is
        one. :returns: None, or what an Answer has in store.
        """
        processes.checkpoint()
        process = processes.current()
        instance = instance or getattr(_local, 'instance', None)
        rule = self.find(point, process, instance)
        if rule is None:
            return None
        return rule.apply(process.name if process is not None else None,
                          instance)

    def wait_held(self, point, instance=None, timeout_s=90):
        """Wait until something is held at that point."""
        def held():
            return any(instance in (None, uuid)
                       for rule in list(self._rules)
                       if rule.point == point and isinstance(rule, Hold)
                       for _name, uuid in list(rule.held))
        processes.wait_until(held, timeout_s, 'a hold at %s' % point)
