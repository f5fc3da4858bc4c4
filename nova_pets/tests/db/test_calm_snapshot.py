# SPDX-License-Identifier: Apache-2.0
"""While nothing is wrong, one statement tells that nothing has changed."""

import dataclasses

import pytest

from nova_pets import exception
from nova_pets.db import models
from nova_pets.db import snapshots
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.tests.db import samples

pytestmark = pytest.mark.sql('counts statements')


@pytest.fixture
def me(store):
    return samples.registered(store)


@pytest.fixture
def seen(db, store, me):
    """Two hosts that are up, read once; how many statements a read takes."""
    samples.host(store, 'host1')
    samples.host(store, 'host2')
    store.snapshot()

    def read():
        with db.statements() as sent:
            found = store.snapshot()
        return found, len(sent)
    return read


def test_a_calm_cloud_costs_one_statement(seen):
    found, sent = seen()
    assert [row.host for row in found.hosts] == ['host1', 'host2']
    assert sent == 1


def test_renewals_of_peers_are_seen_in_a_calm_cloud(seen, store, me):
    peer = samples.registered(store)
    store.renew_engine(peer, 0)
    found, sent = seen()
    assert {one.id: one.renewals for one in found.engines} == {
        me: 0, peer: 1}
    assert sent == 1


def claim_host(store, me):
    store.claim_host('host2', store.host('host2').generation, me)


def fail_host(store, me):
    row = store.host('host2')
    generation = store.claim_host('host2', row.generation, me)
    store.advance_host(
        dataclasses.replace(row, state=states.HostState.SUSPECT, owner=me),
        generation, me, None)


CHANGES = {
    'a new host': lambda store, me: samples.host(store, 'host3'),
    'a claim': claim_host,
    'a suspect': fail_host,
    'a recovery': lambda store, me: samples.opened(store),
    'an order': lambda store, me: store.add_control(
        records.Control(None, states.ControlKind.PAUSE, 'all')),
}


@pytest.mark.parametrize('change', CHANGES.values(), ids=CHANGES)
def test_what_another_writes_is_seen_at_once(db, seen, store, me, change):
    """By another store: of another process, which shares no memory."""
    change(db.store(), me)
    found, _ = seen()
    fresh = db.store().snapshot()
    assert found == fresh


@pytest.mark.parametrize('change', [
    fail_host, CHANGES['a recovery'], CHANGES['an order']],
    ids=['a suspect', 'a recovery', 'an order'])
def test_what_is_not_calm_is_read_each_time(db, seen, store, me, change):
    change(store, me)
    seen()
    assert seen()[1] > 1


def test_what_was_kept_is_not_believed_for_ever(db, seen):
    """As after a failover that lost a commit, and another of the same sum."""
    for _ in range(snapshots.CALM_READS):
        assert seen()[1] == 1
    db.write(models.HOSTS.update().where(models.HOSTS.c.host == 'host2')
             .values(state=states.HostState.FENCED.value))
    found, sent = seen()
    assert sent > 1
    assert found.hosts[1].state is states.HostState.FENCED


def test_after_an_outage_everything_is_read_again(db, seen, store,
                                                  monkeypatch):
    def away(*args, **kwargs):
        raise exception.StoreUnavailable(what='read', found='away')

    with monkeypatch.context() as patch:
        patch.setattr(store._run, 'read', away)
        with pytest.raises(exception.StoreUnavailable):
            store.snapshot()
    assert seen()[1] > 1


def test_problems_are_named_every_time(db, seen, store):
    db.write(models.HOSTS.update().where(models.HOSTS.c.host == 'host2')
             .values(evidence='{', generation=9))
    for _ in range(2):
        found, _ = seen()
        assert 'evidence' in found.problems[0]
