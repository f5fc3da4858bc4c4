# SPDX-License-Identifier: Apache-2.0
"""One measurement: a host fails, and all its instances come to run again."""

import collections
import statistics
import time

from nova_pets.tests.bench.stopwatch import meters
from nova_pets.tests.bench.stopwatch import stage as stage_module
from nova_pets.tests.bench.stopwatch import ways

LIMIT_S = 200
IDLE_S = 4.0
"""How long the lab at rest is watched, so that what it uses anyway is known.
"""


def measure(stage: stage_module.Stage, way: ways.Way, instances: int,
            spawn_s: float) -> dict:
    """Return what was measured, as JSON has it; times in seconds."""
    stage.schedule_by(way.has_pets)
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
    arrived = _wait_for_all(stage, source, set(uuids), crash)
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


def _wait_for_all(stage, source, uuids, since):
    deadline = time.monotonic() + LIMIT_S
    size = -1
    while True:
        now = stage.lab.truth.journal_path.stat().st_size
        if now != size:
            size = now
            arrived = meters.arrivals(stage.lab.truth.journal(), source,
                                      uuids, since)
            if len(arrived) == len(uuids):
                return arrived
        if time.monotonic() > deadline:
            raise stage_module.NotReady(
                f'{len(uuids) - len(arrived)} of {len(uuids)} do not run '
                f'after {LIMIT_S} s; see {stage.lab.plan.directory}/logs')
        time.sleep(0.1)
