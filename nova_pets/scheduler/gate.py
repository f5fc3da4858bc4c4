# SPDX-License-Identifier: Apache-2.0
"""The gate in Nova: a request filter, before all of Nova's.

There a refusal comes before placement is asked. It refuses by
exception.GateRefused, which conductor does not know: it stops without
touching the instance, where NoValidHost would write ERROR over an attempt in
flight (design.md, section 4, step 4).

Only adapts Nova's requests to scheduler/gatekeeper.py, which reads and
writes, and keeps on them what was read; planning/gating.py decides.

In mode observe only a request beside an open attempt is refused, and when
the tables cannot be read everything passes: an installation that is only
looked at stands in nobody's way.
"""

from nova_pets.scheduler import access
from nova_pets.scheduler import gatekeeper
from nova_pets.scheduler import request
from nova_pets.scheduler import unsafe_hosts


def evacuation_gate(ctxt, request_spec):
    """Let the request go on, or raise GateRefused.

    A request filter of Nova (nova.scheduler.request_filter). A request that
    leaves no host (a first boot, an unshelve, a rebuild in place) passes
    without any read.
    """
    asked = _request(ctxt, request_spec)
    if asked is not None:
        _remember(request_spec, _gatekeeper().check(asked))
    return False


def repeat(ctxt, spec_obj):
    """Check once more, as a host filter, what the gate has let through.

    Where the request filter is not in place, this is the gate.

    :raises GateRefused: the attempt has ended since, or another began.
    """
    asked = _request(ctxt, spec_obj)
    if asked is None:
        return
    known = request.recall(spec_obj)
    before = known.view if known is not None and known.has_passed else None
    _remember(spec_obj, _gatekeeper().repeat(asked, before))


def _gatekeeper():
    # Made for each request: it keeps nothing, and what it asks for belongs
    # to this process.
    return gatekeeper.Gatekeeper(access.store, access.door, access.mode,
                                 unsafe_hosts.learn)


def _request(ctxt, spec_obj):
    """Return the gatekeeper.Request, None: no host is left."""
    source = request.source(spec_obj)
    if source is None:
        return None
    return gatekeeper.Request(
        instance_uuid=request.instance_uuid(spec_obj), source=source,
        request_id=ctxt.request_id, cell_uuid=request.cell_uuid(spec_obj))


def _remember(spec_obj, passed):
    if passed.view is not None:
        request.remember(spec_obj, passed.view, has_passed=True)
