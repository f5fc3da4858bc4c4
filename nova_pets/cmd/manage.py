# SPDX-License-Identifier: Apache-2.0
"""The verbs of ``nova-manage pets`` and ``nova-pets-manage``; thin.

Each method of PetsCommands is one verb: it reads by reading.py, judges by
questions.py and orders.py, shows by screens.py and returns an exit code
(questions.Exit). The command never acts on the world: an order is a row of
pets_controls, and the engines in nova-scheduler act on it.

nova-manage finds PetsCommands through nova_pets/_nova_manage.py,
nova-pets-manage through program.py.
"""

import typing

from nova_pets import exception
from nova_pets.cmd import arguments
from nova_pets.cmd import audit as audit_module
from nova_pets.cmd import check as check_module
from nova_pets.cmd import instance_orders
from nova_pets.cmd import instance_screen
from nova_pets.cmd import orders
from nova_pets.cmd import questions
from nova_pets.cmd import reading
from nova_pets.cmd import reports
from nova_pets.cmd import screens
from nova_pets.cmd import simulate
from nova_pets.cmd import verb
from nova_pets.cmd import words
from nova_pets.model import states

class PetsCommands(simulate.SimulateVerb):
    """The category ``pets``; every public method is a verb."""

    description = (
        'Instance HA (nova-pets). To look: status, list, hosts, show, '
        'history, check, audit. To order: fence, confirm_fenced, release, '
        'maintenance (hosts); recover, retry, abandon (instances); pause, '
        'resume, approve (all, a cell or a host). To try: simulate. '
        'Tables: db_sync, '
        'db_version, purge. Exit codes: 0 well; 1 recovery, hold or pause '
        'under way; 2 somebody must act, an order was refused, or no engine '
        'is alive; 3 cannot tell (usage, database, schema); 255 unexpected.')

    # -- the tables -----------------------------------------------------------

    @verb.verb('Create or upgrade the tables in the API database.')
    def db_sync(self) -> int:
        from nova_pets.db import schema
        engine = self._access.database_engine()
        before = schema.version(engine)
        schema.sync(engine)
        after = schema.version(engine)
        return self._say(
            {'exit_code': 0, 'from': before, 'to': after},
            f'The tables are at schema {after}, as before.'
            if before == after else
            f'The tables went from schema {before or "none"} to {after}.')

    @verb.verb('Show the schema of the tables, and the one that is expected.')
    def db_version(self) -> int:
        from nova_pets.db import schema
        found = schema.version(self._access.database_engine())
        problem = ''
        try:
            self._access.store()
        except exception.SchemaMismatch as error:
            problem = str(error)
        code = questions.Exit.CANNOT_TELL if problem else \
            questions.Exit.WELL
        return self._say({'exit_code': int(code), 'found': found,
                          'expected': schema.head(),
                          'problem': problem or None},
                         problem or f'{found}')

    @arguments.args('--before', metavar='<date>', required=True,
                    help='UTC: 2026-11-21, "2026-11-21 03:14", or 30d (ago).')
    @verb.verb('Delete old history: closed recoveries, events, ended orders.')
    def purge(self, before: str) -> int:
        store = self._access.store()
        now = store.now()
        when = questions.parse_when(before, now, '--before')
        if when > now:
            raise exception.OperatorError(problem=(
                f'cannot purge before {words.clock(words.iso(when))} UTC: '
                f'expected a time in the past, it is '
                f'{words.clock(words.iso(now))} UTC'))
        counts = store.purge(when)
        text = ', '.join(f'{number} {table.removeprefix("pets_")}'
                         for table, number in sorted(counts.items()))
        return self._say(
            {'exit_code': 0, 'before': words.iso(when), 'deleted': counts},
            f'Deleted what was closed before {words.clock(words.iso(when))} '
            f'UTC:\n  {text or "nothing"}.')

    # -- to look --------------------------------------------------------------

    @verb.verb('What is broken, what is done about it, what you may do.')
    def status(self) -> int:
        facts = reading.facts(self._access.store(),
                              self._access.settings())
        return self._show(reports.status(facts), screens.status)

    @arguments.args('--state', metavar='<state>',
                    help='protected, unprotected, or a state of recovery.')
    @arguments.args('--project', metavar='<project>',
                    help='Only of this project.')
    @arguments.args('--host', metavar='<host>', help='Only on this host.')
    @verb.verb('The instances that are tagged for HA.')
    def list(self, host: str | None = None, project: str | None = None,
             state: str | None = None) -> int:
        verb.expect_one_of('--state', state, ('protected', 'unprotected') +
                       tuple(str(one) for one in sorted(states.OPEN)))
        store = self._access.store()
        if host is not None:
            host = reading.find_host(store, host).host
        facts = reading.facts(store, self._access.settings(),
                              is_watching=False)
        return self._show(reports.instances(facts, host, project, state),
                          screens.instances)

    @arguments.args('--state', metavar='<state>', help='Only in this state.')
    @arguments.args('--host', metavar='<host>',
                    help='Only this one, with details.')
    @verb.verb('The compute hosts, their states and their fences.')
    def hosts(self, host: str | None = None, state: str | None = None
              ) -> int:
        verb.expect_one_of('--state', state,
                       tuple(str(one) for one in states.HostState))
        store = self._access.store()
        if host is not None:
            host = reading.find_host(store, host).host
        facts = reading.facts(store, self._access.settings(),
                              is_watching=False)
        return self._show(reports.hosts(facts, host, state), screens.hosts)

    @arguments.args('instance', metavar='<instance>',
                    help='uuid, a unique first part of it, or a unique name.')
    @verb.verb('One instance: what state, since when, waiting for what, what '
           'was tried, what may be done now.')
    def show(self, instance: str) -> int:
        store = self._access.store()
        uuid, = reading.find_instances(store, [instance])
        pet = reading.one_pet(store, uuid)
        recovery = reading.latest_recovery(store, uuid)
        tried = store.attempts(recovery.id) if recovery is not None and \
            recovery.id is not None else []
        is_open = recovery is not None and recovery.state in states.OPEN
        name = recovery.source if recovery is not None and (
            is_open or pet is None) else pet.host if pet else None
        facts = reading.facts(store, self._access.settings(),
                              is_watching=False)
        return self._show(
            reports.instance(pet, recovery, tried,
                             store.host(name) if name else None, facts),
            instance_screen.screen)

    @arguments.args('--limit', type=int, default=1000, metavar='<lines>',
                    help='The newest lines only (default 1000).')
    @arguments.args('--since', metavar='<date>',
                    help='UTC: 2026-11-21, "2026-11-21 03:14", or 2h (ago).')
    @arguments.args('--host', metavar='<host>', help='Only of this host.')
    @arguments.args('--instance', metavar='<instance>',
                    help='Only of this instance.')
    @verb.verb('Who did what, when and why.')
    def history(self, instance: str | None = None, host: str | None = None,
                since: str | None = None, limit: int = 1000) -> int:
        if limit < 1:
            raise exception.OperatorError(problem=(
                f'cannot use --limit {limit}: expected 1 or more'))
        store = self._access.store()
        uuid = None
        if instance is not None:
            uuid, = reading.find_instances(store, [instance])
        if host is not None:
            host = reading.find_host(store, host).host
        when = questions.parse_when(since, store.now(), '--since') \
            if since is not None else None
        events = store.history(instance_uuid=uuid, host=host, since=when,
                               limit=limit)
        return self._show(
            reports.history(events, reading.names(store, events)),
            screens.history)

    @arguments.args('--fencing', action='store_true', dest='with_fencing',
                    help='Ask every fencing device for its power state too.')
    @verb.verb('What is wrong with the configuration.')
    def check(self, with_fencing: bool = False) -> int:
        document = check_module.run(
            self._access, None if self._as_json else self._console,
            with_fencing)
        return self._show(document, check_module.screen)

    @arguments.args('--reason', metavar='<text>', default='audit --fix',
                    help='With --fix: why; kept in the history.')
    @arguments.args('--fix', action='store_true', dest='is_fixing',
                    help='Have an engine mend what is safe, then look.')
    @verb.verb('What should not be: stale records, leaked room, stray guests.')
    def audit(self, is_fixing: bool = False, reason: str = 'audit --fix'
              ) -> int:
        document = audit_module.run(
            self._access, None if self._as_json else self._console,
            verb.person_with(reason) if is_fixing else None)
        return self._show(document, audit_module.screen)

    # -- to order: hosts ------------------------------------------------------

    @arguments.EPOCH
    @arguments.order_args()
    @arguments.HOST
    @verb.verb('Power a host off and prove it, although it is held back.')
    def fence(self, host: str, reason: str, **manner: typing.Any) -> int:
        return self._order_on_host(orders.fence, host, reason, **manner)

    @arguments.EPOCH
    @arguments.order_args()
    @arguments.HOST
    @verb.verb('Give your word that a host is off; its pets start elsewhere.')
    def confirm_fenced(self, host: str, reason: str,
                       epoch: int | None = None, is_sure: bool = False,
                       is_dry: bool = False) -> int:
        if is_sure and epoch is None:
            row = reading.find_host(self._access.store(), host)
            raise exception.OperatorError(problem=(
                f'cannot confirm with --yes alone: expected --epoch too, '
                f'so that your word is for what you looked at; {row.host} '
                f'is in epoch {row.epoch}'))
        return self._order_on_host(orders.confirm_fenced, host, reason,
                                   epoch, is_sure, is_dry)

    @arguments.EPOCH
    @arguments.order_args()
    @arguments.HOST
    @verb.verb('Let a host come back.')
    def release(self, host: str, reason: str, **manner: typing.Any) -> int:
        return self._order_on_host(orders.release, host, reason, **manner)

    @arguments.args('--off', action='store_true', dest='is_off',
                    help='End the maintenance.')
    @arguments.args('--until', metavar='<date>',
                    help='UTC, or a distance (4h). Default: until --off.')
    @arguments.order_args(is_asked=False)
    @arguments.HOST
    @verb.verb('Never fence this host while it is worked on; alarm only.')
    def maintenance(self, host: str, reason: str, until: str | None = None,
                    is_off: bool = False, is_dry: bool = False) -> int:
        store = self._access.store()
        if until is not None and is_off:
            raise exception.OperatorError(
                problem='cannot use --until with --off: expected one')
        until_at = None
        if until is not None:
            now = store.now()
            until_at = questions.parse_when(until, now, '--until',
                                            is_future=True)
            if until_at <= now:
                raise exception.OperatorError(problem=(
                    f'cannot use --until {until!r}: expected a time to '
                    f'come, it is {words.clock(words.iso(now))} UTC'))
        person = verb.person_with(reason)

        def decide() -> orders.Ruling:
            return orders.maintenance(
                reading.find_host(store, host), store.controls(), person,
                until_at, is_off)
        return self._carry_out(decide, person, True, is_dry)

    # -- to order: instances --------------------------------------------------

    @arguments.order_args()
    @arguments.args('--host', metavar='<host>',
                    help='All that it applies to there.')
    @arguments.INSTANCES
    @verb.verb('Begin the recovery of instances whose host is down.')
    def recover(self, reason: str, instances: typing.Sequence[str] = (),
                host: str | None = None, is_sure: bool = False,
                is_dry: bool = False) -> int:
        store, person = self._access.store(), verb.person_with(reason)
        uuids, on_host = self._which(instances, host)

        def decide() -> orders.Ruling:
            known = {row.host: row for row in store.snapshot().hosts}
            open_ones = {row.instance_uuid: row for row in
                         reading.open_recoveries(store)}
            if on_host is not None:
                pets = reading.all_pets(store, on_host)
            else:
                pets = store.pets(uuids=uuids)
                verb.expect_tagged(uuids, pets)
            return instance_orders.recover(
                pets, known, open_ones, store.controls(), person,
                is_host_wide=on_host is not None)
        return self._carry_out(decide, person, is_sure, is_dry)

    @arguments.order_args()
    @arguments.args('--host', metavar='<host>',
                    help='All that it applies to there.')
    @arguments.INSTANCES
    @verb.verb('Begin the next attempt now.')
    def retry(self, reason: str, instances: typing.Sequence[str] = (),
              host: str | None = None, is_sure: bool = False,
              is_dry: bool = False) -> int:
        return self._order_on_recoveries(
            instance_orders.retry, instances, host, reason, is_sure, is_dry)

    @arguments.order_args()
    @arguments.args('--host', metavar='<host>',
                    help='All that it applies to there.')
    @arguments.INSTANCES
    @verb.verb('End the recovery of instances; you take care of them.')
    def abandon(self, reason: str, instances: typing.Sequence[str] = (),
                host: str | None = None, is_sure: bool = False,
                is_dry: bool = False) -> int:
        return self._order_on_recoveries(
            instance_orders.abandon, instances, host, reason, is_sure, is_dry)

    # -- to order: all, a cell or a host --------------------------------------

    @arguments.order_args(is_scoped=True, is_asked=False)
    @verb.verb('Start no new recovery and power nothing off, until resume.')
    def pause(self, reason: str, cell: str | None = None,
              host: str | None = None, is_dry: bool = False) -> int:
        store, person = self._access.store(), verb.person_with(reason)
        scope, target = verb.scope_of(store, cell, host)
        return self._carry_out(
            lambda: orders.pause(scope, target, store.controls(), person),
            person, True, is_dry)

    @arguments.order_args(is_scoped=True, is_asked=False)
    @verb.verb('End a pause.')
    def resume(self, reason: str, cell: str | None = None,
               host: str | None = None, is_dry: bool = False) -> int:
        store, person = self._access.store(), verb.person_with(reason)
        scope, target = verb.scope_of(store, cell, host)
        return self._carry_out(
            lambda: orders.resume(scope, target, store.controls()),
            person, True, is_dry)

    @arguments.args('--off', action='store_true', dest='is_off',
                    help='Withdraw approvals.')
    @arguments.order_args(is_scoped=True)
    @verb.verb('Let hosts that a storm, or the limit of a day, holds back '
               'be powered off.')
    def approve(self, reason: str, cell: str | None = None,
                host: str | None = None, is_sure: bool = False,
                is_dry: bool = False, is_off: bool = False) -> int:
        store, person = self._access.store(), verb.person_with(reason)
        scope, target = verb.scope_of(store, cell, host)
        return self._carry_out(
            lambda: orders.approve(scope, target, store.snapshot().hosts,
                                   store.controls(), person, is_off),
            person, is_sure, is_dry)
