# SPDX-License-Identifier: Apache-2.0
"""How a false service works: in steps, turned by its own process.

Work is a generator that yields how long the next step takes, or a park that
is given the call that wakes it. A process that was killed never turns it
again; one that is paused turns it later. Nothing may be done in a
``finally``: that would run when the generator is thrown away.
"""

import collections.abc
import typing

from nova_pets.simulator import kernel as kernel_module
from nova_pets.simulator import nova_errors as errors

Wake = collections.abc.Callable[[], None]
Park = collections.abc.Callable[[Wake], None]
T = typing.TypeVar('T')
Steps = collections.abc.Generator[float | Park, None, T]


def start(process: kernel_module.Process, steps: Steps[None]) -> None:
    """Let the process do the work, from its next turn on."""

    def turn() -> None:
        try:
            asked = next(steps)
        except StopIteration:
            return
        if callable(asked):
            asked(_once(lambda: process.after(0.0, turn)))
        else:
            process.after(asked, turn)

    process.after(0.0, turn)


def _once(call: Wake) -> Wake:
    is_done = False

    def wake() -> None:
        nonlocal is_done
        if not is_done:
            is_done = True
            call()

    return wake


class Mailbox:
    """Where the answer of one call arrives; later ones are dropped."""

    def __init__(self) -> None:
        self._outcome: tuple[typing.Any, errors.NovaError | None] | None = (
            None)
        self._wake: Wake | None = None

    @property
    def has_answer(self) -> bool:
        return self._outcome is not None

    def put(self, value: typing.Any,
            error: errors.NovaError | None = None) -> None:
        if self._outcome is None:
            self._outcome = (value, error)
            if self._wake is not None:
                self._wake()

    def wait(self, process: kernel_module.Process, seconds: float) -> Park:
        """Return a park that ends with the answer or with time."""

        def park(wake: Wake) -> None:
            self._wake = wake
            process.after(seconds, wake)

        return park

    def take(self) -> typing.Any:
        """Return the answer, or raise what was answered."""
        if self._outcome is None:
            raise errors.MessagingTimeout('no answer')
        value, error = self._outcome
        if error is not None:
            raise error
        return value
