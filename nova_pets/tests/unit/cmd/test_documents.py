# SPDX-License-Identifier: Apache-2.0
"""The keys of --json are an interface: this is their list.

Adding one is allowed and changes this file; renaming or removing one breaks
somebody's program and needs a release note.
"""

import json

import pytest

from nova_pets.cmd import documents
from nova_pets.cmd import reports
from nova_pets.model import records
from nova_pets.tests.unit.cmd import samples

FACTS = samples.bad_night()
PET, RECOVERY = FACTS.pets[0], FACTS.recoveries[1]

KEYS = {
    'status': 'exit_code verdict headline at mode engines hosts pets '
              'recoveries orders waits warnings alarms commands',
    'status.engines': 'answer watched_s at_work in_reserve gate_loaded modes '
                      'versions rows',
    'status.hosts': 'total by_state not_up',
    'status.pets': 'total protected unprotected unprotected_by_reason',
    'status.recoveries': 'open by_state rows',
    'engine': 'id host worker version mode slot gate_loaded is_alive '
              'renewals bindings_digest started_at renewed_at silent_s waits '
              'problems is_sane why_not_sane mode_reason',
    'host': 'host cell_uuid state state_text epoch reason reason_text '
            'since_at since_s proof proof_text forced_down_by_us '
            'fence_attempts fence_ready fence_detail witnesses evidence pets '
            'open_recoveries commands',
    'witness': 'witness sign sign_text detail',
    'pet': 'uuid name project_id cell_uuid host vm_state priority disk '
           'volumes_only storage_domain protected unprotected problems '
           'settings recovery',
    'recovery': 'id uuid name project_id cell_uuid source epoch destination '
                'state state_text is_open reason reason_text detail attempts '
                'wait_s priority original_vm_state desired_power excluded '
                'urgent untagged created_at since_at since_s finished_at '
                'took_s commands',
    'attempt': 'number kind kind_text request_id migration_id source '
               'destination gate outcome outcome_text reason reason_text '
               'detail started_at ended_at took_s',
    'order': 'id kind kind_text scope target target_name epoch reason actor '
             'active created_at since_s until_at ended_at',
    'event': 'id at actor reason reason_text text host uuid recovery_id '
             'attempt_id from to witnesses evidence',
    'list': 'exit_code at pets', 'hosts': 'exit_code at hosts',
    'show': 'exit_code at uuid name pet rule recovery source attempts '
            'orders waits commands',
    'rule': 'rule about reasons',
    'history': 'exit_code events',
}


def built():
    status = reports.status(FACTS)
    host = documents.host(FACTS.hosts[0], FACTS.now)
    return {
        'status': status, 'status.engines': status['engines'],
        'status.hosts': status['hosts'], 'status.pets': status['pets'],
        'status.recoveries': status['recoveries'],
        'engine': status['engines']['rows'][0], 'host': host,
        'witness': host['witnesses'][0], 'pet': documents.pet(PET),
        'rule': documents.rule(PET),
        'recovery': documents.recovery(RECOVERY),
        'attempt': documents.attempt(FACTS.attempts[0], FACTS.now),
        'order': documents.order(FACTS.orders[0], FACTS.now),
        'event': documents.event(records.Event(code='recovered')),
        'list': reports.instances(FACTS), 'hosts': reports.hosts(FACTS),
        'show': reports.instance(PET, RECOVERY, FACTS.attempts,
                                 FACTS.hosts[0], FACTS),
        'history': reports.history([], {})}


@pytest.mark.parametrize('name', sorted(KEYS))
def test_the_keys_are_these(name):
    assert list(built()[name]) == KEYS[name].split()


@pytest.mark.parametrize('name', sorted(KEYS))
def test_a_document_is_plain_json(name):
    document = built()[name]
    assert json.loads(json.dumps(document)) == document


@pytest.mark.parametrize('word, sign, detail', [
    ('silent 36 s', 'silent', '36 s'),
    ('silent: 192.0.2.1:22 timed out', 'silent', '192.0.2.1:22 timed out'),
    ('life: port 22 answered', 'life', 'port 22 answered'),
    ('unknown', 'unknown', ''), ('on its way', None, 'on its way')])
def test_what_a_witness_said(word, sign, detail):
    found, = documents.witnesses({'tcp': word})
    assert (found['sign'], found['detail']) == (sign, detail)


def test_what_fencing_found_is_one_witness():
    found = documents.witnesses({
        'level': 1, 'requested': ['1.1 fake'], 'power': {'1.1 fake': 'off'},
        'took_s': 1.2, 'detail': 'off after 1.2 s (1.1 fake: off)'})
    assert [documents.witness_text(one) for one in found] == [
        'power: off after 1.2 s (1.1 fake: off)']


def test_planning_writes_evidence_that_is_understood():
    """The form is planning/detection.py's; it must not drift apart."""
    from nova_pets.model import observations
    from nova_pets.model import snapshot
    from nova_pets.model import states
    from nova_pets.planning import detection
    view = snapshot.HostView(
        row=samples.host(), service=None, silent_s=36.4, count_moved=False,
        evidence=(observations.Evidence(
            'tcp', states.WitnessPath.HOST, states.Sign.LIFE, 'answered'),))
    found = {one['witness']: (one['sign'], one['detail']) for one in
             documents.witnesses(detection.evidence_of(view))}
    assert found == {'heartbeat': ('silent', '36 s'),
                     'tcp': ('life', 'answered')}
