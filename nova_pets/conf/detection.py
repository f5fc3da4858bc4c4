# SPDX-License-Identifier: Apache-2.0
"""Options of [pets_detection]: who is asked whether a host lives.

Declares options only; nothing here reads a value.
"""

from oslo_config import cfg

GROUP = cfg.OptGroup('pets_detection', title='Detection of failed hosts',
                     help="""
Detectors are witnesses: each says what it saw of a host. A host is down only
when its heartbeat stands still and a witness of the machine itself (not of
nova-compute) got no answer either. A dead nova-compute on a living machine is
an alarm and never a reason to fence.
""")

OPTS = [
    cfg.ListOpt('detectors',
                default=['heartbeat', 'rpc_ping', 'tcp', 'forced_down'],
                help="""
Witnesses that are asked, by their names in the stevedore namespace
``nova_pets.detectors``.

* ``heartbeat``: progress of the service record of nova-compute. Always in
  use: it is what the others are compared with.
* ``rpc_ping``: nova-compute answers a message. The same path as the
  heartbeat, so both together are one witness. It spares a host whose
  nova-compute works but cannot write its heartbeat.
* ``tcp``: a TCP connection to the machine. A witness of the machine itself.
* ``forced_down``: somebody else forced the service down in Nova.

Without a witness of the machine itself, no host is ever found down: there is
an alarm instead.

Related options:

* ``[pets_detection] tcp_port``, ``[pets_detection] tcp_timeout``.
* ``[pets_detection] ping_timeout``.
* ``[pets_fencing] trust_forced_down``.
"""),
    cfg.FloatOpt('suspect_heartbeats', default=2.0, min=1, max=100, help="""
Silence of the heartbeat before the other witnesses are asked. Unit: Nova's
``[DEFAULT] report_interval``.

A heartbeat is judged by its progress between two reads of our own, on our own
clock; the clocks of the compute hosts do not matter. Below 2, every late
heartbeat makes a suspect, which costs a few probes and nothing else.

``[DEFAULT] report_interval`` of nova-scheduler must be that of the compute
hosts: it is how this option is turned into seconds.

Related options:

* ``[pets_detection] down_heartbeats`` must be larger.
"""),
    cfg.FloatOpt('down_heartbeats', default=3.0, min=1, max=1000, help="""
Silence of the heartbeat before a host may be found down. Unit: Nova's
``[DEFAULT] report_interval``.

Larger is the safe side: it gives a nova-compute that restarts, or a broker
that fails over, time to come back. It adds directly to the time for which
instances are gone.

Related options:

* ``[pets_detection] suspect_heartbeats`` must be smaller.
"""),
    cfg.FloatOpt('witness_silence', default=2.0, min=0, max=3600, help="""
Time for which a witness of the machine must have been silent in a row.
Unit: seconds.

One lost packet is not silence. With 0 the first unanswered probe counts.
"""),
    cfg.FloatOpt('evidence_max_age', default=5.0, min=0.5, max=3600, help="""
Age above which the answer of a witness says nothing. Unit: seconds.

Related options:

* Must be larger than ``[pets_detection] tcp_timeout`` and ``[pets_detection]
  ping_timeout`` plus ``[pets] active_interval``, or answers are too old
  before the next ones come and no host is ever found down.
"""),
    cfg.PortOpt('tcp_port', default=22, min=1, help="""
TCP port at which the machine of a compute host answers.

Connected to at the address that nova-compute reports (``host_ip`` of the
compute node: nova's ``[DEFAULT] my_ip``), from the machines that run
nova-scheduler. Nothing is sent. An answer, or a refused connection, is a sign
of life; silence is not proof of anything by itself. Choose a port that is
open to the schedulers and does not depend on nova-compute: a firewall that
drops the probe looks like a dead machine (``nova-manage pets check`` shows
hosts that are up but silent).
"""),
    cfg.FloatOpt('tcp_timeout', default=1.0, min=0.1, max=60, help="""
Longest wait for an answer of the TCP port. Unit: seconds.

Related options:

* Must be smaller than ``[pets_detection] evidence_max_age``.
"""),
    cfg.FloatOpt('ping_timeout', default=2.0, min=0.1, max=60, help="""
Longest wait for an answer to an RPC ping. Unit: seconds.

Related options:

* Must be smaller than ``[pets_detection] evidence_max_age``.
"""),
]
