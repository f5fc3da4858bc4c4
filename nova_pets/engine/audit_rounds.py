# SPDX-License-Identifier: Apache-2.0
"""When an engine audits, and how much: slowly by itself, at once for others.

At once for a person's order, and, nothing but these, for pets that are
rebuilt outside any recovery: most likely the gate refused it, and what is
left would destroy the guest when nova-compute restarts there. Decides no
mend; engine/auditing.py does them.
"""

from nova_pets.db import base as db_base
from nova_pets.engine import auditing
from nova_pets.engine import memory as memory_module
from nova_pets.engine import ports
from nova_pets.engine import standing as standing_module
from nova_pets.engine import tagging
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states

EVERY_S = 600.0
FIRST_S = 60.0
"""An engine that has just begun looks at other things first."""
AGAIN_S = 10.0
"""Between tries of one order."""
SOON_S = 20.0
"""Between looks at pets that are rebuilt outside any recovery."""

_SLOWLY = ('turn', 'audit')
_SOON = ('turn', 'audit soon')


class AuditRounds:
    """Asked by the engine that has this part, in each of its cycles."""

    def __init__(self, store: db_base.Store, memory: memory_module.Memory,
                 workers: ports.Workers, standing: standing_module.Standing,
                 tags: tagging.Tagging, auditor: auditing.Auditor,
                 why_not: auditing.WhyNot):
        self._store = store
        self._memory = memory
        self._workers = workers
        self._standing = standing
        self._tags = tags
        self.auditor = auditor
        self._why_not = why_not
        self._has_begun = False

    def turn(self, stored: snapshot.StoreSnapshot,
             policy: policy_model.Policy, now: float) -> None:
        order = next((control for control in stored.controls if
                      control.kind is states.ControlKind.AUDIT), None)
        if policy.mode is not states.Mode.ACT:
            if order is not None:
                self._store.end_control(
                    order, self._standing.actor,
                    f'nothing was mended: mode is {policy.mode}')
            return
        if not self._has_begun:
            self._has_begun = True
            self._memory.quiet(_SLOWLY, now + FIRST_S)
        if self._why_not():
            return
        stray = self._tags.rebuilding - {
            row.instance_uuid for row in stored.recoveries}
        if order is not None:
            # What could not be carried out is tried again, but not in
            # every cycle.
            self._due(('turn', f'audit {order.id}'), now, AGAIN_S, order)
        elif not self._due(_SLOWLY, now, EVERY_S) and stray:
            self._due(_SOON, now, SOON_S, only=stray)

    def _due(self, key: tuple[str, str], now: float, pause_s: float,
             order: records.Control | None = None,
             only: frozenset[str] | None = None) -> bool:
        """Audit if it is time; return whether it was."""
        if self._memory.is_quiet(key, now):
            return False
        self._memory.quiet(key, now + pause_s)
        self._workers.submit(_SLOWLY, lambda: self.auditor.turn(
            self._why_not, order, only))
        return True
