# SPDX-License-Identifier: Apache-2.0
"""What people do to a pet, at each moment of its recovery: one table.

One cloud, one dead host, one pet for each (moment, deed). What Nova's API
refuses is told by the table, and what becomes of the pet: always one guest
or none, and a history that names what was seen.
"""

import dataclasses

import pytest

from nova_pets.tests.functional import windows

POLICY = {'pets': {**windows.QUICK['pets'], 'parallel_per_host': 16,
                   'scheduling_timeout': 20}}

DEEDS = {
    'evacuate': lambda cloud, uuid: cloud.evacuate(uuid),
    'live_migrate': lambda cloud, uuid: cloud.live_migrate(uuid),
    'migrate': lambda cloud, uuid: cloud.migrate(uuid),
    'reset_active': lambda cloud, uuid: cloud.reset_state(uuid, 'active'),
    'reset_error': lambda cloud, uuid: cloud.reset_state(uuid, 'error'),
    'stop': lambda cloud, uuid: cloud.stop(uuid),
    'start': lambda cloud, uuid: cloud.start(uuid),
    'delete': lambda cloud, uuid: cloud.delete(uuid),
    'untag': lambda cloud, uuid: cloud.delete_metadata(uuid, 'ha'),
    'retag': lambda cloud, uuid: (cloud.delete_metadata(uuid, 'ha'),
                                  cloud.set_metadata(uuid, ha='true')),
}


@dataclasses.dataclass(frozen=True)
class Row:
    end: str
    """running, stopped, let_go (not recovered, and no guest), operator (the
    same, and a person is asked), reaped (let go; what its destination had
    begun is left to Nova's reaper of deleted instances there)."""
    codes: frozenset = frozenset()
    """One of these is in its history."""
    says: str = ''
    """So is this."""
    refused: bool = False
    """By Nova's API."""


def row(end, *codes, says='', refused=False):
    return Row(end, frozenset(codes), says, refused)


TABLE = {
    # The host is dead, and nobody knows.
    ('before', 'migrate'): row('operator', 'resizing'),
    ('before', 'evacuate'): row('running', refused=True),
    ('before', 'reset_active'): row('running'),
    ('before', 'reset_error'): row('running', says='nova says error'),
    ('before', 'stop'): row('stopped', says='powering-off'),
    ('before', 'start'): row('running', says='powering-on'),
    ('before', 'delete'): row('let_go', 'being_deleted', 'deleted'),
    ('before', 'untag'): row('let_go'),
    ('before', 'retag'): row('running'),
    # Known to be down, and forced down in nova; not proven off.
    ('pending', 'evacuate'): row('running', 'foreign_refused'),
    ('pending', 'live_migrate'): row('running'),
    ('pending', 'migrate'): row('running', refused=True),
    ('pending', 'reset_active'): row('running'),
    ('pending', 'reset_error'): row('running', says='nova says error'),
    ('pending', 'stop'): row('stopped', says='powering-off'),
    ('pending', 'start'): row('running', says='powering-on'),
    ('pending', 'delete'): row('let_go', 'being_deleted', 'deleted'),
    ('pending', 'untag'): row('let_go', 'untagged'),
    ('pending', 'retag'): row('running'),
    # A destination is inside spawn.
    ('building', 'evacuate'): row('running', 'foreign_refused'),
    ('building', 'live_migrate'): row('running', refused=True),
    ('building', 'migrate'): row('running', refused=True),
    ('building', 'reset_active'): row('running', 'destination_failed'),
    ('building', 'reset_error'): row('running', 'destination_failed'),
    ('building', 'stop'): row('running', refused=True),
    ('building', 'start'): row('stopped', refused=True),
    ('building', 'delete'): row('reaped', 'deleted'),
    ('building', 'untag'): row('running', 'untagged'),
    ('building', 'retag'): row('running'),
    # A destination failed, and is asked whether it left a guest.
    ('settling', 'evacuate'): row('running', 'foreign_refused'),
    ('settling', 'live_migrate'): row('running', refused=True),
    ('settling', 'migrate'): row('running', refused=True),
    ('settling', 'reset_active'): row('running', 'destination_failed'),
    ('settling', 'reset_error'): row('running', 'destination_failed'),
    ('settling', 'stop'): row('stopped', says='powering-off'),
    ('settling', 'start'): row('stopped', refused=True),
    ('settling', 'delete'): row('let_go', 'being_deleted', 'deleted'),
    ('settling', 'untag'): row('running', refused=True),
    ('settling', 'retag'): row('running', refused=True),
    # Recovered: its owner's again.
    ('after', 'evacuate'): row('running', refused=True),
    ('after', 'reset_active'): row('running'),
    ('after', 'stop'): row('stopped'),
    ('after', 'start'): row('running'),
    ('after', 'delete'): row('let_go'),
}


def name_of(moment, deed):
    """Those to be started are stopped before all begins."""
    return '%s%s_%s' % ('stopped_' * (deed == 'start'), moment, deed)


@dataclasses.dataclass
class Scene:
    cloud: object
    pets: dict
    refusals: dict
    watch: object

    def act(self, moment):
        """Do every deed of a moment; remember what the API refused."""
        for when, deed in TABLE:
            if when == moment:
                uuid = self.pets[name_of(when, deed)]
                self.refusals[when, deed] = self._refusal(deed, uuid)

    def _refusal(self, deed, uuid):
        from nova.tests.functional.api import client
        try:
            DEEDS[deed](self.cloud, uuid)
        except client.OpenStackApiException as error:
            return str(error)
        return ''

    def of(self, moment):
        return [self.pets[name_of(when, deed)] for when, deed in TABLE
                if when == moment]


@pytest.fixture(scope='module')
def scene():
    """The cloud after everybody has done everything."""
    from nova import exception
    from nova_pets.tests.cloud import pets as pets_cloud
    with pets_cloud.PetsCloud(hosts=4, report_interval_s=2,
                              pets=POLICY) as cloud:
        pets = windows.boot(cloud, [name_of(*key) for key in TABLE])
        with windows.Watch(cloud, pets.values()) as watch:
            scene = Scene(cloud, pets, {}, watch)
            spawns = [cloud.hold('compute', 'spawn', instance=uuid)
                      for uuid in scene.of('building')]
            probes = []
            for uuid in scene.of('settling'):
                cloud.fail('compute', 'spawn', exception.NovaException(
                    'as ordered'), times=1, instance=uuid)
                probes.append(cloud.hold(
                    'compute', 'receive:compute.get_instance_diagnostics',
                    instance=uuid))
            paused = cloud.order('pause', 'host', 'host1')
            cloud.crash('host1')
            scene.act('before')
            cloud.wait_host('host1', 'down', windows.PATIENCE_S)
            for uuid in scene.of('pending'):
                cloud.wait_recovery(uuid, 'pending')
            cloud.force_down('host1')
            scene.act('pending')
            assert cloud.store.end_control(paused, 'user test', 'end')
            _act_on_held(scene, 'building', spawns)
            _act_on_held(scene, 'settling', probes)
            for uuid in scene.of('after'):
                cloud.wait_recovery(uuid, 'recovered', windows.PATIENCE_S)
            scene.act('after')
            yield scene


def _act_on_held(scene, moment, holds):
    for hold in holds:
        hold.wait(timeout_s=windows.PATIENCE_S)
    scene.act(moment)
    for hold in holds:
        hold.release()


@pytest.mark.parametrize('moment, deed', TABLE,
                         ids=['-'.join(key) for key in TABLE])
def test_the_pet_is_where_its_owner_wants_it(scene, moment, deed):
    cloud, expected = scene.cloud, TABLE[moment, deed]
    uuid = scene.pets[name_of(moment, deed)]
    assert bool(scene.refusals[moment, deed]) is expected.refused, (
        scene.refusals[moment, deed])
    if expected.end in ('running', 'stopped'):
        cloud.wait_recovery(uuid, 'recovered', windows.PATIENCE_S)
        cloud.wait_server(uuid, windows.PATIENCE_S, task_state=None,
                          status=_STATUS[expected.end])
        windows.judge(cloud, uuid, expected.end == 'stopped')
    elif expected.end == 'operator':
        cloud.wait_recovery(uuid, 'needs_operator', windows.PATIENCE_S)
        assert cloud.running(uuid) == []
    else:
        _has_been_let_go(cloud, uuid, int(expected.end == 'reaped'))
    story = cloud.story(uuid)
    found = windows.codes(cloud, uuid)
    assert not expected.codes or expected.codes & found, story
    assert expected.says in story, story
    assert not scene.watch.doubles


_STATUS = {'running': 'ACTIVE', 'stopped': 'SHUTOFF'}


def _has_been_let_go(cloud, uuid, most):
    def has_ended():
        found = cloud.recovery(uuid)
        return found is None or found.state in ('abandoned', 'recovered')
    cloud.wait_for('its end', has_ended, windows.PATIENCE_S)
    cloud.wait_for('its last guest', lambda: (
        len(cloud.running(uuid)) <= most), windows.PATIENCE_S)
    assert 'host1' not in cloud.running(uuid)
