# SPDX-License-Identifier: Apache-2.0
"""One measurement: a host fails, and all its instances come to run again."""

import collections
import statistics
import time

from nova_pets.tests.bench.stopwatch import meters
from nova_pets.tests.bench.stopwatch import stage as stage_module
from nova_pets.tests.bench.stopwatch import ways

LIMIT_S = 200
STILL_S = 15.0
"""Nova by hand has ended when it is at rest and nothing has begun to run for
so long: what it could not evacuate it leaves behind."""
IDLE_S = 4.0
"""How long the lab at rest is watched, so that what it uses anyway is known.
"""


def measure(stage: stage_module.Stage, way: ways.Way, instances: int,
            spawn_s: float) -> dict:
    """Return what was measured, as JSON has it; times in seconds."""
    stage.schedule_by(way)
    source, uuids = stage.fill(instances, way.has_pets)
    stage.set_spawn_s(spawn_s)
    script = None if way.has_pets else ways.Script(stage.lab.plan,
                                                   way.threads)
    idle = _idle(stage)
    crash_wall, crash = time.time(), time.monotonic()
    ways.fail(stage.lab, source)
    if script is None:
        ways.wait_for_proof(stage.lab, source)
        before, began = stage.processor.read(), time.monotonic()
    else:
        stage.lab.truth.set_power(source, 'off')
        before = stage.processor.read()
        script.force_down(source)
        began = time.monotonic()
        script.evacuate(uuids)
    asked = time.monotonic()
    arrived = _wait_for_all(stage, source, set(uuids), crash,
                            may_leave=script is not None)
    left = sorted(set(uuids) - set(arrived))
    for line in stage.tables.describe(left):
        stage.say(f'{way.name} left behind: {line}')
    if not left:
        stage.rest()
    ended, used = time.monotonic(), meters.spent(before,
                                                 stage.processor.read())
    stage.close()
    closed, closing = time.monotonic(), meters.spent(before,
                                                     stage.processor.read())
    stage.set_spawn_s(0)
    times = sorted(at for at, _ in arrived.values())
    load = collections.Counter(host for _, host in arrived.values())
    others = [host for host in stage.lab.plan.hosts if host != source]
    result = {
        'way': way.name, 'instances': instances, 'spawn_s': spawn_s,
        'left': len(left),
        'first': times[0] - began, 'median': statistics.median(times) - began,
        'last': times[-1] - began, 'last_from_crash': times[-1] - crash,
        'asked': asked - began, 'at_rest': ended - began,
        'cpu': used, 'cpu_total': meters.total(used), 'idle': idle,
        'closed': closed - began, 'cpu_closed': meters.total(closing),
        'load': sorted((load[host] for host in others), reverse=True)}
    if way.has_pets:
        result['phases'] = stage.tables.phases(source, crash_wall)
        result['proof_from_crash'] = began - crash
    stage.clear(source)
    return result


def _idle(stage):
    """Return the processor seconds that all use for each second at rest."""
    before, began = stage.processor.read(), time.monotonic()
    time.sleep(IDLE_S)
    after, seconds = stage.processor.read(), time.monotonic() - began
    return meters.total(meters.spent(before, after)) / seconds


def _wait_for_all(stage, source, uuids, since, may_leave):
    """Return what meters.arrivals does, of all of them.

    :param may_leave: some may never come; then without those.
    :raises NotReady: some did not come, and all have to.
    """
    deadline = time.monotonic() + LIMIT_S
    size, changed = -1, time.monotonic()
    while True:
        now = time.monotonic()
        found = stage.lab.truth.journal_path.stat().st_size
        if found != size:
            size, changed = found, now
            arrived = meters.arrivals(stage.lab.truth.journal(), source,
                                      uuids, since)
            if len(arrived) == len(uuids):
                return arrived
        if arrived and may_leave and (now > deadline or (
                now - changed > STILL_S and stage.tables.is_at_rest())):
            return arrived
        if now > deadline:
            left = stage.tables.describe(sorted(uuids - set(arrived)))
            raise stage_module.NotReady(
                f'{len(left)} of {len(uuids)} do not run after {LIMIT_S} s; '
                f'with --keep, {stage.lab.plan.directory}/logs says more:\n'
                + '\n'.join(left))
        time.sleep(0.1)
