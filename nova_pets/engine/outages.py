# SPDX-License-Identifier: Apache-2.0
"""When this engine's own view was last out of order, and for how long.

By the engine's monotonic clock. Decides only what an outage is: a view that
could not be trusted for as long as a claim lasts. What comes back after one
(nova-computes that wait for their broker) does not come back at once.
"""

import math

from nova_pets.engine import ports
from nova_pets.model import policy as policy_model


class Outages:
    def __init__(self, clock: ports.Clock, policy: policy_model.Policy):
        self._clock = clock
        self._policy = policy
        self._bad_since: float | None = None
        self._observed_at: float | None = None
        """End of the last turn that observed, unless one without a slot
        came since."""
        self._calm_until = -math.inf

    def failed(self) -> None:
        """A turn ended with an error, or its view was not sane."""
        if self._bad_since is None:
            self._bad_since = self._clock.monotonic()

    def worked(self, observes: bool) -> None:
        """A turn went well.

        :param observes: it read everything. Such turns follow each other
            within seconds: where they do not, a read has hung, or this
            process stood still.
        """
        now = self._clock.monotonic()
        before = self._bad_since
        if before is None and observes:
            before = self._observed_at
        if before is not None and now - before >= self._policy.claim_ttl_s:
            self._calm_until = now + self._policy.outage_calm_s
        self._bad_since = None
        self._observed_at = now if observes else None

    def calm_s(self) -> float:
        """Return the seconds left in which nothing is powered off by us."""
        return max(self._calm_until - self._clock.monotonic(), 0.0)
