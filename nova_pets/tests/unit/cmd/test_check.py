# SPDX-License-Identifier: Apache-2.0
"""Each subject of check, judged from what it is given."""

import dataclasses

import pytest

from nova_pets.cmd import check
from nova_pets.cmd import fence_table
from nova_pets.cmd import liveness
from nova_pets.fencing import sequence
from nova_pets.model import states
from nova_pets.tests.unit.cmd import samples

GOOD = check.Filters(
    available=(check.NOVA_FILTERS, check.OUR_FILTERS),
    enabled=('FencedHostFilter', 'EvacuationGateFilter', 'ComputeFilter',
             'SharedStorageFilter'),
    novas=frozenset({'ComputeFilter', 'RamFilter'}),
    effective=frozenset({'ComputeFilter', 'RamFilter', *check.NEEDED_FILTERS
                         }))


def results(findings):
    return {finding.result for finding in findings}


@pytest.mark.parametrize('changes, said', [
    ({'available': (check.NOVA_FILTERS,)}, 'does not name nova_pets'),
    ({'effective': frozenset(check.NEEDED_FILTERS)}, 'has lost filters'),
    ({'enabled': (*GOOD.enabled, 'NoSuchFilter')}, 'NoSuchFilter'),
    ({'enabled': ('ComputeFilter',)}, 'does not name FencedHostFilter'),
    ({'broken': ('x cannot be loaded',)}, 'x cannot be loaded')])
def test_wrong_filters_are_problems(changes, said):
    findings = check.look_at_filters(dataclasses.replace(GOOD, **changes))
    assert results(findings) == {check.PROBLEM}
    assert said in ' '.join(finding.text for finding in findings)


def test_filters_in_addition_to_novas_are_well():
    assert results(check.look_at_filters(GOOD)) == {check.OK}


@pytest.mark.parametrize('weighers, result', [
    ((check.NOVA_WEIGHERS, check.OUR_WEIGHERS), check.OK),
    ((check.NOVA_WEIGHERS,), check.WARNING),
    ((check.OUR_WEIGHERS,), check.PROBLEM)])
def test_weighers(weighers, result):
    assert results(check.look_at_weighers(weighers)) == {result}


@pytest.mark.parametrize('given, result', [
    (('service_user', 'password', ''), check.OK),
    (('service_user', None, ''), check.PROBLEM),
    (('pets_auth', None, 'no such plugin'), check.PROBLEM)])
def test_credentials(given, result):
    assert results(check.look_at_credentials(*given)) == {result}


@pytest.mark.parametrize('changes, result', [
    ({}, check.OK), ({'problem': 'line 3: what?'}, check.PROBLEM),
    ({'unwise': ['h1 is matched twice']}, check.WARNING),
    ({'uses_fake': True}, check.WARNING),
    ({'bound': frozenset({'h1'})}, check.OK),
    ({'bound': frozenset({'h1'}), 'pets': {'h2': 3}}, check.WARNING)])
def test_bindings(changes, result):
    given = {'problem': None, 'unwise': [], 'uses_fake': False,
             'hosts': ['h1', 'h2'], 'bound': frozenset({'h1', 'h2'}),
             'pets': {}} | changes
    assert results(check.look_at_bindings(**given)) == {result}


@pytest.mark.parametrize('changes, result', [
    ({}, check.OK),
    ({'liveness': liveness.Liveness(liveness.Answer.SILENT)},
     check.PROBLEM),
    ({'engines': (samples.engine(gate_loaded=False),)}, check.PROBLEM),
    ({'engines': (samples.engine(), samples.engine(2, 1, version='2'))},
     check.WARNING),
    ({'engines': (samples.engine(bindings_digest='other'),)},
     check.WARNING),
    ({'engines': (samples.engine(report={'bindings_digest': 'abc'}),)},
     check.OK),
    ({'engines': (samples.engine(report={'problems': ['bad file']}),)},
     check.PROBLEM),
    ({'engines': (samples.engine(report={'is_sane': False,
                                         'why_not_sane': 'no rows'}),)},
     check.PROBLEM),
    ({'mode': states.Mode.OBSERVE}, check.WARNING)])
def test_engines(changes, result):
    findings = check.look_at_engines(samples.facts(**changes), 'abc')
    assert results(findings) == {result}


def test_options_that_stop_us_are_problems_others_warnings():
    findings = check.look_at_options(['bad mode', 'odd ttl'], ['bad mode'])
    assert [finding.result for finding in findings] == [check.PROBLEM,
                                                        check.WARNING]
    assert results(check.look_at_options([], [])) == {check.OK}


def test_pets_that_are_not_protected_are_warned_of():
    facts = samples.bad_night()
    finding, = check.look_at_pets(facts)
    assert finding.result == check.WARNING and finding.advice
    odd = samples.facts(pets=(samples.pet(problems=('ha:disk is "x"',)),))
    assert 'ha:disk' in check.look_at_pets(odd)[0].text


@pytest.mark.parametrize('works, silent, result', [
    (True, [], check.OK), (True, ['2.1 ipmi'], check.WARNING),
    (False, ['1.1 ipmi'], check.PROBLEM)])
def test_fences(works, silent, result):
    assert results(check.look_at_fences([
        {'host': 'h1', 'works': True, 'silent': []},
        {'host': 'h2', 'works': works, 'silent': silent}])) == {result}


def test_a_restart_that_could_not_log_in_is_told_of():
    told = {'host1': sequence.Told(True, 'the login works'),
            'host2': sequence.Told(False, 'another host key')}
    failing = fence_table.log_in(sorted(told), told.get)
    assert failing == {'host2': 'another host key'}
    [found] = check.look_at_restarts(sorted(told), failing)
    assert (found.result, found.text) == (check.WARNING, 'another host key')
    [found] = check.look_at_restarts(['host1'], {})
    assert found.result == check.OK and '1 host' in found.text
    assert check.look_at_restarts([], {}) == []
