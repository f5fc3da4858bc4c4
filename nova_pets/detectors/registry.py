# SPDX-License-Identifier: Apache-2.0
"""From names to detectors; looks at no host.

Others can add theirs in the stevedore namespace: a class made from a
detectors.context.Context.
"""

import collections.abc
import typing

from stevedore import extension

from nova_pets import exception
from nova_pets.detectors import base
from nova_pets.detectors import context as detectors_context
from nova_pets.model import states

NAMESPACE = 'nova_pets.detectors'

Detectors = collections.abc.Mapping[
    str, collections.abc.Callable[[detectors_context.Context],
                                  base.Detector]]


def known_detectors() -> dict[str, typing.Any]:
    """Return the installed detectors by name; one that cannot be imported
    is left out (naming it is refused)."""
    manager = extension.ExtensionManager(
        NAMESPACE, on_load_failure_callback=_ignore_broken_plugin)
    return {ext.name: ext.plugin for ext in manager}


def _ignore_broken_plugin(manager: typing.Any, entry_point: typing.Any,
                          error: BaseException) -> None:
    """Somebody else's broken plugin must not take the others along."""


def build(names: collections.abc.Iterable[str],
          context: detectors_context.Context,
          known: Detectors | None = None) -> tuple[base.Detector, ...]:
    """Return the detectors in the order of their names' first mention.

    The heartbeat is left out when the collector does not tell it
    (``context.silence_s``): planning then judges the silence alone.

    :param known: {name: class}; None: the installed ones.
    :raises ConfigInvalid: no detector of that name.
    """
    if known is None:
        known = known_detectors()
    result = []
    for name in dict.fromkeys(name.strip() for name in names):
        if name not in known:
            raise exception.ConfigInvalid(
                option='[pets_detection] detectors',
                expected=f'names of {", ".join(sorted(known))}',
                found=repr(name))
        if name == 'heartbeat' and context.silence_s is None:
            continue
        result.append(Guarded(known[name](context)))
    return tuple(result)


class Guarded(base.Detector):
    """Any detector, kept to the contract: what it raises is UNKNOWN."""

    def __init__(self, detector: base.Detector):
        self.detector = detector
        self.name = detector.name
        self.path = detector.path
        self.always = detector.always
        self.is_slow = detector.is_slow
        self.looks_in_calm = detector.looks_in_calm
        self.refresh_s = detector.refresh_s

    def look(self, target: base.Target) -> base.Look:
        try:
            look = self.detector.look(target)
        # NOTE(pets): a detector may come from anybody, and a bug in it is
        # neither life nor silence.
        except Exception as error:
            return base.Look(states.Sign.UNKNOWN,
                             f'detector raised {type(error).__name__}')
        if not isinstance(look, base.Look):
            return base.Look(states.Sign.UNKNOWN, 'detector gave no answer')
        return look

    def refresh(self) -> None:
        self.detector.refresh()

    def problem(self) -> str | None:
        return self.detector.problem()
