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
    'fence_started': Reason('being powered off'),
    'proven_off': Reason('its power reads off'),
    'confirmed_off': Reason('an operator confirmed that it is off'),
    'external_off': Reason('a trusted external event says it is off'),
    'fence_failed': Reason(
        'could not be proven off', (_CHECK, _CONFIRM)),
    'fence_retry': Reason('could not be proven off yet; tried again'),
    'no_fence': Reason(
        'no fencing device is configured for it that can power it off',
        (_CONFIRM, _CHECK)),
    'fence_owner_lost': Reason(
        'the engine that fenced it died; its power is read again'),
    'life_after_proof': Reason(
        'shows life although it is proven off: wrong binding, or it was '
        'powered on; nothing is evacuated from it',
        (_CHECK, 'nova-manage pets fence {host} --reason "..."')),
    'proof_stale': Reason('its power has to be read again first'),
    'power_unreadable': Reason(
        'its power cannot be read now, so its proof is not fresh',
        (_CHECK,)),
    'power_not_off': Reason(
        'its power does not read off any more: nothing is evacuated '
        'from it', (_CHECK,
                    'nova-manage pets fence {host} --reason "..."')),
    'not_forced_down': Reason('forced_down is being set in nova'),
    'vacated': Reason(
        'every pet has left it; it may come back',
        ('nova-manage pets release {host} --reason "..."',)),
    'release_requested': Reason(
        'released: waiting for nova-compute to start and clean up',
        ('power on {host}, or start nova-compute there',)),
    'waiting_for_cleanup': Reason(
        'waiting for nova-compute to remove its evacuated guests'),
    'returned': Reason('came back clean'),
    'mode_observe': Reason(
        'observe mode: this is only reported, nothing is fenced or '
        'evacuated', ('set [pets] mode = act and restart nova-scheduler',)),
    'own_view': Reason('this engine does not trust its own view now'),
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
    'source_returned': Reason('its host came back before anything was '
                              'done'),
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
    'scheduling_lost': Reason(
        'no news of the request: its conductor is gone or the time is '
        'over; being settled'),
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
        'its destination is alive and still at work for very long',
        (_SHOW, 'look at nova-compute.log on its destination')),
    'probe_unreachable': Reason(
        'its destination does not say whether a guest runs there'),
    'adopted': Reason('its guest was found on the destination and adopted'),
    'late_cast_mended': Reason(
        'a late request of an ended attempt had written ERROR over it on '
        'its destination; its state is put right'),
    'settled': Reason('the attempt is settled: no guest of it exists'),
    'backing_off': Reason('waits before the next attempt'),
    'operator_retry': Reason('an operator asked for the next attempt'),
    'operator_abandon': Reason('an operator ended the recovery'),
    'operator_recover': Reason('an operator asked for its recovery'),
    'not_evacuable': Reason(
        'its state in nova cannot be evacuated without a person',
        (_SHOW, _RETRY, _ABANDON)),
    'task_elsewhere': Reason(
        'another host works on it (migration or resize): that host must '
        'be looked at first', (_SHOW, _RETRY, _ABANDON)),
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
    'control_ended': Reason('the request of an operator is done'),
    'control_set': Reason('an operator gave an order'),
    'tagged': Reason('its owner tagged it'),
    'purged': Reason('old rows were purged'),
    # protection
    'no_storage_domain': Reason(
        'image-backed, and its host is in no storage domain: its disk '
        'could be lost',
        ('openstack aggregate set --property pets:storage=NAME AGGREGATE',
         'or accept the loss: openstack server set --property '
         'ha:disk=rebuild {instance}')),
    'vtpm': Reason('has a vTPM: nova cannot evacuate it'),
    'accelerators': Reason(
        'has accelerators: nova cannot evacuate it by itself'),
    'shares': Reason('has shares attached: nova cannot evacuate it'),
    'hard_affinity': Reason(
        'is in a hard affinity group: stock nova cannot evacuate it'),
    'no_working_fence': Reason(
        'its host has no fence that was seen to work',
        (_CHECK,)),
    'bad_tag': Reason(
        'its ha tag has a value that is neither true nor false',
        ('openstack server set --property ha=true {instance}',)),
    'never_launched': Reason('has never been launched'),
    'state_not_covered': Reason(
        'its present state in nova cannot be evacuated'),
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
