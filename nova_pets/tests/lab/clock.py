# SPDX-License-Identifier: Apache-2.0
"""A wall clock of its own for a process: a library that is loaded before libc.

Wall clock time is ahead by the seconds that a file says, from one call to the
next; the monotonic clock and all waiting stay as they are, as when a clock
is stepped. libfaketime would do, but that of Debian 12 (0.9.10) breaks
time.sleep() of Python 3.11 when it leaves the monotonic clock alone.
"""

import pathlib

from nova_pets.tests.lab import preload

VARIABLE = 'NOVA_PETS_LAB_CLOCK'
_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long ahead(void)
{
    const char *path = getenv("%(variable)s");
    char text[32];
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t size;

    if (file < 0)
        return 0;
    size = read(file, text, sizeof text - 1);
    close(file);
    text[size > 0 ? size : 0] = 0;
    return atol(text);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    int result;

    if (!real)
        real = dlsym(RTLD_NEXT, "clock_gettime");
    result = real(id, now);
    if (!result && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        now->tv_sec += ahead();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    int result = clock_gettime(CLOCK_REALTIME, &exact);

    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return result;
}

time_t time(time_t *where)
{
    struct timespec exact;

    clock_gettime(CLOCK_REALTIME, &exact);
    if (where)
        *where = exact.tv_sec;
    return exact.tv_sec;
}
""" % {'variable': VARIABLE}


def library(directory: pathlib.Path) -> pathlib.Path:
    """Compile the library into the directory, once; return its path.

    :raises preload.NoCompiler: it cannot be made.
    """
    return preload.library(directory / 'clock.so', _SOURCE)


def environ(made: pathlib.Path, path: pathlib.Path) -> dict[str, str]:
    """Return what a process needs to have the clock of this file."""
    return {'LD_PRELOAD': str(made), VARIABLE: str(path)}
