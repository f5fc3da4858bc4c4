# SPDX-License-Identifier: Apache-2.0
"""A type of option that falls back instead of raising.

nova-scheduler reads every registered option at its start
(``log_opt_values``), so a plain type would let one bad number of ours stop
all scheduling. What is wrong is remembered, for conf/check.py; what follows
from it is decided in conf/policy.py.
"""

import copy
import typing

from oslo_config import cfg
from oslo_config import types


class Tolerant(types.ConfigType):
    """Convert like ``inner``; on a bad value return ``fallback``."""

    def __init__(self, inner: typing.Callable[[typing.Any], typing.Any],
                 fallback: typing.Any):
        super().__init__(getattr(inner, 'type_name', 'unknown value'))
        self.inner = inner
        self.fallback = fallback
        self.problem: str | None = None
        """Of the last conversion; None: it went well."""

    def __call__(self, value: typing.Any) -> typing.Any:
        try:
            converted = self.inner(value)
        except (ValueError, TypeError) as error:
            self.problem = f'expected {self.type_name}, found ' \
                           f'{value!r}: {error}'
            return copy.copy(self.fallback)
        self.problem = None
        return converted

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tolerant) and self.inner == other.inner \
            and self.fallback == other.fallback

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self.inner)

    def _formatter(self, value: typing.Any) -> str:
        return str(value)


def tolerant(opt: cfg.Opt, fallback: typing.Any = None) -> cfg.Opt:
    """Return a copy of the option that never raises when it is read.

    :param fallback: what a bad value means; None: the default.
    """
    result = copy.copy(opt)
    if fallback is None:
        fallback = opt.default
    result.type = Tolerant(opt.type, fallback)
    return result
