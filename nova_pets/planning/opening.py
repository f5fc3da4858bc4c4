# SPDX-License-Identifier: Apache-2.0
"""What is opened for each pet of a host that fails: pure.

A recovery that goes its way, one that begins with a person, or none: what is
left alone gets a line of history instead, so that nobody has to guess.
"""

import collections.abc
import dataclasses

from nova_pets.model import observations
from nova_pets.model import reasons
from nova_pets.model import records
from nova_pets.model import states
from nova_pets.planning import instance_states
from nova_pets.planning import protection


@dataclasses.dataclass(frozen=True, slots=True)
class LeftAlone:
    """A pet for which no recovery is opened."""

    pet: records.Pet
    reason: str
    about: str


def opened(host: records.Host, instance: observations.Instance,
           pet: records.Pet) -> records.Recovery | LeftAlone:
    """Return what the failure of this host means for one of its pets.

    What its vm_state or task_state leaves to a person is seen again when its
    attempt would begin, and waits for its host until then: a task may
    still end well while the host is not proven off.
    """
    applied = instance_states.rule_of(instance)
    if applied.rule in (instance_states.Rule.LEAVE,
                        instance_states.Rule.ABANDON):
        return LeftAlone(pet, applied.reason, applied.about)
    state, reason = states.RecoveryState.PENDING, 'source_down'
    detail = ''
    blocking = [code for code in pet.unprotected
                if code in protection.BLOCKING]
    if blocking:
        state = states.RecoveryState.NEEDS_OPERATOR
        reason, others = blocking[0], blocking[1:]
        detail = '; '.join(reasons.text(code) for code in others)
    elif applied.reason == 'power_unknown':
        state = states.RecoveryState.NEEDS_OPERATOR
        reason, detail = applied.reason, applied.about
    original = instance_states.original_vm_state(instance)
    return records.Recovery(
        id=None, instance_uuid=pet.instance_uuid, cell_uuid=pet.cell_uuid,
        project_id=pet.project_id, name=pet.name, source=host.host,
        epoch=host.epoch, state=state, reason=reason, detail=detail,
        priority=pet.priority, original_vm_state=original,
        desired_power=instance_states.desired_power(
            original, instance.task_state),
        is_bfv=pet.is_bfv, disk=pet.disk, storage_domain=pet.storage_domain)


def given_up(host: records.Host,
             recoveries: collections.abc.Iterable[records.Recovery],
             controls: collections.abc.Iterable[records.Control]
             ) -> frozenset[str]:
    """Return the instances whose recovery a person ended in this epoch, and
    did not ask for again: a host is opened several times in one epoch.

    :param recoveries: closed ones, too.
    :param controls: ended ones, too; ids grow.
    """
    ended = {row.instance_uuid for row in recoveries
             if row.source == host.host and row.epoch == host.epoch and
             row.state is states.RecoveryState.ABANDONED and
             row.reason == 'operator_abandon'}
    last: dict[str, records.Control] = {}
    for order in sorted(controls, key=lambda order: order.id or 0):
        if order.kind in (states.ControlKind.ABANDON,
                          states.ControlKind.RECOVER):
            covered = ended if order.target == host.host else (
                ended & {order.target})
            last.update(dict.fromkeys(covered, order))
    return frozenset(
        uuid for uuid in ended if uuid not in last or
        last[uuid].kind is states.ControlKind.ABANDON)
