# SPDX-License-Identifier: Apache-2.0
"""Reason codes: what each means to a person, and the safe next commands.

Codes are stored in the database and shown by ``--json``: never rename one.
A row's ``detail`` carries the figures; the text here is the general case.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Reason:
    text: str
    commands: tuple[str, ...] = ()
    """{instance} and {host} are filled in by next_commands."""


_SHOW = 'nova-manage pets show {instance}'
_RETRY = 'nova-manage pets retry {instance} --reason "..."'
_ABANDON = 'nova-manage pets abandon {instance} --reason "..."'
_CONFIRM = 'nova-manage pets confirm_fenced {host} --reason "..."'
_CHECK = 'nova-manage pets check --fencing'
_RELEASE = 'nova-manage pets release {host} --reason "..."'
_WAIT = _ABANDON + '   (it waits for {host} to come back)'
_RESET = 'openstack server set --state error {instance}'
AUDIT = 'nova-manage pets audit --fix'

REASONS: dict[str, Reason] = {
    # hosts
    'heartbeat_silent': Reason('its heartbeat stands still'),
    'heartbeat_back': Reason('its heartbeat moves again'),
    'host_alive': Reason(
        'nova-compute is silent, but the machine answers: alarm only, '
        'healthy instances are not killed for a dead agent',
        ('systemctl restart nova-compute on {host}',)),
    'agent_alive': Reason('nova-compute answers a ping: not down'),
    'no_host_witness': Reason(
        'nova-compute is silent and no host-level witness has an opinion: '
        'alarm, not a verdict',
        ('nova-manage pets check', _CONFIRM)),
    'all_silent': Reason('it answers on no path'),
    'forced_down_by_others': Reason(
        'somebody else forced it down in nova (evidence, and proof only '
        'with [pets_fencing] trust_forced_down)'),
    'forced_up_by_others': Reason(
        'forced_down was missing in nova (taken away by somebody, or it never '
        'arrived there); it must stay as long as its pets are recovered'),
    'fence_started': Reason('being powered off'),
    'proven_off': Reason('its power reads off'),
    'confirmed_off': Reason('an operator confirmed that it is off'),
    'external_off': Reason('a trusted external event says it is off'),
    'fence_failed': Reason(
        'could not be proven off',
        (_CHECK, _CONFIRM,
         'or power {host} off by hand: it is proven off once its device '
         'answers and says so')),
    'reads_off': Reason('its power reads off by now; being proven'),
    'fence_retry': Reason('could not be proven off yet; tried again'),
    'no_fence': Reason(
        'no fencing device is configured for it that can power it off',
        (_CONFIRM, _CHECK)),
    'fence_owner_lost': Reason(
        'the engine that fenced it died; its power is read again'),
    'life_after_proof': Reason(
        'shows life although it is proven off: wrong binding, or it was '
        'powered on; nothing is evacuated from it',
        (_CHECK, _RELEASE,
         'or power {host} off by hand: it is proven off anew then')),
    'proof_stale': Reason('its power has to be read again first'),
    'wrong_device': Reason(
        'its fencing device read off while it was up, so that it proves '
        'nothing: mend the bindings, then fence it by hand, or look and '
        'confirm', (
            _CHECK, 'nova-manage pets fence {host} --reason "..."',
            _CONFIRM)),
    'peer_sees_life': Reason(
        'another engine sees life of it, so it is not powered off: it is not '
        'reached from here', (_CHECK,)),
    'witness_due': Reason(
        'a witness that saw life before the power-off has to look again '
        'first'),
    'power_unreadable': Reason(
        'its power cannot be read now, so its proof is not fresh',
        (_CHECK,)),
    'power_not_off': Reason(
        'its power does not read off any more: nothing is evacuated '
        'from it',
        (_CHECK, _RELEASE,
         'or power {host} off by hand: it is proven off anew then')),
    'not_forced_down': Reason('forced_down is being set in nova'),
    'vacated': Reason(
        'every pet has left it; it may come back',
        ('nova-manage pets release {host} --reason "..."',)),
    'release_requested': Reason(
        'released: waiting for nova-compute to start and clean up',
        ('power on {host}, or start nova-compute there',)),
    'queue_drained': Reason('what waited for nova-compute was dropped'),
    'message_dropped': Reason(
        'a request that waited for its nova-compute was dropped: it would '
        'have been carried out without any check when the host came back'),
    'not_drained': Reason(
        'the queue of its nova-compute could not be emptied, so it is not '
        'powered on: a late start in it would run a second copy there',
        ('rabbitmqctl purge_queue compute.{host}   (-p VHOST where nova has '
         'a virtual host of its own)',
         'rabbitmqctl purge_queue compute-alt.{host}   (since nova 34)',
         'then power on {host} by hand, or wait: it is tried again')),
    'powering_on': Reason('being drained and powered on'),
    'powered_on': Reason(
        'powered on: waiting for nova-compute to start and clean up'),
    'power_on_failed': Reason(
        'could not be powered on; tried again',
        (_CHECK, 'power on {host} by hand')),
    'power_on_late': Reason(
        'powered on, and nova-compute has not reported since',
        ('look at the console of {host}',)),
    'never_reported': Reason(
        'its machine came to life, and nova-compute has not reported since',
        ('systemctl start nova-compute on {host}',
         'look at the console of {host}')),
    'cannot_power_on': Reason(
        'no device of it can power it on', (_RELEASE,)),
    'confirmed_stays_off': Reason(
        'a person said that it is off: only a person lets it back',
        (_RELEASE,)),
    'service_restart': Reason(
        'nova-compute is silent and its machine answers: being restarted '
        'there by ssh'),
    'service_restarted': Reason(
        'nova-compute was restarted by ssh: waiting for its heartbeat'),
    'service_restart_failed': Reason(
        'nova-compute is silent, its machine answers, and a restart by ssh '
        'did not help',
        ('systemctl restart nova-compute on {host}',
         'nova-manage pets fence {host} --reason "..."   (kills its '
         'guests)')),
    'service_dead': Reason(
        'nova-compute is dead for long, its machine answers, and its '
        'bindings say that it is fenced then',
        ('systemctl restart nova-compute on {host}',
         'nova-manage pets maintenance {host} --reason "..."   (keeps it '
         'from being fenced)')),
    'service_fence': Reason(
        'being powered off with its guests: nova-compute stayed dead'),
    'waiting_for_cleanup': Reason(
        'waiting for nova-compute to remove its evacuated guests'),
    'cleanup_missed': Reason(
        'its nova-compute started before all of its pets had left: what was '
        'evacuated since is removed only when it starts again',
        ('systemctl restart nova-compute on {host}',)),
    'returned': Reason('came back clean'),
    'mode_observe': Reason(
        'observe mode: this is only reported, nothing is fenced or '
        'evacuated', ('set [pets] mode = act and restart nova-scheduler',)),
    'own_view': Reason('this engine does not trust its own view now'),
    'starting': Reason(
        'all engines were away until a moment ago: no power-off by us before '
        'hosts that still boot had the time to',
        ('nova-manage pets fence {host} --reason "..."',)),
    'recent_outage': Reason(
        'this engine did not trust its view until a moment ago: no power-off '
        'by us before what was cut off had the time to come back',
        ('nova-manage pets fence {host} --reason "..."',)),
    'flapping': Reason(
        'was down too often lately: nothing new goes there before it stayed '
        'up for a while; its own instances run on', (_RELEASE,)),
    'day_limit': Reason(
        'as many hosts as may be were powered off by us within a day: no '
        'further one before an operator looked',
        ('nova-manage pets approve --host {host} --reason "..."',
         'nova-manage pets history')),
    'kdump': Reason(
        'its kernel has crashed and writes its memory to a disk: it keeps '
        'its power for that',
        ('nova-manage pets fence {host} --reason "..."',)),
    'kdump_wait': Reason(
        'it may have crashed and be about to write its memory to a disk: it '
        'keeps its power until that would have begun'),
    'reset_after_proof': Reason(
        'somebody else reset it or switched it on after it was proven off: '
        'nothing is evacuated from it',
        (_CHECK, _RELEASE,
         'or power {host} off by hand: it is proven off anew then')),
    'storm': Reason(
        'too many hosts fell silent at once: no power-off by us before '
        'an operator looked, or it calmed down',
        ('nova-manage pets approve --host {host} --reason "..."',)),
    'maintenance': Reason(
        'in maintenance: alarm only',
        ('nova-manage pets maintenance {host} --off --reason "..."',)),
    'service_disabled': Reason(
        'its service is disabled: alarm only', (_CONFIRM,)),
    'paused': Reason(
        'paused by an operator',
        ('nova-manage pets resume --reason "..."',)),
    'operator_fence': Reason('an operator asked to fence it'),
    # recoveries
    'source_down': Reason('its host is down, not yet proven off'),
    'source_returned': Reason('its host came back'),
    'restarted_at_home': Reason(
        'its host came back without its guest, which was started there '
        'again'),
    'stopped_at_home': Reason(
        'its host came back without its guest, and somebody has stopped it '
        'since',
        (_RETRY + '   (starts it)', _ABANDON)),
    'source_starting': Reason(
        'its host shows life: nova-compute may be at its start there, and '
        'the record of the evacuation must not vanish under it'),
    'source_proven': Reason('its host is proven off'),
    'queued': Reason('waits for its turn: priority and parallel limits'),
    'attempt_begun': Reason('evacuation requested'),
    'request_sent': Reason('conductor has the request'),
    'destination_known': Reason('a destination builds it'),
    'arrived': Reason('nova says it lives on its destination'),
    'recovered': Reason('runs on its destination'),
    'deleted': Reason('was deleted'),
    'untagged': Reason('its ha tag was taken away'),
    'moved_away': Reason('lives on another host already'),
    'claim_refused': Reason('its row in nova changed meanwhile'),
    'nova_refused': Reason('nova refused the evacuation'),
    'no_valid_host': Reason(
        'no destination found: waits for capacity',
        ('openstack allocation candidate list ...',)),
    'attempt_failed': Reason('the attempt failed and left nothing behind'),
    'request_uncertain': Reason(
        'the request may or may not have been sent; being settled'),
    'heartbeat_moves': Reason(
        'its nova-compute reports to nova: a living host is not fenced by '
        'this command',
        ('nova-manage pets hosts',)),
    'not_wanted': Reason(
        'is down, and no pet needs it to be proven off: alarm only'),
    'rebased': Reason(
        'its destination failed in turn; the recovery goes on from there'),
    'owner_lost': Reason(
        'the engine that drove it is gone; being settled by another'),
    'call_hangs': Reason(
        'a call of an engine did not come back; what it drove is taken over',
        ('look in the log of that nova-scheduler for what it waited for',)),
    'settled_before': Reason(
        'left by an earlier recovery of it, which settled that evacuation'),
    'scheduling_lost': Reason(
        'no news of the request: its conductor is gone or the time is '
        'over; being settled'),
    'located': Reason('its allocations name its destination'),
    'not_taken': Reason(
        'its destination, known by its allocations, was not seen to take it'),
    'records_lost': Reason(
        'a failover of its cell\'s database lost the records of its request; '
        'looking for a guest'),
    'destination_down': Reason(
        'its destination failed; it must be proven off before the attempt '
        'is settled'),
    'destination_failed': Reason('its destination reported a failure'),
    'foreign_evacuation': Reason(
        'somebody else evacuates it; watched and settled like an attempt '
        'of ours'),
    'foreign_refused': Reason(
        'an evacuation by somebody else was refused by the gate; our own '
        'goes on'),
    'taken_over': Reason(
        'an evacuation by somebody else was let through as the attempt'),
    'destination_building': Reason(
        'its destination is alive and still at work: never released by a '
        'timeout'),
    'building_slow': Reason(
        'its destination is alive and still at work for very long, or its '
        'nova-compute was restarted in between; no guest of it runs there '
        'yet, and one may still be started',
        (_SHOW, 'look at nova-compute.log on its destination; if the work '
         'is lost, systemctl restart nova-compute there, and then',
         _RETRY)),
    'said_to_be_over': Reason(
        'an operator says that its destination was restarted and does not '
        'work on it any more'),
    'probe_unreachable': Reason(
        'its destination does not say whether a guest runs there'),
    'leftover_room': Reason(
        'it had arrived or holds room on a living host, and nova says that it '
        'lives elsewhere: that host is asked for a guest first'),
    'adopted': Reason('its guest was found on the destination and adopted'),
    'late_cast_mended': Reason(
        'a late request of an ended attempt had written ERROR over it on '
        'its destination; its state is put right'),
    'settled': Reason('the attempt is settled: no guest of it exists'),
    'backing_off': Reason('waits before the next attempt'),
    'operator_retry': Reason('an operator asked for the next attempt'),
    'operator_abandon': Reason('an operator ended the recovery'),
    'operator_recover': Reason('an operator asked for its recovery'),
    'being_deleted': Reason('its owner is deleting it'),
    'unprotected': Reason(
        'cannot be recovered safely by itself',
        (_SHOW, _RETRY, _ABANDON)),
    'odd_records': Reason(
        'nova\'s records contradict each other; no safe step is left',
        (_SHOW, 'openstack server migration list --server {instance}',
         _RETRY, _ABANDON)),
    'verify_failed': Reason(
        'lives on its destination but could not be put right there',
        (_SHOW, _RETRY)),
    'restoring_power': Reason('its power state is being restored'),
    'power_settled': Reason('its power is as its owner had it'),
    'control_ended': Reason('the request of an operator is done'),
    'control_set': Reason('an operator gave an order'),
    'tagged': Reason('its owner tagged it'),
    'purged': Reason('old rows were purged'),
    # audit (planning/audit.py)
    'audit_mended': Reason('an audit found it and put it right'),
    'record_of_its_host': Reason(
        'an evacuation record names as source the host where it lives: '
        'nova-compute would destroy the guest when it starts there',
        (AUDIT, 'do not restart nova-compute on {host} before')),
    'stale_record': Reason(
        'an evacuation record is open, and nobody works on it',
        (AUDIT, 'openstack server migration list --server {instance}')),
    'uncleaned_source': Reason(
        'it was evacuated from a host that has not cleaned up since: its '
        'old copy and allocations may still be there',
        ('systemctl restart nova-compute on {host}, after a look at its '
         'guests',)),
    'stuck_rebuilding': Reason(
        'it is in a state of rebuilding outside any recovery',
        (AUDIT, 'openstack server event list {instance}')),
    'leaked_allocation': Reason(
        'it holds room on a host where it does not live', (AUDIT,)),
    'no_allocation': Reason(
        'it holds no room on the host where it lives',
        ('nova-manage placement heal_allocations --instance {instance}',)),
    'two_guests': Reason(
        'its guest runs on two hosts at once',
        ('virsh destroy the guest on {host}, if the other is the good one',
         _SHOW)),
    'orphan_guest': Reason(
        'its guest runs on a host that nova does not know it on',
        ('look at the guest on {host} (virsh list) before anything else',
         _SHOW)),
    'guest_unknown': Reason(
        'a guest of it may be on a host that could not be asked',
        ('look at the guests of {host} (virsh list --all)',)),
    'pet_without_instance': Reason(
        'it is in our tables and not in nova', (AUDIT,)),
    'recovery_without_instance': Reason(
        'its recovery is open, and nova does not have it any more',
        ('nova-manage pets status', _ABANDON)),
    # states of instances (planning/instance_states.py)
    'was_running': Reason('it is evacuated and runs again'),
    'was_stopped': Reason('it is evacuated and stays stopped'),
    'was_in_error': Reason(
        'it is evacuated, and runs or is stopped as nova last saw it; a '
        'person is asked if nova does not know'),
    'was_paused': Reason(
        'its memory dies with its host: it is evacuated and stopped, and '
        'its owner starts it'),
    'no_task': Reason('nothing is under way, its vm_state decides'),
    'task_died': Reason(
        'the task dies with its host: it is evacuated as its vm_state says'),
    'wanted_running': Reason(
        'its owner wants it to run: it is evacuated and runs'),
    'wanted_stopped': Reason(
        'its owner does not want it to run: it is evacuated and stopped'),
    'suspended': Reason(
        'its memory is saved on the disk of its host and would be lost '
        'elsewhere: get the host back, or give the memory up',
        (_WAIT,
         _RESET + '   (its memory is given up, it comes back stopped)',
         _RETRY)),
    'suspending': Reason(
        'it was being suspended: whether its memory is on the disk of its '
        'host is not known; get the host back, or give the memory up',
        (_WAIT,
         _RESET + '   (its memory is given up)', _RETRY)),
    'rescued': Reason(
        'it is in rescue: somebody mends its disk, and an evacuation would '
        'boot from that disk',
        ('ask its owner whether its disk may be booted',
         _RESET + '   (it comes back stopped; its owner starts or rescues '
         'it)', _RETRY, _ABANDON)),
    'resized': Reason(
        'its resize or migration is neither confirmed nor reverted: its '
        'former host still holds its old disk and its room',
        ('openstack server migration list --server {instance}',
         _RESET + '   (gives up the way back)', _RETRY, _ABANDON)),
    'resizing': Reason(
        'it was being resized or migrated cold: its disk may be on either '
        'host, and the other one must be looked at first',
        ('openstack server migration list --server {instance}',
         'look for its guest and its disk on both hosts',
         _RESET + '   (only if its disk is whole where {host} had it, and '
         'no guest runs)', _RETRY, _ABANDON)),
    'migrating': Reason(
        'it was being migrated live: its guest may run on the other host '
        'although nova does not say so, and must be looked for there first',
        ('openstack server migration list --server {instance}',
         'virsh list --all on the destination of that migration',
         _RESET + '   (only if no guest of it is there)',
         _RETRY, _ABANDON)),
    'offloading': Reason(
        'it was being offloaded: its disk may be half removed; what was '
        'shelved is in its image',
        (_WAIT,)),
    'unshelving': Reason(
        'it was being unshelved: its owner wants it back, and whether its '
        'disk is whole on its host is not known',
        (_WAIT,
         _RESET + '   (only if its disk is whole; it comes back stopped)',
         _RETRY)),
    'restoring': Reason(
        'its owner was taking its deletion back',
        (_RESET + '   (it comes back stopped)', _RETRY, _ABANDON)),
    'power_unknown': Reason(
        'it is in ERROR, and nova does not know whether it ran: ask its '
        'owner', (_RETRY + '   (it comes back running)', _ABANDON)),
    'shelved': Reason(
        'its owner shelved it: nothing of it runs and nothing is lost, it '
        'waits for its host',
        ('to have it before: ' + _RESET,
         'nova-manage pets recover {instance} --reason "..."   (it comes '
         'back stopped)')),
    'offloaded': Reason('it is shelved and on no host'),
    'not_evacuable': Reason(
        'its vm_state is not known here, so nothing is done without a '
        'person', (_SHOW, _RETRY, _ABANDON)),
    'task_elsewhere': Reason(
        'its task_state is not known here: another host may work on it, '
        'which must be looked at first', (_SHOW, _RETRY, _ABANDON)),
    # protection
    'no_storage_domain': Reason(
        'image-backed, and its host is in no storage domain: its disk '
        'could be lost',
        ('openstack aggregate set --property pets:storage=NAME AGGREGATE',
         'or accept the loss: openstack server set --property '
         'ha:disk=rebuild {instance}')),
    'vtpm': Reason(
        'has a vTPM: nova refuses to evacuate it, and its keys are on its '
        'host', (_WAIT,)),
    'accelerators': Reason(
        'has accelerators: nova cannot evacuate it by itself',
        (_RETRY, _WAIT)),
    'shares': Reason(
        'has shares attached: nova refuses to evacuate it',
        (_WAIT,)),
    'hard_affinity': Reason(
        'is in a hard affinity group: stock nova places it nowhere but on '
        'its dead host',
        ('openstack server group delete GROUP   (all its members lose the '
         'rule)', _RETRY, _WAIT)),
    'anti_affinity': Reason(
        'only to a host without another of its anti-affinity group; waits '
        'for one'),
    'soft_group': Reason('its soft server group is only preferred'),
    'locked': Reason('its lock does not keep it from being evacuated'),
    'own_cell': Reason('only to hosts of its own cell; waits for room'),
    'pinned_zone': Reason(
        'only to hosts of the availability zone it was asked for; waits for '
        'room'),
    'pinned_host': Reason(
        'the host that was forced at its boot is forgotten by nova, its '
        'availability zone is not'),
    'on_volume': Reason('boots from a volume, which follows it'),
    'ephemeral_disk': Reason(
        'its ephemeral disk is treated like a root disk on its host'),
    'in_storage_domain': Reason(
        'its disk is kept: only to hosts of its storage domain'),
    'disk_given_up': Reason(
        'its owner accepts that its disk is made anew (ha:disk=rebuild)'),
    'no_working_fence': Reason(
        'its host has no fence that was seen to work',
        (_CHECK,)),
    'bad_tag': Reason(
        'its ha tag has a value that is neither true nor false',
        ('openstack server set --property ha=true {instance}',)),
    'never_launched': Reason(
        'was never built to the end: there is nothing to save',
        ('openstack server delete {instance}   (by its owner, who makes '
         'another)',)),
    'state_not_covered': Reason(
        'in its present state in nova it is not evacuated by itself'),
}


def text(code: str) -> str:
    """Return the sentence for a code; an unknown code (a newer version's
    row) is returned as it is."""
    found = REASONS.get(code)
    return found.text if found else code.replace('_', ' ')


def next_commands(code: str, instance: str = '', host: str = ''
                  ) -> list[str]:
    """Return the safe next commands for a code, filled in."""
    found = REASONS.get(code)
    if found is None:
        return []
    return [command.replace('{instance}', instance or 'INSTANCE')
            .replace('{host}', host or 'HOST')
            for command in found.commands]
