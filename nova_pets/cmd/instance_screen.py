# SPDX-License-Identifier: Apache-2.0
"""The screen of one instance: the five questions of a person at night; pure.

What state, since when, waiting for what, what was tried, what may be done
now. Made of the document of ``show`` (reports.instance) and nothing else.
"""

from nova_pets.cmd import documents
from nova_pets.cmd import layout
from nova_pets.cmd import screens
from nova_pets.cmd import words

Document = documents.Document
Column = layout.Column


def screen(doc: Document, width: int) -> str:
    recovery, pet = doc['recovery'], doc['pet']
    project = (pet or recovery)['project_id']
    lines = [screens.right(f'{doc["name"]}  {doc["uuid"]}',
                    f'{words.clock(doc["at"])} UTC', width)]
    lines += [''] + layout.fields(
        _now_pairs(doc) + [('Project', project)] + _pet_pairs(pet) +
        _rule_pairs(doc), width)
    if doc['attempts']:
        lines += layout.heading('What was tried')
        lines += [_attempt_table(doc['attempts'], width)]
    if doc['waits']:
        lines += layout.heading('Waiting for')
        for text in doc['waits']:
            lines += layout.paragraph(text, width, '  - ', '    ')
    lines += screens.orders_part(
        doc['orders'], 'Orders of people that concern it', width)
    lines += screens.commands_part(doc['commands'], 'You may now')
    lines += ['', f'Its history: nova-manage pets history --instance '
              f'{doc["name"] or doc["uuid"]}']
    return '\n'.join(lines)


def _now_pairs(doc: Document) -> list[tuple[str, str]]:
    """What state, since when, waiting for what."""
    row, pet, source = doc['recovery'], doc['pet'], doc['source']
    if row is None or not row['is_open']:
        state = 'not tagged for HA any more' if pet is None else (
            screens.protection(pet))
        pairs = [('Now', f'{state[0].upper()}{state[1:]}'),
                 ('Host', _host_of(pet, source))]
        if row is not None:
            pairs.append(('Last', _last_recovery(row)))
        return pairs
    pairs = [
        ('Now', f'{row["state"].replace("_", " ")}: {row["state_text"]}'),
        ('Since', f'{words.clock(row["since_at"])} UTC '
         f'({words.duration(row["since_s"])})' if row['since_at'] else ''),
        ('Why', screens.why(row)
         if row['reason_text'] or row['detail'] else ''),
        ('From', _source_text(row, source)),
        ('To', row['destination'] or ''),
        ('Not to', ', '.join(row['excluded'])),
        ('Goal', f'was {row["original_vm_state"]}; will be '
         f'{row["desired_power"]}'),
        ('Begun', f'{words.clock(row["created_at"])} UTC, '
         f'{words.count(row["attempts"], "attempt")} so far'
         if row['created_at'] else '')]
    return pairs


def _host_of(pet: Document | None, source: Document | None) -> str:
    if pet is None or not pet['host']:
        return ''
    if source and source['host'] == pet['host']:
        return f'{pet["host"]} ({source["state"]}: {source["state_text"]})'
    return str(pet['host'])


def _source_text(row: Document, source: Document | None) -> str:
    text = f'{row["source"]} (epoch {row["epoch"]}'
    if source:
        text += f'; {source["state"]}: {source["state_text"]}'
        if source['reason_text']:
            text += f'; {source["reason_text"]}'
    return text + ')'


def _last_recovery(row: Document) -> str:
    where = f'{row["source"]} > {row["destination"]}' \
        if row['destination'] else f'from {row["source"]}'
    return (f'{row["state"]} {where}, '
            f'{words.count(row["attempts"], "attempt")} in '
            f'{words.duration(row["took_s"])}, ended '
            f'{words.clock(row["finished_at"])} UTC')


def _pet_pairs(pet: Document | None) -> list[tuple[str, str]]:
    if pet is None:
        return []
    source = {key: value.get('source', '')
              for key, value in pet['settings'].items()
              if isinstance(value, dict)}

    def where(key: str) -> str:
        return f' ({source[key]})' if source.get(key) else ''

    disk = {'keep': 'its disk is kept',
            'rebuild': 'its owner accepts that its disk is made anew'}
    storage = 'on volumes only' if pet['volumes_only'] else (
        f'storage domain {pet["storage_domain"]}'
        if pet['storage_domain'] else 'image-backed, no storage domain')
    return [('In nova', pet['vm_state'] or ''),
            ('Priority', f'{pet["priority"]}{where("priority")}'),
            ('Disk', f'{disk.get(pet["disk"], pet["disk"])}'
             f'{where("disk")}; {storage}'),
            ('Tags', '; '.join(pet['problems']))]


def _rule_pairs(doc: Document) -> list[tuple[str, str]]:
    """The row of specs/0002-states that holds for it, and its kind."""
    rule = doc['rule']
    if rule is None:
        return []
    is_open = doc['recovery'] is not None and doc['recovery']['is_open']
    texts = [row['reason_text'] for row in rule['reasons']]
    return [('Its host fails' if not is_open else 'Its rule',
             f'{rule["rule"]} ({rule["about"]}): ' + '; '.join(texts))]


def _attempt_table(rows: list[Document], width: int) -> str:
    shown = [{
        'number': row['number'], 'kind': row['kind_text'],
        'destination': row['destination'], 'outcome': row['outcome_text'],
        'began': words.clock(row['started_at'])[11:] or '-',
        'took': words.duration(row['took_s']),
        'request': row['request_id'], 'why': _attempt_why(row)}
        for row in rows]
    return layout.table(
        [Column('#', 'number', number=True), Column('By', 'kind', rank=4),
         Column('To', 'destination', least=8),
         Column('Outcome', 'outcome', least=12),
         Column('Began', 'began', rank=2),
         Column('Took', 'took', rank=3, least=12),
         Column('Request', 'request', rank=5, least=40),
         Column('Why', 'why', rank=1, least=22)], shown, width)


def _attempt_why(row: Document) -> str:
    if row['detail'] and row['reason_text']:
        return f'{row["reason_text"]} ({row["detail"]})'
    return row['detail'] or row['reason_text']
