# SPDX-License-Identifier: Apache-2.0
"""The arguments of the verbs, declared in the form that nova-manage reads.

nova.cmd.common.add_command_parsers finds them in the attribute ``args`` of
each verb. Parses nothing itself.
"""

import collections.abc
import typing

Verb = collections.abc.Callable[..., int]


def args(*flags: str, **settings: typing.Any
         ) -> collections.abc.Callable[[Verb], Verb]:
    """Declare one argument in the form that nova.cmd.common reads.

    NOTE(pets): the same as nova.cmd.common.args, which cannot be imported
    here: nova-pets-manage has to say first how nova runs its threads.
    """
    def _decorator(verb: Verb) -> Verb:
        verb.__dict__.setdefault('args', []).insert(0, (flags,
                                                        dict(settings)))
        return verb
    return _decorator


def order_args(is_scoped: bool = False, is_asked: bool = True
                ) -> collections.abc.Callable[[Verb], Verb]:
    """The arguments that every order has."""
    def _decorator(verb: Verb) -> Verb:
        declared = [args('--reason', metavar='<text>', required=True,
                         help='Why; kept in the history.')]
        if is_scoped:
            declared += [
                args('--cell', metavar='<uuid>', help='Only this cell.'),
                args('--host', metavar='<host>', help='Only this host.')]
        if is_asked:
            declared.append(args(
                '--yes', action='store_true', dest='is_sure',
                help='Do not ask; for programs and the very sure.'))
        declared.append(args(
            '--dry-run', action='store_true', dest='is_dry',
            help='Show what would be ordered, and order nothing.'))
        for one in reversed(declared):
            verb = one(verb)
        return verb
    return _decorator


EPOCH = args('--epoch', type=int, metavar='<number>',
              help='Order it only in this failure epoch of the host.')
HOST = args('host', metavar='<host>', help='Name of the compute host.')
INSTANCES = args('instances', metavar='<instance>', nargs='*',
                  help='uuid, a unique first part of it, or a unique name.')
