# SPDX-License-Identifier: Apache-2.0
"""Instances in every state and of every kind on a host that dies.

What the tables 3 to 5 of specs/0002-states say is what happens on real Nova:
first to each of them without a person, then with the commands that
``pets show`` gives to one.
"""

import pytest

from nova_pets.planning import instance_states
from nova_pets.tests.functional import windows

RUNS = ('recovered', 'running')
STOPS = ('recovered', 'stopped')
UNTOUCHED = (None, None)
"""Neither a recovery nor a word about it."""


def operator(reason):
    return ('needs_operator', reason)


def left(reason):
    return ('left alone', reason)


AT_REST = {
    # vm_states
    'active': RUNS, 'stopped': STOPS, 'error_ran': RUNS,
    'error_stopped': STOPS, 'paused': STOPS,
    'suspended': operator('suspended'), 'suspended_too': operator(
        'suspended'), 'rescued': operator('rescued'),
    'resized': operator('resized'), 'resized_away': UNTOUCHED,
    'shelved': left('shelved'), 'shelved_too': left('shelved'),
    'offloaded': UNTOUCHED, 'soft_deleted': UNTOUCHED,
    # kinds
    'locked': RUNS, 'volume': RUNS, 'forced': RUNS, 'anti': RUNS,
    'soft': RUNS, 'affine': operator('hard_affinity'),
}
IN_A_TASK = {
    'building': left('never_launched'), 'pausing': STOPS,
    'unpausing': RUNS, 'powering_off': STOPS, 'rescuing': STOPS,
    'shelving': STOPS, 'suspending': operator('suspending'),
    'resize_out': operator('resizing'), 'resize_in': operator('resizing'),
    'live_out': operator('migrating'), 'live_in': UNTOUCHED,
    'offloading': operator('offloading'),
    'unshelving': operator('unshelving'),
    'unshelving_anew': operator('unshelving'),
    'restoring': operator('restoring'),
    'deleting': left('being_deleted'),
}
"""What becomes of each, by itself."""

SHOWN = {
    'active': ('recover running', {'was_running', 'in_storage_domain'}),
    'paused': ('recover stopped', {'was_paused', 'in_storage_domain'}),
    'suspended': ('needs operator', {'suspended'}),
    'shelved': ('leave alone', {'shelved'}),
    'affine': ('needs operator', {'hard_affinity'}),
    'anti': ('recover running', {'was_running', 'in_storage_domain',
                                 'anti_affinity'}),
    'locked': ('recover running', {'was_running', 'in_storage_domain',
                                   'locked'}),
    'volume': ('recover running', {'was_running', 'on_volume'})}
"""What ``pets show`` says beforehand."""

ELSEWHERE = {'resized', 'resize_in', 'live_in'}
"""Begin on host4; all others on host1, which dies."""

CONFIG = {'DEFAULT': {
    # Deletions are soft, and what is shelved stays on its host.
    'reclaim_instance_interval': 86400, 'shelved_offload_time': -1,
    # One pool for all hosts, as they share a process here.
    'max_concurrent_live_migrations': 4}}


def test_every_state_of_nova_has_a_row():
    """Of the installed nova: none is missing, none is made up."""
    # First of all: it chooses how nova's threads run in this process.
    from nova_pets.tests.cloud import bootstrap  # noqa: F401, I001
    from nova.objects import fields
    assert set(instance_states.VM_STATES) == set(fields.InstanceState.ALL)
    assert set(instance_states.TASK_STATES) == {
        None, *fields.InstanceTaskState.ALL}


@pytest.fixture
def shown(capsys):
    """Return a function that gives the document of ``pets show``."""
    def run(name):
        import json

        import nova.conf
        from nova_pets.cmd import access
        from nova_pets.cmd import manage
        commands = manage.PetsCommands(access.Access(nova.conf.CONF))
        capsys.readouterr()
        commands.show(instance=name, as_json=True)
        return json.loads(capsys.readouterr().out)
    return run


GROUPS = {'anti': 'anti-affinity', 'affine': 'affinity',
          'soft': 'soft-affinity'}

DEEDS = {
    'stopped': ('stopped', 'os-stop'),
    'error_stopped': ('stopped', 'os-stop'),
    'paused': ('paused', 'pause'), 'unpausing': ('paused', 'pause'),
    'suspended': ('suspended', 'suspend'),
    'suspended_too': ('suspended', 'suspend'),
    'rescued': ('rescued', {'rescue': {}}),
    'shelved': ('shelved', 'shelve'), 'shelved_too': ('shelved', 'shelve'),
    'offloading': ('shelved', 'shelve'), 'unshelving': ('shelved', 'shelve'),
    'offloaded': ('shelved_offloaded', 'shelve', 'shelveOffload'),
    'unshelving_anew': ('shelved_offloaded', 'shelve', 'shelveOffload'),
    'resized': ('resized', {'migrate': {'host': 'host1'}}),
    'resized_away': ('resized', {'migrate': {'host': 'host2'}}),
    'locked': ('active', 'lock'),
}
"""What people do beforehand: the vm_state that it ends in, the actions."""

LIVE = {'host': 'host4', 'block_migration': 'auto'}
TASKS = {
    'pausing': ('pause', 'pause', 'pausing'),
    'unpausing': ('unpause', 'unpause', 'unpausing'),
    'powering_off': ('power_off', 'os-stop', 'powering-off'),
    'rescuing': ('rescue', {'rescue': {}}, 'rescuing'),
    'shelving': ('after_snapshot', 'shelve', 'shelving_image_uploading'),
    'suspending': ('suspend', 'suspend', 'suspending'),
    'resize_out': ('migrate_disk_and_power_off',
                   {'migrate': {'host': 'host4'}}, 'resize_migrating'),
    'resize_in': ('finish_migration', {'migrate': {'host': 'host1'}},
                  'resize_finish'),
    'live_out': ('live_migration', {'os-migrateLive': LIVE}, 'migrating'),
    'live_in': ('pre_live_migration',
                {'os-migrateLive': {**LIVE, 'host': 'host1'}}, 'migrating'),
    'offloading': ('destroy', 'shelveOffload', 'shelving_offloading'),
    'unshelving': ('power_on', 'unshelve', 'powering-on'),
    'unshelving_anew': ('spawn', {'unshelve': {'host': 'host1'}},
                        'spawning'),
    'restoring': ('restore', 'restore', 'restoring'),
    'deleting': ('destroy', 'forceDelete', 'deleting'),
}
"""What host1 is in the middle of: the driver's call, the action, the
task_state."""


def _body(action):
    return {action: None} if isinstance(action, str) else action


class Story:
    """One cloud whose host1 dies with an instance of each sort on it."""

    def __init__(self, cloud, ends):
        self.cloud = cloud
        self.ends = ends
        self.groups = {}

    def boot(self):
        cloud = self.cloud
        cloud.add_aggregate('zone', ['host1', 'host3'],
                            {'availability_zone': 'az1'})
        wishes = {}
        for name in self.ends:
            wish = {'metadata': windows.PET, 'host': 'host1'}
            if name in ELSEWHERE:
                wish['host'] = 'host4'
            elif name == 'forced':
                del wish['host']
                wish['availability_zone'] = 'az1:host1'
            elif name == 'volume':
                wish['bfv'] = True
            elif name in GROUPS:
                self.groups[name] = cloud.add_server_group(
                    name, GROUPS[name])
                wish['group'] = self.groups[name]
            if name != 'building':
                wishes[name] = wish
        if 'anti' in wishes:
            wishes['anti_twin'] = {'host': 'host4',
                                   'group': self.groups['anti']}
        self.pets = cloud.boot_many(wishes, timeout_s=250)
        self.pets.pop('anti_twin', None)
        cloud.wait_tracked(self.pets.values(), timeout_s=90)

    def rest(self):
        """People act; all is at rest again before the host dies."""
        cloud = self.cloud
        for name, uuid in self.pets.items():
            vm_state, *bodies = DEEDS.get(name, ('active',))
            for body in bodies:
                cloud.action(uuid, _body(body))
                cloud.wait_server(uuid, task_state=None, timeout_s=90)
            cloud.wait_server(uuid, vm_state=vm_state, timeout_s=90)
            if name in ('error_ran', 'error_stopped'):
                cloud.reset_state(uuid, 'error')
            elif name in ('soft_deleted', 'restoring'):
                cloud.delete(uuid)
                cloud.wait_server(uuid, vm_state='soft-delete',
                                  task_state=None, timeout_s=90)
        # libvirt powers the source's guest off; Nova's fake driver does not.
        for name, host in (('resized', 'host4'), ('resized_away', 'host1')):
            if name in self.pets:
                cloud.ground.machines[host].remove_guest(self.pets[name])

    def begin(self):
        """Let host1 be in the middle of what is asked of it."""
        cloud = self.cloud
        if 'building' in self.ends:
            hold = cloud.hold('host1', 'spawn')
            self.pets['building'] = cloud.create_server(
                'building', host='host1', metadata=windows.PET)
            hold.wait(self.pets['building'], timeout_s=90)
        for name, (point, body, task_state) in TASKS.items():
            if name not in self.pets:
                continue
            uuid = self.pets[name]
            cloud.hold('host1', point, instance=uuid)
            cloud.action(uuid, _body(body))
            cloud.wait_held(point, uuid, timeout_s=90)
            cloud.wait_server(uuid, task_state=task_state)

    def end(self, name):
        """Return what has become of one, in the words of ENDS."""
        row = self.cloud.recovery(self.pets[name])
        if row is not None:
            if row.state == 'recovered':
                return row.state, str(row.desired_power)
            return str(row.state), row.reason
        words = [event for event in self.cloud.store.history(
            instance_uuid=self.pets[name])
            if event.text.startswith('left alone')]
        assert len(words) <= 1, 'said more than once'
        return ('left alone', words[0].code) if words else UNTOUCHED

    def wait_ends(self, expected):
        def found():
            return {name: self.end(name) for name in expected}
        try:
            self.cloud.wait_for('the ends', lambda: found() == expected, 120)
        except AssertionError:
            ends = found()
            assert ends == expected, '\n\n'.join(
                self.cloud.story(self.pets[name]) for name in expected
                if ends[name] != expected[name])

    def judge(self, name):
        return windows.judge(self.cloud, self.pets[name],
                             is_stopped=self.end(name) == STOPS)

    def decide(self, allowed):
        """A person allows it, as the commands of its reason say.

        :param allowed: {name: (order, what it ends in)}.
        """
        for name, (order, _end) in allowed.items():
            if name in self.groups:
                self.cloud.api_fixture.admin_api.api_delete(
                    '/os-server-groups/%s' % self.groups[name])
            else:
                self.cloud.reset_state(self.pets[name], 'error')
            self.cloud.order(order, 'instance', self.pets[name])
        self.wait_ends({name: end for name, (_, end) in allowed.items()})
        for name in allowed:
            self.judge(name)

    def bring_back(self):
        """What a person gives up waits for its host, which returns."""
        for name in self.ends:
            if self.end(name)[0] == 'needs_operator':
                self.cloud.order('abandon', 'instance', self.pets[name])
        self.cloud.wait_host('host1', 'vacated')
        self.cloud.restart('host1')
        self.cloud.wait_host('host1', 'up', 120)


@pytest.fixture
def tell(make_cloud):
    """Return a function that tells a story up to where all has ended by
    itself."""
    from nova_pets.tests.cloud import pets as pets_cloud
    watches = []

    def run(ends, before=None):
        cloud = make_cloud(
            cloud_class=pets_cloud.PetsCloud, hosts=4, report_interval_s=3,
            pets=windows.QUICK, config=CONFIG)
        story = Story(cloud, ends)
        story.boot()
        story.rest()
        if before:
            before(story)
        story.begin()
        watch = windows.Watch(cloud, story.pets.values())
        watches.append(watch)
        watch.__enter__()
        cloud.crash('host1')
        # Of the dead; the nova-compute that returns is not to wait there.
        cloud.board.release_all()
        story.wait_ends(ends)
        for name, end in ends.items():
            if end in (RUNS, STOPS):
                story.judge(name)
        return cloud, story
    yield run
    for watch in watches:
        watch.__exit__()
        assert not watch.doubles


def test_every_vm_state_and_kind_on_a_host_that_dies(tell, shown):
    def before(story):
        def rules():
            return {name: _rule(shown, story.pets[name]) for name in SHOWN}
        try:
            story.cloud.wait_for('the rules', lambda: rules() == SHOWN)
        except AssertionError:
            assert rules() == SHOWN

    cloud, story = tell(AT_REST, before)
    pets = story.pets
    assert cloud.server(pets['forced'])['OS-EXT-SRV-ATTR:host'] == 'host3'
    assert cloud.server(pets['anti'])['OS-EXT-SRV-ATTR:host'] != 'host4'
    assert cloud.running(pets['resized_away']) == ['host2']
    story.decide({
        'affine': ('retry', RUNS), 'suspended': ('retry', STOPS),
        'rescued': ('retry', STOPS), 'resized': ('retry', RUNS),
        'shelved': ('recover', STOPS)})
    story.bring_back()
    for name, action in (('suspended_too', 'resume'),
                         ('shelved_too', 'unshelve')):
        cloud.action(pets[name], {action: None})
        cloud.wait_server(pets[name], vm_state='active', task_state=None,
                          host='host1')


def test_every_task_on_a_host_that_dies(tell):
    cloud, story = tell(IN_A_TASK)
    pets = story.pets
    assert cloud.running(pets['live_in']) == ['host4']
    story.decide({'restoring': ('retry', STOPS),
                  'suspending': ('retry', STOPS)})
    story.bring_back()
    cloud.wait_server(pets['building'], vm_state='error')
    cloud.wait_server(pets['unshelving'], vm_state='active',
                      task_state=None, host='host1')
    assert cloud.running(pets['unshelving']) == ['host1']


def _rule(shown, name):
    document = shown(name)
    rule = document.get('rule')
    if rule is None:
        return document
    return rule['rule'], {row['reason'] for row in rule['reasons']}


def test_an_evacuation_waits_for_room_in_its_own_cell(make_cloud):
    from nova_pets.tests.cloud import pets as pets_cloud
    cloud = make_cloud(
        cloud_class=pets_cloud.PetsCloud, cells=2, report_interval_s=2,
        hosts={'host1': 'cell1', 'host2': 'cell1', 'host3': 'cell2'},
        pets=windows.QUICK)
    uuid = cloud.boot('db1', host='host1', metadata=windows.PET)
    cloud.wait_tracked([uuid])
    cloud.update_service('host2', status='disabled')
    cloud.crash('host1')
    cloud.wait_for('an attempt in vain', lambda: (
        'no_valid_host' in windows.codes(cloud, uuid)))
    assert cloud.running(uuid) == []
    cloud.update_service('host2', status='enabled')
    assert windows.judge(cloud, uuid) == 'host2'
