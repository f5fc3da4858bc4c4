# SPDX-License-Identifier: Apache-2.0
"""Who is a pet, with which settings, and what stands in the way of saving it.

Pure. Precedence of tags: instance metadata, flavor, image, aggregate
(design.md, section 7). A wrong value never disables silently: the next source
or the default is used, and the row says so.
"""

import dataclasses
import typing

from nova_pets.model import observations
from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.planning import instance_states

_TRUE = frozenset({'true', '1', 'yes', 'on'})
_FALSE = frozenset({'false', '0', 'no', 'off'})

DEFAULT_PRIORITY = 500
MAX_PRIORITY = 1000

_RECOVER = instance_states.Rule.RECOVER
_OPERATOR = instance_states.Rule.OPERATOR

KINDS: dict[str, instance_states.StateRule] = {
    'boots from a volume': instance_states.StateRule(
        _RECOVER, 'on_volume'),
    'boots from a volume, has an ephemeral disk': instance_states.StateRule(
        _RECOVER, 'ephemeral_disk'),
    'image-backed, its storage domain known': instance_states.StateRule(
        _RECOVER, 'in_storage_domain'),
    'image-backed, its storage domain not known': instance_states.StateRule(
        _OPERATOR, 'no_storage_domain'),
    'image-backed, ha:disk=rebuild': instance_states.StateRule(
        _RECOVER, 'disk_given_up'),
    'vTPM': instance_states.StateRule(_OPERATOR, 'vtpm'),
    'accelerators': instance_states.StateRule(_OPERATOR, 'accelerators'),
    'shares': instance_states.StateRule(_OPERATOR, 'shares'),
    'affinity group': instance_states.StateRule(_OPERATOR, 'hard_affinity'),
    'anti-affinity group': instance_states.StateRule(
        _RECOVER, 'anti_affinity'),
    'soft-affinity group': instance_states.StateRule(
        _RECOVER, 'soft_group'),
    'soft-anti-affinity group': instance_states.StateRule(
        _RECOVER, 'soft_group'),
    'in an availability zone': instance_states.StateRule(
        _RECOVER, 'pinned_zone'),
    'forced to a host': instance_states.StateRule(_RECOVER, 'pinned_host'),
    'one of several cells': instance_states.StateRule(
        _RECOVER, 'own_cell'),
    'locked': instance_states.StateRule(_RECOVER, 'locked'),
    'no launched_at': instance_states.StateRule(
        _OPERATOR, 'never_launched'),
    'wrong ha tag': instance_states.StateRule(_OPERATOR, 'bad_tag'),
}
"""What an instance is, besides its state. Those that nova's rows tell are
kept with the pet (kinds_of) and shown; the others hold for all."""

BLOCKING = frozenset(row.reason for row in KINDS.values()
                     if row.rule is _OPERATOR)
"""Reasons for which no attempt is made without a person; the others
(no_working_fence, state_not_covered) are decided when the host fails."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tags:
    is_pet: bool
    """Tagged, with a right or a wrong value."""
    is_usable: bool
    """ha is a clear true."""
    priority: int
    disk: str
    settings: dict[str, typing.Any]
    problems: tuple[str, ...]


def _bool(value: str) -> bool:
    folded = value.strip().lower()
    if folded in _TRUE:
        return True
    if folded in _FALSE:
        return False
    raise ValueError('true or false')


def _priority(value: str) -> int:
    number = int(value.strip()) if value.strip().isdigit() else -1
    if not 0 <= number <= MAX_PRIORITY:
        raise ValueError(f'a whole number from 0 to {MAX_PRIORITY}')
    return number


def _disk(value: str) -> str:
    folded = value.strip().lower()
    if folded not in ('keep', 'rebuild'):
        raise ValueError('keep or rebuild')
    return folded


_KEYS: dict[str, tuple[typing.Callable[[str], typing.Any], typing.Any]] = {
    'ha': (_bool, False),
    'priority': (_priority, DEFAULT_PRIORITY),
    'disk': (_disk, 'keep'),
}
"""setting -> (parse, default)."""


def _sources(instance: observations.Instance, key: str) -> list[
        tuple[str, str, str]]:
    """Return (source, name, value) where the key is set, first wins."""
    names = (
        ('metadata', 'ha' if key == 'ha' else f'ha:{key}',
         instance.metadata),
        ('flavor', f'pets:{key}', instance.flavor),
        ('image', f'pets_{key}', instance.image),
        ('aggregate', f'pets:{key}', instance.aggregate))
    return [(source, name, str(values[name]))
            for source, name, values in names if name in values]


def read_tags(instance: observations.Instance,
              tenant_settings: frozenset[str]) -> Tags:
    """Resolve the instance's tags.

    :param tenant_settings: keys that instance metadata may set: 'ha',
        'priority', 'disk'.
    """
    settings: dict[str, typing.Any] = {}
    problems: list[str] = list(instance.problems)
    ha_is_wrong = False
    for key, (parse, default) in _KEYS.items():
        settings[key] = {'value': default, 'source': 'default'}
        for source, name, text in _sources(instance, key):
            if source == 'metadata' and key not in tenant_settings:
                problems.append(
                    f'{name} is ignored: [pets] tenant_settings does not '
                    f'let tenants set it')
                continue
            try:
                value = parse(text)
            except ValueError as expected:
                problems.append(
                    f'{source} {name}: expected {expected}, found '
                    f'{text[:40]!r}')
                ha_is_wrong = ha_is_wrong or key == 'ha'
                continue
            settings[key] = {'value': value, 'source': source}
            break
    is_usable = settings['ha']['value'] is True
    said_no = (settings['ha']['value'] is False and
               settings['ha']['source'] != 'default')
    return Tags(
        is_pet=is_usable or (ha_is_wrong and not said_no),
        is_usable=is_usable,
        priority=settings['priority']['value'],
        disk=settings['disk']['value'],
        settings=settings, problems=tuple(problems))


def storage_domain(instance: observations.Instance,
                   policy: policy_model.Policy) -> str | None:
    """Return the storage domain of the instance's host, None: unknown."""
    named = instance.aggregate.get('pets:storage')
    if named:
        return named
    return 'cloud' if policy.one_storage_domain else None


def _is_on_volumes(instance: observations.Instance) -> bool:
    """Nova's evacuate makes a missing ephemeral disk anew, like a root disk,
    and says nothing; swap and config drive hold nothing to keep."""
    return instance.is_bfv and not instance.has_ephemeral


def why_unprotected(instance: observations.Instance, tags: Tags,
                    fence_ready: bool | None,
                    policy: policy_model.Policy) -> tuple[str, ...]:
    """Return the reason codes, sorted; empty: protected.

    :param fence_ready: the host's fence was seen to work; None: not yet.
    """
    why: set[str] = set()
    if not tags.is_usable:
        why.add('bad_tag')
    if instance.has_vtpm:
        why.add('vtpm')
    if instance.has_accelerators:
        why.add('accelerators')
    if instance.has_shares:
        why.add('shares')
    if instance.group_policy == 'affinity':
        why.add('hard_affinity')
    if instance.launched_at is None:
        why.add('never_launched')
    if (not _is_on_volumes(instance) and tags.disk != 'rebuild' and
            storage_domain(instance, policy) is None):
        why.add('no_storage_domain')
    if fence_ready is not True:
        why.add('no_working_fence')
    applied = instance_states.rule_for(instance.vm_state, None)
    if applied.rule in (_OPERATOR, instance_states.Rule.LEAVE):
        why.add('state_not_covered')
    return tuple(sorted(why))


def kinds_of(instance: observations.Instance) -> list[str]:
    """Return the kinds that restrict or explain an evacuation, and that
    nova's rows tell; keys of KINDS."""
    found = []
    if f'{instance.group_policy} group' in KINDS:
        found.append(f'{instance.group_policy} group')
    if instance.is_bfv and instance.has_ephemeral:
        found.append('boots from a volume, has an ephemeral disk')
    if instance.is_locked:
        found.append('locked')
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class Outlook:
    """What would be done with a pet if its host failed now."""

    rule: instance_states.Rule
    about: str
    reasons: tuple[str, ...]
    """The one that decides first, then what else holds."""


def outlook(pet: records.Pet) -> Outlook:
    """Return it by what is known of the pet: its vm_state, its kind."""
    applied = instance_states.rule_for(pet.vm_state, None)
    if applied.rule in (instance_states.Rule.LEAVE,
                        instance_states.Rule.ABANDON):
        return Outlook(applied.rule, applied.about, (applied.reason,))
    blocking = tuple(code for code in pet.unprotected if code in BLOCKING)
    disk = ('on_volume' if pet.is_bfv else 'disk_given_up'
            if pet.disk == 'rebuild' else 'in_storage_domain')
    if blocking:
        return Outlook(_OPERATOR, 'its kind', blocking)
    if applied.rule is _OPERATOR:
        return Outlook(applied.rule, applied.about, (applied.reason,))
    known = pet.settings.get('kinds', {}).get('value', [])
    others = [KINDS[kind].reason for kind in known if kind in KINDS]
    fence = [code for code in pet.unprotected if code == 'no_working_fence']
    return Outlook(applied.rule, applied.about,
                   (applied.reason, disk, *others, *fence))


def pet_of(instance: observations.Instance, tags: Tags,
           fence_ready: bool | None, policy: policy_model.Policy
           ) -> records.Pet:
    """Return the pets_instances row that this instance should have."""
    settings = dict(tags.settings)
    kinds = kinds_of(instance)
    if kinds:
        settings['kinds'] = {'value': kinds, 'source': 'nova'}
    return records.Pet(
        instance_uuid=instance.uuid, cell_uuid=instance.cell_uuid,
        project_id=instance.project_id, name=instance.name,
        host=instance.host, vm_state=instance.vm_state,
        priority=tags.priority, disk=tags.disk, settings=settings,
        problems=tags.problems,
        unprotected=why_unprotected(instance, tags, fence_ready, policy),
        is_bfv=_is_on_volumes(instance),
        storage_domain=storage_domain(instance, policy))
