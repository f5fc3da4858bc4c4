# SPDX-License-Identifier: Apache-2.0
"""The door to Nova as a contract; compute/nova.py opens it for real.

Every method may raise NovaUnavailable: nothing is known then. Methods that
write are compare-and-swap on what the caller read, or idempotent, and may be
repeated after a crash. ``cell_uuid`` names the cell of the row.
"""

import abc
import collections.abc
import typing

from nova_pets.model import audit
from nova_pets.model import observations
from nova_pets.model import states


class ComputeDoor(abc.ABC):

    # -- eyes ----------------------------------------------------------------

    @abc.abstractmethod
    def cells(self) -> list[observations.Cell]:
        """Enabled cells but cell0; cached for a minute."""

    @abc.abstractmethod
    def services(self, cell_uuid: str) -> list[observations.Service]:
        """Every nova-compute service of the cell; one statement, columns
        only."""

    @abc.abstractmethod
    def conductors(self) -> dict[str, int]:
        """{host: report_count} of all nova-conductor services; one statement
        per cell."""

    @abc.abstractmethod
    def conductor_answers(self, timeout_s: float) -> bool:
        """RPC ping of any conductor; False on timeout."""

    @abc.abstractmethod
    def host_addresses(self, cell_uuid: str) -> dict[str, str]:
        """{host: compute_nodes.host_ip}; one statement."""

    @abc.abstractmethod
    def changed_instances(self, cell_uuid: str, mark: typing.Any) -> tuple[
            list[str], typing.Any]:
        """Uuids that may have changed since ``mark`` (None: nothing yet,
        then every tagged instance comes), and the next mark. Cost follows
        what changed: index ranges only (instances.updated_at,
        instances.id, instance_metadata.id)."""

    @abc.abstractmethod
    def instances(self, cell_uuid: str, uuids: collections.abc.Collection[
            str]) -> dict[str, observations.Instance]:
        """Fresh, with tags and kinds; missing or deleted ones have
        ``deleted`` True or are absent. Statements do not grow with the
        number of uuids (chunks of some hundreds)."""

    @abc.abstractmethod
    def instances_on(self, cell_uuid: str, host: str) -> list[
            observations.Instance]:
        """All instances that Nova has on the host, fresh, with tags."""

    @abc.abstractmethod
    def traces(self, cell_uuid: str, uuids: collections.abc.Collection[
            str]) -> dict[str, observations.Trace]:
        """Fresh traces, four or so statements in all, instances without the
        tags that cost more statements (metadata included)."""

    @abc.abstractmethod
    def uncleaned_sources(self, cell_uuid: str, host: str) -> int:
        """Evacuation records with this source still 'done', 'accepted' or
        'pre-migrating' (they become 'completed' when it restarts)."""

    @abc.abstractmethod
    def allocated_hosts(self, uuid: str) -> set[str]:
        """Compute hosts whose provider trees hold allocations of the
        instance."""

    @abc.abstractmethod
    def guest(self, cell_uuid: str, uuid: str, host: str,
              timeout_s: float) -> states.GuestAnswer:
        """Ask a living nova-compute about a guest
        (nova-evacuation.md, 2.2)."""

    @abc.abstractmethod
    def ping(self, host: str, timeout_s: float) -> bool:
        """RPC ping of a nova-compute."""

    # -- hands ---------------------------------------------------------------

    @abc.abstractmethod
    def set_forced_down(self, cell_uuid: str, host: str,
                        value: bool) -> None:
        ...

    @abc.abstractmethod
    def update_instance(self, cell_uuid: str, uuid: str,
                        expected: dict[str, typing.Any],
                        values: dict[str, typing.Any]) -> None:
        """Compare-and-swap on columns of the instance row. A value that is a
        list or tuple in ``expected`` means: one of these.

        :raises InstanceChanged: nothing was written.
        :raises InstanceGone: no such instance.
        """

    @abc.abstractmethod
    def evacuate(self, cell_uuid: str, uuid: str, request_id: str,
                 on_shared_storage: bool | None,
                 target_stopped: bool) -> None:
        """Call nova's evacuate with a fresh, tokened context that carries
        ``request_id``. The instance's save insists on task_state
        ``rebuilding``. The cast is bounded.

        :raises EvacuateRefused: nothing recorded beyond what was before.
        :raises EvacuateUncertain: may have been recorded or sent.
        :raises InstanceChanged: task_state is not rebuilding any more.
        """

    @abc.abstractmethod
    def delete_accepted(self, cell_uuid: str, migration_id: int) -> bool:
        """DELETE ... WHERE id = ? AND status = 'accepted': the fencing
        token. False: zero rows, so a destination has it (or it is gone)."""

    @abc.abstractmethod
    def close_migration(self, cell_uuid: str, migration_id: int,
                        expected: collections.abc.Collection[str],
                        status: str) -> bool:
        """UPDATE ... SET status WHERE id AND status IN expected."""

    @abc.abstractmethod
    def adopt(self, cell_uuid: str, uuid: str, migration_id: int,
              source: str, destination: str, vm_state: str,
              expected: dict[str, typing.Any]) -> None:
        """Replay finish_evacuation: host, node, compute_id := destination,
        task_state None, vm_state, migration_context dropped, the migration
        'done'. Compare-and-swap on ``expected`` plus host = source.

        :raises InstanceChanged: nothing was written.
        """

    @abc.abstractmethod
    def tombstone(self, cell_uuid: str, uuid: str, host: str) -> bool:
        """Write the record that makes a returning ``host`` destroy its stray
        copy, in one transaction that locks the instance row and sees that
        it is not on ``host``. True also when one is open already; False:
        the instance is there, nothing was written."""

    @abc.abstractmethod
    def remove_allocations(self, cell_uuid: str, uuid: str,
                           host: str) -> None:
        """Remove the host's whole provider tree from the allocations;
        nothing to remove is well."""

    @abc.abstractmethod
    def allocate(self, cell_uuid: str, uuid: str, host: str) -> None:
        """Let the instance hold its flavor's room on the host it lives on;
        what it holds there already, or is refused for want of room, stays
        as it is."""

    @abc.abstractmethod
    def stop(self, cell_uuid: str, uuid: str) -> None:
        """Stop the (recovered) instance through nova's API."""

    @abc.abstractmethod
    def start(self, cell_uuid: str, uuid: str) -> None:
        ...

    @abc.abstractmethod
    def drain(self, cell_uuid: str, host: str, timeout_s: float,
              tell: collections.abc.Callable[[observations.Dropped], None]
              ) -> observations.Drained:
        """Drop what waits in the queue of nova-compute on a host that is
        off; nothing is, while somebody consumes it.

        :param tell: called with each message before it is dropped; what it
            raises is raised, and that message stays.
        :param timeout_s: for all of it; nothing is dropped after that.
        """



class AuditDoor(abc.ABC):
    """What only an audit needs; the same promises as above.

    Each read costs one statement, or one per some hundreds of what is asked
    for; ``room_of`` and ``held`` ask placement instead.
    """

    @abc.abstractmethod
    def records(self, cell_uuid: str, hosts: collections.abc.Collection[
            str]) -> list[audit.Named]:
        """Evacuation records with one of these sources, of instances that
        are not deleted: all that are open, and those that ended as failed
        or error after a destination had claimed them and after the
        instance was last launched."""

    @abc.abstractmethod
    def rebuilding(self, cell_uuid: str) -> list[str]:
        """Uuids of the instances in a task_state of rebuilding."""

    @abc.abstractmethod
    def existing(self, cell_uuid: str, uuids: collections.abc.Collection[
            str]) -> set[str]:
        """Those of the uuids that have a row that is not deleted."""

    @abc.abstractmethod
    def cells_of(self, uuids: collections.abc.Collection[str]
                 ) -> dict[str, str | None]:
        """{uuid: uuid of the cell that Nova's mapping names, None: not in
        any yet}; uuids without a mapping are absent."""

    @abc.abstractmethod
    def moves(self, cell_uuid: str, uuids: collections.abc.Collection[
            str]) -> dict[str, tuple[audit.Move, ...]]:
        """Migrations and resizes that have not ended, evacuations left
        out; a status that is not known has not ended."""

    @abc.abstractmethod
    def last_actions(self, cell_uuid: str, uuids: collections.abc.Collection[
            str]) -> dict[str, audit.Action]:
        """The newest action of each."""

    @abc.abstractmethod
    def room_of(self, cell_uuid: str, host: str) -> set[str]:
        """Consumers with allocations on the host's compute nodes: one
        request to placement per node. Nested providers are not asked: an
        instance always holds something of the root."""

    @abc.abstractmethod
    def held(self, uuid: str) -> audit.Held:
        """Read the allocations of one instance."""

    @abc.abstractmethod
    def remove_leak(self, cell_uuid: str, uuid: str, host: str,
                    generation: int) -> bool:
        """Remove the host's provider tree from allocations whose generation
        is still this one; False: it is not, nothing was written."""

    @abc.abstractmethod
    def withdraw(self, cell_uuid: str, uuid: str, host: str,
                 migration_id: int) -> bool:
        """done -> error of an evacuation record with source ``host``, in one
        transaction that locks the instance's row and sees that it is on
        ``host``. False: it is not (any more); nothing was written."""
