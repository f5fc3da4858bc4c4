# SPDX-License-Identifier: Apache-2.0
"""From options to model.policy.Policy, and the mode that counts now.

Touches one thing outside: whether the kill switch file is there.
"""

import dataclasses
import os
import shlex

from oslo_config import cfg

from nova_pets import exception
from nova_pets.conf import check
from nova_pets.model import policy
from nova_pets.model import states

OPTION_OF = {
    'mode': ('pets', 'mode'),
    'suspect_heartbeats': ('pets_detection', 'suspect_heartbeats'),
    'down_heartbeats': ('pets_detection', 'down_heartbeats'),
    'witness_silence_s': ('pets_detection', 'witness_silence'),
    'evidence_max_age_s': ('pets_detection', 'evidence_max_age'),
    'fence_timeout_s': ('pets_fencing', 'fence_timeout'),
    'fence_attempts': ('pets_fencing', 'fence_attempts'),
    'fence_retry_s': ('pets_fencing', 'fence_retry'),
    'fence_fresh_s': ('pets_fencing', 'fence_fresh'),
    'trust_forced_down': ('pets_fencing', 'trust_forced_down'),
    'storm_hosts': ('pets_fencing', 'storm_hosts'),
    'storm_share': ('pets_fencing', 'storm_share'),
    'storm_window_s': ('pets_fencing', 'storm_window'),
    'day_hosts': ('pets_fencing', 'day_hosts'),
    'day_share': ('pets_fencing', 'day_share'),
    'flap_count': ('pets_fencing', 'flap_count'),
    'flap_window_s': ('pets_fencing', 'flap_window'),
    'flap_calm_s': ('pets_fencing', 'flap_calm'),
    'outage_calm_s': ('pets_fencing', 'outage_calm'),
    'power_max_age_s': ('pets_detection', 'power_max_age'),
    'kdump_wait_s': ('pets_detection', 'kdump_wait'),
    'kdump_limit_s': ('pets_detection', 'kdump_limit'),
    'startup_grace_s': ('pets_fencing', 'startup_grace'),
    'power_on': ('pets_fencing', 'power_on'),
    'power_on_wait_s': ('pets_fencing', 'power_on_wait'),
    'parallel_per_host': ('pets', 'parallel_per_host'),
    'parallel': ('pets', 'parallel'),
    'parallel_requests': ('pets', 'parallel_requests'),
    'scheduling_timeout_s': ('pets', 'scheduling_timeout'),
    'locate_after_s': ('pets', 'locate_after'),
    'building_alarm_s': ('pets', 'building_alarm'),
    'verify_watch_s': ('pets', 'verify_watch'),
    'backoff_first_s': ('pets', 'backoff_first'),
    'backoff_max_s': ('pets', 'backoff_max'),
    'one_storage_domain': ('pets', 'one_storage_domain'),
    'engines': ('pets', 'engines'),
    'claim_ttl_s': ('pets', 'claim_ttl'),
    'idle_interval_s': ('pets', 'idle_interval'),
    'active_interval_s': ('pets', 'active_interval'),
}
"""Field of Policy -> (group, option). report_interval_s is Nova's own."""


def build_policy(conf: cfg.ConfigOpts) -> policy.Policy:
    """Return the policy that the options say.

    With a value that cannot be used, the mode is observe whatever it says
    (off stays off): nobody knows what was meant, so nothing is acted on.
    """
    values = {field: conf[group][name]
              for field, (group, name) in OPTION_OF.items()}
    values['mode'] = states.Mode(values['mode'])
    values['power_on'] = states.PowerOn(values['power_on'])
    values['trusted_events'] = frozenset(conf.pets_fencing.trusted_events)
    values['listens_for_kdump'] = 'kdump' in conf.pets_detection.detectors
    values['report_interval_s'] = float(check.report_interval_s(conf))
    result = policy.Policy(**values)
    if result.mode is states.Mode.ACT and check.invalid(conf):
        result = dataclasses.replace(result, mode=states.Mode.OBSERVE)
    return result


def pacemaker_prefix(conf: cfg.ConfigOpts) -> tuple[str, ...]:
    """Return the words that lead to stonith_admin.

    :raises ConfigInvalid: a quote that does not end.
    """
    value = conf.pets_detection.pacemaker_prefix
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        raise exception.ConfigInvalid(
            option='[pets_detection] pacemaker_prefix',
            expected='words as in a shell', found=f'{value!r} ({error})'
        ) from None


def tenant_settings(conf: cfg.ConfigOpts) -> frozenset[str]:
    """Return the settings that instance metadata may set, without 'ha:'."""
    return frozenset(key.removeprefix('ha:')
                     for key in conf.pets.tenant_settings)


def effective_mode(conf: cfg.ConfigOpts) -> tuple[states.Mode, str]:
    """Return the mode that an engine with these options is in, and why it
    is not the one that they say."""
    mode = states.Mode(conf.pets.mode)
    wrong = check.invalid(conf)
    if wrong and mode is not states.Mode.OFF:
        return states.Mode.OBSERVE, f'{wrong[0]}: observe'
    return mode_now(mode, conf.pets.kill_switch_file)


def mode_now(mode: states.Mode, kill_switch_file: str | None
             ) -> tuple[states.Mode, str]:
    """Return the mode that counts now, and why it is not ``mode``.

    A kill switch that cannot be looked at counts as present.
    """
    if mode is not states.Mode.ACT or not kill_switch_file:
        return mode, ''
    try:
        os.stat(kill_switch_file)
    except (FileNotFoundError, NotADirectoryError):
        return mode, ''
    except (OSError, ValueError) as error:
        return states.Mode.OBSERVE, (
            f'cannot tell whether the kill switch {kill_switch_file} is '
            f'there ({error}): observe')
    return states.Mode.OBSERVE, (
        f'the kill switch {kill_switch_file} is there: observe')
