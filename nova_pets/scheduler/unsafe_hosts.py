# SPDX-License-Identifier: Apache-2.0
"""The hosts that are not up, as this process read them last.

One read serves every request within [pets_scheduler] cache_ttl; the gate's
read of a move serves as well, so that a move costs no second one and meets
the present states. When the
tables cannot be read the last answer is kept, whatever its age; without any,
no host counts as unsafe: a failure of ours fails no request.
"""

import os
import time

import nova.conf
from oslo_log import log as logging

from nova_pets.model import states
from nova_pets.scheduler import access

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# One tuple, replaced as a whole, so that threads need no lock: process id,
# monotonic time of the read, hosts, whether that read failed.
_last = (None, 0.0, {}, False)


def unsafe_hosts():
    """Return {host: HostState} of the hosts that are not up."""
    global _last
    pid, read_at, hosts, failed = _last
    if pid != os.getpid():
        # A worker inherits the master's memory; that answer may be as old as
        # the master.
        hosts, failed = {}, False
    elif time.monotonic() - read_at < CONF.pets_scheduler.cache_ttl:
        return hosts
    try:
        hosts = access.store().unsafe_hosts()
        now_failed = False
    except Exception as error:
        # The boundary of a plugin: whatever is wrong with our tables, Nova
        # goes on scheduling.
        now_failed = True
        if not failed:
            LOG.warning(
                'cannot read the states of the hosts, FencedHostFilter goes '
                'on with %(count)d unsafe host(s) known before: %(error)s; '
                'see "nova-manage pets check"',
                {'count': len(hosts), 'error': error})
    if failed and not now_failed:
        LOG.info('the states of the hosts can be read again')
    _last = (os.getpid(), time.monotonic(), hosts, now_failed)
    return hosts


def learn(host_states):
    """Take what another read of this process has just found.

    :param host_states: {host: HostState} of at least all that are not up.
    """
    global _last
    hosts = {host: state for host, state in host_states.items()
             if state is not states.HostState.UP}
    _last = (os.getpid(), time.monotonic(), hosts, False)


def forget():
    """Read again at the next request."""
    global _last
    _last = (None, 0.0, {}, False)
