# SPDX-License-Identifier: Apache-2.0
"""The one place that knows every concrete class, and puts them together.

Reads Nova's configuration. Nothing is built at import; what holds a
connection, a lock or a thread is built after fork, by whoever asks first.
"""

import collections.abc
from importlib import metadata
import os
import threading
import typing

import nova.conf
from nova.db.api import api as nova_api_db

from nova_pets.compute import nova as nova_door
from nova_pets.conf import opts
from nova_pets.conf import policy as conf_policy
from nova_pets.db import store as sql_store
from nova_pets.detectors import base as detectors_base
from nova_pets.detectors import context as detectors_context
from nova_pets.detectors import registry as detectors_registry
from nova_pets.engine import collector
from nova_pets.engine import engine
from nova_pets.engine import memory
from nova_pets.engine import survey
from nova_pets.engine import workers
from nova_pets.fencing import child
from nova_pets.fencing import deadline
from nova_pets.fencing import fencer
from nova_pets.fencing import key_manager
from nova_pets.fencing import registry
from nova_pets.fencing import sequence
from nova_pets.model import policy
from nova_pets.model import records
from nova_pets.model import states

CONF = nova.conf.CONF

WORKERS = 32
"""Threads of one engine: probes, fences and recoveries at once; they wait
for others most of the time."""

_store_lock = threading.Lock()
_stores: dict[int, sql_store.SqlStore] = {}


def store() -> sql_store.SqlStore:
    """Return the store of this process, for the scheduler's plugins."""
    pid = os.getpid()
    with _store_lock:
        if pid not in _stores:
            _stores.clear()
            _stores[pid] = build_store()
        return _stores[pid]


def build_store(actor: str | None = None) -> sql_store.SqlStore:
    """Return a store over nova's API database."""
    return sql_store.SqlStore(
        nova_api_db.context_manager,
        actor or f'scheduler {CONF.host}/{os.getpid()}')


def build_door() -> nova_door.NovaDoor:
    return nova_door.NovaDoor()


def build_policy(conf: typing.Any = CONF) -> policy.Policy:
    opts.register_opts(conf)
    return conf_policy.build_policy(conf)


def build_fencing(conf: typing.Any = CONF) -> registry.Registry:
    opts.register_opts(conf)
    return registry.Registry(conf.pets_fencing.bindings_file,
                             allow_fake=conf.pets_fencing.allow_fake,
                             read_reference=key_manager.KeyManager(conf).read)


def build_fencer(conf: typing.Any = CONF) -> fencer.Fencer:
    return fencer.Fencer(
        build_fencing(conf), sequence.SystemClock(),
        query_timeout_s=conf.pets_fencing.query_timeout,
        fence_timeout_s=conf.pets_fencing.fence_timeout)


def build_detectors(door: nova_door.NovaDoor, eyes: collector.Collector,
                    seen: memory.Memory, hands: fencer.Fencer,
                    conf: typing.Any = CONF
                    ) -> tuple[detectors_base.Detector, ...]:
    """:raises ConfigInvalid: an unknown name in [pets_detection] detectors,
    or a prefix with open quotes."""
    numbers = build_policy(conf)
    detection = conf.pets_detection
    context = detectors_context.Context(
        door=door, tcp_port=conf.pets_detection.tcp_port,
        tcp_timeout_s=conf.pets_detection.tcp_timeout,
        ping_timeout_s=conf.pets_detection.ping_timeout,
        suspect_s=numbers.suspect_heartbeats * numbers.report_interval_s,
        service=eyes.service, power=hands, run=run_program,
        alive_at=lambda target: seen.alive_at(target.host),
        pacemaker_prefix=conf_policy.pacemaker_prefix(conf),
        pacemaker_nodes=detection.pacemaker_nodes,
        pacemaker_timeout_s=detection.pacemaker_timeout,
        kdump_address=detection.kdump_address,
        kdump_port=detection.kdump_port, kdump_gap_s=detection.kdump_gap)
    return detectors_registry.build(conf.pets_detection.detectors, context)


def run_program(argv: collections.abc.Sequence[str], timeout_s: float
                ) -> child.Ended:
    """Run a program for a witness (detectors/context.py)."""
    try:
        return child.run(argv, '', timeout_s)
    except deadline.Expired:
        raise detectors_context.Expired() from None


def build_engine(conf: typing.Any = CONF, gate_loaded: bool | None = None,
                 worker: str | None = None,
                 nova: nova_door.NovaDoor | None = None) -> engine.Engine:
    """Return an engine for this process; call it after fork.

    :param gate_loaded: the gate is in place in this scheduler; None: look.
    :param worker: its name beside the host's, the process id by default.
    """
    opts.register_opts(conf)
    door = nova or build_door()
    worker = worker or str(os.getpid())
    hands = build_fencer(conf)
    template = records.Engine(
        id='', host=conf.host, worker=worker, version=_version(),
        mode=states.Mode.OBSERVE, bindings_digest=hands.digest(),
        gate_loaded=_is_gate_loaded() if gate_loaded is None
        else gate_loaded)
    mode = build_policy(conf).mode
    return engine.Engine(
        store=build_store(f'engine {conf.host}/{worker}'), door=door,
        detectors=lambda eyes, seen: build_detectors(door, eyes, seen,
                                                     hands, conf),
        fencer=hands, clock=sequence.SystemClock(),
        workers=workers.ThreadWorkers(WORKERS, calls_of_a_lane(conf)),
        policy=build_policy(conf), template=template,
        tenant_settings=conf_policy.tenant_settings(conf),
        mode_now=lambda: conf_policy.mode_now(
            mode, conf.pets.kill_switch_file),
        read_interval_s=conf.pets_fencing.read_interval,
        audits=door.audits)


def calls_of_a_lane(conf: typing.Any) -> int:
    """One less than both pools keep open, for the cycle; 0: no limit."""
    kept = [group.max_pool_size or WORKERS
            for group in (conf.database, conf.api_database)]
    return max(min(*kept, WORKERS) - 1, 1)


def build_surveyor(store: sql_store.SqlStore) -> survey.Surveyor:
    """Return the eyes of an audit, for the command line."""
    door = build_door()
    return survey.Surveyor(store, door, door.audits)


def _is_gate_loaded() -> bool:
    from nova.scheduler import request_filter

    return any(getattr(known, '__module__', '').startswith('nova_pets.')
               for known in request_filter.ALL_REQUEST_FILTERS)


def _version() -> str:
    try:
        return metadata.version('nova-pets')
    except metadata.PackageNotFoundError:
        return 'unknown'
