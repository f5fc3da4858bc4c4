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

_COMMON = [
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
* ``bmc``: the power of the machine, read from its fencing devices. Off is a
  witness of the machine itself; on says nothing. Together with ``tcp`` either
  of them is enough for a verdict, and an answer of ``tcp`` outweighs a power
  that reads off.
* ``pacemaker``: a Pacemaker cluster switched the machine off since it fell
  silent. It must be able to run ``stonith_admin``.
* ``kdump``: the crashed kernel of the machine sends messages while it writes
  its memory to a disk. No witness of anything: it delays a power-off.

Without a witness of the machine itself (``tcp``, ``bmc``, ``pacemaker``), no
host is ever found down: there is an alarm instead.

Related options:

* ``[pets_detection] tcp_port``, ``[pets_detection] tcp_timeout``.
* ``[pets_detection] ping_timeout``.
* ``[pets_detection] power_max_age``.
* ``[pets_detection] pacemaker_prefix``, ``[pets_detection] pacemaker_nodes``.
* ``[pets_detection] kdump_address``, ``[pets_detection] kdump_port``.
* ``[pets_fencing] trust_forced_down``, ``[pets_fencing] trusted_events``.
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

_BMC = [
    cfg.FloatOpt('power_max_age', default=20.0, min=1, max=3600, help="""
Age above which a reading of the power by the witness ``bmc`` says nothing.
Unit: seconds.

A BMC takes longer for an answer than a kernel. At most eight machines are
asked at once, and each of them every two seconds at most. Larger lets slow
devices testify; smaller is the safe side, since a machine may have been
switched on meanwhile.

Related options:

* Must be larger than ``[pets_fencing] query_timeout``.
* ``[pets_fencing] bindings_file`` says which device is whose.
"""),
]

_PACEMAKER = [
    cfg.StrOpt('pacemaker_prefix', default='', help="""
What is written before ``stonith_admin --history '*' --verbose --output-as
xml``.

Empty where nova-scheduler runs on a node of the cluster; its user must be a
member of the group ``haclient`` there. Otherwise a command that runs the rest
elsewhere, for example ``ssh -o BatchMode=yes -i /etc/nova/pets-pacemaker
nova-pets@controller1``. Split like a shell does, and run without one. Where it
leads to a shell, as ssh does, let the key force the command
(``command="stonith_admin --history '*' --verbose --output-as xml"`` in
authorized_keys), so that no shell sees the star, and the key opens nothing
else. Runs with PATH and LC_ALL only.
"""),
    cfg.DictOpt('pacemaker_nodes', default={}, help="""
Names of the cluster nodes that are called otherwise than in Nova, as
``HOST:NODE,HOST:NODE``.

HOST is the ``[DEFAULT] host`` of nova-compute. Every host that is not named
here is looked for under its own name; no other spelling of it is tried, as a
fencing event of another machine must never count.
"""),
    cfg.FloatOpt('pacemaker_timeout', default=5.0, min=0.5, max=60, help="""
Longest wait for the fencing history. Unit: seconds.

Afterwards the command is killed with everything that it started, and nothing
is known of the cluster. The history is read every five seconds while nothing
is wrong, and every second while some host is silent, by each engine that
observes.
"""),
]

_KDUMP = [
    cfg.IPOpt('kdump_address', default='127.0.0.1', help="""
Address at which messages of crashed kernels are received.

Used with the witness ``kdump`` only. The default hears nobody: set the
address of this machine in the network that the kernels which make the dumps
can reach (``fence_kdump_nodes`` in /etc/kdump.conf of the compute hosts must
name every machine that runs nova-scheduler). Each engine that observes
listens for itself and tells the others; one port of one machine is for one
engine.

The messages can be forged. So they never prove anything, and delay a
power-off by at most ``[pets_detection] kdump_limit``. Keep the port closed to
tenants.
"""),
    cfg.PortOpt('kdump_port', default=7410, min=1, help="""
UDP port at which messages of crashed kernels are received.

7410 is where fence_kdump_send sends to.
"""),
    cfg.FloatOpt('kdump_wait', default=30.0, min=0, max=3600, help="""
Silence of the heartbeat before a power-off while the witness ``kdump`` is in
use. Unit: seconds.

The kernel that makes the dump has to boot before it sends its first message.
Where a host is found down sooner than that, its power-off waits. With 0
nothing is waited for, and only a dump that has been heard of is spared.
"""),
    cfg.FloatOpt('kdump_gap', default=30.0, min=1, max=3600, help="""
Pause between two messages of a crashed kernel after which its dump is over.
Unit: seconds.

fence_kdump_send sends every ten seconds unless told otherwise.
"""),
    cfg.FloatOpt('kdump_limit', default=600.0, min=0, max=86400, help="""
The longest that a power-off waits for a dump. Unit: seconds.

Counted from the first message since the host fell silent; pauses do not begin
it anew. The instances of the host are gone for that long. With 0 no dump is
waited for. ``nova-manage pets fence`` does not wait.
"""),
]

OPTS = _COMMON + _BMC + _PACEMAKER + _KDUMP
