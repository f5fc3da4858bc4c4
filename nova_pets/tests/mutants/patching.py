# SPDX-License-Identifier: Apache-2.0
"""Gives one function of a loaded module another body, in this process only.

The module was imported as it is; what it made of the function at import (a
table of functions, a wrapper, a subclass) holds the same function object, so
it gets the new body as well. No file and no bytecode is written.
"""

import collections.abc
import gc
import importlib
import inspect
import types

from nova_pets.tests.mutants import sources


class CannotPatch(Exception):
    """The mutant could not be put in place: nothing is known about it."""


def patch(source: sources.Source, function: str, text: str) -> None:
    """Replace the body of ``function`` by its body in ``text``.

    Of a function within another one, the outer's: that is where its body is
    kept.

    :raises CannotPatch: no such function lives, or it cannot be told apart.
    """
    name = f'{sources.PACKAGE}.{source.name}'.removesuffix('.__init__')
    module = importlib.import_module(name)
    old = _outermost(compile(source.text, module.__file__, 'exec'), function)
    new = _outermost(compile(text, module.__file__, 'exec'), function)
    patched = [one for one in gc.get_objects()
               if inspect.isfunction(one) and _is_of(one, module, old)]
    if not patched:
        raise CannotPatch(f'{name} has no living {function}')
    for one in patched:
        try:
            one.__code__ = new
        except ValueError as error:
            raise CannotPatch(str(error)) from error


def _is_of(one: types.FunctionType, module: types.ModuleType,
           code: types.CodeType) -> bool:
    return (one.__module__ == module.__name__ and
            one.__code__.co_qualname == code.co_qualname and
            one.__code__.co_firstlineno == code.co_firstlineno)


def _outermost(module_code: types.CodeType, function: str
               ) -> types.CodeType:
    """Return the body of the function, or of the one that it is within."""
    for code in _bodies(module_code):
        name = code.co_qualname
        if function == name or function.startswith(f'{name}.'):
            return code
    raise CannotPatch(f'no body of {function}')


def _bodies(code: types.CodeType
            ) -> collections.abc.Iterator[types.CodeType]:
    """Yield the functions of a module and of its classes."""
    for inner in code.co_consts:
        if not isinstance(inner, types.CodeType):
            continue
        if inner.co_flags & inspect.CO_NEWLOCALS:
            yield inner
        else:
            # The body of a class.
            yield from _bodies(inner)
