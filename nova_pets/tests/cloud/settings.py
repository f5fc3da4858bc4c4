# SPDX-License-Identifier: Apache-2.0
"""The nova.conf of an embedded cloud."""

import importlib.metadata
import os


def write(path, defaults, config):
    """Write nova.conf: the defaults, and over them what the test wants.

    Both are dicts of group -> option -> value; a list is a repeated option.
    """
    merged = {group: dict(options) for group, options in defaults.items()}
    for group, options in config.items():
        merged.setdefault(group, {}).update(options)
    with open(path, 'w') as stream:
        for group, options in merged.items():
            stream.write('[%s]\n' % group)
            for name, value in options.items():
                values = value if isinstance(value, list) else [value]
                for one in values:
                    stream.write('%s = %s\n' % (name, one))


def defaults(own):
    """Return what a cloud needs.

    :param own: [DEFAULT] options of this cloud, state_path among them.
    """
    return {
        'DEFAULT': {
            'host': 'api', 'my_ip': '127.0.0.1',
            'compute_driver': 'fake.FakeDriver',
            'periodic_fuzzy_delay': 0,
            # Threads of dead services keep their places in shared pools.
            'default_thread_pool_size': 200,
            'executor_thread_pool_size': 32,
            'manager_shutdown_timeout': 0,
            'vif_plugging_timeout': 0,
            'reserved_host_memory_mb': 0,
            'use_stderr': False,
            **own,
        },
        # Never opened: database.py plugs its files in.
        'api_database': {'connection': 'sqlite://'},
        'database': {'connection': 'sqlite://'},
        # For the same reason.
        'compute': {'update_resources_max_workers': 200},
        'wsgi': {'api_paste_config': _installed_file('api-paste.ini')},
        'key_manager': {
            'backend': 'nova.keymgr.conf_key_mgr.ConfKeyManager'},
        'oslo_concurrency': {
            'lock_path': os.path.join(own['state_path'], 'locks')},
        'oslo_limit': {'endpoint_id': 'none'},
        'filter_scheduler': {'build_failure_weight_multiplier': 0.0},
        'quota': {name: -1 for name in (
            'instances', 'cores', 'ram', 'server_groups',
            'server_group_members')},
    }


def _installed_file(name):
    """Return the path of a file that Nova's wheel put into etc/nova."""
    for path in importlib.metadata.files('nova'):
        if path.parts[-3:] == ('etc', 'nova', name):
            return str(path.locate().resolve())
    raise AssertionError('cannot find etc/nova/%s of nova' % name)
