# SPDX-License-Identifier: Apache-2.0
"""The identity by which evacuations are asked for: a context with a token.

The destination uses the context of the evacuate call to reach glance, cinder
and neutron, and needs a token and a catalogue for the first
(nova-evacuation.md, F10). Without either the evacuation fails there, after
it was recorded; so it is refused here, before anything is written, unless
Nova's own [glance] endpoint_override or api_servers makes the catalogue
unnecessary. That this is set on the computes too is the operator's duty;
schedulers and computes are expected to share that section.

Reads the [pets_auth] or [service_user] section through keystoneauth; no
other option of ours.
"""

import threading

from keystoneauth1 import loading as ks_loading
import nova.conf
import nova.context

from nova_pets import exception
from nova_pets.compute import errors

_INTERFACES = {'public': 'publicURL', 'internal': 'internalURL',
               'admin': 'adminURL'}


def v2_catalog(catalog: list[dict]) -> list[dict]:
    """Return a v3 catalogue in the shape that Nova's context carries.

    One entry per service, its endpoints grouped by region.
    """
    services = []
    for service in catalog:
        regions: dict[str | None, dict[str, str]] = {}
        for endpoint in service.get('endpoints', ()):
            region = endpoint.get('region_id') or endpoint.get('region')
            key = _INTERFACES.get(endpoint.get('interface'))
            if key:
                entry = regions.setdefault(region, {'region': region})
                entry[key] = endpoint['url']
        services.append({'type': service.get('type'),
                         'name': service.get('name'),
                         'endpoints': list(regions.values())})
    return services


class Identity:
    """Makes contexts; the plugin is loaded once, tokens are its own care.

    :param groups: sections in order of precedence; the first that has an
        auth_type or auth_section counts.
    :param min_token_life_s: a token nearer to its end is replaced, since it
        must outlive queueing and building on the destination. Where tokens
        live shorter than this, each context gets a new one.
    """

    def __init__(self, groups: tuple[str, ...] = ('pets_auth',
                                                  'service_user'),
                 min_token_life_s: float = 1800.0, conf=None):
        self._conf = conf or nova.conf.CONF
        self._groups = groups
        self._min_token_life_s = min_token_life_s
        self._lock = threading.Lock()
        self._loaded = None

    def section(self) -> str | None:
        """Return the configured section, None: there is none."""
        for group in self._groups:
            if group not in self._conf:
                ks_loading.register_auth_conf_options(self._conf, group)
                ks_loading.register_session_conf_options(self._conf, group)
            options = self._conf[group]
            if options.auth_type or options.auth_section:
                return group
        return None

    def problem(self) -> str | None:
        """Return why no evacuation can be asked for, in one sentence.

        Asks keystone for a token.
        """
        try:
            self.context(None)
        except exception.NovaUnavailable as error:
            return str(error)
        return None

    def context(self, request_id: str | None):
        """Return an untargeted admin context with a token.

        :raises NovaUnavailable: no token, or nothing that leads to glance.
        """
        with errors.unavailable('get a token for evacuations'):
            fields = self._fields()
        if not fields.get('service_catalog') and not self._glance_is_set():
            raise exception.NovaUnavailable(
                what='ask for evacuations',
                found='no credentials with a service catalogue: set '
                      '[pets_auth] (or [service_user]), or [glance] '
                      'endpoint_override here and on all computes')
        return nova.context.RequestContext(
            is_admin=True, request_id=request_id, overwrite=False, **fields)

    def _glance_is_set(self) -> bool:
        glance = self._conf.glance
        return bool(glance.endpoint_override or glance.api_servers)

    def _fields(self) -> dict:
        group = self.section()
        if group is None:
            return {}
        with self._lock:
            if self._loaded is None:
                self._loaded = (
                    ks_loading.load_auth_from_conf_options(
                        self._conf, group),
                    ks_loading.load_session_from_conf_options(
                        self._conf, group))
            return self._ask(*self._loaded)

    def _ask(self, plugin, session) -> dict:
        fields = {'auth_token': plugin.get_token(session),
                  'user_id': plugin.get_user_id(session),
                  'project_id': plugin.get_project_id(session)}
        if not hasattr(plugin, 'get_access'):
            # auth_type none and admin_token know no catalogue; context()
            # looks whether one is needed.
            return fields | {'roles': ['admin']}
        access = plugin.get_access(session)
        if access.will_expire_soon(self._min_token_life_s):
            plugin.invalidate()
            access = plugin.get_access(session)
        return fields | {
            'auth_token': access.auth_token,
            'roles': list(access.role_names),
            'user_domain_id': access.user_domain_id,
            'project_domain_id': access.project_domain_id,
            'service_catalog': v2_catalog(access.service_catalog.catalog)}
