# SPDX-License-Identifier: Apache-2.0
"""The program nova-pets-manage: nova-manage's category pets by itself.

Parses the command line as nova-manage does and runs one verb of manage.py.
Touches neither Nova nor the tables.
"""

import collections.abc
import functools
from importlib import metadata
import os
import sys
import warnings

from nova_pets.cmd import console as console_module
from nova_pets.cmd import manage
from nova_pets.cmd import questions
from nova_pets.cmd import simulate

CATEGORY = 'pets'
_PLAIN_WORDS = ('version', 'bash-completion')


def main() -> int:
    """Entry point of nova-pets-manage: the same without nova-manage.

    Takes the words after ``nova-manage`` or after ``nova-manage pets``.
    """
    # Before anything of nova is imported: native threads (nova 31 patches
    # when nova.cmd is imported).
    os.environ.setdefault('OS_NOVA_DISABLE_EVENTLET_PATCHING', '1')
    # What libraries deprecate is nothing for the person at this screen.
    if not sys.warnoptions:
        warnings.simplefilter('ignore')
    return run(sys.argv)


def run(argv: list[str]) -> int:
    """Parse as nova-manage does, and run one verb."""
    console = console_module.Console('nova-pets-manage')
    try:
        return _run(argv)
    except SystemExit as error:
        # argparse says 2 for usage; for our verbs 2 means that somebody
        # must act.
        return int(questions.Exit.CANNOT_TELL) if error.code == 2 else \
            int(error.code or 0)
    # The boundary of a command, as in console.guarded: nova.conf missing or
    # unreadable ends here.
    except Exception as error:
        code, sentence = console_module.explain(error)
        console.complain(sentence)
        return int(code)


def _run(argv: list[str]) -> int:
    words_given = simulate.words_after(argv)
    if words_given is not None:
        commands = manage.PetsCommands(simulate.NoAccess(),
                                'nova-pets-manage')
        return commands.simulate(**simulate.parsed(
            manage.PetsCommands.simulate, words_given))
    return _run_with_nova(argv)


def _run_with_nova(argv: list[str]) -> int:
    from nova import config
    from nova.cmd import common
    import nova.conf
    from oslo_config import cfg
    from oslo_log import log as logging

    commands = manage.PetsCommands(name='nova-pets-manage')
    categories = {CATEGORY: lambda: commands}
    conf = nova.conf.CONF
    conf.register_cli_opt(cfg.SubCommandOpt(
        'category', title='Command categories',
        handler=functools.partial(common.add_command_parsers,
                                  categories=categories)))
    verbs = [name for name, _method in common.methods_of(commands)]
    config.parse_args(with_category(argv, verbs), init_rpc=False)
    logging.setup(conf, 'nova')
    if conf.category.name == 'version':
        print(metadata.version('nova-pets'))
        return 0
    if conf.category.name == 'bash-completion':
        common.print_bash_completion(categories)
        return 0
    method, words_given, options = common.get_action_fn()
    return int(method(*words_given, **options))


def with_category(argv: list[str], verbs: collections.abc.Collection[str]
                  ) -> list[str]:
    """Return the command line with the category before the verb.

    >>> with_category(['nova-pets-manage', '--debug', 'status'], ['status'])
    ['nova-pets-manage', '--debug', 'pets', 'status']
    """
    program, given = argv[:1], argv[1:]
    for place, word in enumerate(given):
        if word == CATEGORY or word in _PLAIN_WORDS:
            return argv
        if word in verbs:
            return program + given[:place] + [CATEGORY] + given[place:]
    # No verb: let the category's own parser say what is expected.
    place = len(given)
    is_value = False
    for number, word in enumerate(given):
        if word in ('-h', '--help') or not (
                is_value or word.startswith('-')):
            place = number
            break
        is_value = word.startswith('--') and '=' not in word
    return program + given[:place] + [CATEGORY] + given[place:]


if __name__ == '__main__':
    sys.exit(main())
