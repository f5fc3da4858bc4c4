# SPDX-License-Identifier: Apache-2.0
"""Takes the locks away that qemu holds on the disks of its guests.

All hosts of the lab share one kernel and one file system, so a second qemu
would be refused the lock of the first one, even of a host that nobody
reaches: what an unfenced host does to its guests' disks would never be seen.
Storage whose locks do not reach that far is common. libvirtd is started with
this library, and hands it to its qemu.
"""

import pathlib

from nova_pets.tests.lab import preload

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>

static int call(const char *name, int file, int what, void *argument)
{
    int (*real)(int, int, ...) = dlsym(RTLD_NEXT, name);

    switch (what) {
    case F_SETLK: case F_SETLKW: case F_OFD_SETLK: case F_OFD_SETLKW:
        return 0;
    case F_GETLK: case F_OFD_GETLK:
        ((struct flock *) argument)->l_type = F_UNLCK;
        return 0;
    }
    return real(file, what, argument);
}

int fcntl(int file, int what, ...)
{
    va_list more;
    void *argument;

    va_start(more, what);
    argument = va_arg(more, void *);
    va_end(more);
    return call("fcntl", file, what, argument);
}

int fcntl64(int file, int what, ...)
{
    va_list more;
    void *argument;

    va_start(more, what);
    argument = va_arg(more, void *);
    va_end(more);
    return call("fcntl64", file, what, argument);
}
"""


def library(directory: pathlib.Path) -> pathlib.Path:
    """Return the library of this lab, made if it is not there.

    :raises preload.NoCompiler: it cannot be made.
    """
    return preload.library(directory / 'no-locks.so', _SOURCE)
