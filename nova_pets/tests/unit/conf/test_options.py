# SPDX-License-Identifier: Apache-2.0
"""Options: defaults, bad values, relations, and the committed samples."""

import dataclasses
import io
import logging
import os
import pathlib

from oslo_config import cfg
from oslo_config import generator
import pytest

import nova_pets
from nova_pets import exception
from nova_pets.conf import auth
from nova_pets.conf import check
from nova_pets.conf import opts
from nova_pets.conf import policy
from nova_pets.model import policy as model_policy
from nova_pets.model import states

ETC = pathlib.Path(nova_pets.__file__).parent.parent / 'etc' / 'nova'
ALL = [(group, opt) for group, registered in opts.list_opts()
       for opt in registered]
OURS = [(group, opt) for group, opt in ALL if group is not auth.GROUP]


@pytest.fixture
def load(tmp_path):
    def load(text=''):
        path = tmp_path / 'nova.conf'
        path.write_text(text)
        conf = cfg.ConfigOpts()
        opts.register_opts(conf)
        conf([], project='nova', default_config_files=[str(path)],
             default_config_dirs=[])
        return conf
    return load


def test_every_field_of_the_policy_has_an_option():
    fields = {field.name for field in dataclasses.fields(
        model_policy.Policy)}

    assert set(policy.OPTION_OF) | {
        'report_interval_s', 'trusted_events', 'listens_for_kdump'} == fields


def test_what_the_policy_makes_of_lists(load):
    found = policy.build_policy(load(
        '[pets_fencing]\ntrusted_events = switched_off\n'
        '[pets_detection]\ndetectors = heartbeat,tcp,kdump\n'))
    assert found.trusted_events == {'switched_off'}
    assert found.listens_for_kdump


def test_a_prefix_is_split_like_a_shell_does(load):
    conf = load("[pets_detection]\npacemaker_prefix = ssh -i '/a b' c1\n")
    assert policy.pacemaker_prefix(conf) == ('ssh', '-i', '/a b', 'c1')


def test_a_prefix_with_an_open_quote_is_named(load):
    conf = load("[pets_detection]\npacemaker_prefix = ssh 'c1\n")
    with pytest.raises(exception.ConfigInvalid, match='pacemaker_prefix'):
        policy.pacemaker_prefix(conf)
    assert any('pacemaker_prefix' in text for text in check.problems(load(
        "[pets_detection]\npacemaker_prefix = ssh 'c1\n"
        'detectors = heartbeat,tcp,pacemaker\n')))


@pytest.mark.parametrize('text, word', [
    ('[pets_detection]\ndetectors = heartbeat,bmc\n', 'has bmc'),
    ('[pets_detection]\ndetectors = heartbeat,bmc\npower_max_age = 10\n',
     'power_max_age'),
    ('[pets_detection]\ndetectors = heartbeat,tcp,pacemaker\n'
     'pacemaker_prefix = /no/such/program\n', 'expected the program'),
    ('[pets_fencing]\ntrusted_events = switched_off\n',
     'expected pacemaker among'),
    ('[pets_detection]\ndetectors = heartbeat,tcp,kdump\n',
     'kdump_address'),
    ('[pets_detection]\ndetectors = heartbeat,kdump\n',
     'no witness of the machine'),
])
def test_a_witness_that_cannot_see_is_told(load, text, word):
    assert any(word in problem for problem in check.problems(load(text)))
    assert not any(word in problem for problem in check.problems(load()))


def test_defaults_of_options_are_those_of_the_policy(load):
    assert policy.build_policy(load()) == model_policy.Policy()


def test_report_interval_is_novas_own(load):
    conf = load('[DEFAULT]\nreport_interval = 3\n')
    conf.register_opt(cfg.IntOpt('report_interval', default=10))

    assert policy.build_policy(conf).report_interval_s == 3.0


def test_policy_has_what_the_file_says(load):
    conf = load('[pets]\nmode = off\nparallel = 64\n'
                '[pets_fencing]\nstorm_share = 0.5\n')

    result = policy.build_policy(conf)

    assert (result.mode, result.parallel, result.storm_share) == (
        states.Mode.OFF, 64, 0.5)


@pytest.mark.parametrize('text', [
    '[pets]\nmode = atc\n',
    '[pets]\nparallel = many\n',
    '[pets]\nclaim_ttl = -1\n',
    '[pets_detection]\ntcp_port = 99999\n',
    '[pets_fencing]\nallow_fake = perhaps\n',
    '[pets_auth]\ntimeout = soon\n',
])
def test_a_bad_value_acts_on_nothing_and_says_so(load, text):
    conf = load(text)

    assert policy.build_policy(conf).mode is states.Mode.OBSERVE
    name = text.split('\n')[1].split(' ')[0]
    [problem] = check.invalid(conf)
    assert f'] {name}: expected' in problem


@pytest.mark.parametrize('text', ['[pets]\nparallel = many\n',
                                  '[pets_auth]\ninsecure = perhaps\n'])
def test_a_bad_value_does_not_stop_the_service_that_logs_all(load, text):
    conf = load(text)

    conf.log_opt_values(logging.getLogger(__name__), logging.DEBUG)


def test_a_bad_value_counts_as_the_default(load):
    conf = load('[pets_scheduler]\ncache_ttl = x\n'
                '[pets_fencing]\ntrust_forced_down = perhaps\n')

    assert conf.pets_scheduler.cache_ttl == 1.0
    assert conf.pets_fencing.trust_forced_down is False


def test_off_with_a_bad_value_elsewhere_stays_off(load):
    conf = load('[pets]\nmode = off\nparallel = many\n')

    assert policy.build_policy(conf).mode is states.Mode.OFF


def test_one_configuration_does_not_blame_another(load, tmp_path):
    bad = load('[pets]\nparallel = many\n')
    assert check.invalid(bad)

    good = load('[pets]\nparallel = 5\n')
    assert not check.invalid(good)
    (tmp_path / 'nova.conf').write_text('')
    assert check.invalid(bad)


def test_tenant_settings_are_named_as_in_the_metadata(load):
    assert policy.tenant_settings(load()) == {'ha', 'disk'}


def test_an_override_stays_in_its_configuration(load):
    load().set_override('mode', 'observe', 'pets')

    assert load().pets.mode == 'act'


def test_registering_twice_is_harmless(load):
    conf = load()
    conf.set_override('mode', 'observe', 'pets')

    opts.register_opts(conf)

    assert conf.pets.mode == 'observe'


def test_defaults_together_have_no_problem(load, tmp_path):
    bindings = tmp_path / 'bindings.yaml'
    bindings.write_text('')

    assert check.problems(load(
        f'[pets_fencing]\nbindings_file = {bindings}\n')) == []


@pytest.mark.parametrize('text, words', [
    ('[pets]\nclaim_ttl = 6\n', 'claim_ttl is 6 s'),
    ('[pets]\nactive_interval = 3\n', 'active_interval is 3 s'),
    ('[pets]\nparallel = 4\n', 'parallel_per_host is 32'),
    ('[pets]\nbackoff_first = 400\n', 'backoff_first is 400 s'),
    ('[pets]\ntenant_settings = ha, ha:prio\n', "names 'ha:prio'"),
    ('[pets_detection]\ndown_heartbeats = 2\n', 'down_heartbeats is 2'),
    ('[pets_detection]\ntcp_timeout = 5\n', 'more than tcp_timeout'),
    ('[pets_detection]\nping_timeout = 5\n', 'more than ping_timeout'),
    ('[pets_detection]\ndetectors = tcp\n', 'without heartbeat'),
    ('[pets_detection]\ndetectors = heartbeat,rpc_ping\n',
     'no witness of the machine'),
    ('[pets_fencing]\nallow_fake = true\n', 'allow_fake is true'),
    ('[pets_fencing]\nbindings_file = /no/such\n', "'/no/such' is not"),
    ('[pets_fencing]\nfence_timeout = 10\n', 'fence_timeout is 10 s'),
    ('[pets]\nactive_interval = 1\n[pets_fencing]\nfence_fresh = 1\n',
     'fence_fresh is 1 s'),
    ('[pets_fencing]\ntrust_forced_down = true\n'
     '[pets_detection]\ndetectors = heartbeat,tcp\n', 'trust_forced_down'),
    ('[pets]\nparalel = 4\n', '[pets] paralel is no option'),
    ('[pets_fence]\nallow_fake = true\n', '[pets_fence] is no group'),
])
def test_problems_are_named(load, text, words):
    found = check.problems(load(text))

    assert [problem for problem in found if words in problem], found


def test_a_scheduler_without_periodic_tasks_is_a_problem(load):
    conf = load('[DEFAULT]\nperiodic_enable = false\n')
    conf.register_opt(cfg.BoolOpt('periodic_enable', default=True))

    assert [problem for problem in check.problems(conf)
            if 'runs no engine' in problem]


@pytest.mark.parametrize('text, is_late', [
    ('', True), ('periodic_fuzzy_delay = 16', True),
    ('periodic_fuzzy_delay = 15', False), ('periodic_fuzzy_delay = 0', False),
    # Then it is the smaller problem.
    ('periodic_enable = false', False)])
def test_engines_that_begin_late_are_a_problem(load, text, is_late):
    conf = load(f'[DEFAULT]\n{text}\n')
    conf.register_opts([cfg.IntOpt('periodic_fuzzy_delay', default=60),
                        cfg.BoolOpt('periodic_enable', default=True)])

    found = [problem for problem in check.problems(conf)
             if 'set periodic_fuzzy_delay = 5' in problem]

    assert bool(found) is is_late


@pytest.mark.parametrize('mode', list(states.Mode), ids=str)
def test_the_kill_switch_only_turns_act_into_observe(tmp_path, mode):
    switch = tmp_path / 'pets-observe'
    assert policy.mode_now(mode, str(switch)) == (mode, '')

    switch.touch()

    now, why = policy.mode_now(mode, str(switch))
    if mode is states.Mode.ACT:
        assert now is states.Mode.OBSERVE and str(switch) in why
    else:
        assert (now, why) == (mode, '')


def test_a_kill_switch_that_cannot_be_seen_counts_as_present(tmp_path):
    path = tmp_path / ('x' * 300)  # ENAMETOOLONG, also for root

    mode, why = policy.mode_now(states.Mode.ACT, str(path))

    assert mode is states.Mode.OBSERVE
    assert 'cannot tell' in why


@pytest.mark.parametrize('text, mode, words', [
    ('', states.Mode.ACT, ''),
    ('[pets]\nmode = off\nparallel = many\n', states.Mode.OFF, ''),
    ('[pets]\nmode = atc\n', states.Mode.OBSERVE, "found 'atc'"),
    ('[pets]\nparallel = many\n', states.Mode.OBSERVE, "found 'many'"),
    ('[pets]\nkill_switch_file = /\n', states.Mode.OBSERVE, 'is there'),
])
def test_the_mode_that_counts_says_why(load, text, mode, words):
    found, why = policy.effective_mode(load(text))

    assert found is mode
    assert words in why and bool(words) is bool(why)


def test_no_kill_switch_configured(load):
    assert policy.mode_now(states.Mode.ACT, '') == (states.Mode.ACT, '')


@pytest.mark.parametrize('text, section', [
    ('', 'service_user'),
    ('[pets_auth]\nauth_type = password\n', 'pets_auth'),
    ('[pets_auth]\nauth_section = keystone_authtoken\n', 'pets_auth'),
])
def test_section_of_the_credentials(load, text, section):
    assert auth.section(load(text)) == section


@pytest.mark.parametrize('group, opt', OURS,
                         ids=[f'{g.name}.{o.dest}' for g, o in OURS])
def test_help_is_a_small_manual(group, opt):
    first = opt.help.strip().split('\n\n')[0]

    assert first.rstrip().endswith('.') and len(opt.help.strip()) > 60
    if isinstance(opt, cfg.FloatOpt) and not opt.dest.endswith(
            'multiplier'):
        assert 'Unit:' in opt.help.replace('\n', ' ')
    if isinstance(opt, (cfg.IntOpt, cfg.FloatOpt)) and \
            not opt.dest.endswith('multiplier'):
        assert opt.type.min is not None and opt.type.max is not None


def generated():
    """Return the sample as the oslo-config-generator of tox writes it."""
    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    conf(['--namespace', 'nova_pets', '--wrap-width', '80'],
         project='nova-pets', default_config_files=[],
         default_config_dirs=[])
    out = io.StringIO()
    generator.generate(conf, out)
    return out.getvalue()


def test_committed_sample_is_current():
    path = ETC / 'nova-pets.conf.sample'
    if os.environ.get('NOVA_PETS_REWRITE') == '1':
        path.write_text(generated())

    def ours(text):
        # What keystoneauth writes differs between its versions.
        return text.split('\n[pets_auth]\n')[0]

    assert ours(path.read_text()) == ours(generated())


def test_fragment_of_nova_conf_has_no_problem_but_the_bindings(load):
    text = (ETC / 'nova-pets.nova.conf').read_text()
    conf = load(text)
    conf.register_opt(cfg.IntOpt('periodic_fuzzy_delay', default=60))

    found = check.problems(conf)

    assert [problem for problem in found
            if 'bindings_file' not in problem] == []
