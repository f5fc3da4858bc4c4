# SPDX-License-Identifier: Apache-2.0
"""All options: registered in a ConfigOpts, listed for the sample.

Reads no value. What is registered never raises when read
(conf/tolerant.py): a bad value counts as the default, a bad mode as
observe, and conf/check.py says so.
"""

from keystoneauth1 import loading as ks_loading
from oslo_config import cfg

from nova_pets.conf import auth
from nova_pets.conf import detection
from nova_pets.conf import fencing
from nova_pets.conf import pets
from nova_pets.conf import scheduler
from nova_pets.conf import tolerant

_DECLARED = (
    (pets.GROUP, pets.OPTS),
    (detection.GROUP, detection.OPTS),
    (fencing.GROUP, fencing.OPTS),
    (scheduler.GROUP, scheduler.OPTS),
    (auth.GROUP, auth.SESSION_OPTS),
)

_FALLBACKS = {('pets', 'mode'): 'observe'}

REGISTERED = tuple(
    (group, [tolerant.tolerant(opt, _FALLBACKS.get((group.name, opt.dest)))
             for opt in opts])
    for group, opts in _DECLARED)
"""What register_opts registers, besides the plain ones of keystoneauth."""


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register everything; again is harmless."""
    for group, opts in REGISTERED:
        # NOTE(pets): a group of its own, since register_group copies it
        # shallowly and two ConfigOpts would share their overrides.
        conf.register_group(cfg.OptGroup(group.name, title=group.title,
                                         help=group.help))
        conf.register_opts(opts, group=group.name)
    conf.register_opts(auth.AUTH_OPTS, group=auth.GROUP.name)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """Entry point of oslo-config-generator."""
    plugin_opts = (auth.SESSION_OPTS + auth.AUTH_OPTS +
                   ks_loading.get_auth_plugin_conf_options('password'))
    return [(group, plugin_opts if group is auth.GROUP else list(opts))
            for group, opts in _DECLARED]
