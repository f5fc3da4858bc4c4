# SPDX-License-Identifier: Apache-2.0
"""What was seen of Nova and of the hosts, as frozen data.

The compute door and the detectors make these; planning judges them.
"""

import dataclasses
import datetime

from nova_pets.model import states


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    uuid: str
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """A nova-compute service row as read from its cell."""

    host: str
    cell_uuid: str
    report_count: int
    forced_down: bool
    disabled: bool


SWITCHED_OFF = 'switched_off'
"""Somebody else's fencing switched the host off, after it fell silent, and
switched nothing on since."""
RESET = 'reset'
"""Somebody else's fencing reset it, or switched it on, after it fell silent:
it may be back up."""
DUMPING = 'dumping'
"""Its kernel has crashed and says that it writes its memory to a disk."""
EVENTS = frozenset({SWITCHED_OFF, RESET, DUMPING})


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """One witness's word about one host."""

    detector: str
    path: states.WitnessPath
    sign: states.Sign
    detail: str = ''
    """One human phrase: 'tcp 127.0.1.3:22 timed out'."""
    age_s: float = 0.0
    """Seconds since the answer (or the failure to answer) was seen, by the
    engine's own monotonic clock."""
    silent_s: float = 0.0
    """For SILENT: seconds this witness has been silent in a row."""
    event: str = ''
    """One of EVENTS, or ''."""


@dataclasses.dataclass(frozen=True, slots=True)
class Instance:
    """Nova's instance row, with what protection depends on."""

    uuid: str
    cell_uuid: str
    project_id: str
    name: str
    host: str | None
    node: str | None
    vm_state: str | None
    task_state: str | None
    power_state: int | None
    launched_at: datetime.datetime | None
    deleted: bool = False
    is_bfv: bool = False
    has_ephemeral: bool = False
    """Its flavor gives it an ephemeral disk, which lies where an image-backed
    root disk does."""
    is_locked: bool = False
    metadata: dict[str, str] = dataclasses.field(default_factory=dict)
    """Instance metadata, ha* keys only."""
    flavor: dict[str, str] = dataclasses.field(default_factory=dict)
    """extra_specs, pets:* keys only."""
    image: dict[str, str] = dataclasses.field(default_factory=dict)
    """image properties, pets_* keys only."""
    aggregate: dict[str, str] = dataclasses.field(default_factory=dict)
    """metadata of its host's aggregates, pets:* keys only; on conflicting
    values the smallest by sort order, and problems says so."""
    problems: tuple[str, ...] = ()
    has_vtpm: bool = False
    has_accelerators: bool = False
    has_shares: bool = False
    group_policy: str | None = None
    """Policy of its server group, None without one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Migration:
    """An evacuation migration record."""

    id: int
    status: str
    source: str
    destination: str | None
    created_at: datetime.datetime | None
    updated_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ActionEvent:
    """One instance action event."""

    name: str
    """rebuild_server (conductor); compute_rebuild_instance (D), and within
    it compute_stop_instance, where it was stopped before."""
    host: str | None
    finished: bool
    result: str | None
    details: str | None = None
    id: int = 0
    """Grows in the order in which Nova began them; 0: not known."""


@dataclasses.dataclass(frozen=True, slots=True)
class Trace:
    """All that Nova records about an instance's evacuations, read in one
    go; instance None means: no such row (hard deleted)."""

    instance: Instance | None
    migrations: tuple[Migration, ...] = ()
    """type evacuation, any source, ordered by id."""
    events: dict[str, tuple[ActionEvent, ...]] = dataclasses.field(
        default_factory=dict)
    """request_id of each 'evacuate' action -> its events."""
    actions: tuple[str, ...] = ()
    """request_ids of the 'evacuate' actions, oldest first."""
    stopped_by_nova: bool = False
    """Its newest 'stop' action names no user: nova found its guest shut down
    and made its row say so."""


@dataclasses.dataclass(frozen=True, slots=True)
class Dropped:
    """One message that waited for a host that is off, taken from its queue.
    Nothing else of it is kept: messages carry tokens."""

    method: str
    request_id: str = ''
    instance_uuid: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Drained:
    """What became of a host's queue."""

    is_drained: bool
    """Seen empty, and without a consumer, after the last message was dropped.
    False: it may hold anything."""
    dropped: int = 0
    detail: str = ''
    """One human phrase: how much was dropped, or why it is not drained."""
