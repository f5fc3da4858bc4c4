# SPDX-License-Identifier: Apache-2.0
"""Give the stock nova-manage one more category: ``nova-manage pets VERB``.

nova-manage knows its categories from one dict, ``nova.cmd.manage.CATEGORIES``,
and loads nothing from entry points. So, when Python starts:

1. ``nova_pets_nova_manage.pth`` (in the root of site-packages, in our RECORD)
   looks whether the command line names nova-manage. In any other program that
   is all that happens; its cost is measured in tests/packaging.
2. In nova-manage it calls ``install()``, which puts a finder before others.
3. When nova.cmd.manage is imported, the finder lets the real one find it, and
   adds our category to CATEGORIES once the module has been executed.

No file of Nova is touched, so Nova can be upgraded or reinstalled after us,
and with us the .pth file goes. Nothing here may raise into Nova or into the
start of a Python program, and nothing of Nova or of our own is imported
before ``nova-manage pets`` was really asked for. Where site-packages' .pth
files are not read (``python -S``, ``pip install --target``), the script
nova-pets-manage does the same.
"""

import importlib
import sys

CATEGORY = 'pets'
MODULE = 'nova.cmd.manage'
# What the verbs return for "cannot tell (usage, database, schema)".
EXIT_CANNOT_TELL = 3
# Words that nova-manage takes in the place of a category.
_NOT_CATEGORIES = ('version', 'bash-completion')


def install():
    """Watch for the import of nova.cmd.manage; a second call does nothing."""
    if MODULE in sys.modules:
        return
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())


class Finder:
    """A meta path finder that finds one module, once, and leaves."""

    def find_spec(self, name, path=None, target=None):
        if name != MODULE:
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                _extend_loader(spec.loader)
                return spec
        return None


def _extend_loader(loader):
    """Make this one loader add our category after it ran the module.

    NOTE: the attribute is set on the loader of this module and not on its
    class, so that the module keeps its own spec and loader: pickling,
    inspect, tracebacks and pdb see what they would see without us.
    """
    exec_module = loader.exec_module

    def exec_and_extend(module):
        try:
            exec_module(module)
        except Exception as exc:
            # nova 33 and later read nova.conf here, to choose their threads.
            if CATEGORY in sys.argv[1:]:
                _end_for_bad_conf(exc)
            raise
        try:
            del loader.exec_module
            add_category(module)
        except Exception as exc:
            # The boundary to Nova: its other categories must work whatever
            # a later Nova has changed here.
            _say(f'nova-pets: cannot add the category {CATEGORY!r} to '
                 f'nova-manage: {exc!r}')

    try:
        loader.exec_module = exec_and_extend
    except AttributeError:
        # A loader without a dict of its own (frozen, built in): stock
        # nova-manage, and nova-pets-manage for our verbs.
        return


def add_category(module):
    """Add the category to nova.cmd.manage, just executed.

    When the command line asks for it, the usage errors of argparse (exit
    code 2) become 3: for our verbs 2 means that somebody must act.
    """
    module.CATEGORIES.setdefault(CATEGORY, load_commands)
    if asked_for(sys.argv[1:], module.CATEGORIES) != CATEGORY:
        return
    nova_main = module.main

    def main():
        try:
            return nova_main()
        except SystemExit as exc:
            if exc.code == 2:
                sys.exit(EXIT_CANNOT_TELL)
            raise
        except Exception as exc:
            _end_for_bad_conf(exc)
            raise

    module.main = main


def _end_for_bad_conf(exc):
    """Say in one sentence that nova.conf is missing or broken, and end.

    Returns for any other exception.
    """
    if type(exc).__module__.partition('.')[0] != 'oslo_config':
        return
    _say(f'nova-manage {CATEGORY}: cannot use nova.conf: expected one that '
         f'can be read, found: {exc}. Name it with --config-file')
    sys.exit(EXIT_CANNOT_TELL)


def asked_for(words, categories):
    """Return the category that a command line names, or None.

    It is the first word that is one: ``pets`` as the value of another
    category's option comes later, and the values of the options before the
    category are paths.
    """
    for word in words:
        if word in categories or word in _NOT_CATEGORIES:
            return word
    return None


def load_commands():
    """Return the object whose methods are our verbs, as nova-manage expects.

    nova-manage creates every category on every run. For another category
    ours is an empty one, and nova_pets.cmd.manage is not even imported.
    """
    categories = getattr(sys.modules.get(MODULE), 'CATEGORIES', (CATEGORY,))
    asked = asked_for(sys.argv[1:], categories)
    if asked != CATEGORY and not (
            asked == 'bash-completion' and CATEGORY in sys.argv):
        return NoCommands()
    try:
        return importlib.import_module('nova_pets.cmd.manage').PetsCommands()
    except Exception as exc:
        # The boundary to Nova, as above. Only a command line that asks for
        # our category ends here; any other goes on.
        if asked == CATEGORY:
            _say(f'nova-manage {CATEGORY}: cannot load '
                 f'nova_pets.cmd.manage: {exc!r}')
            _say('The other categories of nova-manage are not affected. Is '
                 'nova-pets installed completely, and for this nova?')
            sys.exit(EXIT_CANNOT_TELL)
        return NoCommands()


class NoCommands:
    """A category without verbs, for runs that are not about ours."""

    description = 'Instance HA (nova-pets).'


def _say(line):
    print(line, file=sys.stderr)
