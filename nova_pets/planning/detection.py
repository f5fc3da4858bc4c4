# SPDX-License-Identifier: Apache-2.0
"""The verdict about one host from the evidence of its witnesses.

Pure. Detection time: down_heartbeats x report_interval, plus one heartbeat
phase and one cycle; the probes run meanwhile. Unknown never adds up to down.
Source: design.md, section 3.
"""

import dataclasses
import typing

from nova_pets.model import observations
from nova_pets.model import policy as policy_model
from nova_pets.model import snapshot
from nova_pets.model import states

_HOST_LEVEL = (states.WitnessPath.HOST, states.WitnessPath.POWER)
_LIFE_LEVEL = (states.WitnessPath.HOST, states.WitnessPath.AGENT)


@dataclasses.dataclass(frozen=True, slots=True)
class Judgement:
    verdict: states.Verdict
    reason: str
    evidence: dict[str, typing.Any]

    def __bool__(self) -> bool:
        raise TypeError('compare the verdict')


def down_after_s(policy: policy_model.Policy) -> float:
    """Return the length of a silence that is one, in seconds."""
    return policy.down_heartbeats * policy.report_interval_s


def judge(view: snapshot.HostView, policy: policy_model.Policy
          ) -> Judgement:
    """Return the verdict about one host, with reason and evidence."""
    evidence = evidence_of(view)
    if view.service is None:
        return Judgement(states.Verdict.UNKNOWN, 'own_view', evidence)
    suspect_s = policy.suspect_heartbeats * policy.report_interval_s
    down_s = down_after_s(policy)
    if view.silent_s < suspect_s:
        if not view.has_moved:
            # I have only just begun to watch: unknown is not up.
            return Judgement(states.Verdict.SUSPECT, 'heartbeat_silent',
                             evidence)
        return Judgement(states.Verdict.UP, 'heartbeat_back', evidence)
    alive = signs_of_life(view, policy)
    if alive:
        host_level = [word for word in alive
                      if word.path is states.WitnessPath.HOST]
        return Judgement(
            states.Verdict.SUSPECT,
            'host_alive' if host_level else 'agent_alive', evidence)
    if view.silent_s < down_s:
        return Judgement(states.Verdict.SUSPECT, 'heartbeat_silent',
                         evidence)
    if not _host_level_silence(view, policy):
        reason = ('heartbeat_silent' if _host_level_asked(view)
                  else 'no_host_witness')
        return Judgement(states.Verdict.SUSPECT, reason, evidence)
    return Judgement(states.Verdict.DOWN, 'all_silent', evidence)


def signs_of_life(view: snapshot.HostView, policy: policy_model.Policy
                  ) -> list[observations.Evidence]:
    """Return the fresh words of life about a host."""
    return lively(view.evidence, policy)


def is_seen_alive(view: snapshot.HostView, policy: policy_model.Policy
                  ) -> bool:
    """True where a witness of this engine sees life of a silent host; of one
    that is proven off, since this engine saw it so."""
    if view.row.state is states.HostState.UP:
        return False
    is_proven = view.row.state in states.PROVEN_OFF
    return any(not is_proven or word.age_s < view.state_s
               for word in signs_of_life(view, policy))


def lively(words: tuple[observations.Evidence, ...],
           policy: policy_model.Policy) -> list[observations.Evidence]:
    """Return the fresh words of life. A BMC that says ON is none."""
    return [word for word in words
            if word.path in _LIFE_LEVEL and
            word.sign is states.Sign.LIFE and is_fresh(word, policy)]


def is_fresh(word: observations.Evidence, policy: policy_model.Policy
             ) -> bool:
    """True where an answer is young enough to say something; a BMC takes
    longer for one."""
    if word.path is states.WitnessPath.POWER:
        return word.age_s <= policy.power_max_age_s
    return word.age_s <= policy.evidence_max_age_s


def is_host_level(word: observations.Evidence) -> bool:
    """True where a witness speaks of the machine, not of nova-compute: its
    own answer, its power, or that somebody else's fencing switched it
    off."""
    return (word.path in _HOST_LEVEL or
            word.event == observations.SWITCHED_OFF)


def has_event(view: snapshot.HostView, event: str,
              policy: policy_model.Policy) -> bool:
    """True while some witness says that this happened in this silence."""
    return any(word.event == event and is_fresh(word, policy)
               for word in view.evidence)


def hears_dump(words: tuple[observations.Evidence, ...],
               policy: policy_model.Policy) -> bool:
    """True while a witness hears the host dump its memory."""
    return any(word.event == observations.DUMPING and
               is_fresh(word, policy) for word in words)


def all_silent(view: snapshot.HostView, policy: policy_model.Policy) -> bool:
    """True while every witness is silent, a host-level one included."""
    return judge(view, policy).verdict is states.Verdict.DOWN


def _host_level_silence(view: snapshot.HostView,
                        policy: policy_model.Policy) -> bool:
    return any(is_host_level(word) and
               word.sign is states.Sign.SILENT and
               is_fresh(word, policy) and
               word.silent_s >= policy.witness_silence_s
               for word in view.evidence)


def _host_level_asked(view: snapshot.HostView) -> bool:
    """A witness is at it (its silence is only too young to count)."""
    return any(is_host_level(word) and
               word.sign is states.Sign.SILENT for word in view.evidence)


def evidence_of(view: snapshot.HostView) -> dict[str, typing.Any]:
    """Return the evidence as stored in the row and the history."""
    found: dict[str, typing.Any] = {
        'heartbeat': f'silent {view.silent_s:.0f} s'}
    for word in sorted(view.evidence, key=lambda word: word.detector):
        found[word.detector] = f'{word.sign}: {word.detail}' if word.detail \
            else str(word.sign)
    return found
