# SPDX-License-Identifier: Apache-2.0
"""Driver fence_agents: any fence agent of ClusterLabs that switches power.

Sends an agent ``off``, ``on`` and ``status``, never ``reboot``, and reads no
proof from what ``off`` says: agents are trusted with switching, not with
reporting on it. Which parameters may be given is agent_metadata.py.
"""

import dataclasses
import re
import time

from nova_pets import exception
from nova_pets.fencing import agent_metadata
from nova_pets.fencing import base
from nova_pets.fencing import child
from nova_pets.fencing import deadline
from nova_pets.fencing import pointers
from nova_pets.fencing import settings as settings_module
from nova_pets.fencing import wording
from nova_pets.model import states

_AGENT = re.compile(r'(/.*/)?(?P<name>fence_[a-z0-9_]+)')
_STATUS = re.compile(r'^Status: *(?P<word>\S.*?) *$', re.MULTILINE)
_ANSWERS = {(0, ('ON',)): states.PowerState.ON,
            (2, ('OFF',)): states.PowerState.OFF}
"""{(exit code, words after Status:)}: both have to say the same."""
_IGNORED = 'ignoring unknown option'
"""An agent that goes on without an option may ask another machine."""


class FenceAgentsFencing(base.FencingDriver):

    name = 'fence_agents'
    characteristics = base.Characteristics(
        can_power_off=True, can_power_on=True, reports_power=True)

    def __init__(self, host: str, settings: dict[str, object]):
        """:param settings: agent, its name (or path); options, the
        parameters of that agent as its manual has them."""
        reader = settings_module.Reader(self.name, settings,
                                        ('agent', 'options'))
        self.host = host
        self._agent = reader.text('agent')
        match = _AGENT.fullmatch(self._agent)
        if match is None:
            raise reader.invalid('expected agent to be the name of a fence '
                                 'agent, as fence_ipmilan')
        self._short = match['name']
        options = reader.mapping('options')
        problem = (agent_metadata.why_no_proof(self._short) or
                   agent_metadata.why_not_options(self._short, options))
        if problem:
            raise reader.invalid(problem)
        self._options = agent_metadata.lines_of(options)
        self._words = wording.Words(
            (str(value) for name, value in options.items()
             if pointers.is_secret(name)),
            str(options.get('username', options.get('login', ''))))
        if self._short in agent_metadata.FAKES:
            self.characteristics = dataclasses.replace(
                self.characteristics, is_fake=True)

    def warnings(self) -> tuple[str, ...]:
        return agent_metadata.warnings(self._short, self._options)

    def validate(self) -> None:
        what, timeout_s = 'check the options', agent_metadata.TIMEOUT_S
        path, metadata = self._ready(what, timeout_s)
        if 'validate-all' in metadata.actions:
            ended = self._run(path, 'validate-all', what, timeout_s)
            if ended.code != 0:
                raise self._error(what, self._why(ended))

    def power_state(self, timeout_s: float) -> states.PowerState:
        ended = self._call('status', 'read the power', timeout_s)
        if ended.code not in (0, 2):
            raise self._error('read the power', self._why(ended))
        said = tuple(match['word'].upper()
                     for match in _STATUS.finditer(ended.out))
        return _ANSWERS.get((ended.code, said), states.PowerState.UNKNOWN)

    def power_off(self, timeout_s: float) -> None:
        self._switch('off', timeout_s)

    def power_on(self, timeout_s: float) -> None:
        self._switch('on', timeout_s)

    def _switch(self, word: str, timeout_s: float) -> None:
        what = f'switch power {word}'
        ended = self._call(word, what, timeout_s)
        if ended.code != 0:
            raise self._error(what, self._why(ended))

    def _call(self, action: str, what: str, timeout_s: float) -> child.Ended:
        ends_at = time.monotonic() + timeout_s
        path, metadata = self._ready(what, timeout_s)
        if action not in metadata.actions:
            raise self._error(
                what, f'{self._short} knows {", ".join(metadata.actions)}, '
                f'expected {action} among them', is_refused=True)
        ended = self._run(path, action, what,
                          max(ends_at - time.monotonic(), 0.1))
        if _IGNORED in f'{ended.out}\n{ended.err}'.lower():
            raise self._error(
                what, f'{self._short} ignored an option: '
                f'{self._words.of(ended.err)}')
        return ended

    def _ready(self, what: str, timeout_s: float
               ) -> tuple[str, agent_metadata.Metadata]:
        """Return path and metadata; the options fit them."""
        path = child.find(self._agent)
        if path is None:
            raise self._error(
                what, f'no {self._agent} in {child.PATH}: install the '
                'package of this fence agent', is_refused=True)
        try:
            metadata = agent_metadata.read(path, timeout_s)
        except deadline.Expired:
            raise self._error(
                what, f'{self._short} did not describe itself within '
                f'{timeout_s:.1f} s') from None
        except (OSError, ValueError) as error:
            raise self._error(
                what, f'{self._short} does not describe itself: '
                f'{self._words.of(error)}', is_refused=True) from None
        problem = metadata.why_not(self._options) or \
            agent_metadata.why_not_now(self._short, self._options)
        if problem:
            raise self._error(what, f'{self._short}: {problem}',
                              is_refused=True)
        return path, metadata

    def _run(self, path: str, action: str, what: str, timeout_s: float
             ) -> child.Ended:
        given = ''.join(f'{name}={value}\n' for name, value in {
            **self._options, 'action': action}.items())
        try:
            return child.run([path], given, timeout_s)
        except deadline.Expired:
            raise self._error(
                what, f'no answer of {self._short} within {timeout_s:.1f} s: '
                'it was ended, and may have done it') from None
        except OSError as error:
            raise self._error(what, f'{self._short} cannot be started: '
                              f'{self._words.of(error)}') from None

    def _why(self, ended: child.Ended) -> str:
        said = ended.err.strip() or ended.out
        return f'{self._short} ended with {ended.code}: ' \
               f'{self._words.of(said)}'

    def _error(self, what: str, found: str, is_refused: bool = False
               ) -> exception.FencingError:
        return exception.FencingError(
            what=what, host=self.host, device=self.name, found=found,
            is_refused=is_refused)
