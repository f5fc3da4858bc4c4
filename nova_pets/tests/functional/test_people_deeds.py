# SPDX-License-Identifier: Apache-2.0
"""What people do to a pet, at each moment of its recovery: one table.

A cloud and a dead host for each moment, in it a pet for each deed. What
Nova's API refuses is told by the table, and what becomes of the pet: always
one guest or none, and a history that names what was seen.
"""

import contextlib
import dataclasses

import pytest

from nova_pets.tests.functional import windows

POLICY = {**windows.QUICK['pets'], 'parallel_per_host': 16,
          'scheduling_timeout': 20}
LONG = {'waiting': {'backoff_first': 15, 'backoff_max': 20},
        'verifying': {'verify_watch': 15}}
"""So that everybody acts within the moment."""

DEEDS = {
    'evacuate': lambda cloud, uuid: cloud.evacuate(uuid),
    # To a host, past every scheduler, as clients before 2.68 may.
    'force': lambda cloud, uuid: cloud.evacuate(
        uuid, host='host3', force=True, microversion='2.30'),
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
    """running, stopped, theirs (running where they brought it, before its
    host was proven off), let_go (not recovered, and no guest), operator (the
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
    ('before', 'force'): row('running', refused=True),
    ('before', 'reset_active'): row('running'),
    ('before', 'reset_error'): row('running', says='nova says error'),
    ('before', 'stop'): row('stopped', says='powering-off'),
    ('before', 'start'): row('running', says='powering-on'),
    ('before', 'delete'): row('let_go', 'being_deleted', 'deleted'),
    ('before', 'untag'): row('let_go'),
    ('before', 'retag'): row('running'),
    # Known to be down, and forced down in nova; not proven off.
    ('pending', 'evacuate'): row('running', 'foreign_refused'),
    ('pending', 'force'): row('theirs', 'moved_away'),
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
    # A destination failed, and the next try is not due yet.
    ('waiting', 'evacuate'): row('running', 'foreign_refused'),
    ('waiting', 'force'): row('running'),
    ('waiting', 'live_migrate'): row('running'),
    ('waiting', 'migrate'): row('running', refused=True),
    ('waiting', 'reset_active'): row('running'),
    ('waiting', 'reset_error'): row('running'),
    ('waiting', 'stop'): row('stopped'),
    ('waiting', 'start'): row('running'),
    ('waiting', 'delete'): row('let_go', 'being_deleted', 'deleted'),
    ('waiting', 'untag'): row('let_go'),
    ('waiting', 'retag'): row('running'),
    # It runs on its destination, and is looked at for a while.
    ('verifying', 'evacuate'): row('running', refused=True),
    ('verifying', 'force'): row('running', refused=True),
    ('verifying', 'live_migrate'): row('running'),
    ('verifying', 'reset_active'): row('running'),
    ('verifying', 'reset_error'): row('running'),
    ('verifying', 'stop'): row('stopped'),
    ('verifying', 'start'): row('running'),
    ('verifying', 'delete'): row('let_go'),
    ('verifying', 'untag'): row('running'),
    ('verifying', 'retag'): row('running'),
    # Suspended when its host died: a person is asked, and says "retry".
    ('asked', 'evacuate'): row('operator', refused=True),
    ('asked', 'force'): row('operator', refused=True),
    ('asked', 'live_migrate'): row('operator', refused=True),
    ('asked', 'migrate'): row('operator', refused=True),
    ('asked', 'reset_active'): row('operator', 'suspended'),
    ('asked', 'reset_error'): row('operator', 'suspended'),
    ('asked', 'stop'): row('operator', refused=True),
    ('asked', 'delete'): row('let_go', 'deleted'),
    ('asked', 'untag'): row('let_go'),
    ('asked', 'retag'): row('operator'),
    # Recovered: its owner's again.
    ('after', 'force'): row('running', refused=True),
    ('after', 'evacuate'): row('running', refused=True),
    ('after', 'reset_active'): row('running'),
    ('after', 'stop'): row('stopped'),
    ('after', 'start'): row('running'),
    ('after', 'delete'): row('let_go'),
}


def name_of(moment, deed):
    """Those to be started are stopped before all begins."""
    return '%s%s_%s' % ('stopped_' * (deed == 'start'), moment, deed)


class Scene:
    """A cloud whose host1 dies, with a pet for each deed of one moment."""

    def __init__(self, cloud, moment):
        self.cloud = cloud
        self.moment = moment
        self.pets = windows.boot(cloud, [
            name_of(*key) for key in TABLE if key[0] == moment])
        self.refusals = {}

    def of(self, deed):
        return self.pets[name_of(self.moment, deed)]

    def wait(self, state):
        for uuid in self.pets.values():
            self.cloud.wait_recovery(uuid, state, windows.PATIENCE_S)

    def act(self):
        """Do every deed; remember what the API refused."""
        for moment, deed in TABLE:
            if moment == self.moment:
                self.refusals[deed] = self._refusal(deed)

    def _refusal(self, deed):
        from nova.tests.functional.api import client
        try:
            DEEDS[deed](self.cloud, self.of(deed))
        except client.OpenStackApiException as error:
            return str(error)
        return ''

    def act_on_held(self, holds):
        for hold in holds:
            hold.wait(timeout_s=windows.PATIENCE_S)
        self.act()
        if not self.refusals['untag']:
            # The engine looks every few seconds; a spawn here takes none.
            self.cloud.wait_for('its lost tag', lambda: (
                'untagged' in windows.codes(self.cloud, self.of('untag'))),
                windows.PATIENCE_S)
        for hold in holds:
            hold.release()


def _before(scene):
    scene.cloud.crash('host1')
    scene.act()


def _pending(scene):
    cloud = scene.cloud
    paused = cloud.order('pause', 'host', 'host1')
    cloud.crash('host1')
    cloud.wait_host('host1', 'down', windows.PATIENCE_S)
    for uuid in scene.pets.values():
        cloud.wait_recovery(uuid, 'pending')
    cloud.force_down('host1')
    scene.act()
    assert cloud.store.end_control(paused, 'user test', 'end')


def _building(scene):
    holds = [scene.cloud.hold('compute', 'spawn', instance=uuid)
             for uuid in scene.pets.values()]
    scene.cloud.crash('host1')
    scene.act_on_held(holds)


def _settling(scene):
    from nova import exception
    holds = []
    for uuid in scene.pets.values():
        scene.cloud.fail('compute', 'spawn', exception.NovaException(
            'as ordered'), times=1, instance=uuid)
        holds.append(scene.cloud.hold(
            'compute', 'receive:compute.get_instance_diagnostics',
            instance=uuid))
    scene.cloud.crash('host1')
    scene.act_on_held(holds)


def _waiting(scene):
    from nova import exception
    cloud = scene.cloud
    for uuid in scene.pets.values():
        cloud.fail('compute', 'spawn', exception.NovaException('as ordered'),
                   times=1, instance=uuid)
    cloud.crash('host1')
    scene.wait('waiting')
    scene.act()


def _verifying(scene):
    scene.cloud.crash('host1')
    scene.wait('verifying')
    scene.act()


def _asked(scene):
    cloud = scene.cloud
    for uuid in scene.pets.values():
        cloud.action(uuid, {'suspend': None})
    for uuid in scene.pets.values():
        cloud.wait_server(uuid, status='SUSPENDED', task_state=None)
    cloud.crash('host1')
    scene.wait('needs_operator')
    scene.act()


def _after(scene):
    scene.cloud.crash('host1')
    scene.wait('recovered')
    scene.act()


MOMENTS = {'before': _before, 'pending': _pending, 'building': _building,
           'settling': _settling, 'waiting': _waiting,
           'verifying': _verifying, 'asked': _asked, 'after': _after}


class _Theatre:
    """Keeps the scene of one moment: the tests come in that order."""

    def __init__(self):
        self._scene = None
        self._open = contextlib.ExitStack()

    def scene(self, moment):
        """Return the cloud after everybody has acted at this moment."""
        from nova_pets.tests.cloud import pets as pets_cloud
        if self._scene is None or self._scene.moment != moment:
            self.close()
            cloud = self._open.enter_context(pets_cloud.PetsCloud(
                hosts=4, report_interval_s=2,
                pets={'pets': {**POLICY, **LONG.get(moment, {})}}))
            scene = Scene(cloud, moment)
            scene.watch = self._open.enter_context(
                windows.Watch(cloud, scene.pets.values()))
            MOMENTS[moment](scene)
            self._scene = scene
        return self._scene

    def close(self):
        self._scene = None
        self._open.close()


@pytest.fixture(scope='module')
def theatre():
    theatre = _Theatre()
    yield theatre
    theatre.close()


@pytest.mark.parametrize('moment, deed', TABLE,
                         ids=['-'.join(key) for key in TABLE])
def test_the_pet_is_where_its_owner_wants_it(theatre, moment, deed):
    scene = theatre.scene(moment)
    cloud, expected = scene.cloud, TABLE[moment, deed]
    uuid = scene.of(deed)
    assert bool(scene.refusals[deed]) is expected.refused, (
        scene.refusals[deed])
    if expected.end in ('running', 'stopped'):
        cloud.wait_recovery(uuid, 'recovered', windows.PATIENCE_S)
        cloud.wait_server(uuid, windows.PATIENCE_S, task_state=None,
                          status=_STATUS[expected.end])
        windows.judge(cloud, uuid, expected.end == 'stopped')
    elif expected.end == 'theirs':
        cloud.wait_recovery(uuid, 'abandoned', windows.PATIENCE_S)
        host = cloud.server(uuid)['OS-EXT-SRV-ATTR:host']
        assert cloud.running(uuid) == [host] == ['host3']
        assert not windows.dangers(cloud, uuid, host)
    elif expected.end == 'operator':
        cloud.wait_recovery(uuid, 'needs_operator', windows.PATIENCE_S)
        assert cloud.running(uuid) == []
    else:
        _has_been_let_go(cloud, uuid, int(expected.end == 'reaped'))
    cloud.wait_for('its reasons', lambda: (
        not expected.codes or expected.codes & windows.codes(cloud, uuid)))
    assert expected.says in cloud.story(uuid)
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
