# SPDX-License-Identifier: Apache-2.0
"""Finds filters and weighers: our own, and those of others by stevedore.

Imports plugins, makes none. One that cannot be imported never stops
nova-scheduler: its name then stands for a class that does nothing.
"""

from stevedore import extension as stevedore_extension

from nova_pets.scheduler import extension


def names(namespace):
    """Return the names of the entry points of a namespace, sorted."""
    manager = stevedore_extension.ExtensionManager(
        namespace, on_load_failure_callback=lambda *args: None)
    return sorted(set(manager.entry_points_names()))


def load(namespace, base, own, substitute):
    """Return the classes of ``own``, then those of the namespace.

    :param base: class that each must be a subclass of.
    :param substitute: called with the name of a plugin that cannot be
        used; returns a class or None.
    """
    result = {cls.__name__: cls for cls in own}

    def failed(manager, entry_point, error):
        _replace(result, namespace, entry_point.name, error, substitute)

    manager = stevedore_extension.ExtensionManager(
        namespace, on_load_failure_callback=failed)
    for found in sorted(manager, key=lambda ext: ext.name):
        cls = found.plugin
        if cls in result.values():
            continue
        if not (isinstance(cls, type) and issubclass(cls, base)):
            _replace(result, namespace, found.name,
                     f'expected a subclass of {base.__name__}, found '
                     f'{cls!r}', substitute)
        else:
            result.setdefault(cls.__name__, cls)
    return list(result.values())


def _replace(result, namespace, name, error, substitute):
    if name in result:
        return
    extension.report_problem(
        f'cannot load {name} of {namespace}: {error}')
    cls = substitute(name)
    if cls is not None:
        result[name] = cls
