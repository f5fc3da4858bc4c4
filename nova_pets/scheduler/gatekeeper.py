# SPDX-License-Identifier: Apache-2.0
"""The gate without Nova: reads, decides by planning/gating.py, writes.

Touches the store (consume, take over, record a refusal) and reads Nova's
records through the door. Imports nothing of Nova, so that the simulator runs
the very gate that scheduler/gate.py adapts to Nova's requests.

What cannot be known is refused for a pet. When the tables cannot be read,
Nova's records and the tags tell what may be an evacuation of a pet.
"""

import collections.abc
import dataclasses
import logging
import typing

from nova_pets import exception
from nova_pets.compute import base as compute_base
from nova_pets.db import base as db_base
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import gating

LOG = logging.getLogger(__name__)

Learn = collections.abc.Callable[[dict[str, states.HostState]], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One request to move an instance."""

    instance_uuid: str
    source: str
    """The host that the instance is to leave."""
    request_id: str
    cell_uuid: str | None = None
    """The cell that Nova restricts it to, None: not said."""


@dataclasses.dataclass(frozen=True, slots=True)
class Passed:
    """What lets a request go on."""

    view: snapshot.GateView | None
    """What was read; None: the tables could not be, nothing is known."""
    is_taken_over: bool = False
    """A person's evacuation has just become the attempt."""


def _learn_nothing(host_states: dict[str, states.HostState]) -> None:
    pass


class Gatekeeper:
    """:param store, door, mode: each is asked for when it is needed, since
        any of them may fail to be made.
    :param learn: is told the states of hosts that the first read of a
        request brought, whatever becomes of the request.
    """

    def __init__(self, store: collections.abc.Callable[[], db_base.Store],
                 door: collections.abc.Callable[
                     [], compute_base.ComputeDoor],
                 mode: collections.abc.Callable[[], states.Mode],
                 learn: Learn = _learn_nothing):
        self._store = store
        self._door = door
        self._mode = mode
        self._learn = learn

    def check(self, request: Request) -> Passed:
        """Let the request go on, once.

        :raises GateRefused: and nothing else.
        """
        try:
            store = self._store()
            view = store.gate_view(request.instance_uuid, [request.source])
        except Exception as error:
            # The boundary of a plugin. Which errors a database can raise is
            # not to be listed, and each means the same: nothing is known.
            return self._pass_or_refuse_unread(request, error)
        self._learn(view.host_states)
        if not view.is_pet:
            return Passed(view)
        try:
            return self._pass_or_refuse(request, store, view)
        except exception.GateRefused:
            raise
        except Exception as error:
            # As above; for a pet, not known means no.
            _refuse(request, f'cannot be decided: {error}')

    def repeat(self, request: Request,
               before: snapshot.GateView | None) -> Passed:
        """Check once more what ``check`` has let through.

        :param before: what it was let through by; None: it has met no gate
            yet, or the tables could not be read there.
        :raises GateRefused: the attempt has ended since, or another began.
        """
        if before is None:
            return self.check(request)
        if not before.is_pet:
            return Passed(before)
        try:
            store = self._store()
            view = store.gate_view(request.instance_uuid, [request.source])
        except Exception as error:
            # As in check; the instance is a pet.
            _refuse(request, f'the pets tables cannot be read: {error}')
        reason = gating.why_not_any_more(before, view, request.request_id)
        if reason:
            _refuse(request, reason, store)
        return Passed(view)

    def _pass_or_refuse(self, request: Request, store: db_base.Store,
                        view: snapshot.GateView) -> Passed:
        mode = self._mode()
        decision = gating.decide(view, request.request_id, request.source,
                                 mode)
        if decision.verb is gating.Verb.ASK:
            decision = gating.decide(
                view, request.request_id, request.source, mode,
                self._ask(request, store, view))
        reason = decision.reason
        if decision.verb is gating.Verb.PASS:
            return Passed(view)
        if decision.verb is gating.Verb.CONSUME:
            if store.consume_gate(view.attempt.id, request.request_id):
                return Passed(view)
            reason = 'its attempt has ended, or was delivered before'
        elif decision.verb is gating.Verb.TAKE_OVER:
            if store.take_over(view.recovery, request.request_id):
                # Read again, for the row of the attempt that it has become.
                return Passed(store.gate_view(request.instance_uuid,
                                              [request.source]),
                              is_taken_over=True)
            reason = 'its recovery has just moved on'
        _refuse(request, reason, store)

    def _ask(self, request: Request, store: db_base.Store,
             view: snapshot.GateView) -> gating.Asked:
        """Read the instance's cell and our ended attempts."""
        uuid, cell_uuid = request.instance_uuid, request.cell_uuid
        if view.recovery is not None:
            cell_uuid = view.recovery.cell_uuid
        if cell_uuid is None:
            pets = store.pets(uuids=[uuid])
            cell_uuid = pets[0].cell_uuid if pets else None
        trace = self._door().traces(cell_uuid, [uuid])[uuid]
        if request.request_id not in trace.actions:
            return gating.Asked(False, is_ours=False, is_only_one=False)
        ours = {attempt.action_id
                for recovery in store.recoveries(instance_uuid=uuid)
                for attempt in store.attempts(recovery.id)}
        return gating.Asked(
            True, is_ours=request.request_id in ours,
            is_only_one=gating.is_only_one(trace, request.source,
                                           view.recovery))

    def _pass_or_refuse_unread(self, request: Request, error: Exception
                               ) -> Passed:
        """Without our tables: refuse what may be an evacuation of a pet.

        Nova's records tell an evacuation from the other moves, and the tags
        tell a pet. Where these cannot be read either, Nova has lost the
        instance's cell and could only end in NoValidHost, which writes
        ERROR: a refusal leaves the instance as it is.
        """
        uuid = request.instance_uuid
        if self._mode() is not states.Mode.ACT:
            LOG.warning('cannot read the pets tables, instance %(uuid)s is '
                        'let through in mode observe: %(error)s',
                        {'uuid': uuid, 'error': error})
            return Passed(None)
        found = str(error)
        try:
            door = self._door()
            trace = door.traces(request.cell_uuid, [uuid])[uuid]
            if request.request_id not in trace.actions:
                return Passed(None)
            instances = door.instances(request.cell_uuid, [uuid])
            if not gating.may_be_pet(instances.get(uuid)):
                return Passed(None)
        except Exception as second:
            # As in check.
            found = f'{error}; {second}'
        _refuse(request, f'the pets tables cannot be read: {found}')


def _refuse(request: Request, reason: str,
            store: db_base.Store | None = None) -> typing.NoReturn:
    """Record it as far as that is possible, and raise GateRefused."""
    if store is not None:
        try:
            store.record_refusal(request.instance_uuid, request.request_id,
                                 reason)
        except Exception:
            # The refusal counts, its history line only helps people.
            LOG.exception('cannot record a refusal of %(uuid)s',
                          {'uuid': request.instance_uuid})
    refusal = exception.GateRefused(
        uuid=request.instance_uuid, request_id=request.request_id,
        reason=reason)
    LOG.warning('%s', refusal)
    raise refusal
