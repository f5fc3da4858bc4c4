# SPDX-License-Identifier: Apache-2.0
"""What audit says, by which exit code, and how an order to mend is told."""

import dataclasses
import inspect
import json
import re

import pytest

from nova_pets.cmd import audit as audit_cmd
from nova_pets.cmd import liveness
from nova_pets.cmd import orders
from nova_pets.cmd import reading
from nova_pets.engine import survey
from nova_pets.model import reasons
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.planning import audit
from nova_pets.tests.unit.cmd import samples
from nova_pets.tests.unit.cmd import test_manual

KEYS = {
    'audit': 'exit_code result at findings unknown looked fix',
    'finding': 'reason reason_text uuid name cell_uuid host detail is_pet '
               'is_unknown mend why_not commands',
    'fix': 'order is_done said mended',
}
CODES = sorted(set(re.findall(
    r"(?:facts, |Finding\()'([a-z_]+)'", re.sub(
        r'\n *', ' ', inspect.getsource(audit)).replace('( ', '('))))
ALICE = orders.Person('user alice', 'looks odd')

SAFE = audit.Finding('record_of_its_host', samples.DB1, samples.CELL, 'db1',
                     'host1', 'migration 5 is done',
                     mend=audit.Withdraw(5, 'host1'))
UNSAFE = audit.Finding('two_guests', samples.WEB1, samples.CELL, 'web1',
                       'host2', 'nova says host1: it runs there',
                       why_not='which one to keep is a person\'s choice')
UNKNOWN = dataclasses.replace(UNSAFE, code='guest_unknown', is_unknown=True)


@dataclasses.dataclass
class Store:
    """Rows, and an engine that obeys after so many looks."""

    obeys_after: int = 1
    rows: list = dataclasses.field(default_factory=list)
    events: list = dataclasses.field(default_factory=list)

    def now(self):
        return samples.NOW

    def engines(self):
        return [samples.engine()]

    def controls(self):
        if self.rows and self.obeys_after <= 0:
            order, = self.rows
            self.rows = []
            self.events = [
                records.Event(code='audit_mended', text='put right',
                              instance_uuid=samples.DB1,
                              evidence={'audit': {'order': order.id}}),
                records.Event(code='audit_mended', text='of another audit',
                              evidence={'audit': {'order': None}}),
                records.Event(code='control_ended',
                              text='audit all: 1 found, 1 mended')]
        self.obeys_after -= 1
        return list(self.rows)

    def add_control(self, control):
        self.rows.append(dataclasses.replace(control, id=9,
                                             created_at=samples.NOW))
        return self.rows[-1]

    def history(self, since):
        assert since == samples.NOW
        return self.events


class Access:
    def __init__(self, *findings, store=None, **more):
        self._survey = survey.Survey(findings=list(findings), instances=2,
                                     hosts=3, **more)
        self._store = store or Store()

    def store(self):
        return self._store

    def surveyor(self):
        return self

    def survey(self):
        return self._survey

    def settings(self):
        return reading.Settings(pace_s=0.1)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(audit_cmd, 'POLL_S', 0.0)
    monkeypatch.setattr(liveness, 'watch', lambda *_given: samples.ALIVE)


@pytest.mark.parametrize('access, code, result', [
    (Access(), 0, 'well'), (Access(SAFE), 2, 'act'),
    (Access(UNSAFE), 2, 'act'), (Access(UNKNOWN), 3, 'unknown'),
    (Access(UNKNOWN, SAFE), 2, 'act'),
    (Access(unknown=['cell cell1: a timeout']), 3, 'unknown'),
    (Access(left_out=3), 3, 'unknown'),
    (Access(SAFE, unknown=['cell cell1: a timeout']), 2, 'act'),
], ids=['nothing', 'safe', 'unsafe', 'unknown', 'both', 'unread',
        'left_out', 'found_and_unread'])
def test_the_exit_code_is_the_worst(access, code, result):
    document = audit_cmd.run(access, None, None)
    assert (document['exit_code'], document['result']) == (code, result)
    assert document['fix'] is None


def test_the_keys_are_these():
    document = audit_cmd.run(Access(SAFE, UNSAFE, UNKNOWN), None, ALICE)
    assert list(document) == KEYS['audit'].split()
    for row in document['findings']:
        assert list(row) == KEYS['finding'].split()
    assert list(document['fix']) == KEYS['fix'].split()
    assert json.loads(json.dumps(document)) == document


def test_every_key_is_in_the_manual():
    if not test_manual.MANUAL.exists():
        pytest.skip('installed without its documents')
    text = test_manual.MANUAL.read_text().split('\nJSON\n')[1]
    entry = text.split('\naudit\n')[1].split('\nan order\n')[0]
    told = set(re.split(r'[\s;,`]+', entry))
    assert set(' '.join(KEYS.values()).split()) <= told


def test_the_codes_are_found():
    assert len(CODES) == 11, CODES


@pytest.mark.parametrize('code', CODES)
def test_every_finding_is_in_the_manual_and_in_the_spec(code):
    if not test_manual.MANUAL.exists():
        pytest.skip('installed without its documents')
    spec = test_manual.MANUAL.parents[1] / 'specs' / '0006-audit.rst'
    assert code in reasons.REASONS
    assert f'\n{code} ' in test_manual.MANUAL.read_text()
    assert f'``{code}``' in spec.read_text()


def test_an_order_that_was_obeyed_is_told():
    store = Store(obeys_after=3)
    fix = audit_cmd.run(Access(store=store), None, ALICE)['fix']
    assert (fix['order'], fix['is_done']) == (9, True)
    assert fix['said'] == 'audit all: 1 found, 1 mended'
    assert [event['text'] for event in fix['mended']] == ['put right']


def test_an_order_that_stands_already_is_not_doubled():
    store = Store(obeys_after=1)
    store.add_control(orders.new(states.ControlKind.AUDIT, 'all', '',
                                 ALICE))
    assert audit_cmd.run(Access(store=store), None, ALICE)['fix']['is_done']


def test_an_engine_that_does_not_obey_is_not_waited_for_for_ever(
        monkeypatch):
    monkeypatch.setattr(audit_cmd, 'WAIT_S', -1.0)
    document = audit_cmd.run(Access(store=Store(obeys_after=99)), None,
                             ALICE)
    assert document['exit_code'] == 2
    assert not document['fix']['is_done']
    assert 'the order stands' in document['fix']['said']


def test_nothing_is_ordered_where_no_engine_lives(monkeypatch):
    dead = liveness.Liveness(liveness.Answer.NONE)
    monkeypatch.setattr(liveness, 'watch', lambda *_given: dead)
    store = Store()
    document = audit_cmd.run(Access(store=store), None, ALICE)
    assert (document['exit_code'], store.rows) == (2, [])
    assert 'no engine is alive' in document['fix']['said']


@pytest.mark.parametrize('width', [60, 79, 120])
def test_the_screen_fits_and_says_what_may_be_done(width):
    document = audit_cmd.run(
        Access(SAFE, UNSAFE, UNKNOWN, unknown=['cell cell1: a timeout']),
        None, ALICE)
    text = audit_cmd.screen(document, width)
    commands = {command for row in document['findings']
                for command in row['commands']}
    for line in text.splitlines():
        assert len(line) <= width or line.strip() in commands, line
    said = ' '.join(text.split())
    assert 'migration 5' in said and '5f0c3b1e' in said
    assert 'cell cell1: a timeout' in said
    assert reasons.AUDIT in said
    assert 'nova cannot list what a hypervisor runs' in said


def test_a_sound_cloud_is_two_sentences():
    lines = audit_cmd.screen(audit_cmd.run(Access(), None, None),
                             79).splitlines()
    assert lines[0] == 'Nothing was found that should not be.'
    assert len(lines) <= 6


def test_fix_is_not_advised_where_it_mends_nothing():
    document = audit_cmd.run(
        Access(dataclasses.replace(SAFE, mend=None, why_not='no pet')),
        None, None)
    assert reasons.AUDIT not in document['findings'][0]['commands']
    assert reasons.AUDIT not in audit_cmd.screen(document, 79)
