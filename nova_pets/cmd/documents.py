# SPDX-License-Identifier: Apache-2.0
"""Rows become the documents that ``--json`` prints and screens show; pure.

People and programs see the same: every screen is made of one of these
documents and of nothing else. The keys are an interface: they are only added,
never renamed or removed; tests/unit/cmd/test_documents.py lists them. Times
are ISO 8601 UTC strings of the database's clock, or null; ``*_s`` are seconds
by that clock, for display only. A ``reason`` is a code (model/reasons.py) and
comes with ``reason_text``.
"""

import collections
import collections.abc
import datetime
import typing

from nova_pets.cmd import words
from nova_pets.model import reasons
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.planning import protection

Document = dict[str, typing.Any]
Now = datetime.datetime | None


def reason_text(code: str) -> str:
    return reasons.text(code) if code else ''


def engine(row: records.Engine, now: Now, is_alive: bool | None
           ) -> Document:
    """One engine; ``is_alive`` null: not told within the short watch."""
    return {
        'id': row.id, 'host': row.host, 'worker': row.worker,
        'version': row.version, 'mode': str(row.mode), 'slot': row.slot,
        'gate_loaded': row.gate_loaded, 'is_alive': is_alive,
        'renewals': row.renewals, 'bindings_digest': digest(row),
        'started_at': words.iso(row.started_at),
        'renewed_at': words.iso(row.renewed_at),
        'silent_s': words.seconds_since(row.renewed_at, now),
        'waits': _texts(row.report, 'waits'),
        'problems': _texts(row.report, 'problems'),
        'is_sane': row.report.get('is_sane'),
        'why_not_sane': str(row.report.get('why_not_sane') or ''),
        'mode_reason': str(row.report.get('mode_reason') or ''),
    }


def digest(row: records.Engine) -> str:
    """Of the bindings it has in force; the row's is that of its start."""
    return str(row.report.get('bindings_digest') or row.bindings_digest)


def working(rows: collections.abc.Iterable[records.Engine]
            ) -> list[records.Engine]:
    """Those that have a slot. One in reserve renews so slowly that its row
    says little about now."""
    return [row for row in rows if row.slot is not None]


def host(row: records.Host, now: Now, pets: int = 0,
         open_recoveries: int = 0) -> Document:
    return {
        'host': row.host, 'cell_uuid': row.cell_uuid,
        'state': str(row.state),
        'state_text': words.HOST_WORDS.get(row.state, str(row.state)),
        'epoch': row.epoch, 'reason': row.reason,
        'reason_text': reason_text(row.reason),
        'since_at': words.iso(row.since_at),
        'since_s': words.seconds_since(row.since_at, now),
        'proof': str(row.proof) if row.proof else None,
        'proof_text': words.PROOF_WORDS.get(row.proof, '')
        if row.proof else '',
        'forced_down_by_us': row.forced_down,
        'fence_attempts': row.fence_attempts,
        'fence_ready': row.fence_ready, 'fence_detail': row.fence_detail,
        'witnesses': witnesses(row.evidence), 'evidence': row.evidence,
        'pets': pets, 'open_recoveries': open_recoveries,
        'commands': reasons.next_commands(row.reason, host=row.host),
    }


def witnesses(evidence: records.Json) -> list[Document]:
    """What each witness said when the row last moved.

    Evidence is {witness: 'silent 21 s' | 'life: port 22 answered' | ...}
    (planning/detection.py), or what fencing found, of which ``detail`` is
    the sentence; ``sign`` is null for words that are no sign.
    """
    found = []
    for name, word in sorted(evidence.items()):
        if not isinstance(word, str):
            continue
        first, _separator, rest = word.partition(' ')
        sign = first.rstrip(':')
        is_sign = sign in set(states.Sign)
        found.append({
            'witness': 'power' if name == 'detail' else name,
            'sign': sign if is_sign else None,
            'sign_text': words.SIGN_WORDS[sign] if is_sign else '',
            'detail': rest if is_sign else word})
    return found


def witness_text(witness: Document) -> str:
    """Return 'tcp: silent, 192.0.2.11:22 timed out'."""
    said = ', '.join(part for part in (witness['sign_text'],
                                       witness['detail']) if part)
    return f'{witness["witness"]}: {said}'


def pet(row: records.Pet, recovery_row: records.Recovery | None = None,
        now: Now = None) -> Document:
    return {
        'uuid': row.instance_uuid, 'name': row.name,
        'project_id': row.project_id, 'cell_uuid': row.cell_uuid,
        'host': row.host, 'vm_state': row.vm_state,
        'priority': row.priority, 'disk': row.disk,
        'volumes_only': row.is_bfv,
        'storage_domain': row.storage_domain,
        'protected': not row.unprotected,
        'unprotected': [
            {'reason': code, 'reason_text': reason_text(code),
             'commands': reasons.next_commands(
                 code, instance=row.name or row.instance_uuid,
                 host=row.host or '')}
            for code in row.unprotected],
        'problems': list(row.problems), 'settings': row.settings,
        'recovery': recovery(recovery_row, now) if recovery_row else None,
    }


def recovery(row: records.Recovery, now: Now = None) -> Document:
    return {
        'id': row.id, 'uuid': row.instance_uuid, 'name': row.name,
        'project_id': row.project_id, 'cell_uuid': row.cell_uuid,
        'source': row.source, 'epoch': row.epoch,
        'destination': row.destination, 'state': str(row.state),
        'state_text': words.RECOVERY_WORDS.get(row.state, str(row.state)),
        'is_open': row.state in states.OPEN,
        'reason': row.reason, 'reason_text': reason_text(row.reason),
        'detail': row.detail, 'attempts': row.attempts,
        'wait_s': row.wait_s, 'priority': row.priority,
        'original_vm_state': row.original_vm_state,
        'desired_power': str(row.desired_power),
        'excluded': list(row.excluded), 'urgent': row.urgent,
        'untagged': row.untagged,
        'created_at': words.iso(row.created_at),
        'since_at': words.iso(row.since_at),
        'since_s': words.seconds_since(row.since_at, now),
        'finished_at': words.iso(row.finished_at),
        'took_s': words.seconds_since(row.created_at, row.finished_at),
        'commands': reasons.next_commands(
            row.reason, instance=row.name or row.instance_uuid,
            host=row.source) if row.state in states.OPEN else [],
    }


def rule(row: records.Pet) -> Document:
    """What would be done with a pet if its host failed, or is done now.

    ``reasons``: what decides first, then what else holds for it.
    """
    outlook = protection.outlook(row)
    name = row.name or row.instance_uuid
    return {
        'rule': str(outlook.rule), 'about': outlook.about,
        'reasons': [
            {'reason': code, 'reason_text': reason_text(code),
             'commands': reasons.next_commands(code, instance=name,
                                               host=row.host or '')}
            for code in outlook.reasons],
    }


def attempt(row: records.Attempt, now: Now) -> Document:
    return {
        'number': row.number, 'kind': str(row.kind),
        'kind_text': words.ATTEMPT_WORDS.get(row.kind, str(row.kind)),
        'request_id': row.action_id, 'migration_id': row.migration_id,
        'source': row.source, 'destination': row.destination,
        'gate': str(row.gate), 'outcome': str(row.outcome),
        'outcome_text': words.OUTCOME_WORDS.get(row.outcome,
                                                str(row.outcome)),
        'reason': row.reason, 'reason_text': reason_text(row.reason),
        'detail': row.detail, 'started_at': words.iso(row.started_at),
        'ended_at': words.iso(row.ended_at),
        'took_s': words.seconds_since(row.started_at, row.ended_at or now),
    }


def order(row: records.Control, now: Now, target_name: str | None = None
          ) -> Document:
    """A person's standing order or request (a row of pets_controls).

    :param target_name: of an instance, where known.
    """
    return {
        'id': row.id, 'kind': str(row.kind),
        'kind_text': words.ORDER_WORDS.get(row.kind, str(row.kind)),
        'scope': row.scope, 'target': row.target,
        'target_name': target_name, 'epoch': row.epoch,
        'reason': row.reason, 'actor': row.actor, 'active': row.active,
        'created_at': words.iso(row.created_at),
        'since_s': words.seconds_since(row.created_at, now),
        'until_at': words.iso(row.until_at),
        'ended_at': words.iso(row.ended_at),
    }


def event(row: records.Event) -> Document:
    return {
        'id': row.id, 'at': words.iso(row.at), 'actor': row.actor,
        'reason': row.code, 'reason_text': reason_text(row.code),
        'text': row.text, 'host': row.host, 'uuid': row.instance_uuid,
        'recovery_id': row.recovery_id, 'attempt_id': row.attempt_id,
        'from': row.from_state, 'to': row.to_state,
        'witnesses': witnesses(row.evidence), 'evidence': row.evidence,
    }


def pet_counts(pets: collections.abc.Iterable[records.Pet]) -> Document:
    """How many are protected, and why the others are not."""
    total = protected = 0
    why: collections.Counter[str] = collections.Counter()
    for row in pets:
        total += 1
        protected += not row.unprotected
        why.update(row.unprotected)
    return {
        'total': total, 'protected': protected,
        'unprotected': total - protected,
        'unprotected_by_reason': [
            {'reason': code, 'reason_text': reason_text(code),
             'pets': number}
            for code, number in sorted(why.items(),
                                       key=lambda item: (-item[1],
                                                         item[0]))],
    }


def states_counted(rows: collections.abc.Iterable[
        records.Host | records.Recovery]) -> dict[str, int]:
    return dict(sorted(collections.Counter(
        str(row.state) for row in rows).items()))


def _texts(report: records.Json, key: str) -> list[str]:
    found = report.get(key)
    if not isinstance(found, (list, tuple)):
        return []
    return [str(text) for text in found]
