# SPDX-License-Identifier: Apache-2.0
"""Options of [pets]: what the product may do, and the pace of recovery.

Declares options only; nothing here reads a value.
"""

from oslo_config import cfg

GROUP = cfg.OptGroup('pets', title='Instance HA in nova-scheduler',
                     help="""
nova-pets runs inside every nova-scheduler: it tracks instances tagged
``ha=true``, proves that a failed compute host is off, and evacuates its
instances.

All nova-schedulers of a cloud should have the same values in all ``[pets*]``
groups. ``nova-manage pets check`` reports what does not fit together. A value
that cannot be used never stops nova-scheduler: the product then behaves as
with ``mode = observe`` and says so.
""")

MODE = cfg.StrOpt('mode', default='act', choices=[
    ('act', 'track, fence and evacuate'),
    ('observe', 'track, and report what would be done; fence and evacuate '
                'nothing'),
    ('off', 'Nova exactly as without nova-pets')],
    help="""
What nova-pets may do.

Begin with ``observe``: ``nova-manage pets status`` then shows what would have
been done. ``off`` registers nothing in nova-scheduler, so evacuations that
are under way are neither watched nor guarded any more; to stop for a while,
``nova-manage pets pause`` is the safe way. Read at the start of
nova-scheduler.

Related options:

* ``[pets] kill_switch_file`` stops acting without a restart.
""")

SAFETY = [
    MODE,
    cfg.StrOpt('kill_switch_file', default='/etc/nova/pets-observe', help="""
Path of a file whose presence means ``mode = observe``.

Looked at in every cycle, on the machine of each nova-scheduler, and needs no
database: ``touch`` it on all of them to stop fencing and evacuating at once.
Removing it lets the engines go on. When it cannot be told whether the file is
there (permissions, a lost mount), it counts as present. Empty: no kill
switch.

Related options:

* ``[pets] mode``.
"""),
    cfg.ListOpt('tenant_settings', default=['ha', 'ha:disk'], help="""
Keys of instance metadata that are obeyed.

Tenants write instance metadata, so a key listed here is in their hands. The
default lets them choose protection (``ha``) and accept the loss of their own
disk (``ha:disk``); both concern nobody else. ``ha:priority`` is left out
since every tenant would claim the highest priority. A key that is not listed
is ignored where tenants set it, and ``nova-manage pets show`` says so. Flavor
extra specs, image properties and aggregate metadata are not affected.

Possible values: any of ``ha``, ``ha:priority``, ``ha:disk``.
"""),
    cfg.BoolOpt('one_storage_domain', default=False, help="""
Declare that all compute hosts share one storage for instance disks.

An image-backed instance is protected only when the storage domain of its host
is known: by ``pets:storage`` in the metadata of an aggregate, or by this
option, which makes the whole cloud one domain. Boot from volume needs
neither.

Setting it where disks are local is not unsafe for data, but such instances
then count as protected and every recovery of them fails: nova-compute finds
no disk on the destination and refuses. With RBD for ephemeral disks that
check always passes, so there set it only if all hosts use the same pool.
"""),
]

RECOVERY = [
    cfg.IntOpt('parallel_per_host', default=32, min=1, max=1000, help="""
Most evacuations in flight per failed host.

The others wait, highest priority first. They build on as many destinations as
there are, so more is quicker until the storage is the limit; then builds run
into their timeouts and have to be tried again. Smaller where few hosts are
left to receive them.

Related options:

* ``[pets] parallel`` limits all hosts together.
* ``[pets] parallel_requests`` limits those that no destination has yet.
"""),
    cfg.IntOpt('parallel', default=128, min=1, max=10000, help="""
Most evacuations in flight in the whole cloud.

Related options:

* ``[pets] parallel_per_host`` should not be larger.
"""),
    cfg.IntOpt('parallel_requests', default=8, min=1, max=10000, help="""
Most evacuations in the whole cloud that no destination has yet.

That is what conductors, schedulers and placement work on at a time; an
evacuation that builds counts no more. More is not quicker once they are busy:
requests then wait in their queues, where priority does not count, and choose
their hosts from what was true when all began. On a control plane of two
processors with one conductor for each cell the first instances ran sooner
with 2 (specs/0012-speed-and-scale.rst).

Of one failed host, an engine works in the same moment on as many instances
as there are connections that it need not open anew, less one.

Related options:

* ``[database] max_pool_size``, ``[api_database] max_pool_size``: the smaller
  one is that number (nova's default: 5). More is quicker only where storage
  or devices, and not processors, are what is waited for.
"""),
    cfg.FloatOpt('backoff_first', default=2.0, min=0.1, max=3600, help="""
Wait after the first failed attempt of a recovery. Unit: seconds.

Doubles with every further attempt. Attempts never end by themselves: a
recovery goes on until the instance runs, is deleted, or an operator decides.

Related options:

* ``[pets] backoff_max`` ends the doubling.
"""),
    cfg.FloatOpt('backoff_max', default=300.0, min=0.1, max=86400, help="""
Longest wait between two attempts of a recovery. Unit: seconds.

With no capacity in the cloud this is how long an instance may stay down after
capacity came back; ``nova-manage pets retry`` does not wait.
"""),
    cfg.FloatOpt('scheduling_timeout', default=180.0, min=5, max=86400,
                 help="""
Longest wait for news of an evacuation that conductor has. Unit: seconds.

Only counts where nobody can be blamed: a conductor or a destination that is
down is noticed at once. Afterwards the attempt is settled: made harmless
first, then repeated. Larger than Nova's ``[DEFAULT] rpc_response_timeout``
plus what a busy scheduler may need; too small repeats work that was only
slow, and is never unsafe.
"""),
    cfg.FloatOpt('locate_after', default=5.0, min=0.5, max=3600, help="""
Wait before the allocations are asked for the destination. Unit: seconds.

Counts from when conductor has finished and no compute host has reported
anything. Smaller finds a destination that died at once sooner, and costs one
more placement request for an evacuation that was only slow.
"""),
    cfg.FloatOpt('building_alarm', default=900.0, min=30, max=86400,
                 help="""
Build time on a living destination that raises an alarm. Unit: seconds.

Nothing is released by it: a destination that is alive may still start the
guest, so only its failure or its own answer ends an attempt. Larger than the
time of the slowest honest build (big image, slow network).
"""),
    cfg.FloatOpt('verify_watch', default=5.0, min=0, max=3600, help="""
Time for which a recovered instance is watched further. Unit: seconds.

A message that was late may still write into the row of the instance; within
this time that is mended. 0 does not watch, and closes a recovery sooner.
"""),
]

ENGINE = [
    cfg.IntOpt('engines', default=2, min=1, max=64, help="""
Number of engines at work in the whole cloud.

Every worker of every nova-scheduler could be one; the others only try for a
free place. Two are enough: the second takes over when the first is gone, and
they share the rows. More cost more reads of the databases.

Must be equal on all nova-schedulers.
"""),
    cfg.FloatOpt('claim_ttl', default=15.0, min=1, max=3600, help="""
Time without renewal after which an engine loses its claims. Unit: seconds.

Measured by the engine that takes over, on its own monotonic clock. An engine
that is only slow finds out at its next write and stops. Smaller takes over
sooner; too small makes engines on a busy database lose their claims again and
again, which delays recoveries and is never unsafe.

Related options:

* Must be larger than three times ``[pets] idle_interval``.
"""),
    cfg.FloatOpt('idle_interval', default=2.0, min=0.1, max=60, help="""
Time between two cycles while nothing is wrong. Unit: seconds.

Each cycle costs a few short reads per cell and of the API database. Adds to
the time until a failure is noticed. Every fifth looks for changed tags, too;
the tags of a host that fails are read at that moment.

Related options:

* ``[pets] active_interval`` is the pace while something is open.
"""),
    cfg.FloatOpt('active_interval', default=0.3, min=0.05, max=60, help="""
Time between two cycles while a host or a recovery is open. Unit: seconds.

Related options:

* Should not be larger than ``[pets] idle_interval``.
"""),
]

OPTS = SAFETY + RECOVERY + ENGINE
