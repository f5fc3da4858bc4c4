# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the options, in sentences for an operator.

Decides nothing and changes nothing. ``invalid`` is what stops us from
acting; ``problems`` adds relations between options and what cannot work.
"""

import glob
import ipaddress
import os
import shlex
import shutil

from oslo_config import cfg

from nova_pets.conf import auth
from nova_pets.conf import opts
from nova_pets.model import policy

KNOWN_TENANT_SETTINGS = ('ha', 'ha:priority', 'ha:disk')

_AGENT_DETECTORS = frozenset({'heartbeat', 'rpc_ping', 'forced_down',
                              'kdump'})
"""Those that say nothing about the machine itself."""

_PATH = '/usr/sbin:/usr/bin:/sbin:/bin'
"""Where programs are looked for when they are run (fencing/child.py)."""

_FUZZY_DELAY_MAX_S = 15
"""As long as an engine that died keeps its claims by default: a restart
should not leave the hosts unwatched for longer than a crash."""
_FUZZY_DELAY_S = 5
"""What etc/nova/nova-pets.nova.conf says; Nova's default is 60."""


def invalid(conf: cfg.ConfigOpts) -> list[str]:
    """Return a sentence for each option whose value cannot be used."""
    # NOTE(pets): registering again empties oslo.config's cache of values, so
    # that each read below converts, and leaves its problem on the type.
    opts.register_opts(conf)
    result = []
    for group, registered in opts.REGISTERED:
        for opt in registered:
            opt.type.problem = None
            _ = conf[group.name][opt.dest]
            if opt.type.problem is not None:
                result.append(
                    f'cannot use option [{group.name}] {opt.dest}: '
                    f'{opt.type.problem}')
    return result


def problems(conf: cfg.ConfigOpts) -> list[str]:
    """Return everything that an operator should mend, gravest first."""
    return (invalid(conf) + unknown_names(conf) + _engine(conf) +
            _recovery(conf) + _detection(conf) + _fencing(conf))


def report_interval_s(conf: cfg.ConfigOpts) -> float:
    """Return Nova's own [DEFAULT] report_interval."""
    if 'report_interval' in conf:
        return float(conf.report_interval)
    return policy.Policy().report_interval_s


def unknown_names(conf: cfg.ConfigOpts) -> list[str]:
    """Return a sentence for each name in our groups that is no option.

    [pets_auth] is left out: its names depend on the auth plugin.
    """
    known = {group.name: {opt.dest for opt in registered}
             for group, registered in opts.REGISTERED
             if group is not auth.GROUP}
    result = []
    for path in _files(conf):
        sections: dict[str, dict[str, list[str]]] = {}
        try:
            cfg.ConfigParser(path, sections).parse()
        except (OSError, cfg.ParseError) as error:
            result.append(f'cannot read {path}: {error}')
            continue
        for section in sorted(sections):
            if section in known:
                result += [
                    f'{path}: [{section}] {name} is no option of nova-pets'
                    for name in sorted(sections[section])
                    if name not in known[section]]
            elif section.startswith('pets') and section != auth.GROUP.name:
                result.append(
                    f'{path}: [{section}] is no group of nova-pets')
    return result


def _files(conf: cfg.ConfigOpts) -> list[str]:
    paths = list(conf.get('config_file') or [])
    for directory in conf.get('config_dir') or []:
        paths += sorted(glob.glob(os.path.join(directory, '*.conf')))
    return paths


def _engine(conf: cfg.ConfigOpts) -> list[str]:
    pets = conf.pets
    result = []
    if pets.claim_ttl <= 3 * pets.idle_interval:
        result.append(
            f'[pets] claim_ttl is {pets.claim_ttl:g} s: expected more than '
            f'three times idle_interval ({pets.idle_interval:g} s), or '
            'engines lose their claims while nothing is wrong')
    if pets.active_interval > pets.idle_interval:
        result.append(
            f'[pets] active_interval is {pets.active_interval:g} s: expected '
            f'at most idle_interval ({pets.idle_interval:g} s)')
    if 'periodic_enable' in conf and not conf.periodic_enable:
        result.append(
            '[DEFAULT] periodic_enable is false: expected true, this '
            'nova-scheduler runs no engine')
    elif 'periodic_fuzzy_delay' in conf and (
            conf.periodic_fuzzy_delay > _FUZZY_DELAY_MAX_S):
        result.append(
            f'[DEFAULT] periodic_fuzzy_delay is {conf.periodic_fuzzy_delay} '
            f's: expected at most {_FUZZY_DELAY_MAX_S} s, engines begin as '
            'late as that after a restart of nova-scheduler; set '
            f'periodic_fuzzy_delay = {_FUZZY_DELAY_S}')
    return result


def _recovery(conf: cfg.ConfigOpts) -> list[str]:
    pets = conf.pets
    result = []
    if pets.parallel_per_host > pets.parallel:
        result.append(
            f'[pets] parallel_per_host is {pets.parallel_per_host}: expected '
            f'at most parallel ({pets.parallel})')
    if pets.backoff_first > pets.backoff_max:
        result.append(
            f'[pets] backoff_first is {pets.backoff_first:g} s: expected at '
            f'most backoff_max ({pets.backoff_max:g} s)')
    result += [
        f'[pets] tenant_settings names {key!r}: expected any of '
        f'{", ".join(KNOWN_TENANT_SETTINGS)}'
        for key in pets.tenant_settings if key not in KNOWN_TENANT_SETTINGS]
    return result


def _detection(conf: cfg.ConfigOpts) -> list[str]:
    detection = conf.pets_detection
    result = []
    if detection.down_heartbeats <= detection.suspect_heartbeats:
        result.append(
            f'[pets_detection] down_heartbeats is '
            f'{detection.down_heartbeats:g}: expected more than '
            f'suspect_heartbeats ({detection.suspect_heartbeats:g})')
    for name in ('tcp_timeout', 'ping_timeout'):
        least_s = detection[name] + conf.pets.active_interval
        if detection.evidence_max_age <= least_s:
            result.append(
                f'[pets_detection] evidence_max_age is '
                f'{detection.evidence_max_age:g} s: expected more than '
                f'{name} plus [pets] active_interval ({least_s:g} s), or no '
                'host is ever found down')
    if 'heartbeat' not in detection.detectors:
        result.append(
            '[pets_detection] detectors is without heartbeat: expected it, '
            'it is used anyway')
    if not set(detection.detectors) - _AGENT_DETECTORS:
        result.append(
            '[pets_detection] detectors has no witness of the machine '
            'itself: expected tcp, a silent host is only alarmed about')
    return result + _witnesses(conf)


def _witnesses(conf: cfg.ConfigOpts) -> list[str]:
    """What keeps witnesses that are named from seeing anything."""
    detection, fencing = conf.pets_detection, conf.pets_fencing
    result = []
    if 'bmc' in detection.detectors:
        if not _is_there(fencing.bindings_file):
            result.append(
                f'[pets_detection] detectors has bmc: expected devices in '
                f'[pets_fencing] bindings_file '
                f'({fencing.bindings_file!r} is not there), it sees nothing')
        if detection.power_max_age <= fencing.query_timeout:
            result.append(
                f'[pets_detection] power_max_age is '
                f'{detection.power_max_age:g} s: expected more than '
                f'[pets_fencing] query_timeout ({fencing.query_timeout:g} '
                's), or a slow device never testifies')
    if 'pacemaker' in detection.detectors:
        result += _pacemaker(detection.pacemaker_prefix)
    if 'switched_off' in fencing.trusted_events and \
            'pacemaker' not in detection.detectors:
        result.append(
            '[pets_fencing] trusted_events has switched_off: expected '
            'pacemaker among [pets_detection] detectors')
    if 'kdump' in detection.detectors and ipaddress.ip_address(
            detection.kdump_address).is_loopback:
        result.append(
            f'[pets_detection] kdump_address is {detection.kdump_address}: '
            'expected an address that other machines reach, no message ever '
            'comes')
    return result


def _pacemaker(prefix: str) -> list[str]:
    try:
        words = shlex.split(prefix)
    except ValueError as error:
        return [f'[pets_detection] pacemaker_prefix is {prefix!r}: expected '
                f'words as in a shell ({error}), no engine starts']
    program = words[0] if words else 'stonith_admin'
    if shutil.which(program, path=_PATH) is None:
        return [f'[pets_detection] detectors has pacemaker: expected the '
                f'program {program} on this machine (in {_PATH}), it sees '
                'nothing']
    return []


def _is_there(path: str | None) -> bool:
    return bool(path) and os.path.exists(str(path))


def _fencing(conf: cfg.ConfigOpts) -> list[str]:
    fencing = conf.pets_fencing
    result = []
    if fencing.allow_fake:
        result.append(
            '[pets_fencing] allow_fake is true: expected false, the fake '
            'driver powers nothing off and instances can run twice')
    if not _is_there(fencing.bindings_file):
        result.append(
            f'[pets_fencing] bindings_file {fencing.bindings_file!r} is not '
            'there: expected it, every failed host waits for '
            '"nova-manage pets confirm_fenced"')
    if fencing.fence_timeout <= fencing.query_timeout:
        result.append(
            f'[pets_fencing] fence_timeout is {fencing.fence_timeout:g} s: '
            f'expected more than query_timeout '
            f'({fencing.query_timeout:g} s)')
    if fencing.fence_fresh <= conf.pets.active_interval:
        result.append(
            f'[pets_fencing] fence_fresh is {fencing.fence_fresh:g} s: '
            f'expected more than [pets] active_interval '
            f'({conf.pets.active_interval:g} s), or no reading is ever '
            'fresh enough')
    if fencing.trust_forced_down and \
            'forced_down' not in conf.pets_detection.detectors:
        result.append(
            '[pets_fencing] trust_forced_down is true: expected '
            'forced_down among [pets_detection] detectors')
    return result
