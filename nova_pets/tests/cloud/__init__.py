# SPDX-License-Identifier: Apache-2.0
"""A real Nova in one process, on machines that can die. A guide.

::

    from nova_pets.tests import cloud

    with cloud.EmbeddedCloud(hosts=5, config={
            'filter_scheduler': {'available_filters': [
                'nova.scheduler.filters.all_filters',
                'nova_pets.scheduler.filters.all_filters']},
            'pets': {'mode': 'act'}}) as c:
        uuid = c.boot('db1', host='host1', metadata={'ha': 'true'})
        c.crash('host1')
        c.force_down('host1')
        c.evacuate(uuid)
        c.wait_server(uuid, status='ACTIVE', task_state=None)
        assert len(c.running(uuid)) == 1

Import this package before anything of Nova: it chooses native threads.
API, conductor, the stock scheduler, placement and every nova-compute are
Nova's own code, driven by Nova's own fixtures; the message bus is in memory,
databases are SQLite files, Cinder, Neutron and Glance are Nova's doubles. In
pytest use the fixtures ``cloud`` and ``make_cloud`` of tests/functional.

Hosts
    ``host1``, ``host2`` ... Each has an address (``c.address('host1')``, also
    compute_nodes.host_ip), a TCP port that is the same everywhere
    (``c.port``), and a BMC, the file ``c.bmc_directory``/<host> with the word
    ``on`` or ``off``. Writing ``off`` there cuts the power; writing ``on``
    boots the machine and its nova-compute (``wait_up(host)``).

Deaths
    ``crash(host)`` (dead at once, port silent, BMC says on),
    ``restart(host)``, ``power_off(host)``, ``silence_service(host)``
    (nova-compute alone), ``silence_port(host)``, ``partition(host)`` and
    ``heal(host)`` (nobody hears of it, guests run on), ``suspend(name)`` and
    ``resume(name)`` (SIGSTOP). crash, restart and suspend also take
    'conductor' and 'scheduler'.
    No thread of a dead service passes a database transaction, a lock, an RPC,
    a placement request or a driver call again.

Faults
    ``hold(name, point)`` returns a Hold: ``wait()``, ``release()``;
    ``fail(name, point, error, times=1)``;
    ``defer('compute.rebuild_instance')`` keeps messages back until
    ``release()``, ``lose(...)`` drops them;
    ``answer(name, point, answer)`` replaces placement's;
    ``placement_down()``. ``name`` is a host, 'conductor', 'scheduler',
    'compute' (every host) or None (anybody); all take ``instance=uuid``: also
    where the point itself cannot tell, it is then one of the RPC message or
    evacuate call that is worked on. Points:

    * of the driver, each method's name and ``after_`` it: ``spawn`` (row says
      rebuild_spawning, no guest), ``after_spawn`` (the same, guest runs),
      ``destroy``, ``power_off``, ``init_host`` ...
    * ``before_claim`` (destination has consumed the cast, claimed nothing),
      ``before_instance_claim`` (at boot), ``before_finish`` (F3: row says
      ACTIVE, task None, host = source; guest runs on the destination)
    * ``publish:<topic>.<method>`` (sender blocks),
      ``receive:<topic>.<method>`` (consumed, nothing done), for instance
      ``receive:conductor.rebuild_instance``,
      ``receive:scheduler.select_destinations``,
      ``receive:compute.rebuild_instance``
    * ``placement``, ``placement.put`` ..., ``neutron``, ``cinder``,
      ``glance`` (each request), ``db`` (each outermost transaction)

    Engines that die at a point of their work are mortal.py's: by standing
    still, or (outpost.py) as processes of the operating system by os._exit.

Truth, independent of Nova's database
    ``guests()``, ``power()``, ``running(uuid)`` (hosts where it truly runs),
    ``starts(uuid)`` (host -> guest starts), ``evacuate_casts`` (uuid and
    request id of each rebuild that reached a conductor),
    ``storage.made[uuid]`` (more than 1: its disk was built anew, data lost),
    ``storage.domains[host]`` (name, or None for local disks).

REST
    boot, boot_many, evacuate, stop, start, reboot, migrate, live_migrate,
    delete, reset_state, set_metadata, add_flavor, add_aggregate,
    add_server_group, update_service, server, wait_server, migrations,
    actions, allocations ... (rest.py); the bare client is
    ``c.api_fixture.admin_api``.

Notes
    * ``config`` is nova.conf; options of groups that register later are kept.
    * There is no keystone. For a keystoneauth section the plugin types
      ``none`` (token None) and ``admin_token`` (``endpoint``, ``token``) load
      and need no network. A token-less context is good enough here: the
      glance endpoint is configured, which F10 asks for.
    * Code that must look like a service's own, for instance an engine outside
      of the scheduler, runs in ``with processes.running_as(process)``.
      Threads inherit this. Code of the test itself belongs to no process.
    * The bus hands an exception of an RPC server to the caller as it is; a
      real one makes RemoteError of what nova does not know.
    * ``c.databases.transactions`` counts transactions by process and kind.
    * The log of all services is ``c.directory``/nova.log.
"""

from nova_pets.tests.cloud import bootstrap
from nova_pets.tests.cloud.embedded import EmbeddedCloud  # noqa: F401

bootstrap.restore_environment()
