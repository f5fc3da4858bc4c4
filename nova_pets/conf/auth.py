# SPDX-License-Identifier: Apache-2.0
"""Options of [pets_auth]: the identity by which evacuations are asked for.

Declares options and says which section counts; opens no session.
"""

from keystoneauth1 import loading as ks_loading
from oslo_config import cfg

GROUP = cfg.OptGroup('pets_auth', title='Credentials for evacuations',
                     help="""
A keystoneauth section: the user in whose name instances are evacuated. It
needs the role ``admin`` (or ``service``, where the policies of Glance, Cinder
and Neutron allow it), because nova-compute on the destination uses this token
to reach them.

When neither ``auth_type`` nor ``auth_section`` is set here, Nova's
``[service_user]`` is used.
""")

FALLBACK = 'service_user'

SESSION_OPTS = ks_loading.get_session_conf_options()
AUTH_OPTS = ks_loading.get_auth_common_conf_options()


def section(conf: cfg.ConfigOpts) -> str:
    """Return the group whose credentials are used."""
    mine = conf[GROUP.name]
    if mine.auth_type or mine.auth_section:
        return GROUP.name
    return FALLBACK
