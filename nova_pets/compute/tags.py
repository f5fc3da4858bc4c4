# SPDX-License-Identifier: Apache-2.0
"""Reads an instance with its tags and kind, from all four places.

Instance metadata, flavor, image and aggregate metadata are handed on as they
are, filtered by prefix; what a value means, and which place wins, is
planning's. A fixed number of statements per CHUNK instances: six in the
cell, two in the API database.
"""

import collections
import dataclasses

from nova.db.api import models as api_models
from nova.db.main import models
from oslo_serialization import jsonutils
import sqlalchemy as sa

from nova_pets.compute import cells
from nova_pets.compute import reader
from nova_pets.model import observations

PREFIX = 'pets:'
IMAGE_PREFIX = 'pets_'
STORED_IMAGE_PREFIX = 'image_'
"""Nova keeps image properties as system metadata under this prefix."""
TPM_KEYS = ('hw:tpm_version', 'hw:tpm_model')
TPM_IMAGE_KEYS = ('hw_tpm_version', 'hw_tpm_model')
DEVICE_PROFILE = 'accel:device_profile'
ACCELERATOR_VNIC = '"accelerator-direct'
"""In network_info, of accelerator-direct and -direct-physical ports."""


@dataclasses.dataclass(slots=True)
class _Found:
    """What the statements after the first one found, by instance uuid."""

    metadata: dict[str, dict[str, str]]
    image: dict[str, dict[str, str]]
    root_is_volume: dict[str, bool]
    with_shares: set[str]
    with_accelerator_ports: set[str]
    group_policy: dict[str, str]


def instances(cctxt, context, cell_uuid: str,
              uuids) -> dict[str, observations.Instance]:
    """Return the instances that have a row, deleted ones too.

    :param cctxt: context of the cell.
    :param context: context for the API database.
    """
    result = {}
    for chunk in reader.chunks(uuids):
        condition = reader.INSTANCE.uuid.in_(chunk)
        result.update(_read(cctxt, context, cell_uuid, condition))
    return result


def instances_on(cctxt, context, cell_uuid: str,
                 host: str) -> list[observations.Instance]:
    """Return the instances that Nova has on the host, ordered by uuid."""
    condition = sa.and_(reader.INSTANCE.host == host,
                        reader.INSTANCE.deleted == 0)
    found = _read(cctxt, context, cell_uuid, condition)
    return [found[uuid] for uuid in sorted(found)]


def aggregate_tags(context, hosts=None) -> dict[str, dict[str, set[str]]]:
    """Return {host: {key: values}} of aggregate metadata ``pets:*``.

    :param hosts: None for all hosts.
    """
    on_host, metadata = api_models.AggregateHost, api_models.AggregateMetadata
    statement = sa.select(on_host.host, metadata.key, metadata.value).join(
        metadata, metadata.aggregate_id == on_host.aggregate_id
    ).where(metadata.key.like(PREFIX + '%'))
    if hosts is not None:
        statement = statement.where(on_host.host.in_(sorted(hosts)))
    found = collections.defaultdict(lambda: collections.defaultdict(set))
    with cells.reading_api(context) as session:
        for row in session.execute(statement).all():
            if row.key.startswith(PREFIX):
                found[row.host][row.key].add(row.value)
    return found


def _read(cctxt, context, cell_uuid, condition):
    extra = models.InstanceExtra
    statement = sa.select(*reader.INSTANCE_COLUMNS, extra.flavor).join(
        extra, extra.instance_uuid == reader.INSTANCE.uuid, isouter=True
    ).where(condition, reader.not_hidden())
    with cells.reading(cctxt) as session:
        rows = session.execute(statement).all()
        founds = {}
        for chunk in reader.chunks(row.uuid for row in rows):
            found = _Found(
                metadata=_metadata(session, chunk),
                image=_image(session, chunk),
                root_is_volume=_root_is_volume(session, chunk),
                with_shares=_with_shares(session, chunk),
                with_accelerator_ports=_with_accelerator_ports(
                    session, chunk),
                group_policy={})
            founds.update(dict.fromkeys(chunk, found))
    for chunk in reader.chunks(founds):
        policies = _group_policies(context, chunk)
        for uuid in chunk:
            founds[uuid].group_policy.update(policies)
    hosts = {row.host for row in rows if row.host}
    aggregates = aggregate_tags(context, hosts) if hosts else {}
    return {row.uuid: _instance(row, cell_uuid, founds[row.uuid],
                                aggregates.get(row.host, {}))
            for row in rows}


def _instance(row, cell_uuid, found, tags):
    specs, problems = _extra_specs(row.flavor)
    aggregate = {}
    for key in sorted(tags):
        values = sorted(tags[key])
        aggregate[key] = values[0]
        if len(values) > 1:
            problems.append(
                f'aggregates of {row.host} disagree on {key}: '
                f'{", ".join(values)}; {values[0]} is used')
    image = found.image.get(row.uuid, {})
    return reader.instance_from(
        row, cell_uuid,
        is_bfv=found.root_is_volume.get(row.uuid, not row.image_ref),
        metadata=found.metadata.get(row.uuid, {}),
        flavor={key: value for key, value in specs.items()
                if key.startswith(PREFIX)},
        image={key: value for key, value in image.items()
               if key.startswith(IMAGE_PREFIX)},
        aggregate=aggregate,
        problems=tuple(problems),
        has_vtpm=(any(specs.get(key) for key in TPM_KEYS)
                  or any(image.get(key) for key in TPM_IMAGE_KEYS)),
        has_accelerators=(bool(specs.get(DEVICE_PROFILE))
                          or row.uuid in found.with_accelerator_ports),
        has_shares=row.uuid in found.with_shares,
        group_policy=found.group_policy.get(row.uuid))


def _extra_specs(stored: str | None) -> tuple[dict[str, str], list[str]]:
    """Return the extra specs of the flavor that the instance has now."""
    if stored is None:
        return {}, []
    try:
        data = jsonutils.loads(stored)['cur']['nova_object.data']
        return dict(data.get('extra_specs') or {}), []
    except (ValueError, KeyError, TypeError) as error:
        return {}, ['its stored flavor cannot be read '
                    f'({type(error).__name__})']


def _metadata(session, chunk):
    table = reader.METADATA
    statement = sa.select(table.instance_uuid, table.key, table.value).where(
        table.instance_uuid.in_(chunk), reader.tag_rows())
    found = collections.defaultdict(dict)
    for row in session.execute(statement).all():
        if reader.is_tag(row.key):
            found[row.instance_uuid][row.key] = row.value
    return found


def _image(session, chunk):
    table = models.InstanceSystemMetadata
    keys = [STORED_IMAGE_PREFIX + key for key in TPM_IMAGE_KEYS]
    statement = sa.select(table.instance_uuid, table.key, table.value).where(
        table.instance_uuid.in_(chunk), table.deleted == 0,
        sa.or_(table.key.like(f'{STORED_IMAGE_PREFIX}{IMAGE_PREFIX}%'),
               table.key.in_(keys)))
    found = collections.defaultdict(dict)
    for row in session.execute(statement).all():
        key = row.key.removeprefix(STORED_IMAGE_PREFIX)
        found[row.instance_uuid][key] = row.value
    return found


def _root_is_volume(session, chunk):
    """Return whether the root disk is a volume, as Nova's
    is_volume_backed_instance decides it; instances without a root block
    device mapping are absent."""
    table = models.BlockDeviceMapping
    statement = sa.select(table.instance_uuid, table.destination_type).where(
        table.instance_uuid.in_(chunk), table.boot_index == 0,
        table.deleted == 0)
    return {row.instance_uuid: row.destination_type == 'volume'
            for row in session.execute(statement).all()}


def _with_shares(session, chunk):
    table = models.ShareMapping
    statement = sa.select(table.instance_uuid).distinct().where(
        table.instance_uuid.in_(chunk))
    return set(session.execute(statement).scalars())


def _with_accelerator_ports(session, chunk):
    table = models.InstanceInfoCache
    statement = sa.select(table.instance_uuid).where(
        table.instance_uuid.in_(chunk), table.deleted == 0,
        table.network_info.like(f'%{ACCELERATOR_VNIC}%'))
    return set(session.execute(statement).scalars())


def _group_policies(context, chunk):
    member = api_models.InstanceGroupMember
    policy = api_models.InstanceGroupPolicy
    statement = sa.select(member.instance_uuid, policy.policy).join(
        policy, policy.group_id == member.group_id
    ).where(member.instance_uuid.in_(chunk))
    with cells.reading_api(context) as session:
        return {row.instance_uuid: row.policy
                for row in session.execute(statement).all()}
