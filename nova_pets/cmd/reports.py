# SPDX-License-Identifier: Apache-2.0
"""The whole documents of the verbs that look: what ``--json`` prints; pure.

Made of the row documents (documents.py); the same promise holds: keys are
added, never renamed or removed. Each has ``exit_code``.
"""

import collections.abc

from nova_pets.cmd import documents
from nova_pets.cmd import questions
from nova_pets.cmd import words
from nova_pets.model import reasons
from nova_pets.model import records
from nova_pets.model import states

Document = documents.Document


def status(facts: questions.Facts) -> Document:
    code = questions.exit_code(facts)
    alarms = questions.alarms(facts)
    pets_on, open_on = _per_host(facts)
    return {
        'exit_code': int(code), 'verdict': code.name.lower(),
        'headline': _headline(facts, alarms),
        'at': words.iso(facts.now), 'mode': str(facts.mode),
        'engines': _engines(facts),
        'hosts': {
            'total': len(facts.hosts),
            'by_state': documents.states_counted(facts.hosts),
            'not_up': [
                documents.host(row, facts.now, pets_on.get(row.host, 0),
                               open_on.get(row.host, 0))
                for row in facts.hosts
                if row.state is not states.HostState.UP]},
        'pets': documents.pet_counts(facts.pets),
        'recoveries': {
            'open': len(facts.recoveries),
            'by_state': documents.states_counted(facts.recoveries),
            'rows': [documents.recovery(row, facts.now)
                     for row in facts.recoveries]},
        'orders': _orders(facts),
        'waits': waits(facts.engines),
        'warnings': questions.warnings(facts),
        'alarms': [{'about': alarm.about, 'text': alarm.text,
                    'commands': list(alarm.commands)} for alarm in alarms],
        'commands': _may_do(facts, alarms),
    }


def waits(engines: collections.abc.Iterable[records.Engine]) -> list[str]:
    """What working engines say that they wait for; each sentence once."""
    said: dict[str, None] = {}
    for engine in documents.working(engines):
        said.update(dict.fromkeys(
            documents.engine(engine, None, None)['waits']))
    return list(said)


def _engines(facts: questions.Facts) -> Document:
    at_work = documents.working(facts.engines)
    return {
        'answer': str(facts.liveness.answer),
        'watched_s': round(facts.liveness.watched_s, 2),
        'at_work': len(at_work),
        'in_reserve': len(facts.engines) - len(at_work),
        'gate_loaded': bool(facts.engines) and all(
            engine.gate_loaded for engine in facts.engines),
        'modes': questions.modes_of(facts.engines),
        'versions': sorted({engine.version for engine in facts.engines}),
        'rows': [documents.engine(engine, facts.now,
                                  facts.liveness.of(engine.id))
                 for engine in facts.engines],
    }


def _headline(facts: questions.Facts, alarms: list[questions.Alarm]) -> str:
    parts = []
    if facts.recoveries:
        parts.append(words.count(len(facts.recoveries), 'recovery',
                                 'recoveries') + ' under way')
    if alarms:
        number = len(alarms)
        return '; '.join([
            f'{words.count(number, "matter")} '
            f'{"needs" if number == 1 else "need"} a person'] + parts) + '.'
    not_up = sum(1 for host in facts.hosts
                 if host.state is not states.HostState.UP)
    if not_up and not parts:
        parts.append(f'{words.count(not_up, "host")} not up')
    if facts.orders:
        parts.append(words.count(len(facts.orders), 'order') + ' in force')
    if questions.is_blind(facts):
        parts.append('no engine trusts its own view, so no host is found down')
    if parts:
        return '; '.join(parts).capitalize() + '; nobody has to act.'
    return 'All is well.'


def _may_do(facts: questions.Facts, alarms: list[questions.Alarm]
            ) -> list[str]:
    """Every command that may be of use now, the urgent ones first."""
    found: dict[str, None] = {}
    for alarm in alarms:
        found.update(dict.fromkeys(alarm.commands))
    for host in facts.hosts:
        if host.state is not states.HostState.UP:
            found.update(dict.fromkeys(
                reasons.next_commands(host.reason, host=host.host)))
    for order in facts.orders:
        command = end_command(order)
        if command:
            found[command] = None
    return list(found)


def end_command(order: records.Control) -> str:
    """Return how a standing order is ended; '' for those that end by
    themselves when they were obeyed."""
    option = '' if order.scope == 'all' else (
        f' --{order.scope} {order.target}')
    if order.kind is states.ControlKind.PAUSE:
        return f'nova-manage pets resume{option} --reason "..."'
    if order.kind is states.ControlKind.MAINTENANCE:
        return (f'nova-manage pets maintenance {order.target} --off '
                f'--reason "..."')
    if order.kind is states.ControlKind.APPROVAL:
        return f'nova-manage pets approve{option} --off --reason "..."'
    return ''


def _orders(facts: questions.Facts) -> list[Document]:
    names = {row.instance_uuid: words.instance(row.name, row.instance_uuid)
             for row in (*facts.recoveries, *facts.pets)}
    return [documents.order(row, facts.now, names.get(row.target))
            for row in facts.orders]


def _per_host(facts: questions.Facts) -> tuple[dict[str, int],
                                               dict[str, int]]:
    pets_on: dict[str, int] = {}
    open_on: dict[str, int] = {}
    for pet in facts.pets:
        if pet.host:
            pets_on[pet.host] = pets_on.get(pet.host, 0) + 1
    for recovery in facts.recoveries:
        open_on[recovery.source] = open_on.get(recovery.source, 0) + 1
    return pets_on, open_on


def instances(facts: questions.Facts, host: str | None = None,
              project: str | None = None, state: str | None = None
              ) -> Document:
    """The document of ``list``.

    :param host: where they are, or what they are being evacuated from.
    :param state: protected, unprotected, or a state of a recovery.
    """
    recoveries = {row.instance_uuid: row for row in facts.recoveries}
    rows = [documents.pet(pet, recoveries.pop(pet.instance_uuid, None),
                          facts.now) for pet in facts.pets]
    rows = [row for row in rows
            if host in (None, row['host'], _source(row)) and
            project in (None, row['project_id']) and
            (state is None or _has_state(row, state))]
    shown = {row['uuid'] for row in rows}
    worst = max((questions.recovery_exit(row) for row in facts.recoveries
                 if row.instance_uuid in shown), default=questions.Exit.WELL)
    return {'exit_code': int(worst), 'at': words.iso(facts.now),
            'pets': rows}


def _source(row: Document) -> str | None:
    return row['recovery']['source'] if row['recovery'] else None


def _has_state(row: Document, state: str) -> bool:
    if state in ('protected', 'unprotected'):
        return bool(row['protected']) is (state == 'protected')
    return row['recovery'] is not None and row['recovery']['state'] == state


def hosts(facts: questions.Facts, name: str | None = None,
          state: str | None = None) -> Document:
    pets_on, open_on = _per_host(facts)
    kept = [row for row in facts.hosts
            if name in (None, row.host) and state in (None, str(row.state))]
    codes = [questions.Exit.ACT if questions.is_alarming_host(row) else
             questions.Exit.WELL if row.state is states.HostState.UP else
             questions.Exit.UNDER_WAY for row in kept]
    held = {order.target: documents.order(order, facts.now)
            for order in facts.orders
            if order.kind is states.ControlKind.MAINTENANCE}
    rows = []
    for row in kept:
        one = documents.host(row, facts.now, pets_on.get(row.host, 0),
                             open_on.get(row.host, 0))
        one['maintenance'] = held.get(row.host)
        rows.append(one)
    return {'exit_code': int(max(codes, default=questions.Exit.WELL)),
            'at': words.iso(facts.now), 'hosts': rows}


def instance(pet: records.Pet | None, recovery: records.Recovery | None,
             attempts: collections.abc.Iterable[records.Attempt],
             source: records.Host | None, facts: questions.Facts
             ) -> Document:
    """The document of ``show``: one instance, its latest recovery."""
    uuid = pet.instance_uuid if pet else (
        recovery.instance_uuid if recovery else '')
    name = pet.name if pet else recovery.name if recovery else ''
    shown = recovery
    commands = []
    if shown is not None and shown.state in states.OPEN:
        commands = reasons.next_commands(
            shown.reason, instance=name or uuid, host=shown.source)
    elif pet is not None:
        for code in pet.unprotected:
            commands += reasons.next_commands(
                code, instance=name or uuid, host=pet.host or '')
    host = source.host if source is not None else None
    orders = [order for order in _orders(facts)
              if order['scope'] == 'all' or
              order['target'] in (uuid, host) or
              source is not None and order['target'] == source.cell_uuid]
    if source is not None and source.state is not states.HostState.UP:
        commands += reasons.next_commands(source.reason, instance=name,
                                          host=source.host)
    show_again = f'nova-manage pets show {name or uuid}'
    return {
        'exit_code': int(questions.recovery_exit(recovery)),
        'at': words.iso(facts.now), 'uuid': uuid, 'name': name,
        'pet': documents.pet(pet, None, facts.now) if pet else None,
        'rule': documents.rule(pet) if pet else None,
        'recovery': documents.recovery(shown, facts.now)
        if shown else None,
        'source': documents.host(source, facts.now) if source else None,
        'attempts': [documents.attempt(row, facts.now)
                     for row in attempts],
        'orders': orders, 'waits': _waits_of(shown, facts),
        'commands': [command for command in dict.fromkeys(commands)
                     if command != show_again],
    }


def _waits_of(recovery: records.Recovery | None, facts: questions.Facts
              ) -> list[str]:
    """What engines say that names the source of an open recovery."""
    if recovery is None or recovery.state not in states.OPEN:
        return []
    return [text for text in waits(facts.engines)
            if recovery.source in text or 'own view' in text]


def history(events: collections.abc.Iterable[records.Event],
            names: dict[str, str]) -> Document:
    """:param names: {instance uuid: name}, where known."""
    rows = []
    for row in events:
        one = documents.event(row)
        one['name'] = names.get(row.instance_uuid or '')
        rows.append(one)
    return {'exit_code': int(questions.Exit.WELL), 'events': rows}
