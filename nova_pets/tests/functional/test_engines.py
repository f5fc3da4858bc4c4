# SPDX-License-Identifier: Apache-2.0
"""Several engines, modes and fences on real Nova."""

import os
import threading

import pytest

from nova_pets.tests.functional import windows


@pytest.fixture
def make_pets_cloud(make_cloud):
    def make(**kwargs):
        from nova_pets.tests.cloud import pets as pets_cloud
        values = {'hosts': 3, 'report_interval_s': 2,
                  'pets': windows.QUICK}
        values.update(kwargs)
        return make_cloud(cloud_class=pets_cloud.PetsCloud, **values)
    return make


def _boot(cloud, *names, **kwargs):
    pets = cloud.boot_many({name: {'host': 'host1', 'metadata': windows.PET,
                                   **kwargs} for name in names})
    return list(pets.values())


class SecondEngine:
    """Another engine in a process of its own, as far as the cloud goes."""

    def __init__(self, name):
        from nova_pets import wiring
        from nova_pets.tests.cloud import processes
        self.stop = threading.Event()
        process = processes.Process(name, 'scheduler',
                                    settings={'host': name}, cell='cell1')
        with processes.running_as(process):
            self.engine = wiring.build_engine(worker=name)
            self._thread = threading.Thread(
                target=self.engine.run, args=(self.stop,), daemon=True)
            self._thread.start()

    def end(self):
        self.stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()


def _slots(cloud):
    return [engine.host for engine in cloud.store.engines()
            if engine.slot is not None]


def test_two_engines_race_for_one_host(make_pets_cloud):
    """One fence, one evacuation per instance, counted at the conductor."""
    cloud = make_pets_cloud()
    uuids = _boot(cloud, *[f'db{number}' for number in range(6)])
    second = SecondEngine('rival')
    try:
        cloud.wait_for('two engines', lambda: len(_slots(cloud)) == 2)
        cloud.wait_tracked(uuids)
        cloud.crash('host1')
        for uuid in uuids:
            windows.judge(cloud, uuid)
    finally:
        second.end()
    casts = [uuid for uuid, _ in cloud.evacuate_casts]
    assert sorted(casts) == sorted(uuids)
    proofs = [event for event in cloud.store.history(host='host1')
              if event.to_state == 'fencing']
    assert len(proofs) == 1


@pytest.mark.parametrize('moment, method', [
    ('before', 'set_forced_down'), ('before', 'allocated_hosts'),
    ('after', 'update_instance'), ('before', 'evacuate'),
    ('after', 'evacuate')])
def test_an_engine_freezes_and_wakes_up_later(make_pets_cloud, monkeypatch,
                                              method, moment):
    """SIGSTOP around an outside call, longer than a claim, then SIGCONT."""
    from nova_pets.compute import nova as nova_door
    cloud = make_pets_cloud(start_scheduler=True)
    uuids = _boot(cloud, 'db1', 'db2')
    cloud.wait_tracked(uuids)
    real = getattr(nova_door.NovaDoor, method)
    frozen, thaw = threading.Event(), threading.Event()
    victim = cloud.store.engines()[0]

    def freezing(self, *args, **kwargs):
        is_first = not frozen.is_set()
        if is_first and moment == 'before':
            frozen.set()
            thaw.wait(60)
        result = real(self, *args, **kwargs)
        if is_first and moment == 'after':
            frozen.set()
            thaw.wait(60)
        return result

    # The whole process stands still: its renewals too.
    from nova_pets.engine import engine as engine_module
    turn = engine_module.Engine.cycle

    def cycle(self):
        if frozen.is_set() and self.standing.engine.worker == victim.worker:
            thaw.wait(60)
        return turn(self)

    monkeypatch.setattr(engine_module.Engine, 'cycle', cycle)
    monkeypatch.setattr(nova_door.NovaDoor, method, freezing)
    cloud.crash('host1')
    assert frozen.wait(60)
    monkeypatch.setattr(nova_door.NovaDoor, method, real)
    second = SecondEngine('heir')
    try:
        with windows.Watch(cloud, uuids) as watch:
            cloud.wait_for('the heir', lambda: all(
                recovery.state == 'recovered' or recovery.attempts
                for recovery in map(cloud.recovery, uuids) if recovery))
            for uuid in uuids:
                cloud.wait_recovery(uuid, 'recovered', 90)
            thaw.set()
            cloud.wait_for('the sleeper to notice', lambda: victim.id not in [
                engine.id for engine in cloud.store.engines()])
            for uuid in uuids:
                windows.judge(cloud, uuid)
        assert not watch.doubles
    finally:
        thaw.set()
        second.end()
    assert all(sum(count for host, count in cloud.starts(uuid).items()
                   if host != 'host1') == 1 for uuid in uuids)


def test_observe_mode_and_the_kill_switch(make_pets_cloud):
    cloud = make_pets_cloud()
    switch = os.path.join(cloud.directory, 'observe')
    with open(switch, 'w'):
        pass
    uuid, = _boot(cloud, 'db1')
    cloud.wait_tracked([uuid])
    cloud.crash('host1')
    cloud.wait_host('host1', 'down')
    cloud.wait_for('the report', lambda: [
        engine for engine in cloud.store.engines()
        if 'observe mode: would fence host1'
        in engine.report.get('waits', ())])
    assert cloud.power()['host1'] == 'on'
    assert not cloud.compute_services()['host1']['forced_down']
    os.unlink(switch)
    windows.judge(cloud, uuid)


def test_a_dead_agent_on_a_living_machine_is_an_alarm_only(make_pets_cloud):
    cloud = make_pets_cloud()
    uuid, = _boot(cloud, 'db1')
    cloud.wait_tracked([uuid])
    cloud.silence_service('host1')
    cloud.wait_for('the alarm', lambda: (
        cloud.store.host('host1').state,
        cloud.store.host('host1').reason) == ('suspect', 'host_alive'))
    until = cloud.store.engines()[0].renewals + 60
    cloud.wait_for('some cycles', lambda: cloud.store.engines()[
        0].renewals > until)
    assert cloud.store.host('host1').state == 'suspect'
    assert cloud.power()['host1'] == 'on'
    assert cloud.running(uuid) == ['host1']
    assert cloud.recovery(uuid) is None


def test_a_bmc_that_lies_holds_everything(make_pets_cloud):
    """It says off, and the machine lives on: nothing is evacuated."""
    cloud = make_pets_cloud()
    uuid, = _boot(cloud, 'db1')
    cloud.wait_tracked([uuid])
    with open(os.path.join(cloud.bmc_directory, 'host1.behaviour'),
              'w') as stream:
        stream.write('lie: true\n')
    cloud.partition('host1')
    cloud.wait_host('host1', 'fenced')
    cloud.heal('host1')
    cloud.wait_host('host1', 'quarantined')
    # Whatever was recovered before the machine showed life was recovered
    # on the word of its only device; from now on nothing moves.
    assert cloud.store.host('host1').reason == 'life_after_proof'


def test_a_person_confirms_what_no_device_can(make_pets_cloud):
    cloud = make_pets_cloud(fence='manual')
    uuid, = _boot(cloud, 'db1')
    cloud.wait_for('tracking', lambda: cloud.store.pets(uuids=[uuid]))
    cloud.crash('host1')
    row = cloud.wait_host('host1', 'unproven') and cloud.store.host('host1')
    assert row.reason == 'no_fence'
    stale = cloud.order('confirm_fenced', 'host', 'host1',
                        epoch=row.epoch - 1)
    cloud.wait_for('the refusal', lambda: stale.id not in [
        control.id for control in cloud.store.controls()])
    assert cloud.store.host('host1').state == 'unproven'
    assert cloud.evacuate_casts == []
    cloud.power_off('host1')  # the person pulls the plug, then says so
    cloud.order('confirm_fenced', 'host', 'host1', epoch=row.epoch)
    windows.judge(cloud, uuid)


def _after_recovery():
    fencing = {**windows.QUICK.get('pets_fencing', {}),
               'power_on': 'after_recovery'}
    return {**windows.QUICK, 'pets_fencing': fencing}


def test_an_empty_host_is_powered_on_and_comes_back_clean(make_pets_cloud,
                                                          monkeypatch):
    """RabbitMQ's part is in tests/executable/test_queues.py."""
    from nova_pets.compute import queues
    from nova_pets.model import observations
    late, seen = [], []

    def drain(url, host, timeout_s, tell):
        seen.append((host, cloud.power()[host],
                     cloud.compute_services()[host]['forced_down']))
        for _ in range(len(late)):
            tell(late[0])
            late.pop(0)
        return observations.Drained(True, 0, 'is empty')
    monkeypatch.setattr(queues, 'drain', drain)
    cloud = make_pets_cloud(pets=_after_recovery())
    uuid, = _boot(cloud, 'db1')
    cloud.wait_tracked([uuid])
    late.append(observations.Dropped('start_instance', 'req-1', uuid))
    cloud.crash('host1')
    where = windows.judge(cloud, uuid)
    cloud.wait_for('its power', lambda: cloud.power()['host1'] == 'on', 90)
    # Twice at least: when it was empty, and right before its power.
    assert len(seen) >= 2 and set(seen) == {('host1', 'off', True)}
    if not cloud.compute_services()['host1']['state'] == 'up':
        cloud.restart('host1')
    cloud.wait_host('host1', 'up', 90)
    assert not cloud.compute_services()['host1']['forced_down']
    assert cloud.running(uuid) == [where]
    assert uuid not in cloud.guests()['host1']
    codes = [event.code for event in cloud.store.history(host='host1')]
    order = [code for code in codes if code in (
        'vacated', 'message_dropped', 'queue_drained', 'powering_on',
        'powered_on', 'returned')]
    assert order == ['vacated', 'message_dropped', 'queue_drained',
                     'powering_on', 'powered_on', 'returned']


def test_what_cannot_be_drained_is_not_powered_on(make_pets_cloud):
    """The queues of another transport than RabbitMQ."""
    cloud = make_pets_cloud(pets=_after_recovery())
    uuid, = _boot(cloud, 'db1')
    cloud.wait_tracked([uuid])
    cloud.crash('host1')
    windows.judge(cloud, uuid)
    cloud.wait_for('the reason', lambda: cloud.store.host(
        'host1').reason == 'not_drained', 90)
    assert cloud.store.host('host1').state == 'vacated'
    assert cloud.power()['host1'] == 'off'
    [told] = [event for event in cloud.store.history(host='host1')
              if event.code == 'not_drained']
    assert 'only the queues of RabbitMQ' in told.text


def test_a_released_host_comes_back_clean(make_pets_cloud):
    cloud = make_pets_cloud()
    uuid, = _boot(cloud, 'db1')
    cloud.wait_tracked([uuid])
    cloud.crash('host1')
    where = windows.judge(cloud, uuid)
    cloud.wait_host('host1', 'vacated')
    cloud.order('release', 'host', 'host1')
    cloud.wait_host('host1', 'returning')
    cloud.restart('host1')
    cloud.wait_host('host1', 'up', 90)
    assert not cloud.compute_services()['host1']['forced_down']
    assert cloud.running(uuid) == [where]
    assert cloud.running(cloud.boot('new', host='host1')) == ['host1']
