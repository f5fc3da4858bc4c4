# SPDX-License-Identifier: Apache-2.0
"""What living peers say of hosts in their reports, and what I say of mine.

One engine may not reach a machine that another one reaches. Only what an
engine saw itself is passed on, and what a peer sees keeps a power-off and a
proof back; it never makes either.
"""

from nova_pets.model import policy as policy_model
from nova_pets.model import records
from nova_pets.model import snapshot
from nova_pets.model import states
from nova_pets.planning import detection

ALIVE = 'alive'
"""In a report: {host: [epoch, whether it was proven off]}."""


def alive(snap: snapshot.Snapshot, policy: policy_model.Policy
          ) -> dict[str, list[int | bool]]:
    """Return what to say: the hosts of which I see life myself."""
    return {name: [view.row.epoch, view.row.state in states.PROVEN_OFF]
            for name, view in sorted(snap.hosts.items())
            if detection.is_seen_alive(view, policy)}


def who_sees_life(row: records.Host, stored: snapshot.StoreSnapshot, me: str
                  ) -> str:
    """Return the name of an observing peer that sees life of the host; '' if
    none does. Of a host that is proven off only life after that proof counts,
    else whatever a report said a moment before would void it."""
    is_proven = row.state in states.PROVEN_OFF
    for peer in stored.engines:
        said = peer.report.get(ALIVE)
        if (peer.id == me or peer.slot is None or
                not isinstance(said, dict) or row.host not in said):
            continue
        if not is_proven or said[row.host] == [row.epoch, True]:
            return f'{peer.host}/{peer.worker}'
    return ''
