# SPDX-License-Identifier: Apache-2.0
"""What a new cloud needs in keystone, glance and Nova, over their APIs."""

from nova_pets.tests.lab import plan as plan_module
from nova_pets.tests.lab import rest
from nova_pets.tests.lab import settings

_SERVICES = {'placement': ('placement', ''), 'image': ('glance', ''),
             'network': ('neutron', ''), 'compute': ('api', '/v2.1')}


def fill_keystone(plan: plan_module.Plan, cloud: rest.Cloud) -> None:
    """The user of the services, and the catalogue."""
    def make(kind, **what):
        return cloud.ask('keystone', 'POST', f'/v3/{kind}s',
                         {kind: what})[kind]['id']

    roles = {role['name']: role['id'] for role in cloud.ask(
        'keystone', 'GET', '/v3/roles')['roles']}
    if 'service' not in roles:
        roles['service'] = make('role', name='service')
    project = make('project', name='service', domain_id='default')
    user = make('user', name=settings.USER, password=plan.password,
                domain_id='default', default_project_id=project)
    for role in ('admin', 'service'):
        cloud.ask('keystone', 'PUT', f'/v3/projects/{project}/users/{user}'
                                     f'/roles/{roles[role]}')
    for kind, (name, path) in _SERVICES.items():
        service = make('service', name=name, type=kind)
        for interface in ('public', 'internal'):
            make('endpoint', service_id=service, region_id=settings.REGION,
                 interface=interface, url=plan.url(name) + path)


def fill_glance(cloud: rest.Cloud, content: bytes = b'\0') -> None:
    """One image; hypervisors that are none do not look into it."""
    image = cloud.ask('glance', 'POST', '/v2/images', {
        'name': rest.IMAGE, 'disk_format': 'raw', 'container_format': 'bare',
        'visibility': 'public'})['id']
    cloud.ask('glance', 'PUT', f'/v2/images/{image}/file', data=content,
              headers={'Content-Type': 'application/octet-stream'})


def fill_nova(cloud: rest.Cloud) -> None:
    cloud.ask('api', 'POST', '/v2.1/flavors', {'flavor': {
        'id': rest.FLAVOR, 'name': rest.FLAVOR, 'ram': 64, 'vcpus': 1,
        'disk': 1}})
