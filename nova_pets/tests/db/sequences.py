# SPDX-License-Identifier: Apache-2.0
"""Random sequences of calls of a store, the same for the same seed.

A call is (name, positional arguments); what it is about is mostly there and
mostly as it was read, so that much succeeds, and sometimes not. Whoever makes
the calls may lose some of their commits meanwhile.
"""

import dataclasses
import datetime
import random

from nova_pets.model import records
from nova_pets.model import states
from nova_pets.tests.db import samples

ENGINES = [f'engine-{number}' for number in range(4)]
HOSTS = [f'host{number}' for number in range(4)]
UUIDS = [f'uuid-{number}' for number in range(6)]
REQUESTS = [f'req-{number}' for number in range(8)]
PROJECTS = ['p1', 'p2']
TEXTS = ['', 'seen off', 'nul \0', 'fire \U0001f525', 'half \ud83d',
         'long ' * 60, 'very long ' * 3000]
JSON = [{}, {'tcp': 'silent'}, {'b': (1, 2), 'a': {'c': None}},
        {'flag': True}, {'flag': 1}, {'sign': states.Sign.LIFE},
        {'at': datetime.datetime(2030, 1, 1)}, {7: 'seven'}]
SETTINGS = [{}, {'ha': {'value': True, 'source': 'flavor'}},
            {'ha': {'value': 1, 'source': 'flavor'}}]
LONG_AGO = datetime.datetime(2000, 1, 1)


class Sequence:
    """
    :param seed: the one source of chance.
    :param reference: a store to look things up in.
    """

    def __init__(self, seed, reference):
        self._random = random.Random(seed)
        self._reference = reference
        self._guards = 0
        self._born = len(ENGINES)
        self._kinds = [
            (getattr(self, f'_{name}'), weight)
            for name, weight in _WEIGHTS.items()]

    def calls(self, count):
        """Yield lists of calls; what is asked next depends on what the
        reference answers meanwhile."""
        yield [('register_engine', self._engine(id=one))
               for one in ENGINES[:2]]
        yield [('ensure_hosts', [(host, samples.CELL)
                                 for host in HOSTS[:3]])]
        makers, weights = zip(*self._kinds)
        for maker in self._random.choices(makers, weights, k=count):
            yield from maker()

    # -- chance --------------------------------------------------------------

    def _is(self, probability):
        return self._random.random() < probability

    def _one(self, many):
        return self._random.choice(list(many))

    def _some(self, many):
        return self._random.sample(many, self._random.randint(0, len(many)))

    def _maybe(self, many):
        return self._one(many) if self._is(.3) else None

    def _near(self, number):
        return number if self._is(.8) else number + self._one([-1, 1])

    def _text(self):
        return self._one(TEXTS)

    def _event(self, **changes):
        if self._is(.3):
            return None
        return records.Event(
            code='moved' if self._is(.9) else 'c' * 90, text=self._text(),
            actor=self._one(['', 'user anna']),
            host=self._one([None, *HOSTS]),
            instance_uuid=self._one([None, *UUIDS]),
            attempt_id=self._one([None, None, 1]),
            from_state=self._one([None, states.HostState.UP, 'up']),
            to_state=self._one([None, states.HostState.DOWN]),
            evidence=self._one(JSON))

    def _engine(self, **changes):
        return records.Engine(**{
            'id': self._one(ENGINES), 'host': 'scheduler1', 'worker': '1',
            'version': self._text(), 'mode': self._one(states.Mode),
            'gate_loaded': self._is(.5), 'report': self._one(JSON),
            'slot': 3, 'renewals': 7} | changes)

    def _me(self, row=None):
        if row is not None and row.owner is not None and self._is(.85):
            return row.owner
        living = [one.id for one in self._reference.engines()]
        return self._one(living if living and self._is(.9) else ENGINES)

    def _recovery_row(self):
        """Return a stored recovery, mostly an open one; or None."""
        is_open = self._is(.85)
        found = self._reference.recoveries(only_open=is_open)
        return self._one(found) if found else None

    def _attempt_row(self, recovery):
        found = self._reference.attempts(recovery.id)
        return self._one(found) if found else None

    # -- engines -------------------------------------------------------------

    def _register_engine(self):
        if self._is(.8):
            self._born += 1
            yield [('register_engine',
                    self._engine(id=f'engine-{self._born}'))]
        else:
            yield [('register_engine', self._engine())]

    def _known_engine(self):
        found = self._reference.engines(with_deposed=True)
        return self._one(found) if found and self._is(.9) else self._engine()

    def _renew_engine(self):
        one = self._known_engine()
        yield [('renew_engine', one.id, self._near(one.renewals),
                self._one([None, *JSON]), self._one([None, *states.Mode]))]

    def _depose_engine(self):
        one = self._known_engine()
        yield [('depose_engine', one.id, self._near(one.renewals))]

    def _take_slot(self):
        yield [('take_slot', self._known_engine().id,
                self._random.randrange(3))]

    def _engines(self):
        yield [('engines', self._is(.5))]

    def _snapshot(self):
        yield [('snapshot',), ('now',), ('check_schema',)]

    # -- hosts and pets ------------------------------------------------------

    def _ensure_hosts(self):
        yield [('ensure_hosts', [(host, self._one(PROJECTS))
                                 for host in self._some(HOSTS)])]

    def _host(self):
        yield [('host', self._one(HOSTS))]

    def _host_row(self):
        name = self._one(HOSTS)
        return (self._reference.host(name)
                or records.Host(name, samples.CELL))

    def _claim_host(self):
        row = self._host_row()
        yield [('claim_host', row.host, self._near(row.generation),
                self._me(row))]

    def _advance_host(self):
        row = self._host_row()
        me = self._me(row)
        if row.owner is None and self._is(.8):
            yield [('claim_host', row.host, row.generation, me)]
            row = self._reference.host(row.host) or row
        new = dataclasses.replace(
            row, state=self._one([row.state, *states.HostState]),
            epoch=row.epoch + self._random.randrange(2),
            reason=self._text(), evidence=self._one([row.evidence, *JSON]),
            proof=self._one([None, *states.ProofKind]),
            proof_count=self._one([None, 4]), forced_down=self._is(.5),
            fence_ready=self._one([None, True, False]),
            fence_detail=self._text(),
            owner=self._one([me, me, me, None, ENGINES[0]]))
        yield [('advance_host', new, self._near(row.generation), me,
                self._event())]

    def _pet(self):
        return records.Pet(
            instance_uuid=self._one(UUIDS), cell_uuid=samples.CELL,
            project_id=self._one(PROJECTS), name=self._text(),
            host=self._one([None, *HOSTS]),
            vm_state=self._one([None, 'active']),
            priority=self._one([500, 500, 9]),
            settings=self._one(SETTINGS),
            problems=self._one([(), ('odd',), ['odd']]),
            unprotected=self._one([(), ('vtpm', 'numa')]),
            is_bfv=self._is(.5))

    def _upsert_pets(self):
        known = [dataclasses.replace(
            pet, generation=9, settings=self._one([pet.settings, *SETTINGS]))
            for pet in self._some(self._reference.pets())]
        yield [('upsert_pets', [*known, *(
            self._pet() for _ in range(self._random.randrange(3)))])]

    def _forget_pets(self):
        yield [('forget_pets', self._some(UUIDS), 'untagged')]

    def _pets(self):
        yield [('pets', self._maybe(HOSTS), self._maybe(PROJECTS),
                self._maybe([self._some(UUIDS)]), self._maybe(UUIDS),
                self._maybe([0, 1, 2]))]

    # -- recoveries ----------------------------------------------------------

    def _new_recovery(self):
        allowed = sorted(states.OPEN) * 5 + sorted(states.TERMINAL)
        return records.Recovery(
            id=self._one([None, 3]), instance_uuid=self._one(UUIDS),
            cell_uuid=samples.CELL, project_id=self._one(PROJECTS),
            name=self._text(), source=self._one(HOSTS), epoch=1,
            state=self._one(allowed), reason=self._text(),
            excluded=self._one([(), ('host1',), ['host2']]),
            wait_s=self._one([0, 2.5]), generation=5, owner='nobody',
            urgent=self._is(.2), attempts=self._random.randrange(2))

    def _open_recoveries(self):
        many = [self._new_recovery()
                for _ in range(self._random.randrange(4))]
        yield [('open_recoveries', many,
                self._event() or records.Event('source_down'))]

    def _recovery(self):
        row = self._recovery_row()
        key = row.id if row and self._is(.9) else 4711
        yield [('recovery', key), ('attempts', key)]

    def _recoveries(self):
        yield [('recoveries', self._maybe(UUIDS), self._maybe(HOSTS),
                self._maybe(PROJECTS),
                self._maybe([*states.RecoveryState, 'ready']),
                self._is(.5), self._maybe([0, 1, 3]))]

    def _claim_recovery(self):
        row = self._recovery_row()
        if row:
            yield [('claim_recovery', row.id, self._near(row.generation),
                    self._me(row))]

    def _advance_recovery(self):
        row = self._recovery_row()
        if row is None:
            return
        me = self._me(row)
        if row.owner is None and self._is(.8):
            yield [('claim_recovery', row.id, row.generation, me)]
            row = self._reference.recovery(row.id) or row
        new = dataclasses.replace(
            row, state=self._one([row.state] * 4 + sorted(states.OPEN) * 2
                                 + sorted(states.TERMINAL)),
            reason=self._text(), detail=self._text(),
            excluded=self._one([(), ('host1',), ['host2']]),
            destination=self._one([None, *HOSTS]), urgent=self._is(.2),
            wait_s=self._one([0, 2.5]), name='n', untagged=self._is(.1),
            original_vm_state='odd', project_id='p9', attempts=4,
            owner=self._one([me, me, me, me, None, ENGINES[1]]))
        yield [('advance_recovery', new, self._near(row.generation), me,
                self._event(), self._attempt(row))]

    def _attempt(self, recovery):
        """Return an attempt to be written along, or None."""
        if self._is(.35):
            return None
        known = self._attempt_row(recovery)
        if self._is(.05):
            others = [one for one in self._reference.snapshot().attempts
                      if one.recovery_id != recovery.id]
            if others:
                return dataclasses.replace(self._one(others),
                                           recovery_id=recovery.id)
        if known is None or self._is(.4):
            known = samples.attempt(
                recovery, request_id=self._one(REQUESTS),
                kind=self._one(states.AttemptKind))
        return dataclasses.replace(
            known, outcome=self._one([states.Outcome.OPEN] * 4 + list(
                states.Outcome)),
            gate=self._one(states.Gate), reason=self._text(),
            destination=self._one([None, *HOSTS]),
            migration_id=self._one([None, 5, 6]),
            migration_floor=self._random.randrange(8), number=9,
            instance_uuid=self._one([known.instance_uuid] * 9 + ['other']),
            recovery_id=self._one([known.recovery_id] * 19 + [1]),
            request_id=self._one([known.request_id] * 19 + REQUESTS[:1]))

    # -- the gate ------------------------------------------------------------

    def _gate_view(self):
        yield [('gate_view', self._one(UUIDS), self._some(HOSTS)),
               ('unsafe_hosts',), ('tombstoned', self._one(UUIDS)),
               ('in_flight',)]

    def _consume_gate(self):
        known = self._reference.snapshot().attempts
        armed = [one for one in known if one.gate is states.Gate.ARMED
                 and one.outcome is states.Outcome.OPEN]
        if known:
            one = self._one(armed if armed and self._is(.7) else known)
            yield [('consume_gate', one.id, one.request_id
                    if self._is(.9) else self._one(REQUESTS))]

    def _record_refusal(self):
        yield [('record_refusal', self._one(UUIDS), self._one(REQUESTS),
                self._text())]

    def _take_over(self):
        if self._is(.5):
            yield [('open_recoveries', [dataclasses.replace(
                self._new_recovery(), state=states.RecoveryState.WAITING)],
                records.Event('source_down'))]
        row = self._recovery_row()
        free = [one for one in self._reference.recoveries()
                if one.state in (states.RecoveryState.READY,
                                 states.RecoveryState.WAITING)
                and not self._reference.gate_view(
                    one.instance_uuid, []).attempt]
        if free and self._is(.7):
            row = self._one(free)
        if row:
            yield [('take_over', dataclasses.replace(
                row, generation=self._near(row.generation)),
                self._one(REQUESTS) if self._is(.4)
                else f'req-{self._random.random()}')]

    # -- controls and history ------------------------------------------------

    def _add_control(self):
        yield [('add_control', records.Control(
            id=None, kind=self._one(states.ControlKind),
            scope=self._one(['all', 'host', 'instance']),
            target=self._one([*HOSTS, *UUIDS]), reason=self._text(),
            actor=self._one(['', 'user bob']), active=self._is(.5),
            until_at=self._one([None, LONG_AGO]), generation=3))]

    def _end_control(self):
        found = self._reference.controls(only_active=self._is(.8))
        if found:
            one = self._one(found)
            yield [('end_control', dataclasses.replace(
                one, generation=self._near(one.generation)),
                self._one(['', 'user bob']), self._text())]

    def _controls(self):
        yield [('controls', self._is(.5))]

    def _record(self):
        yield [('record', self._event() or records.Event('noted'))]

    def _history(self):
        times = [line.at for line in self._reference.history()]
        yield [('history', self._maybe(UUIDS), self._maybe(HOSTS),
                self._maybe([self._moment(), *times]), self._maybe([1, 2]),
                self._one([1, 5, 1000]))]

    def _moment(self):
        return self._reference.now() - datetime.timedelta(
            seconds=self._one([-1, 0, 1, 5, 20]))

    def _purge(self):
        # SQLite gives the highest id to the next row when its row is
        # deleted, no other database does: so the highest are open ones.
        self._guards += 1
        name = f'guard-{self._guards}'
        yield [('register_engine', self._engine(id=name)),
               ('open_recoveries', [dataclasses.replace(
                   self._new_recovery(), instance_uuid=name,
                   state=states.RecoveryState.READY)],
                records.Event('source_down')),
               ('add_control', records.Control(
                   None, states.ControlKind.PAUSE, 'all'))]
        found = self._reference.recoveries(instance_uuid=name)
        if not found:
            return
        row = dataclasses.replace(found[0], owner=name)
        yield [('claim_recovery', row.id, 0, name)]
        yield [('advance_recovery', row, 1, name, records.Event('moved'),
                samples.attempt(row, request_id=name)),
               ('purge', self._moment())]


_WEIGHTS = {
    'register_engine': 3, 'renew_engine': 3, 'depose_engine': 1,
    'take_slot': 2, 'engines': 1, 'snapshot': 4, 'ensure_hosts': 1,
    'host': 1, 'claim_host': 5, 'advance_host': 5, 'upsert_pets': 3,
    'forget_pets': 1, 'pets': 1, 'open_recoveries': 4, 'recovery': 1,
    'recoveries': 1, 'claim_recovery': 8, 'advance_recovery': 16,
    'gate_view': 3, 'consume_gate': 3, 'record_refusal': 2, 'take_over': 3,
    'add_control': 2, 'end_control': 2, 'controls': 1, 'record': 1,
    'history': 2, 'purge': 1}
