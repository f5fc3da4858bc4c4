# SPDX-License-Identifier: Apache-2.0
"""What should not be in Nova and in our tables, and the order to mend it.

Looks by wiring's surveyor. With --fix it writes one order: an engine mends
what is safe under all its guards, this command waits and looks again. It
mends nothing itself.
"""

import collections
import time
import typing

from nova_pets.cmd import console as console_module
from nova_pets.cmd import documents
from nova_pets.cmd import layout
from nova_pets.cmd import liveness
from nova_pets.cmd import orders
from nova_pets.cmd import questions
from nova_pets.cmd import words
from nova_pets.db import base
from nova_pets.model import reasons
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.planning import audit

if typing.TYPE_CHECKING:
    from nova_pets.cmd import access as access_module

WAIT_S = 120.0
"""For an engine to carry the order out."""
POLL_S = 0.5
SLOW_S = 2.0
"""The pace in which any engine is trusted to renew."""
MENDED = 'audit_mended'
_MOST = 40
"""Rows of the table; --json has them all."""

_COLUMNS = (
    layout.Column('Instance', 'instance'), layout.Column('Host', 'host'),
    layout.Column('Found', 'found', least=16),
    layout.Column('With --fix', 'then', rank=1, least=16))


def run(access: 'access_module.Access',
        console: console_module.Console | None,
        person: orders.Person | None) -> documents.Document:
    """Return the document of ``audit``.

    :param console: where progress is shown; None: nowhere.
    :param person: who orders to mend what is safe; None: only look.
    """
    store = access.store()
    surveyor = access.surveyor()
    fix = None
    if person is not None:
        fix = _order(store, person, access.settings().pace_s, console)
    found = surveyor.survey()
    rows = [_row(one) for one in found.findings]
    code = _exit(found, fix)
    return {
        'exit_code': int(code),
        'result': {questions.Exit.WELL: 'well',
                   questions.Exit.ACT: 'act'}.get(code, 'unknown'),
        'at': words.iso(store.now()), 'findings': rows,
        'unknown': _unknown(found),
        'looked': {'hosts': found.hosts, 'instances': found.instances,
                   'guests': found.guests},
        'fix': fix}


def _exit(found: typing.Any, fix: documents.Document | None
          ) -> questions.Exit:
    if any(not one.is_unknown for one in found.findings):
        return questions.Exit.ACT
    if fix is not None and not fix['is_done']:
        return questions.Exit.ACT
    if found.findings or found.unknown or found.left_out:
        return questions.Exit.CANNOT_TELL
    return questions.Exit.WELL


def _unknown(found: typing.Any) -> list[str]:
    more = ([f'{found.left_out} guests were not asked for: too many at once']
            if found.left_out else [])
    return found.unknown + more


def _row(one: audit.Finding) -> documents.Document:
    return {
        'reason': one.code, 'reason_text': reasons.text(one.code),
        'uuid': one.uuid, 'name': one.name, 'cell_uuid': one.cell_uuid,
        'host': one.host, 'detail': one.detail, 'is_pet': one.is_ours,
        'is_unknown': one.is_unknown,
        'mend': audit.in_words(one.mend) if one.mend else None,
        'why_not': one.why_not or None,
        'commands': [
            command for command in reasons.next_commands(
                one.code, instance=one.uuid, host=one.host)
            if one.mend or command != reasons.AUDIT]}


# -- the order ----------------------------------------------------------------


def _order(store: base.Store, person: orders.Person, pace_s: float,
           console: console_module.Console | None) -> documents.Document:
    """Order an audit, wait until an engine has done it, and tell."""
    # A mend can wait: a quick engine that is slow just now is not dead.
    if liveness.watch(store.engines, max(pace_s, SLOW_S)).is_dead:
        return _told(None, False, 'no engine is alive, so nothing was '
                     'ordered', [])
    known = orders.active(store.controls(), states.ControlKind.AUDIT, 'all')
    order = known[0] if known else store.add_control(orders.new(
        states.ControlKind.AUDIT, 'all', '', person))
    is_done = _await(store, order, console)
    since = [event for event in store.history(since=order.created_at)
             if _is_about(event, order)]
    said = '; '.join(event.text for event in since
                     if event.code == 'control_ended')
    return _told(order.id, is_done, said or (
        f'no engine has done it within {WAIT_S:.0f} s: the order stands'),
        [documents.event(event) for event in since if event.code == MENDED])


def _told(order: int | None, is_done: bool, said: str,
          mended: list[documents.Document]) -> documents.Document:
    return {'order': order, 'is_done': is_done, 'said': said,
            'mended': mended}


def _is_about(event: records.Event, order: records.Control) -> bool:
    if event.code == 'control_ended':
        return event.text.startswith(f'{order.kind.value} ')
    return event.code == MENDED and event.evidence.get(
        'audit', {}).get('order') == order.id


def _await(store: base.Store, order: records.Control,
           console: console_module.Console | None) -> bool:
    until = time.monotonic() + WAIT_S
    while any(row.id == order.id for row in store.controls()):
        if time.monotonic() > until:
            return False
        if console is not None:
            console.progress('Ordered; an engine is at work ...')
        time.sleep(POLL_S)
    if console is not None:
        console.progress('')
    return True


# -- the screen ---------------------------------------------------------------


def screen(doc: documents.Document, width: int) -> str:
    lines = layout.paragraph(_headline(doc), width, '')
    lines += _fix_part(doc['fix'], width)
    rows = doc['findings']
    if rows:
        lines += ['', layout.table(_COLUMNS, [
            _table_row(row) for row in rows[:_MOST]], width)]
        if len(rows) > _MOST:
            lines.append(f'  and {len(rows) - _MOST} more: see --json')
    lines += _kinds_part(rows, width)
    if doc['unknown']:
        lines += layout.heading('Could not be looked at')
        for text in doc['unknown']:
            lines += layout.paragraph(text, width, '  - ', '    ')
    looked = doc['looked']
    lines += ['', *layout.paragraph(
        f'Read: records of {words.count(looked["hosts"], "host")}, '
        f'{words.count(looked["instances"], "instance")} closely; asked for '
        f'{words.count(looked["guests"], "guest")}. Only hosts that records '
        f'name are asked: nova cannot list what a hypervisor runs.', width,
        '')]
    return '\n'.join(lines)


def _headline(doc: documents.Document) -> str:
    rows = doc['findings']
    if not rows:
        return ('Nothing was found, but not all could be looked at.'
                if doc['unknown'] else
                'Nothing was found that should not be.')
    able = sum(1 for row in rows if row['mend'])
    text = words.count(len(rows), 'finding')
    if not able:
        return f'{text}; nothing of it can be mended safely by a machine.'
    return f'{text}; {able} can be mended by --fix.'


def _fix_part(fix: documents.Document | None, width: int) -> list[str]:
    if fix is None:
        return []
    number = f' (order {fix["order"]})' if fix['order'] else ''
    state = 'Done' if fix['is_done'] else 'NOT DONE'
    lines = ['', *layout.paragraph(f'{state}{number}: {fix["said"]}.', width,
                                   '')]
    for event in fix['mended']:
        lines += layout.paragraph(
            f'{(event["uuid"] or "")[:8]}: {event["text"]}', width, '  - ',
            '    ')
    return lines


def _table_row(row: documents.Document) -> documents.Document:
    return {'instance': words.instance(row['name'], row['uuid']),
            'host': row['host'],
            'found': f'{row["reason"].replace("_", " ")}: {row["detail"]}',
            'then': row['mend'] or f'no: {row["why_not"]}'}


def _kinds_part(rows: list[documents.Document], width: int) -> list[str]:
    """What each kind of finding means, once, and what may be done."""
    kinds: dict[str, list[documents.Document]] = collections.defaultdict(
        list)
    for row in rows:
        kinds[row['reason']].append(row)
    lines: list[str] = []
    for reason, of_kind in kinds.items():
        lines += layout.heading(reason.replace('_', ' ').capitalize())
        text = of_kind[0]['reason_text']
        lines += layout.paragraph(f'{text[0].upper()}{text[1:]}.', width)
        commands = (of_kind[0]['commands'] if len(of_kind) == 1 else
                    reasons.next_commands(reason))
        if not any(row['mend'] for row in of_kind):
            commands = [one for one in commands if one != reasons.AUDIT]
        lines += [f'    {command}' for command in commands]
    return lines
