# SPDX-License-Identifier: Apache-2.0
"""The numbers that planning obeys; filled from options by wiring.

Defaults are those of the options (nova_pets/conf); a test compares them.
"""

import dataclasses

from nova_pets.model import states


@dataclasses.dataclass(frozen=True, slots=True)
class Ladder:
    """What is tried, in order, where nova-compute is dead and its machine
    lives; from the fencing bindings of its host."""

    tries: int = 2
    """Restarts in one silence of the heartbeat."""
    after_s: float = 60.0
    """Silence before the first restart, and between two of them."""
    then_fence: bool = False
    fence_after_s: float = 900.0
    """Silence before the host is fenced with its guests alive."""


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    mode: states.Mode = states.Mode.ACT
    # detection
    report_interval_s: float = 10.0
    """Nova's own [DEFAULT] report_interval."""
    suspect_heartbeats: float = 2.0
    down_heartbeats: float = 3.0
    """Silence, in report intervals, before suspect and before down."""
    witness_silence_s: float = 2.0
    """A host-level witness must have been silent this long in a row."""
    evidence_max_age_s: float = 5.0
    """Older answers of a witness say nothing."""
    power_max_age_s: float = 20.0
    """The same for the power of a machine."""
    kdump_wait_s: float = 30.0
    """While messages of dumping machines are listened for, nothing is
    powered off before it was silent for so long."""
    kdump_limit_s: float = 600.0
    """The longest that a machine is left to dump its memory."""
    listens_for_kdump: bool = False
    """Detector kdump is among the witnesses."""
    # fencing
    fence_timeout_s: float = 90.0
    fence_attempts: int = 3
    fence_retry_s: float = 30.0
    fence_fresh_s: float = 5.0
    """Before an evacuate the power was read OFF within this time."""
    trust_forced_down: bool = False
    trusted_events: frozenset[str] = frozenset()
    """Which of observations.EVENTS are a proof: switched_off, or none."""
    storm_hosts: int = 3
    storm_share: float = 0.3
    """At most max(storm_hosts, storm_share of the hosts) of a cell, and of
    all cells, may be newly silent for a power-off by us."""
    storm_window_s: float = 60.0
    """Who is back counts for so long."""
    day_hosts: int = 10
    day_share: float = 0.1
    """At most max(day_hosts, day_share of the hosts) are powered off by us
    within 24 hours."""
    flap_count: int = 3
    flap_window_s: float = 3600.0
    """Who was down so often within this time gets nothing new; 0: nobody."""
    flap_calm_s: float = 600.0
    """Until it stayed up for so long."""
    outage_calm_s: float = 40.0
    """No power-off by us so soon after an outage of this engine's view."""
    startup_grace_s: float = 120.0
    """No power-off by us so soon after all engines were away."""
    power_on: states.PowerOn = states.PowerOn.MANUAL
    power_on_wait_s: float = 900.0
    """From power-on to a heartbeat, before people are told."""
    # recovery
    parallel_per_host: int = 32
    """Attempts in flight per failed host."""
    parallel: int = 128
    """Attempts in flight in all."""
    parallel_requests: int = 8
    """Of these: attempts that no destination has yet."""
    scheduling_timeout_s: float = 180.0
    """Without any news and without anybody to blame."""
    locate_after_s: float = 5.0
    """Conductor is done, no compute event: read the allocations."""
    building_alarm_s: float = 900.0
    verify_watch_s: float = 5.0
    backoff_first_s: float = 2.0
    backoff_max_s: float = 300.0
    one_storage_domain: bool = False
    """Operator's word that the whole cloud is one storage domain."""
    # engine
    engines: int = 2
    claim_ttl_s: float = 15.0
    idle_interval_s: float = 2.0
    active_interval_s: float = 0.3


def backoff_s(policy: Policy, attempts: int) -> float:
    """Return the wait before the next attempt after ``attempts`` attempts.

    Doubles from backoff_first_s to backoff_max_s.
    """
    exponent = min(max(attempts - 1, 0), 30)
    wait_s: float = policy.backoff_first_s * (2 ** exponent)
    return min(wait_s, policy.backoff_max_s)
