# SPDX-License-Identifier: Apache-2.0
"""What detectors are built from; plain data, read by nobody else."""

import collections.abc
import dataclasses

from nova_pets.compute import base as compute_base
from nova_pets.detectors import base
from nova_pets.model import observations


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """Handed to the constructor of every detector."""

    door: compute_base.ComputeDoor
    tcp_port: int = 22
    tcp_timeout_s: float = 1.0
    ping_timeout_s: float = 2.0
    suspect_s: float = 20.0
    """Silence of a heartbeat that makes a suspect."""
    silence_s: collections.abc.Callable[
        [base.Target], float | None] | None = None
    """How long the collector has seen the heartbeat of a host stand still;
    None: it does not tell (then there is no detector heartbeat)."""
    service: collections.abc.Callable[
        [base.Target], observations.Service | None] | None = None
    """The service row as the collector last read it; None: the detector
    asks the door."""
