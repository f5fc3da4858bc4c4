# SPDX-License-Identifier: Apache-2.0
"""The judge: I1 to I10 and A1, asked after each step, from the truth.

Sees what no engine can: which guests really run, whether a machine really
lives, when a row really changed. Never changes anything. A wrong answer of
the product is a sentence in ``violations``.
"""

import collections
import collections.abc
import dataclasses
import typing

from nova_pets.model import policy as policy_module
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.planning import invariants
from nova_pets.planning import machine
from nova_pets.simulator import kernel as kernel_module
from nova_pets.simulator import memory_database
from nova_pets.simulator import nova_rows
from nova_pets.simulator import tables as tables_module
from nova_pets.simulator import world as world_module

H = states.HostState
R = states.RecoveryState

GRACE_S = 5.0
"""How long ago something must have become true before an engine that looks
every second must know it."""
LIFE_S = 10.0
"""A machine that answered for so long was seen by every witness."""
_JUDGED = frozenset({
    memory_database.HOSTS, memory_database.RECOVERIES,
    memory_database.ATTEMPTS, memory_database.EVENTS,
    memory_database.ENGINES})
_NEWLY_SILENT = frozenset({H.SUSPECT, H.DOWN, H.FENCING})

HOST_PAIRS = collections.defaultdict(set)
RECOVERY_PAIRS = collections.defaultdict(set)
for (_before, _event), _after in machine.HOST_TRANSITIONS.items():
    HOST_PAIRS[_before, _after].add(_event)
for (_before, _event), _after in machine.RECOVERY_TRANSITIONS.items():
    RECOVERY_PAIRS[_before, _after].add(_event)


@dataclasses.dataclass
class Truth:
    """What the judge may look at."""

    world: world_module.World
    instance: collections.abc.Callable[[str], nova_rows.Instance | None]
    """Nova's row, also of a deleted one."""
    database: memory_database.MemoryDatabase
    uncleaned: collections.abc.Callable[[str], list[nova_rows.Migration]]
    """Evacuation records for which a starting nova-compute of that host
    destroys its guest."""
    policy: policy_module.Policy
    workers: collections.abc.Callable[[], dict[str, typing.Any]]
    """Name of each scheduler worker -> its present incarnation."""


class Checks:
    """:param truth: whose kernel's trace is read along."""

    def __init__(self, truth: Truth):
        self._truth = truth
        self._kernel = truth.world.kernel
        self.violations: list[str] = []
        self.hits: collections.Counter[str] = collections.Counter()
        """How often each check had something to judge."""
        self.moves: collections.Counter[tuple[str, str, str]] = (
            collections.Counter())
        """(kind, from, to) of every transition that was written."""
        self.mended: collections.Counter[str] = collections.Counter()
        """{finding: how often an audit mended it}"""
        self._read = 0
        self._writes: list[tuple[str, typing.Any, typing.Any,
                                 typing.Any]] = []
        self._since: dict[str, tuple[H, float]] = {}
        self._renewed: dict[str, dict[int, float]] = (
            collections.defaultdict(dict))
        """{engine: {renewals: when that was written}}; a failover may take
        the row back to an earlier one."""
        self._answers_since: dict[str, float | None] = {}
        self._offered: dict[str, float] = {}
        """When placement last offered hosts for an instance."""
        self.untagged_at: dict[str, float] = {}
        self.forced: set[str] = set()
        """Instances that a person sent to a host of their choice."""
        self.forced_at: dict[str, float] = {}
        """When a person last did so."""
        self.requested_at: list[float] = []
        """When engines asked for evacuations."""
        truth.database.tables.on_commit = self._committed

    def _committed(self, written: list[tuple[
            str, typing.Any, typing.Any, int]]) -> None:
        """Keep what was really committed: the last value of each row."""
        before: dict[tuple[str, typing.Any], typing.Any] = {}
        for table, key, old, _ in written:
            before.setdefault((table, key), old)
        tables = self._truth.database.tables
        for (table, key), old in before.items():
            if table in _JUDGED:
                self._writes.append((
                    table, key, None if old is tables_module.MISSING
                    else old, tables.get(table, key)))

    # -- one step ------------------------------------------------------------

    def step(self) -> None:
        """Judge what the last step of the kernel did."""
        lines = self._kernel.lines
        while self._read < len(lines):
            line = lines[self._read]
            self._read += 1
            judge = _JUDGES.get(line[1])
            if judge is not None:
                judge(self, *line[2:])
        if self._writes:
            writes, self._writes = self._writes, []
            self._judge_writes(writes)

    def broken(self, number: str, sentence: str) -> None:
        self.violations.append(
            f'{number} at {self._kernel.now - kernel_module.START:.1f}: '
            f'{sentence}')

    # -- what really runs ----------------------------------------------------

    def guest_runs(self, host: str, uuid: str) -> None:
        self.hits['I1'] += 1
        running = self._truth.world.running(uuid)
        if len(running) > 1:
            self.broken('I1', f'{uuid} runs on {" and ".join(running)}')
        row = self._truth.database.hosts.get(host)
        since = self._since.get(host)
        found = self._truth.instance(uuid)
        is_at_home = found is not None and found.host == host
        if row is None or since is None or uuid in self.forced or is_at_home:
            return
        self.hits['I10'] += 1
        is_unsafe = row.state not in (H.UP, H.SUSPECT)
        if is_unsafe and self._kernel.now - since[1] > 120.0:
            self.broken('I10', f'{uuid} was started on {host}, which is '
                               f'{row.state} for long')

    def nova_step(self, step: str, uuid: str = '', host: str = '',
                  *more: typing.Any) -> None:
        """A scheduler chose a destination; no person forced it."""
        if step == 'candidates':
            self._offered[uuid] = self._kernel.now
        if step != 'claimed':
            return
        offered_at = self._offered.get(uuid, self._kernel.now)
        if self._kernel.now - offered_at > GRACE_S:
            return  # its process stood still between filters and claim
        self.hits['I10'] += 1
        row = self._truth.database.hosts.get(host)
        since = self._since.get(host)
        if row is not None and row.state is not H.UP and since and (
                self._kernel.now - since[1] > GRACE_S):
            self.broken('I10', f'{uuid} was sent to {host}, which is '
                               f'{row.state}')

    # -- outside calls -------------------------------------------------------

    def outside(self, worker: str, port: str, method: str,
                *args: typing.Any) -> None:
        if method == 'evacuate':
            self._evacuate(worker, args[1], args[2])
        elif method == 'power_off':
            self._power_off(worker, args[0])
        elif method == 'start':
            self._start(worker, args[1])
        elif method == 'remove_leak':
            self._remove_leak(worker, args[1], args[2])

    def _is_prompt(self, worker: str) -> bool:
        """False: the engine was stopped, or slow, inside this very call;
        it may finish what it had begun (design.md, section 9)."""
        found = self._truth.workers().get(worker)
        if found is None:
            return False
        limit_s = 0.3 * self._truth.policy.claim_ttl_s
        return bool(self._kernel.now - found.call_began <= limit_s)

    def _evacuate(self, worker: str, uuid: str, request_id: str) -> None:
        database, world = self._truth.database, self._truth.world
        attempt_id = database.request.get(request_id)
        attempt = database.attempts.get(attempt_id or 0)
        if attempt is None:
            return  # a failover lost it; I2 judges the effect
        self.requested_at.append(self._kernel.now)
        if not self._is_prompt(worker):
            return  # Nova's row and the gate decide; I1 judges the effect
        self.hits['I3'] += 1
        host = world.hosts[attempt.source]
        if uuid in host.running():
            self.broken('I3', f'{uuid} is evacuated while it runs on '
                              f'{attempt.source}')
        row = database.hosts[attempt.source]
        if row.state is not H.FENCED or row.proof is None:
            self.broken('I3', f'{uuid} is evacuated from {attempt.source}, '
                              f'which is {row.state}')
        self.hits['I2'] += 1
        if attempt.outcome is not states.Outcome.OPEN:
            self.broken('I2', f'{request_id} of {uuid} is sent, but ended '
                              f'as {attempt.outcome}')
        self.hits['I6'] += 1
        found = self._truth.instance(uuid)
        if found is None or found.deleted:
            # Nova itself refuses one that was deleted at the last moment.
            deleted_at = found.deleted_at if found else None
            if deleted_at is None or self._kernel.now - deleted_at > GRACE_S:
                self.broken('I6', f'{uuid} is evacuated, and deleted')
            return
        gone_at = self.untagged_at.get(uuid)
        if gone_at is not None and self._kernel.now - gone_at > GRACE_S:
            self.broken('I6', f'{uuid} is evacuated, and untagged')

    def _power_off(self, worker: str, host: str) -> None:
        database = self._truth.database
        row = database.hosts[host]
        self.hits['I4'] += 1
        if row.state in states.PROVEN_OFF and self._is_prompt(worker):
            self.broken('I4', f'{host} is fenced again in epoch '
                              f'{row.epoch}')
        since = self._since.get(host)
        answers = self._answers(host)
        sees = self._truth.workers().get(worker)
        if (answers is not None and since is not None and
                self._kernel.now - answers > LIFE_S and sees is not None and
                not sees.machine.sees_no_hosts and
                not sees.machine.is_cut_off and self._is_prompt(worker)
                and row.reason != 'operator_fence'):
            self.broken('I4', f'{host} is fenced and has answered for '
                              f'{self._kernel.now - answers:.0f} s')
        self._storm(worker, host, row)

    def _storm(self, worker: str, host: str, row: records.Host) -> None:
        if row.reason == 'operator_fence' or not self._is_prompt(worker):
            return
        self.hits['I5'] += 1
        database, policy = self._truth.database, self._truth.policy
        silent = {
            name: known.cell_uuid for name, known in database.hosts.items()
            if known.state in _NEWLY_SILENT and name != host and
            self._kernel.now - self._since.get(
                name, (known.state, self._kernel.now))[1] > GRACE_S}
        known = [other.cell_uuid for other in database.hosts.values()]
        here = [name for name, cell in silent.items()
                if cell == row.cell_uuid]
        limit = max(policy.storm_hosts, int(
            policy.storm_share * known.count(row.cell_uuid)))
        is_approved = any(
            control.kind is states.ControlKind.APPROVAL
            for control in database.controls.values())
        if len(here) + 1 > limit and not is_approved:
            self.broken('I5', f'{host} is fenced in a storm: '
                              f'{", ".join(sorted(here))} silent too')

    def _start(self, worker: str, uuid: str) -> None:
        self.hits['I6'] += 1
        recovery_id = self._truth.database.open_recovery.get(uuid)
        recovery = self._truth.database.recoveries.get(recovery_id or 0)
        if recovery is not None and (
                recovery.desired_power is states.DesiredPower.STOPPED):
            self.broken('I6', f'{uuid} is started, and its owner stopped it')

    def _remove_leak(self, worker: str, uuid: str, host: str) -> None:
        """A1: an audit takes nothing away from a guest that runs."""
        self.hits['A1'] += 1
        if host in self._truth.world.running(uuid) and (
                self._is_prompt(worker)):
            self.broken('A1', f'allocations of {uuid} on {host} are removed, '
                              f'and it runs there')

    def _answers(self, host: str) -> float | None:
        """Return since when the machine answers all the time."""
        return self._answers_since.get(host)

    def look_at_hosts(self) -> None:
        """Once a second: which machines answer."""
        for name, host in self._truth.world.hosts.items():
            if not host.answers_tcp:
                self._answers_since[name] = None
            elif self._answers_since.get(name) is None:
                self._answers_since[name] = self._kernel.now

    # -- writes --------------------------------------------------------------

    def _judge_writes(self, writes: list[tuple[
            str, typing.Any, typing.Any, typing.Any]]) -> None:
        told = [new for table, _, old, new in writes
                if table == memory_database.EVENTS and new is not None]
        for line in told:
            if line.code == 'audit_mended':
                finding = line.evidence['audit']['finding']
                self.mended[finding] += 1
                self._kernel.note('audit mends', line.instance_uuid, finding,
                                  line.text)
        for table, key, old, new in writes:
            if new is None:
                continue
            if table == memory_database.HOSTS:
                self._host(key, old, new, told)
            elif table == memory_database.RECOVERIES:
                self._recovery(key, old, new, told)
            elif table == memory_database.ATTEMPTS:
                self.hits['I2'] += 1
                database = self._truth.database
                self._add(invariants.open_attempts(
                    database.attempts[one] for one in sorted(
                        database.attempts_of[new.recovery_id])))
            elif table == memory_database.ENGINES:
                self._engine(old, new)

    def _add(self, wrong: list[str]) -> None:
        for sentence in wrong:
            self.broken(sentence[:2], sentence)

    def _host(self, key: str, old: records.Host | None, new: records.Host,
              told: list[records.Event]) -> None:
        self.hits['I7'] += 1
        self._add(invariants.host_write(old, new, told))
        if old is None:
            self._since[key] = (new.state, self._kernel.now)
            return
        self._owner('host', key, old.owner, new.owner)
        if old.state is new.state:
            return
        self._since[key] = (new.state, self._kernel.now)
        self.moves['host', old.state, new.state] += 1
        self._kernel.note('host', key, str(old.state), str(new.state),
                          new.reason)
        if new.state is H.UP and old.state is H.RETURNING:
            self._came_back(key)

    def _recovery(self, key: int, old: records.Recovery | None,
                  new: records.Recovery, told: list[records.Event]) -> None:
        self.hits['I7'] += 1
        self._add(invariants.recovery_write(old, new, told))
        if old is None:
            self.moves['recovery', '', new.state] += 1
            return
        self._owner('recovery', key, old.owner, new.owner)
        if old.state is new.state:
            return
        self.moves['recovery', old.state, new.state] += 1
        self._kernel.note('recovery', new.instance_uuid, str(old.state),
                          str(new.state), new.reason)
        if new.state is R.RECOVERED or new.reason == 'source_returned' and (
                new.state is R.ABANDONED):
            self._ended_at_home(new.instance_uuid)

    def _owner(self, kind: str, key: typing.Any, old: str | None,
               new: str | None) -> None:
        if old in (None, new) or new is None:
            return
        self.hits['I9'] += 1
        self._add(invariants.owner_change(
            kind, key, old, new, self._truth.database.is_living(old)))

    def _engine(self, old: records.Engine | None, new: records.Engine
                ) -> None:
        if old is None or old.renewals != new.renewals:
            self._renewed[new.id][new.renewals] = self._kernel.now
            return
        if old.deposed or not new.deposed:
            return
        self.hits['I9'] += 1
        at = self._renewed[new.id].get(new.renewals, self._kernel.now)
        still_s = self._kernel.now - at
        own = f'{new.host}/{new.worker}'
        by = [line[2] for line in self._kernel.lines[-3:]
              if line[1] == 'commit' and line[3] == 'depose_engine']
        self._kernel.note('engine deposed', own)
        if by and by[-1] == own:
            return  # it gave itself up
        worker = self._truth.workers().get(own)
        if worker is None or worker.engine.standing.id != new.id:
            return  # it has begun anew under another id, or is dead
        if still_s < 0.85 * self._truth.policy.claim_ttl_s:
            self.broken('I9', f'engine {own} was deposed after '
                              f'{still_s:.1f} s without a renewal')

    def _came_back(self, host: str) -> None:
        self.hits['I8'] += 1
        machine = self._truth.world.hosts[host]
        for uuid in sorted(machine.running()):
            if machine.guests[uuid] is world_module.GuestState.PAUSED:
                continue  # being built, for an attempt that waited for it
            found = self._truth.instance(uuid)
            if found is None or found.deleted or found.host != host:
                self.broken('I8', f'{host} came back and runs {uuid}, which '
                                  f'lives on {found and found.host}')

        for record in self._truth.uncleaned(host):
            found = self._truth.instance(record.uuid)
            if (found is not None and not found.deleted and
                    self._kernel.now - record.created > GRACE_S):
                self.broken('I8', f'{host} came back before it had removed '
                                  f'{record.uuid} (record {record.id})')

    def _ended_at_home(self, uuid: str) -> None:
        """A recovery ended well; the host where its pet lives may restart at
        any time. What a person forces is under way besides: the audit looks
        after what it leaves."""
        found = self._truth.instance(uuid)
        if (found is None or found.deleted or found.host is None or
                uuid in self.forced):
            return
        self.hits['I8'] += 1
        for record in self._truth.uncleaned(found.host):
            if (record.uuid == uuid and
                    self._kernel.now - record.created > GRACE_S):
                self.broken('I8', f'{uuid} lives on {found.host}, whose '
                                  f'next restart destroys it by record '
                                  f'{record.id} ({record.status})')


_JUDGES: dict[str, collections.abc.Callable[..., None]] = {
    'guest runs': Checks.guest_runs,
    'nova': Checks.nova_step,
    'outside': Checks.outside,
}
