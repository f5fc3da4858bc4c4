# SPDX-License-Identifier: Apache-2.0
"""The gate: which scheduling requests of a pet may go on.

A request filter, before all of Nova's, so that a refusal comes before
placement is asked. It refuses by exception.GateRefused, which conductor does
not know: it stops without touching the instance, where NoValidHost would
write ERROR over an attempt in flight (design.md, section 4, step 4).

``decide`` is pure. The reads and the writes (consume, take over, record) are
in ``evacuation_gate``; nothing else is touched.

In mode observe only a request beside an open attempt is refused, and when
the tables cannot be read everything passes: an installation that is only
looked at stands in nobody's way.
"""

import dataclasses
import enum

from oslo_log import log as logging

from nova_pets import exception
from nova_pets.model import states
from nova_pets.scheduler import access
from nova_pets.scheduler import request
from nova_pets.scheduler import unsafe_hosts

LOG = logging.getLogger(__name__)

_CLEAN_STATES = frozenset({
    states.RecoveryState.READY, states.RecoveryState.WAITING})


class Verb(enum.Enum):
    PASS = 'pass'  # nosec B105
    CONSUME = 'consume'
    """The open attempt's own request: passes once."""
    TAKE_OVER = 'take over'
    """A person's evacuation becomes the attempt."""
    ASK = 'ask'
    """Nova's records decide; read them and decide again."""
    REFUSE = 'refuse'


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    verb: Verb
    reason: str = ''
    """Why it is refused; one human phrase."""


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """What Nova's own records say about one request of a pet."""

    is_evacuation: bool
    """False: a resize, a cold or a live migration."""
    is_ours: bool
    """Its request_id belongs to an attempt that has ended: a late cast."""
    is_only_one: bool
    """The instance is on the host that it is to leave, and no other
    evacuation of it is open or may have left a guest."""


def decide(view, request_id, source, mode, asked=None):
    """Return the Decision about one request to move an instance.

    :param view: base.GateView, read for this request.
    :param source: the host that the instance is to leave.
    :param asked: Asked, or None as long as Nova was not asked.
    """
    if not view.is_pet:
        return Decision(Verb.PASS)
    attempt, recovery = view.attempt, view.recovery
    if attempt is not None:
        if attempt.request_id == request_id:
            return Decision(Verb.CONSUME)
        return Decision(Verb.REFUSE,
                        f'attempt {attempt.number} of its recovery is open')
    if mode is not states.Mode.ACT:
        return Decision(Verb.PASS)
    host_state = view.host_states.get(source, states.HostState.UP)
    if host_state is states.HostState.UP and recovery is None:
        return _decide_on_living_host(source, asked)
    if host_state in states.PROVEN_OFF and (recovery is None or (
            recovery.is_bfv and recovery.state in _CLEAN_STATES)):
        return _decide_on_fenced_host(source, recovery, asked)
    if recovery is not None:
        return Decision(
            Verb.REFUSE,
            f'its recovery is {recovery.state.value} and {source} is '
            f'{host_state.value}')
    return Decision(Verb.REFUSE, f'{source} is {host_state.value}')


def _decide_on_living_host(source, asked):
    """An evacuation from a host that counts as up runs the pet twice; all
    other moves need the host alive, and are Nova's own affair."""
    if asked is None:
        return Decision(Verb.ASK)
    if not asked.is_evacuation:
        return Decision(Verb.PASS)
    return Decision(Verb.REFUSE, f'{source} is not proven off')


def _decide_on_fenced_host(source, recovery, asked):
    """What a person evacuates from a proven off host is taken over where no
    disk can be lost, and let through where nova-pets has let go of the
    instance. Not a late cast of ours, and not beside another evacuation."""
    if asked is None:
        return Decision(Verb.ASK)
    if asked.is_ours:
        return Decision(Verb.REFUSE, 'its attempt has ended')
    if not asked.is_evacuation:
        return Decision(Verb.REFUSE, f'{source} is off')
    if not asked.is_only_one:
        return Decision(Verb.REFUSE,
                        'another evacuation of it is not settled')
    return Decision(Verb.PASS if recovery is None else Verb.TAKE_OVER)


def evacuation_gate(ctxt, request_spec):
    """Let the request go on, or raise GateRefused.

    A request filter of Nova (nova.scheduler.request_filter). A request that
    leaves no host (a first boot, an unshelve, a rebuild in place) passes
    without any read.
    """
    source = request.source(request_spec)
    if source is None:
        return False
    uuid = request.instance_uuid(request_spec)
    try:
        store = access.store()
        view = store.gate_view(uuid, [source])
    except Exception as error:
        # The boundary of a plugin. Which errors a database can raise is not
        # to be listed, and each means the same: nothing is known.
        _pass_or_refuse_unread(ctxt, request_spec, uuid, error)
        return False
    unsafe_hosts.learn(view.host_states)
    if not view.is_pet:
        request.remember(request_spec, view, has_passed=True)
        return False
    try:
        _pass_or_refuse(ctxt, request_spec, store, view)
    except exception.GateRefused:
        raise
    except Exception as error:
        # As above; for a pet, not known means no.
        _refuse(ctxt, uuid, f'cannot be decided: {error}')
    return False


def _pass_or_refuse(ctxt, spec, store, view):
    source = request.source(spec)
    uuid = request.instance_uuid(spec)
    mode = access.mode()
    decision = decide(view, ctxt.request_id, source, mode)
    if decision.verb is Verb.ASK:
        asked = _ask(ctxt, spec, store, view)
        decision = decide(view, ctxt.request_id, source, mode, asked)
    reason = decision.reason
    if decision.verb is Verb.PASS:
        request.remember(spec, view, has_passed=True)
        return
    if decision.verb is Verb.CONSUME:
        if store.consume_gate(view.attempt.id, ctxt.request_id):
            request.remember(spec, view, has_passed=True)
            return
        reason = 'its attempt has ended, or was delivered before'
    elif decision.verb is Verb.TAKE_OVER:
        if store.take_over(view.recovery, ctxt.request_id):
            # Read again, for the row of the attempt that it has become.
            request.remember(spec, store.gate_view(uuid, [source]),
                             has_passed=True)
            return
        reason = 'its recovery has just moved on'
    _refuse(ctxt, uuid, reason, store)


def _ask(ctxt, spec, store, view):
    """Return Asked, from the instance's cell and our ended attempts."""
    uuid, source = request.instance_uuid(spec), request.source(spec)
    cell_uuid = request.cell_uuid(spec)
    if view.recovery is not None:
        cell_uuid = view.recovery.cell_uuid
    if cell_uuid is None:
        pets = store.pets(uuids=[uuid])
        cell_uuid = pets[0].cell_uuid if pets else None
    trace = access.door().traces(cell_uuid, [uuid])[uuid]
    if ctxt.request_id not in trace.actions:
        return Asked(False, is_ours=False, is_only_one=False)
    ours = {attempt.request_id
            for recovery in store.recoveries(instance_uuid=uuid)
            for attempt in store.attempts(recovery.id)}
    return Asked(True, is_ours=ctxt.request_id in ours,
                 is_only_one=_is_only_one(trace, source, view.recovery))


def _is_only_one(trace, source, recovery):
    """See Asked. An ended record that had a destination may mean a guest
    there (F4), unless our recovery has been through settling since."""
    if trace.instance is None or trace.instance.host != source:
        return False
    # Of any source: conductor takes any accepted record (F7).
    accepted = [m for m in trace.migrations if m.status == 'accepted']
    if len(accepted) != 1 or accepted[0].destination is not None:
        return False
    if any(m.status == 'pre-migrating' for m in trace.migrations):
        return False
    is_settled = recovery is not None and recovery.attempts > 0
    return is_settled or not any(
        m.status in ('error', 'failed') and m.destination is not None
        and m.source == source for m in trace.migrations)


def _pass_or_refuse_unread(ctxt, spec, uuid, error):
    """Without our tables: refuse what may be an evacuation of a pet.

    Nova's records tell an evacuation from the other moves, and the tags tell
    a pet. Where these cannot be read either, Nova has lost the instance's
    cell and could only end in NoValidHost, which writes ERROR: a refusal
    leaves the instance as it is.
    """
    if access.mode() is not states.Mode.ACT:
        LOG.warning('cannot read the pets tables, instance %(uuid)s is let '
                    'through in mode observe: %(error)s',
                    {'uuid': uuid, 'error': error})
        return
    cell_uuid = request.cell_uuid(spec)
    try:
        door = access.door()
        trace = door.traces(cell_uuid, [uuid])[uuid]
        if ctxt.request_id not in trace.actions:
            return
        if not _may_be_pet(door.instances(cell_uuid, [uuid]).get(uuid)):
            return
    except Exception as second:
        # As in evacuation_gate.
        error = f'{error}; {second}'
    _refuse(ctxt, uuid, f'the pets tables cannot be read: {error}')


def _may_be_pet(instance):
    """Whether any source of tags says something else than a clear no."""
    if instance is None:
        return False
    values = (instance.metadata.get('ha'), instance.flavor.get('pets:ha'),
              instance.image.get('pets_ha'),
              instance.aggregate.get('pets:ha'))
    said = [str(value).strip().lower() for value in values
            if value is not None]
    return any(value not in ('false', '0', 'no', 'off') for value in said)


def repeat(ctxt, spec_obj):
    """Check once more, as a host filter, what the gate has let through.

    :raises GateRefused: the attempt has ended since, or another began.
    """
    known = request.recall(spec_obj)
    if known is None or not known.has_passed:
        # The request filter is not in place: this is the gate.
        evacuation_gate(ctxt, spec_obj)
        return
    if not known.view.is_pet:
        return
    uuid = request.instance_uuid(spec_obj)
    try:
        store = access.store()
        view = store.gate_view(uuid, [request.source(spec_obj)])
    except Exception as error:
        # As in evacuation_gate; the instance is a pet.
        _refuse(ctxt, uuid, f'the pets tables cannot be read: {error}')
    reason = why_not_any_more(known.view, view, ctxt.request_id)
    if reason:
        _refuse(ctxt, uuid, reason, store)
    request.remember(spec_obj, view, has_passed=True)


def why_not_any_more(before, now, request_id):
    """Return why a request that has passed may not go on, '' if it may.

    :param before, now: base.GateView at the gate, and now.
    """
    if now.attempt is not None:
        if now.attempt.request_id != request_id:
            return f'attempt {now.attempt.number} of its recovery is open'
        if now.attempt.gate is not states.Gate.CONSUMED:
            return 'its attempt has ended'
        return ''
    if before.attempt is not None:
        return 'its attempt has ended'
    if before.recovery is None and now.recovery is not None:
        return 'its recovery has begun'
    return ''


def _refuse(ctxt, uuid, reason, store=None):
    """Record it as far as that is possible, and raise GateRefused."""
    if store is not None:
        try:
            store.record_refusal(uuid, ctxt.request_id, reason)
        except Exception:
            # The refusal counts, its history line only helps people.
            LOG.exception('cannot record a refusal of %(uuid)s',
                          {'uuid': uuid})
    refusal = exception.GateRefused(
        uuid=uuid, request_id=ctxt.request_id, reason=reason)
    LOG.warning('%s', refusal)
    raise refusal
