# SPDX-License-Identifier: Apache-2.0
"""Small libraries that are loaded before libc (LD_PRELOAD), compiled here."""

import pathlib
import shutil
import subprocess


class NoCompiler(Exception):
    """The library cannot be made here."""


def library(made: pathlib.Path, source: str) -> pathlib.Path:
    """Compile a library unless it is there; return its path.

    :param source: C.
    """
    if made.exists():
        return made
    if shutil.which('gcc') is None:
        raise NoCompiler('gcc (package gcc, with libc6-dev) is not installed')
    new = made.with_suffix('.new')
    done = subprocess.run(
        ['gcc', '-shared', '-fPIC', '-O1', '-o', str(new), '-x', 'c', '-',
         '-ldl'], input=source, text=True, capture_output=True)
    if done.returncode:
        raise NoCompiler(f'gcc: {done.stderr[:500]}')
    return new.rename(made)
