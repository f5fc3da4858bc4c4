# SPDX-License-Identifier: Apache-2.0
"""Counts the seconds of each step, from the product's history; pure."""

import collections
import dataclasses
import datetime

from nova_pets.model import records

WORK = ('pending', 'ready', 'requesting', 'scheduling', 'building',
        'verifying', 'settling', 'waiting')
"""States of a recovery whose seconds are counted, in their usual order."""
_END = ('recovered', 'abandoned')


@dataclasses.dataclass(frozen=True, slots=True)
class HostSteps:
    """Seconds from the crash of one host until each step; None: never."""

    host: str
    suspect_s: float | None = None
    down_s: float | None = None
    fenced_s: float | None = None
    forced_down_s: float | None = None
    first_pet_s: float | None = None
    last_pet_s: float | None = None
    """When the first and the last pet that it held, or was about to receive,
    truly ran again."""


_STEP_OF_STATE = {'suspect': 'suspect_s', 'down': 'down_s',
                  'fenced': 'fenced_s'}


def host_steps(host: str, crash_at: datetime.datetime,
               events: list[records.Event], pets_s: list[float]
               ) -> HostSteps:
    """:param pets_s: seconds from this crash until each of its pets ran."""
    found: dict[str, float] = {}
    for event in events:
        if event.host != host or event.instance_uuid or event.at is None:
            continue
        passed_s = (event.at - crash_at).total_seconds()
        if passed_s < 0:
            continue
        step = _STEP_OF_STATE.get(event.to_state or '')
        if event.code == 'not_forced_down' and not event.to_state:
            step = 'forced_down_s'
        if step:
            found.setdefault(step, round(passed_s, 1))
    if pets_s:
        found['first_pet_s'] = round(min(pets_s), 1)
        found['last_pet_s'] = round(max(pets_s), 1)
    return HostSteps(host=host, **found)


def state_seconds(uuid: str, events: list[records.Event]
                  ) -> dict[str, float]:
    """Return {state: seconds} that the recoveries of one pet spent there."""
    spent: dict[str, float] = collections.defaultdict(float)
    state, since = None, None
    for event in events:
        if event.instance_uuid != uuid or not event.to_state:
            continue
        if state and since and event.at and state not in _END:
            spent[state] += (event.at - since).total_seconds()
        state, since = event.to_state, event.at
    return {name: round(spent[name], 1) for name in WORK if name in spent}
