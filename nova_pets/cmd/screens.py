# SPDX-License-Identifier: Apache-2.0
"""The screens: documents (reports.py) become text for people; pure.

Every screen fits ``width`` columns, but for commands, which are never
wrapped so that they can be copied. No figure is shown that the document, and
so ``--json``, does not have.
"""

import collections.abc

from nova_pets.cmd import documents
from nova_pets.cmd import layout
from nova_pets.cmd import words

Document = documents.Document
Column = layout.Column

_MOST_RECOVERIES = 15
"""Rows of the status; ``list`` has them all."""
_SEE_ABOVE = 'see above'


def status(doc: Document, width: int) -> str:
    lines = [_right(doc['headline'], f'{words.clock(doc["at"])} UTC', width)]
    lines += [''] + layout.fields([
        ('Hosts', _hosts_line(doc['hosts'])),
        ('Pets', _pets_line(doc['pets'])),
        ('Engines', _engines_line(doc['engines']))], width)
    about = {alarm['about'] for alarm in doc['alarms']}
    for alarm in doc['alarms']:
        lines += layout.heading(f'Somebody must act: {alarm["about"]}')
        lines += layout.paragraph(_sentence(alarm['text']), width)
        lines += [f'    {command}' for command in alarm['commands']]
    if doc['hosts']['not_up']:
        lines += layout.heading('Hosts that are not up')
        lines += [_host_table(doc['hosts']['not_up'], width, about)]
    lines += _recoveries_part(doc['recoveries'], width, about)
    if doc['waits']:
        lines += layout.heading('Waiting for')
        for text in doc['waits']:
            lines += layout.paragraph(text, width, '  - ', '    ')
    if doc['orders']:
        lines += layout.heading('Orders of people, in force')
        for order in doc['orders']:
            lines += layout.paragraph(_order_line(order), width, '  - ',
                                      '    ')
    if doc['pets']['unprotected']:
        lines += layout.heading('Not protected')
        for row in doc['pets']['unprotected_by_reason']:
            lines += layout.paragraph(
                f'{words.count(row["pets"], "pet")}: {row["reason_text"]}',
                width, '  - ', '    ')
    if doc['warnings']:
        lines += layout.heading('Note')
        for text in doc['warnings']:
            lines += layout.paragraph(text, width, '  - ', '    ')
    lines += _commands_part(_not_shown(doc))
    return '\n'.join(lines)


def _not_shown(doc: Document) -> list[str]:
    """The commands of a status that stand under no alarm already."""
    shown = {command for alarm in doc['alarms']
             for command in alarm['commands']}
    rest = [command for command in doc['commands'] if command not in shown]
    if doc['recoveries']['open']:
        rest.append('nova-manage pets show INSTANCE')
    if doc['pets']['unprotected']:
        rest.append('nova-manage pets list --state unprotected')
    return rest


def _hosts_line(hosts: Document) -> str:
    if not hosts['total']:
        return 'none known yet'
    by_state = dict(hosts['by_state'])
    up = by_state.pop('up', 0)
    return ', '.join([f'{up} up'] + [f'{number} {state}' for state, number
                                     in sorted(by_state.items())])


def _pets_line(pets: Document) -> str:
    if not pets['total']:
        return 'none: no instance is tagged ha=true'
    if not pets['unprotected']:
        return f'{pets["total"]}, all protected'
    return (f'{pets["total"]}, {pets["protected"]} protected, '
            f'{pets["unprotected"]} not')


def _engines_line(engines: Document) -> str:
    text = {'alive': f'{engines["at_work"]} at work',
            'silent': 'none alive',
            'none': 'none',
            'unknown': (f'{engines["at_work"]} at work, but none moved '
                        f'within {engines["watched_s"]:.0f} s')}.get(
                            engines['answer'], engines['answer'])
    if not engines['rows']:
        return text
    if engines['in_reserve'] and engines['answer'] == 'alive':
        text += f', {engines["in_reserve"]} in reserve'
    text += f'; mode {" and ".join(engines["modes"])}'
    text += f'; gate {"loaded" if engines["gate_loaded"] else "NOT loaded"}'
    return text + f'; version {" and ".join(engines["versions"])}'


def _recoveries_part(recoveries: Document, width: int, about: set[str]
                     ) -> list[str]:
    rows = recoveries['rows']
    if not rows:
        return []
    lines = layout.heading('Recoveries under way') + [_recovery_table(
        rows[:_MOST_RECOVERIES], width, about)]
    if len(rows) > _MOST_RECOVERIES:
        by_state = ', '.join(f'{number} {state}' for state, number in
                             recoveries['by_state'].items())
        lines.append(f'  and {len(rows) - _MOST_RECOVERIES} more '
                     f'(in all: {by_state})')
    return lines


def _recovery_table(rows: list[Document], width: int, about: set[str]
                    ) -> str:
    """:param about: what an alarm above the table is about already."""
    shown = [{
        'name': words.instance(row['name'], row['uuid']),
        'state': row['state'].replace('_', ' '),
        'where': _where(row), 'attempts': row['attempts'],
        'since': words.duration(row['since_s']),
        'why': _SEE_ABOVE if words.instance(row['name'], row['uuid']) in
        about else _why(row)} for row in rows]
    return layout.table(
        [Column('Instance', 'name', least=12),
         Column('State', 'state', least=9),
         Column('From > to', 'where', rank=1, least=10),
         Column('Tries', 'attempts', rank=2, number=True),
         Column('For', 'since', least=12),
         Column('Why', 'why', least=26)], shown, width)


def _where(row: Document) -> str:
    if row['destination']:
        return f'{row["source"]} > {row["destination"]}'
    return row['source']


def _why(row: Document) -> str:
    """The reason with its figures; the state's words without one."""
    text = row['reason_text'] or row['state_text']
    if row.get('detail') and row['detail'] not in text:
        text += f' ({row["detail"]})'
    return text


def _host_table(rows: list[Document], width: int,
                about: collections.abc.Collection[str] = ()) -> str:
    shown = [{
        'host': row['host'], 'state': row['state'], 'epoch': row['epoch'],
        'since': words.duration(row['since_s']),
        'pets': row['pets'] or None, 'open': row['open_recoveries'] or None,
        'fence': _fence_word(row),
        'why': _SEE_ABOVE if row['host'] in about else _host_why(row)}
        for row in rows]
    return layout.table(
        [Column('Host', 'host', least=10), Column('State', 'state', least=9),
         Column('For', 'since', rank=1, least=12),
         Column('Pets', 'pets', rank=3, number=True),
         Column('Leaving', 'open', rank=2, number=True),
         Column('Fence', 'fence', rank=4),
         Column('Why', 'why', least=26)], shown, width)


def _fence_word(row: Document) -> str:
    return {True: 'works', False: 'does not work',
            None: 'never asked'}[row['fence_ready']]


def _host_why(row: Document) -> str:
    if row['state'] == 'up' and not row['reason_text']:
        return row['state_text']
    text = row['reason_text'] or row['state_text']
    maintenance = row.get('maintenance')
    if maintenance:
        text = f'in maintenance; {text}'
    return text


def _order_line(order: Document) -> str:
    where = {'all': 'the whole cloud'}.get(
        order['scope'], f'{order["scope"]} {order["target"]}')
    until = f', until {words.clock(order["until_at"])} UTC' \
        if order['until_at'] else ''
    return (f'{where}: {order["kind_text"]}{until}; by '
            f'{order["actor"] or "somebody"} {words.ago(order["since_s"])}, '
            f'"{order["reason"]}"')


def _commands_part(commands: list[str], title: str = 'You may'
                   ) -> list[str]:
    if not commands:
        return []
    return layout.heading(title) + [f'    {text}' for text in commands]


# -- the other screens --------------------------------------------------------


def instances(doc: Document, width: int) -> str:
    rows = doc['pets']
    if not rows:
        return 'No such pet.'
    shown = [{
        'name': row['name'], 'uuid': row['uuid'], 'host': row['host'],
        'vm_state': row['vm_state'], 'priority': row['priority'],
        'project': row['project_id'],
        'state': _protection(row)} for row in rows]
    table = layout.table(
        [Column('Name', 'name', least=8),
         Column('Instance', 'uuid', rank=3, least=36),
         Column('Host', 'host', least=8),
         Column('In nova', 'vm_state', rank=2),
         Column('Priority', 'priority', rank=4, number=True),
         Column('Project', 'project', rank=5, least=32),
         Column('HA', 'state', least=20)], shown, width)
    protected = sum(1 for row in rows if row['protected'])
    return f'{table}\n{words.count(len(rows), "pet")}, ' \
           f'{protected} protected.'


def _protection(row: Document) -> str:
    recovery = row['recovery']
    if recovery:
        return f'{recovery["state"].replace("_", " ")}: {_why(recovery)}'
    if row['protected']:
        return 'protected' if not row['problems'] else (
            f'protected; {"; ".join(row["problems"])}')
    return 'NOT protected: ' + '; '.join(
        why['reason_text'] for why in row['unprotected'])


def hosts(doc: Document, width: int) -> str:
    rows = doc['hosts']
    if not rows:
        return 'No such host.'
    parts = [_host_table(rows, width)]
    if len(rows) == 1:
        parts += _host_details(rows[0], width)
    return '\n'.join(parts)


def _host_details(row: Document, width: int) -> list[str]:
    since = f'{words.clock(row["since_at"])} UTC, ' \
            f'{words.ago(row["since_s"])}' if row['since_at'] else ''
    pairs = [('State', f'{row["state"]}: {row["state_text"]}'),
             ('Since', since), ('Cell', row['cell_uuid']),
             ('Epoch', str(row['epoch'])),
             ('Proof', row['proof_text']),
             ('Fence', _fence_word(row) + (
                 f': {row["fence_detail"]}' if row['fence_detail'] else ''))]
    pairs += [('Witness', documents.witness_text(one))
              for one in row['witnesses']]
    return [''] + layout.fields(pairs, width) + _commands_part(
        row['commands'])


def instance(doc: Document, width: int) -> str:
    recovery, pet = doc['recovery'], doc['pet']
    project = (pet or recovery)['project_id']
    lines = [_right(f'{doc["name"]}  {doc["uuid"]}',
                    f'{words.clock(doc["at"])} UTC', width)]
    lines += [''] + layout.fields(
        _now_pairs(doc) + [('Project', project)] + _pet_pairs(pet), width)
    if doc['attempts']:
        lines += layout.heading('What was tried')
        lines += [_attempt_table(doc['attempts'], width)]
    if doc['waits']:
        lines += layout.heading('Waiting for')
        for text in doc['waits']:
            lines += layout.paragraph(text, width, '  - ', '    ')
    if doc['orders']:
        lines += layout.heading('Orders of people that concern it')
        for order in doc['orders']:
            lines += layout.paragraph(_order_line(order), width, '  - ',
                                      '    ')
    lines += _commands_part(doc['commands'], 'You may now')
    lines += ['', f'Its history: nova-manage pets history --instance '
              f'{doc["name"] or doc["uuid"]}']
    return '\n'.join(lines)


def _now_pairs(doc: Document) -> list[tuple[str, str]]:
    """What state, since when, waiting for what."""
    row, pet, source = doc['recovery'], doc['pet'], doc['source']
    if row is None or not row['is_open']:
        state = 'not tagged for HA any more' if pet is None else (
            _protection(pet))
        pairs = [('Now', f'{state[0].upper()}{state[1:]}'),
                 ('Host', _host_of(pet, source))]
        if row is not None:
            pairs.append(('Last', _last_recovery(row)))
        return pairs
    pairs = [
        ('Now', f'{row["state"].replace("_", " ")}: {row["state_text"]}'),
        ('Since', f'{words.clock(row["since_at"])} UTC '
         f'({words.duration(row["since_s"])})' if row['since_at'] else ''),
        ('Why', _why(row) if row['reason_text'] or row['detail'] else ''),
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
    storage = 'boots from a volume' if pet['boot_from_volume'] else (
        f'storage domain {pet["storage_domain"]}'
        if pet['storage_domain'] else 'image-backed, no storage domain')
    return [('In nova', pet['vm_state'] or ''),
            ('Priority', f'{pet["priority"]}{where("priority")}'),
            ('Disk', f'{disk.get(pet["disk"], pet["disk"])}'
             f'{where("disk")}; {storage}'),
            ('Tags', '; '.join(pet['problems']))]


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


def history(doc: Document, width: int) -> str:
    rows = doc['events']
    if not rows:
        return 'Nothing on record.'
    shown = [{'at': words.clock(row['at']), 'what': _event_text(row),
              'actor': row['actor']} for row in rows]
    return layout.table(
        [Column('When (UTC)', 'at', least=10),
         Column('What', 'what', least=24),
         Column('Who', 'actor', rank=1, least=10)], shown, width)


def _event_text(row: Document) -> str:
    """'recovery db1: pending -> ready (its host is proven off)'."""
    about = []
    if row['uuid']:
        about.append(words.instance(row['name'], row['uuid']))
    elif row['host']:
        about.append(row['host'])
    if row['from'] or row['to']:
        about.append(f'{row["from"] or "new"} -> {row["to"] or "gone"}')
    why = row['text'] or row['reason_text']
    if row['text'] and row['reason_text'] and not _says(row['text'],
                                                       row['reason_text']):
        why = f'{row["reason_text"]}; {row["text"]}'
    seen = '; '.join(documents.witness_text(one) for one in row['witnesses'])
    text = ': '.join(part for part in (': '.join(about), why) if part)
    return f'{text} [{seen}]' if seen else text


def _says(text: str, reason: str) -> bool:
    return reason.lower() in text.lower()


def engines(rows: collections.abc.Sequence[Document], width: int) -> str:
    shown = [{
        'host': row['host'], 'worker': row['worker'],
        'work': 'in reserve' if row['slot'] is None else
        f'at work (slot {row["slot"]})',
        'mode': row['mode'], 'gate': 'loaded' if row['gate_loaded']
        else 'NOT loaded', 'version': row['version'],
        'renewed': words.ago(row['silent_s'])} for row in rows]
    return layout.table(
        [Column('Scheduler', 'host', least=10),
         Column('Worker', 'worker', rank=2), Column('Does', 'work'),
         Column('Mode', 'mode'), Column('Gate', 'gate'),
         Column('Version', 'version', rank=1),
         Column('Renewed', 'renewed', rank=3)], shown, width)


def _right(left: str, right: str, width: int) -> str:
    """Both on one line where they fit, else one below the other."""
    gap = width - len(left) - len(right)
    if gap >= 2:
        return left + ' ' * gap + right
    return '\n'.join(layout.paragraph(left, width, '') + [right])


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(('.', '!', '?')) else text + '.'
