# SPDX-License-Identifier: Apache-2.0
"""What goes wrong inside the false Nova, named as Nova names it.

Their class names are what action events keep as details.
"""


class NovaError(Exception):
    """Any of Nova's exceptions that its services handle."""

    @property
    def details(self) -> str:
        """Return what an action event says about it."""
        return str(self) or type(self).__name__


class InstanceNotFound(NovaError):
    pass


class InstanceInvalidState(NovaError):
    pass


class UnexpectedTaskState(NovaError):
    pass


class InstanceUpdateConflict(NovaError):
    """A compare-and-swap on another column than task_state failed."""


class InstanceActionNotFound(NovaError):
    pass


class MigrationNotFound(NovaError):
    pass


class ComputeServiceInUse(NovaError):
    pass


class ForcedUpRefused(NovaError):
    """os-services refuses while evacuations from the host are not cleaned
    up."""


class MessagingTimeout(NovaError):
    """No answer over RPC in time; what was asked may have been done."""


class MessageDeliveryFailure(NovaError):
    """The broker is away; a bounded cast gave up."""


class DatabaseDown(NovaError):
    pass


class PlacementDown(NovaError):
    pass


class ConsumerAllocationRetrievalFailed(NovaError):
    """An instance without allocations cannot be forced to a host."""


class NoValidHost(NovaError):
    pass


class RemoteError(NovaError):
    """Whatever else the other side of a call raised."""


class ComputeResourcesUnavailable(NovaError):
    pass


class GroupAffinityViolation(NovaError):
    """The late check of the server group's policy; to an evacuation it is a
    failure like any other."""


class InstanceExists(NovaError):
    pass


class InvalidSharedStorage(NovaError):
    pass


class EmptyCatalog(NovaError):
    """Glance's endpoint is not to be found."""


class PortBindingFailed(NovaError):
    pass


class CinderFailed(NovaError):
    pass


class SpawnFailed(NovaError):
    pass


class FailedAfterSpawn(NovaError):
    pass


class BuildAbort(NovaError):
    """What a failed claim ends as; the instance keeps its vm_state."""
