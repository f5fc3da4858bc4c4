# SPDX-License-Identifier: Apache-2.0
"""The contract of witnesses: evidence, never a verdict.

A detector is built by wiring with what it needs handed in (settings, the
compute door); it reads no CONF. ``look`` may block up to its own timeout and
is called from worker threads, for suspects only unless ``always`` is True.
It raises nothing: what it cannot find out is Sign.UNKNOWN.
"""

import abc
import dataclasses

from nova_pets.model import states


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What is known of a host that is looked at."""

    host: str
    cell_uuid: str
    address: str | None
    """compute_nodes.host_ip; None: unknown."""


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """One answer; the collector adds ages by its monotonic clock."""

    sign: states.Sign
    detail: str


class Detector(abc.ABC):
    name: str = ''
    path: states.WitnessPath
    always = False

    @abc.abstractmethod
    def look(self, target: Target) -> Look:
        ...
