# SPDX-License-Identifier: Apache-2.0
"""Every verb through the real main(), on a store in SQLite."""

import dataclasses
import types

import pytest

from nova_pets.cmd import access
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.tests.functional import cli_harness
from nova_pets.tests.unit.cmd import samples

H = states.HostState
R = states.RecoveryState
C = states.ControlKind


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    try:
        from nova_pets import wiring
    except ImportError:
        from nova.db.api import api
        from nova_pets.db import store as st
        from nova_pets.fencing import registry, sequence
        def fencer(conf):
            reg = registry.Registry(conf.pets_fencing.bindings_file, conf.pets_fencing.allow_fake)
            return types.SimpleNamespace(read=lambda host: sequence.read_power(reg.levels(host), 1))
        monkeypatch.setattr(access, '_wiring', lambda: types.SimpleNamespace(
            build_store=lambda: st.SqlStore(api.context_manager, 'user x'),
            build_fencing=lambda conf: registry.Registry(conf.pets_fencing.bindings_file, conf.pets_fencing.allow_fake),
            build_fencer=fencer))
    return cli_harness.Cli(tmp_path, monkeypatch, capsys)


def put(store, *rows):
    """Write rows as engines would; returns the engine's id."""
    me = 'a0000000-0000-4000-8000-00000000000a'
    if not any(engine.id == me for engine in store.engines(True)):
        store.register_engine(samples.engine(id=me, slot=None))
    for row in rows:
        if isinstance(row, records.Host):
            store.ensure_hosts([(row.host, row.cell_uuid)])
            now = store.host(row.host)
            generation = store.claim_host(row.host, now.generation, me)
            store.advance_host(dataclasses.replace(
                row, owner=None, generation=generation), generation, me,
                records.Event(code=row.reason or 'heartbeat_back',
                              host=row.host, from_state='up',
                              to_state=str(row.state),
                              evidence=row.evidence))
        elif isinstance(row, records.Pet):
            store.upsert_pets([row])
        elif isinstance(row, records.Recovery):
            store.open_recoveries([row], records.Event(code='source_down'))
            now = store.recoveries(instance_uuid=row.instance_uuid)[0]
            generation = store.claim_recovery(now.id, now.generation, me)
            store.advance_recovery(
                dataclasses.replace(row, id=now.id, owner=None,
                                    generation=generation),
                generation, me, records.Event(
                    code=row.reason or 'queued',
                    instance_uuid=row.instance_uuid,
                    recovery_id=now.id, from_state='ready',
                    to_state=str(row.state)))
    return me


@pytest.fixture
def night(cli):
    """One failed host, one pet waiting, one that needs a person."""
    store = cli.store
    put(store, samples.fenced('host1'), samples.host('host2', H.UP),
        samples.host('host3', H.UNPROVEN, reason='no_fence',
                     evidence={'heartbeat': 'silent 70 s',
                               'tcp': 'silent: timed out'}),
        samples.pet(), samples.pet(samples.WEB1, 'web1', 'host1'),
        samples.recovery(), samples.recovery(
            samples.WEB1, 'web1', R.NEEDS_OPERATOR, reason='odd_records'))
    return cli


@pytest.fixture
def engine(cli):
    with cli_harness.LiveEngine(cli.store, samples.engine()) as alive:
        yield alive


def test_status_says_that_all_is_well(cli, engine):
    put(cli.store, samples.host('host1', H.UP), samples.pet())
    result = cli.run('status')
    assert result.code == 0, result
    assert result.out.startswith('All is well.')
    assert '1, all protected' in result.out


def test_status_without_an_engine_calls_a_person(cli):
    put(cli.store, samples.host('host1', H.UP))
    result = cli.run('status', '--json')
    assert result.code == 2
    assert result.document['engines']['answer'] == 'silent'


def test_status_of_a_bad_night(night, engine):
    result = night.run('status')
    print(result.out)
    assert result.code == 2
    assert 'Somebody must act: host3' in result.out
    assert 'nova-manage pets show web1' in result.out
