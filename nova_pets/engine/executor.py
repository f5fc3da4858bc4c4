# SPDX-License-Identifier: Apache-2.0
"""Hands of the engine: does what planning wants, persisting before acting.

Each action claims its row by compare-and-swap first; whoever loses does
nothing. Moves are written in the cycle; what touches Nova or a device runs
in the workers. Recoveries' outside calls are engine/attempts.py.
"""

import dataclasses
import logging
import typing

from nova_pets import exception
from nova_pets.compute import base as compute_base
from nova_pets.db import base as db_base
from nova_pets.engine import attempts
from nova_pets.engine import homecoming
from nova_pets.engine import host_rows
from nova_pets.engine import memory as memory_module
from nova_pets.engine import ports
from nova_pets.engine import standing as standing_module
from nova_pets.engine import tagging
from nova_pets.model import actions
from nova_pets.model import observations
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import ladder
from nova_pets.planning import opening
from nova_pets.planning import safety

LOG = logging.getLogger(__name__)

H = states.HostState

LOOK_AGAIN_S = 30.0
"""After the device of a host that is up read off: its heartbeat will tell."""

BOOTING_S = 5.0
"""How often the power of a host is read that somebody has switched on."""

PASSED_ON_S = 5.0
"""For so long after the pause between two attempts to power a host off it is
left to the peers of the engine that failed."""


class Executor:
    def __init__(self, store: db_base.Store,
                 door: compute_base.ComputeDoor, fencer: ports.Fencer,
                 clock: ports.Clock, memory: memory_module.Memory,
                 workers: ports.Workers,
                 standing: standing_module.Standing,
                 tags: tagging.Tagging,
                 driver: attempts.AttemptDriver):
        self._rows = host_rows.HostRows(store, standing)
        self._homecoming = homecoming.Homecoming(
            store, self._rows, door, fencer, clock, memory, standing)
        self._store = store
        self._door = door
        self._fencer = fencer
        self._clock = clock
        self._memory = memory
        self._workers = workers
        self._standing = standing
        self._tags = tags
        self._driver = driver

    def execute(self, action: actions.Action, snap: snapshot.Snapshot,
                policy: policy_model.Policy) -> None:
        """Do one action; a lost claim is not an error."""
        try:
            self._dispatch(action, snap, policy)
        except exception.RowConflict as error:
            LOG.debug('%s', error)

    def _dispatch(self, action: actions.Action, snap: snapshot.Snapshot,
                  policy: policy_model.Policy) -> None:
        match action:
            case actions.MoveHost():
                self._rows.move(snap.hosts[action.host].row, action)
            case actions.Hold(kind='host'):
                self._rows.hold(snap.hosts[str(action.key)].row, action)
            case actions.FenceHost():
                view = snap.hosts[action.host]
                self._work(view.row.host, lambda: self._fence(view, action,
                                                              policy))
            case actions.ForceDown():
                view = snap.hosts[action.host]
                self._work(view.row.host, lambda: self._force_down(
                    view.row, _was_forced_up(view)))
            case actions.ForceUp():
                row = snap.hosts[action.host].row
                self._work(row.host, lambda: self._force_up(row))
            case actions.ReadPower():
                row = snap.hosts[action.host].row
                self._work(row.host, lambda: self._read_power(row, policy))
            case actions.DrainQueue():
                row = snap.hosts[action.host].row
                self._work(row.host, lambda: self._homecoming.drain(row))
            case actions.PowerOn():
                row = snap.hosts[action.host].row
                self._work(row.host, lambda: self._homecoming.power_on(row))
            case actions.RestartService():
                row = snap.hosts[action.host].row
                self._work(row.host, lambda: self._restart(row, action,
                                                           snap))
            case actions.OpenRecoveries():
                row = snap.hosts[action.host].row
                self._work(row.host, lambda: self._open(row, policy))
            case actions.EndControl():
                self._store.end_control(action.control,
                                        self._standing.actor, action.detail)
            case _:
                self._driver.execute(action, snap, policy)

    def _work(self, host: str, call: typing.Callable[[], None]) -> None:
        self._workers.submit(('host', host), call)

    # -- power ---------------------------------------------------------------

    def _fence(self, view: snapshot.HostView, action: actions.FenceHost,
               policy: policy_model.Policy) -> None:
        """Intent, power-off, read-back, proof; then forced_down at once."""
        row = view.row
        row = self._rows.move(row, actions.MoveHost(
            row.host, row.generation, action.event, action.reason,
            evidence=row.evidence))

        def may_act() -> str | None:
            return (self._standing.why_not_act(row.owner) or
                    self._sign_of_life(row, view.service, policy))

        may_act_now = may_act()
        if may_act_now:
            raise exception.ClaimsLost(reason=may_act_now)
        result = self._fencer.fence(row.host, may_act)
        evidence = result.evidence
        if result.is_proven:
            self._memory.saw_power(row.host, True, self._clock.monotonic())
            count = self._count(row)
            row = self._rows.move(row, actions.MoveHost(
                row.host, row.generation, 'proven_off', 'proven_off',
                evidence=evidence, proof=states.ProofKind.POWER_OFF,
                proof_count=count), result.detail)
            self._force_down(row)
            return
        # An attempt that own doubts ended says nothing about the devices.
        is_last = (row.fence_attempts >= policy.fence_attempts and
                   not result.is_stopped)
        self._memory.quiet(('fence again', row.host),
                           self._clock.monotonic() + policy.fence_retry_s +
                           PASSED_ON_S)
        self._rows.move(row, actions.MoveHost(
            row.host, row.generation,
            'fence_failed' if is_last else 'fence_retry',
            'fence_failed' if is_last else 'fence_retry',
            evidence=evidence), result.detail, gives_up=True)

    def _sign_of_life(self, row: records.Host,
                      decided: observations.Service | None,
                      policy: policy_model.Policy) -> str | None:
        """I4: what forbids the act although it was decided: a heartbeat, or
        any witness that sees life; a person's order passes the latter.

        :param decided: the service when it was decided. One heartbeat since
            then is life, though it may be a while ago by now.
        """
        now = self._clock.monotonic()
        age_s = self._memory.read_age_s(row.cell_uuid, now)
        if age_s is None or age_s > policy.report_interval_s:
            return f'the heartbeat of {row.host} was not read lately'
        if decided is None or (self._memory.count(row.host) !=
                               decided.report_count):
            return f'{row.host} shows a moving heartbeat'
        if row.reason == 'operator_fence':
            return None
        peer = self._memory.life_by_peer(row.host)
        if peer and row.reason != 'service_fence':
            return f'{peer} sees life of {row.host}'
        return safety.sign_of_life(
            self._memory.evidence(row.host, now), policy,
            by_ladder=row.reason == 'service_fence')

    def _count(self, row: records.Host) -> int | None:
        """Return report_count read now, after the power read OFF."""
        for service in self._door.services(row.cell_uuid):
            if service.host == row.host:
                return service.report_count
        return self._memory.count(row.host)

    def _force_down(self, row: records.Host,
                    was_forced_up: bool = False) -> None:
        """Mark it as ours first: a host that comes back in between is to be
        released from it by us."""
        row = self._rows.claim(row)
        if not row.forced_down:
            row = self._rows.write(
                row, dataclasses.replace(row, forced_down=True),
                records.Event(code='not_forced_down',
                              text='forced down in nova',
                              actor=self._standing.actor, host=row.host))
        self._standing.guard(row.owner)
        self._door.set_forced_down(row.cell_uuid, row.host, True)
        if was_forced_up:
            self._store.record(records.Event(
                code='forced_up_by_others', text='forced down again',
                actor=self._standing.actor, host=row.host))

    def _force_up(self, row: records.Host) -> None:
        row = self._rows.claim(row)
        self._standing.guard(row.owner)
        self._door.set_forced_down(row.cell_uuid, row.host, False)
        self._rows.move(row, actions.MoveHost(
            row.host, row.generation, 'clean', 'returned'))

    def _read_power(self, row: records.Host, policy: policy_model.Policy
                    ) -> None:
        """Keep the proof fresh; anything but OFF voids it. Of a host that
        somebody switched on: learn whether it is off again."""
        started = self._clock.monotonic()
        reading = self._fencer.read(row.host)
        self._memory.saw_power(row.host, reading.is_off, started)
        if row.state is H.QUARANTINED:
            self._memory.quiet(('return', row.host), started + BOOTING_S)
            return
        if row.state is H.UNPROVEN:
            if not reading.is_off:
                self._memory.quiet(('return', row.host),
                                   started + policy.fence_retry_s)
            return
        if reading.is_off:
            if row.reason in ('power_unreadable',):
                self._rows.hold(row, actions.Hold(
                    'host', row.host, row.generation, 'proven_off'))
            return
        if reading.is_working:
            self._rows.move(row, actions.MoveHost(
                row.host, row.generation, 'life_seen', 'power_not_off',
                evidence={'power': reading.detail}), reading.detail)
        elif row.reason != 'power_unreadable':
            self._rows.hold(row, actions.Hold(
                'host', row.host, row.generation, 'power_unreadable',
                reading.detail))

    def _restart(self, row: records.Host, action: actions.RestartService,
                 snap: snapshot.Snapshot) -> None:
        """Count the try first, so that a crash never makes it one more."""
        row = self._rows.claim(row)
        row = self._rows.write(
            row, dataclasses.replace(
                row, reason='service_restart',
                evidence={**row.evidence, ladder.TRIES: action.number}),
            records.Event(
                code='service_restart',
                text=f'try {action.number} of {action.of}',
                actor=self._standing.actor, host=row.host), keeps_owner=True)
        rest_s = snap.ladders[row.host].after_s

        def may_act() -> str | None:
            moves = self._memory.silent_s(row.host, row.cell_uuid) <= 0
            return (self._standing.why_not_act(row.owner) or
                    ('its heartbeat moves' if moves else None))

        told = self._fencer.restart_service(row.host, may_act)
        self._memory.quiet(('return', row.host),
                           self._clock.monotonic() + rest_s)
        self._rows.hold(row, actions.Hold(
            'host', row.host, row.generation, 'service_restarted'
            if told.is_done else 'service_restart_failed', told.detail))

    def check_fence(self, row: records.Host) -> None:
        """Ask the devices of a healthy host, so that "protected" means that
        its fence was seen to work lately."""
        try:
            reading = self._fencer.read(row.host)
            is_ready, detail = reading.is_working, reading.detail
        except exception.BindingsInvalid as error:
            is_ready, detail = False, str(error)
        else:
            if not reading.is_off:
                self._memory.saw_on(row.host)
            elif self._memory.saw_off(row.host):
                is_ready, detail = False, records.WRONG_DEVICE
            else:
                # It may have been switched off a moment ago.
                self._memory.quiet(('fence', row.host),
                                   self._clock.monotonic() + LOOK_AGAIN_S)
                return
        was_wrong = row.fence_detail == records.WRONG_DEVICE
        if (row.fence_ready is is_ready and
                was_wrong is (detail == records.WRONG_DEVICE)):
            return
        claimed = self._rows.claim(row)
        self._rows.write(claimed, dataclasses.replace(
            claimed, fence_ready=is_ready, fence_detail=detail[:250]), None)

    # -- records -------------------------------------------------------------

    def _open(self, row: records.Host, policy: policy_model.Policy) -> None:
        """Read the host's pets afresh and create the missing records."""
        row = self._rows.claim(row)
        given_up = opening.given_up(
            row, self._store.recoveries(
                host=row.host, state=states.RecoveryState.ABANDONED),
            self._store.controls(only_active=False))
        found = [opening.opened(row, instance, pet) for instance, pet
                 in self._tags.pets_on(row, policy)
                 if pet.instance_uuid not in given_up]
        self._say_left_alone(row, [one for one in found if isinstance(
            one, opening.LeftAlone)])
        new = [one for one in found if isinstance(one, records.Recovery)]
        created = 0
        if new:
            created = self._store.open_recoveries(new, records.Event(
                code='source_down', actor=self._standing.actor,
                host=row.host, evidence=row.evidence))
        if created:
            LOG.info('host %s: %d recoveries opened', row.host, created)
        self._memory.opened(row.host, (row.epoch, row.state),
                            self._clock.monotonic())

    def _say_left_alone(self, row: records.Host,
                        pets: list[opening.LeftAlone]) -> None:
        """Once in each epoch; a host is opened several times in one."""
        mark = {'epoch': row.epoch}
        for one in pets:
            told = self._store.history(
                instance_uuid=one.pet.instance_uuid, host=row.host)
            if any(event.code == one.reason and event.evidence == mark
                   for event in told):
                continue
            self._store.record(records.Event(
                code=one.reason, text=f'left alone: {one.about}',
                actor=self._standing.actor, host=row.host,
                instance_uuid=one.pet.instance_uuid, evidence=mark))


def _was_forced_up(view: snapshot.HostView) -> bool:
    """What we had set is not in nova (any more)."""
    return (view.row.forced_down and view.service is not None and
            not view.service.forced_down)
