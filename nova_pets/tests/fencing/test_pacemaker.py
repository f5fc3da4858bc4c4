# SPDX-License-Identifier: Apache-2.0
"""A real cluster fences its nodes, and the real engine hears of it.

Pacemaker and corosync in namespaces; the hosts of the engine's small false
world are the nodes, and die with them. The engine's clock is virtual; what is
waited for in real time is the cluster.
"""

import time

import pytest

from nova_pets import wiring
from nova_pets.detectors import context as detectors_context
from nova_pets.detectors import pacemaker
from nova_pets.detectors import registry
from nova_pets.model import states
from nova_pets.tests import conftest
from nova_pets.tests.fencing import pacemaker_cluster
from nova_pets.tests.unit.engine import world as world_module

FENCED_S = 90
H = states.HostState
NODES = {'host1': 'n1', 'host2': 'n2', 'host3': 'n3'}


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    why_not = pacemaker_cluster.why_not()
    if why_not:
        conftest.require('fencing', f'a Pacemaker cluster {why_not}')
    built = pacemaker_cluster.Cluster(tmp_path_factory.mktemp('cluster'))
    try:
        built.start()
        yield built
    finally:
        built.stop()


class NoDevices(world_module.Fencer):
    """What the cluster fences is not ours to power off."""

    def bound(self, hosts):
        return frozenset()


class Cloud:
    """The false world, with the cluster as one of its witnesses."""

    def __init__(self, directory, prefix, **numbers):
        self.world = world_module.World(directory)
        self.prefix = prefix
        self.witness = None
        self.engine = self.world.engine(
            detectors=self._detectors, fencer=NoDevices(self.world),
            **numbers)
        self.turn(10)

    def _detectors(self, eyes, seen):
        context = detectors_context.Context(
            door=None, run=wiring.run_program,
            monotonic=self.world.clock.monotonic,
            alive_at=lambda target: seen.alive_at(target.host),
            pacemaker_prefix=self.prefix, pacemaker_nodes=NODES,
            pacemaker_timeout_s=60.0)
        self.witness, = registry.build(['pacemaker'], context, {
            'pacemaker': pacemaker.PacemakerDetector})
        return world_module.Tcp(self.world), self.witness

    def turn(self, seconds):
        until = self.world.clock.now + seconds
        self.world.drive([self.engine],
                         lambda: self.world.clock.now >= until)

    def wait(self, is_so):
        deadline = time.monotonic() + FENCED_S
        while not is_so():
            assert time.monotonic() < deadline, (
                self.rows(), list(map(self.said, NODES)))
            self.turn(0.1)
            time.sleep(0.1)

    def said(self, host):
        """What the witness says of a host."""
        return str([word.detail for word in self.engine.memory.evidence(
            host, self.world.clock.now) if word.detector == 'pacemaker'])

    def rows(self):
        return [(row.host, row.state, row.reason, row.evidence)
                for row in self.world.store().snapshot().hosts]

    def row(self, host):
        return self.world.store().host(host)


def test_a_node_that_the_cluster_switches_off(cluster, tmp_path):
    """off is a proof where it is trusted; its pet runs elsewhere, once."""
    cloud = Cloud(tmp_path, cluster.prefix('n1'),
                  trusted_events=frozenset({'switched_off'}))
    assert cloud.witness.problem() is None
    cloud.world.boot('db1', 'host3')
    cloud.turn(10)
    assert cloud.row('host3').state == H.UP

    cluster.kill_node('n3')
    cloud.world.crash('host3')
    cloud.wait(lambda: cloud.world.rows['db1'].host != 'host3')

    assert cluster.power_file('n3').read_text().strip() == 'off'
    row = cloud.row('host3')
    assert (row.proof, row.forced_down) == (states.ProofKind.EXTERNAL, True)
    cloud.turn(10)
    assert len(cloud.world.running('db1')) == 1
    assert cloud.row('host3').state == H.VACATED

    # An engine that begins now cannot tell when that was.
    (tmp_path / 'late').mkdir()
    late = Cloud(tmp_path / 'late', cluster.prefix('n1'),
                 trusted_events=frozenset({'switched_off'}))
    late.world.boot('db1', 'host3')
    late.world.crash('host3')
    late.turn(20)
    assert late.row('host3').state == H.UNPROVEN
    assert 'no fencing of n3 since' in late.said('host3')


def test_a_node_that_the_cluster_reboots(cluster, tmp_path):
    """reboot is no proof, although off is trusted."""
    cloud = Cloud(tmp_path, cluster.prefix('n1'),
                  trusted_events=frozenset({'switched_off'}))
    cloud.world.boot('db1', 'host2')
    cloud.turn(10)

    cloud.world.crash('host2')
    # A fence that was over before the last heartbeat was read counts for
    # nothing: the host was alive after it.
    cloud.turn(2)
    cluster.run('stonith_admin', '--reboot', 'n2')
    cloud.wait(lambda: 'reboot of n2' in cloud.said('host2'))
    cloud.turn(20)

    assert cloud.row('host2').state == H.UNPROVEN
    assert cloud.world.rows['db1'].host == 'host2'


@pytest.mark.parametrize('group, problem', [
    ('haclient', None), ('nogroup', 'Could not connect to fencer')])
def test_who_may_read_the_history(cluster, tmp_path, group, problem):
    """A user of the group haclient may, as the option says."""
    cloud = Cloud(tmp_path, (
        *cluster.prefix('n1'), 'setpriv', '--reuid', 'nobody', '--regid',
        group, '--clear-groups'))
    found = cloud.witness.problem()
    assert found is None if problem is None else problem in found
