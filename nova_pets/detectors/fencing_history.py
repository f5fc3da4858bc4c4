# SPDX-License-Identifier: Apache-2.0
"""What Pacemaker's fencing history says, and what of it is new.

Reads what ``stonith_admin --history`` prints; runs nothing. No clock of
another machine makes an event new: it is new to a host that was alive when a
read of the history began that did not have it. The wall clock of this
machine may only make an event that looks new an old one.
Source: specs/0010-fencing, "Pacemaker".
"""

import collections
import collections.abc
import dataclasses
import datetime
import threading
# What is read is the output of Pacemaker's own tool, from this machine or
# one that the operator named; expat itself stops the expansion of entities.
from xml.etree import ElementTree  # nosec B405

MOST_EVENTS = 10000
"""Kept; Pacemaker itself keeps fewer. Above it the oldest are forgotten."""
MOST_CHARACTERS = 8 * 1024 * 1024
CLOCK_MARGIN_S = 300.0
"""How far the clocks of the cluster may be from ours."""


class Unreadable(Exception):
    """The text is no fencing history; says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class FencingEvent:
    node: str
    action: str
    status: str
    """success, failed or pending."""
    completed: str
    """As printed; '' while it is pending."""
    client: str
    origin: str
    delegate: str

    @property
    def is_switch_off(self) -> bool:
        return self.action == 'off' and self.status == 'success'

    @property
    def may_have_power(self) -> bool:
        """It left the node with power, or may be about to."""
        return self.action != 'off' and self.status != 'failed'


def parse(text: str) -> list[FencingEvent]:
    """Return the events in the order in which they are printed.

    :raises Unreadable:
    """
    if len(text) > MOST_CHARACTERS:
        raise Unreadable(f'{len(text)} characters')
    try:
        root = ElementTree.fromstring(text)  # nosec B314
    except ElementTree.ParseError as error:
        raise Unreadable(f'no XML ({error})') from None
    status = root.find('status')
    if root.tag != 'pacemaker-result' or status is None:
        raise Unreadable(f'expected pacemaker-result, found {root.tag:.40}')
    if status.get('code') != '0':
        words = [status.get('message', 'no message'),
                 *(one.text or '' for one in status.iter('error'))]
        raise Unreadable(': '.join(words)[:200])
    return [FencingEvent(
        node=one.get('target', ''), action=one.get('action', ''),
        status=one.get('status', ''), completed=one.get('completed', ''),
        client=one.get('client', ''), origin=one.get('origin', ''),
        delegate=one.get('delegate', ''))
        for one in root.iter('fence_event')]


@dataclasses.dataclass(frozen=True, slots=True)
class _Seen:
    absent_at: float | None
    """Begin of the last read that did not have it; None: the first read
    had it."""
    found_at: float
    """Begin of the first read that had it."""


class History:
    """Successful reads, and when each event came up in them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at: float | None = None
        self._seen: collections.OrderedDict[FencingEvent, _Seen] = (
            collections.OrderedDict())
        self._current: tuple[FencingEvent, ...] = ()

    @property
    def read_at(self) -> float | None:
        """Begin of the last successful read."""
        with self._lock:
            return self._read_at

    def take(self, events: collections.abc.Sequence[FencingEvent],
             began_at: float) -> None:
        """Take one successful read. An event that vanished and comes again
        (the history was cleaned up, or a node joined) is not new."""
        with self._lock:
            for event in events:
                if event not in self._seen:
                    self._seen[event] = _Seen(self._read_at, began_at)
            while len(self._seen) > MOST_EVENTS:
                self._seen.popitem(last=False)
            self._current = tuple(events)
            self._read_at = began_at

    def new_of(self, node: str, alive_at: float, max_gap_s: float,
               silent_s: float, wall_now: datetime.datetime
               ) -> list[FencingEvent]:
        """Return the events of a node since it was last seen alive.

        :param alive_at: when that was, by the clock of ``began_at``.
        :param max_gap_s: a read that old, at ``alive_at``, says nothing
            about what was new then.
        :param silent_s: time since ``alive_at``.
        :param wall_now: of this machine, aware.
        """
        with self._lock:
            found = [event for event in self._current if event.node == node
                     and _is_new(self._seen.get(event), alive_at,
                                 max_gap_s)]
        return [event for event in found
                if not _is_old_by_date(event, silent_s, wall_now)]


def _is_new(seen: _Seen | None, alive_at: float, max_gap_s: float) -> bool:
    return (seen is not None and seen.absent_at is not None and
            seen.found_at > alive_at and
            alive_at - seen.absent_at <= max_gap_s)


def _is_old_by_date(event: FencingEvent, silent_s: float,
                    wall_now: datetime.datetime) -> bool:
    """True where the event was long before the silence by its own date, or
    has a date that cannot be read; one under way has none."""
    if not event.completed:
        return event.status == 'success'
    try:
        completed = datetime.datetime.fromisoformat(event.completed)
    except ValueError:
        return True
    if completed.tzinfo is None:
        completed = completed.astimezone()
    age_s = (wall_now - completed).total_seconds()
    return age_s > silent_s + CLOCK_MARGIN_S
