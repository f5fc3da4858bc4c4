# SPDX-License-Identifier: Apache-2.0
"""Whether so many hosts fell silent that each of them may be healthy.

Pure. Each cell is judged by itself, so that the loss of one cell's database
or broker holds back nobody elsewhere; two such cells at once are rather this
engine's view, or what both need, and hold back everybody. A cell of which no
host is heard is in a storm, however few they are. Who was down and is back
counts as long as the window: a network that comes and goes is a storm too, and
one ends only after a calm as long. Who is proven off counts no more.
Source: design.md, section 3.
"""

import collections

from nova_pets.model import policy as policy_model
from nova_pets.model import snapshot
from nova_pets.model import states

H = states.HostState

NEWLY_SILENT = frozenset({H.SUSPECT, H.DOWN, H.FENCING})
"""States of a host that is silent, and not proven off."""
DOWN = frozenset({H.DOWN, H.FENCING})
"""Of these, who answered on no path."""
_IS_BACK = frozenset({H.UP, H.RETURNING})


def limit(policy: policy_model.Policy, hosts: int) -> int:
    """Return how many of so many hosts may be newly silent at once."""
    return max(policy.storm_hosts, int(policy.storm_share * hosts))


def why_storm(cell_uuid: str, snap: snapshot.Snapshot,
              policy: policy_model.Policy) -> str:
    """Return why no host of the cell may be powered off by us; '' if no
    storm forbids it."""
    known = collections.Counter(
        view.row.cell_uuid for view in snap.hosts.values())
    silent = collections.Counter(
        view.row.cell_uuid for view in snap.hosts.values()
        if _counts(view, policy))
    unheard = collections.Counter(
        view.row.cell_uuid for view in snap.hosts.values()
        if view.row.state in NEWLY_SILENT)
    # No instance of such a cell could go anywhere, and what all of its hosts
    # need has rather failed.
    empty = {cell for cell, number in unheard.items()
             if number == known[cell] and number > 1}
    stormy = empty | {cell for cell, number in silent.items()
                      if number > limit(policy, known[cell])}
    are = (f'are silent, or were down within '
           f'{policy.storm_window_s:.0f} s')
    if cell_uuid in empty:
        return (f'all {known[cell_uuid]} hosts of its cell are silent: none '
                f'is left to go on')
    if cell_uuid in stormy:
        return (f'{silent[cell_uuid]} of {known[cell_uuid]} hosts of its '
                f'cell {are}: at most {limit(policy, known[cell_uuid])} may')
    if len(stormy) > 1:
        return f'in {len(stormy)} cells too many hosts {are}'
    others = silent.total() - sum(silent[cell] for cell in stormy)
    hosts = known.total() - sum(known[cell] for cell in stormy)
    if others > limit(policy, hosts):
        return (f'{others} of {hosts} hosts {are}: at most '
                f'{limit(policy, hosts)} may')
    return ''


def day_limit(policy: policy_model.Policy, hosts: int) -> int:
    """Return how many of so many hosts we may power off within a day."""
    return max(policy.day_hosts, int(policy.day_share * hosts))


def why_enough_today(host: str, snap: snapshot.Snapshot,
                     policy: policy_model.Policy) -> str:
    """Return why no further host may be powered off by us today; '' for a
    host that counts already, and below the limit."""
    number = len(snap.fenced_today)
    if host in snap.fenced_today or number < day_limit(policy,
                                                       len(snap.hosts)):
        return ''
    return (f'{number} of {len(snap.hosts)} hosts were powered off by us '
            f'within a day: at most {day_limit(policy, len(snap.hosts))} may')


def _counts(view: snapshot.HostView, policy: policy_model.Policy) -> bool:
    if view.row.state in NEWLY_SILENT:
        return True
    return (view.row.state in _IS_BACK and
            view.down_ago_s < policy.storm_window_s)
