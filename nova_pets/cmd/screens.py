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
_MOST_ALARMS = 6
_MOST_ORDERS = 12
_SEE_ABOVE = 'see above'


def status(doc: Document, width: int) -> str:
    lines = [right(doc['headline'], f'{words.clock(doc["at"])} UTC', width)]
    lines += [''] + layout.fields([
        ('Hosts', _hosts_line(doc['hosts'])),
        ('Pets', _pets_line(doc['pets'])),
        ('Engines', _engines_line(doc['engines']))], width)
    about = {alarm['about'] for alarm in doc['alarms']}
    lines += _alarms_part(doc['alarms'], width)
    if doc['engines']['answer'] != 'alive' and doc['engines']['rows']:
        lines += layout.heading('Engines') + [
            engines(doc['engines']['rows'], width)]
    if doc['hosts']['not_up']:
        lines += layout.heading('Hosts that are not up')
        lines += [_host_table(doc['hosts']['not_up'], width, about)]
    lines += _recoveries_part(doc['recoveries'], width, about)
    if doc['waits']:
        lines += layout.heading('Waiting for')
        for text in doc['waits']:
            lines += layout.paragraph(text, width, '  - ', '    ')
    lines += orders_part(doc['orders'], 'Orders of people, in force', width)
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
    lines += commands_part(_not_shown(doc))
    return '\n'.join(lines)


def _alarms_part(alarms: list[Document], width: int) -> list[str]:
    lines = []
    for alarm in alarms[:_MOST_ALARMS]:
        lines += layout.heading(f'Somebody must act: {alarm["about"]}')
        lines += layout.paragraph(_sentence(alarm['text']), width)
        lines += [f'    {command}' for command in alarm['commands']]
    rest = [alarm['about'] for alarm in alarms[_MOST_ALARMS:]]
    if rest:
        lines += layout.heading(f'Somebody must act on {len(rest)} more')
        lines += layout.paragraph(words.listing(rest, 20), width)
        lines.append('    nova-manage pets list --state needs_operator')
    return lines


def orders_part(orders: list[Document], title: str, width: int
                 ) -> list[str]:
    if not orders:
        return []
    lines = layout.heading(title)
    for order in orders[:_MOST_ORDERS]:
        lines += layout.paragraph(_order_line(order), width, '  - ', '    ')
    if len(orders) > _MOST_ORDERS:
        lines.append(f'  - and {len(orders) - _MOST_ORDERS} more')
    return lines


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
    if engines['modes']:
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
        about else why(row)} for row in rows]
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


def why(row: Document) -> str:
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
        'why': _SEE_ABOVE if row['host'] in about else _hostwhy(row)}
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


def _hostwhy(row: Document) -> str:
    if row['state'] == 'up' and not row['reason_text']:
        return row['state_text']
    text = row['reason_text'] or row['state_text']
    maintenance = row.get('maintenance')
    if maintenance:
        text = f'in maintenance; {text}'
    return text


def _order_line(order: Document) -> str:
    where = {'all': 'the whole cloud'}.get(
        order['scope'], f'{order["scope"]} '
        f'{order["target_name"] or order["target"]}')
    until = f', until {words.clock(order["until_at"])} UTC' \
        if order['until_at'] else ''
    return (f'{where}: {order["kind_text"]}{until}; by '
            f'{order["actor"] or "somebody"} {words.ago(order["since_s"])}, '
            f'"{order["reason"]}"')


def commands_part(commands: list[str], title: str = 'You may'
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
        'state': protection(row)} for row in rows]
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


def protection(row: Document) -> str:
    recovery = row['recovery']
    if recovery:
        return f'{recovery["state"].replace("_", " ")}: {why(recovery)}'
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
    return [''] + layout.fields(pairs, width) + commands_part(
        row['commands'])


def history(doc: Document, width: int) -> str:
    rows = doc['events']
    if not rows:
        return 'Nothing on record.'
    shown = []
    told: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        seen = _news(row, told)
        shown.append({'at': words.clock(row['at']),
                      'what': _event_text(row, seen),
                      'actor': row['actor']})
    return layout.table(
        [Column('When (UTC)', 'at', least=10),
         Column('What', 'what', least=24),
         Column('Who', 'actor', rank=1, least=10)], shown, width)


def _news(row: Document, told: dict[str, set[tuple[str, str]]]
          ) -> list[Document]:
    """Return what witnesses saw, where it is not what was told before.

    :param told: {host: {(witness, sign)}}, changed here.
    """
    if not row['host'] or row['uuid']:
        return []
    seen = [one for one in row['witnesses']
            if one['sign'] != 'unknown' and one['detail'] not in row['text']]
    signs = {(one['witness'], one['sign']) for one in seen}
    if not seen or told.get(row['host']) == signs:
        return []
    told[row['host']] = signs
    return seen


def _event_text(row: Document, seen: list[Document]) -> str:
    """'db1 (5f0c3b1e): pending -> ready: its host is proven off'."""
    about = []
    if row['uuid']:
        about.append(words.instance(row['name'], row['uuid']))
    elif row['host']:
        about.append(row['host'])
    if row['from'] or row['to']:
        about.append(f'{row["from"] or "new"} -> {row["to"] or "gone"}')
    reason, text = row['reason_text'], row['text']
    if reason and text and reason.lower() not in text.lower():
        why = f'{reason} ({text})'
    else:
        why = text or reason
    saying = '; '.join(documents.witness_text(one) for one in seen)
    line = ': '.join(part for part in (': '.join(about), why) if part)
    return f'{line} [{saying}]' if saying else line


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


def right(left: str, right: str, width: int) -> str:
    """Both on one line where they fit, else one below the other."""
    gap = width - len(left) - len(right)
    if gap >= 2:
        return left + ' ' * gap + right
    return '\n'.join(layout.paragraph(left, width, '') + [right])


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(('.', '!', '?')) else text + '.'
