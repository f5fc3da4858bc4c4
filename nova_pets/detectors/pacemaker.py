# SPDX-License-Identifier: Apache-2.0
"""Detector pacemaker: has the cluster fenced the host since it fell silent?

Asks ``stonith_admin`` for the fencing history of the whole cluster, here or by
way of a configured command, and keeps it: when hosts fall silent it has to be
known what was in it before. It changes nothing in the cluster.

Evidence is what the history proves and no more: ``off`` switched the machine
off; ``reboot``, which is what Pacemaker does by default, says that its guests
died, and nothing about what runs there by now.
"""

import datetime
import threading

from nova_pets.detectors import base
from nova_pets.detectors import context as detectors_context
from nova_pets.detectors import fencing_history
from nova_pets.model import observations
from nova_pets.model import states

COMMAND = ('stonith_admin', '--history', '*', '--verbose', '--output-as',
           'xml')
"""Without --verbose the last event of each kind is all that is printed: not
even the last one of each node."""
CALM_S = 5.0
"""Between two reads while nothing is wrong."""
AGAIN_S = 1.0
"""Between two reads while some host is looked at."""
_MAX_GAP_S = 3 * CALM_S
_LONGEST = 120


class PacemakerDetector(base.Detector):

    name = 'pacemaker'
    path = states.WitnessPath.EXTERNAL
    refresh_s = CALM_S

    def __init__(self, context: detectors_context.Context):
        self._run = context.run
        self._monotonic = context.monotonic
        self._alive_at = context.alive_at
        self._argv = (*context.pacemaker_prefix, *COMMAND)
        self._nodes = context.pacemaker_nodes
        self._timeout_s = context.pacemaker_timeout_s
        self._history = fencing_history.History()
        self._reading = threading.Lock()
        self._tried_at: float | None = None
        self._problem: str | None = None

    def refresh(self) -> None:
        self._read(AGAIN_S)

    def problem(self) -> str | None:
        return self._problem

    def look(self, target: base.Target) -> base.Look:
        """One read serves all hosts that are looked at."""
        self._read(AGAIN_S)
        now = self._monotonic()
        read_at = self._history.read_at
        fresh_s = self._timeout_s + AGAIN_S
        if read_at is None or now - read_at > fresh_s:
            return base.Look(states.Sign.UNKNOWN,
                             self._problem or 'not read yet')
        alive_at = self._alive_at(target) if self._alive_at else None
        if alive_at is None:
            return base.Look(states.Sign.UNKNOWN,
                             'since when the host is silent is not known')
        node = self._nodes.get(target.host, target.host)
        found = self._history.new_of(
            node, alive_at, _MAX_GAP_S, now - alive_at,
            datetime.datetime.now(datetime.UTC))
        return _judge(node, found)

    def _read(self, every_s: float) -> None:
        """Read the history unless somebody does, or has just done so."""
        if not self._reading.acquire(blocking=False):
            return
        try:
            now = self._monotonic()
            if self._tried_at is not None and now - self._tried_at < every_s:
                return
            self._tried_at = now
            self._problem = self._ask(now)
        finally:
            self._reading.release()

    def _ask(self, began_at: float) -> str | None:
        """Return what went wrong, None: the history was read."""
        program = self._argv[0]
        if self._run is None:
            return 'no programs are run here'
        try:
            ended = self._run(self._argv, self._timeout_s)
        except detectors_context.Expired:
            return f'{program}: no answer within {self._timeout_s:g} s'
        except OSError as error:
            return f'{program} cannot be run: {error}'[:_LONGEST]
        try:
            events = fencing_history.parse(ended.out)
        except fencing_history.Unreadable as error:
            said = ' '.join(ended.err.split())[:_LONGEST]
            return (f'{program} ended with {ended.code} and no fencing '
                    f'history: {error}' + (f' ({said})' if said else ''))
        self._history.take(events, began_at)
        return None


def _judge(node: str, new: list[fencing_history.FencingEvent]) -> base.Look:
    """Whatever may have left it with power outweighs what switched it
    off, in whichever order they are printed."""
    for event in new:
        if event.may_have_power:
            return base.Look(
                states.Sign.UNKNOWN,
                f'{event.action} of {node} ({event.status or "unknown"}): '
                'it may be up again', observations.RESET)
    for event in new:
        if event.is_switch_off:
            return base.Look(
                states.Sign.SILENT,
                f'switched off {node} by {event.delegate or "the cluster"}, '
                f'for {event.client or "somebody"}',
                observations.SWITCHED_OFF)
    return base.Look(states.Sign.UNKNOWN,
                     f'no fencing of {node} since it fell silent')
