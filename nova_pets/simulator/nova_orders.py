# SPDX-License-Identifier: Apache-2.0
"""Bodies of the messages between the false Nova's services.

As in Nova, whole objects travel: what a service does is based on the row as
it was when the message was made.
"""

import dataclasses

from nova_pets.simulator import nova_rows as rows
from nova_pets.simulator import nova_steps

CONDUCTOR = 'conductor'
SCHEDULER = 'scheduler'


def compute_topic(host: str) -> str:
    return f'compute.{host}'


@dataclasses.dataclass(frozen=True, slots=True)
class Evacuate:
    """API to conductor: rebuild_instance, a cast."""

    request_id: str
    instance: rows.Instance
    forced_host: str | None = None
    """Named by a person who also forbids that it is checked."""
    wanted_host: str | None = None
    """Named by a person; the scheduler has to agree."""
    on_shared_storage: bool | None = None
    target_stopped: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Select:
    """Conductor to scheduler: select_destinations, a call."""

    request_id: str
    instance: rows.Instance
    excluded: frozenset[str]
    wanted_host: str | None
    answer: nova_steps.Mailbox
    taken_by: list[object]
    """The process that works on it: conductor hears its heartbeats."""
    expires: float


@dataclasses.dataclass(frozen=True, slots=True)
class Rebuild:
    """Conductor to a destination: rebuild_instance, a cast."""

    order: Evacuate
    migration: rows.Migration | None


@dataclasses.dataclass(frozen=True, slots=True)
class Power:
    """API to compute: stop, start or reboot, a cast."""

    request_id: str
    verb: str
    instance: rows.Instance


@dataclasses.dataclass(frozen=True, slots=True)
class Terminate:
    request_id: str
    instance: rows.Instance


@dataclasses.dataclass(frozen=True, slots=True)
class LiveMigrate:
    request_id: str
    instance: rows.Instance
    destination: str
