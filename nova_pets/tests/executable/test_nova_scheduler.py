# SPDX-License-Identifier: Apache-2.0
"""The stock nova-scheduler: loaded, killed, reloaded, stopped, restarted.

Two workers, MariaDB and RabbitMQ; native threads and eventlet, as far as the
version of nova has both.
"""

import os
import signal

import sqlalchemy as sa

from nova_pets.db import models
from nova_pets.db import schema
from nova_pets.tests.executable import scheduler_process

QUICKLY_S = 15
"""SIGTERM to the end. Stock nova-scheduler needs 1 to 5 s; its own limit,
when something holds it, is 60 s."""


def test_each_worker_runs_an_engine(start):
    scheduler = start()
    workers = scheduler.wait_for_engines()
    assert scheduler.running_engines() <= workers
    assert 'pong' in scheduler.ground.ping()


def test_a_killed_worker_is_replaced_and_its_engine_too(start):
    scheduler = start()
    workers = scheduler.wait_for_engines()
    killed = min(workers)
    os.kill(killed, signal.SIGKILL)
    after = scheduler.wait_for_engines(other_than=[killed])
    assert after - workers
    assert 'pong' in scheduler.ground.ping()


def test_after_sighup_engines_run(start):
    """Under native threads the workers are new, under eventlet the same."""
    scheduler = start()
    scheduler.wait_for_engines()
    before = scheduler.workers()
    scheduler.process.send_signal(signal.SIGHUP)
    if scheduler.backend == 'threading':
        after = scheduler.wait_for_engines(other_than=before)
    else:
        scheduler_process.wait(
            lambda: 'SIGHUP' in scheduler.log.read_text() or
            scheduler.workers() != before, 'a reaction to SIGHUP')
        after = scheduler.wait_for_engines()
    assert scheduler.running_engines() & after
    assert 'pong' in scheduler.ground.ping()


def test_sigterm_ends_it_quickly_and_a_restart_goes_on(start):
    scheduler = start()
    before = scheduler.wait_for_engines()
    assert scheduler.stop() < QUICKLY_S
    scheduler.start()
    after = scheduler.wait_for_engines()
    assert not before & after


def test_a_killed_master_and_all_workers_leave_nothing_in_the_way(start):
    scheduler = start()
    before = scheduler.wait_for_engines()
    scheduler.close()
    scheduler.start()
    assert not before & scheduler.wait_for_engines()


def test_mode_off_leaves_no_trace(start, ground):
    scheduler = start(pets={'mode': 'off'})
    assert 'pong' in scheduler.ground.ping()
    assert len(scheduler_process.wait(
        lambda: len(scheduler.workers()) == 2 and scheduler.workers(),
        'two workers')) == 2
    assert ground.engines() == {}
    assert 'nova_pets' not in scheduler.log.read_text()


def test_a_broken_configuration_does_not_stop_scheduling(start):
    scheduler = start(
        pets={'mode': 'sometimes', 'engines': 'many', 'claim_ttl': -1},
        pets_fencing={'bindings_file': '/nonexistent/bindings.yaml'},
        pets_scheduler={'periodic_spacing': 'often'})
    assert 'pong' in scheduler.ground.ping()
    log = scheduler.log.read_text()
    assert 'cannot use option [pets] mode' in log
    assert 'nova-manage pets check' in log


def test_missing_tables_do_not_stop_scheduling(start, ground):
    with ground.engine.begin() as conn:
        models.METADATA.drop_all(conn)
        conn.execute(sa.text(f'DROP TABLE {schema.VERSION_TABLE}'))
    try:
        scheduler = start()
        assert 'pong' in scheduler.ground.ping()
    finally:
        schema.sync(ground.engine)
    # And the engines go to work when the tables are there.
    scheduler.wait_for_engines()
