# SPDX-License-Identifier: Apache-2.0
"""The two plain things to do about a host: move it, or say why not.

Pure.
"""

from nova_pets.model import actions
from nova_pets.model import policy as policy_model
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import detection

Actions = list[actions.Action]


def move(view: snapshot.HostView, event: str, reason: str,
          policy: policy_model.Policy,
          proof: states.ProofKind | None = None) -> actions.MoveHost:
    count = view.service.report_count if view.service else None
    return actions.MoveHost(
        host=view.row.host, generation=view.row.generation, event=event,
        reason=reason, evidence=detection.evidence_of(view), proof=proof,
        proof_count=count if proof else None)


def hold(view: snapshot.HostView, reason: str, detail: str = ''
          ) -> Actions:
    if view.row.reason == reason:
        return []
    return [actions.Hold(kind='host', key=view.row.host,
                         generation=view.row.generation, reason=reason,
                         detail=detail)]
