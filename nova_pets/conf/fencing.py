# SPDX-License-Identifier: Apache-2.0
"""Options of [pets_fencing]: how a host is proven off, and when not.

Declares options only; nothing here reads a value.
"""

from oslo_config import cfg
from oslo_config import types

GROUP = cfg.OptGroup('pets_fencing', title='Proof that a host is off',
                     help="""
Nothing is evacuated from a host before it is proven off: its power was read
back as off, or an operator said so by ``nova-manage pets confirm_fenced``. No
waiting time is a proof.
""")

DEVICES = [
    cfg.StrOpt('bindings_file', default='/etc/nova/pets-fencing.yaml',
               help="""
Path of the YAML file that says which devices fence which host.

See ``pets-fencing.yaml.sample``. Must say the same on all nova-schedulers
(``nova-manage pets check`` compares digests). It is read again when it
changes, without a restart; a new content that cannot be used is reported, and
the last good one stays in force. Keep it readable by the user of nova only:
it names devices, and may name where their passwords are.

Without the file no host can be powered off: an operator has to confirm each
failed host by ``nova-manage pets confirm_fenced``.
"""),
    cfg.BoolOpt('allow_fake', default=False, help="""
Let bindings use the driver ``fake``, which powers nothing off.

For tests and demonstrations. With ``true``, a host can count as proven off
while it runs, so instances can run twice and destroy their data. Never in
production; ``nova-manage pets status`` warns as long as it is set.
"""),
    cfg.FloatOpt('query_timeout', default=10.0, min=0.5, max=300, help="""
Longest wait for one answer of one fencing device. Unit: seconds.

An answer that does not come in time is unknown, and unknown is not off.

Related options:

* Must be smaller than ``[pets_fencing] fence_timeout``.
"""),
    cfg.FloatOpt('read_interval', default=300.0, min=1, max=86400, help="""
Time between two background readings of a host's fencing devices. Unit:
seconds.

Finds a wrong address or password before it is needed: an instance on a host
whose fence was not seen to work is shown as unprotected. Some BMCs are slow
or lock up when asked often.
"""),
]

SEQUENCE = [
    cfg.FloatOpt('fence_timeout', default=90.0, min=1, max=3600, help="""
Longest wait for a host to be proven off in one attempt. Unit: seconds.

For all levels of its devices together. A host not proven off in time is
treated as running: nothing is evacuated from it, and the next of
``[pets_fencing] fence_attempts`` begins.

Related options:

* Must be larger than ``[pets_fencing] query_timeout``.
"""),
    cfg.IntOpt('fence_attempts', default=3, min=1, max=100, help="""
Attempts to power a host off before an operator is asked.

Afterwards the host is ``unproven``: an operator looks, and says so by
``nova-manage pets confirm_fenced``, or asks for another attempt by
``nova-manage pets fence``, or powers it off by hand: its devices are asked
every ``fence_retry`` seconds, and once they say off it is proven. What they
say to be on is not powered off again by itself, as somebody may be at work on
it; but who switches it on in the moment in which it is being proven has it
powered off again.

An attempt that an engine breaks off by its own doubts (it cannot read the
database any more) is not the last one.

Related options:

* ``[pets_fencing] fence_timeout``, ``[pets_fencing] fence_retry``.
"""),
    cfg.FloatOpt('fence_retry', default=30.0, min=0, max=3600, help="""
Wait between two attempts to power a host off. Unit: seconds.

The next attempt is left to another engine where there is one, since the way
to the device, or the clock, of the one that failed may be what is wrong.
"""),
    cfg.FloatOpt('fence_fresh', default=5.0, min=0.5, max=300, help="""
Age above which a reading of the power does not allow an evacuation. Unit:
seconds.

Before each evacuation the host was read as off within this time; else it is
read again first. Smaller is the safe side, and asks the devices more often
while evacuations are open.

Related options:

* Must be larger than ``[pets] active_interval``.
"""),
    cfg.BoolOpt('trust_forced_down', default=False, help="""
Take a ``forced_down`` that was set by somebody else as proof that the host is
off.

Only right when whatever sets it (Masakari, Pacemaker, an operator's script)
fences first, always. Otherwise instances run twice and destroy their data.
When false it is only evidence, and the host still has to be proven off. One
that was set before the host fell silent, or before the scheduler began to
watch, is never a proof: it may have been meant for something else.

Related options:

* ``[pets_detection] detectors`` must contain ``forced_down``.
* ``[pets_fencing] trusted_events`` for the fencing of Pacemaker.
"""),
]

EVENTS = [
    cfg.ListOpt('trusted_events', default=[], item_type=types.String(
        choices=['switched_off']), help="""
Events of somebody else's fencing that are taken as proof that a host is off.

* ``switched_off``: Pacemaker's history has a successful ``off`` of the host,
  which was not in it before the host fell silent, and no ``on`` and no
  ``reboot`` since.

Only for the present epoch of the host, and only while every witness is
silent. Only right where the devices of the cluster read the power back, and
nothing switches a host on by itself. Pacemaker's own default is ``reboot``,
which is never a proof: the host may be back up; set ``stonith-action=off``
there. Without this, an ``off`` is evidence that the host is down, and it still
has to be proven off. Default: none.

Related options:

* ``[pets_detection] detectors`` must contain ``pacemaker``.
* ``[pets_fencing] trust_forced_down``.
"""),
]

STORM = [
    cfg.IntOpt('storm_hosts', default=3, min=1, max=100000, help="""
Hosts of a cell that may be newly silent before we stop powering off.

When many hosts fall silent together, the reason is mostly ours or the
network's, and powering them off makes it worse. Above the limit no host of
the cell is powered off until it calms down (``storm_window``) or an operator
approves (``nova-manage pets approve``). Hosts that are proven off otherwise
are recovered meanwhile, and so are the other cells. Two such cells at once, or
more than the limit in all other cells together, hold back every cell.

Related options:

* ``[pets_fencing] storm_share``: the larger of both limits counts.
* ``[pets_fencing] storm_window``.
"""),
    cfg.FloatOpt('storm_share', default=0.3, min=0, max=1, help="""
Share of the hosts of a cell that may be newly silent. Unit: 1 is all hosts.

The limit is the larger of this share and ``[pets_fencing] storm_hosts``, so
that small clouds are not held back by a share of a few hosts. With 0 only
``storm_hosts`` counts. All cells together have the same share as a limit.

Related options:

* ``[pets_fencing] storm_hosts``.
"""),
    cfg.FloatOpt('storm_window', default=60.0, min=0, max=86400, help="""
How long a host that was down and came back still counts. Unit: seconds.

A network that comes and goes takes hosts down one after the other, never many
at once: within this window they count together. It is also the calm that ends
a storm: a power-off comes at the earliest so long after the storm. With 0 only
hosts that are silent now count. A host whose heartbeat was only late does not
count afterwards, nor does one that is proven off.

Related options:

* ``[pets_fencing] storm_hosts``.
"""),
    cfg.FloatOpt('startup_grace', default=120.0, min=0, max=86400, help="""
How long nothing is powered off by us after all engines were away. Unit:
seconds.

When every nova-scheduler was down, other things mostly were, too: a compute
host that still boots answers nobody and is not dead. Counts from the start of
each engine, unless it meets one that has been at work for as long: a
nova-scheduler that is restarted while another one runs does not wait. Hosts
that are proven off otherwise are recovered meanwhile, and ``nova-manage pets
fence`` does not wait either. Should be longer than a compute host takes from
power-on to its first heartbeat.
"""),
]

RETURN = [
    cfg.StrOpt('power_on', default='manual', choices=[
        ('never', 'people power it on, by hand'),
        ('manual', 'the engines do, when nova-manage pets release is asked '
         'for'),
        ('after_recovery', 'the engines do, as soon as every pet has left'),
    ], help="""
Who powers a host on again that was powered off.

Whatever is chosen, it stays off until every pet has left it, and it is forced
down in nova until its nova-compute has removed the guests that were evacuated.
Right before power-on the engines empty the queue of its nova-compute, which
outlives it: a late ``start`` in it would run a second copy of an instance
there. Each request that is dropped is in ``nova-manage pets history``. A queue
that could not be emptied (RabbitMQ is away, another transport than RabbitMQ,
somebody consumes it) means no power-on by the engines; ``nova-manage pets
hosts`` says so, and which command empties it.

``manual`` is the default because it is the safest: a host that has failed is
looked at before it gets work again, so nothing is powered on without a
person; and the person who releases it gets the queue emptied in the right
order, where somebody who presses the button by hand (``never``) forgets it.
``after_recovery`` brings the capacity back by itself, and a host with a
fault will fail, and come back, again and again. It leaves alone a host that
is in maintenance, whose service is disabled, that is paused, or that a person,
not a device, said to be off.

Related options:

* ``[pets_fencing] bindings_file``: its devices have to be able to power on.
* ``[pets_fencing] power_on_wait``.
"""),
    cfg.FloatOpt('power_on_wait', default=900.0, min=1, max=86400, help="""
Time from power-on to the first heartbeat, before people are told. Unit:
seconds.

The host is not powered on again, or off: somebody has to look at its console.

A host that is proven off and that somebody else powers on may be silent for
as long before it counts as down again: it is not powered off while it boots.
Its power is read meanwhile; one that is off again is fenced as any other.
"""),
]

LIMITS = [
    cfg.IntOpt('day_hosts', default=10, min=1, max=100000, help="""
Hosts that all engines together may power off within 24 hours.

What kills hosts one after the other is no storm, and stays below its limit:
a mistake in a configuration, a network that fails rack by rack, a bug of ours.
Above this limit a person has to look, and to say ``nova-manage pets approve``
or ``nova-manage pets fence``. Ten is more than a cloud of a hundred hosts
loses in a day that nobody should look at; hosts that were powered off within
the day already, and those that are proven off otherwise, go on.

Counted in the history in the database, by its clock, so that no restart
begins it anew; ``nova-manage pets purge`` of the last day does. Engines that
begin in the same moment may exceed it by one each.

Related options:

* ``[pets_fencing] day_share``: the larger of both limits counts.
* ``[pets_fencing] storm_hosts`` for many at once.
"""),
    cfg.FloatOpt('day_share', default=0.1, min=0, max=1, help="""
Share of all hosts that may be powered off within 24 hours. Unit: 1 is all
hosts.

Related options:

* ``[pets_fencing] day_hosts``: the larger of both limits counts.
"""),
    cfg.IntOpt('flap_count', default=3, min=0, max=1000, help="""
How often a host may go down within ``flap_window`` before it is quarantined
when it comes back.

A host that comes and goes is sick: instances that are started there, or
evacuated to it, are soon gone again. It is ``quarantined``, its own instances
run on, and nothing new goes there until it stayed up for ``flap_calm`` or a
person says ``nova-manage pets release``. With 0 no host is ever quarantined
for this. Counted by each engine since its start.

Related options:

* ``[pets_fencing] flap_window``, ``[pets_fencing] flap_calm``.
* ``[filter_scheduler] enabled_filters`` must name ``FencedHostFilter``.
"""),
    cfg.FloatOpt('flap_window', default=3600.0, min=0, max=604800, help="""
Time within which a host may go down ``flap_count`` times. Unit: seconds.

Related options:

* ``[pets_fencing] flap_count``.
"""),
    cfg.FloatOpt('flap_calm', default=600.0, min=0, max=604800, help="""
How long a host that was down too often has to stay up before instances go
there again. Unit: seconds.

Related options:

* ``[pets_fencing] flap_count``.
"""),
    cfg.FloatOpt('outage_calm', default=40.0, min=0, max=86400, help="""
How long nothing is powered off by us after an outage of an engine's own view.
Unit: seconds.

An outage is when an engine could not read its database or a cell, or no
conductor answered, for at least ``[pets] claim_ttl``. What was cut off by the
same trouble comes back one by one: oslo.messaging waits for up to 30 seconds
between its attempts to reach a broker, and the next heartbeat follows within
``[DEFAULT] report_interval``; that makes 40. Hosts that are proven off
otherwise are recovered meanwhile, and ``nova-manage pets fence`` does not
wait.

Related options:

* ``[pets_fencing] startup_grace`` after all engines were away.
* ``[pets] claim_ttl``.
"""),
]

OPTS = DEVICES + SEQUENCE + EVENTS + STORM + LIMITS + RETURN
